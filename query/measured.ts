/** Since when a cluster was measured, and until when each node; since when the store adds up functions of five minutes. */
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

/** The migrations that made functions_5m, of a day of what an older store had, and that made processes_5m tell all of them. */
const MADE_FUNCTIONS = 60
const MADE_PROCESSES = 76
const TAKEN_SECONDS = 86_400
/** A new store is brought to all versions at one start. */
const ONE_START_SECONDS = 600
/** By so much a collector's clock may be ahead. */
const AHEAD_SECONDS = 60

/** ms since which a table of five minutes has all that the one it is made of has; 0: always. */
export interface FivesSince {
  functions: number
  processes: number
}

export async function readFivesSince(asker: Asker): Promise<FivesSince> {
  const [row] = await asker.rows<{ first: number; functions: number; processes: number }>(
    'versions of the store',
    sql`SELECT toFloat64(toUnixTimestamp(min(applied))) AS first,
          toFloat64(toUnixTimestamp(maxIf(applied, version = ${MADE_FUNCTIONS}))) AS functions,
          toFloat64(toUnixTimestamp(maxIf(applied, version = ${MADE_PROCESSES}))) AS processes
        FROM schema_version`,
  )
  const since = (made: number, moved: number) =>
    row === undefined || made - row.first < ONE_START_SECONDS ? 0 : (made + moved) * 1000
  return {
    functions: since(row?.functions ?? 0, -TAKEN_SECONDS),
    processes: since(row?.processes ?? 0, AHEAD_SECONDS),
  }
}
