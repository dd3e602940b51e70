/** Since when a cluster was measured, and until when each node. */
import type { Asker } from './asker.ts'
import { sql } from './sql.ts'

/** First moment that the cluster was measured; null before. What a job did earlier nobody knows. */
export async function readFirst(asker: Asker, cluster: string): Promise<number | null> {
  const [row] = await asker.rows<{ hour: number; rows: number }>(
    'first measured',
    sql`SELECT toFloat64(min(toUnixTimestamp(time))) AS hour, toFloat64(count()) AS rows FROM node_points_1h WHERE cluster = ${cluster}`,
  )
  // Younger than the first rollup: the last hours hold all there is.
  const end = row && row.rows > 0 ? row.hour : Math.floor(asker.nowMs / 1000)
  const from = row && row.rows > 0 ? end - 3600 : end - 2 * 3600
  const [tick] = await asker.rows<{ ms: number; rows: number }>(
    'first tick',
    sql`SELECT min(toUnixTimestamp(time) * 1000. - interval_ms) AS ms, toFloat64(count()) AS rows FROM node_points
        WHERE cluster = ${cluster} AND time > toDateTime(${from}, 'UTC') AND time <= toDateTime(${end}, 'UTC')`,
  )
  if (tick && tick.rows > 0) return tick.ms
  return row && row.rows > 0 ? from * 1000 : null
}

export async function readLastSeen(asker: Asker, cluster: string): Promise<Map<string, number>> {
  const rows = await asker.rows<{ node: string; ms: number }>(
    'last seen',
    sql`SELECT node, toUnixTimestamp(max(time)) * 1000. AS ms FROM node_points_1h WHERE cluster = ${cluster} GROUP BY node`,
  )
  return new Map(rows.map(row => [row.node, Math.min(row.ms, asker.nowMs)]))
}
