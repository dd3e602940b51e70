/** Ranks of one job, told apart by their samples; a question can be kept to one of them. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Categories, Flame, Functions, JobRanks } from '../../query/api.ts'
import { MINUTE, openPlace, type Place, T0 } from './place.ts'

let place: Place
const S = 1e9
const window = { from: T0, to: T0 + 10 * MINUTE }

/** Rank 0 on node1 computes 60/30/10 over c, d and e below main; rank 1 on node2 the same, but half of it waits in MPI. */
beforeAll(async () => {
  place = await openPlace()
  const job = { job: '7', timeMs: T0 + 5 * MINUTE }
  const split = (scale: number) => `
    a  a  a
    c  d  e
    ${60 * scale * S} ${30 * scale * S} ${10 * scale * S}`
  await place.sample(split(1), { ...job, node: 'node1', pid: 10, rank: 0 })
  await place.sample(split(0.5), { ...job, node: 'node2', pid: 20, rank: 1 })
  await place.sample(`\na\nm\n${50 * S}`, { ...job, node: 'node2', pid: 21, rank: 1 })
  await place.sample(`\na\nb\n${2 * S}`, { ...job, node: 'node1', pid: 30 })
  await place.write('jobs', [
    {
      cluster: 'alpha',
      id: '7',
      updated_ms: T0,
      record: JSON.stringify({ cluster: 'alpha', id: '7', state: 'running', startMs: T0 }),
    },
  ])
})

const shares = ({ functions }: Functions) =>
  Object.fromEntries(functions.map(f => [f.function, Math.round(f.selfShare * 100)]))

describe('ranks', () => {
  it('each with its time, where it was and what it did; what is of no rank beside them', async () => {
    const { ranks, unranked } = await place.ask<JobRanks>('/jobs/7/ranks', window)
    expect(ranks).toMatchObject([
      { rank: 0, node: 'node1', processes: 1, seconds: 100, samples: 3, waitShare: 0, topShare: 0.6 },
      { rank: 1, node: 'node2', processes: 2, seconds: 100, samples: 4, waitShare: 0.5, topShare: 0.5 },
    ])
    expect(ranks[0]?.topFunction).toMatch(/c/)
    expect(unranked).toEqual({ seconds: 2, processes: 1 })
  })

  it('one alone by functions, flame graph and categories', async () => {
    const first = await place.ask<Functions>('/jobs/7/functions', { ...window, rank: 0 })
    expect(Object.values(shares(first)).sort((a, b) => b - a)).toEqual([60, 30, 10, 0])
    expect((await place.ask<Flame>('/flame', { ...window, job: '7', rank: 1 })).seconds).toBe(100)
    const { categories } = await place.ask<Categories>('/jobs/7/categories', { ...window, rank: 1 })
    expect(categories.find(c => c.category === 'mpi')?.seconds).toBe(50)
    expect((await place.ask<Flame>('/flame', { ...window, job: '7' })).seconds).toBe(202)
    expect((await place.ask<Flame>('/flame', { ...window, job: '7', rank: 9 })).seconds).toBe(0)
  })

  it('as a file', async () => {
    const answer = await place.app.inject(
      `/api/v1/jobs/7/stacks?format=folded&rank=1&from=${window.from}&to=${window.to}`,
    )
    expect(answer.statusCode).toBe(200)
    expect(answer.body.trim().split('\n')).toHaveLength(4)
  })
})
