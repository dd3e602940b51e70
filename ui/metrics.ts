/** Which metrics the page offers first, and what full means for them. Everything else of the catalogue is under "more". */
import type { Catalogue, NodeSummary } from '../query/api.ts'
import { quantile } from './layout/heatmap.ts'
import type { Values } from './layout/series.ts'
import { term } from './words.ts'

/** In the order of the chips: saturation first. */
export const FIRST = [
  'cpu_busy',
  'cpu_system',
  'cpu_iowait',
  'memory_used',
  'memory_bandwidth',
  'gpu_utilization',
  'load_1m',
  'pressure_cpu_some',
  'pressure_memory_some',
  'pressure_io_some',
  'disk_utilization',
  'disk_read_bytes',
  'disk_write_bytes',
  'network_receive_bytes',
  'network_transmit_bytes',
  'power',
]

export const DEFAULT_METRIC = 'cpu_busy'

export type CatalogueMetric = Catalogue['metrics'][number]

/** Short name; a metric that the page has no word for is called by its column. */
export const metricName = (column: string): string => term('metric', column)

/** Metrics of the nodes: those of FIRST that the cluster has, and the rest. */
export function nodeMetrics(catalogue: Catalogue | undefined): { first: CatalogueMetric[]; more: CatalogueMetric[] } {
  const all = (catalogue?.metrics ?? []).filter(m => m.entity === 'node')
  const first = FIRST.flatMap(column => all.find(m => m.column === column) ?? [])
  return { first, more: all.filter(m => !FIRST.includes(m.column)) }
}

/**
 * What full means for each row: 1 for a ratio, the node's own capacity, or where there is none the value that only 2 % pass,
 * one for all rows.
 */
export function fullOf(
  metric: CatalogueMetric | undefined,
  rows: readonly { readonly name: string; readonly values: Values }[],
  nodes: ReadonlyMap<string, NodeSummary>,
): { full: (row: number) => number; shown: number; shared: boolean } {
  const fallback = quantile(
    rows.map(r => r.values),
    0.98,
  )
  const common = fallback > 0 ? fallback : 1
  if (metric === undefined || metric.full === null) return { full: () => common, shown: common, shared: true }
  if (typeof metric.full === 'number') {
    const full = metric.full
    return { full: () => full, shown: full, shared: false }
  }
  const column = metric.full
  const capacities = rows.map(r => nodes.get(r.name)?.values[column] ?? 0)
  const largest = Math.max(0, ...capacities)
  if (largest === 0) return { full: () => common, shown: common, shared: true }
  return { full: row => capacities[row] || largest, shown: largest, shared: false }
}
