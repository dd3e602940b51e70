/**
 * CPU seconds by group of call tree -> the window a stack sampler would have drained: whole samples at 19 Hz, each worth
 * 1/19 s, so that counts scatter as real ones do. From there on it is the collector's own road (encodeProfiles).
 */
import { FRAME_KINDS } from '../../ingest/records.ts'
import type { StackWindow } from '../sampler.ts'
import type { SimulatedProcess } from './model.ts'
import type { Random } from './random.ts'
import type { Tree, TreeFrame } from './trees.ts'

export const HZ = 19
/** As the kernel divides. */
const PERIOD_NS = Math.floor(1e9 / HZ)

/** What windows of the same programs share: all names, frames and stacks of their trees. */
interface Tables {
  strings: string[]
  frames: StackWindow['frames']
  stacks: StackWindow['stacks']
  /** Index of the tree's first stack. */
  firstStack: Map<Tree, number>
  /** Thread name of each stack; 0: the process's own name. */
  threads: number[]
  names: ReadonlyMap<string, number>
}

/** Texts by their place; '' is the first. */
class Strings {
  readonly at = new Map<string, number>([['', 0]])
  of(text: string): number {
    const at = this.at.get(text) ?? this.at.size
    this.at.set(text, at)
    return at
  }
}

function makeTables(processes: readonly SimulatedProcess[]): Tables {
  const strings = new Strings()
  const offsets = [0]
  const members: number[] = []
  const threads: number[] = []
  const firstStack = new Map<Tree, number>()
  const frames: TreeFrame[] = []
  for (const tree of new Set(processes.map(p => p.tree))) {
    firstStack.set(tree, threads.length)
    for (const s of tree.stacks) {
      for (const f of s.frames) members.push(frames.length + f)
      offsets.push(members.length)
      threads.push(strings.of(s.thread))
    }
    frames.push(...tree.frames)
  }
  const columns = frameColumns(frames, strings)
  for (const p of processes) strings.of(p.name)
  return {
    strings: [...strings.at.keys()],
    frames: columns,
    stacks: { offsets: Uint32Array.from(offsets), frames: Uint32Array.from(members) },
    firstStack,
    threads,
    names: strings.at,
  }
}

const frameColumns = (frames: readonly TreeFrame[], strings: Strings): StackWindow['frames'] => ({
  function: Uint32Array.from(frames, f => strings.of(f.function)),
  module: Uint32Array.from(frames, f => strings.of(f.module)),
  file: Uint32Array.from(frames, f => strings.of(f.file)),
  line: Uint32Array.from(frames, f => f.line),
  kind: Uint8Array.from(frames, f => FRAME_KINDS.indexOf(f.kind)),
})

/** Whole samples for an expectation: scattered by its root where it is large, drawn where it is small. */
function sampled(expected: number, random: Random): number {
  if (expected < 4) return Math.floor(expected + random.uniform())
  return Math.max(0, Math.round(expected + Math.sqrt(expected) * 0.7 * random.gauss()))
}

/** Takes samples of simulated processes. */
export class Sampling {
  private readonly known = new Map<string, Tables>()

  /** The window of one node; empties the processes' accounts. Undefined where nothing was sampled. */
  drain(
    processes: readonly SimulatedProcess[],
    startMs: number,
    endMs: number,
    random: Random,
  ): StackWindow | undefined {
    const ran = processes.filter(p => p.seconds.some(s => s > 0))
    const tables = this.tablesOf(ran)
    const samples = takeSamples(ran, tables, random)
    if (samples.count.length === 0) return undefined
    return {
      startMs,
      endMs,
      event: 'cpu',
      burst: '',
      strings: tables.strings,
      processes: ran.map(p => ({ pid: p.pid, startMs: p.startMs, name: p.name, cgroup: '' })),
      frames: tables.frames,
      stacks: tables.stacks,
      samples,
      counters: { lost: 0, throttled: 0 },
    }
  }

  private tablesOf(processes: readonly SimulatedProcess[]): Tables {
    const key = [...new Set(processes.map(p => `${p.tree.name}/${p.name}`))].sort().join(' ')
    const tables = this.known.get(key) ?? makeTables(processes)
    this.known.set(key, tables)
    return tables
  }
}

function takeSamples(ran: readonly SimulatedProcess[], tables: Tables, random: Random): StackWindow['samples'] {
  const process: number[] = []
  const thread: number[] = []
  const stack: number[] = []
  const count: number[] = []
  ran.forEach((p, index) => {
    const first = tables.firstStack.get(p.tree) ?? 0
    const own = tables.names.get(p.name) ?? 0
    p.tree.stacks.forEach((s, i) => {
      const samples = sampled(HZ * s.share * (p.seconds[s.group] ?? 0), random)
      if (samples === 0) return
      process.push(index)
      thread.push(tables.threads[first + i] || own)
      stack.push(first + i)
      count.push(samples)
    })
    p.seconds.fill(0)
  })
  return {
    process: Uint32Array.from(process),
    thread: Uint32Array.from(thread),
    stack: Uint32Array.from(stack),
    periodNs: Float64Array.from(count, c => c * PERIOD_NS),
    count: Uint32Array.from(count),
  }
}
