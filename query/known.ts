/** Names the store has heard of: what a scope may name, and what is offered instead of a name it has not. */
import type { Latest } from '../ingest/latest.ts'
import type { Job } from '../ingest/records.ts'
import type { Asker } from './asker.ts'
import { sql } from './sql.ts'

export interface Known {
  /** cluster -> when it was last heard of, newest first. */
  clusters(asker: Asker): Promise<Map<string, number>>
  /** Name or alias -> node. */
  nodes(asker: Asker, cluster: string): Promise<Map<string, string>>
}

/** Names change rarely and every question needs them. */
const KEPT_MS = 5000

/** Memory knows what came in the last hour, the store the rest: rollups of an hour come some minutes later. */
export function openKnown(latest: Latest): Known {
  const clusters = keep(asker => readClusters(asker, latest))
  const nodes = new Map<string, (asker: Asker) => Promise<Map<string, string>>>()
  return {
    clusters,
    nodes: (asker, cluster) => {
      const kept = nodes.get(cluster) ?? keep(a => readNodes(a, latest, cluster))
      nodes.set(cluster, kept)
      return kept(asker)
    },
  }
}

/** The last answer for a while; a failed one is asked again at once. The question outlives its first reader. */
function keep<T>(read: (asker: Asker) => Promise<T>): (asker: Asker) => Promise<T> {
  let at = Number.NEGATIVE_INFINITY
  let answer: Promise<T> | undefined
  return asker => {
    if (answer && asker.nowMs - at < KEPT_MS && asker.nowMs >= at) return answer
    at = asker.nowMs
    const asked = read(asker.until(undefined))
    answer = asked
    asked.catch(() => {
      if (answer === asked) answer = undefined
    })
    return asked
  }
}

async function readClusters(asker: Asker, latest: Latest): Promise<Map<string, number>> {
  const rows = await asker.rows<{ cluster: string; ms: number }>(
    'clusters',
    sql`SELECT cluster, max(heard) AS ms FROM (
          SELECT toString(cluster) AS cluster, max(toUnixTimestamp(time) - 3600) * 1000. AS heard FROM node_points_1h GROUP BY cluster
          UNION ALL
          SELECT toString(cluster) AS cluster, toFloat64(max(updated_ms)) AS heard FROM nodes GROUP BY cluster
          UNION ALL
          SELECT toString(cluster) AS cluster, toFloat64(max(updated_ms)) AS heard FROM jobs GROUP BY cluster
        ) GROUP BY cluster`,
  )
  const heard = new Map(rows.map(row => [row.cluster, row.ms]))
  for (const cluster of latest.clusters()) {
    const newest = latest.nodes(cluster).reduce((ms, node) => Math.max(ms, latest.node(cluster, node)?.timeMs ?? 0), 0)
    heard.set(cluster, Math.max(heard.get(cluster) ?? 0, newest))
  }
  return new Map([...heard].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)))
}

async function readNodes(asker: Asker, latest: Latest, cluster: string): Promise<Map<string, string>> {
  const rows = await asker.rows<{ node: string; names: string[] }>(
    'node names',
    sql`SELECT node, arrayDistinct(groupArrayArray(aliases)) AS names FROM (
          SELECT toString(node) AS node, [] AS aliases FROM node_points_1h WHERE cluster = ${cluster} GROUP BY node
          UNION ALL
          SELECT node, JSONExtract(record, 'aliases', 'Array(String)') AS aliases FROM nodes WHERE cluster = ${cluster}
        ) GROUP BY node ORDER BY node`,
  )
  const names = new Map<string, string>()
  for (const row of rows) for (const alias of row.names) names.set(alias, row.node)
  for (const row of rows) names.set(row.node, row.node)
  for (const node of latest.nodes(cluster)) names.set(node, node)
  return names
}

export interface KnownJob {
  record: Job
  /** What rows of samples and processes may call it: the id people type and the kernel's. */
  ids: string[]
  nodes: string[]
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
