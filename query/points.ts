/** Metrics by name, and the SQL that turns rows of a table of points into values on a grid. */
import { COLUMNS, ENTITIES, type Entity, findMetric, METRICS, type Metric } from '../ingest/metrics.ts'
import { pointsTable, ROLLUP_SECONDS, type Rollup, rollupTable } from '../ingest/tables/points.ts'
import { hint, notFound } from './errors.ts'
import { and, column, list, type Sql, sql, whole } from './sql.ts'
import type { Grid, Window } from './window.ts'

const isEntity = (name: string): name is Entity => Object.hasOwn(ENTITIES, name)
export const ENTITY_NAMES: readonly Entity[] = Object.keys(ENTITIES).filter(isEntity)

/** `cpu_user` is the node's; `core.cpu_user` that of each core. */
export function metricNamed(name: string, entity = 'node'): Metric {
  const dot = name.indexOf('.')
  const of = dot < 0 ? entity : name.slice(0, dot)
  const wanted = name.slice(dot + 1)
  if (!isEntity(of)) throw notFound(`entity ${of} is not known.${hint(of, ENTITY_NAMES, 'entity')}`)
  const metric = findMetric(of, wanted)
  if (metric) return metric
  const known = of === 'node' ? COLUMNS.node.map(m => m.column) : METRICS.map(nameOf)
  throw notFound(`metric ${name} is not known.${hint(name, known, 'metric')}`)
}

export const nameOf = (metric: Metric): string =>
  metric.entity === 'node' ? metric.column : `${metric.entity}.${metric.column}`

/** How many instances a node has of an entity, near enough to choose a table by. */
export const usualInstances = (entity: Entity): number => (entity === 'node' ? 1 : entity === 'core' ? 64 : 4)

export const tableOf = (entity: Entity, rollup: Grid['rollup']): Sql =>
  column({ column: rollup === '' ? pointsTable(entity) : rollupTable(entity, rollup) })

const suffixed = (metric: Metric, suffix: string): Sql => column({ column: `${metric.column}_${suffix}` })

/** One value of a bucket, in the metric's unit; NULL where the bucket has none. */
export function bucketValue(metric: Metric, rollup: Grid['rollup']): Sql {
  const name = column(metric)
  if (rollup === '') {
    const value = { avg: sql`avg(${name})`, max: sql`max(${name})`, last: sql`argMax(${name}, time)` }[metric.overTime]
    return sql`${value} / ${metric.scale}`
  }
  const sum = suffixed(metric, 'sum')
  const count = suffixed(metric, 'count')
  const value = {
    avg: sql`if(sum(${count}) = 0, NULL, sum(${sum}) / sum(${count}))`,
    max: sql`max(${suffixed(metric, 'max')})`,
    last: sql`argMax(if(${count} = 0, NULL, ${sum} / ${count}), time)`,
  }[metric.overTime]
  return sql`${value} / ${metric.scale}`
}

/**
 * All values of a row over the grid as one list, nan where a bucket has none; `bucket` is a column. One pass over rows that
 * have the metric, with a slot a bucket, costs half of grouping by bucket and then gathering.
 */
export function cellsOf(metric: Metric, grid: Grid): Sql {
  const each = sql`Resample(0, ${whole(grid.count)}, 1)`
  const counts = grid.rollup === '' ? sql`count${each}(bucket)` : sql`sum${each}(${suffixed(metric, 'count')}, bucket)`
  const name = grid.rollup === '' ? column(metric) : suffixed(metric, metric.overTime === 'max' ? 'max' : 'sum')
  const value = sql`assumeNotNull(${name})`
  const mean = grid.rollup === '' ? value : sql`${value} / ${suffixed(metric, 'count')}`
  const found = {
    avg: sql`sum${each}(${value}, bucket)`,
    max: sql`max${each}(${value}, bucket)`,
    last: sql`argMax${each}(${mean}, time, bucket)`,
  }[metric.overTime]
  const cell = metric.overTime === 'avg' ? sql`value / count` : sql`if(count = 0, nan, value)`
  return sql`arrayMap((value, count) -> toFloat32(${cell} / ${metric.scale}), ${found}, ${counts})`
}

/** The mean of all that cellsOf() shows. */
export function meanOf(metric: Metric, rollup: Grid['rollup']): Sql {
  const mean =
    rollup === ''
      ? sql`avg(${column(metric)})`
      : sql`sum(${suffixed(metric, 'sum')}) / sum(${suffixed(metric, 'count')})`
  return sql`${mean} / ${metric.scale}`
}

/** Rows that have the metric at all. */
const hasMetric = (metric: Metric, rollup: Grid['rollup']): Sql =>
  rollup === '' ? sql`isNotNull(${column(metric)})` : sql`${suffixed(metric, 'count')} > 0`

/** When a rollup has all that was measured until then: ingest writes the short ones soon after their end, hours in parts. */
const COMPLETE_AFTER: Readonly<Record<Rollup, number>> = { '5m': 90_000, '1h': 420_000 }

/** Until when a window is read from a rollup, and from the ticks after it. */
export function cutOf(rollup: Rollup, { from, to }: Window, nowMs: number): number {
  const bucketMs = ROLLUP_SECONDS[rollup] * 1000
  return Math.min(to, Math.max(from, Math.floor((nowMs - COMPLETE_AFTER[rollup]) / bucketMs) * bucketMs))
}

/**
 * What a question selects from: ticks, or a rollup and for its end the ticks, in the columns of the rollup.
 *
 *   |-------- rollup --------|-- ticks --|
 *   from                    cut          to
 */
export function rowsOf(
  metrics: readonly Metric[],
  grid: Grid,
  nowMs: number,
  where: (window: Window) => Sql,
  only?: Metric,
): Sql {
  const entity = metrics[0]?.entity ?? 'node'
  const { rollup } = grid
  const rowsIn = (finer: Grid['rollup'], window: Window) =>
    sql`${tableOf(entity, finer)} AS p WHERE ${and([where(window), only && hasMetric(only, finer)])}`
  if (rollup === '') return rowsIn('', grid)
  const cut = cutOf(rollup, grid, nowMs)
  const key = entity === 'node' ? sql`node, time` : sql`node, instance, time`
  const of = (parts: (metric: Metric) => Sql) => list([key, ...metrics.map(parts)])
  const added = of(
    m => sql`toInt64(p.${suffixed(m, 'sum')}) AS ${suffixed(m, 'sum')}, toUInt64(p.${suffixed(m, 'count')}) AS ${suffixed(m, 'count')},
      toInt64(p.${suffixed(m, 'max')}) AS ${suffixed(m, 'max')}`,
  )
  if (cut >= grid.to) return sql`(SELECT ${added} FROM ${rowsIn(rollup, grid)})`
  const single = of(
    m => sql`toInt64(p.${column(m)}) AS ${suffixed(m, 'sum')}, toUInt64(isNotNull(p.${column(m)})) AS ${suffixed(m, 'count')},
      toInt64(p.${column(m)}) AS ${suffixed(m, 'max')}`,
  )
  return sql`(SELECT ${added} FROM ${rowsIn(rollup, { from: grid.from, to: cut })}
      UNION ALL SELECT ${single} FROM ${rowsIn('', { from: cut, to: grid.to })})`
}

/** Number of the bucket that the end of a row falls into. */
export const bucketsOver = (grid: Grid): Sql =>
  sql`intDiv(toInt64(toUnixTimestamp(time)) - 1 - ${grid.from / 1000}, ${grid.bucketMs / 1000})`

/** The same of rows that have an interval: a tick longer than a bucket fills every bucket it covers, back from its end. */
export const bucketOf = (grid: Grid): Sql =>
  grid.rollup !== ''
    ? bucketsOver(grid)
    : sql`${bucketsOver(grid)} - arrayJoin(range(toUInt32(greatest(1, least(${grid.count}, intDiv(interval_ms + ${grid.bucketMs - 1}, ${grid.bucketMs}))))))`

/** The metric that holds what full means, where it is a column. */
export const fullMetric = (metric: Metric): Metric | undefined =>
  typeof metric.full === 'string' ? findMetric(metric.entity, metric.full) : undefined
