/** Which metrics the page offers first, and what full means for them. Everything else of the catalogue is under "more". */
import type { Catalogue } from '../query/api.ts'
import { quantile } from './layout/heatmap.ts'
import type { Values } from './layout/series.ts'
import { term } from './words.ts'

/** In the order of the chips: saturation first. */
export const FIRST = [
  'cpu_busy',
  'cpu_system',
  'cpu_iowait',
  'memory_used',
  'memory_bandwidth_total',
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
  'fabric_receive_bytes',
  'fabric_transmit_bytes',
  'filesystem_read_bytes',
  'filesystem_write_bytes',
  'power_watts',
  'cpu_temperature',
]

export const DEFAULT_METRIC = 'cpu_busy'

export type CatalogueMetric = Catalogue['metrics'][number]

/** Short name; a metric that the page has no word for is called by its column. */
export const metricName = (column: string): string => term('metric', column)

/** Metrics of the nodes: those of FIRST that the cluster has, and the rest. */
export function nodeMetrics(catalogue: Catalogue | undefined): { first: CatalogueMetric[]; more: CatalogueMetric[] } {
  const all = (catalogue?.metrics ?? []).filter(m => m.entity === 'node' && m.there !== false)
  const first = FIRST.flatMap(column => all.find(m => m.column === column) ?? [])
  return { first, more: all.filter(m => !FIRST.includes(m.column)) }
}

export interface Fulls {
  readonly full: (row: number) => number
  /** What the legend tells: the largest. */
  readonly shown: number
  /** One for all rows, taken from the values. */
  readonly shared: boolean
}

/**
 * What full means for each row: what the server says of it (1 for a ratio, the node's own capacity); where there is none the
 * value that only 2 % pass, one for all rows.
 */
export function fullOf(
  unit: string,
  fulls: readonly (number | null)[] | undefined,
  rows: readonly { readonly values: Values }[],
): Fulls {
  const largest = Math.max(0, ...(fulls ?? []).map(f => f ?? 0))
  if (unit === 'ratio' && largest === 0) return { full: () => 1, shown: 1, shared: false }
  if (largest > 0) return { full: row => fulls?.[row] || largest, shown: largest, shared: false }
  const common =
    quantile(
      rows.map(r => r.values),
      0.98,
    ) || 1
  return { full: () => common, shown: common, shared: true }
}
