/**
 * Ticks on the wall clock's multiples of the interval, so that the readings of all nodes lie on one grid.
 *
 *   grid     |10       |20       |30       |40       |50
 *   ticks    |x        |x        |  late-----x (40)  |x        20 ms late is on time; 30 was missed: counted, not made up for
 *
 * Each timer is set anew to what is left to the next multiple, so lateness never adds up, and a clock that is stepped is followed.
 */
import type { Tick } from './source.ts'

export interface Ticks {
  /** Multiples that passed without a tick. */
  readonly skipped: number
  /** Resolves when the tick that runs has ended. */
  stop(): Promise<void>
}

/** A timer may fire this much early; then it is still the multiple it was set for. */
const EARLY_MS = 20

/** `onTick` must not throw. The first tick comes at the first multiple that is at least `leadMs` away. */
export function startTicks(
  options: { intervalMs: number; leadMs: number; now: () => number },
  onTick: (timeMs: number) => Promise<void>,
): Ticks {
  const { intervalMs, leadMs, now } = options
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let stopped = false
  let skipped = 0

  const gridAfter = (ms: number) => (Math.floor(ms / intervalMs) + 1) * intervalMs
  const arm = (target: number) => {
    timer = setTimeout(() => fire(target), Math.max(0, target - now()))
  }
  const fire = (target: number) => {
    const nowMs = now()
    if (nowMs < target - EARLY_MS) return arm(Math.min(target, gridAfter(nowMs)))
    const timeMs = Math.max(target, Math.floor(nowMs / intervalMs) * intervalMs)
    skipped += (timeMs - target) / intervalMs
    running = onTick(timeMs).then(() => {
      if (!stopped) armAfter(timeMs)
    })
  }
  const armAfter = (timeMs: number) => {
    // a tick that took longer than the interval has eaten multiples too
    const next = gridAfter(Math.max(timeMs, now()))
    const isStepBack = now() < timeMs - EARLY_MS
    if (!isStepBack) skipped += (next - timeMs) / intervalMs - 1
    arm(isStepBack ? gridAfter(now()) : next)
  }
  arm(gridAfter(now() + leadMs))
  return {
    get skipped() {
      return skipped
    },
    stop() {
      stopped = true
      clearTimeout(timer)
      return running
    },
  }
}

/**
 * Start of the interval that a tick speaks for: the tick before it, on the grid. Where the clock was stepped in between, or
 * the one before was the look at the start, it is as far back as the monotonic clock says, so that rate x seconds is right.
 */
export function spanStart(before: Tick | undefined, tick: Tick): number {
  const elapsedMs = tick.monotonicMs - (before?.monotonicMs ?? tick.monotonicMs - tick.intervalMs)
  const onGrid = before !== undefined && Math.abs(tick.timeMs - before.timeMs - elapsedMs) < tick.intervalMs / 2
  const startMs = onGrid ? before.timeMs : tick.timeMs - Math.round(elapsedMs)
  return Math.min(startMs, tick.timeMs - 1)
}
