/** GET /series: many metrics on one time axis, a series a node and instance, or the band of all. */
import type { Entity, Metric } from '../ingest/metrics.ts'
import { ROLLUP_SECONDS } from '../ingest/tables/points.ts'
import type { Series } from './api.ts'
import { numbers, numbersOrNull, strings } from './asker.ts'
import type { SeriesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { badRequest } from './errors.ts'
import { readInterval } from './interval.ts'
import { natural } from './natural.ts'
import {
  bucketOf,
  bucketValue,
  cutOf,
  fullMetric,
  metricNamed,
  nameOf,
  rowsOf,
  tableOf,
  usualInstances,
} from './points.ts'
import { pointsOf, resolveScope, type Target } from './scope.ts'
import { column, list, type Sql, sql } from './sql.ts'
import { addUp, FEW_ROWS, oneAfterOther, rollupIn, selectRollup, selectTicks, ticksIn } from './ticks.ts'
import { type Grid, layGrid, type Window } from './window.ts'

type Line = Series['series'][number]

/** Values of one answer; a screen has some 10^4 points. */
const MAX_VALUES = 2_000_000
const MAX_METRICS = 100

export async function readSeries(desk: Desk, ask: SeriesAsk): Promise<Series> {
  const names = [...new Set(ask.metrics.split(',').filter(name => name !== ''))]
  if (names.length === 0) throw badRequest('metrics is empty: name some, like cpu_user,disk.read_bytes; see /catalogue')
  if (names.length > MAX_METRICS) throw badRequest(`${names.length} metrics are asked: ask at most ${MAX_METRICS}`)
  const metrics = names.map(name => metricNamed(name))
  if (ask.pid !== undefined) throw badRequest('series are of nodes: leave pid out, or ask /process for one process')
  const target = await resolveScope(desk.asker, desk.known, ask)
  const intervalMs = await readInterval(desk, target)
  const rowsPerTick = (await nodesIn(desk, target)) * Math.max(...metrics.map(metric => usualInstances(metric.entity)))
  const grid = layGrid(target, { buckets: ask.buckets ?? 300, intervalMs, rowsPerTick, nowMs: desk.asker.nowMs })
  const entities = [...new Set(metrics.map(metric => metric.entity))]
  const everyMs = grid.rollup === '' ? intervalMs : ROLLUP_SECONDS[grid.rollup] * 1000
  const few = ((grid.to - grid.from) / everyMs) * rowsPerTick <= FEW_ROWS
  const read = ask.band ? readBand : few ? readFew : readLines
  const found = await Promise.all(
    entities.map(entity =>
      read(
        desk,
        target,
        grid,
        entity,
        metrics.filter(metric => metric.entity === entity),
      ),
    ),
  )
  const place = new Map(names.map((name, i) => [name, i]))
  const order = (line: Line) => place.get(line.metric) ?? 0
  const series = found
    .flat()
    .sort((a, b) => order(a) - order(b) || natural(a.node, b.node) || natural(a.instance, b.instance))
  return { cluster: target.cluster, from: grid.from, to: grid.to, bucketMs: grid.bucketMs, series }
}

const nodesIn = async (desk: Desk, target: Target): Promise<number> =>
  target.nodes?.length ?? new Set((await desk.known.nodes(desk.asker, target.cluster)).values()).size

/** [[m0, f0], …]: value and, where full is a column, what full means, of every metric. */
const valuesOf = (metrics: readonly Metric[], grid: Grid): Sql[] =>
  metrics.flatMap(metric => {
    const full = fullMetric(metric)
    return [bucketValue(metric, grid.rollup), full ? bucketValue(full, grid.rollup) : sql`NULL`]
  })

async function readLines(desk: Desk, target: Target, grid: Grid, entity: Entity, metrics: Metric[]): Promise<Line[]> {
  const instance = entity === 'node' ? sql`''` : sql`instance`
  const [nodes, instances, buckets, ...values] = await desk.asker.columns(
    'series',
    sql`SELECT node, ${instance} AS instance, ${bucketOf(grid)} AS bucket, ${list(valuesOf(metrics, grid))}
        FROM ${rowsFor(desk, target, grid, metrics)}
        GROUP BY ${keyOf(entity)}, bucket HAVING bucket >= 0 ORDER BY node, instance, bucket
        LIMIT ${Math.ceil(MAX_VALUES / metrics.length) + 1}`,
  )
  const rows = (nodes ?? []).length
  if (rows * metrics.length > MAX_VALUES) {
    throw badRequest(`these series have over ${MAX_VALUES} values: ask fewer nodes, metrics or buckets, or band=true`)
  }
  const numbersOf = numbers(buckets)
  const names = strings(nodes)
  const of = strings(instances)
  // Rows of one line are neighbours.
  const starts = names.flatMap((name, i) => (i === 0 || name !== names[i - 1] || of[i] !== of[i - 1] ? [i] : []))
  return metrics.flatMap((metric, m) => {
    const cells = numbersOrNull(values[2 * m])
    const full = numbersOrNull(values[2 * m + 1])
    return starts.flatMap((start, s) => {
      const end = starts[s + 1] ?? rows
      const line = {
        ...emptyLine(metric, grid),
        node: names[start] ?? '',
        instance: of[start] ?? '',
        full: metric.full === 1 ? 1 : lastOf(full.slice(start, end)),
      }
      for (let i = start; i < end; i++) put(line.values, numbersOf[i], cells[i])
      return line.values.some(value => value !== null) ? [line] : []
    })
  })
}

/** The same from rows as they are, unless there are more than was thought. */
async function readFew(desk: Desk, target: Target, grid: Grid, entity: Entity, metrics: Metric[]): Promise<Line[]> {
  const rows = await readRows(desk, target, grid, entity, metrics)
  if (rows === undefined) return readLines(desk, target, grid, entity, metrics)
  return addUp(metrics, grid, rows).flatMap(({ node, instance: of, values, full }) =>
    metrics.flatMap((metric, m) => {
      const line = { ...emptyLine(metric, grid), node, instance: of, full: metric.full === 1 ? 1 : (full[m] ?? null) }
      values[m]?.forEach((value, bucket) => {
        put(line.values, bucket, value)
      })
      return line.values.some(value => value !== null) ? [line] : []
    }),
  )
}

/** Of a rollup, and for its end of the ticks; undefined: they are not few. */
async function readRows(desk: Desk, target: Target, grid: Grid, entity: Entity, metrics: Metric[]) {
  const instance = entity === 'node' ? sql`''` : sql`instance`
  const most = 4 * FEW_ROWS
  const cut = grid.rollup === '' ? grid.from : cutOf(grid.rollup, grid, desk.asker.nowMs)
  const rowsIn = (rollup: Grid['rollup'], window: Window) =>
    sql`${tableOf(entity, rollup)} AS p WHERE ${pointsOf(target, window, entity)}`
  const [added, ticks] = await Promise.all([
    cut > grid.from
      ? desk.asker.columns(
          'series',
          selectRollup(metrics, instance, rowsIn(grid.rollup, { from: grid.from, to: cut }), most),
        )
      : undefined,
    cut < grid.to
      ? desk.asker.columns('series', selectTicks(metrics, instance, rowsIn('', { from: cut, to: grid.to }), most))
      : undefined,
  ])
  if (Math.max(added?.[0]?.length ?? 0, ticks?.[0]?.length ?? 0) >= most) return undefined
  const [first, then] = [rollupIn(metrics, added ?? []), ticksIn(metrics, ticks ?? [])]
  return added === undefined ? then : oneAfterOther(first, then)
}

/** An instance that is '' for all would cost as much as one that is not. */
const keyOf = (entity: Entity): Sql => (entity === 'node' ? sql`node` : sql`node, instance`)

const rowsFor = (desk: Desk, target: Target, grid: Grid, metrics: readonly Metric[]): Sql => {
  const capacities = metrics.map(fullMetric).filter(metric => metric !== undefined)
  return rowsOf([...new Set([...metrics, ...capacities])], grid, desk.asker.nowMs, window =>
    pointsOf(target, window, metrics[0]?.entity),
  )
}

const BANDS = ['min', 'median', 'max'] as const

async function readBand(desk: Desk, target: Target, grid: Grid, entity: Entity, metrics: Metric[]): Promise<Line[]> {
  const instance = entity === 'node' ? sql`''` : sql`instance`
  const cells = metrics.map(metric => bucketValue(metric, grid.rollup))
  const named = list(cells.map((cell, i) => sql`${cell} AS ${VALUE[i] ?? sql`v`}`))
  const bands = list(cells.map((_, i) => BAND[i] ?? sql`NULL`))
  const [buckets, ...values] = await desk.asker.columns(
    'band',
    sql`SELECT bucket, ${bands} FROM (
          SELECT node, ${instance} AS instance, ${bucketOf(grid)} AS bucket, ${named}
          FROM ${rowsFor(desk, target, grid, metrics)} GROUP BY ${keyOf(entity)}, bucket
        ) WHERE bucket >= 0 GROUP BY bucket`,
  )
  const at = numbers(buckets)
  return metrics.flatMap((metric, m) =>
    BANDS.map((band, b) => {
      const line = { ...emptyLine(metric, grid), band, full: metric.full === 1 ? 1 : null }
      const cellsOf = numbersOrNull(values[BANDS.length * m + b])
      at.forEach((bucket, i) => {
        put(line.values, bucket, cellsOf[i])
      })
      return line
    }),
  )
}

/** v0, v1, …: names of the values of a band, as many as metrics can be asked. */
const VALUE = Array.from({ length: MAX_METRICS }, (_, i) => column({ column: `v${i}` }))
const BAND = VALUE.map(name => sql`min(${name}), quantileExactInclusive(0.5)(${name}), max(${name})`)

const emptyLine = (metric: Metric, grid: Grid): Line => ({
  metric: nameOf(metric),
  unit: metric.unit,
  node: '',
  instance: '',
  band: null,
  full: null,
  values: new Array<number | null>(grid.count).fill(null),
})

/** Seven digits are more than a screen shows and a third of the bytes. */
function put(values: (number | null)[], at: number | undefined, value: number | null | undefined): void {
  if (at === undefined || at < 0 || at >= values.length || value === null || value === undefined) return
  if (Number.isFinite(value)) values[at] = Number(value.toPrecision(7))
}

const lastOf = (values: readonly (number | null)[]): number | null => values.findLast(value => value !== null) ?? null
