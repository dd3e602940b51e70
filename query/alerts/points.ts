/**
 * Values of metrics at a moment: for all rules of one entity and window one question. 200 rules over 1000 nodes are some ten
 * questions that read each row once.
 */
import { findMetric, type Metric } from '../../ingest/metrics.ts'
import { type Asker, numbersOrNull, strings } from '../asker.ts'
import { fullMetric, tableOf } from '../points.ts'
import { within } from '../scope.ts'
import { column, list, type Sql, sql } from '../sql.ts'
import { metricOf } from './check.ts'
import { groupBy } from './groups.ts'
import type { ReadyRule } from './rule.ts'

/** A value of one node, disk, GPU …, or of a job on a node where `job` is given. */
export interface Raw {
  node: string
  instance: string
  job?: string
  value: number | null
}

/** Rules -> their values; rules that watch no metric are left out. */
export async function readPoints(
  asker: Asker,
  cluster: string,
  rules: readonly ReadyRule[],
  atMs: number,
): Promise<Map<ReadyRule, Raw[]>> {
  const watched = rules.flatMap(rule => {
    const metric = metricOf(rule.metric ?? '')
    return metric ? [{ rule, metric }] : []
  })
  const groups = groupBy(watched, ({ rule, metric }) => `${metric.entity} ${rule.windowMs}`)
  const found = await Promise.all([...groups.values()].map(group => readGroup(asker, cluster, group, atMs)))
  return new Map(found.flat())
}

async function readGroup(
  asker: Asker,
  cluster: string,
  group: readonly { rule: ReadyRule; metric: Metric }[],
  atMs: number,
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

const DAY = 86_400_000

/** Who told the metric within a day: who can be missed. */
export async function readKnown(asker: Asker, cluster: string, rule: ReadyRule, atMs: number): Promise<Raw[]> {
  const metric = metricOf(rule.metric ?? '') ?? findMetric('node', 'cpu_busy')
  if (!metric) return []
  const { entity } = metric
  const instance = entity === 'node' ? sql`''` : sql`instance`
  const told = column({ column: `${metric.column}_count` })
  const rows = await asker.rows<{ node: string; of: string }>(
    'who told it',
    sql`SELECT toString(node) AS node, toString(${instance}) AS of FROM ${tableOf(entity, '1h')}
        WHERE cluster = ${cluster} AND ${within({ from: atMs - DAY, to: atMs + DAY / 24 })}
        GROUP BY node, of HAVING sum(${told}) > 0`,
  )
  return rows.map(row => ({ node: row.node, instance: row.of, value: null }))
}
