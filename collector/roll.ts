/**
 * Rolls samples that come in about their order of time into windows on the wall clock's grid:
 *
 *   start 12:00:03.2   ├──3 s──┼────┼──────10 s──────┼──────10 s──────┼─ …       the first one is short, so that a page that was
 *                    03.2    06.2  10               20               30          opened with the collector shows something soon
 *
 * A window is closed by the first sample beyond its end, or by the clock where none comes. A sample that is late goes into
 * the window that is open: its time is off by a window then, but it is not lost.
 */
import type { StackWindow } from './sampler.ts'
import { type Sample, WindowBuilder, type WindowLimits } from './window.ts'

/** How long the clock waits for samples that are still in the pipe. */
const LATE_MS = 4000
const FIRST_MS = 3000
/** Windows that nobody drains; beyond it the oldest is dropped and its samples are counted as lost. */
const KEPT = 16

export class WindowRoll {
  private readonly windowMs: number
  private readonly limits: Partial<WindowLimits>
  private readonly ownCpuNs: () => number
  private ownCpuBefore = 0
  private readonly closed: StackWindow[] = []
  private builder: WindowBuilder
  private startMs: number
  private endMs: number

  /** `ownCpuNs`: what the sampler itself has used so far. */
  constructor(options: {
    startMs: number
    windowMs: number
    limits?: Partial<WindowLimits>
    ownCpuNs?: () => number
  }) {
    this.ownCpuNs = options.ownCpuNs ?? (() => 0)
    this.windowMs = options.windowMs
    this.limits = options.limits ?? {}
    this.builder = new WindowBuilder(this.limits)
    this.startMs = options.startMs
    this.endMs = options.startMs + Math.min(FIRST_MS, options.windowMs)
  }

  add(timeMs: number, sample: Sample): void {
    if (timeMs >= this.endMs) this.roll(timeMs)
    this.builder.add(sample)
  }

  lose(lost: number, throttled: number): void {
    this.builder.lose(lost, throttled)
  }

  /** Windows that have ended. */
  drain(nowMs: number): StackWindow[] {
    if (nowMs >= this.endMs + LATE_MS) this.roll(nowMs - LATE_MS)
    return this.closed.splice(0)
  }

  /** Ends the open window, however short. */
  end(nowMs: number): void {
    this.close(Math.max(this.startMs + 1, Math.min(nowMs, this.endMs)))
  }

  /** Opens the window of the grid that `timeMs` lies in. */
  private roll(timeMs: number): void {
    this.close(this.endMs)
    const grid = Math.floor(timeMs / this.windowMs) * this.windowMs
    this.startMs = Math.max(this.endMs, grid)
    this.endMs = grid + this.windowMs
  }

  private close(endMs: number): void {
    const { startMs, builder } = this
    while (this.closed.length >= KEPT) {
      const { counters } = this.closed.shift() ?? {}
      builder.lose((counters?.samples ?? 0) + (counters?.lost ?? 0), counters?.throttled)
    }
    const ownCpu = this.ownCpuNs()
    const ownCpuNs = Math.max(0, ownCpu - this.ownCpuBefore)
    this.ownCpuBefore = ownCpu
    if (!builder.empty) this.closed.push(builder.build({ startMs, endMs, ownCpuNs }))
    this.builder = new WindowBuilder(this.limits)
  }
}
