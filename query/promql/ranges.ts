/**
 * Functions of a range of samples. Each gets the samples of (end - range, end], and is not asked where there are none.
 * rate() and its kin extrapolate to the ends of the range as Prometheus does:
 * https://github.com/prometheus/prometheus/blob/main/promql/functions.go (extrapolatedRate)
 */
import type { Samples } from './vector.ts'

export interface Window {
  times: ArrayLike<number>
  values: ArrayLike<number>
  /** Samples [first, last] of the arrays. */
  first: number
  last: number
  rangeMs: number
  endMs: number
}

type Over = (window: Window, parameter: number) => number | undefined

const at = (list: ArrayLike<number>, i: number): number => list[i] ?? Number.NaN

function fold(window: Window, start: number, add: (sum: number, value: number) => number): number {
  let sum = start
  for (let i = window.first; i <= window.last; i++) sum = add(sum, at(window.values, i))
  return sum
}

const countOf = ({ first, last }: Window): number => last - first + 1
const sumOf = (window: Window): number => fold(window, 0, (sum, value) => sum + value)
const meanOf = (window: Window): number => sumOf(window) / countOf(window)
const varianceOf = (window: Window): number => {
  const mean = meanOf(window)
  return fold(window, 0, (sum, value) => sum + (value - mean) ** 2) / countOf(window)
}
const larger = (a: number, b: number): number => (Number.isNaN(a) || b > a ? b : a)
const smaller = (a: number, b: number): number => (Number.isNaN(a) || b < a ? b : a)

function extrapolated(window: Window, counter: boolean, perSecond: boolean): number | undefined {
  const { times, values, first, last, rangeMs, endMs } = window
  if (last <= first) return undefined
  let grown = at(values, last) - at(values, first)
  if (counter) {
    for (let i = first + 1; i <= last; i++) if (at(values, i) < at(values, i - 1)) grown += at(values, i - 1)
  }
  const sampled = (at(times, last) - at(times, first)) / 1000
  const average = sampled / (last - first)
  const threshold = average * 1.1
  let toStart = (at(times, first) - (endMs - rangeMs)) / 1000
  let toEnd = (endMs - at(times, last)) / 1000
  // A counter was not below 0: it reaches back no further than to where it would have been 0.
  if (counter && grown > 0 && at(values, first) >= 0) {
    const toZero = sampled * (at(values, first) / grown)
    if (toZero < toStart) toStart = toZero
  }
  if (toStart >= threshold) toStart = average / 2
  if (toEnd >= threshold) toEnd = average / 2
  const whole = grown * ((sampled + toStart + toEnd) / sampled)
  return perSecond ? whole / (rangeMs / 1000) : whole
}

function lastTwo({ times, values, first, last }: Window, counter: boolean, perSecond: boolean): number | undefined {
  if (last <= first) return undefined
  const [before, after] = [at(values, last - 1), at(values, last)]
  const seconds = (at(times, last) - at(times, last - 1)) / 1000
  if (seconds <= 0) return undefined
  const grown = counter && after < before ? after : after - before
  return perSecond ? grown / seconds : grown
}

/** Least squares; x in seconds from `fromMs`. */
function line(window: Window, fromMs: number): { slope: number; intercept: number } | undefined {
  const n = countOf(window)
  if (n < 2) return undefined
  let [sx, sy, sxy, sxx] = [0, 0, 0, 0]
  for (let i = window.first; i <= window.last; i++) {
    const x = (at(window.times, i) - fromMs) / 1000
    const y = at(window.values, i)
    sx += x
    sy += y
    sxy += x * y
    sxx += x * x
  }
  const slope = (sxy - (sx * sy) / n) / (sxx - (sx * sx) / n)
  return { slope, intercept: sy / n - (slope * sx) / n }
}

export function quantileOf(q: number, values: readonly number[]): number {
  if (values.length === 0 || Number.isNaN(q)) return Number.NaN
  if (q < 0) return Number.NEGATIVE_INFINITY
  if (q > 1) return Number.POSITIVE_INFINITY
  const sorted = [...values].sort((a, b) => (Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : a - b))
  const rank = q * (sorted.length - 1)
  const low = Math.max(0, Math.floor(rank))
  const high = Math.min(sorted.length - 1, low + 1)
  const weight = rank - Math.floor(rank)
  return (sorted[low] ?? 0) * (1 - weight) + (sorted[high] ?? 0) * weight
}

const valuesOf = ({ values, first, last }: Window): number[] => Array.from(values).slice(first, last + 1)

function countPairs({ values, first, last }: Window, counts: (before: number, after: number) => boolean): number {
  let found = 0
  for (let i = first + 1; i <= last; i++) if (counts(at(values, i - 1), at(values, i))) found++
  return found
}

export const RANGE_FUNCTIONS: Readonly<Record<string, Over>> = {
  rate: w => extrapolated(w, true, true),
  increase: w => extrapolated(w, true, false),
  delta: w => extrapolated(w, false, false),
  irate: w => lastTwo(w, true, true),
  idelta: w => lastTwo(w, false, false),
  deriv: w => line(w, at(w.times, w.first))?.slope,
  predict_linear: (w, seconds) => {
    const found = line(w, w.endMs)
    return found && found.slope * seconds + found.intercept
  },
  avg_over_time: meanOf,
  sum_over_time: sumOf,
  min_over_time: w => fold(w, Number.NaN, smaller),
  max_over_time: w => fold(w, Number.NaN, larger),
  count_over_time: countOf,
  last_over_time: w => at(w.values, w.last),
  first_over_time: w => at(w.values, w.first),
  present_over_time: () => 1,
  stddev_over_time: w => Math.sqrt(varianceOf(w)),
  stdvar_over_time: varianceOf,
  quantile_over_time: (w, q) => quantileOf(q, valuesOf(w)),
  changes: w => countPairs(w, (a, b) => a !== b && !(Number.isNaN(a) && Number.isNaN(b))),
  resets: w => countPairs(w, (a, b) => b < a),
}

/** A window a step, for steps that rise: both ends only move forward. */
export function overSteps(
  { times, values }: Pick<Samples, 'times' | 'values'>,
  steps: readonly number[],
  rangeMs: number,
  shiftOf: (step: number) => number,
  read: (window: Window, step: number) => number | undefined,
): (number | undefined)[] {
  let first = 0
  let last = -1
  return steps.map((step, i) => {
    const endMs = shiftOf(step)
    while (last + 1 < times.length && at(times, last + 1) <= endMs) last++
    while (first < times.length && at(times, first) <= endMs - rangeMs) first++
    return first > last ? undefined : read({ times, values, first, last, rangeMs, endMs }, i)
  })
}
