/** The newest values of each node, from memory. */
import { COLUMNS } from '../ingest/metrics.ts'
import type { Desk } from './desk.ts'

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

/** Heard from within three of its intervals, and what a batch may take on its way. */
export const isUp = (newest: Pick<Newest, 'timeMs' | 'intervalMs'>, nowMs: number): boolean =>
  newest.timeMs > nowMs - 3 * newest.intervalMs - 5000
