/**
 * Windows and grids of time. A window (from, to] holds the rows whose end lies in it, as a row's time is the end of what it
 * covers. A grid cuts it into buckets of a round length; bucket i is (from + i x bucket, from + (i + 1) x bucket].
 *
 *   asked        from ----------------------------- to          buckets: 3
 *   answered  |..........|..........|..........|..........|     whole multiples of bucketMs since 1970
 *
 * Aligned to the epoch, a bucket keeps its edges while a window follows the clock, so nothing flickers.
 */
import { badRequest } from './errors.ts'

export interface Window {
  /** ms, whole seconds. */
  from: number
  to: number
}

export interface Grid extends Window {
  bucketMs: number
  count: number
  /** '' for the table of ticks, else the rollup that is fine enough. */
  rollup: '' | '5m' | '1h'
}

const SECOND = 1000
const MINUTE = 60 * SECOND
/** What the store adds up for the first time. */
export const FIVE = 5 * MINUTE
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const MIN_WINDOW = 1 * SECOND
const MAX_WINDOW = 400 * DAY
/** How long ticks are certainly kept; a window that starts before is asked of the rollups. */
const TICKS_KEPT = 29 * DAY

const ROUND = [1, 2, 5, 10, 15, 20, 30]
  .map(s => s * SECOND)
  .concat(
    [1, 2, 5, 10, 15, 20, 30].map(m => m * MINUTE),
    [1, 2, 3, 4, 6, 12, 24, 48, 96, 192].map(h => h * HOUR),
  )

/** A moment as a multiple of a step, at or before it; at or after it. */
export const down = (ms: number, step: number): number => Math.floor(ms / step) * step
export const up = (ms: number, step: number): number => Math.ceil(ms / step) * step

export function checkWindow(from: number, to: number): Window {
  if (to <= from) throw badRequest(`to (${to}) must be later than from (${from}); both are ms since the epoch`)
  if (to - from > MAX_WINDOW) {
    throw badRequest(`the window is ${Math.ceil((to - from) / DAY)} days long: choose at most ${MAX_WINDOW / DAY} days`)
  }
  const start = Math.floor(from / SECOND) * SECOND
  return { from: start, to: Math.max(Math.ceil(to / SECOND) * SECOND, start + MIN_WINDOW) }
}

export interface GridOptions {
  /** As many as the screen has room for. */
  buckets: number
  /** Nothing is known finer than this. */
  intervalMs: number
  /** Rows of ticks that a tick of the whole scope adds: its nodes times their instances. */
  rowsPerTick: number
  nowMs: number
}

/** Rows that a question may read. 1000 nodes at 10 s make 8.6 M a day, 0.3 M in the rollup of five minutes. */
const MAX_ROWS = 4_000_000

export function layGrid(window: Window, options: GridOptions): Grid {
  const span = window.to - window.from
  const wanted = Math.max(span / options.buckets, Math.min(options.intervalMs, span))
  let bucketMs = roundUp(wanted)
  const rows = (everyMs: number) => (span / everyMs) * options.rowsPerTick
  const old = window.from < options.nowMs - TICKS_KEPT
  if (bucketMs < FIVE && (old || rows(options.intervalMs) > MAX_ROWS)) bucketMs = FIVE
  if (bucketMs < HOUR && rows(Math.max(FIVE, options.intervalMs)) > MAX_ROWS) bucketMs = HOUR
  const from = Math.floor(window.from / bucketMs) * bucketMs
  const count = Math.ceil((window.to - from) / bucketMs)
  const rollup = bucketMs >= HOUR ? '1h' : bucketMs >= FIVE ? '5m' : ''
  return { from, to: from + count * bucketMs, bucketMs, count, rollup }
}

const roundUp = (ms: number): number => ROUND.find(round => round >= ms) ?? Math.ceil(ms / DAY) * DAY
