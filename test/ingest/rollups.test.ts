import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { mendRollups } from '../../ingest/mend.ts'
import { COLUMNS, type Entity } from '../../ingest/metrics.ts'
import type { Store } from '../../ingest/store.ts'
import { ENTITY_NAMES, pointsTable, ROLLUPS, rollupTable } from '../../ingest/tables/points.ts'
import { type Metric, metricsProtobuf } from './otlp.ts'
import { freshStore, quiet, rows } from './place.ts'

const HOUR = 3_600_000
const START = Math.floor(Date.now() / HOUR) * HOUR - 2 * HOUR

/** One tick of three nodes with two disks each; some values are missing, some are negative nonsense, some are huge. */
function tick(timeMs: number, k: number): Uint8Array {
  return metricsProtobuf(
    ['n1', 'n2', 'n3'].map((node, n) => ({
      attributes: { 'host.name': node, 'jobsight.interval_ms': 10_000 },
      metrics: [
        ...((k + n) % 5 === 0 ? [] : [gauge('system.cpu.load_average.1m', ((k * 7919) % 997) / 10, {}, timeMs)]),
        gauge('system.memory.usage', 2 ** 52 + k * 4096, { 'system.memory.state': 'used' }, timeMs),
        gauge('jobsight.cpu.busy', (k % 100) / 100, {}, timeMs),
        ...['vda', 'vdb'].map(device =>
          gauge(
            'system.disk.io',
            ((k * 31) % 1009) - 3,
            { 'system.device': device, 'disk.io.direction': 'read' },
            timeMs,
          ),
        ),
      ],
    })),
  )
}
const gauge = (name: string, value: number, attributes: Record<string, string>, timeMs: number): Metric => ({
  name,
  gauge: [{ timeMs, asDouble: value, attributes }],
})

/** A rollup as it is, and as its points make it: a line a bucket. */
async function both(store: Store, entity: Entity, rollup: '5m' | '1h'): Promise<[string[], string[]]> {
  const keys = entity === 'node' ? 'cluster, node' : 'cluster, node, instance'
  const of = (make: (column: string) => string[]): string =>
    COLUMNS[entity]
      .flatMap(m => make(m.column))
      .map((expression, i) => `toString(${expression}) AS v${i}`)
      .join(', ')
  const seconds = rollup === '5m' ? 300 : 3600
  const have = await rows(
    store,
    `SELECT ${keys}, toUnixTimestamp(time) AS t, sum(rows) AS n, ${of(c => [`sum(${c}_sum)`, `sum(${c}_count)`, `max(${c}_max)`])}
     FROM ${rollupTable(entity, rollup)} GROUP BY ${keys}, t ORDER BY ${keys}, t`,
  )
  const want = await rows(
    store,
    `SELECT ${keys}, toInt64(ceil(toUnixTimestamp(time) / ${seconds}) * ${seconds}) AS t, count() AS n, ${of(c => [`sum(${c})`, `count(${c})`, `max(${c})`])}
     FROM ${pointsTable(entity)} GROUP BY ${keys}, t ORDER BY ${keys}, t`,
  )
  const lines = (found: unknown[]): string[] => found.map(row => JSON.stringify(row).replace(/"t":"?(\d+)"?/, '"t":$1'))
  return [lines(have), lines(want)]
}

async function expectEqual(store: Store): Promise<void> {
  for (const entity of ENTITY_NAMES) {
    for (const rollup of ROLLUPS) {
      const [have, want] = await both(store, entity, rollup)
      const wrong = want.findIndex((line, i) => line !== have[i])
      expect([entity, rollup, have.length, have[wrong]]).toEqual([entity, rollup, want.length, want[wrong]])
    }
  }
}

describe('rollups', () => {
  it('equal what the raw points give: every sum, count and max of every bucket', async () => {
    const store = await freshStore()
    let nowMs = START
    const ingest = await openIngest({
      store,
      log: quiet,
      defaultCluster: 'c',
      now: () => nowMs,
      config: { flushMs: 60_000 },
    })
    for (let k = 1; k <= 400; k += 1) {
      nowMs = START + k * 10_000
      await ingest.receive('metrics', tick(nowMs, k))
    }
    // A straggler of a bucket that is long over.
    await ingest.receive('metrics', tick(START + 605_000, 3))
    await ingest.close()
    const [have] = await both(store, 'node', '1h')
    expect(have).toHaveLength(6)
    await expectEqual(store)
    expect(await mendRollups(store, nowMs, quiet)).toBe(0)
  })

  it('wait where the store does not take them, and are whole once it does', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const store = await freshStore()
    let isFull = true
    const full: Store = {
      ...store,
      insert: (table, ...block) =>
        isFull && /_(?:5m|1h)$/.test(table) ? Promise.reject(new Error('no room')) : store.insert(table, ...block),
    }
    let nowMs = START
    const ingest = await openIngest({
      store: full,
      log: quiet,
      defaultCluster: 'c',
      now: () => nowMs,
      config: { flushMs: 0 },
    })
    const send = async (from: number, to: number): Promise<void> => {
      for (let k = from; k <= to; k++) {
        nowMs = START + k * 10_000
        await ingest.receive('metrics', tick(nowMs, k))
      }
    }
    await send(1, 30)
    nowMs += 60_000
    // Once to see that nothing was added since, and once to write.
    vi.advanceTimersByTime(20_000)
    await expect.poll(() => ingest.counters().failedRows, { timeout: 20_000 }).toBe(9)
    // A straggler of the buckets that were not taken.
    await ingest.receive('metrics', tick(START + 295_000, 7))
    await send(31, 40)
    isFull = false
    await ingest.close()
    await expectEqual(store)
  })

  it('are mended at the next start after a process died with what it had added up', async () => {
    const store = await freshStore()
    const nowMs = START + HOUR + 300_000
    // What it adds up goes nowhere, whenever it would write it.
    const dying: Store = {
      ...store,
      insert: (table, ...block) => (/_(?:5m|1h)$/.test(table) ? Promise.resolve() : store.insert(table, ...block)),
    }
    const dies = await openIngest({
      store: dying,
      log: quiet,
      defaultCluster: 'c',
      now: () => nowMs,
      config: { flushMs: 0 },
    })
    const ticks = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => tick(START + HOUR - 120_000 + (from + i) * 10_000, from + i))
    await Promise.all(ticks(1, 30).map(body => dies.receive('metrics', body)))
    expect(await rows(store, `SELECT count() AS n FROM ${pointsTable('disk')}`)).toEqual([{ n: '180' }])
    expect(await rows(store, 'SELECT count() AS n FROM disk_points_5m')).toEqual([{ n: '0' }])
    // Nothing is closed: the next one starts on what the database has.
    const ingest = await openIngest({
      store,
      log: quiet,
      defaultCluster: 'c',
      now: () => nowMs,
      config: { flushMs: 0 },
    })
    await expectEqual(store)
    await Promise.all(ticks(31, 40).map(body => ingest.receive('metrics', body)))
    await ingest.close()
    await expectEqual(store)
  })
})
