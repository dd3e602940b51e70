/** GET /nodes and /nodes/:node: the newest of every node, hottest first. */
import { COLUMNS, findMetric } from '../ingest/metrics.ts'
import type { Node } from '../ingest/records.ts'
import type { NodeDetail, NodeSummary, Nodes } from './api.ts'
import type { NodesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { type JobOnNode, readJobsOnNodes } from './inventory.ts'
import { natural } from './natural.ts'
import { isUp, type Newest, readNewest, readOwnNow } from './newest.ts'
import { ENTITY_NAMES, metricNamed, tableOf } from './points.ts'
import { seesInstance, seesNode } from './reach.ts'
import { pointsOf, resolveCluster, resolveScope, type Target } from './scope.ts'
import { join, sql } from './sql.ts'

interface Known {
  newest: Map<string, Newest>
  lastSeen: Map<string, number>
  records: Map<string, Partial<Node>>
  jobs: Map<string, JobOnNode[]>
}

export async function readNodes(desk: Desk, ask: NodesAsk): Promise<Nodes> {
  const { asker } = desk
  const columns = ask.metrics?.split(',').map(name => metricNamed(name).column) ?? COLUMNS.node.map(m => m.column)
  const sort = metricNamed(ask.sort ?? 'cpu_busy').column
  const cluster = await resolveCluster(asker, desk.known, ask.cluster)
  const [newest, lastSeen, records, jobs] = await Promise.all([
    readNewest(desk, cluster),
    desk.known.lastSeen(asker, cluster),
    desk.known.records(asker, cluster),
    readJobsOnNodes(desk, cluster),
  ])
  const known = { newest: new Map(newest.map(n => [n.node, n])), lastSeen, records, jobs }
  const own = await readOwnNow(desk, cluster)
  const names = [...new Set([...lastSeen.keys(), ...records.keys(), ...known.newest.keys()])].filter(node =>
    seesNode(own, node, asker.nowMs),
  )
  const heat = heatOf(known, sort, asker.nowMs)
  const sorted = names.sort((a, b) => heat(b) - heat(a) || natural(a, b)).slice(0, ask.limit ?? 20_000)
  const hottest = sorted.slice(0, ask.top ?? 50)
  const tops = await desk.tops(asker, cluster, hottest, idsOn(jobs, hottest))
  const nodes = sorted.map(node => ({
    ...summaryOf(node, known, columns, asker.nowMs),
    topProcess: tops.get(node)?.process ?? null,
    topFunction: tops.get(node)?.function ?? null,
  }))
  return { cluster, nodes }
}

const idsOn = (jobs: ReadonlyMap<string, JobOnNode[]>, nodes: readonly string[]): string[] =>
  nodes.flatMap(node => (jobs.get(node) ?? []).flatMap(job => job.ids))

/** How full the column is; silent nodes last. */
function heatOf(known: Known, sort: string, nowMs: number): (node: string) => number {
  const metric = findMetric('node', sort)
  const capacity = typeof metric?.full === 'string' ? metric.full : undefined
  return node => {
    const newest = known.newest.get(node)
    const value = newest?.values.get(sort) ?? null
    if (!newest || value === null || !isUp(newest, nowMs)) return -1
    return capacity === undefined ? value : value / (newest.values.get(capacity) || Number.POSITIVE_INFINITY)
  }
}

function summaryOf(
  node: string,
  known: Known,
  columns: readonly string[],
  nowMs: number,
): Omit<NodeSummary, 'topProcess' | 'topFunction'> {
  const newest = known.newest.get(node)
  const record = known.records.get(node)
  return {
    node,
    state: newest && isUp(newest, nowMs) ? 'up' : 'silent',
    schedulerState: record?.schedulerState ?? null,
    lastSeen: newest?.timeMs ?? known.lastSeen.get(node) ?? null,
    cores: coresOf(newest, record),
    values: Object.fromEntries(columns.map(name => [name, newest?.values.get(name) ?? null])),
    jobs: (known.jobs.get(node) ?? []).map(({ id, user }) => ({ id, user })),
  }
}

/** Logical CPUs, as they are counted by jobs and by load alike. */
export const coresOf = (newest: Newest | undefined, record: Partial<Node> | undefined): number | null =>
  newest?.values.get('cpu_count') ?? record?.threads ?? record?.schedulerCores ?? record?.cores ?? null

export async function readNode(
  desk: Desk,
  node: string,
  ask: { cluster?: string; from?: number; to?: number },
): Promise<NodeDetail> {
  const { asker } = desk
  const target = await resolveScope(asker, desk.known, { ...ask, node })
  const name = target.namedNodes?.[0] ?? node
  const [newest, lastSeen, records, jobs, instances] = await Promise.all([
    readNewest(desk, target.cluster, name),
    desk.known.lastSeen(asker, target.cluster),
    desk.known.records(asker, target.cluster),
    readJobsOnNodes(desk, target.cluster, name),
    readInstances(desk, target),
  ])
  const known = { newest: new Map(newest.map(n => [n.node, n])), lastSeen, records, jobs }
  const tops = await desk.tops(asker, target.cluster, [name], idsOn(jobs, [name]))
  return {
    ...summaryOf(
      name,
      known,
      COLUMNS.node.map(m => m.column),
      asker.nowMs,
    ),
    topProcess: tops.get(name)?.process ?? null,
    topFunction: tops.get(name)?.function ?? null,
    record: records.get(name) ?? null,
    instances,
  }
}

/** entity -> its instances in the window, from the rollup of an hour and from memory: names change rarely. */
async function readInstances(desk: Desk, target: Target): Promise<Record<string, string[]>> {
  const entities = ENTITY_NAMES.filter(entity => entity !== 'node')
  const hour = 3_600_000
  const hours = { from: Math.floor(target.from / hour) * hour, to: Math.ceil(target.to / hour) * hour }
  const each = entities.map(
    (entity, i) =>
      sql`SELECT DISTINCT ${i} AS entity, toString(instance) AS instance FROM ${tableOf(entity, '1h')}
          WHERE ${pointsOf(target, hours, entity)}`,
  )
  const found = await desk.asker.rows<{ entity: number; instance: string }>('instances', join(each, sql` UNION ALL `))
  const own = await readOwnNow(desk, target.cluster)
  return Object.fromEntries(
    entities.map((entity, i) => {
      const points = desk.latest.instances(target.cluster, target.nodes?.[0] ?? '', entity)
      const now = points.filter(point => seesInstance(own, point)).map(point => point.instance)
      const then = found.flatMap(row => (Number(row.entity) === i ? [row.instance] : []))
      return [entity, [...new Set([...then, ...now])].sort(natural)]
    }),
  )
}
