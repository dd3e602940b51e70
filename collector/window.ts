/**
 * Folds samples into a StackWindow: equal (process, thread, stack) become one entry with summed period and count. Names,
 * frames and stacks are kept once each:
 *
 *   add  app  step<main      2 ms         samples  process [0, 0]   stacks  offsets [0, 2, 3]   frames  function [1, 2]
 *   add  app  step<main      2 ms    =>            stack   [0, 1]           frames  [0,1, 1]
 *   add  app  main           1 ms                  period  [4, 1]
 *                                                  count   [2, 1]
 *
 * Memory is bounded by the number of distinct stacks; samples of further ones are counted as lost, none vanishes unseen.
 */
import { FRAME_KINDS, type Frame } from '../ingest/records.ts'
import type { SampledProcess, StackWindow } from './sampler.ts'

/** One sample, or several that are equal. */
export interface Sample {
  pid: number
  /** Start of the process in ms since the epoch; 0 when nobody could look. */
  startMs: number
  /** comm of the process. */
  process: string
  /** cgroup v2 path, or ''. */
  cgroup: string
  thread: string
  /** Leaf first. */
  frames: readonly Frame[]
  periodNs: number
  count: number
}

export interface WindowLimits {
  /** Distinct stacks a window. */
  stacks: number
  /** Distinct (process, thread, stack) a window. */
  samples: number
  /** Frames a stack; what is beyond, at the root's end, becomes one truncated frame. */
  depth: number
}

const LIMITS: WindowLimits = { stacks: 50_000, samples: 200_000, depth: 1024 }

/** The root of a stack that was cut before it reached one. */
export const TRUNCATED: Frame = { function: '[truncated]', module: '', file: '', line: 0, kind: 'truncated' }

const CUT = FRAME_KINDS.indexOf('truncated')
/** `libx.so+0x1f3`, `[unknown]`, `[kernel]`: what stands where nobody knew a name. */
const NAMELESS = /\+0x[0-9a-f]+$|^\[.*\]$|^$/

export class WindowBuilder {
  private readonly limits: WindowLimits
  private readonly strings = new Index()
  private readonly frames = new Index()
  private readonly stacks = new Index()
  private readonly processes = new Index()
  private readonly samples = new Index()
  /** Parsers hand out the same object for the same frame, so most frames are found by identity. */
  private readonly seen = new WeakMap<Frame, number>()
  private readonly frameColumns = {
    function: column(),
    module: column(),
    file: column(),
    line: column(),
    kind: column(),
  }
  private readonly offsets = [0]
  private readonly stackFrames = column()
  private readonly processList: SampledProcess[] = []
  private readonly sampleColumns = {
    process: column(),
    thread: column(),
    stack: column(),
    periodNs: column(),
    count: column(),
  }
  private readonly named: boolean[] = []
  private lost = 0
  private throttled = 0

  constructor(limits: Partial<WindowLimits> = {}) {
    this.limits = { ...LIMITS, ...limits }
    this.strings.of('')
  }

  get empty(): boolean {
    return this.samples.size === 0 && this.lost === 0 && this.throttled === 0
  }

  add(sample: Sample): void {
    const stack = this.samples.size < this.limits.samples ? this.stackOf(sample.frames) : -1
    if (stack < 0) {
      this.lost += sample.count
      return
    }
    const process = this.processOf(sample)
    const thread = this.strings.of(sample.thread)
    const known = this.samples.size
    const at = this.samples.of(`${process} ${thread} ${stack}`)
    const { process: processes, thread: threads, stack: stacks, periodNs, count } = this.sampleColumns
    if (at === known) {
      processes.push(process)
      threads.push(thread)
      stacks.push(stack)
      periodNs.push(0)
      count.push(0)
    }
    periodNs[at] = (periodNs[at] ?? 0) + sample.periodNs
    count[at] = (count[at] ?? 0) + sample.count
  }

  /** Counts what never became a sample. */
  lose(lost: number, throttled = 0): void {
    this.lost += lost
    this.throttled += throttled
  }

  build(time: { startMs: number; endMs: number; event?: string; burst?: string; ownCpuNs?: number }): StackWindow {
    const { function: names, module, file, line, kind } = this.frameColumns
    const { process, thread, stack, periodNs, count } = this.sampleColumns
    return {
      startMs: time.startMs,
      endMs: time.endMs,
      event: time.event ?? 'cpu',
      burst: time.burst ?? '',
      strings: this.strings.keys(),
      processes: this.processList,
      frames: {
        function: Uint32Array.from(names),
        module: Uint32Array.from(module),
        file: Uint32Array.from(file),
        line: Uint32Array.from(line),
        kind: Uint8Array.from(kind),
      },
      stacks: { offsets: Uint32Array.from(this.offsets), frames: Uint32Array.from(this.stackFrames) },
      samples: {
        process: Uint32Array.from(process),
        thread: Uint32Array.from(thread),
        stack: Uint32Array.from(stack),
        periodNs: Float64Array.from(periodNs),
        count: Uint32Array.from(count),
      },
      counters: {
        lost: this.lost,
        throttled: this.throttled,
        ...this.quality(),
        ...(time.ownCpuNs === undefined ? {} : { ownCpuNs: time.ownCpuNs }),
      },
    }
  }

  /** How much of the truth the window covers, counted by samples. */
  private quality(): { samples: number; unfinished: number; frames: number; namedFrames: number } {
    const sums = { samples: 0, unfinished: 0, frames: 0, namedFrames: 0 }
    const { stack, count } = this.sampleColumns
    for (const [at, samples] of count.entries()) {
      const from = this.offsets[stack[at] ?? 0] ?? 0
      const to = this.offsets[(stack[at] ?? 0) + 1] ?? 0
      const cut = this.frameColumns.kind[this.stackFrames[to - 1] ?? 0] === CUT
      const frames = this.stackFrames.slice(from, cut ? to - 1 : to)
      sums.samples += samples
      sums.unfinished += cut ? samples : 0
      sums.frames += samples * frames.length
      sums.namedFrames += samples * frames.filter(frame => this.named[frame]).length
    }
    return sums
  }

  private processOf(sample: Sample): number {
    const known = this.processes.size
    const at = this.processes.of(`${sample.pid} ${sample.startMs}`)
    const process = this.processList[at]
    if (at === known || !process)
      this.processList.push({
        pid: sample.pid,
        startMs: sample.startMs,
        name: sample.process,
        cgroup: sample.cgroup,
      })
    else {
      process.name = sample.process
      process.cgroup ||= sample.cgroup
    }
    return at
  }

  /** Index of the stack, or -1 where it is new and there is no room for it. */
  private stackOf(frames: readonly Frame[]): number {
    const { depth, stacks } = this.limits
    const full = this.stacks.size >= stacks
    const kept = frames.length > depth ? [...frames.slice(0, depth - 1), TRUNCATED] : frames
    const indices: number[] = []
    for (const frame of kept) {
      const at = full ? this.knownFrame(frame) : this.frameOf(frame)
      if (at === undefined) return -1
      indices.push(at)
    }
    const key = indices.join(' ')
    if (full) return this.stacks.find(key) ?? -1
    const known = this.stacks.size
    const at = this.stacks.of(key)
    if (at === known) {
      for (const index of indices) this.stackFrames.push(index)
      this.offsets.push(this.stackFrames.length)
    }
    return at
  }

  private knownFrame(frame: Frame): number | undefined {
    const seen = this.seen.get(frame)
    if (seen !== undefined) return seen
    const [name, module, file] = [frame.function, frame.module, frame.file].map(s => this.strings.find(s))
    if (name === undefined || module === undefined || file === undefined) return undefined
    return this.frames.find(`${name} ${module} ${file} ${frame.line} ${frame.kind}`)
  }

  private frameOf(frame: Frame): number {
    const seen = this.seen.get(frame)
    if (seen !== undefined) return seen
    const [name, module, file] = [frame.function, frame.module, frame.file].map(s => this.strings.of(s))
    const known = this.frames.size
    const at = this.frames.of(`${name} ${module} ${file} ${frame.line} ${frame.kind}`)
    this.seen.set(frame, at)
    if (at === known) {
      const columns = this.frameColumns
      columns.function.push(name ?? 0)
      columns.module.push(module ?? 0)
      columns.file.push(file ?? 0)
      columns.line.push(frame.line)
      columns.kind.push(Math.max(0, FRAME_KINDS.indexOf(frame.kind)))
      this.named.push(!NAMELESS.test(frame.function))
    }
    return at
  }
}

const column = (): number[] => []

/** Distinct keys in the order of their first sight. */
class Index {
  private readonly at = new Map<string, number>()

  get size(): number {
    return this.at.size
  }

  find(key: string): number | undefined {
    return this.at.get(key)
  }

  of(key: string): number {
    const known = this.at.get(key)
    if (known !== undefined) return known
    this.at.set(key, this.at.size)
    return this.at.size - 1
  }

  keys(): string[] {
    return [...this.at.keys()]
  }
}
