import { describe, expect, it } from 'vitest'
import { Budget, evaluateBudget, type Usage } from '../../ingest/budget.ts'
import { freshStore, quiet } from './place.ts'

const GB = 1e9
const DAY = 86_400_000
const usage = (more: Partial<Usage>): Usage => ({
  storedBytes: 70 * GB,
  maxBytes: 100 * GB,
  freeBytes: 500 * GB,
  grownBytes: 2 * GB,
  grownMs: DAY,
  ...more,
})

describe('the disk budget', () => {
  it('is silent while there is room, and says so a week and a fifth before it ends', () => {
    expect(evaluateBudget(usage({}))).toBeUndefined()
    expect(evaluateBudget(usage({ storedBytes: 88 * GB }))).toEqual({
      full: false,
      message: expect.stringMatching(
        /^the store holds 88 GB of the 100 GB that store.maxBytes allows, 2.00 GB more a day: full in 6.0 days; keep less/,
      ),
    })
    expect(evaluateBudget(usage({ grownBytes: 6 * GB }))?.message).toContain('full in 5.0 days')
    expect(evaluateBudget(usage({ storedBytes: 101 * GB }))?.full).toBe(true)
  })

  it('counts what the disk still has, where that is less or where there is no budget', () => {
    const disk = { maxBytes: undefined, freeBytes: 10 * GB }
    expect(evaluateBudget(usage(disk))?.message).toContain('70 GB of the 80 GB that the disk has room for')
    expect(evaluateBudget(usage({ ...disk, freeBytes: 700 * GB }))).toBeUndefined()
    expect(evaluateBudget(usage({ maxBytes: undefined, freeBytes: undefined }))).toBeUndefined()
  })

  it('does not take a minute of growth for a day of it', () => {
    expect(evaluateBudget(usage({ grownBytes: 1 * GB, grownMs: 60_000 }))).toBeUndefined()
  })

  it('is looked at on the store itself, and said once an hour', async () => {
    const store = await freshStore({ maxBytes: 1 })
    const said: string[] = []
    const log = Object.assign(Object.create(quiet), { error: (message: string) => said.push(message) })
    const budget = new Budget(store, log)
    for (const minutes of [0, 5, 11, 50, 61]) await budget.look(minutes * 60_000)
    expect(budget.storedBytes).toBeGreaterThan(1)
    expect(said).toHaveLength(2)
    expect(said[0]).toContain('store.maxBytes')
  })
})
