import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import type { Frame } from '../../ingest/records.ts'
import { shares } from './judging.ts'
import { openWorkshop, type SampledStack, sample, type Workshop, whyAbsent } from './sampling.ts'

/**
 * Programs that spend 60 / 30 / 10 % of their time in three functions, in whatever way programs are built and run: what
 * the sampler says of them. The same beside perf(1): npm run bench -- accuracy
 */
interface Known {
  name: string
  /** Source, output, flags; @output is the path of an earlier output. */
  build?: string[][]
  /** Of a program that is not built. */
  run?: string[]
  /** The build whose symbols name the functions of one that has none. */
  symbols?: string
  /** Its loops are compiled together, and take the shares that the compiler gave them. */
  unsplit?: boolean
}

const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

function readKnown(): Known[] {
  return JSON.parse(readFileSync(new URL('programs/known.json', import.meta.url), 'utf8')) as Known[]
}

/** The command line, without what follows for how long. */
function made(known: Known, place: Workshop): string[] {
  const at = (word: string) => (word.startsWith('@') ? place.path(word.slice(1)) : word)
  for (const [source = '', output = '', ...flags] of known.build ?? []) place.compile(source, output, ...flags.map(at))
  const [program = '', ...args] = known.run ?? [place.path(known.name)]
  const command = program === 'node' ? process.execPath : program
  return [command, ...args.map(arg => (/^flat\./.test(arg) ? place.source(arg) : arg))]
}

const ROOT = /^(_start|__libc_start_\w+|start_thread|clone3?|_dl_start\w*)$/
const NAMELESS = /\+0x[0-9a-f]+$|^\[/
const SPLIT = /(?:^|:)(f60|f30|f10|i60|i30|i10)$/

function countsOf(stacks: readonly SampledStack[], known: Known) {
  const counts = { samples: 0, rooted: 0, frames: 0, named: 0 }
  const leaves: Record<string, number> = {}
  for (const { frames, count } of stacks) {
    if (frames.every(frame => frame.kind === 'kernel')) continue
    counts.samples += count
    if (isRoot(frames[0], known)) counts.rooted += count
    const own = frames.filter(frame => hasSymbols(frame, known))
    counts.frames += count * own.length
    counts.named += count * own.filter(frame => !NAMELESS.test(frame.function)).length
    const leaf = frames.findLast(frame => SPLIT.test(frame.function))
    const name = SPLIT.exec(leaf?.function ?? '')?.[1]?.replace('i', 'f')
    if (name) leaves[name] = (leaves[name] ?? 0) + count
  }
  return { ...counts, leaves }
}

/** Where programs and threads start; the loader's own start has no name. */
function isRoot(frame: Frame | undefined, known: Known): boolean {
  return ROOT.test(frame?.function ?? '') || frame?.module === known.name || /^ld-/.test(frame?.module ?? '')
}

/** Distributions strip their libraries: of a built program its own frames count, and the kernel's. */
function hasSymbols({ kind, module }: Frame, known: Known): boolean {
  if (known.run !== undefined || kind === 'kernel') return true
  return known.symbols === undefined && known.build?.some(([, output]) => output === module) === true
}

if (absent) it(`known programs: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a program with a known split', () => {
  for (const known of readKnown())
    it(known.name, async () => {
      // The start of an interpreter is not what is judged, and deeper than a copy.
      const sampled = await sample([...made(known, workshop), known.run ? '4' : '1.5'])
      const own = known.run
        ? sampled.stacks.filter(stack => stack.pid === sampled.pid)
        : sampled.stacks.filter(stack => stack.process === known.name)
      const { samples, rooted, frames, named, leaves } = countsOf(own, known)
      expect(samples).toBeGreaterThan(100)
      // One in a hundred, and a program as short as this is a few samples long in its start and its end.
      expect(samples - rooted).toBeLessThanOrEqual(samples / 100 + 10)
      expect(named / frames).toBeGreaterThanOrEqual(0.98)
      if (known.symbols !== undefined || known.unsplit) return
      // Three points, and what chance adds to a share of so many samples.
      const tolerance = 3 + 300 * Math.sqrt(0.25 / samples)
      const { f60 = 0, f30 = 0, f10 = 0 } = shares(leaves)
      const drawn = JSON.stringify(leaves)
      for (const [share, truth] of [
        [f60, 60],
        [f30, 30],
        [f10, 10],
      ] as const)
        expect(Math.abs(share - truth), drawn).toBeLessThan(tolerance)
    })
})
