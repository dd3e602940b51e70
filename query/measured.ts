/** When and how much of a job was measured at all. */
import type { Asker } from './asker.ts'
import { type Sql, sql } from './sql.ts'

/** First moment that the cluster was measured; null before. What a job did earlier nobody knows. */
export async function readFirst(asker: Asker, cluster: string): Promise<number | null> {
  const [row] = await asker.rows<{ hour: number; rows: number }>(
    'first measured',
    sql`SELECT toFloat64(min(toUnixTimestamp(time))) AS hour, toFloat64(count()) AS rows FROM node_points_1h WHERE cluster = ${cluster}`,
  )
  if (!row || row.rows === 0) return null
  const inHour: Sql = sql`cluster = ${cluster} AND time > toDateTime(${row.hour - 3600}, 'UTC') AND time <= toDateTime(${row.hour}, 'UTC')`
  const [tick] = await asker.rows<{ ms: number; rows: number }>(
    'first tick',
    sql`SELECT min(toUnixTimestamp(time) * 1000. - interval_ms) AS ms, toFloat64(count()) AS rows FROM node_points WHERE ${inHour}`,
  )
  return tick && tick.rows > 0 ? tick.ms : (row.hour - 3600) * 1000
}
