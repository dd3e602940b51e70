/**
 * Values of metrics over windows that are too long to keep their ticks in memory: the store works them out, all that share an
 * entity and a window in one question.
 */
import type { Metric } from '../../ingest/metrics.ts'
import { numbersOrNull, strings } from '../asker.ts'
import { fullMetric, tableOf } from '../points.ts'
import { within } from '../scope.ts'
import { column, list, type Sql, sql } from '../sql.ts'
import type { Raw, Reading } from './points.ts'
import type { ReadyRule } from './rule.ts'

const HOUR = 3_600_000
export const isLong = (rule: ReadyRule): boolean => rule.metric !== undefined && rule.windowMs > HOUR

/** Rules of one entity and window. */
export async function readLong(
  { asker, cluster, atMs }: Reading,
  group: readonly { rule: ReadyRule; metric: Metric }[],
): Promise<[ReadyRule, Raw[]][]> {
  const [first] = group
  if (!first) return []
  const { entity } = first.metric
  const wanted = new Map<string, Sql>()
  const places = group.map(({ rule, metric }) => {
    const key = `${metric.column} ${rule.test === 'change' || rule.test === 'absent' ? rule.test : rule.aggregate} ${rule.share ?? false}`
    if (!wanted.has(key)) wanted.set(key, windowValue(rule, metric))
    return [...wanted.keys()].indexOf(key)
  })
  const instance = entity === 'node' ? sql`''` : sql`instance`
  const [nodes, instances, ...values] = await asker.columns(
    `alert values of ${entity}`,
    sql`SELECT node, ${instance} AS instance, ${list([...wanted.values()])} FROM ${tableOf(entity, '')}
        WHERE cluster = ${cluster} AND ${within({ from: atMs - first.rule.windowMs, to: atMs })}
        GROUP BY ${entity === 'node' ? sql`node` : sql`node, instance`}`,
  )
  const [names, of] = [strings(nodes), strings(instances)]
  return group.map(({ rule }, i) => {
    const cells = numbersOrNull(values[places[i] ?? 0])
    return [rule, names.map((node, n) => ({ node, instance: of[n] ?? '', value: cells[n] ?? null }))]
  })
}

/** The window's value in the metric's unit, NULL where there is none. */
function windowValue(rule: ReadyRule, metric: Metric): Sql {
  const name = column(metric)
  if (rule.test === 'absent') return sql`toFloat64(count(${name}))`
  if (rule.test === 'change') {
    const at = (which: Sql) => sql`${which}If(toUnixTimestamp(time), isNotNull(${name}))`
    const seconds = sql`(${at(sql`max`)} - ${at(sql`min`)})`
    return sql`(argMax(${name}, time) - argMin(${name}, time)) / ${metric.scale} / nullIf(toFloat64(${seconds}), 0)`
  }
  const value = {
    avg: sql`avg(${name})`,
    max: sql`max(${name})`,
    min: sql`min(${name})`,
    last: sql`argMax(${name}, time)`,
  }[rule.aggregate]
  const full = rule.share ? fullMetric(metric) : undefined
  if (!full) return sql`${value} / ${metric.scale}`
  return sql`(${value} / ${metric.scale}) / nullIf(avg(${column(full)}) / ${full.scale}, 0)`
}
