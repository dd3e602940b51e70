/** The newest values of each node, from memory. */
import { COLUMNS } from '../ingest/metrics.ts'
import type { Desk } from './desk.ts'
import { readOwn } from './jobplace.ts'
import { seesNode } from './reach.ts'

export interface Newest {
  node: string
  timeMs: number
  intervalMs: number
  /** By column of entity node, in the metric's unit; null where the newest ticks have none. */
  values: Map<string, number | null>
}

/** A job that ended just now: its last ticks are still the newest. */
const JUST_NOW = 120_000

/** Own jobs of the reader that run now, or did a moment ago. */
export const readOwnNow = ({ asker, known }: Pick<Desk, 'asker' | 'known'>, cluster: string) =>
  readOwn(asker, known, cluster, { from: asker.nowMs - JUST_NOW, to: asker.nowMs + 1 })

export async function readNewest(desk: Desk, cluster: string, node?: string): Promise<Newest[]> {
  const { latest } = desk
  const own = await readOwnNow(desk, cluster)
  const names = node === undefined ? latest.nodes(cluster) : [node]
  return names.flatMap(name => {
    const point = latest.node(cluster, name)
    if (!point || !seesNode(own, name, point.timeMs)) return []
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
