import { beforeAll, describe, expect, it } from 'vitest'
import type { Catalogue, Clusters, Heatmap, NodeDetail, Nodes, Series } from '../../query/api.ts'
import { HOUR, MINUTE, openPlace, type Place, SECOND, T0 } from './place.ts'

let place: Place

/** One row a tick of 10 s from T0 on; '.' is a tick that did not come. The first value ends at T0 + 10 s. */
const drawTicks = (node: string, column: string, scale: number, text: string, more: object = {}, everyMs = 10_000) =>
  text
    .trim()
    .split(/\s+/)
    .flatMap((value, i) =>
      value === '.'
        ? []
        : [
            {
              cluster: 'alpha',
              node,
              time: (T0 + (i + 1) * everyMs) / 1000,
              interval_ms: everyMs,
              [column]: Math.round(Number(value) * scale),
              ...more,
            },
          ],
    )

const GB = 1e9
beforeAll(async () => {
  place = await openPlace()
  place.clock.now = T0 + MINUTE
  const memory = (used: number, total: number) => ({
    memory_used: used * GB,
    memory_total: total * GB,
    cpu_count: 8,
    cpu_user: 1000,
  })
  await place.write('node_points', [
    ...drawTicks('node1', 'cpu_busy', 10_000, '0.1 0.2 0.3 .   0.5 0.6', memory(30, 100)),
    ...drawTicks('node2', 'cpu_busy', 10_000, '0.9 0.9 0.9 0.9 0.9 0.9', memory(20, 40)),
    ...drawTicks('node10', 'cpu_busy', 10_000, '0   0   .   .   .   . ', memory(1, 100)),
    // A node that tells once a minute.
    ...drawTicks('node3', 'cpu_busy', 10_000, '0.4', memory(10, 100), MINUTE),
  ])
  const disk = (instance: string, text: string) =>
    drawTicks('node1', 'read_bytes', 1, text, { instance, utilization: 2500 })
  await place.write('disk_points', [...disk('vda', '100 200 300'), ...disk('vdb', '1 . 3')])
  await place.write('core_points', [
    ...drawTicks('node1', 'cpu_user', 10_000, '0.1 0.1', { instance: '0' }),
    ...drawTicks('node1', 'cpu_user', 10_000, '0.9 0.9', { instance: '10' }),
    ...drawTicks('node1', 'cpu_user', 10_000, '0.5 0.5', { instance: '2' }),
  ])
  const node = (name: string, record: object) => ({
    cluster: 'alpha',
    node: name,
    sender: 'scheduler',
    record: JSON.stringify({ cluster: 'alpha', node: name, updatedMs: T0, ...record }),
    updated_ms: T0,
  })
  await place.write('nodes', [
    node('node1', { schedulerState: 'mixed', schedulerCores: 8, aliases: ['node1.cluster.example'] }),
    node('node99', { schedulerState: 'down', schedulerCores: 16, memoryBytes: 5 * GB }),
  ])
  await place.write('jobs', [
    {
      cluster: 'alpha',
      id: '5_1',
      raw_id: '6',
      array_id: '5',
      state: 'running',
      user: 'ann',
      name: 'solve',
      cores: 12,
      submit_ms: T0,
      start_ms: T0,
      nodes: ['node1', 'node2'],
      node_count: 2,
      record: JSON.stringify({
        cluster: 'alpha',
        id: '5_1',
        rawId: '6',
        scheduler: 'slurm',
        state: 'running',
        user: 'ann',
        startMs: T0,
        updatedMs: T0,
      }),
      updated_ms: T0,
    },
    {
      cluster: 'alpha',
      id: '9',
      state: 'queued',
      submit_ms: T0,
      cores: 4,
      record: JSON.stringify({ cluster: 'alpha', id: '9', scheduler: 'slurm', state: 'queued', updatedMs: T0 }),
      updated_ms: T0,
    },
  ])
  await place.write('processes', [
    {
      cluster: 'alpha',
      node: 'node1',
      time: (T0 + MINUTE) / 1000,
      interval_ms: 10_000,
      pid: 7,
      start_ms: 70,
      name: 'a.out',
      user: 'ann',
      cpu_user: 1.5,
      cpu_system: 0.5,
    },
    {
      cluster: 'alpha',
      node: 'node1',
      time: (T0 + MINUTE) / 1000,
      interval_ms: 10_000,
      pid: 8,
      start_ms: 80,
      name: 'sh',
      user: 'ann',
      cpu_user: 0.5,
    },
  ])
  await place.restore()
})

const window = { from: T0, to: T0 + MINUTE }

describe('the heat map', () => {
  it('has a row a node on one grid, the hottest first, absent where nothing was measured', async () => {
    const map = await place.ask<Heatmap>('/heatmap', { ...window, metric: 'cpu_busy', buckets: 6 })
    expect(map).toMatchObject({ cluster: 'alpha', unit: 'ratio', from: T0, to: T0 + MINUTE, bucketMs: 10_000 })
    expect(map.nodes).toEqual(['node2', 'node3', 'node1', 'node10', 'node99'])
    expect(rounded(map.rows)).toEqual([
      [0.9, 0.9, 0.9, 0.9, 0.9, 0.9],
      // A tick of a minute fills the minute that it is the mean of.
      [0.4, 0.4, 0.4, 0.4, 0.4, 0.4],
      [0.1, 0.2, 0.3, null, 0.5, 0.6],
      [0, 0, null, null, null, null],
      [null, null, null, null, null, null],
    ])
    expect(rounded([map.mean])).toEqual([[0.9, 0.4, 0.34, 0, null]])
  })

  it('hottest is fullest where capacity differs', async () => {
    const map = await place.ask<Heatmap>('/heatmap', { ...window, metric: 'memory_used' })
    expect(map.nodes.slice(0, 2)).toEqual(['node2', 'node1'])
    expect(map.full?.slice(0, 2)).toEqual([40 * GB, 100 * GB])
    const total = await place.ask<Heatmap>('/heatmap', { ...window, metric: 'memory_total', buckets: 2, node: 'node1' })
    expect(total.rows).toEqual([[100 * GB, 100 * GB]])
    const hours = { from: T0 - 10 * HOUR, to: T0 + MINUTE, buckets: 11 }
    const long = await place.ask<Heatmap>('/heatmap', { ...hours, metric: 'memory_total', node: 'node1' })
    expect(long.rows[0]?.at(-1)).toBe(100 * GB)
  })

  it('by name in the order people count, by job with free nodes last', async () => {
    const names = await place.ask<Heatmap>('/heatmap', { ...window, order: 'name' })
    expect(names.nodes).toEqual(['node1', 'node2', 'node3', 'node10', 'node99'])
    const jobs = await place.ask<Heatmap>('/heatmap', { ...window, order: 'job' })
    expect(jobs.nodes).toEqual(['node1', 'node2', 'node3', 'node10', 'node99'])
  })

  it('the instances of one node are rows, in the order people count', async () => {
    const map = await place.ask<Heatmap>('/heatmap', {
      ...window,
      node: 'node1.cluster.example',
      metric: 'core.cpu_user',
      order: 'name',
    })
    expect(map.nodes).toEqual(['0', '2', '10'])
    const all = await place.ask<Heatmap>('/heatmap', { ...window, metric: 'utilization', entity: 'disk' })
    expect(all.nodes).toEqual(['vda', 'vdb'])
  })

  it('longer buckets come from the rollups with the same means', async () => {
    const map = await place.ask<Heatmap>('/heatmap', { from: T0 - HOUR, to: T0 + MINUTE, buckets: 61 })
    expect(map.bucketMs).toBe(MINUTE)
    const row = map.rows[map.nodes.indexOf('node1')] ?? []
    expect(row.filter(v => v !== null)).toHaveLength(1)
    expect(row.at(-1)).toBeCloseTo(0.34)
    const hours = await place.ask<Heatmap>('/heatmap', { from: T0 - 10 * HOUR, to: T0 + MINUTE, buckets: 11 })
    expect(hours.bucketMs).toBe(HOUR)
    expect(hours.rows[hours.nodes.indexOf('node1')]?.at(-1)).toBeCloseTo(0.34)
  })

  it('ticks stand in for the end that the rollups do not have yet', async () => {
    const at = async (now: number) => {
      place.clock.now = now
      const map = await place.ask<Heatmap>('/heatmap', {
        from: T0 - 55 * MINUTE,
        to: T0 + 5 * MINUTE,
        buckets: 12,
        order: 'name',
      })
      return map.rows
    }
    const fromTicks = await at(T0 + MINUTE)
    await place.store.command('TRUNCATE TABLE node_points_5m')
    expect(await at(T0 + MINUTE)).toEqual(fromTicks)
    expect((await at(T0 + HOUR)).flat().every(value => value === null)).toBe(true)
    await place.restore()
    expect(await at(T0 + HOUR)).toEqual(fromTicks)
    place.clock.now = T0 + MINUTE
  })

  it('of a job or a user: its nodes', async () => {
    expect((await place.ask<Heatmap>('/heatmap', { job: '5_1', order: 'name' })).nodes).toEqual(['node1', 'node2'])
    expect((await place.ask<Heatmap>('/heatmap', { job: '6', order: 'name' })).nodes).toEqual(['node1', 'node2'])
    expect((await place.ask<Heatmap>('/heatmap', { ...window, user: 'ann', order: 'name' })).nodes).toEqual([
      'node1',
      'node2',
    ])
  })

  it('a metric that is not there is refused with those that are near', async () => {
    const refusal = await place.refusal('/heatmap', { metric: 'cpu_bussy' })
    expect(refusal).toMatchObject({ status: 404, code: 'not_found' })
    expect(refusal.message).toMatch(/^metric cpu_bussy is not known\. Known: cpu_busy/)
    expect((await place.refusal('/heatmap', { entity: 'knode' })).message).toContain('Known: node')
  })
})

describe('series', () => {
  it('of many metrics share one axis; instances are apart', async () => {
    const answer = await place.ask<Series>('/series', {
      ...window,
      buckets: 6,
      node: 'node1',
      metrics: 'disk.read_bytes,cpu_busy,memory_used',
    })
    expect(answer.series.map(s => [s.metric, s.instance, s.unit, s.full])).toEqual([
      ['disk.read_bytes', 'vda', 'bytes/s', null],
      ['disk.read_bytes', 'vdb', 'bytes/s', null],
      ['cpu_busy', '', 'ratio', 1],
      ['memory_used', '', 'bytes', 100 * GB],
    ])
    expect(answer.series.map(s => s.values)).toEqual([
      [100, 200, 300, null, null, null],
      [1, null, 3, null, null, null],
      [0.1, 0.2, 0.3, null, 0.5, 0.6],
      [30 * GB, 30 * GB, 30 * GB, null, 30 * GB, 30 * GB],
    ])
  })

  it('several nodes overlay, or become the band of all', async () => {
    const two = await place.ask<Series>('/series', { ...window, buckets: 6, node: 'node2,node1', metrics: 'cpu_busy' })
    expect(two.series.map(s => s.node)).toEqual(['node1', 'node2'])
    const band = await place.ask<Series>('/series', {
      ...window,
      buckets: 6,
      metrics: 'cpu_busy,cpu_iowait',
      band: true,
    })
    expect(band.series.map(s => [s.metric, s.band, s.node])).toEqual([
      ['cpu_busy', 'min', ''],
      ['cpu_busy', 'median', ''],
      ['cpu_busy', 'max', ''],
      ['cpu_iowait', 'min', ''],
      ['cpu_iowait', 'median', ''],
      ['cpu_iowait', 'max', ''],
    ])
    // node1, node2, node3, node10: the median of four is between the middle two.
    expect(band.series[1]?.values.map(v => v && Number(v.toFixed(3)))).toEqual([0.25, 0.3, 0.4, 0.65, 0.5, 0.6])
    expect(band.series[2]?.values).toEqual([0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
    expect(band.series[4]?.values).toEqual([null, null, null, null, null, null])
  })

  it('buckets are no finer than the ticks', async () => {
    const answer = await place.ask<Series>('/series', { ...window, node: 'node1', metrics: 'cpu_busy', buckets: 4000 })
    expect(answer.bucketMs).toBe(10_000)
  })

  it('a bucket holds the mean of its ticks', async () => {
    const answer = await place.ask<Series>('/series', { ...window, node: 'node1', metrics: 'cpu_busy', buckets: 2 })
    expect(answer.series[0]?.values).toEqual([0.2, 0.55])
  })

  it('refuses what it cannot answer, and says why', async () => {
    expect((await place.refusal('/series')).message).toBe('parameter metrics is missing')
    expect((await place.refusal('/series', { metrics: ',' })).message).toContain('/catalogue')
    expect((await place.refusal('/series', { metrics: 'disk.nothing' })).status).toBe(404)
    expect((await place.refusal('/series', { metrics: 'cpu_busy', pid: 1 })).message).toContain('/process')
    expect((await place.refusal('/series', { metrics: 'cpu_busy', from: 10, to: 5 })).message).toContain(
      'later than from',
    )
    expect((await place.refusal('/series', { metrics: 'cpu_busy', from: 0, to: T0 })).message).toContain(
      'at most 400 days',
    )
    expect((await place.refusal('/series', { metrics: 'cpu_busy', form: 1 })).message).toContain(
      'parameter form is not known',
    )
  })
})

describe('nodes', () => {
  it('newest values, hottest first, silent ones last, with who burns them', async () => {
    const { nodes } = await place.ask<Nodes>('/nodes', { metrics: 'cpu_busy,memory_used' })
    expect(nodes.map(n => [n.node, n.state, n.values.cpu_busy])).toEqual([
      ['node2', 'up', 0.9],
      ['node1', 'up', 0.6],
      ['node3', 'up', 0.4],
      ['node10', 'silent', 0],
      ['node99', 'silent', null],
    ])
    expect(nodes[1]).toMatchObject({
      lastSeen: T0 + MINUTE,
      schedulerState: 'mixed',
      cores: 8,
      values: { cpu_busy: 0.6, memory_used: 30 * GB },
      jobs: [{ id: '5_1', user: 'ann' }],
      topProcess: { pid: 7, start: 70, name: 'a.out', user: 'ann', cores: 2 },
    })
    expect(nodes[4]).toMatchObject({ cores: 16, schedulerState: 'down', topProcess: null, topFunction: null })
    const sorted = await place.ask<Nodes>('/nodes', { sort: 'memory_used', limit: 2, top: 0 })
    expect(sorted.nodes.map(n => [n.node, n.topProcess])).toEqual([
      ['node2', null],
      ['node1', null],
    ])
  })

  it('one node, with what it has', async () => {
    const node = await place.ask<NodeDetail>('/nodes/node1', window)
    expect(node).toMatchObject({ node: 'node1', state: 'up', record: { schedulerState: 'mixed' } })
    expect(node.instances).toMatchObject({ core: ['0', '2', '10'], disk: ['vda', 'vdb'], interface: [] })
    expect((await place.refusal('/nodes/node7')).message).toMatch(/^node node7 is not known\. Known: node1, /)
  })

  it('the cluster in a line', async () => {
    const { clusters } = await place.ask<Clusters>('/clusters')
    expect(clusters).toEqual([
      {
        cluster: 'alpha',
        simulated: false,
        nodes: 5,
        nodesUp: 3,
        nodesBusy: 3,
        cores: 48,
        coresBusy: (0.6 + 0.9 + 0.4) * 8,
        coresAllocated: 12,
        memoryBytes: 345 * GB,
        memoryUsedBytes: 60 * GB,
        jobsRunning: 1,
        jobsQueued: 1,
        lastSeen: T0 + MINUTE,
      },
    ])
  })

  it('the catalogue says what there is', async () => {
    const { metrics } = await place.ask<Catalogue>('/catalogue')
    const there = metrics.filter(m => m.there).map(m => `${m.entity}.${m.column}`)
    expect(there).toContain('node.cpu_busy')
    expect(there).toContain('disk.utilization')
    expect(there).not.toContain('node.swap_in')
  })

  it('a scope without a cluster is of the one heard from last', async () => {
    await place.write('node_points', [
      { cluster: 'omega', node: 'o1', time: (T0 + 50 * SECOND) / 1000, interval_ms: 10_000, cpu_busy: 1 },
    ])
    place.clock.now += 10 * SECOND
    await place.restore()
    expect((await place.ask<Heatmap>('/heatmap', window)).cluster).toBe('alpha')
    await place.write('node_points', [
      { cluster: 'omega', node: 'o1', time: (T0 + 70 * SECOND) / 1000, interval_ms: 10_000, cpu_busy: 1 },
    ])
    place.clock.now += 10 * SECOND
    await place.restore()
    expect((await place.ask<Heatmap>('/heatmap', window)).cluster).toBe('omega')
  })
})

const rounded = (rows: (number | null)[][]) => rows.map(row => row.map(v => (v === null ? null : Number(v.toFixed(4)))))
