/**
 * Few rows of ticks, or of a rollup, -> values of buckets, added up here. To plan a grouped question costs the store more than
 * to read an hour of a node: six metrics of it took 28 ms of CPU grouped there, and take 16 as rows.
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

/** The same of a rollup: of each metric what it adds up over time, and of how many ticks it is. */
export const selectRollup = (metrics: readonly Metric[], instance: Sql, rows: Sql, most: number): Sql =>
  sql`SELECT node, ${instance} AS instance, toUnixTimestamp(time), 0, ${list(columnsOf(metrics).flatMap(addedOf))} FROM ${rows} LIMIT ${most}`

function addedOf(metric: Metric): Sql[] {
  const of = (what: string) => column({ column: `${metric.column}_${what}` })
  const count = of('count')
  const added = { avg: of('sum'), max: of('max'), last: sql`if(${count} = 0, NULL, ${of('sum')} / ${count})` }
  return [added[metric.overTime], count]
}

/** Rows as parallel lists, with a list of values a column. */
interface Rows {
  nodes: string[]
  instances: string[]
  /** Seconds. */
  ends: number[]
  intervals: number[]
  columns: Values[]
}

interface Values {
  values: (number | null)[]
  /** Ticks behind each; undefined: one. */
  counts?: number[]
}

export const ticksIn = (metrics: readonly Metric[], answer: readonly unknown[][]): Rows =>
  rowsIn(
    answer,
    columnsOf(metrics).map((_, i) => ({ values: numbersOrNull(answer[4 + i]) })),
  )

export const rollupIn = (metrics: readonly Metric[], answer: readonly unknown[][]): Rows =>
  rowsIn(
    answer,
    columnsOf(metrics).map((_, i) => {
      const counts = numbers(answer[5 + 2 * i])
      return {
        values: numbersOrNull(answer[4 + 2 * i]).map((value, row) => (counts[row] === 0 ? null : value)),
        counts,
      }
    }),
  )

const rowsIn = (answer: readonly unknown[][], columns: Values[]): Rows => ({
  nodes: strings(answer[0]),
  instances: strings(answer[1]),
  ends: numbers(answer[2]),
  intervals: numbers(answer[3]),
  columns,
})

/** Of a rollup, and of the ticks after it. */
export const oneAfterOther = (a: Rows, b: Rows): Rows => ({
  nodes: [...a.nodes, ...b.nodes],
  instances: [...a.instances, ...b.instances],
  ends: [...a.ends, ...b.ends],
  intervals: [...a.intervals, ...b.intervals],
  columns: a.columns.map((column, i) => ({
    values: [...column.values, ...(b.columns[i]?.values ?? [])],
    counts: [...countsOf(column), ...countsOf(b.columns[i])],
  })),
})

const countsOf = (column: Values | undefined): number[] => column?.counts ?? column?.values.map(() => 1) ?? []

export function addUp(
  metrics: readonly Metric[],
  grid: Grid,
  { nodes, instances, ends, intervals, columns }: Rows,
): Line[] {
  const places = columnsOf(metrics)
  return linesOf(nodes, instances, ends).map(rows => {
    const covered = rows.map(row => ({ row, ...coveredBy((ends[row] ?? 0) * 1000, intervals[row] ?? 0, grid) }))
    const first = rows[0] ?? 0
    const columnOf = (metric: Metric) => columns[places.indexOf(metric)] ?? { values: [] }
    return {
      node: nodes[first] ?? '',
      instance: instances[first] ?? '',
      values: metrics.map(metric => bucketsOf(metric, columnOf(metric), covered, grid.count)),
      full: metrics.map(metric => {
        const full = fullMetric(metric)
        const last = full && rows.findLast(row => columnOf(full).values[row] !== null)
        return full === undefined || last === undefined ? null : (columnOf(full).values[last] ?? 0) / full.scale
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
  metric: Metric,
  { values, counts: behind }: Values,
  rows: readonly Covered[],
  count: number,
): (number | null)[] {
  const sums = new Array<number | null>(count).fill(null)
  const counts = new Array<number>(count).fill(0)
  for (const { row, first, last } of rows) {
    const value = values[row] ?? null
    if (value === null) continue
    for (let bucket = first; bucket <= last; bucket++) {
      const before = sums[bucket] ?? null
      counts[bucket] = (counts[bucket] ?? 0) + (behind?.[row] ?? 1)
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
