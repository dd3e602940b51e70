import { describe, expect, it } from 'vitest'
import { labelStep, layoutCells, layoutGrid, layoutRows, quantile, rowAt } from '../../ui/layout/heatmap.ts'
import { type Interval, laneHit, layoutLanes } from '../../ui/layout/lanes.ts'
import {
  absent,
  bucketAt,
  columns,
  firstKnown,
  layoutLine,
  meanIn,
  niceMax,
  stack,
  timeTicks,
  valueAt,
} from '../../ui/layout/series.ts'

const _ = null
const axis = { from: 0, to: 60, width: 600 }
const sampled = (values: (number | null)[]) => ({ from: 0, bucketMs: 10, values })

describe('lines', () => {
  it('a gap ends a run; it is never drawn through', () => {
    const runs = layoutLine(sampled([1, 2, _, _, 5, 6]), axis, v => 100 - v)
    expect(runs.map(r => [...r])).toEqual([
      [50, 99, 150, 98],
      [450, 95, 550, 94],
    ])
  })

  it('a lone value is a level as wide as its bucket', () => {
    expect(layoutLine(sampled([_, 3, _]), axis, v => v).map(r => [...r])).toEqual([[100, 3, 200, 3]])
  })

  it('nothing is nothing', () => {
    expect(layoutLine(sampled([_, _]), axis, v => v)).toEqual([])
  })
})

describe('buckets end at from + (i + 1) x bucketMs', () => {
  it('a moment belongs to the bucket that ends at or after it', () => {
    expect([0, 1, 10, 11, 59.9, 60, 61, -1].map(ms => bucketAt(0, 10, 6, ms))).toEqual([0, 0, 0, 1, 5, 5, -1, -1])
    expect(valueAt(sampled([1, _, 3]), 25)).toBe(3)
    expect(valueAt(sampled([1, _, 3]), 15)).toBeNull()
  })

  it('mean of a brush', () => {
    expect(meanIn(sampled([1, 3, _, 100]), 0, 30)).toBe(2)
    expect(meanIn(sampled([_, _]), 0, 30)).toBeNull()
  })
})

describe('stack', () => {
  it('sums upwards; only where all is missing the edge is missing', () => {
    expect(
      stack([
        [1, 1, _, _],
        [2, _, 2, _],
      ]),
    ).toEqual([
      [1, 1, 0, _],
      [3, 1, 2, _],
    ])
  })
  it('knows when measuring began', () => {
    expect(
      firstKnown(100, 10, [
        [_, _, 1],
        [_, 2, _],
      ]),
    ).toBe(110)
    expect(
      firstKnown(100, 10, [
        [1, _],
        [_, _],
      ]),
    ).toBeUndefined()
    expect(firstKnown(100, 10, [[_, _]])).toBeUndefined()
  })
  it('tells what to hatch', () => {
    expect(
      absent(0, 10, [
        [1, _, _, 1, _],
        [1, 1, _, _, _],
      ]),
    ).toEqual([
      { from: 20, to: 30 },
      { from: 40, to: 50 },
    ])
  })
})

describe('scales', () => {
  it('ends at what full means, unless values pass it', () => {
    expect(niceMax(0.2, 1)).toBe(1)
    expect(niceMax(33, 32)).toBe(32)
    expect(niceMax(47, 32)).toBe(50)
    expect(niceMax(2.3 * 2 ** 30, null, 'bytes')).toBe(3 * 2 ** 30)
    expect([0, 7.2, 130, 0.9].map(v => niceMax(v, null))).toEqual([1, 8, 150, 1])
  })

  it('ticks are round moments', () => {
    const hour = 3_600_000
    const { ticks, stepMs } = timeTicks({ from: 10 * hour + 1000, to: 12 * hour, width: 720 })
    expect(stepMs).toBe(900_000)
    expect(ticks.map(t => new Date(t.at).toISOString().slice(11, 16)).slice(0, 3)).toEqual(['10:15', '10:30', '10:45'])
  })

  it('keeps the peak of every column', () => {
    expect(columns([1, 9, 2, _, _, _, 4, 5], 4)).toEqual({ min: [1, 2, _, 4], max: [9, 2, _, 5] })
  })
})

describe('heat map', () => {
  it('rows fill the height, whole pixels where they can', () => {
    expect(layoutRows(10, 203, 0)).toEqual({ height: 20, first: 0, last: 10, total: 200 })
    expect(layoutRows(64, 400, 0).height).toBe(6.25)
    expect(layoutRows(3, 400, 0).height).toBe(22)
  })

  it('ten thousand rows are scrolled', () => {
    const rows = layoutRows(10_000, 400, 8000)
    expect(rows).toEqual({ height: 4, first: 2000, last: 2100, total: 40_000 })
    expect(rowAt(rows, 10_000, 399, 8000)).toBe(2099)
    expect(rowAt(rows, 10_000, 0, 40_001)).toBe(-1)
  })

  it('writes as many names as there is room for', () => {
    expect([22, 12, 8, 6.25, 4].map(h => labelStep(h, 12))).toEqual([1, 1, 2, 2, 3])
  })

  it('a missing cell is transparent, a full one has the last colour', () => {
    const ramp = Uint32Array.from({ length: 256 }, (_x, i) => 0xff000000 + i)
    const cells = layoutCells(
      [
        [0, 0.5, _],
        [2, 1],
      ],
      row => (row === 0 ? 1 : 2),
      ramp,
    )
    expect([...cells].map(c => (c === 0 ? '_' : c - 0xff000000))).toEqual([0, 128, '_', 255, 128, '_'])
  })

  it('full of a metric without a capacity is its 98 % quantile', () => {
    expect(quantile([Array.from({ length: 100 }, (_x, i) => i), [_]], 0.98)).toBe(98)
    expect(quantile([[_]], 0.98)).toBe(0)
  })

  it('a grid takes the largest squares that fit', () => {
    expect(layoutGrid(200, 680, 400)).toEqual({ size: 34, perRow: 20, height: 340 })
    expect(layoutGrid(10_000, 1000, 400)).toEqual({ size: 9, perRow: 111, height: 819 })
  })
})

/** Bars by letter, a character a tick: what stands in each lane is read back from the layout. */
describe('lanes', () => {
  const parse = (text: string): Interval => ({ from: text.search(/\S/), to: text.trimEnd().length })
  const draw = (bars: Record<string, string>) => {
    const intervals = Object.values(bars).map(parse)
    const lanes = layoutLanes(intervals)
    return Array.from({ length: lanes.count }, (_x, lane) =>
      Object.keys(bars)
        .filter((_k, i) => lanes.lane[i] === lane)
        .join(''),
    )
  }

  it('takes the first lane that is free', () => {
    expect(
      draw({
        A: 'aaaa',
        B: '  bbbb',
        C: '     ccc',
        D: '   dd',
        E: '         e',
      }),
    ).toEqual(['ACE', 'B', 'D'])
  })

  it('finds the bar under a moment', () => {
    const intervals = [parse('aaaa'), parse('  bbbb')]
    const lanes = layoutLanes(intervals)
    expect(laneHit(intervals, lanes, 1, 3)).toBe(1)
    expect(laneHit(intervals, lanes, 0, 5)).toBe(-1)
  })
})
