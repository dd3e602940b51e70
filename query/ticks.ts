/**
 * Few rows of ticks -> values of buckets, added up here. To plan a grouped question costs the store more than to read an hour
 * of a node: six metrics of it took 28 ms of CPU grouped there, and take 16 as rows.
 *
 *   rows       12:00:10  12:00:20  12:00:30 …        a row an instance and tick
 *   buckets   (12:00:00        12:00:30]             mean, highest or last, as the metric says
 */
import type { Metric } from '../ingest/metrics.ts'
import { numbers, numbersOrNull, strings } from './asker.ts'
import { fullMetric } from './points.ts'
import { column, list, type Sql, sql } from './sql.ts'
import type { Grid } from './window.ts'

/** So many rows are fewer than what is saved. */
export const FEW_ROWS = 8000

/** Of one node and instance: of each metric a value a bucket (null: none), and what full means at the end. */
interface Line {
  node: string
  instance: string
  values: (number | null)[][]
  full: (number | null)[]
}

const columnsOf = (metrics: readonly Metric[]): Metric[] => [
  ...new Set([...metrics, ...metrics.flatMap(metric => fullMetric(metric) ?? [])]),
]

/** `rows`: a table and its conditions. The answer is what addUp() takes. */
export const selectTicks = (metrics: readonly Metric[], instance: Sql, rows: Sql, most: number): Sql =>
  sql`SELECT node, ${instance} AS instance, toUnixTimestamp(time), interval_ms, ${list(columnsOf(metrics).map(column))} FROM ${rows} LIMIT ${most}`

export function addUp(metrics: readonly Metric[], grid: Grid, answer: readonly unknown[][]): Line[] {
  const [nodes, instances] = [strings(answer[0]), strings(answer[1])]
  const [ends, intervals] = [numbers(answer[2]), numbers(answer[3])]
  const columns = columnsOf(metrics)
  const values = columns.map((_, i) => numbersOrNull(answer[4 + i]))
  return linesOf(nodes, instances, ends).map(rows => {
    const covered = rows.map(row => ({ row, ...coveredBy((ends[row] ?? 0) * 1000, intervals[row] ?? 0, grid) }))
    const first = rows[0] ?? 0
    const scaled = (metric: Metric) => ({ metric, of: values[columns.indexOf(metric)] ?? [] })
    return {
      node: nodes[first] ?? '',
      instance: instances[first] ?? '',
      values: metrics.map(metric => bucketsOf(scaled(metric), covered, grid.count)),
      full: metrics.map(metric => {
        const full = fullMetric(metric)
        const last = full && rows.findLast(row => scaled(full).of[row] !== null)
        return full === undefined || last === undefined ? null : (scaled(full).of[last] ?? 0) / full.scale
      }),
    }
  })
}

/** Rows of each node and instance, by time. */
function linesOf(nodes: readonly string[], instances: readonly string[], ends: readonly number[]): number[][] {
  const lines = new Map<string, number[]>()
  for (const row of [...ends.keys()].sort((a, b) => (ends[a] ?? 0) - (ends[b] ?? 0))) {
    const key = `${nodes[row]}\0${instances[row]}`
    const line = lines.get(key)
    if (line === undefined) lines.set(key, [row])
    else line.push(row)
  }
  return [...lines.values()]
}

interface Covered {
  row: number
  first: number
  last: number
}

/** A tick longer than a bucket fills every bucket it covers, back from its end. */
function coveredBy(endMs: number, intervalMs: number, { from, bucketMs, count }: Grid): Omit<Covered, 'row'> {
  const last = Math.ceil((endMs - from) / bucketMs) - 1
  return {
    first: Math.max(0, last - Math.max(1, Math.ceil(intervalMs / bucketMs)) + 1),
    last: Math.min(last, count - 1),
  }
}

/** Rows by time, so that the last one stays. */
function bucketsOf(
  { metric, of }: { metric: Metric; of: readonly (number | null)[] },
  rows: readonly Covered[],
  count: number,
): (number | null)[] {
  const sums = new Array<number | null>(count).fill(null)
  const counts = new Array<number>(count).fill(0)
  for (const { row, first, last } of rows) {
    const value = of[row] ?? null
    if (value === null) continue
    for (let bucket = first; bucket <= last; bucket++) {
      const before = sums[bucket] ?? null
      counts[bucket] = (counts[bucket] ?? 0) + 1
      sums[bucket] = before === null ? value : joined[metric.overTime](before, value)
    }
  }
  return sums.map((sum, i) =>
    sum === null ? null : sum / (metric.overTime === 'avg' ? (counts[i] ?? 1) : 1) / metric.scale,
  )
}

const joined = {
  avg: (before: number, value: number) => before + value,
  max: Math.max,
  last: (_: number, value: number) => value,
}
