import { describe, expect, it } from 'vitest'
import { WindowRoll } from '../../../collector/roll.ts'
import type { StackWindow } from '../../../collector/sampler.ts'
import { drawn, undrawn } from './drawn.ts'

const at = (roll: WindowRoll, timeMs: number, name = 'f') => {
  for (const sample of drawn(`${name}\n1`)) roll.add(timeMs, sample)
}
const told = (windows: StackWindow[]) => windows.map(w => `${w.startMs}-${w.endMs} ${undrawn(w).join(', ')}`)

describe('WindowRoll', () => {
  const roll = () => new WindowRoll({ startMs: 3200, windowMs: 10_000 })

  it('begins short, then keeps to the grid of the wall clock', () => {
    const windows = roll()
    for (const timeMs of [3300, 6100, 6300, 9999, 10_000, 19_999, 20_000]) at(windows, timeMs)
    expect(told(windows.drain(20_001))).toEqual([
      '3200-6200 1 app f 2 2',
      '6200-10000 1 app f 2 2',
      '10000-20000 1 app f 2 2',
    ])
  })

  it('ends a window by the clock where no sample does, after those that may be on their way', () => {
    const windows = roll()
    at(windows, 4000)
    expect(windows.drain(6200 + 3999)).toEqual([])
    expect(told(windows.drain(6200 + 4000))).toEqual(['3200-6200 1 app f 1 1'])
  })

  it('says nothing of windows in which nothing happened', () => {
    const windows = roll()
    at(windows, 4000)
    at(windows, 75_000)
    expect(told(windows.drain(95_000))).toEqual(['3200-6200 1 app f 1 1', '70000-80000 1 app f 1 1'])
  })

  it('keeps a late sample, in the window that is open', () => {
    const windows = roll()
    at(windows, 12_000, 'on_time')
    at(windows, 4000, 'late')
    windows.end(13_000)
    expect(told(windows.drain(13_000))).toEqual(['10000-13000 1 app late 1 1, 1 app on_time 1 1'])
  })

  it('tells of losses even in a window without samples', () => {
    const windows = roll()
    windows.lose(7, 1)
    windows.end(4000)
    expect(windows.drain(4000)[0]?.counters).toMatchObject({ lost: 7, throttled: 1, samples: 0 })
  })

  it('counts what nobody drained as lost', () => {
    const windows = roll()
    for (let second = 0; second < 40; second++) at(windows, 10_000 * (1 + second))
    windows.end(411_000)
    const drained = windows.drain(411_000)
    const count = (w: StackWindow) => w.samples.count.reduce((sum, n) => sum + n, 0) + w.counters.lost
    expect(drained.length).toBeLessThan(20)
    expect(drained.reduce((sum, w) => sum + count(w), 0)).toBe(40)
  })

  it('gives each window the CPU that was used since the last one', () => {
    let used = 0
    const windows = new WindowRoll({ startMs: 0, windowMs: 1000, ownCpuNs: () => used })
    at(windows, 1)
    used = 5e6
    at(windows, 1001)
    used = 7e6
    windows.end(2000)
    expect(windows.drain(2000).map(w => w.counters.ownCpuNs)).toEqual([5e6, 2e6])
  })
})
