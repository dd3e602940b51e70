import { gunzipSync } from 'node:zlib'
import { Profile as Pprof } from 'pprof-format'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Categories, Flame, Functions } from '../../query/api.ts'
import { openAsker } from '../../query/asker.ts'
import { openBodies } from '../../query/bodies.ts'
import { readProfile } from '../../query/profile.ts'
import { functionTotals } from '../../query/stacks.ts'
import { indent } from './drawn.ts'
import { DAY0, HOUR, MINUTE, openPlace, type Place, SECOND, T0 } from './place.ts'

let place: Place
const window = { from: T0, to: T0 + HOUR }
const S = 1e9

/**
 * Job 7 on node1 and node2, 10:00 to 10:10; pid 1000 of node1 is used twice; job 8 beside it on node1; at 10:20 a process of
 * no job with an idle stack; at 10:30 a burst of job 7's process; and a cluster beta whose frames are never stored.
 */
beforeAll(async () => {
  place = await openPlace()
  const job7 = { job: '7', timeMs: T0 + 5 * MINUTE }
  await place.sample(
    `
    a  a  a
    b  b  d
    c  .  .
    ${5 * S} ${3 * S} ${1 * S}`,
    { ...job7, node: 'node1' },
  )
  await place.sample(
    `
    a  ~
    b  c
    ${4 * S} ${2 * S}`,
    { ...job7, node: 'node2', pid: 2000 },
  )
  // The same stack in the same window from another process, and recursion.
  await place.sample(
    `
    a
    b
    a
    b
    ${10 * S}`,
    { ...job7, node: 'node1', start_ms: 9000, timeMs: T0 + 6 * MINUTE },
  )
  await place.sample(
    `
    a  a
    m  k
    ${6 * S} ${1 * S}`,
    { job: '8', timeMs: T0 + 5 * MINUTE, pid: 3000 },
  )
  await place.sample(
    `
    x  i
    +  .
    ${2 * S} ${50 * S}`,
    { timeMs: T0 + 20 * MINUTE, pid: 4000 },
  )
  await place.sample(
    `
    a
    ${99 * S}`,
    { ...job7, node: 'node1', burst: 'burst1', timeMs: T0 + 30 * MINUTE },
  )
  await place.write('jobs', [
    {
      cluster: 'alpha',
      id: '7',
      state: 'completed',
      user: 'ann',
      submit_ms: T0,
      start_ms: T0,
      end_ms: T0 + 10 * MINUTE,
      nodes: ['node1', 'node2'],
      node_count: 2,
      record: job('7', 'ann', 10 * MINUTE),
      updated_ms: T0,
    },
    {
      cluster: 'alpha',
      id: '8',
      state: 'running',
      user: 'bob',
      submit_ms: T0,
      start_ms: T0,
      end_ms: 0,
      nodes: ['node1'],
      node_count: 1,
      record: job('8', 'bob'),
      updated_ms: T0,
    },
  ])
  await place.write(
    'nodes',
    ['node1', 'node2', 'node3'].map(node => ({
      cluster: 'alpha',
      node,
      sender: 'collector',
      record: JSON.stringify({ cluster: 'alpha', node, updatedMs: T0, aliases: [`${node}.example.org`] }),
      updated_ms: T0 + HOUR,
    })),
  )
  await place.write('nodes', [
    {
      cluster: 'beta',
      node: 'far',
      sender: 'collector',
      record: JSON.stringify({ cluster: 'beta', node: 'far', updatedMs: T0 }),
      updated_ms: T0,
    },
  ])
  await place.write('samples', [
    {
      cluster: 'beta',
      job: '',
      event: 'cpu',
      node: 'far',
      pid: 1,
      start_ms: 1,
      time: (T0 + MINUTE) / 1000,
      window_ms: 10_000,
      stack_id: '12345',
      value: 3 * S,
      count: 57,
    },
  ])
})

const job = (id: string, user: string, ranMs?: number) =>
  JSON.stringify({
    cluster: 'alpha',
    id,
    scheduler: 'slurm',
    state: ranMs ? 'completed' : 'running',
    user,
    submitMs: T0,
    startMs: T0,
    ...(ranMs ? { endMs: T0 + ranMs } : {}),
    updatedMs: T0,
  })

const draw = (flame: Flame): string[] =>
  indent(
    flame.tree.parent,
    i => `${flame.strings[flame.tree.function[i] ?? 0]} ${flame.tree.total[i]}(${flame.tree.self[i]})`,
  )
const flame = (params: Record<string, string | number | boolean>) => place.ask<Flame>('/flame', params)
const functions = (params: Record<string, string | number | boolean>) => place.ask<Functions>('/functions', params)

describe('a flame graph', () => {
  it('of a job is that of all its nodes and processes, in its own span', async () => {
    const answer = await flame({ job: '7' })
    expect(draw(answer)).toEqual([
      'all 25(0)',
      '  a 23(0)',
      '    b 22(7)',
      '      a 10(0)',
      '        b 10(10)',
      '      c 5(5)',
      '    d 1(1)',
      '  [truncated] 2(0)',
      '    c 2(2)',
    ])
    expect(answer).toMatchObject({ cluster: 'alpha', seconds: 25, wholeSeconds: 25, direction: 'topdown' })
    expect(answer.coverage).toMatchObject({
      from: T0,
      to: T0 + 10 * MINUTE,
      samples: 6,
      truncatedShare: 2 / 25,
      unnamedShare: 0,
    })
    const truncated = answer.tree.function.findIndex(f => answer.strings[f] === '[truncated]')
    expect(answer.kinds[answer.tree.kind[truncated] ?? 0]).toBe('truncated')
  })

  it('bottom-up has the same sum and the selfs of the function table on its first level', async () => {
    const answer = await flame({ job: '7', direction: 'bottomup' })
    expect(answer.seconds).toBe(25)
    const table = await functions({ job: '7' })
    const first = answer.tree.parent.flatMap((parent, i) =>
      parent === 0 ? [[answer.strings[answer.tree.function[i] ?? 0], answer.tree.total[i]]] : [],
    )
    expect(new Map(first as [string, number][])).toEqual(
      new Map(table.functions.filter(f => f.self > 0).map(f => [f.function, f.self])),
    )
  })

  it('prunes to the budget and keeps the whole', async () => {
    const answer = await flame({ job: '7', nodes: 4 })
    expect(answer.tree.parent.length).toBeLessThanOrEqual(4)
    expect(answer.tree.total[0]).toBe(25)
    expect(answer.tree.self.reduce((a, b) => a + b)).toBe(25)
    expect(draw(answer)).toContain('    (other) 23(23)')
  })

  it('of one process: a reused pid is told apart by its start', async () => {
    expect((await flame({ ...window, node: 'node1', pid: 1000 })).seconds).toBe(19)
    expect((await flame({ ...window, node: 'node1', pid: 1000, start: 5000 })).seconds).toBe(9)
    expect((await flame({ ...window, node: 'node1', pid: 1000, start: 9000 })).seconds).toBe(10)
  })

  it('of nodes, a user, a cluster', async () => {
    expect((await flame({ ...window, node: 'node2' })).seconds).toBe(6)
    expect((await flame({ ...window, node: 'node2.example.org,node1' })).seconds).toBe(34)
    expect((await flame({ ...window, user: 'bob' })).seconds).toBe(7)
    expect((await flame({ ...window, user: 'ann', node: 'node2' })).seconds).toBe(6)
    expect((await flame({ ...window, cluster: 'alpha' })).seconds).toBe(34)
    expect((await flame({ ...window, node: 'node3' })).seconds).toBe(0)
  })

  it('a window holds what ends in (from, to]', async () => {
    const at = T0 + 5 * MINUTE
    const seconds = async (from: number, to: number) => (await flame({ job: '7', from, to })).seconds
    expect(await seconds(at - SECOND, at)).toBe(15)
    expect(await seconds(at, at + SECOND)).toBe(0)
    expect(await seconds(at - SECOND, at + MINUTE)).toBe(25)
  })

  it('below and above one function', async () => {
    const below = await flame({ job: '7', function: 'b' })
    expect(draw(below)).toEqual(['all 22(0)', '  b 22(7)', '    a 10(0)', '      b 10(10)', '    c 5(5)'])
    expect(below).toMatchObject({ seconds: 22, wholeSeconds: 25 })
    expect(draw(await flame({ job: '7', function: 'c', direction: 'bottomup', module: 'app' }))).toEqual([
      'all 7(0)',
      '  c 7(0)',
      '    b 5(0)',
      '      a 5(5)',
      '    [truncated] 2(2)',
    ])
    const refusal = await place.refusal('/flame', { job: '7', function: 'bb' })
    expect(refusal).toMatchObject({ status: 404, code: 'not_found' })
    expect(refusal.message).toContain('Known: b')
  })

  it('idle time is told, and shown when asked', async () => {
    const answer = await flame({ ...window, pid: 4000, node: 'node1' })
    expect(answer.seconds).toBe(2)
    expect(answer.coverage).toMatchObject({ idleSeconds: 50, unnamedShare: 1, samples: 1 })
    expect((await flame({ ...window, pid: 4000, idle: true })).seconds).toBe(52)
  })

  it('a burst is apart from the continuous profile', async () => {
    expect((await flame({ ...window, job: '7', burst: 'burst1' })).seconds).toBe(99)
  })

  it('a stack that is not in the store keeps its time', async () => {
    const answer = await flame({ ...window, cluster: 'beta' })
    expect(draw(answer)).toEqual(['all 3(0)', '  [not in the store] 3(3)'])
    expect(answer.coverage).toMatchObject({ unnamedShare: 1, samples: 57 })
  })

  it('categories: what nodes were doing', async () => {
    const answer = await place.ask<Categories>('/categories', { ...window, node: 'node1' })
    expect(answer.categories).toEqual([
      { category: 'idle', seconds: 50, samples: 1 },
      { category: 'compute', seconds: 22, samples: 6 },
      { category: 'mpi', seconds: 6, samples: 1 },
    ])
    const over = (await place.ask<Categories>('/categories', { ...window, node: 'node1', buckets: 6 })).over
    expect(over).toMatchObject({ from: T0, to: T0 + HOUR, bucketMs: 10 * MINUTE })
    expect(Object.fromEntries(over?.categories.map(c => [c.category, c.seconds]) ?? [])).toEqual({
      compute: [20, 2, null, null, null, null],
      mpi: [6, null, null, null, null, null],
      idle: [null, 50, null, null, null, null],
    })
    const tree = (await flame({ job: '8', ...window })).tree
    expect(tree.category?.[0]).toBe(1)
  })
})

describe('the function table', () => {
  it('counts recursion once, with shares of the whole', async () => {
    const answer = await functions({ job: '7' })
    expect(answer.seconds).toBe(25)
    const rows = Object.fromEntries(answer.functions.map(f => [f.function, [f.self, f.total]]))
    expect(rows).toEqual({ b: [17, 22], c: [7, 7], d: [1, 1], a: [0, 23] })
    expect(answer.functions[0]).toMatchObject({
      function: 'b',
      module: 'app',
      kind: 'native',
      selfShare: 17 / 25,
      totalShare: 22 / 25,
    })
  })

  it('a limit lowers no total: the rest is told', async () => {
    const answer = await functions({ job: '7', limit: 1 })
    expect(answer.functions).toHaveLength(1)
    expect(answer).toMatchObject({ seconds: 25, other: { self: 8, count: 3 } })
  })

  it('search narrows the rows and not the shares', async () => {
    const answer = await functions({ job: '7', search: 'C' })
    expect(answer.functions.map(f => [f.function, f.selfShare])).toEqual([['c', 7 / 25]])
    expect((await functions({ job: '7', sort: 'total' })).functions.map(f => f.function)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('by the path of a job as by its scope', async () => {
    expect(await place.ask('/jobs/7/functions')).toEqual(await functions({ job: '7' }))
    expect(await place.ask('/jobs/7/flame', { nodes: 10 })).toEqual(await flame({ job: '7', nodes: 10 }))
  })
})

describe('stacks as a file', () => {
  const file = (params: Record<string, string>) =>
    place.app.inject({ url: '/api/v1/stacks', query: { job: '7', ...params } })

  it('folded: microseconds, what is the same but for lines added up', async () => {
    const answer = await file({})
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
    expect(answer.headers['content-disposition']).toBe('attachment; filename="job-7.folded"')
    expect(answer.body.trim().split('\n').sort()).toEqual([
      '[truncated];c 2000000',
      'a;b 7000000',
      'a;b;a;b 10000000',
      'a;b;c 5000000',
      'a;d 1000000',
    ])
  })

  it('speedscope', async () => {
    const answer = (await file({ format: 'speedscope' })).json()
    const [profile] = answer.profiles
    expect(profile).toMatchObject({ type: 'sampled', unit: 'nanoseconds', endValue: 25 * S })
    const stacks = profile.samples.map((stack: number[], i: number) => [
      stack.map(f => answer.shared.frames[f].name).join(';'),
      profile.weights[i] / S,
    ])
    expect(Object.fromEntries(stacks)).toEqual({ 'a;b;c': 5, 'a;b': 7, 'a;d': 1, 'a;b;a;b': 10, '[truncated];c': 2 })
  })

  it('pprof', async () => {
    const answer = await file({ format: 'pprof' })
    const pprof = Pprof.decode(gunzipSync(answer.rawPayload))
    const text = (i: number | bigint) => pprof.stringTable.strings[Number(i)]
    expect(pprof.sampleType.map(t => `${text(t.type)}/${text(t.unit)}`)).toEqual(['samples/count', 'cpu/nanoseconds'])
    const nameOf = (location: number | bigint) => {
      const line = pprof.location.find(l => Number(l.id) === Number(location))?.line[0]
      return text(pprof.function.find(f => Number(f.id) === Number(line?.functionId))?.name ?? 0)
    }
    const stacks = pprof.sample.map(s => [s.locationId.map(nameOf).reverse().join(';'), Number(s.value[1]) / S])
    expect(Object.fromEntries(stacks)).toEqual({ 'a;b;c': 5, 'a;b': 7, 'a;d': 1, 'a;b;a;b': 10, '[truncated];c': 2 })
    expect(Number(pprof.durationNanos)).toBe(600 * S)
  })
})

it('the stacks beyond the largest keep their time as one', async () => {
  const asker = openAsker(place.store, T0 + HOUR, undefined)
  const target = {
    cluster: 'alpha',
    from: T0,
    to: T0 + HOUR,
    rowsTo: T0 + HOUR,
    job: undefined,
    nodes: undefined,
    namedNodes: undefined,
    pid: undefined,
    start: undefined,
    user: undefined,
    rank: undefined,
    burst: '',
    own: undefined,
  }
  const profile = await readProfile(asker, openBodies(1e6)(), target, 2)
  expect(profile.ns.length).toBe(3)
  expect(profile.ns.reduce((a, b) => a + b)).toBe(84 * S)
  expect(functionTotals(profile, true).find(row => row.function === 0)?.self).toBe(24 * S)
})

it('what the samplers of the nodes lost, were throttled and used is told', async () => {
  await place.write(
    'node_points',
    [0, 10, 20].map(s => ({
      cluster: 'alpha',
      node: 'node1',
      time: (T0 + 5 * MINUTE) / 1000 + s,
      interval_ms: 10_000,
      stacks_lost: 15,
      stacks_throttled: 1,
      stacks_cpu: 500,
    })),
  )
  await place.restore()
  expect((await flame({ ...window, node: 'node1' })).coverage).toMatchObject({
    lost: 45,
    throttled: 3,
    samplerCpu: 0.0005,
    unwinding: 'eh_frame',
  })
  expect((await flame({ ...window, node: 'node2' })).coverage).toMatchObject({
    lost: 0,
    throttled: 0,
    samplerCpu: null,
    unwinding: '',
  })
  const lostSince = async (from: number) => {
    const { coverage } = await flame({ from, to: T0 + HOUR, node: 'node1' })
    expect(coverage).toMatchObject({ samplerCpu: 0.0005, unwinding: 'eh_frame' })
    return [coverage.lost, coverage.throttled]
  }
  // Hours are not complete yet: ticks stand in for the last.
  expect(await lostSince(DAY0 - 72 * HOUR)).toEqual([45, 3])
  // Buckets count as whole: there are two of five minutes, and one hour.
  expect(await lostSince(T0 - 7 * HOUR)).toEqual([900, 60])
  place.clock.now += 2 * HOUR
  onTestFinished(() => {
    place.clock.now -= 2 * HOUR
  })
  expect(await lostSince(DAY0 - 72 * HOUR)).toEqual([5400, 360])
})
