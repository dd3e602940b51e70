import { beforeAll, describe, expect, it } from 'vitest'
import type { Clusters, Flame, Functions, Heatmap, Jobs, Nodes, Search } from '../../query/api.ts'
import { openPlace, type Place, T0 } from './place.ts'

let place: Place
beforeAll(async () => {
  place = await openPlace()
})

describe('a store with nothing in it', () => {
  it('answers every question about a cluster with nothing', async () => {
    expect(await place.ask<Clusters>('/clusters')).toEqual({ clusters: [] })
    expect((await place.ask<Nodes>('/nodes')).nodes).toEqual([])
    expect((await place.ask<Heatmap>('/heatmap')).rows).toEqual([])
    expect((await place.ask<Jobs>('/jobs')).jobs).toEqual([])
    expect((await place.ask<Search>('/search', { q: 'x' })).hits).toEqual([])
    await place.ask('/catalogue')
    await place.ask('/bands')
    await place.ask('/categories')
    expect(await place.ask('/processes')).toMatchObject({ processes: [], total: 0, other: { cpu: 0, count: 0 } })
    expect(await place.ask('/series', { metrics: 'cpu_busy,core.cpu_user' })).toMatchObject({ series: [] })
  })

  it('a flame graph is a root without time', async () => {
    const flame = await place.ask<Flame>('/flame')
    expect(flame.seconds).toBe(0)
    expect(flame.tree.parent).toEqual([-1])
    const functions = await place.ask<Functions>('/functions')
    expect(functions).toMatchObject({ seconds: 0, functions: [], coverage: { samples: 0, lost: 0, unnamedShare: 0 } })
  })

  it('says that a name is not known, and that none is', async () => {
    for (const [path, params] of [
      ['/nodes/ghost', {}],
      ['/jobs/4711', {}],
      ['/flame', { job: '4711' }],
      ['/flame', { node: 'ghost' }],
      ['/flame', { cluster: 'ghost' }],
      ['/processes', { user: 'ghost' }],
    ] as const) {
      const refusal = await place.refusal(path, params)
      expect(refusal.status, path).toBe(404)
      expect(refusal.message).toMatch(/(ghost|4711) is not known\. No \w+ is known yet\./)
    }
  })

  it('a window in the future has no rows but a grid', async () => {
    const heatmap = await place.ask<Heatmap>('/heatmap', { from: T0 + 1e10, to: T0 + 1e10 + 3_600_000 })
    expect(heatmap.rows).toEqual([])
    expect(heatmap.bucketMs).toBeGreaterThan(0)
  })
})
