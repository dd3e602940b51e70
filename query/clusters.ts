/** GET /clusters and /catalogue. */
import { COLUMNS, METRICS, type Metric } from '../ingest/metrics.ts'
import type { Catalogue, Clusters } from './api.ts'
import type { Desk } from './desk.ts'
import { isUp, readNewest } from './newest.ts'
import { coresOf } from './nodes.ts'
import { ENTITY_NAMES, tableOf } from './points.ts'
import { ownJobs } from './reach.ts'
import { resolveCluster } from './scope.ts'
import { and, column, list, sql } from './sql.ts'

type Cluster = Clusters['clusters'][number]

/** More than this share of the cores is called busy. */
const BUSY = 0.1

export async function readClusters(desk: Desk): Promise<Clusters> {
  const heard = await desk.known.clusters(desk.asker)
  const clusters = await Promise.all([...heard].map(([cluster, ms]) => readCluster(desk, cluster, ms)))
  return { clusters }
}

async function readCluster(desk: Desk, cluster: string, heardMs: number): Promise<Cluster> {
  const { asker } = desk
  // Whether it exists at all is nobody's secret.
  const [all, newest, lastSeen, records, jobs] = await Promise.all([
    desk.known.records(asker.unlimited(), cluster),
    readNewest(desk, cluster),
    desk.known.lastSeen(asker, cluster),
    desk.known.records(asker, cluster),
    readJobCounts(desk, cluster),
  ])
  const values = new Map(newest.map(n => [n.node, n]))
  const names = new Set([...lastSeen.keys(), ...records.keys(), ...values.keys()])
  const up = newest.filter(n => isUp(n, asker.nowMs))
  const sum = <T>(items: Iterable<T>, of: (item: T) => number | null | undefined) =>
    [...items].reduce((total, item) => total + (of(item) ?? 0), 0)
  const busyOf = (node: string) => values.get(node)?.values.get('cpu_busy') ?? 0
  const told = [...all.values()]
  return {
    cluster,
    simulated:
      told.length > 0 &&
      told.every(r => r.collectorVersion === undefined || r.collectorVersion === 'simulated') &&
      told.some(r => r.collectorVersion === 'simulated'),
    nodes: names.size,
    nodesUp: up.length,
    nodesBusy: up.filter(n => busyOf(n.node) > BUSY).length,
    cores: sum(names, node => coresOf(values.get(node), records.get(node))),
    coresBusy: sum(up, n => busyOf(n.node) * (coresOf(n, records.get(n.node)) ?? 0)),
    coresAllocated: jobs.cores,
    memoryBytes: sum(names, node => values.get(node)?.values.get('memory_total') ?? records.get(node)?.memoryBytes),
    memoryUsedBytes: sum(up, n => n.values.get('memory_used')),
    jobsRunning: jobs.running,
    jobsQueued: jobs.queued,
    lastSeen: newest.length > 0 ? Math.max(...newest.map(n => n.timeMs)) : heardMs,
  }
}

async function readJobCounts(desk: Desk, cluster: string): Promise<{ running: number; queued: number; cores: number }> {
  const [row] = await desk.asker.rows<{ running: number; queued: number; held: number }>(
    'job counts',
    sql`SELECT toFloat64(countIf(state IN ('starting', 'running', 'suspended', 'completing'))) AS running,
          toFloat64(countIf(state IN ('queued', 'held'))) AS queued,
          toFloat64(sumIf(cores, state IN ('starting', 'running', 'completing'))) AS held
        FROM jobs FINAL WHERE ${and([sql`cluster = ${cluster}`, ownJobs(desk.asker.reach)])}`,
  )
  return { running: row?.running ?? 0, queued: row?.queued ?? 0, cores: row?.held ?? 0 }
}

const DAY = 86_400

/** `there`: whether the cluster told it in the last day. */
export async function readCatalogue(desk: Desk, asked: string | undefined): Promise<Catalogue> {
  const cluster = await resolveCluster(desk.asker, desk.known, asked)
  const there = toldNow(desk, cluster)
  await Promise.all(
    ENTITY_NAMES.map(async entity => {
      const metrics = COLUMNS[entity]
      const counts = metrics.map(metric => sql`sum(${column({ column: `${metric.column}_count` })}) > 0`)
      // Which metrics there are is nobody's.
      const answer = await desk.asker.unlimited().columns(
        `catalogue of ${entity}`,
        sql`SELECT ${list(counts)} FROM ${tableOf(entity, '1h')}
            WHERE cluster = ${cluster} AND time > toDateTime(${Math.floor(desk.asker.nowMs / 1000) - DAY}, 'UTC')`,
      )
      metrics.forEach((metric, i) => {
        if (Number(answer[i]?.[0] ?? 0) > 0) there.add(metric)
      })
    }),
  )
  return {
    metrics: METRICS.map(metric => ({
      entity: metric.entity,
      column: metric.column,
      unit: metric.unit,
      meaning: metric.meaning,
      source: metric.source,
      full: metric.full ?? null,
      there: there.has(metric),
    })),
  }
}

/** Metrics that any node's newest values have. */
function toldNow({ latest }: Desk, cluster: string): Set<Metric> {
  const told = new Set<Metric>()
  for (const node of latest.nodes(cluster)) {
    for (const entity of ENTITY_NAMES) {
      const points =
        entity === 'node' ? [latest.node(cluster, node)] : latest.instances(cluster, node, entity).slice(0, 1)
      COLUMNS[entity].forEach((metric, i) => {
        if (points.some(point => point && !Number.isNaN(point.values[i] ?? Number.NaN))) told.add(metric)
      })
    }
  }
  return told
}
