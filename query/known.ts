/** Names the store has heard of: what a scope may name, and what is offered instead of a name it has not. */
import type { Latest } from '../ingest/latest.ts'
import type { Burst, Job, Node } from '../ingest/records.ts'
import type { Asker } from './asker.ts'
import { openCache } from './cache.ts'
import { readNodeRecords } from './inventory.ts'
import { placeJobs, readOwnNodes } from './jobplace.ts'
import { type FivesSince, readFirst, readFivesSince, readLastSeen } from './measured.ts'
import { ownJobs, readOwnJobs, seesBurst } from './reach.ts'
import { and, type Sql, sql } from './sql.ts'

export interface Known {
  /** cluster -> when it was last heard of, newest first. */
  clusters(asker: Asker): Promise<Map<string, number>>
  /** Name or alias -> node. */
  nodes(asker: Asker, cluster: string): Promise<Map<string, string>>
  /** node -> when it was last heard of, to the hour: memory knows the nodes of the last hour exactly. */
  lastSeen(asker: Asker, cluster: string): Promise<Map<string, number>>
  /** What the nodes are, as their collectors and the scheduler told it. */
  records(asker: Asker, cluster: string): Promise<Map<string, Partial<Node>>>
  /** A job by its id, on the nodes it was seen on. Who asks at the same time, as the panels of a page do, shares one answer. */
  job(asker: Asker, cluster: string, id: string): Promise<KnownJob | undefined>
  /** A closer look by its id. */
  burst(asker: Asker, cluster: string, id: string): Promise<Burst | undefined>
  /** First moment that the cluster was measured; null before. */
  first(asker: Asker, cluster: string): Promise<number | null>
  /** Since when five minutes of functions and of processes are all there. */
  fivesSince(asker: Asker, cluster: string): Promise<FivesSince>
}

/** Every question needs names, and they change rarely: what the store says of them is kept so long. */
const KEPT_MS = 30_000
/** A node that is drained should be seen to be. */
const RECORDS_KEPT_MS = 5_000
/** Older nodes are known by their records, not by their points any more. */
const POINTS_BACK_SECONDS = 60 * 86_400

/** Memory knows what came in the last hour, the store the rest: rollups of an hour come some minutes later. */
export function openKnown(latest: Latest): Known {
  const clusters = keep(readClusters)
  const nodes = keep(readNodes)
  const lastSeen = keep(readLastSeen)
  const records = keep(readNodeRecords, RECORDS_KEPT_MS)
  const allNodes = async (asker: Asker, cluster: string) => {
    const names = new Map(await nodes(asker, cluster))
    for (const node of latest.nodes(cluster)) names.set(node, node)
    return names
  }
  // Without room: only what is on its way is shared.
  const jobs = openCache<KnownJob | undefined>(0, () => 1)
  const own = keepBy(
    (asker, cluster) => `${asker.reach.key}\0${cluster}`,
    async (asker, cluster) => {
      const everyone = asker.unlimited().until(undefined)
      const [names, measured] = await Promise.all([allNodes(everyone, cluster), lastSeen(everyone, cluster)])
      return readOwnNodes(asker.until(undefined), cluster, { names, measured })
    },
    KEPT_MS,
  )
  /** A reader who does not see all knows the nodes that own jobs ran on, and no others. */
  const onOwn = async <T>(
    asker: Asker,
    cluster: string,
    all: Map<string, T>,
    nodeOf: (name: string, value: T) => string,
  ) => {
    if (asker.reach.only === undefined) return all
    const mine = await own(asker, cluster)
    return new Map([...all].filter(([name, value]) => mine.has(nodeOf(name, value))))
  }
  const known: Known = {
    clusters: async asker => withMemory(await clusters(asker, ''), latest),
    nodes: async (asker, cluster) => onOwn(asker, cluster, await allNodes(asker, cluster), (_, node) => node),
    lastSeen: async (asker, cluster) => onOwn(asker, cluster, await lastSeen(asker, cluster), node => node),
    records: async (asker, cluster) => onOwn(asker, cluster, await records(asker, cluster), node => node),
    job: (asker, cluster, id) =>
      jobs.get(
        `${asker.reach.key}\0${cluster}\0${id}`,
        { nowMs: asker.nowMs, keepMs: KEPT_MS, signal: asker.signal },
        signal => readPlaced(asker.until(signal), known, cluster, id),
      ),
    burst: readBurst,
    first: keep(readFirst),
    fivesSince: keep(readFivesSince),
  }
  return known
}

async function readPlaced(asker: Asker, known: Known, cluster: string, id: string): Promise<KnownJob | undefined> {
  const job = await findJob(asker, cluster, id)
  if (job === undefined) return undefined
  const [nodes = job.nodes] = await placeJobs(asker, known, cluster, [{ ...job, startMs: job.record.startMs }])
  return { ...job, nodes }
}

type Read<T> = (asker: Asker, cluster: string) => Promise<T>

/**
 * The last answer of each cluster for a while; a failed or empty one is asked again. It outlives its first reader, and is
 * the same for all, unless it is read for a reach.
 */
function keep<T>(read: Read<T>, keptMs = KEPT_MS): Read<T> {
  return keepBy(
    (_, cluster) => cluster,
    (asker, cluster) => read(asker.unlimited().until(undefined), cluster),
    keptMs,
  )
}

const MAX_KEPT = 10_000

function keepBy<T>(keyOf: (asker: Asker, cluster: string) => string, read: Read<T>, keptMs: number): Read<T> {
  const kept = new Map<string, { at: number; answer: Promise<T> }>()
  return (asker, cluster) => {
    const key = keyOf(asker, cluster)
    const known = kept.get(key)
    if (known && asker.nowMs >= known.at && asker.nowMs - known.at < keptMs) return known.answer
    const asked = { at: asker.nowMs, answer: read(asker, cluster) }
    if (kept.size >= MAX_KEPT) kept.clear()
    kept.set(key, asked)
    const forget = () => {
      if (kept.get(key) === asked) kept.delete(key)
    }
    asked.answer.then(answer => {
      if (answer === null || (answer instanceof Map && answer.size === 0)) forget()
    }, forget)
    return asked.answer
  }
}

function withMemory(stored: Map<string, number>, latest: Latest): Map<string, number> {
  const heard = new Map(stored)
  for (const cluster of latest.clusters())
    heard.set(cluster, Math.max(heard.get(cluster) ?? 0, latest.newestMs(cluster)))
  return new Map([...heard].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)))
}

const back = (asker: Asker) => sql`time > toDateTime(${Math.floor(asker.nowMs / 1000) - POINTS_BACK_SECONDS}, 'UTC')`

async function readClusters(asker: Asker): Promise<Map<string, number>> {
  const rows = await asker.rows<{ cluster: string; ms: number }>(
    'clusters',
    sql`SELECT cluster, max(heard) AS ms FROM (
          SELECT toString(cluster) AS cluster, max(toUnixTimestamp(time) - 3600) * 1000. AS heard FROM node_points_1h
            WHERE ${back(asker)} GROUP BY cluster
          UNION ALL
          SELECT toString(cluster) AS cluster, toFloat64(max(updated_ms)) AS heard FROM nodes GROUP BY cluster
          UNION ALL
          SELECT toString(cluster) AS cluster, toFloat64(max(updated_ms)) AS heard FROM jobs GROUP BY cluster
        ) GROUP BY cluster`,
  )
  return new Map(rows.map(row => [row.cluster, row.ms]))
}

async function readNodes(asker: Asker, cluster: string): Promise<Map<string, string>> {
  const [measured, records] = await Promise.all([
    asker.rows<{ node: string }>(
      'node names',
      sql`SELECT toString(node) AS node FROM node_points_1h WHERE cluster = ${cluster} AND ${back(asker)} GROUP BY node ORDER BY node`,
    ),
    readNodeRecords(asker, cluster),
  ])
  const names = new Map<string, string>()
  // A name that two nodes go by, as a bridge that each has for its containers, is nobody's.
  const several = new Set<string>()
  for (const [node, { aliases = [] }] of records)
    for (const alias of aliases) {
      if (names.has(alias)) several.add(alias)
      names.set(alias, node)
    }
  for (const alias of several) names.delete(alias)
  for (const node of [...records.keys(), ...measured.map(row => row.node)]) names.set(node, node)
  return names
}

export interface KnownJob {
  record: Job
  /** What rows of samples and processes may call it: the id people type and the kernel's. */
  ids: string[]
  nodes: string[]
}

/** `record` was written by ingest from a Burst of ours. */
export function parseBurst(record: string): Burst {
  return JSON.parse(record) as Burst
}

/** One that the reader may not see is not there. */
async function readBurst(asker: Asker, cluster: string, id: string): Promise<Burst | undefined> {
  const [row] = await asker
    .unlimited()
    .rows<{ record: string }>(
      'burst by id',
      sql`SELECT record FROM bursts FINAL WHERE cluster = ${cluster} AND id = ${id}`,
    )
  const burst = row && parseBurst(row.record)
  return burst && seesBurst(await readOwnOf(asker, burst), burst) ? burst : undefined
}

/** What the reader may see of the job that a closer look is at. */
export const readOwnOf = (asker: Asker, { cluster, job, from, to }: Burst) =>
  readOwnJobs(asker, cluster, { from, to }, { job: job ?? '' })

/** `record` was written by ingest from a checked Job. */
function parseJob(record: string): Job {
  return JSON.parse(record) as Job
}

export function knownJob(row: { record: string; nodes: string[] }): KnownJob {
  const record = parseJob(row.record)
  const ids = record.rawId && record.rawId !== record.id ? [record.id, record.rawId] : [record.id]
  return { record, ids, nodes: row.nodes }
}

/** The newest job of this id; ids are used again. The id itself wins over an array's or a kernel's. */
async function findJob(asker: Asker, cluster: string, id: string): Promise<KnownJob | undefined> {
  // The table is ordered by id: that costs nothing, and the kernel's id is looked for only where it must be.
  return (
    (await newestJob(asker, cluster, sql`id = ${id}`)) ??
    (await newestJob(asker, cluster, sql`raw_id = ${id} AND array_id != ${id}`))
  )
}

async function newestJob(asker: Asker, cluster: string, which: Sql): Promise<KnownJob | undefined> {
  const [row] = await asker.rows<{ record: string; nodes: string[] }>(
    'job by id',
    sql`SELECT record, nodes FROM jobs FINAL WHERE ${and([sql`cluster = ${cluster} AND ${which}`, ownJobs(asker.reach)])}
        ORDER BY submit_ms DESC LIMIT 1`,
  )
  return row && knownJob(row)
}

/** Ids like this one: the tasks of an array, or ids that begin so, or the newest there are. */
export async function jobsLike(asker: Asker, cluster: string, id: string): Promise<string[]> {
  const rows = await asker.rows<{ id: string }>(
    'jobs like',
    sql`SELECT id FROM jobs FINAL WHERE ${and([sql`cluster = ${cluster}`, ownJobs(asker.reach)])}
        ORDER BY array_id = ${id} DESC, startsWith(id, ${id}) DESC, submit_ms DESC, id LIMIT 1 BY id LIMIT 10`,
  )
  return rows.map(row => row.id)
}
