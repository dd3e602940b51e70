import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { spanStart, startTicks, type Ticks } from '../../collector/ticks.ts'

const START = 1_700_000_003_000 // 3 s after a multiple of 10 s
let ticks: Ticks
let seen: number[]

beforeEach(() => {
  vi.useFakeTimers()
  vi.setSystemTime(START)
  seen = []
})
afterEach(async () => {
  await ticks.stop()
  vi.useRealTimers()
})

/** Seconds after the multiple before the start. */
const seconds = () => seen.map(ms => (ms - START) / 1000 + 3)
const start = (tookMs: (tick: number) => number = () => 0, leadMs = 1000, now = Date.now) => {
  ticks = startTicks({ intervalMs: 10_000, leadMs, now }, async timeMs => {
    seen.push(timeMs)
    const ms = tookMs(seen.length)
    if (ms > 0) await new Promise(resolve => setTimeout(resolve, ms))
  })
}

describe('ticks', () => {
  it('come on the multiples of the interval', async () => {
    start()
    await vi.advanceTimersByTimeAsync(35_000)
    expect(seconds()).toEqual([10, 20, 30])
    expect(ticks.skipped).toBe(0)
  })

  it('leave out a first multiple that is too near', async () => {
    start(() => 0, 8000)
    await vi.advanceTimersByTimeAsync(27_000)
    expect(seconds()).toEqual([20, 30])
  })

  it('do not drift when each takes a while', async () => {
    start(() => 700)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(seconds()).toEqual([10, 20, 30, 40, 50, 60])
    expect(ticks.skipped).toBe(0)
  })

  it('skip and count the multiples that one took too long for', async () => {
    start(tick => (tick === 1 ? 25_000 : 0)) // from 10 to 35: 20 and 30 are gone
    await vi.advanceTimersByTimeAsync(50_000)
    expect(seconds()).toEqual([10, 40, 50])
    expect(ticks.skipped).toBe(2)
  })

  it('take a timer that fires late for the multiple that has just passed', async () => {
    let behind = 0
    start(
      () => 0,
      1000,
      () => Date.now() + behind,
    )
    await vi.advanceTimersByTimeAsync(8000)
    behind = 25_000 // the machine slept: the timer for 20 fires at 45
    await vi.advanceTimersByTimeAsync(10_000)
    expect(seconds()).toEqual([10, 40])
    expect(ticks.skipped).toBe(2)
  })

  it('take a timer that fires a little early for the one it was set for', async () => {
    start(
      () => 0,
      1000,
      () => Date.now() - (seen.length === 0 ? 5 : 0),
    )
    await vi.advanceTimersByTimeAsync(18_000)
    expect(seconds()).toEqual([10, 20])
  })

  it('follow a clock that is stepped back', async () => {
    let step = 0
    start(
      () => 0,
      1000,
      () => Date.now() + step,
    )
    await vi.advanceTimersByTimeAsync(8000)
    step = -3_600_000 // the timer for 20 fires at -3580
    await vi.advanceTimersByTimeAsync(30_000)
    expect(seconds()).toEqual([10, -3570, -3560])
    expect(ticks.skipped).toBe(0)
  })

  it('stop, and wait for the one that runs', async () => {
    start(() => 500)
    await vi.advanceTimersByTimeAsync(7100)
    let stopped = false
    const stopping = ticks.stop().then(() => {
      stopped = true
    })
    await vi.advanceTimersByTimeAsync(300)
    expect(stopped).toBe(false)
    await vi.advanceTimersByTimeAsync(200)
    await stopping
    await vi.advanceTimersByTimeAsync(60_000)
    expect(seconds()).toEqual([10])
  })
})

describe('spanStart', () => {
  const tick = (timeMs: number, monotonicMs: number) => ({ timeMs, monotonicMs, intervalMs: 10_000 })
  it.each([
    ['the tick before', tick(10_000, 500), tick(20_000, 10_503), 10_000],
    ['the tick before the ones that were skipped', tick(10_000, 500), tick(40_000, 30_500), 10_000],
    ['the look at the start', tick(13_200, 500), tick(20_000, 7300), 13_200],
    ['as far back as was measured, where the clock was set back', tick(90_000, 500), tick(20_000, 10_500), 10_000],
    ['as far back as was measured, where the machine slept', tick(10_000, 500), tick(990_000, 9500), 981_000],
    ['an interval ago, where there is none before', undefined, tick(20_000, 500), 10_000],
  ])('is %s', (_, before, now, startMs) => {
    expect(spanStart(before, now)).toBe(startMs)
  })
})
