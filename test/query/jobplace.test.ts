import { beforeAll, describe, expect, it } from 'vitest'
import type { JobDetail, NodeDetail, Nodes, Processes } from '../../query/api.ts'
import { meetNodes } from '../../query/inventory.ts'
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

describe('a node that the scheduler calls otherwise', () => {
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

  it('has the processes of a job, and what each node did for it', async () => {
    const { processes } = await place.ask<Processes>('/jobs/7/processes')
    expect(processes.map(process => [process.node, process.name])).toEqual([['ip-10-0-0-7', 'solver']])
    expect((await place.ask<JobDetail>('/jobs/7')).coreSecondsUsed).toBe(30)
    const { nodes } = await place.ask<{ nodes: { node: string; jobCores: number | null }[] }>('/jobs/7/nodes')
    expect(nodes.map(node => node.node)).toEqual(['ip-10-0-0-7'])
    expect(nodes[0]?.jobCores).toBeGreaterThan(0)
  })

  it('told twice, by two names, is one in every answer', async () => {
    const record = (node: string, sender: string, more: object) => ({
      ...{ cluster: 'beta', node, sender, updated_ms: T0 },
      record: JSON.stringify({ cluster: 'beta', node, updatedMs: T0, ...more }),
    })
    const bridge = '172.17.0.1'
    await place.write('nodes', [
      record('ip-10-0-0-7', 'collector', { threads: 8, aliases: ['10.0.0.7', bridge] }),
      record('ip-10-0-0-8', 'collector', { threads: 8, aliases: ['10.0.0.8', bridge] }),
      record('gpu-1', 'scheduler', { schedulerState: 'idle+drain', aliases: ['10.0.0.7'] }),
    ])
    // What clusters there are is kept for a while.
    place.clock.now += MINUTE
    const { nodes } = await place.ask<Nodes>('/nodes', { cluster: 'beta' })
    expect(nodes.map(node => [node.node, node.schedulerState]).sort()).toEqual([
      ['ip-10-0-0-7', 'idle+drain'],
      ['ip-10-0-0-8', null],
    ])
    for (const name of ['gpu-1', '10.0.0.7', 'gpu-1.lab'])
      expect((await place.ask<NodeDetail>(`/nodes/${name}`, { cluster: 'beta' })).node).toBe('ip-10-0-0-7')
    expect((await place.refusal(`/nodes/${bridge}`, { cluster: 'beta' })).status).toBe(404)
  })
})

describe('a node that is told twice, by two names', () => {
  const collector = (node: string, ...aliases: string[]) => ({ node, sender: 'collector', aliases })
  const scheduler = (node: string, ...aliases: string[]) => ({ node, sender: 'scheduler', aliases })
  it.each([
    ['by its address', [collector('ip-7', '10.0.0.7'), scheduler('gpu-1', '10.0.0.7')], { 'gpu-1': 'ip-7' }],
    [
      'by its full name',
      [collector('ip-7', 'ip-7.internal'), scheduler('gpu-1', 'ip-7.internal')],
      { 'gpu-1': 'ip-7' },
    ],
    ['by its short name', [collector('ip-7'), scheduler('gpu-1', 'ip-7.internal')], { 'gpu-1': 'ip-7' }],
    [
      'by a full name that the scheduler goes by',
      [collector('ip-7', 'gpu-1.lab'), scheduler('gpu-1')],
      { 'gpu-1': 'ip-7' },
    ],
    ['each goes by its own', [collector('n1'), collector('n2'), scheduler('n1', 'n2')], {}],
    [
      'an address that two have',
      [collector('a', '172.17.0.1'), collector('b', '172.17.0.1'), scheduler('c', '172.17.0.1')],
      {},
    ],
    ['several daemons of one machine', [collector('vm'), scheduler('lab1', 'vm'), scheduler('lab2', 'vm')], {}],
    ['addresses have no short form', [collector('10'), scheduler('gpu-1', '10.0.0.7')], {}],
  ])('%s', (_, called, expected) => {
    expect(Object.fromEntries(meetNodes(called))).toEqual(expected)
  })
})
