/** Which nodes a user may see where scheduler and collectors name them differently. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Access } from '../../../query/access/gate.ts'
import type { JobBands, Jobs, NodeDetail, Nodes, Series } from '../../../query/api.ts'
import { MINUTE, openPlace, type Place, T0 } from '../place.ts'

/** Whoever the header names is a user without roles beyond the own jobs. */
const byHeader: Access = {
  ways: { password: false, oidc: false },
  identify: async request => ({
    user: String(request.headers['x-test-who']),
    roles: ['user'],
    accounts: [],
    via: 'password',
  }),
}

/**
 *                scheduler says   collectors say
 *   ann's 7      cloud-7          ip-7, where its processes were seen     T0 ... T0 + 10 min
 *   eve's 7      cloud-8          ip-8: the id came again                 T0 + 20 min ...
 *   bob's 8      gpu-1            ip-1, which has gpu-1 for an alias      T0 ...
 */
describe('who may see the nodes of such jobs', () => {
  let place: Place
  const job = (id: string, user: string, node: string, start: number, end: number) => ({
    ...{ cluster: 'alpha', id, state: end === 0 ? 'running' : 'completed', user, submit_ms: start, start_ms: start },
    ...{ end_ms: end, nodes: [node], node_count: 1, updated_ms: start },
    record: JSON.stringify({
      ...{
        cluster: 'alpha',
        id,
        scheduler: 'slurm',
        state: 'running',
        user,
        cores: 4,
        submitMs: start,
        startMs: start,
      },
      updatedMs: start,
    }),
  })
  const seen = (node: string, id: string, atMs: number) => ({
    ...{ cluster: 'alpha', node, time: atMs / 1000, interval_ms: 10_000, pid: 5, start_ms: T0, name: 'solver' },
    ...{ job: id, cpu_user: 3, cpu_system: 0, memory_bytes: 1 << 20 },
  })
  beforeAll(async () => {
    place = await openPlace({ access: byHeader })
    place.clock.now = T0 + 30 * MINUTE
    await place.write('jobs', [
      job('7', 'ann', 'cloud-7', T0, T0 + 10 * MINUTE),
      job('7', 'eve', 'cloud-8', T0 + 20 * MINUTE, 0),
      job('8', 'bob', 'gpu-1', T0, 0),
    ])
    await place.write('processes', [seen('ip-7', '7', T0 + 5 * MINUTE), seen('ip-8', '7', T0 + 25 * MINUTE)])
    const record = { cluster: 'alpha', node: 'ip-1', aliases: ['gpu-1'], threads: 8 }
    await place.write('nodes', [
      { cluster: 'alpha', node: 'ip-1', sender: 'collector', record: JSON.stringify(record), updated_ms: T0 },
    ])
    const points = ['ip-1', 'ip-7', 'ip-8'].flatMap(node =>
      Array.from({ length: 30 }, (_, i) => ({
        ...{ cluster: 'alpha', node, time: (T0 + (i + 1) * MINUTE) / 1000, interval_ms: MINUTE, cpu_busy: 5000 },
      })),
    )
    await place.write('node_points', points)
    await place.restore()
  }, 60_000)

  const ask = async <T>(user: string, url: string) => {
    const answer = await place.app.inject({ url: `/api/v1${url}`, headers: { 'x-test-who': user } })
    return { status: answer.statusCode, body: answer.json() as T }
  }
  const busy = async (user: string, node: string) => {
    const window = `from=${T0}&to=${T0 + 30 * MINUTE}&buckets=30`
    const { status, body } = await ask<Series>(user, `/series?node=${node}&metrics=cpu_busy&${window}`)
    return status === 200 ? body.series.flatMap(s => s.values).filter(value => value !== null).length : status
  }

  it('is whose jobs were seen there, while they ran', async () => {
    expect(await busy('ann', 'ip-7')).toBe(10)
    expect([await busy('ann', 'ip-8'), await busy('ann', 'ip-1')]).toEqual([404, 404])
    expect(await busy('eve', 'ip-8')).toBe(10)
    expect([await busy('eve', 'ip-7'), await busy('bob', 'ip-7')]).toEqual([404, 404])
  })

  it('is whose jobs hold one of its names', async () => {
    expect([await busy('bob', 'gpu-1'), await busy('bob', 'ip-1')]).toEqual([30, 30])
    const { body } = await ask<Nodes>('bob', '/nodes')
    expect(body.nodes.map(node => [node.node, node.jobs.map(j => j.id)])).toEqual([['ip-1', ['8']]])
    expect((await ask<NodeDetail>('bob', '/nodes/gpu-1')).body.jobs.map(j => j.id)).toEqual(['8'])
    const window = `from=${T0}&to=${T0 + 30 * MINUTE}`
    for (const name of ['ip-1', 'gpu-1']) {
      expect((await ask<Jobs>('bob', `/jobs?node=${name}`)).body.jobs.map(j => j.id)).toEqual(['8'])
      const bands = await ask<JobBands>('bob', `/bands?node=${name}&${window}`)
      expect(bands.body.jobs.map(j => [j.id, j.nodes])).toEqual([['8', ['ip-1']]])
    }
  })

  it('of a user who is named, too', async () => {
    const window = `from=${T0}&to=${T0 + 30 * MINUTE}`
    const { body } = await ask<Series>('ann', `/series?user=ann&metrics=cpu_busy&${window}&buckets=30`)
    expect(body.series.map(s => s.node)).toEqual(['ip-7'])
  })
})
