/** The newest values of each node, from memory, and when the nodes that fell silent were last heard of, from the store. */
import { COLUMNS } from '../ingest/metrics.ts'
import type { Asker } from './asker.ts'
import type { Desk } from './desk.ts'
import { nothing, type Sql, sql } from './sql.ts'

export interface Newest {
  node: string
  timeMs: number
  intervalMs: number
  /** By column of entity node, in the metric's unit; null where the newest ticks have none. */
  values: Map<string, number | null>
}

export function newestOf({ latest }: Desk, cluster: string, node?: string): Newest[] {
  const names = node === undefined ? latest.nodes(cluster) : [node]
  return names.flatMap(name => {
    const point = latest.node(cluster, name)
    if (!point) return []
    const values = new Map<string, number | null>()
    COLUMNS.node.forEach((metric, i) => {
      const value = point.values[i] ?? Number.NaN
      values.set(metric.column, Number.isNaN(value) ? null : value)
    })
    return [{ node: name, timeMs: point.timeMs, intervalMs: point.intervalMs, values }]
  })
}

const only = (node: string | undefined): Sql => (node === undefined ? nothing : sql`AND node = ${node}`)

/** To the hour: memory knows the nodes of the last hours exactly. */
export async function readLastSeen(asker: Asker, cluster: string, node?: string): Promise<Map<string, number>> {
  const rows = await asker.rows<{ node: string; ms: number }>(
    'last seen',
    sql`SELECT node, toUnixTimestamp(max(time)) * 1000. AS ms FROM node_points_1h WHERE cluster = ${cluster} ${only(node)} GROUP BY node`,
  )
  return new Map(rows.map(row => [row.node, Math.min(row.ms, asker.nowMs)]))
}

/** Heard from within three of its intervals, and what a batch may take on its way. */
export const isUp = (newest: Pick<Newest, 'timeMs' | 'intervalMs'>, nowMs: number): boolean =>
  newest.timeMs > nowMs - 3 * newest.intervalMs - 5000
