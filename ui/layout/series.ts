/** Values on a time axis -> geometry: scales, ticks, lines with gaps, stacks, bands. Pure; no DOM, no colour. */
import { scaleTime } from 'd3'

export type Values = readonly (number | null)[]

/** One time axis: bucket i ends at from + (i + 1) x bucketMs. */
export interface Axis {
  readonly from: number
  readonly to: number
  /** Pixels from the left edge of the plot to its right edge. */
  readonly width: number
}

export const xOf = (axis: Axis, ms: number): number => ((ms - axis.from) / (axis.to - axis.from)) * axis.width
export const timeOf = (axis: Axis, x: number): number => axis.from + (x / axis.width) * (axis.to - axis.from)

export interface Tick {
  readonly at: number
  readonly x: number
}

/** Round moments, about one every 90 pixels. */
export function timeTicks(axis: Axis): { ticks: Tick[]; stepMs: number } {
  const scale = scaleTime([new Date(axis.from), new Date(axis.to)], [0, axis.width])
  const moments = scale.ticks(Math.max(2, Math.floor(axis.width / 90))).map(Number)
  const [first = 0, second = first] = moments
  return {
    ticks: moments.map(at => ({ at, x: xOf(axis, at) })),
    stepMs: moments.length > 1 ? second - first : axis.to - axis.from,
  }
}

/** The samples of a series: value i covers (start + i x bucketMs, start + (i + 1) x bucketMs]. */
export interface Sampled {
  readonly from: number
  readonly bucketMs: number
  readonly values: Values
}

/** The bucket that holds a moment, or -1. */
export function bucketAt(from: number, bucketMs: number, count: number, ms: number): number {
  const i = Math.ceil((ms - from) / bucketMs) - 1
  return ms === from && count > 0 ? 0 : i >= 0 && i < count ? i : -1
}

export function valueAt(s: Sampled, ms: number): number | null {
  return s.values[bucketAt(s.from, s.bucketMs, s.values.length, ms)] ?? null
}

export function highest(all: readonly Values[]): number {
  let max = 0
  for (const values of all) for (const v of values) if (v !== null && v > max) max = v
  return max
}

/**
 * Where the vertical scale ends. What full means is the end, unless the values clearly pass it (rounding alone may reach
 * 101 %); else the next round number above the highest value.
 */
export function niceMax(max: number, full: number | null, unit = ''): number {
  if (full !== null && full > 0 && max <= full * 1.1) return full
  if (max <= 0) return 1
  // Bytes are told in powers of 1024, so they are round there.
  const base = unit === 'bytes' ? 1024 ** Math.floor(Math.log(max) / Math.log(1024)) : 1
  const power = base * 10 ** Math.floor(Math.log10(max / base))
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find(s => s * power >= max * 0.999) ?? 10
  return step * power
}

/** Points x, y, x, y, … of one unbroken run. */
export type Run = Float32Array

/**
 * A line as its unbroken runs: a null ends a run, it is never drawn through. A point sits in the middle of its bucket; a run
 * of one is a level as wide as the bucket, so that it can be seen.
 *
 *     values  1 2 _ 3      runs  [1 2]  [3 3]
 */
export function layoutLine(s: Sampled, axis: Axis, y: (value: number) => number): Run[] {
  const runs: Run[] = []
  const { values, bucketMs } = s
  let i = 0
  while (i < values.length) {
    if (values[i] === null) {
      i++
      continue
    }
    const start = i
    while (i < values.length && values[i] !== null) i++
    runs.push(i - start === 1 ? level(s, axis, y, start) : slope(s, axis, y, start, i))
  }
  return runs

  function slope(all: Sampled, a: Axis, scale: typeof y, start: number, end: number): Run {
    const run = new Float32Array((end - start) * 2)
    for (let k = start; k < end; k++) {
      run[(k - start) * 2] = xOf(a, all.from + (k + 0.5) * bucketMs)
      run[(k - start) * 2 + 1] = scale(values[k] ?? 0)
    }
    return run
  }
  function level(all: Sampled, a: Axis, scale: typeof y, at: number): Run {
    const h = scale(values[at] ?? 0)
    return Float32Array.of(xOf(a, all.from + at * bucketMs), h, xOf(a, all.from + (at + 1) * bucketMs), h)
  }
}

/**
 * Layers on top of each other: the upper edge of each. Where every layer is missing the edge is missing; a single missing
 * one counts as nothing in the sum.
 */
export function stack(layers: readonly Values[]): (number | null)[][] {
  const count = Math.max(0, ...layers.map(l => l.length))
  const edges = layers.map((): (number | null)[] => new Array<number | null>(count).fill(null))
  for (let i = 0; i < count; i++) {
    if (layers.every(l => (l[i] ?? null) === null)) continue
    let sum = 0
    layers.forEach((layer, k) => {
      sum += layer[i] ?? 0
      const edge = edges[k]
      if (edge) edge[i] = sum
    })
  }
  return edges
}

/** Runs of buckets in which nothing at all is known, as [from, to) in ms: what is hatched. */
export function absent(from: number, bucketMs: number, all: readonly Values[]): { from: number; to: number }[] {
  const count = Math.max(0, ...all.map(v => v.length))
  const gaps: { from: number; to: number }[] = []
  let start = -1
  for (let i = 0; i <= count; i++) {
    const missing = i < count && all.every(v => (v[i] ?? null) === null)
    if (missing && start < 0) start = i
    if (!missing && start >= 0) {
      gaps.push({ from: from + start * bucketMs, to: from + i * bucketMs })
      start = -1
    }
  }
  return gaps
}

/**
 * More values than pixels: the lowest and the highest of each pixel column, so that no peak is lost.
 * The server buckets to the width of the screen, so this is for what live points add and for small sparklines.
 */
export function columns(values: Values, count: number): { min: (number | null)[]; max: (number | null)[] } {
  const min = new Array<number | null>(count).fill(null)
  const max = new Array<number | null>(count).fill(null)
  values.forEach((v, i) => {
    if (v === null) return
    const c = Math.min(count - 1, Math.floor((i / values.length) * count))
    const low = min[c] ?? null
    const high = max[c] ?? null
    min[c] = low === null ? v : Math.min(low, v)
    max[c] = high === null ? v : Math.max(high, v)
  })
  return { min, max }
}

/** Start of the first bucket that anything is known of; undefined where that is the first one, or none. */
export function firstKnown(from: number, bucketMs: number, all: readonly Values[]): number | undefined {
  let first = Number.POSITIVE_INFINITY
  for (const values of all) {
    const i = values.findIndex(v => v !== null)
    if (i >= 0 && i < first) first = i
  }
  return first > 0 && Number.isFinite(first) ? from + first * bucketMs : undefined
}

/** Mean of what lies in a window; null where nothing does. */
export function meanIn(s: Sampled, from: number, to: number): number | null {
  let sum = 0
  let n = 0
  s.values.forEach((v, i) => {
    const middle = s.from + (i + 0.5) * s.bucketMs
    if (v === null || middle < from || middle > to) return
    sum += v
    n++
  })
  return n === 0 ? null : sum / n
}
