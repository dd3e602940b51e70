/**
 * On which nodes a job is. The scheduler names them its way, the collectors theirs, and what was measured goes by the collectors':
 *
 *   scheduler   gpu-1 gpu-2        alias of a collector's node (FQDN, NodeHostName …)   -> that node
 *   measured          ip-10-0-0-7  where its processes or samples were seen             -> too, in place of a name that nobody has
 */
import type { Asker } from './asker.ts'
import type { Known } from './known.ts'
import { natural } from './natural.ts'
import { jobsOfRuns, nodesOfRuns, type Own, type OwnRuns, ownJobs, ownSamples, readOwnRuns } from './reach.ts'
import { and, type Sql, sql } from './sql.ts'

/** Seen so long before its start: clocks differ, and a minute is named by its end. */
const EARLY_SECONDS = 60

interface Job {
  ids: readonly string[]
  nodes: readonly string[]
  startMs: number | undefined
}

/** The nodes of each of these jobs, in the same order, by what was seen of them since `sinceMs`. */
export async function placeJobs(
  asker: Asker,
  known: Known,
  cluster: string,
  jobs: readonly Job[],
  sinceMs = 0,
): Promise<string[][]> {
  const [names, measured, seen] = await Promise.all([
    known.nodes(asker, cluster),
    known.lastSeen(asker, cluster),
    readSeen(asker, cluster, jobs, sinceMs),
  ])
  return jobs.map(job =>
    whereIs(
      job.nodes,
      job.ids.flatMap(id => seen.get(id) ?? []),
      { names, measured },
    ),
  )
}

/** `names`: of a node or alias -> node; `measured`: nodes that have a collector. */
interface Places {
  names: ReadonlyMap<string, string>
  measured: { has(node: string): boolean }
}

const nodeOf = (name: string, { names }: Places): string =>
  names.get(name) ?? names.get(name.split('.')[0] ?? '') ?? name

/** Whether nobody measures a node of this name. */
const isStranger = (name: string, places: Places): boolean => !places.measured.has(nodeOf(name, places))

/** All that these nodes are called. */
export function namesOf(nodes: readonly string[], names: ReadonlyMap<string, string>): string[] {
  const asked = new Set(nodes)
  return [...new Set([...nodes, ...[...names].flatMap(([name, node]) => (asked.has(node) ? [name] : []))])]
}

/**
 * Jobs that held one of these. Of one name has() looks in the column's dictionary, which is three times as fast; hasAny() turns
 * every row's names to strings.
 */
export const heldAny = (names: readonly string[]): Sql =>
  names.length === 1 ? sql`has(nodes, ${names[0] ?? ''})` : sql`arrayExists(name -> name IN ${names}, nodes)`

/** Pure. */
export function whereIs(told: readonly string[], seen: readonly string[], places: Places): string[] {
  const { measured } = places
  const named = [...new Set(told.map(name => nodeOf(name, places)))]
  const more = [...new Set(seen)].filter(node => !named.includes(node))
  if (more.length === 0) return named
  const strangers = named.filter(node => !measured.has(node) && !seen.includes(node))
  // Each node that nobody told of is one of those that nobody measures; where all are strangers, what was seen is all there is.
  const all = strangers.length === named.length
  const gone = new Set(all ? strangers : strangers.slice(0, more.length))
  return [...named.filter(node => !gone.has(node)), ...more].sort(natural)
}

async function readSeen(
  asker: Asker,
  cluster: string,
  jobs: readonly Job[],
  sinceMs: number,
): Promise<Map<string, string[]>> {
  const started = jobs.filter(job => job.startMs !== undefined)
  if (started.length === 0) return new Map()
  const ids = started.flatMap(job => job.ids)
  // An id is used again after years: what was seen before the first of these jobs began is another's.
  const first = started.reduce((ms, job) => Math.min(ms, job.startMs ?? ms), Number.POSITIVE_INFINITY)
  const since = Math.max(sinceMs, first) / 1000 - EARLY_SECONDS
  const rows = await asker.unlimited().rows<{ job: string; nodes: string[] }>(
    'nodes of jobs as measured',
    sql`SELECT job, groupUniqArray(toString(node)) AS nodes FROM job_usage
          WHERE cluster = ${cluster} AND job IN ${ids} AND minute >= toDateTime(${since}, 'UTC') GROUP BY job`,
  )
  return new Map(rows.map(row => [row.job, row.nodes]))
}

/** The reader's jobs that ran in the window (or this one) and where; undefined: the reader sees all. */
export async function readOwn(
  asker: Asker,
  known: Known,
  cluster: string,
  window: { from: number; to: number },
  { job }: { job?: string | undefined } = {},
): Promise<Own | undefined> {
  const runs = await readOwnRuns(asker, cluster, window, { job })
  if (runs === undefined) return undefined
  const everyone = asker.unlimited()
  const [names, measured] = await Promise.all([known.nodes(everyone, cluster), known.lastSeen(everyone, cluster)])
  const nodes = await placeRuns(asker, cluster, runs, { names, measured })
  return { ...jobsOfRuns(runs), nodes: nodesOfRuns(runs, nodes) }
}

/**
 * Stricter than placeJobs, since it opens what is shown: where a job was seen counts only for one with a node that nobody
 * measures under its name, and in the job's own time.
 */
async function placeRuns(asker: Asker, cluster: string, runs: OwnRuns, places: Places): Promise<string[][]> {
  const lost = runs.nodes.map(told => told.some(name => isStranger(name, places)))
  if (!lost.includes(true)) return runs.nodes.map(told => whereIs(told, [], places))
  const only = <T>(list: readonly T[]) => list.filter((_, i) => lost[i])
  const own = jobsOfRuns({ ...runs, names: only(runs.names), spans: only(runs.spans) })
  const rows = await asker.rows<{ job: string; nodes: string[] }>(
    'nodes of own jobs as measured',
    sql`SELECT job, groupUniqArray(toString(node)) AS nodes FROM job_usage
        WHERE ${and([sql`cluster = ${cluster}`, ownSamples(own, sql`minute`)])} GROUP BY job`,
  )
  const seen = new Map(rows.map(row => [row.job, row.nodes]))
  return runs.nodes.map((told, i) => {
    const there = lost[i] ? (runs.names[i] ?? []).flatMap(name => seen.get(name) ?? []) : []
    return whereIs(told, there, places)
  })
}

/** Nodes that jobs of the reader's reach ever held. */
export async function readOwnNodes(asker: Asker, cluster: string, places: Places): Promise<Set<string>> {
  const mine = and([sql`cluster = ${cluster}`, ownJobs(asker.reach)])
  const told = await asker.rows<{ node: string }>(
    'own nodes',
    sql`SELECT DISTINCT toString(arrayJoin(nodes)) AS node FROM jobs FINAL WHERE ${mine}`,
  )
  const strangers = told.map(row => row.node).filter(name => isStranger(name, places))
  const nodes = new Set(told.map(row => nodeOf(row.node, places)))
  if (strangers.length === 0) return nodes
  const runs = sql`SELECT arrayJoin(arrayDistinct([id, raw_id])) AS job, start_ms, end_ms FROM jobs FINAL
    WHERE ${mine} AND start_ms > 0 AND ${heldAny(strangers)}`
  // Of own jobs by the condition above, each in its own time: ids are used again.
  const seen = await asker.unlimited().rows<{ node: string }>(
    'own nodes as measured',
    sql`SELECT DISTINCT toString(used.node) AS node FROM job_usage AS used INNER JOIN (${runs}) AS run ON run.job = used.job
        WHERE used.cluster = ${cluster} AND used.job IN (SELECT job FROM (${runs}))
          AND toUnixTimestamp(used.minute) * 1000. > run.start_ms
          AND (run.end_ms = 0 OR toUnixTimestamp(used.minute) * 1000. <= run.end_ms + ${60 * 1000})`,
  )
  for (const row of seen) nodes.add(row.node)
  return nodes
}
