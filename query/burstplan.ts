/** GET and POST /bursts: what is asked -> which nodes, and what there; and those that were. */
import type { Burst } from '../ingest/records.ts'
import type { BurstAsk, Bursts } from './api.ts'
import type { BurstsAsk } from './asks.ts'
import { type BurstPlan, mended } from './bursts.ts'
import type { Desk } from './desk.ts'
import { badRequest, notFound, offer, QueryError } from './errors.ts'
import { type KnownJob, parseBurst, readOwnOf } from './known.ts'
import { ownBursts, ownProcesses, seesBurst } from './reach.ts'
import { resolveCluster, resolveScope, type Target } from './scope.ts'
import { and, sql } from './sql.ts'

/** A larger job is looked at on some of its nodes. */
const MAX_NODES = 64
const DEFAULT_HZ = 499
const DEFAULT_SECONDS = 30
/** What ran so lately runs. */
const LATELY_MS = 600_000
/** Samples are hardly kept longer. */
const YEAR_MS = 365 * 86_400_000
/** Of a reader who does not see all: the own jobs of that time have to be known. */
const WEEK_MS = 7 * 86_400_000

export async function startBurst(desk: Desk, ask: BurstAsk, by: string): Promise<Burst> {
  return desk.bursts.start(await planBurst(desk, ask, by))
}

async function planBurst(desk: Desk, ask: BurstAsk, by: string): Promise<BurstPlan> {
  const { hz = DEFAULT_HZ, seconds = DEFAULT_SECONDS, rank, ...scope } = ask
  if (scope.job === undefined && scope.node === undefined)
    throw badRequest('a burst needs a job (with rank, or node), a node, or a node and a pid')
  if (rank !== undefined && scope.job === undefined) throw badRequest('rank is of a job: name the job too')
  const now = desk.asker.nowMs
  const target = await resolveScope(desk.asker, desk.known, { ...scope, from: now - LATELY_MS, to: now })
  const plan = { cluster: target.cluster, hz, seconds, by }
  if (target.own && target.job === undefined && target.pid === undefined)
    throw new QueryError(
      403,
      'forbidden',
      'a whole node is looked at by administrators: name your job there, or a process of it',
    )
  if (target.pid !== undefined) return { ...plan, ...(await ofProcess(desk, target)) }
  if (target.job === undefined) return { ...plan, nodes: checkNodes(target.namedNodes ?? []), target: { kind: 'node' } }
  requireRunning(target.job)
  return { ...plan, ...(await ofJob(desk, target, target.job, rank)) }
}

type Aim = Omit<BurstPlan, 'cluster' | 'hz' | 'seconds' | 'by'>

async function ofProcess(desk: Desk, target: Target): Promise<Aim> {
  const [node, ...others] = target.namedNodes ?? []
  const { pid = 0, start } = target
  if (node === undefined || others.length > 0) throw badRequest(`name the one node that process ${pid} runs on`)
  const [seen] = await desk.asker.rows<{ job: string; start: number }>(
    'process of a burst',
    sql`SELECT toString(job) AS job, toFloat64(start_ms) AS start FROM processes
        WHERE cluster = ${target.cluster} AND node = ${node} AND pid = ${pid}
          ${start === undefined ? sql`` : sql`AND start_ms = ${start}`} AND ${lately(target)} AND ${ownProcesses(target.own, sql`time`) ?? sql`true`}
        ORDER BY time DESC LIMIT 1`,
  )
  if (target.own && !seen) throw notFound(`process ${pid} of yours was not seen on ${node} in the last ten minutes`)
  const startMs = start ?? (seen && seen.start > 0 ? seen.start : undefined)
  const known = startMs === undefined ? {} : { startMs }
  const job = seen?.job || target.job?.record.id
  return {
    nodes: [node],
    target: { kind: 'process', pid, ...known },
    pid,
    ...(startMs === undefined ? {} : { start: startMs }),
    ...(job === undefined ? {} : { job }),
  }
}

async function ofJob(desk: Desk, target: Target, job: KnownJob, rank: number | undefined): Promise<Aim> {
  const named = target.namedNodes ?? job.nodes
  const nodes = rank === undefined ? named : await nodesOfRank(desk, target, job, rank)
  if (nodes.length === 0) throw badRequest(`nobody told which nodes job ${job.record.id} has: name them with node`)
  return {
    nodes: checkNodes(nodes),
    target: { kind: 'job', ids: job.ids, ...(rank === undefined ? {} : { rank }) },
    job: job.record.id,
    ...(rank === undefined ? {} : { rank }),
  }
}

async function nodesOfRank(desk: Desk, target: Target, job: KnownJob, rank: number): Promise<string[]> {
  const rows = await desk.asker.rows<{ node: string; rank: number }>(
    'ranks of a job',
    sql`SELECT toString(node) AS node, assumeNotNull(rank) AS rank FROM processes
        WHERE cluster = ${target.cluster} AND job IN ${job.ids} AND rank IS NOT NULL
          ${target.nodes === undefined ? sql`` : sql`AND node IN ${target.nodes}`} AND ${lately(target)} AND ${ownProcesses(target.own, sql`time`) ?? sql`true`}
        GROUP BY node, rank ORDER BY rank, node LIMIT 100000`,
  )
  const nodes = rows.filter(row => row.rank === rank).map(row => row.node)
  if (nodes.length > 0) return nodes
  const known = [...new Set(rows.map(row => String(row.rank)))]
  throw notFound(`rank ${rank} of job ${job.record.id} was not seen in the last ten minutes.${offer(known, 'rank')}`)
}

const lately = ({ from, to }: Target) =>
  sql`time > toDateTime(${Math.floor(from / 1000)}, 'UTC') AND time <= toDateTime(${Math.ceil(to / 1000)}, 'UTC')`

function requireRunning({ record }: KnownJob): void {
  if (record.endMs === undefined && record.state !== 'queued' && record.state !== 'held') return
  throw new QueryError(
    409,
    'not_running',
    `job ${record.id} is ${record.state}: a burst looks at what runs now; its profile so far is at /api/v1/jobs/${record.id}/flame`,
  )
}

function checkNodes(nodes: readonly string[]): readonly string[] {
  if (nodes.length <= MAX_NODES) return nodes
  throw badRequest(`${nodes.length} nodes are too many for one burst: name at most ${MAX_NODES} of them with node`)
}

export async function readBursts(desk: Desk, ask: BurstsAsk): Promise<Bursts> {
  const { asker, known, bursts } = desk
  const { from, to, limit = 20, ...scope } = ask
  const until = to ?? asker.nowMs
  const back = asker.reach.only ? WEEK_MS : YEAR_MS
  const window = { from: from ?? Math.max(0, until - back), to: until }
  const target = await resolveScope(asker, known, { ...scope, ...window })
  // Held from before the question: one that ends meanwhile leaves memory, and the answer still has it as it was.
  const running = new Map(bursts.all().map(burst => [burst.id, burst]))
  const rows = await asker.rows<{ record: string }>(
    'bursts',
    sql`SELECT record FROM bursts FINAL WHERE ${and([
      sql`cluster = ${target.cluster}`,
      sql`from_ms < ${target.to} AND to_ms > ${target.from}`,
      target.job && sql`job IN ${target.job.ids}`,
      target.namedNodes && sql`hasAny(nodes, ${target.namedNodes})`,
      target.pid === undefined ? undefined : sql`pid = ${target.pid}`,
      target.start === undefined ? undefined : sql`(start_ms = ${target.start} OR start_ms = 0)`,
      ownBursts(target.own),
    ])} ORDER BY from_ms DESC, id DESC LIMIT ${limit}`,
  )
  const told = rows.map(({ record }) => parseBurst(record))
  return {
    cluster: target.cluster,
    bursts: told.map(b => running.get(b.id) ?? bursts.find(b.id) ?? mended(b, asker.nowMs)),
  }
}

export async function readBurst(desk: Desk, id: string, asked: string | undefined): Promise<Burst> {
  const cluster = await resolveCluster(desk.asker, desk.known, asked)
  const running = desk.bursts.find(id)
  if (running?.cluster === cluster && seesBurst(await readOwnOf(desk.asker, running), running)) return running
  const found = await desk.known.burst(desk.asker, cluster, id)
  if (!found) throw notFound(`burst ${id} is not known; /api/v1/bursts lists those there are`)
  return mended(found, desk.asker.nowMs)
}

export async function stopBurst(desk: Desk, id: string, asked: string | undefined): Promise<Burst> {
  const burst = await readBurst(desk, id, asked)
  return desk.bursts.stop(id) ?? burst
}
