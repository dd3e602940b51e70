/**
 * Values of metrics at a moment, for all rules of one entity from the same ticks: 200 rules over 1000 nodes are some five
 * questions for what came since the last round.
 */
import { type Entity, findMetric, type Metric } from '../../ingest/metrics.ts'
import type { Asker } from '../asker.ts'
import { fullMetric, tableOf } from '../points.ts'
import { within } from '../scope.ts'
import { column, sql } from '../sql.ts'
import { metricOf } from './figures.ts'
import { groupBy } from './groups.ts'
import { isLong, readLong } from './longwindows.ts'
import { looksAlone, type Noted } from './noted.ts'
import type { Recent } from './recent.ts'
import type { ReadyRule } from './rule.ts'
import type { How, Ticks } from './ticks.ts'

/** A value of one node, disk, GPU …, or of a job on a node where `job` is given. */
export interface Raw {
  node: string
  instance: string
  job?: string
  value: number | null
}

/** Where a round reads: what was read before is in `recent`. */
export interface Reading {
  asker: Asker
  recent: Recent
  cluster: string
  atMs: number
}

interface Watched {
  rule: ReadyRule
  metric: Metric
  full: Metric | undefined
}

/** Rules -> their values; rules that watch no metric are left out. Of rules of nodes only the values that are noted. */
export async function readPoints(
  reading: Reading,
  rules: readonly ReadyRule[],
  noted: (rule: ReadyRule) => Noted,
): Promise<Map<ReadyRule, Raw[]>> {
  const watched = rules.flatMap((rule): Watched[] => {
    const metric = metricOf(rule.metric ?? '')
    return metric ? [{ rule, metric, full: rule.share ? fullMetric(metric) : undefined }] : []
  })
  const [long, short] = [true, false].map(which => watched.filter(({ rule }) => isLong(rule) === which))
  const found = await Promise.all([
    ...[...groupBy(long ?? [], ({ metric, rule }) => `${metric.entity} ${rule.windowMs}`).values()].map(group =>
      readLong(reading, group),
    ),
    ...[...groupBy(short ?? [], ({ metric }) => metric.entity)].map(async ([entity, group]) => {
      const columns = group.flatMap(({ metric, full }) => [metric.column, ...(full ? [full.column] : [])])
      const ticks = await readTicks(reading, entity, columns, Math.max(...group.map(({ rule }) => rule.windowMs)))
      return group.map((of): [ReadyRule, Raw[]] => [of.rule, rawsOf(of, ticks, noted(of.rule))])
    }),
  ])
  return new Map(found.flat())
}

/** Columns of an entity as they are stored: scaled. */
export const readTicks = (
  { asker, recent, cluster, atMs }: Reading,
  entity: Entity,
  columns: readonly string[],
  windowMs: number,
): Promise<Ticks> =>
  recent.ticks(
    asker,
    {
      cluster,
      table: tableOf(entity, ''),
      instance: entity === 'node' ? sql`''` : sql`instance`,
      values: Object.fromEntries(columns.map(name => [name, sql`toFloat64(${column({ column: name })})`])),
    },
    windowMs,
    atMs,
  )

function rawsOf({ rule, metric, full }: Watched, ticks: Ticks, noted: Noted): Raw[] {
  const values = ticks.over(metric.column, howOf(rule), rule.windowMs)
  const fulls = full && ticks.over(full.column, 'avg', rule.windowMs)
  const scale = rule.test === 'absent' ? 1 : metric.scale
  const all = !looksAlone(rule)
  const raws: Raw[] = []
  for (const place of ticks.there(rule.windowMs)) {
    const whole = full && fulls ? (fulls[place] || Number.NaN) / full.scale : 1
    const value = (values[place] ?? Number.NaN) / scale / whole
    const node = ticks.nodes[place] ?? ''
    if (all || noted(value, node))
      raws.push({ node, instance: ticks.instances[place] ?? '', value: Number.isNaN(value) ? null : value })
  }
  return raws
}

const howOf = (rule: ReadyRule): How =>
  rule.test === 'absent' ? 'count' : rule.test === 'change' ? 'slope' : rule.aggregate

const DAY = 86_400_000

/** Who told the metric within a day: who can be missed. */
export async function readKnown({ asker, cluster, atMs }: Reading, rule: ReadyRule): Promise<Raw[]> {
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
