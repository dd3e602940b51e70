/**
 * On which nodes a job is. The scheduler names them its way, the collectors theirs, and what was measured goes by the collectors':
 *
 *   scheduler   gpu-1 gpu-2        alias of a collector's node (FQDN, NodeHostName …)   -> that node
 *   measured          ip-10-0-0-7  where its processes or samples were seen             -> too, in place of a name that nobody has
 */
import type { Asker } from './asker.ts'
import { natural } from './heatmap.ts'
import type { Known } from './known.ts'
import { sql } from './sql.ts'

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

/** Pure. `names`: of a node or alias -> node; `measured`: nodes that have a collector. */
export function whereIs(
  told: readonly string[],
  seen: readonly string[],
  { names, measured }: { names: ReadonlyMap<string, string>; measured: { has(node: string): boolean } },
): string[] {
  const named = [...new Set(told.map(name => names.get(name) ?? names.get(name.split('.')[0] ?? '') ?? name))]
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
