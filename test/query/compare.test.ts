import { beforeAll, describe, expect, it } from 'vitest'
import type { Comparison } from '../../query/api.ts'
import { indent } from './drawn.ts'
import { MINUTE, openPlace, type Place, T0 } from './place.ts'

let place: Place
const S = 1e9

const record = (id: string, cores: number, fromMinute: number, minutes: number, nodes: string[]) => ({
  cluster: 'alpha',
  id,
  state: 'completed',
  user: 'ann',
  submit_ms: T0,
  start_ms: T0 + fromMinute * MINUTE,
  end_ms: T0 + (fromMinute + minutes) * MINUTE,
  nodes,
  node_count: nodes.length,
  record: JSON.stringify({
    cluster: 'alpha',
    id,
    scheduler: 'slurm',
    state: 'completed',
    user: 'ann',
    name: 'relax',
    cores,
    submitMs: T0,
    startMs: T0 + fromMinute * MINUTE,
    endMs: T0 + (fromMinute + minutes) * MINUTE,
    updatedMs: T0,
  }),
  updated_ms: T0,
})

/** Job 1 solves on one node for 10 minutes; job 2, on two nodes and twice as long, reads in place of r and writes, too. */
beforeAll(async () => {
  place = await openPlace()
  const minute = (m: number) => T0 + m * MINUTE
  await place.sample(
    `
    a  a  a
    s  s  r
    x  .  .
    ${60 * S} ${20 * S} ${20 * S}`,
    { job: '1', node: 'node1', timeMs: minute(5), rank: 0 },
  )
  await place.sample(
    `
    a  a  i
    s  w  .
    x  k  .
    ${60 * S} ${90 * S} ${500 * S}`,
    { job: '2', node: 'node1', timeMs: minute(25), rank: 0 },
  )
  await place.sample(
    `
    a
    s
    x
    ${50 * S}`,
    { job: '2', node: 'node2', timeMs: minute(25), rank: 1 },
  )
  await place.write('jobs', [record('1', 4, 0, 10, ['node1']), record('2', 8, 15, 20, ['node1', 'node2'])])
  await place.write(
    'nodes',
    ['node1', 'node2'].map(node => ({
      cluster: 'alpha',
      node,
      sender: 'collector',
      record: JSON.stringify({ cluster: 'alpha', node, updatedMs: T0, threads: 16 }),
      updated_ms: T0,
    })),
  )
  const busy = (node: string, at: number, cpu: number) => {
    return { cluster: 'alpha', node, time: minute(at) / 1000, interval_ms: 10_000, cpu_busy: cpu * 10_000 }
  }
  await place.write('node_points', [
    busy('node1', 0, 0.9),
    busy('node1', 4, 0.1),
    busy('node1', 5, 0.5),
    busy('node1', 25, 0.75),
    busy('node2', 25, 0.25),
  ])
}, 60_000)

const compare = (params: Record<string, string | number>) => place.ask<Comparison>('/compare', params)

const draw = ({ tree, strings }: Comparison): string[] =>
  indent(
    tree.parent,
    i =>
      `${strings[tree.function[i] ?? 0]} ${tree.a.total[i]}(${tree.a.self[i]}) ${tree.b.total[i]}(${tree.b.self[i]})`,
  )

describe('two jobs', () => {
  it('are one tree with the time of each, the larger shares first', async () => {
    expect(draw(await compare({ job: '1', otherJob: '2' }))).toEqual([
      'all 100(0) 200(0)',
      '  a 100(0) 200(0)',
      '    s 80(20) 110(0)',
      '      x 60(60) 110(110)',
      '    w 0(0) 90(0)',
      '      k 0(0) 90(90)',
      '    r 20(20) 0(0)',
    ])
  })

  it('pruned, keep the totals of both, and what only the shorter one does', async () => {
    const found = await compare({ job: '1', otherJob: '2', nodes: 6 })
    expect(draw(found)).toEqual([
      'all 100(0) 200(0)',
      '  a 100(0) 200(0)',
      '    s 80(20) 110(0)',
      '      x 60(60) 110(110)',
      '    (other) 20(20) 90(90)',
    ])
  })

  it('each tell what they had: allocated core seconds, samples, metrics of their nodes', async () => {
    const { a, b, metrics, categories } = await compare({ job: '1', otherJob: '2' })
    expect(a).toMatchObject({ job: { id: '1', name: 'relax' }, seconds: 100, coreSeconds: 4 * 600 })
    expect(b).toMatchObject({ job: { id: '2' }, seconds: 200, coreSeconds: 8 * 1200 })
    expect([a.coverage.samples, b.coverage.samples]).toEqual([3, 3])
    expect(b.coverage.idleSeconds).toBe(500)
    expect(metrics).toEqual([{ metric: 'cpu_busy', unit: 'ratio', a: expect.closeTo(0.3), b: expect.closeTo(0.5) }])
    expect(categories).toEqual([{ category: 'compute', a: 100, b: 200 }])
  })

  it('list functions by how far their shares are apart, those of one alone too', async () => {
    const { functions, functionsLeftOut } = await compare({ job: '1', otherJob: '2' })
    // Shares of own time: k 0 and 0.45, s 0.2 and 0, r 0.2 and 0, x 0.6 and 0.55.
    expect(functions.map(f => [f.function, f.a.self, f.b.self])).toEqual([
      ['k', 0, 90],
      ['r', 20, 0],
      ['s', 20, 0],
      ['x', 60, 110],
    ])
    expect(functions.find(f => f.function === 's')).toMatchObject({ a: { total: 80 }, b: { total: 110 } })
    expect(functionsLeftOut).toBe(0)
  })
})

describe('in one job', () => {
  it('a node beside another has the cores that it had of the job', async () => {
    const { a, b } = await compare({ job: '2', node: 'node1', otherNode: 'node2' })
    expect([a.nodes, b.nodes]).toEqual([['node1'], ['node2']])
    expect([a.seconds, b.seconds]).toEqual([150, 50])
    expect([a.coreSeconds, b.coreSeconds]).toEqual([4 * 1200, 4 * 1200])
  })

  it('a rank beside another has no cores that are known', async () => {
    const { a, b } = await compare({ job: '2', rank: 0, otherRank: 1 })
    expect([a.seconds, b.seconds]).toEqual([150, 50])
    expect([a.rank, b.rank, a.coreSeconds]).toEqual([0, 1, null])
  })
})

describe('a node', () => {
  it('beside itself at another time', async () => {
    const from = T0 + 20 * MINUTE
    const earlier = { otherFrom: T0, otherTo: T0 + 10 * MINUTE }
    const { a, b } = await compare({ node: 'node1', from, to: from + 10 * MINUTE, ...earlier })
    expect([a.seconds, b.seconds]).toEqual([150, 100])
    expect([a.coreSeconds, b.coreSeconds]).toEqual([16 * 600, 16 * 600])
    expect(b.coverage).toMatchObject({ from: T0, to: T0 + 10 * MINUTE })
  })
})

it('is refused with what to do', async () => {
  expect(await place.refusal('/compare', { job: '1' })).toEqual({
    status: 400,
    code: 'bad_request',
    message: 'say what to compare with: otherJob, otherNode, otherRank, or otherFrom and otherTo',
  })
  expect((await place.refusal('/compare', { job: '1', otherJob: '22' })).message).toBe(
    'job 22 is not known. Known: 1, 2.',
  )
})
