/** GET /jobs and /bands: lists of jobs, newest first. */
import { JOB_STATES } from '../ingest/records.ts'
import type { JobBands, JobRow, Jobs } from './api.ts'
import type { BandsAsk, JobsAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { badRequest, hint, notFound } from './errors.ts'
import { heldAny, namesOf } from './jobplace.ts'
import { type KnownJob, knownJob } from './known.ts'
import { ownJobs } from './reach.ts'
import { readSchedulers } from './schedulers.ts'
import { MAX_NAMES, resolveCluster, resolveScope, spanOf } from './scope.ts'
import { and, type Sql, sql } from './sql.ts'
import type { Usage } from './usage.ts'

export async function readJobs(desk: Desk, ask: JobsAsk): Promise<Jobs> {
  const cluster = await resolveCluster(desk.asker, desk.known, ask.cluster)
  const names = ask.node === undefined ? NO_NAMES : await desk.known.nodes(desk.asker, cluster)
  const where = and([conditions(cluster, ask, names, desk.asker.nowMs), ownJobs(desk.asker.reach)])
  const after = ask.cursor === undefined ? undefined : parseCursor(ask.cursor)
  const limit = ask.limit ?? 50
  const [rows, [count]] = await Promise.all([
    readPage(desk, where, after, limit + 1),
    desk.asker.rows<{ jobs: number }>(
      'jobs counted',
      sql`SELECT toFloat64(count()) AS jobs FROM jobs FINAL WHERE ${where}`,
    ),
  ])
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    cluster,
    jobs: await jobRows(desk, cluster, shown.map(knownJob)),
    total: count?.jobs ?? 0,
    next: rows.length > limit && last ? cursorOf(last) : null,
    schedulers: await readSchedulers(desk, cluster),
  }
}

/**
 * The next so many rows, newest first. The times alone are sorted to find where they end, since only there records are read:
 *
 *   sorted_ms  ... 17:02 17:03 | 17:05 17:05 17:07 | 17:09 (shown before) ...
 *                               \- records, by the index of times -/
 */
function readPage({ asker }: Desk, where: Sql, after: Cursor | undefined, rows: number) {
  const page = and([where, after && sql`(sorted_ms, id) < (${after.sorted}, ${after.id})`])
  const older = and([where, after && sql`sorted_ms < ${after.sorted}`])
  return asker.rows<{ record: string; nodes: string[]; sorted: number; id: string }>(
    'jobs',
    sql`SELECT record, nodes, toFloat64(sorted_ms) AS sorted, id FROM jobs FINAL WHERE ${page} AND sorted_ms >= (
          SELECT min(sorted_ms) FROM (
            SELECT sorted_ms FROM jobs FINAL WHERE ${older} ORDER BY sorted_ms DESC LIMIT ${rows}))
        ORDER BY sorted_ms DESC, id DESC LIMIT ${rows}`,
  )
}

const NO_NAMES: ReadonlyMap<string, string> = new Map()

/** `names`: of nodes, since the scheduler may call them otherwise. */
function conditions(cluster: string, ask: JobsAsk, names: ReadonlyMap<string, string>, nowMs: number): Sql {
  const any = (text: string | undefined, test: (names: string[]) => Sql) =>
    text === undefined ? undefined : test(namesIn(text))
  return and([
    sql`cluster = ${cluster}`,
    sql`NOT expanded`,
    ask.state === undefined ? undefined : sql`state IN ${statesNamed(ask.state)}`,
    any(ask.user, names => sql`user IN ${names}`),
    // A Slurm job can wait in several partitions: a,b.
    any(ask.queue, names => sql`hasAny(splitByChar(',', toString(queue)), ${names})`),
    any(ask.account, names => sql`account IN ${names}`),
    any(ask.node, asked =>
      heldAny(
        namesOf(
          asked.map(name => names.get(name) ?? name),
          names,
        ),
      ),
    ),
    any(ask.array, names => sql`array_id IN ${names}`),
    ask.name === undefined ? undefined : named(ask.name),
    ask.from === undefined ? undefined : sql`(end_ms = 0 OR end_ms > ${ask.from})`,
    ask.to === undefined ? undefined : sql`sorted_ms < ${ask.to}`,
    ask.minNodes === undefined ? undefined : sql`node_count >= ${ask.minNodes}`,
    ask.maxNodes === undefined ? undefined : sql`node_count <= ${ask.maxNodes}`,
    ask.minCores === undefined ? undefined : sql`cores >= ${ask.minCores}`,
    ask.maxCores === undefined ? undefined : sql`cores <= ${ask.maxCores}`,
    ask.minGpus === undefined ? undefined : sql`gpus >= ${ask.minGpus}`,
    ask.minSeconds === undefined ? undefined : ranFor(ask.minSeconds, nowMs),
  ])
}

/** `relax_*` is the whole name, `relax` a part of it. */
const named = (name: string): Sql =>
  /[*?]/.test(name)
    ? sql`match(name, ${`^(?is)${name
        .replace(/[^*?]+/g, literal)
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`})`
    : sql`positionCaseInsensitiveUTF8(name, ${name}) > 0`
const literal = (text: string): string => text.replace(/[\\^$.|+()[\]{}]/g, '\\$&')

const namesIn = (text: string): string[] =>
  text
    .split(',')
    .filter(name => name !== '')
    .slice(0, MAX_NAMES)

const ranFor = (seconds: number, nowMs: number): Sql =>
  sql`start_ms > 0 AND if(end_ms > 0, end_ms, ${nowMs}) - start_ms >= ${seconds * 1000}`

function statesNamed(text: string): string[] {
  const states = namesIn(text)
  const known: readonly string[] = JOB_STATES
  const wrong = states.find(state => !known.includes(state))
  if (wrong !== undefined) throw notFound(`job state ${wrong} is not known.${hint(wrong, known, 'state')}`)
  return states
}

/** The last row of a page. */
interface Cursor {
  sorted: number
  id: string
}

const cursorOf = (row: Cursor): string => Buffer.from(JSON.stringify([row.sorted, row.id])).toString('base64url')

function parseCursor(cursor: string): Cursor {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(parsed) && Number.isInteger(parsed[0]) && typeof parsed[1] === 'string') {
      return { sorted: parsed[0], id: parsed[1] }
    }
  } catch {
    // Said below.
  }
  throw badRequest('cursor is not one of ours: give `next` of the page before, or leave it out for the first page')
}

async function jobRows({ asker, known, usage }: Desk, cluster: string, jobs: readonly KnownJob[]): Promise<JobRow[]> {
  const [used, first] = await Promise.all([usage(asker, cluster, jobs), known.first(asker, cluster)])
  return jobs.map((job, i) => jobRow(job, used[i], first, asker.nowMs))
}

export function jobRow(job: KnownJob, usage: Usage | undefined, firstMs: number | null, nowMs: number): JobRow {
  const { record } = job
  const allocated = allocatedSeconds(job, firstMs, nowMs)
  const used = usage?.coreSeconds ?? null
  const memory = record.memoryBytes
  return {
    id: record.id,
    name: record.name ?? '',
    user: record.user ?? '',
    account: record.account ?? '',
    queue: record.queue ?? '',
    state: record.state,
    submit: record.submitMs ?? null,
    start: record.startMs ?? null,
    end: record.endMs ?? null,
    nodeCount: record.nodeCount ?? job.nodes.length,
    cores: record.cores ?? 0,
    gpus: record.gpus ?? 0,
    cpuEfficiency: allocated === null || used === null ? null : used / allocated,
    memoryEfficiency: !memory || usage?.memoryPeakBytes == null ? null : usage.memoryPeakBytes / memory,
    topFunction: usage?.topFunction ?? null,
  }
}

/** Core seconds that the job held since anything was measured here at all; null while that is nothing. */
export function allocatedSeconds(job: KnownJob, firstMs: number | null, nowMs: number): number | null {
  const { startMs, cores } = job.record
  if (startMs === undefined || !cores || firstMs === null) return null
  const { to } = spanOf(job, nowMs)
  const held = (to - Math.max(startMs, firstMs)) / 1000
  return held > 0 ? held * cores : null
}

export async function readBands(desk: Desk, ask: BandsAsk): Promise<JobBands> {
  const { user, limit, pid, ...scope } = ask
  if (pid !== undefined) throw badRequest('bands are of jobs: leave pid out')
  const target = await resolveScope(desk.asker, desk.known, scope)
  const names = await desk.known.nodes(desk.asker, target.cluster)
  const rows = await desk.asker.rows<{ record: string; nodes: string[] }>(
    'bands',
    sql`SELECT record, nodes FROM jobs FINAL WHERE ${and([
      sql`cluster = ${target.cluster}`,
      sql`start_ms > 0 AND start_ms < ${target.to} AND (end_ms = 0 OR end_ms > ${target.from})`,
      target.namedNodes && heldAny(namesOf(target.namedNodes, names)),
      user === undefined ? undefined : sql`user = ${user}`,
      target.job && sql`id = ${target.job.record.id}`,
      ownJobs(desk.asker.reach),
    ])} ORDER BY node_count DESC, start_ms, id LIMIT ${limit ?? 500}`,
  )
  const named = target.namedNodes && new Set(target.namedNodes)
  return {
    cluster: target.cluster,
    jobs: rows.map(knownJob).map(job => ({
      id: job.record.id,
      name: job.record.name ?? '',
      user: job.record.user ?? '',
      state: job.record.state,
      ...spanOf(job, desk.asker.nowMs),
      nodes: job.nodes.map(node => names.get(node) ?? node).filter(node => named?.has(node) ?? true),
    })),
  }
}
