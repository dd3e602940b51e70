/**
 * Folded stacks, root first, one a line, as stackcollapse-*.pl, py-spy, async-profiler and inferno write them:
 *
 *   python3;main (app.py:12);fib (app.py:5) 17           function (file:line): py-spy
 *   app;main;step;[libm.so.6];exp_[k] 3                  _[k] kernel, _[j] JIT, _[i] inlined: the annotations of FlameGraph
 *
 * A count stands for 1/hz seconds. What counts mean, no line says. https://github.com/brendangregg/FlameGraph
 */
import type { Frame, FrameKind } from '../../ingest/records.ts'
import { type ProfilePart, type ProfileSource, pseudoPid, type ReadProfile } from './format.ts'
import { readLines } from './lines.ts'

const LINE = /^(.*\S)\s+(\d+(?:\.\d+)?)\s*$/
const PLACE = /^(.*) \(([^()]+):(\d+)\)$/
const ANNOTATION = /_\[([kjiw])\]$/
const KINDS: Record<string, FrameKind> = { k: 'kernel', j: 'jit' }

export const readFolded: ReadProfile = async function* (chunks, source) {
  const reader = new FoldedReader(source)
  for await (const lines of readLines(chunks)) yield lines.flatMap(line => reader.parse(line) ?? [])
  const { total, unknownLines } = reader
  return { format: 'folded', ...span(source, total / source.hz), lost: 0, otherEvents: 0, unknownLines }
}

class FoldedReader {
  total = 0
  unknownLines = 0
  private readonly frames = new Map<string, Frame>()
  private readonly source: ProfileSource
  private readonly process: string
  private readonly pid: number

  constructor(source: ProfileSource) {
    this.source = source
    this.process = source.name.replace(/\.(folded|txt|stacks|collapsed)$/, '')
    this.pid = pseudoPid(source.name)
  }

  parse(line: string): ProfilePart | undefined {
    const match = LINE.exec(line)
    if (!match) {
      if (line.trim() !== '' && !line.startsWith('#')) this.unknownLines++
      return undefined
    }
    const count = Number(match[2])
    this.total += count
    const { pid, process } = this
    const frames = (match[1] ?? '').split(';').map(name => this.frame(name))
    const weight = { periodNs: (count * 1e9) / this.source.hz, count: Math.max(1, Math.round(count)) }
    const sample = { pid, startMs: 0, process, cgroup: '', thread: '', frames: frames.reverse(), ...weight }
    return { event: 'cpu', sample, timeMs: undefined }
  }

  private frame(name: string): Frame {
    const known = this.frames.get(name) ?? parseFrame(name)
    this.frames.set(name, known)
    return known
  }
}

/** Without times of its own, a profile lies right before its end, as long as the CPU time it holds. */
export function span(source: ProfileSource, seconds: number): { startMs: number; endMs: number } {
  const durationMs = Math.max(1, Math.round(seconds * 1000))
  const startMs = source.startMs ?? Math.round(source.endMs) - durationMs
  return { startMs, endMs: startMs + durationMs }
}

function parseFrame(text: string): Frame {
  const annotation = ANNOTATION.exec(text)?.[1]
  const name = annotation ? text.slice(0, -4) : text
  const place = PLACE.exec(name)
  const kind = KINDS[annotation ?? ''] ?? 'native'
  if (!place) return { function: name, module: kind === 'kernel' ? '[kernel.kallsyms]' : '', file: '', line: 0, kind }
  const [, fn = '', file = '', line = ''] = place
  const python = file.endsWith('.py') || fn.startsWith('<')
  return {
    function: fn,
    module: file.slice(file.lastIndexOf('/') + 1),
    file,
    line: Number(line),
    kind: python ? 'python' : kind,
  }
}
