/** Selectors -> samples of the store: ticks, or a rollup where the window is long, and series under their own names. */
import type { Metric } from '../../ingest/metrics.ts'
import { type Asker, numbers, strings } from '../asker.ts'
import { badRequest } from '../errors.ts'
import type { Known } from '../known.ts'
import { bucketValue, tableOf, usualInstances } from '../points.ts'
import { and, column, type Sql, sql } from '../sql.ts'
import type { Grid } from '../window.ts'
import type { Matcher } from './ast.ts'
import { condition, inside, metricConditions, seconds, type Windowed } from './conditions.ts'
import type { ReadSamples } from './evaluate.ts'
import { readJobs } from './jobs.ts'
import { instanceLabel, JOB_INFO, JOB_NODE, nameOf, resolveNames, sanitized } from './names.ts'
import { type Labels, NAME, type Samples } from './vector.ts'

/** Rows one selector may read, and samples it may give. */
const MOST_ROWS = 2_000_000
const MOST_SAMPLES = 5_000_000
const TICK_MS = 10_000
const DAY_MS = 86_400_000
/** Ticks are kept at least so long; before, the rollups are asked. */
const TICKS_KEPT_MS = 7 * DAY_MS
const HOUR_MS = 3_600_000

export function openSource(asker: Asker, known: Known): ReadSamples {
  return async (matchers, { fromMs, toMs, newestBeforeMs = fromMs }) => {
    const window = { from: Math.floor(fromMs), to: Math.ceil(toMs), newestBefore: newestBeforeMs }
    const named = await resolveNames(asker, matchers)
    const labels = matchers.filter(m => m.label !== NAME)
    const found = await Promise.all([
      ...named.catalogue.map(metric => readMetric(asker, known, metric, labels, window)),
      named.jobInfo ? readJobs(asker, labels, window, JOB_INFO) : [],
      named.jobNode ? readJobs(asker, labels, window, JOB_NODE) : [],
      named.series.length > 0 ? readSeries(asker, named.series, labels, window) : [],
    ])
    const all = found.flat()
    const count = all.reduce((sum, { times }) => sum + times.length, 0)
    if (count > MOST_SAMPLES)
      throw badRequest('the query reads too many samples: choose a shorter window or fewer series')
    return all
  }
}

/** The finest table that is not too long for this window. */
export async function tableFor(
  asker: Asker,
  known: Known,
  metric: Metric,
  labels: readonly Matcher[],
  { from, to }: Windowed,
): Promise<Grid['rollup']> {
  const one = labels.some(m => m.label === 'node' && m.op === '=')
  const clusters = one ? [] : [...(await known.clusters(asker)).keys()]
  const nodes = await Promise.all(clusters.map(cluster => known.nodes(asker, cluster)))
  const count = one ? 1 : nodes.reduce((sum, names) => sum + new Set(names.values()).size, 0)
  const ticks = ((to - from) / TICK_MS) * count * usualInstances(metric.entity)
  if (ticks / 30 > MOST_ROWS) return '1h'
  return ticks > MOST_ROWS || from < asker.nowMs - TICKS_KEPT_MS ? '5m' : ''
}

async function readMetric(
  asker: Asker,
  known: Known,
  metric: Metric,
  labels: readonly Matcher[],
  window: Windowed,
): Promise<Samples[]> {
  const conditions = metricConditions(metric, labels)
  if (conditions === undefined) return []
  const rollup = await tableFor(asker, known, metric, labels, window)
  const columns = await asker.columns('promql samples', samplesOf(metric, rollup, window, conditions))
  const [clusters, nodes, instances] = [strings(columns[0]), strings(columns[1]), strings(columns[2])]
  const start = startOf(window)
  return clusters.map((cluster, row) => {
    const samples = inOrder(start, cell(columns[3], row), cell(columns[4], row))
    const labelsOf = metricLabels(metric, cluster, nodes[row] ?? '', instances[row] ?? '')
    return { labels: labelsOf, ...(rollup === '1h' ? spread(samples) : samples) }
  })
}

/** What times are counted from: small numbers are half of the answer. */
const startOf = ({ from }: Windowed): number => Math.max(0, seconds(from))

/** cluster, node, instance, then of each of these its samples as two lists: seconds since the start, and values. */
function samplesOf(metric: Metric, rollup: Grid['rollup'], window: Windowed, conditions: readonly Sql[]): Sql {
  const key = metric.entity === 'node' ? sql`cluster, node` : sql`cluster, node, instance`
  const instance = metric.entity === 'node' ? sql`''` : sql`instance`
  const rows = sql`${tableOf(metric.entity, rollup)} WHERE ${and([inside(window), ...conditions])}`
  // A row of ticks is a sample as it is; parts of a rollup are added up first.
  const samples =
    rollup === ''
      ? sql`SELECT ${key}, time, assumeNotNull(${column(metric)}) / ${metric.scale} AS v FROM ${rows} AND isNotNull(${column(metric)})`
      : sql`SELECT ${key}, time, ${bucketValue(metric, rollup)} AS v FROM ${rows} GROUP BY ${key}, time HAVING v IS NOT NULL`
  const late = sql`t > ${Math.floor((window.newestBefore ?? 0) / 1000) - startOf(window)}`
  const allOf = (value: Sql, newest: Sql) =>
    sql`if(max(NOT (${late})), arrayPushFront(groupArrayIf(${value}, ${late}), ${newest}), groupArrayIf(${value}, ${late}))`
  return sql`SELECT cluster, node, ${instance} AS i,
      ${allOf(sql`t`, sql`maxIf(t, NOT (${late}))`)}, ${allOf(sql`v`, sql`argMaxIf(v, t, NOT (${late}))`)}
    FROM (SELECT ${key}, toInt32(toUnixTimestamp(time) - ${startOf(window)}) AS t, v FROM (${samples}) LIMIT ${MOST_SAMPLES + 1}) GROUP BY ${key}`
}

/** The store gives rows as they lie, and parts lie side by side. Times in ms, each once. */
function inOrder(start: number, given: readonly number[], values: number[]): { times: number[]; values: number[] } {
  const rises = given.every((second, i) => i === 0 || second > (given[i - 1] ?? 0))
  const time = (second: number | undefined) => (start + (second ?? 0)) * 1000
  if (rises) return { times: given.map(time), values }
  const order = given.map((_, i) => i).sort((a, b) => (given[a] ?? 0) - (given[b] ?? 0))
  const once = order.filter((at, i) => given[at] !== given[order[i + 1] ?? -1])
  return { times: once.map(at => time(given[at])), values: once.map(at => values[at] ?? Number.NaN) }
}

export function metricLabels(metric: Metric, cluster: string, node: string, instance: string): Labels {
  const labels = new Map([
    [NAME, nameOf(metric)],
    ['cluster', cluster],
    ['node', node],
  ])
  if (metric.entity !== 'node') labels.set(instanceLabel(metric.entity), instance)
  return labels
}

const cell = (column: unknown[] | undefined, row: number): number[] => {
  const values = column?.[row]
  return Array.isArray(values) ? (areNumbers(values) ? values : numbers(values)) : []
}

/** A list is of one type; integers of 64 bits are strings. */
const areNumbers = (values: unknown[]): values is number[] => typeof values[0] === 'number'

/** A mean of an hour holds all that hour: a sample each five minutes, so that no step falls between. */
function spread({ times, values }: { times: number[]; values: number[] }): { times: number[]; values: number[] } {
  const back = Array.from({ length: 12 }, (_, i) => HOUR_MS - (i + 1) * 300_000)
  return {
    times: times.flatMap(time => back.map(ms => time - ms)),
    values: values.flatMap(value => back.map(() => value)),
  }
}

/** Of a stored series: its attributes, and cluster and node where no attribute is called so. */
const attributeNamed = (label: string): Sql => {
  const attribute = sql`attributes[arrayFirst(k -> replaceRegexpAll(toString(k), '[^a-zA-Z0-9_]', '_') = ${label}, mapKeys(attributes))]`
  if (label !== 'cluster' && label !== 'node') return attribute
  return sql`if(${attribute} = '', toString(${label === 'node' ? sql`node` : sql`cluster`}), ${attribute})`
}

export const seriesConditions = (names: readonly string[], labels: readonly Matcher[]): Sql =>
  and([sql`name IN ${names}`, ...labels.map(m => condition(attributeNamed(m.label), m))])

export interface StoredSeries {
  id: string
  cluster: string
  node: string
  name: string
  attributes: Record<string, string>
}

export const MOST_SERIES = 20_000

export async function readSeriesRows(asker: Asker, where: Sql): Promise<StoredSeries[]> {
  const rows = await asker.rows<StoredSeries>(
    'promql series',
    sql`SELECT toString(series_id) AS id, toString(cluster) AS cluster, toString(node) AS node, toString(name) AS name, attributes
        FROM series WHERE ${where} LIMIT 1 BY series_id LIMIT ${MOST_SERIES + 1}`,
  )
  if (rows.length > MOST_SERIES)
    throw badRequest(`more than ${MOST_SERIES} series are meant: match fewer of their labels`)
  return rows
}

export function seriesLabels({ cluster, node, name, attributes }: StoredSeries): Labels {
  const labels = new Map([
    [NAME, sanitized(name)],
    ['cluster', cluster],
    ['node', node],
  ])
  for (const [attribute, value] of Object.entries(attributes)) {
    const label = attribute.replace(/[^a-zA-Z0-9_]/g, '_')
    if (value !== '' && (label === 'cluster' || label === 'node' || !labels.has(label))) labels.set(label, value)
  }
  return labels
}

async function readSeries(
  asker: Asker,
  names: readonly string[],
  labels: readonly Matcher[],
  { from, to }: Windowed,
): Promise<Samples[]> {
  const where = seriesConditions(names, labels)
  const [rows, columns] = await Promise.all([
    readSeriesRows(asker, where),
    asker.columns(
      'promql series samples',
      sql`SELECT toString(series_id), arrayMap(s -> s.1, arraySort(groupArray((toUnixTimestamp64Milli(time), value))) AS samples), arrayMap(s -> s.2, samples)
          FROM (SELECT series_id, time, value FROM series_points
                WHERE time > fromUnixTimestamp64Milli(${Math.max(0, from)}) AND time <= fromUnixTimestamp64Milli(${Math.max(0, to)})
                  AND series_id IN (SELECT series_id FROM series WHERE ${where}) LIMIT ${MOST_SAMPLES + 1})
          GROUP BY series_id`,
    ),
  ])
  const rowOf = new Map(strings(columns[0]).map((id, row) => [id, row]))
  return rows.flatMap(series => {
    const row = rowOf.get(series.id)
    if (row === undefined) return []
    return [{ labels: seriesLabels(series), times: cell(columns[1], row), values: cell(columns[2], row) }]
  })
}
