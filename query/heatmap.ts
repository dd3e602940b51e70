/** GET /heatmap: rows (nodes, or instances of one) down, time across. */
import type { Metric } from '../ingest/metrics.ts'
import type { Heatmap } from './api.ts'
import { numbersOrNull, strings } from './asker.ts'
import type { HeatmapAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { badRequest } from './errors.ts'
import { readInterval } from './interval.ts'
import { natural } from './natural.ts'
import {
  bucketOf,
  bucketValue,
  cellsOf,
  fullMetric,
  meanOf,
  metricNamed,
  nameOf,
  rowsOf,
  usualInstances,
} from './points.ts'
import { ownJobs } from './reach.ts'
import { pointsOf, resolveScope, type Target } from './scope.ts'
import { and, sql } from './sql.ts'
import { type Grid, layGrid, type Window } from './window.ts'

export interface Row<V = (number | null)[]> {
  node: string
  instance: string
  mean: number | null
  full: number | null
  values: V
}

/** As JSON: the values are the store's own text, since to read and write 300,000 numbers costs more than to find them. */
export async function writeHeatmap(desk: Desk, ask: HeatmapAsk): Promise<string> {
  const metric = metricNamed(ask.metric ?? 'cpu_busy', ask.entity ?? 'node')
  if (ask.pid !== undefined) throw badRequest('a heat map is of nodes: leave pid out, or ask /process for one process')
  const target = await resolveScope(desk.asker, desk.known, ask)
  const everyone = await nodesOf(desk, target)
  const grid = layGrid(target, {
    buckets: ask.buckets ?? 300,
    intervalMs: await readInterval(desk, target),
    rowsPerTick: everyone.length * usualInstances(metric.entity),
    nowMs: desk.asker.nowMs,
  })
  const rows = await readTexts(desk, target, metric, grid)
  if (metric.entity === 'node') addSilent(rows, everyone, grid)
  const jobs = ask.order === 'job' ? await jobsOfNodes(desk, target) : new Map<string, string>()
  const sorted = sortRows(rows, ask.order ?? 'hottest', jobs)
  const single = new Set(sorted.map(row => row.node)).size === 1
  const head: Omit<Heatmap, 'rows'> = {
    cluster: target.cluster,
    metric: nameOf(metric),
    unit: metric.unit,
    from: grid.from,
    to: grid.to,
    bucketMs: grid.bucketMs,
    nodes: sorted.map(row => (row.instance === '' ? row.node : single ? row.instance : `${row.node}/${row.instance}`)),
    mean: sorted.map(row => row.mean),
    full: sorted.map(row => row.full),
  }
  return `${JSON.stringify(head).slice(0, -1)},"rows":[${sorted.map(row => row.values).join(',')}]}`
}

/** The nodes that belong in the picture: those named, or those known; a node without values is drawn as absence. */
async function nodesOf(desk: Desk, target: Target): Promise<string[]> {
  return target.nodes ?? [...new Set((await desk.known.nodes(desk.asker, target.cluster)).values())]
}

export async function readRows(
  desk: Desk,
  target: Target,
  metric: Metric,
  grid: Grid,
  window: Window = grid,
): Promise<Row[]> {
  const rows = await readTexts(desk, target, metric, grid, window)
  return rows.map(row => ({ ...row, values: parseValues(row.values) }))
}

const parseValues = (text: string): (number | null)[] => JSON.parse(text) as (number | null)[]

/** `values` as JSON. */
async function readTexts(
  desk: Desk,
  target: Target,
  metric: Metric,
  grid: Grid,
  window: Window = grid,
): Promise<Row<string>[]> {
  const key = metric.entity === 'node' ? sql`node` : sql`node, instance`
  const capacity = fullMetric(metric)
  const full = capacity ? bucketValue(capacity, grid.rollup) : sql`NULL`
  const metrics = capacity ? [metric, capacity] : [metric]
  const rows = rowsOf(
    metrics,
    { ...grid, ...window },
    desk.asker.nowMs,
    w => pointsOf(target, w, metric.entity),
    metric,
  )
  const [mean, fulls, cells, node, instances] = await desk.asker.columns(
    'heatmap',
    sql`SELECT ${meanOf(metric, grid.rollup)} AS mean, ${full} AS full, toJSONString(${cellsOf(metric, grid)}) AS cells, ${key}
        FROM (SELECT *, ${bucketOf(grid)} AS bucket FROM ${rows}) GROUP BY ${key}`,
  )
  const values = strings(cells)
  const means = numbersOrNull(mean)
  const capacities = numbersOrNull(fulls)
  const names = strings(instances)
  return strings(node).map((name, i) => ({
    node: name,
    instance: names[i] ?? '',
    mean: means[i] ?? null,
    full: metric.full === 1 ? 1 : (capacities[i] ?? null),
    values: values[i] ?? '[]',
  }))
}

function addSilent(rows: Row<string>[], everyone: readonly string[], grid: Grid): void {
  const values = JSON.stringify(new Array(grid.count).fill(null))
  const seen = new Set(rows.map(row => row.node))
  for (const node of everyone) {
    if (seen.has(node)) continue
    rows.push({ node, instance: '', mean: null, full: null, values })
  }
}

/** How full it is where full is known, else how much. */
const heat = (row: Row<string>): number => (row.mean === null ? -1 : row.full ? row.mean / row.full : row.mean)

function sortRows(rows: Row<string>[], order: 'hottest' | 'name' | 'job', jobs: Map<string, string>): Row<string>[] {
  const byName = (a: Row<string>, b: Row<string>) => natural(a.node, b.node) || natural(a.instance, b.instance)
  if (order === 'name') return rows.sort(byName)
  if (order === 'hottest') return rows.sort((a, b) => heat(b) - heat(a) || byName(a, b))
  // Nodes without a job come last.
  const job = (row: Row<string>) => jobs.get(row.node) ?? '\uffff'
  return rows.sort((a, b) => natural(job(a), job(b)) || byName(a, b))
}

/** The last job that ran on each node in the window. */
async function jobsOfNodes(desk: Desk, target: Target): Promise<Map<string, string>> {
  const rows = await desk.asker.rows<{ node: string; job: string }>(
    'job of each node',
    sql`SELECT node, argMax(id, start_ms) AS job FROM jobs FINAL ARRAY JOIN nodes AS node
        WHERE ${and([
          sql`cluster = ${target.cluster} AND start_ms > 0 AND start_ms < ${target.to} AND (end_ms = 0 OR end_ms > ${target.from})`,
          ownJobs(desk.asker.reach),
        ])} GROUP BY node`,
  )
  const names = await desk.known.nodes(desk.asker, target.cluster)
  return new Map(rows.map(row => [names.get(row.node) ?? row.node, row.job]))
}
