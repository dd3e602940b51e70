/** Few rows are added up here, many in the store: both give the same lines. */
import { beforeAll, describe, expect, it } from 'vitest'
import { rollupColumns, rollupKey, rollupSelect } from '../../ingest/tables/points.ts'
import type { Heatmap, Series } from '../../query/api.ts'
import { FEW_ROWS } from '../../query/ticks.ts'
import { openPlace, type Place, T0 } from './place.ts'

const NODES = 30
const TICKS = 300
const window = { from: T0, to: T0 + TICKS * 10_000 }

/** The same numbers every time. */
let state = 1
const random = (): number => {
  state = (state * 48_271) % 2_147_483_647
  return state / 2_147_483_647
}

/** Ticks of 10 s, now and then one that did not come: the next one speaks for its time too. Values are missing by themselves. */
const ticksOf = (node: string, columns: readonly string[], more: object = {}): object[] => {
  const rows: object[] = []
  let interval_ms = 10_000
  for (let tick = 1; tick <= TICKS; tick++) {
    if (random() < 0.1) {
      interval_ms += 10_000
      continue
    }
    const values = columns.flatMap(name => (random() < 0.1 ? [] : [[name, Math.round(random() * 1e6)]]))
    rows.push({
      cluster: 'alpha',
      node,
      time: T0 / 1000 + tick * 10,
      interval_ms,
      ...Object.fromEntries(values),
      ...more,
    })
    interval_ms = 10_000
  }
  return rows
}

const nodeName = (i: number): string => `node${i + 1}`
const METRICS =
  'cpu_busy,memory_used,cpu_count,gpu.utilization,gpu.memory_used,gpu.power_watts,disk.read_bytes,filesystem.stuck'

let place: Place
beforeAll(async () => {
  place = await openPlace()
  place.clock.now = window.to
  const names = Array.from({ length: NODES }, (_, i) => nodeName(i))
  const record = (node: string) => JSON.stringify({ cluster: 'alpha', node, updatedMs: T0 })
  await place.write(
    'nodes',
    [...names, 'busy'].map(node => {
      return { cluster: 'alpha', node, sender: 'ingest', record: record(node), updated_ms: T0 }
    }),
  )
  // Two blocks, so that rows of a node do not lie together.
  for (const half of [names.slice(0, 20), names.slice(20), names.slice(0, 3)]) {
    const at = half.length === 3 ? 5000 : 0
    const shifted = (rows: object[]) => rows.map(row => ({ ...row, time: (row as { time: number }).time - at }))
    await place.write(
      'node_points',
      half.flatMap(name => shifted(ticksOf(name, ['cpu_busy', 'memory_used', 'memory_total', 'cpu_count']))),
    )
    const instances = (table: string, of: string[], columns: string[]) =>
      place.write(
        table,
        half.flatMap(name => of.flatMap(instance => shifted(ticksOf(name, columns, { instance })))),
      )
    await instances('gpu_points', ['gpu0', 'gpu1'], ['utilization', 'memory_used', 'memory_total', 'power_watts'])
    await instances('disk_points', ['vda', 'vdb'], ['read_bytes'])
    await instances('filesystem_points', ['/'], ['stuck'])
  }
  for (const entity of ['node', 'gpu', 'disk', 'filesystem'] as const) {
    const columns = rollupColumns(entity).map(c => c.name)
    await place.store.command(
      `INSERT INTO ${entity}_points_5m (${columns.join(', ')}) ${rollupSelect(entity, '5m')} GROUP BY ${rollupKey(entity)}`,
    )
  }
})

describe.each([25, 60, 150, 300])('%i buckets', buckets => {
  it('are the same for a node asked alone and for one of many', async () => {
    expect(NODES * TICKS).toBeGreaterThan(FEW_ROWS)
    const all = await place.ask<Series>('/series', { ...window, metrics: METRICS, buckets })
    for (const node of [nodeName(0), nodeName(7), nodeName(29)]) {
      const one = await place.ask<Series>('/series', { ...window, metrics: METRICS, buckets, node })
      expect(one.bucketMs).toBe(all.bucketMs)
      expect(one.series.length).toBeGreaterThanOrEqual(10)
      expect(one.series).toEqual(all.series.filter(line => line.node === node))
    }
  })
})

describe.each([3, 6, 10])('%i buckets of a rollup, and of the ticks after it', buckets => {
  it('are the same as the store adds up for a heat map', async () => {
    const names = [nodeName(0), nodeName(7), nodeName(29)]
    const asked = { ...window, buckets, node: names.join(',') }
    const { series, bucketMs } = await place.ask<Series>('/series', { ...asked, metrics: METRICS })
    for (const metric of METRICS.split(',')) {
      const map = await place.ask<Heatmap>('/heatmap', { ...asked, metric })
      expect(map.bucketMs).toBe(bucketMs)
      const lines = series.filter(line => line.metric === metric)
      expect(lines.map(line => (line.instance === '' ? line.node : `${line.node}/${line.instance}`)).sort()).toEqual(
        [...map.nodes].sort(),
      )
      for (const { node, instance, values } of lines) {
        const row = map.rows[map.nodes.indexOf(instance === '' ? node : `${node}/${instance}`)] ?? []
        expect(values.filter(value => value !== null).length).toBeGreaterThan(2)
        // A heat map has seven digits.
        expect(values.map(value => value !== null)).toEqual(row.map(value => value !== null))
        values.forEach((value, i) => {
          if (value) expect((row[i] ?? 0) / value).toBeCloseTo(1, 5)
        })
      }
    }
  })
})

it('a node that wrote more than was thought is answered all the same', async () => {
  const rows = Array.from({ length: 4 * FEW_ROWS + 10 }, (_, i) => ({
    ...{ cluster: 'alpha', node: 'busy', interval_ms: 10_000, cpu_busy: 5000 },
    time: T0 / 1000 + 1 + (i % 3000),
  }))
  await place.write('node_points', rows)
  const { series } = await place.ask<Series>('/series', { ...window, metrics: 'cpu_busy', buckets: 300, node: 'busy' })
  expect(series.map(line => new Set(line.values))).toEqual([new Set([0.5])])
})
