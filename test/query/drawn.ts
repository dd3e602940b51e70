/**
 * Stacks drawn as columns, root on top, one letter a frame; the last line is the nanoseconds.
 *
 *   a a a      . = no frame (the stack is shorter), ~ = cut off there ([truncated]), + = a frame without a name
 *   b b d      a stack whose leaf is i is idle, m waits in MPI
 *   c . .
 *   5 3 1
 *
 * As a Profile for the pure code, as rows of stacks, frames and samples for the store.
 */
import { CATEGORIES, type Category, FRAME_KINDS, type FrameKind } from '../../ingest/records.ts'
import type { Profile } from '../../query/stacks.ts'
import { OTHER, ROOT, type Tree } from '../../query/tree.ts'

const nameOf = (letter: string) => (letter === '~' ? '[truncated]' : letter === '+' ? 'app+0x1f' : letter)
const kindOf = (letter: string): FrameKind => (letter === '~' ? 'truncated' : letter === 'k' ? 'kernel' : 'native')
const categoryOf = (leaf: string): Category => (leaf === 'i' ? 'idle' : leaf === 'm' ? 'mpi' : 'compute')

interface DrawnStack {
  /** Letters, leaf first. */
  letters: string[]
  ns: number
}

function drawStacks(text: string): DrawnStack[] {
  const rows = text
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(row => row[0] !== '')
  const values = (rows.pop() ?? []).map(Number)
  return values.map((ns, s) => ({
    letters: rows
      .map(row => row[s] ?? '.')
      .filter(letter => letter !== '.')
      .reverse(),
    ns,
  }))
}

export function drawProfile(text: string): Profile {
  const stacks = drawStacks(text)
  const letters = [...new Set(stacks.flatMap(stack => stack.letters))].sort()
  const offsets = [0]
  for (const stack of stacks) offsets.push((offsets.at(-1) ?? 0) + stack.letters.length)
  return {
    names: ['', ...letters.map(nameOf)],
    modules: ['', ...letters.map(() => 'app')],
    kinds: Uint8Array.from(['.', ...letters], letter => FRAME_KINDS.indexOf(kindOf(letter))),
    offsets: Uint32Array.from(offsets),
    frames: Uint32Array.from(stacks.flatMap(stack => stack.letters.map(letter => letters.indexOf(letter) + 1))),
    categories: Uint8Array.from(stacks, stack => CATEGORIES.indexOf(categoryOf(stack.letters[0] ?? ''))),
    ns: Float64Array.from(stacks, stack => stack.ns),
    counts: Float64Array.from(stacks, () => 1),
  }
}

/** A tree as indented text: `name total(self)`; what the tests compare. */
export function drawTree(profile: Profile, tree: Tree): string[] {
  return indent(tree.parent, i => {
    const f = tree.function[i] ?? 0
    const name = f === ROOT ? 'all' : f === OTHER ? '(other)' : profile.names[f]
    return `${name} ${tree.total[i]}(${tree.self[i]})`
  })
}

export function indent(parents: readonly number[], text: (i: number) => string): string[] {
  const depth: number[] = []
  return parents.map((parent, i) => {
    depth[i] = parent < 0 ? 0 : (depth[parent] ?? 0) + 1
    return `${'  '.repeat(depth[i] ?? 0)}${text(i)}`
  })
}

/** Ids beyond 2^53, as real ones are: as text, since JSON's numbers would lose their end. */
const idOf = (text: string): string => {
  let h = 0xcbf29ce484222325n
  for (const c of text) h = ((h ^ BigInt(c.codePointAt(0) ?? 0)) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn
  return String(h | (1n << 63n))
}
const functionId = (letter: string) => idOf(`function ${letter}`)

const seen = '2026-01-05'

/** Who runs the stacks of a drawing, and when their window ends. */
export interface Runner {
  cluster?: string
  job?: string
  node?: string
  pid?: number
  start_ms?: number
  timeMs: number
  process?: string
  burst?: string
  rank?: number
}

export type SampleRows = Record<'frames' | 'stacks' | 'samples', object[]>

/** Each frame has two lines, taken in turn: to a flame graph they are one function. */
export function drawSamples(text: string, runner: Runner): SampleRows {
  const rows: SampleRows = { frames: [], stacks: [], samples: [] }
  const { timeMs, ...who } = {
    cluster: 'alpha',
    job: '',
    node: 'node1',
    pid: 1000,
    start_ms: 5000,
    process: 'app',
    burst: '',
    ...runner,
  }
  const time = timeMs / 1000
  drawStacks(text).forEach(({ letters, ns }, s) => {
    const frames = letters.map((letter, i) => ({ letter, line: 10 + ((s + i) % 2) }))
    for (const { letter, line } of frames) {
      rows.frames.push({
        frame_id: idOf(`frame ${letter} ${line}`),
        function_id: functionId(letter),
        function: nameOf(letter),
        module: 'app',
        file: 'app.c',
        line,
        kind: kindOf(letter),
        seen,
      })
    }
    const stack = idOf(`stack ${frames.map(f => f.letter + f.line).join(' ')}`)
    rows.stacks.push({
      stack_id: stack,
      category: categoryOf(letters[0] ?? ''),
      frames: frames.map(f => idOf(`frame ${f.letter} ${f.line}`)),
      seen,
    })
    rows.samples.push({
      ...who,
      event: 'cpu',
      time,
      window_ms: 10_000,
      thread: 't',
      evidence: 'cgroup',
      stack_id: stack,
      value: ns,
      count: 1,
    })
  })
  return rows
}
