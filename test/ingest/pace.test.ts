import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { openPace } from '../../ingest/pace.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function run(pace: ReturnType<typeof openPace>, name: string, ms: number): void {
  const end = pace.start(name)
  vi.advanceTimersByTime(ms)
  end()
}

it('calls slow what took a second, and what runs for one already', () => {
  const pace = openPace()
  expect(pace.isSlow('flame')).toBe(false)
  run(pace, 'quick', 400)
  expect(pace.isSlow('quick')).toBe(false)
  const end = pace.start('flame')
  vi.advanceTimersByTime(1500)
  expect(pace.isSlow('flame')).toBe(true)
  end()
  expect(pace.isSlow('flame')).toBe(true)
  expect(pace.isSlow('quick')).toBe(false)
})

it('forgets it where the next ones are quick', () => {
  const pace = openPace()
  run(pace, 'flame', 4000)
  run(pace, 'flame', 100)
  expect(pace.isSlow('flame')).toBe(true)
  run(pace, 'flame', 100)
  expect(pace.isSlow('flame')).toBe(false)
})
