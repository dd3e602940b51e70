/** What is known of a cluster at one moment beside its measurements: the jobs that run, who holds which node, who was heard. */
import type { Job, Node } from '../../ingest/records.ts'
import type { Desk } from '../desk.ts'
import { placeJobs } from '../jobplace.ts'
import { type KnownJob, knownJob } from '../known.ts'
import { sql } from '../sql.ts'

export interface LiveJob {
  record: Job
  /** What rows of processes and samples may call it. */
  ids: readonly string[]
  nodes: readonly string[]
  startMs: number
  /** undefined: it runs. */
  endMs: number | undefined
}

export interface Scene {
  cluster: string
  atMs: number
  /** Jobs that ran at the moment or ended since `sinceMs`. */
  jobs: readonly LiveJob[]
  running: readonly LiveJob[]
  /** Of those that run: by node, and by any of their ids. */
  onNode: ReadonlyMap<string, readonly LiveJob[]>
  byId: ReadonlyMap<string, LiveJob>
  /** Node -> when it was heard from last, ms. */
  heard: ReadonlyMap<string, number>
  /** Since when this server listens: earlier nobody could be heard. */
  listeningMs: number
  records: ReadonlyMap<string, Partial<Node>>
  gpus: (node: string) => number | null
  /** When the scheduler was heard from last; undefined: never. */
  schedulerMs: number | undefined
  queued: number
}

const LIVE = ['starting', 'running', 'suspended', 'completing']

export interface SceneOptions {
  atMs: number
  /** Jobs that ended after it are in the scene too. */
  sinceMs: number
  listeningMs?: number
}

export async function readScene(desk: Desk, cluster: string, options: SceneOptions): Promise<Scene> {
  const { atMs, sinceMs, listeningMs = 0 } = options
  const { asker } = desk
  const [jobs, [scheduler], [queue], heard, records] = await Promise.all([
    readJobsAt(desk, cluster, atMs, sinceMs),
    asker.rows<{ ms: number }>(
      'scheduler heard',
      sql`SELECT toFloat64(max(updated_ms)) AS ms FROM nodes WHERE cluster = ${cluster} AND sender = 'scheduler'`,
    ),
    asker.rows<{ jobs: number }>(
      'jobs that wait',
      sql`SELECT toFloat64(count()) AS jobs FROM jobs FINAL WHERE state = 'queued' AND (cluster, id, submit_ms) IN (
            SELECT cluster, id, submit_ms FROM jobs WHERE cluster = ${cluster} AND state = 'queued')`,
    ),
    heardOf(desk, cluster),
    desk.known.records(asker, cluster),
  ])
  const count = (node: string) => countOf(desk, cluster, node)
  return layoutScene({
    cluster,
    atMs,
    jobs,
    heard,
    listeningMs,
    records,
    gpus: count,
    schedulerMs: scheduler?.ms || undefined,
    queued: queue?.jobs ?? 0,
  })
}

type Given = Omit<Scene, 'running' | 'onNode' | 'byId'>

/** The maps over the jobs. */
export function layoutScene(given: Given): Scene {
  const running = given.jobs.filter(job => job.endMs === undefined || job.endMs > given.atMs)
  const onNode = new Map<string, LiveJob[]>()
  const byId = new Map<string, LiveJob>()
  for (const job of running) {
    for (const id of job.ids) byId.set(id, job)
    for (const node of job.nodes) {
      const there = onNode.get(node)
      if (there) there.push(job)
      else onNode.set(node, [job])
    }
  }
  return { ...given, running, onNode, byId }
}

const SEEN_MS = 15 * 60_000

/**
 * Jobs that ran at `atMs`, or ended after `sinceMs`. Keys are found in plain rows first, so that FINAL merges the versions of
 * these jobs only: with a million jobs of the past that is what it costs.
 */
async function readJobsAt({ asker, known }: Desk, cluster: string, atMs: number, sinceMs: number): Promise<LiveJob[]> {
  const running = sql`(state IN ${LIVE} OR end_ms > ${sinceMs}) AND start_ms > 0 AND start_ms <= ${atMs}`
  const rows = await asker.rows<{ record: string; nodes: string[] }>(
    'jobs that run',
    sql`SELECT record, nodes FROM jobs FINAL WHERE ${running} AND (cluster, id, submit_ms) IN (
          SELECT cluster, id, submit_ms FROM jobs WHERE cluster = ${cluster} AND ${running})
        ORDER BY start_ms, id`,
  )
  const jobs = rows.map(knownJob).map(liveJob)
  // Where they were in the last minutes is where they are: the names of the scheduler's need not be the collectors'.
  const placed = await placeJobs(asker, known, cluster, jobs, Math.min(atMs, sinceMs) - SEEN_MS)
  return jobs.map((job, i) => ({ ...job, nodes: placed[i] ?? job.nodes }))
}

const liveJob = ({ record, ids, nodes }: KnownJob): LiveJob => ({
  record,
  ids,
  nodes,
  startMs: record.startMs ?? 0,
  endMs: record.endMs,
})

/** Since when nothing of the whole cluster was heard; Infinity where it never was. */
export function silentMs({ heard, listeningMs, atMs }: Scene): number {
  const newest = [...heard.values()].reduce((a, b) => Math.max(a, b), 0)
  return newest === 0 ? Number.POSITIVE_INFINITY : atMs - Math.max(newest, listeningMs)
}

/** From memory; for nodes that are silent since before the last start, from the rollups. */
async function heardOf(desk: Desk, cluster: string): Promise<Map<string, number>> {
  const heard = new Map(await desk.known.lastSeen(desk.asker, cluster))
  for (const node of desk.latest.nodes(cluster)) {
    const ms = desk.latest.node(cluster, node)?.timeMs
    if (ms !== undefined) heard.set(node, ms)
  }
  return heard
}

const countOf = ({ latest }: Desk, cluster: string, node: string): number | null =>
  latest.instances(cluster, node, 'gpu').length || null

/** Cores that a job holds on a node, as the scheduler told, else its cores shared evenly. */
export function coresOn(job: LiveJob, node: string): number | null {
  const told = job.record.allocations?.find(a => a.node === node)?.cores
  return told ?? (job.record.cores && job.nodes.length > 0 ? job.record.cores / job.nodes.length : null)
}

export function gpusOn(job: LiveJob, node: string): number {
  const told = job.record.allocations?.find(a => a.node === node)?.gpus
  return told ?? (job.nodes.length > 0 ? (job.record.gpus ?? 0) / job.nodes.length : 0)
}
