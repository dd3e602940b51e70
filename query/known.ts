/** Names the store has heard of: what a scope may name, and what is offered instead of a name it has not. */
import type { Latest } from '../ingest/latest.ts'
import type { Burst, Job, Node } from '../ingest/records.ts'
import type { Asker } from './asker.ts'
import { readNodeRecords } from './inventory.ts'
import { readFirst, readLastSeen } from './measured.ts'
import { sql } from './sql.ts'

export interface Known {
  /** cluster -> when it was last heard of, newest first. */
  clusters(asker: Asker): Promise<Map<string, number>>
  /** Name or alias -> node. */
  nodes(asker: Asker, cluster: string): Promise<Map<string, string>>
  /** node -> when it was last heard of, to the hour: memory knows the nodes of the last hour exactly. */
  lastSeen(asker: Asker, cluster: string): Promise<Map<string, number>>
  /** What the nodes are, as their collectors and the scheduler told it. */
  records(asker: Asker, cluster: string): Promise<Map<string, Partial<Node>>>
  /** A closer look by its id. */
  burst(asker: Asker, cluster: string, id: string): Promise<Burst | undefined>
  /** First moment that the cluster was measured; null before. */
  first(asker: Asker, cluster: string): Promise<number | null>
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
  return {
    clusters: async asker => withMemory(await clusters(asker, ''), latest),
    nodes: async (asker, cluster) => {
      const names = new Map(await nodes(asker, cluster))
      for (const node of latest.nodes(cluster)) names.set(node, node)
      return names
    },
    lastSeen: keep(readLastSeen),
    records: keep(readNodeRecords, RECORDS_KEPT_MS),
    burst: readBurst,
    first: keep(readFirst),
  }
}

type Read<T> = (asker: Asker, cluster: string) => Promise<T>

/** The last answer of each cluster for a while; a failed or empty one is asked again. It outlives its first reader. */
function keep<T>(read: Read<T>, keptMs = KEPT_MS): Read<T> {
  const kept = new Map<string, { at: number; answer: Promise<T> }>()
  return (asker, cluster) => {
    const known = kept.get(cluster)
    if (known && asker.nowMs >= known.at && asker.nowMs - known.at < keptMs) return known.answer
    const asked = { at: asker.nowMs, answer: read(asker.until(undefined), cluster) }
    kept.set(cluster, asked)
    const forget = () => {
      if (kept.get(cluster) === asked) kept.delete(cluster)
    }
    asked.answer.then(answer => {
      if (answer === null || (answer instanceof Map && answer.size === 0)) forget()
    }, forget)
    return asked.answer
  }
}

function withMemory(stored: Map<string, number>, latest: Latest): Map<string, number> {
  const heard = new Map(stored)
  for (const cluster of latest.clusters()) {
    const newest = latest.nodes(cluster).reduce((ms, node) => Math.max(ms, latest.node(cluster, node)?.timeMs ?? 0), 0)
    heard.set(cluster, Math.max(heard.get(cluster) ?? 0, newest))
  }
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
  const rows = await asker.rows<{ node: string; names: string[] }>(
    'node names',
    sql`SELECT node, arrayDistinct(groupArrayArray(aliases)) AS names FROM (
          SELECT toString(node) AS node, [] AS aliases FROM node_points_1h WHERE cluster = ${cluster} AND ${back(asker)} GROUP BY node
          UNION ALL
          SELECT node, JSONExtract(record, 'aliases', 'Array(String)') AS aliases FROM nodes WHERE cluster = ${cluster}
        ) GROUP BY node ORDER BY node`,
  )
  const names = new Map<string, string>()
  for (const row of rows) for (const alias of row.names) names.set(alias, row.node)
  for (const row of rows) names.set(row.node, row.node)
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

async function readBurst(asker: Asker, cluster: string, id: string): Promise<Burst | undefined> {
  const [row] = await asker.rows<{ record: string }>(
    'burst by id',
    sql`SELECT record FROM bursts FINAL WHERE cluster = ${cluster} AND id = ${id}`,
  )
  return row && parseBurst(row.record)
}

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
export async function findJob(asker: Asker, cluster: string, id: string): Promise<KnownJob | undefined> {
  const [row] = await asker.rows<{ record: string; nodes: string[] }>(
    'job by id',
    sql`SELECT record, nodes FROM jobs FINAL WHERE cluster = ${cluster} AND (id = ${id} OR (raw_id = ${id} AND array_id != ${id}))
        ORDER BY id = ${id} DESC, submit_ms DESC LIMIT 1`,
  )
  return row && knownJob(row)
}

/** Ids like this one: the tasks of an array, or ids that begin so, or the newest there are. */
export async function jobsLike(asker: Asker, cluster: string, id: string): Promise<string[]> {
  const rows = await asker.rows<{ id: string }>(
    'jobs like',
    sql`SELECT id FROM jobs WHERE cluster = ${cluster} GROUP BY id
        ORDER BY any(array_id) = ${id} DESC, startsWith(id, ${id}) DESC, max(submit_ms) DESC, id LIMIT 10`,
  )
  return rows.map(row => row.id)
}
