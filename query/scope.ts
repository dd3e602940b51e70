/**
 * A scope as asked -> a target: which cluster, which window, which rows. Every route begins here, so that a name that is not
 * there is refused everywhere in the same words, and a job means the same rows everywhere.
 */
import type { Entity } from '../ingest/metrics.ts'
import type { Scope } from './api.ts'
import type { Asker } from './asker.ts'
import { badRequest, hint, notFound, offer } from './errors.ts'
import { placeJobs, readOwn } from './jobplace.ts'
import { jobsLike, type Known, type KnownJob } from './known.ts'
import { type Own, ownJobs, ownNodes, ownPoints, ownProcesses, ownSamples } from './reach.ts'
import { and, oneOf, type Sql, sql } from './sql.ts'
import { checkWindow, type Window } from './window.ts'

export interface Target extends Window {
  cluster: string
  job: KnownJob | undefined
  /** Nodes that were named, or those of the job or user; undefined: all. */
  nodes: string[] | undefined
  /** Only what was named: a job's rows carry the job, so its nodes need no condition. */
  namedNodes: string[] | undefined
  pid: number | undefined
  start: number | undefined
  user: { name: string; jobs: string[] } | undefined
  rank: number | undefined
  burst: string
  /** End of the rows to read: past `to` by what a job's last stack window may overhang its end. */
  rowsTo: number
  /** Of all this what the reader may see; undefined: all of it. */
  own: Own | undefined
}

const HOUR = 3_600_000
/** Stacks are folded over windows of at most a minute: the last one of a job ends after it. */
export const OVERHANG = 60_000
export const MAX_NAMES = 1000

export async function resolveCluster(asker: Asker, known: Known, asked: string | undefined): Promise<string> {
  const clusters = [...(await known.clusters(asker)).keys()]
  if (asked !== undefined) {
    if (!clusters.includes(asked)) throw notFound(`cluster ${asked} is not known.${hint(asked, clusters, 'cluster')}`)
    return asked
  }
  return clusters[0] ?? ''
}

export async function resolveScope(asker: Asker, known: Known, scope: Scope): Promise<Target> {
  const cluster = await resolveCluster(asker, known, scope.cluster)
  const namedNodes = scope.node === undefined ? undefined : await resolveNodes(asker, known, cluster, scope.node)
  const job = scope.job === undefined ? undefined : await resolveJob(asker, known, cluster, scope.job)
  const ownWindow = scope.burst && scope.from === undefined && scope.to === undefined
  const burst = ownWindow ? await resolveBurst(asker, known, cluster, scope.burst ?? '') : undefined
  const window = windowOf(scope, burst ?? (job && spanOf(job, asker.nowMs)), asker.nowMs)
  const ownSpan = job !== undefined && scope.to === undefined
  const user = scope.user === undefined ? undefined : await resolveUser(asker, known, cluster, scope.user, window)
  const own = await readOwn(asker, known, cluster, window, { job: job?.record.id })
  const nodes = namedNodes ?? (job && job.nodes.length > 0 ? job.nodes : (user?.nodes ?? (own && ownNodes(own))))
  return {
    ...window,
    cluster,
    job,
    nodes,
    namedNodes,
    pid: scope.pid,
    start: scope.start,
    user: user && { name: user.name, jobs: user.jobs },
    rank: scope.rank,
    burst: scope.burst ?? '',
    rowsTo: window.to + (ownSpan ? OVERHANG : 0),
    own,
  }
}

/** The same of a job that must be there. */
export async function resolveJobScope(
  asker: Asker,
  known: Known,
  scope: Scope & { job: string },
): Promise<Target & { job: KnownJob }> {
  const { job, ...target } = await resolveScope(asker, known, scope)
  if (job === undefined) throw notFound(`job ${scope.job} is not known.`)
  return { ...target, job }
}

/** `a,b` -> nodes; a FQDN or another alias finds its node. */
async function resolveNodes(asker: Asker, known: Known, cluster: string, asked: string): Promise<string[]> {
  const names = asked.split(',').filter(name => name !== '')
  if (names.length === 0) throw badRequest('node is empty: name one, or several with commas between, or leave it out')
  if (names.length > MAX_NAMES) throw badRequest(`${names.length} nodes are named: name at most ${MAX_NAMES}, or a job`)
  const nodes = await known.nodes(asker, cluster)
  return [...new Set(names.map(name => nodeNamed(nodes, name)))]
}

function nodeNamed(nodes: Map<string, string>, name: string): string {
  const node = nodes.get(name) ?? nodes.get(name.split('.')[0] ?? '')
  if (node !== undefined) return node
  throw notFound(`node ${name} is not known.${hint(name, [...new Set(nodes.values())], 'node')}`)
}

/** A job that the kernel's evidence names but no scheduler told of still has samples. */
async function resolveJob(asker: Asker, known: Known, cluster: string, id: string): Promise<KnownJob> {
  const job = await known.job(asker, cluster, id)
  if (job) return job
  // Whose it is only a scheduler says.
  const [sampled] = asker.reach.only
    ? []
    : await asker.rows<{ found: number }>(
        'job by samples',
        sql`SELECT 1 AS found FROM samples WHERE cluster = ${cluster} AND job = ${id} LIMIT 1`,
      )
  if (sampled)
    return { record: { cluster, id, scheduler: 'other', state: 'unknown', updatedMs: 0 }, ids: [id], nodes: [] }
  throw notFound(`job ${id} is not known.${offer(await jobsLike(asker, cluster, id), 'job')}`)
}

/** The span of a job; a running one lasts until now, one that never started has none. */
export function spanOf(job: KnownJob, nowMs: number): Window {
  const { startMs, submitMs, endMs } = job.record
  const from = startMs ?? submitMs ?? nowMs - HOUR
  return checkWindow(from, Math.max(endMs ?? nowMs, from + 1))
}

async function resolveBurst(asker: Asker, known: Known, cluster: string, id: string): Promise<Window> {
  const burst = await known.burst(asker, cluster, id)
  if (!burst) throw notFound(`burst ${id} is not known; /api/v1/bursts lists those there are`)
  return checkWindow(burst.from, burst.to)
}

/** As asked, else its own: of the burst or the job that is asked for. */
function windowOf(scope: Scope, own: Window | undefined, nowMs: number): Window {
  const to = scope.to ?? own?.to ?? nowMs
  const from = scope.from ?? (scope.to === undefined ? own?.from : undefined) ?? Math.max(0, to - HOUR)
  return checkWindow(from, to)
}

/** The jobs of a user that ran in the window, and their nodes. */
async function resolveUser(asker: Asker, known: Known, cluster: string, name: string, window: Window) {
  const rows = await asker.rows<{ id: string; raw_id: string; nodes: string[]; startMs: number }>(
    'jobs of a user',
    sql`SELECT id, raw_id, nodes, toFloat64(start_ms) AS startMs FROM jobs FINAL
        WHERE ${and([
          sql`cluster = ${cluster} AND user = ${name} AND start_ms > 0 AND start_ms < ${window.to} AND (end_ms = 0 OR end_ms > ${window.from})`,
          ownJobs(asker.reach),
        ])} LIMIT 20000`,
  )
  if (rows.length === 0) await requireUser(asker, cluster, name)
  const jobs = rows.map(({ id, raw_id, ...run }) => ({ ids: [id, raw_id].filter(Boolean), ...run }))
  const places = await placeJobs(asker, known, cluster, jobs, window.from)
  return {
    name,
    jobs: [...new Set(jobs.flatMap(job => job.ids))],
    nodes: [...new Set(places.flat())],
  }
}

async function requireUser(asker: Asker, cluster: string, name: string): Promise<void> {
  const withJobs = sql`SELECT toString(user) AS user FROM jobs WHERE ${and([sql`cluster = ${cluster}`, ownJobs(asker.reach)])} GROUP BY user`
  const withProcesses = sql`SELECT toString(user) AS user FROM processes WHERE cluster = ${cluster} AND user = ${name} LIMIT 1000`
  const rows = await asker.rows<{ user: string }>(
    'users',
    asker.reach.only ? withJobs : sql`${withJobs} UNION DISTINCT ${withProcesses}`,
  )
  const users = rows.map(row => row.user).filter(user => user !== '')
  if (!users.includes(name)) throw notFound(`user ${name} is not known.${hint(name, users, 'user')}`)
}

const seconds = (ms: number): number => Math.floor(ms / 1000)
/** Rows whose end lies in (from, to]. */
export const within = (window: { from: number; to: number }): Sql =>
  sql`time > toDateTime(${seconds(window.from)}, 'UTC') AND time <= toDateTime(${seconds(window.to)}, 'UTC')`

const nodesAre = (nodes: readonly string[] | undefined): Sql | undefined => nodes && oneOf(sql`node`, nodes)

/** Whose samples; of function_minutes too, which has the same key but for its time. */
export const whoOf = (target: Target, time: Sql): Sql =>
  and([
    sql`cluster = ${target.cluster}`,
    target.job && oneOf(sql`job`, target.job.ids),
    sql`event = 'cpu'`,
    nodesAre(target.namedNodes),
    target.pid === undefined ? undefined : sql`pid = ${target.pid}`,
    target.start === undefined ? undefined : sql`start_ms = ${target.start}`,
    target.user && ofUser(target, target.user),
    ownSamples(target.own, time),
  ])

/** Conditions on samples. */
export const samplesOf = (target: Target): Sql =>
  and([
    whoOf(target, sql`time`),
    within({ from: target.from, to: target.rowsTo }),
    target.rank === undefined ? undefined : sql`rank = ${target.rank}`,
    sql`burst = ${target.burst}`,
  ])

/** Samples carry no user: those of the user's jobs, and outside jobs those of processes that were seen to be the user's. */
const ofUser = (target: Target, user: { name: string; jobs: string[] }): Sql =>
  target.own
    ? sql`job IN ${user.jobs}`
    : sql`(job IN ${user.jobs} OR (job = '' AND (node, pid, start_ms) IN (
        SELECT node, pid, start_ms FROM processes WHERE cluster = ${target.cluster} AND user = ${user.name} AND job = '' AND ${within(target)})))`

/** Conditions on ticks of processes. */
export const processesOf = (target: Target): Sql =>
  and([whichProcesses(target), within({ from: target.from, to: target.rowsTo }), ownProcesses(target.own, sql`time`)])

/** Whose rows, of any time. A job's nodes are named too, since the tables are ordered by node. */
export function whichProcesses(target: Target): Sql {
  return and([
    sql`cluster = ${target.cluster}`,
    nodesAre(target.user && !target.namedNodes && !target.job ? undefined : target.nodes),
    target.job && oneOf(sql`job`, target.job.ids),
    target.pid === undefined ? undefined : sql`pid = ${target.pid}`,
    target.start === undefined ? undefined : sql`start_ms = ${target.start}`,
    target.user && sql`user = ${target.user.name}`,
    target.rank === undefined ? undefined : sql`rank = ${target.rank}`,
  ])
}

/** Conditions on points of nodes, within a window that may be wider than the target's (a grid). */
export function pointsOf(target: Target, window: Window, entity: Entity = 'node'): Sql {
  return and([sql`cluster = ${target.cluster}`, nodesAre(target.nodes), within(window), ownPoints(target.own, entity)])
}
