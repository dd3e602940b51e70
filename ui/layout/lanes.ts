/** Jobs over time -> lanes: each job one bar, no two bars of a lane touch, the fewest lanes. */

export interface Interval {
  readonly from: number
  readonly to: number
}

export interface Lanes {
  /** lane[i] is the lane of interval i. */
  readonly lane: Int32Array
  readonly count: number
}

/**
 * First fit in order of start: the first lane that is free takes the bar. For intervals that is the fewest lanes possible
 * (their number is the most jobs at one moment).
 *
 *     AAAA  CCC
 *       BBBB
 */
export function layoutLanes(intervals: readonly Interval[], gapMs = 0): Lanes {
  const order = intervals.map((_, i) => i)
  const at = (i: number): Interval => intervals[i] ?? { from: 0, to: 0 }
  order.sort((a, b) => at(a).from - at(b).from || at(b).to - at(a).to || a - b)
  const lane = new Int32Array(intervals.length)
  const freeFrom: number[] = []
  for (const i of order) {
    const { from, to } = at(i)
    let l = freeFrom.findIndex(free => free <= from)
    if (l < 0) {
      l = freeFrom.length
      freeFrom.push(0)
    }
    freeFrom[l] = Math.max(to, from) + gapMs
    lane[i] = l
  }
  return { lane, count: freeFrom.length }
}

/** The interval of a lane at a moment, or -1. */
export function laneHit(intervals: readonly Interval[], lanes: Lanes, row: number, ms: number): number {
  return intervals.findIndex((interval, i) => lanes.lane[i] === row && interval.from <= ms && ms <= interval.to)
}
