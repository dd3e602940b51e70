/**
 * Mends rollups after a process was killed between storing points and storing what it had added up: buckets whose row
 * counts differ from the points' are made again from the points, then hours from them.
 */
import type { Logger } from 'pino'
import type { Entity } from './metrics.ts'
import type { Store } from './store.ts'
import {
  ENTITY_NAMES,
  pointsTable,
  ROLLUP_SECONDS,
  ROLLUPS,
  type Rollup,
  rollupColumns,
  rollupKey,
  rollupSelect,
  rollupTable,
} from './tables/points.ts'

const BACK_SECONDS = 86_400

/** The answer is how many buckets were made anew. */
export async function mendRollups(store: Store, nowMs: number, log: Logger): Promise<number> {
  let mended = 0
  for (const entity of ENTITY_NAMES) {
    for (const rollup of ROLLUPS) {
      const wrong = await wrongBuckets(store, entity, rollup, nowMs)
      if (wrong.length === 0) continue
      await mend(store, entity, rollup, wrong)
      log.info({ table: rollupTable(entity, rollup), buckets: wrong.length }, 'ingest: rollup mended from the points')
      mended += wrong.length
    }
  }
  return mended
}

async function wrongBuckets(store: Store, entity: Entity, rollup: Rollup, nowMs: number): Promise<number[]> {
  const seconds = ROLLUP_SECONDS[rollup]
  const [finer, rows] = rollup === '5m' ? [pointsTable(entity), 'count()'] : [rollupTable(entity, '5m'), 'sum(rows)']
  // A whole hour at the far end: a bucket that is cut there would look wrong.
  const from = Math.floor((nowMs / 1000 - BACK_SECONDS) / 3600) * 3600
  const found = await store.query<{ bucket: number }>(
    {
      query: `SELECT bucket FROM (
          SELECT intDiv(toUnixTimestamp(time) - 1, ${seconds}) * ${seconds} + ${seconds} AS bucket, toInt64(${rows}) AS n
            FROM ${finer} WHERE time > fromUnixTimestamp({from:Int64}) GROUP BY bucket
          UNION ALL
          SELECT toUnixTimestamp(time) AS bucket, -toInt64(sum(rows)) AS n
            FROM ${rollupTable(entity, rollup)} WHERE time > fromUnixTimestamp({from:Int64}) GROUP BY bucket
        ) GROUP BY bucket HAVING sum(n) != 0 ORDER BY bucket`,
      query_params: { from },
    },
    { name: 'mend rollups', maxSeconds: 120 },
  )
  return found.map(f => Number(f.bucket))
}

async function mend(store: Store, entity: Entity, rollup: Rollup, buckets: readonly number[]): Promise<void> {
  const table = rollupTable(entity, rollup)
  const seconds = ROLLUP_SECONDS[rollup]
  const columns = rollupColumns(entity).map(c => c.name)
  for (let i = 0; i < buckets.length; i += 200) {
    const some = buckets.slice(i, i + 200)
    const [first, last] = [some[0] ?? 0, some.at(-1) ?? 0]
    await store.command(`DELETE FROM ${table} WHERE toUnixTimestamp(time) IN (${some.join(', ')})`)
    await store.command(
      `INSERT INTO ${table} (${columns.join(', ')}) ${rollupSelect(entity, rollup)}
       WHERE p.time > fromUnixTimestamp(${first - seconds}) AND p.time <= fromUnixTimestamp(${last})
         AND intDiv(toUnixTimestamp(p.time) - 1, ${seconds}) * ${seconds} + ${seconds} IN (${some.join(', ')})
       GROUP BY ${rollupKey(entity)}`,
    )
  }
}
