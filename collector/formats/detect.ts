/** Which format a profile has, by its first bytes (after decompression) and, where these leave it open, its name. */
import { readFolded } from './folded.ts'
import { ProfileError, type ReadProfile } from './format.ts'
import { readPerfScript } from './perfimport.ts'
import { readPprof } from './pprof.ts'
import { readSpeedscope } from './speedscope.ts'

export type Format = 'perf script' | 'folded' | 'pprof' | 'speedscope'

export const READERS: Record<Format, ReadProfile> = {
  'perf script': readPerfScript,
  folded: readFolded,
  pprof: readPprof,
  speedscope: readSpeedscope,
}

export const isGzip = (head: Uint8Array) => head[0] === 0x1f && head[1] === 0x8b

const FOLDED_LINE = /^[^\t].*\S\s\d+(\.\d+)?$/
const FRAME_LINE = /^\s+[0-9a-f]{2,16}\s+\S/
const HEADER_LINE = /^\s*\S.*\s\d+(\/\d+)?\s+(\[\d+\]\s+)?\d+\.\d+:\s/

/** Throws where it is none of these, and says what to do. */
export function detectFormat(head: Uint8Array, name: string): Format {
  const text = new TextDecoder().decode(head)
  if (text.startsWith('PERFILE2') || text.startsWith('2ELIFREP'))
    throw new ProfileError(
      `${name} is the binary of perf record: run \`perf script --header -i ${name} | jobsight import -\``,
    )
  if (/\.(pb|pprof|prof)(\.gz)?$/.test(name) || isPprof(head)) return 'pprof'
  if (text.trimStart().startsWith('{')) return detectJson(text, name)
  const lines = text.split(/\r?\n/, 400)
  // The last one may be cut.
  const whole = lines.slice(0, Math.max(1, lines.length - 1)).filter(line => line !== '' && !line.startsWith('#'))
  if (whole.some(line => HEADER_LINE.test(line)) || whole.some(line => FRAME_LINE.test(line))) return 'perf script'
  if (whole.length > 0 && whole.filter(line => FOLDED_LINE.test(line)).length >= whole.length / 2) return 'folded'
  throw new ProfileError(
    `${name} is neither a text of perf script, nor folded stacks, nor pprof, nor speedscope: run \`perf script --header > FILE\` and import that`,
  )
}

function detectJson(text: string, name: string): Format {
  if (text.includes('speedscope') || /"shared"\s*:\s*\{\s*"frames"/.test(text) || text.includes('"profiles"'))
    return 'speedscope'
  throw new ProfileError(`${name} is JSON, but not of speedscope: export it as pprof or speedscope`)
}

/** Field 1 (sample_type), a message of two small varints: 0a 04 08 xx 10 xx, or with a larger one 0a 05. */
function isPprof(head: Uint8Array): boolean {
  return head[0] === 0x0a && (head[1] ?? 0) <= 12 && head[2] === 0x08
}
