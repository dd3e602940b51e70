/** GET /search: what '/' in the page asks. Names that begin with the words come first. */
import type { Search } from './api.ts'
import type { SearchAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { ownJobs, ownSamples, readOwnJobs } from './reach.ts'
import { MAX_NAMES, resolveCluster } from './scope.ts'
import { and, limit as limited, type Sql, sql } from './sql.ts'

type Hit = Search['hits'][number]

export async function readSearch(desk: Desk, ask: SearchAsk): Promise<Search> {
  const { asker, known } = desk
  const q = ask.q.trim()
  const limit = ask.limit ?? 30
  const clusters =
    ask.cluster === undefined
      ? [...(await known.clusters(asker)).keys()]
      : [await resolveCluster(asker, known, ask.cluster)]
  if (q === '' || clusters.length === 0) return { hits: [] }
  const found = await Promise.all([
    searchNodes(desk, clusters, q, limit),
    searchJobs(desk, clusters, q, limit),
    searchUsers(desk, clusters, q, limit),
    searchFunctions(desk, clusters[0] ?? '', q, limit),
  ])
  return { hits: share(found, limit) }
}

/** Each kind has its part of the room; what one does not need the others get. */
function share(found: Hit[][], limit: number): Hit[] {
  const taken = found.map(() => 0)
  for (let room = limit; room > 0; ) {
    const before = room
    found.forEach((hits, i) => {
      if (room > 0 && (taken[i] ?? 0) < hits.length) {
        taken[i] = (taken[i] ?? 0) + 1
        room--
      }
    })
    if (room === before) break
  }
  return found.flatMap((hits, i) => hits.slice(0, taken[i]))
}

async function searchNodes(desk: Desk, clusters: readonly string[], q: string, limit: number): Promise<Hit[]> {
  const wanted = q.toLowerCase()
  const hits: Hit[] = []
  for (const cluster of clusters) {
    const names = await desk.known.nodes(desk.asker, cluster)
    const seen = new Set<string>()
    for (const [name, node] of names) {
      if (!name.toLowerCase().includes(wanted) || seen.has(node)) continue
      seen.add(node)
      hits.push({ kind: 'node', cluster, name: node, hint: name === node ? '' : name })
    }
  }
  return first(hits, wanted, limit)
}

const first = (hits: Hit[], wanted: string, limit: number): Hit[] => {
  const rank = (hit: Hit) => (hit.name.toLowerCase().startsWith(wanted) ? 0 : 1)
  return hits.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, 'en', { numeric: true })).slice(0, limit)
}

const own = (desk: Desk): Sql => ownJobs(desk.asker.reach) ?? sql`true`

const holds = (name: Sql, q: string): Sql => sql`positionCaseInsensitiveUTF8(${name}, ${q}) > 0`

async function searchJobs(desk: Desk, clusters: readonly string[], q: string, limit: number): Promise<Hit[]> {
  const rows = await desk.asker.rows<{ cluster: string; id: string; name: string; user: string; state: string }>(
    'search jobs',
    sql`SELECT toString(cluster) AS cluster, id, name, toString(user) AS user, toString(state) AS state FROM jobs FINAL
        WHERE cluster IN ${clusters} AND (startsWith(id, ${q}) OR raw_id = ${q} OR ${holds(sql`name`, q)}) AND ${own(desk)}
        ORDER BY id = ${q} DESC, startsWith(id, ${q}) DESC, submit_ms DESC, id LIMIT ${limit}`,
  )
  return rows.map(row => ({
    kind: 'job',
    cluster: row.cluster,
    name: row.id,
    hint: [row.name, row.user, row.state].filter(part => part !== '').join(' · '),
  }))
}

async function searchUsers(desk: Desk, clusters: readonly string[], q: string, limit: number): Promise<Hit[]> {
  const rows = await desk.asker.rows<{ cluster: string; name: string; jobs: number }>(
    'search users',
    sql`SELECT toString(cluster) AS cluster, toString(user) AS name, toFloat64(count()) AS jobs FROM jobs FINAL
        WHERE cluster IN ${clusters} AND user != '' AND ${holds(sql`user`, q)} AND ${own(desk)} GROUP BY cluster, user ORDER BY jobs DESC LIMIT ${limit}`,
  )
  const hits = rows.map(({ cluster, name, jobs }): Hit => ({ kind: 'user', cluster, name, hint: `${jobs} jobs` }))
  return first(hits, q.toLowerCase(), limit)
}

const WEEK = 7 * 86_400_000

/** Functions that jobs of the reader ran lately; undefined: all there are. */
async function ownFunctions({ asker }: Desk, cluster: string): Promise<Sql | undefined> {
  const from = asker.nowMs - WEEK
  const own = await readOwnJobs(asker, cluster, { from, to: asker.nowMs }, { newest: MAX_NAMES })
  const mine = ownSamples(own, sql`minute`)
  return (
    mine &&
    limited(sql`function_id IN (SELECT function_id FROM function_minutes
      WHERE cluster = ${cluster} AND minute > toDateTime(${Math.floor(from / 1000)}, 'UTC') AND ${mine})`)
  )
}

/** Frames are shared by all clusters; the hit leads to the first one. */
async function searchFunctions(desk: Desk, cluster: string, q: string, limit: number): Promise<Hit[]> {
  const rows = await desk.asker.rows<{ name: string; module: string }>(
    'search functions',
    sql`SELECT function AS name, toString(any(f.module)) AS module FROM frames AS f
        WHERE ${and([holds(sql`function`, q), await ownFunctions(desk, cluster)])}
        GROUP BY function ORDER BY startsWith(lower(function), lower(${q})) DESC, length(function), function LIMIT ${limit}`,
  )
  return rows.map(row => ({ kind: 'function', cluster, name: row.name, hint: row.module }))
}
