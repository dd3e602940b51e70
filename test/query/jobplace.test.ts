import { beforeAll, describe, expect, it } from 'vitest'
import type { JobDetail, Processes } from '../../query/api.ts'
import { whereIs } from '../../query/jobplace.ts'
import { MINUTE, openPlace, type Place, T0 } from './place.ts'

const names = new Map([
  ['n1', 'n1'],
  ['n1.example.org', 'n1'],
  ['gpu-1', 'ip-1'],
  ['ip-1', 'ip-1'],
])
const measured = new Set(['n1', 'n2', 'ip-1', 'ip-2', 'ip-3'])

describe('the nodes of a job', () => {
  it.each([
    ['as the scheduler calls them', ['n1', 'n2'], ['n1'], ['n1', 'n2']],
    ['by an alias', ['n1.example.org', 'gpu-1'], [], ['n1', 'ip-1']],
    ['one that nobody measures stays', ['n1', 'dead'], ['n1'], ['n1', 'dead']],
    ['one that nobody has is where the job was seen', ['n1', 'gpu-7'], ['n1', 'ip-2'], ['ip-2', 'n1']],
    ['all are strangers', ['a', 'b', 'c'], ['ip-1', 'ip-2'], ['ip-1', 'ip-2']],
    ['seen where the scheduler did not say', ['n1'], ['n1', 'n2'], ['n1', 'n2']],
    ['the scheduler told of none', [], ['ip-3'], ['ip-3']],
    ['nothing was measured', ['a'], [], ['a']],
  ])('%s', (_, told, seen, expected) => {
    expect(whereIs(told, seen, { names, measured })).toEqual(expected)
  })
})

describe('a job on nodes that the scheduler calls otherwise', () => {
  let place: Place
  beforeAll(async () => {
    place = await openPlace()
    const record = { cluster: 'alpha', id: '7', scheduler: 'slurm', state: 'running', user: 'ann', cores: 4 }
    await place.write('jobs', [
      {
        ...{ cluster: 'alpha', id: '7', state: 'running', user: 'ann', submit_ms: T0, start_ms: T0, end_ms: 0 },
        ...{ nodes: ['cloud-7'], node_count: 1, updated_ms: T0 },
        record: JSON.stringify({ ...record, submitMs: T0, startMs: T0, updatedMs: T0 }),
      },
    ])
    await place.write('processes', [
      {
        ...{ cluster: 'alpha', node: 'ip-10-0-0-7', time: (T0 + 5 * MINUTE) / 1000, interval_ms: 10_000, pid: 5 },
        ...{ start_ms: T0, name: 'solver', job: '7', cpu_user: 3, cpu_system: 0, memory_bytes: 1 << 20 },
      },
    ])
  }, 60_000)

  it('has its processes, and what each node did for it', async () => {
    const { processes } = await place.ask<Processes>('/jobs/7/processes')
    expect(processes.map(process => [process.node, process.name])).toEqual([['ip-10-0-0-7', 'solver']])
    expect((await place.ask<JobDetail>('/jobs/7')).coreSecondsUsed).toBe(30)
    const { nodes } = await place.ask<{ nodes: { node: string; jobCores: number | null }[] }>('/jobs/7/nodes')
    expect(nodes.map(node => node.node)).toEqual(['ip-10-0-0-7'])
    expect(nodes[0]?.jobCores).toBeGreaterThan(0)
  })
})
