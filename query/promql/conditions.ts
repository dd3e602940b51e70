/** Label matchers and windows as conditions of SQL. */
import type { Metric } from '../../ingest/metrics.ts'
import { type Sql, sql } from '../sql.ts'
import type { Matcher } from './ast.ts'
import { instanceLabel, testOf } from './names.ts'

export interface Windowed {
  from: number
  to: number
  /** Of what lies before it only the newest sample of a series is wanted. */
  newestBefore?: number
}

export const seconds = (ms: number): number => Math.floor(ms / 1000)
export const inside = ({ from, to }: Windowed): Sql =>
  sql`time > toDateTime(${Math.max(0, seconds(from))}, 'UTC') AND time <= toDateTime(${Math.max(0, seconds(to))}, 'UTC')`

/** A matcher as a condition; patterns run in the database, whose engine (RE2) is Prometheus' own. */
export function condition(value: Sql, { op, value: wanted }: Matcher): Sql {
  if (op === '=') return sql`${value} = ${wanted}`
  if (op === '!=') return sql`${value} != ${wanted}`
  const matches = sql`match(${value}, ${`^(?s:${wanted})$`})`
  return op === '=~' ? matches : sql`NOT ${matches}`
}

/** Conditions on rows of points; undefined where a label that they do not have is asked for. */
export function metricConditions(metric: Metric, labels: readonly Matcher[]): Sql[] | undefined {
  const columns = new Map([
    ['cluster', sql`cluster`],
    ['node', sql`node`],
    [instanceLabel(metric.entity), sql`instance`],
  ])
  columns.delete('')
  if (labels.some(m => !columns.has(m.label) && !testOf(m)(''))) return undefined
  return labels.flatMap(m => {
    const column = columns.get(m.label)
    return column === undefined ? [] : [condition(sql`toString(${column})`, m)]
  })
}
