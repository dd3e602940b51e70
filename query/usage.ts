/**
 * What jobs used, by our own measurements. Two of them, each of which can only miss time: the processes of each tick
 * (misses those that lived shorter than one) and the samples (misses lost ones). The larger is nearer to the truth.
 */
import type { Asker } from './asker.ts'
import type { KnownJob } from './known.ts'
import { spanOf } from './scope.ts'
import { type Sql, sql } from './sql.ts'

export interface Usage {
  /** null: nothing was measured. */
  coreSeconds: number | null
  sampledSeconds: number
  memoryPeakBytes: number | null
  topFunction: string | null
}

/** A page of jobs as parallel lists, an entry a (job, id), so that one question answers for all, also where an id came twice. */
interface Spans {
  ids: string[]
  from: number[]
  to: number[]
  job: number[]
}

const NOTHING: Usage = { coreSeconds: null, sampledSeconds: 0, memoryPeakBytes: null, topFunction: null }
/** Some 20 processes a node are kept each tick of 10 s. */
const ROWS_PER_NODE_SECOND = 2
/** Rows of processes read for one job at most; a larger one is known by its samples alone. */
const MAX_ROWS_OF_JOB = 500_000
const MAX_ROWS_OF_DETAIL = 20_000_000
const OVERHANG_SECONDS = 60

export async function readUsage(
  asker: Asker,
  cluster: string,
  jobs: readonly KnownJob[],
  one = false,
): Promise<Usage[]> {
  const started = jobs.map((job, i) => ({ job, i })).filter(({ job }) => job.record.startMs !== undefined)
  if (started.length === 0) return jobs.map(() => NOTHING)
  const spans = spansOf(asker, started)
  const limit = one ? MAX_ROWS_OF_DETAIL : MAX_ROWS_OF_JOB
  const small = started.filter(({ job }) => job.nodes.length > 0 && rowsOf(asker, job) <= limit)
  const [byProcesses, bySamples] = await Promise.all([
    small.length === 0 ? [] : readByProcesses(asker, cluster, small),
    readBySamples(asker, cluster, spans),
  ])
  return jobs.map((_, i) => {
    const processes = byProcesses.find(row => row.which === i)
    const samples = bySamples.find(row => row.which === i)
    const cores = [processes?.coreSeconds, samples?.seconds].filter(v => v !== undefined && v !== null)
    return {
      coreSeconds: cores.length === 0 ? null : Math.max(...cores),
      sampledSeconds: samples?.seconds ?? 0,
      memoryPeakBytes: processes?.memoryPeakBytes ?? null,
      topFunction: samples?.topFunction ?? null,
    }
  })
}

function rowsOf(asker: Asker, job: KnownJob): number {
  const { from, to } = spanOf(job, asker.nowMs)
  return job.nodes.length * ((to - from) / 1000) * ROWS_PER_NODE_SECOND
}

function spansOf(asker: Asker, jobs: readonly { job: KnownJob; i: number }[]): Spans {
  const spans: Spans = { ids: [], from: [], to: [], job: [] }
  for (const { job, i } of jobs) {
    const { from, to } = spanOf(job, asker.nowMs)
    for (const id of job.ids) {
      spans.ids.push(id)
      spans.from.push(from / 1000)
      spans.to.push(to / 1000 + OVERHANG_SECONDS)
      spans.job.push(i)
    }
  }
  return spans
}

/** Number of the job that a row belongs to, by its id and time; -1 where it is another use of the same id. */
const jobOfRow = (spans: Spans, time: Sql): Sql =>
  sql`arrayElement(arrayConcat([-1], ${spans.job}), 1 + arrayFirstIndex(
        (id, first, last) -> id = job AND toUnixTimestamp(${time}) > first AND toUnixTimestamp(${time}) <= last,
        ${spans.ids}, ${spans.from}, ${spans.to}))`

const between = (spans: Spans, time: Sql): Sql =>
  sql`${time} > toDateTime(${Math.min(...spans.from)}, 'UTC') AND ${time} <= toDateTime(${Math.max(...spans.to)}, 'UTC')`

function readByProcesses(asker: Asker, cluster: string, jobs: readonly { job: KnownJob; i: number }[]) {
  const spans = spansOf(asker, jobs)
  const nodes = [...new Set(jobs.flatMap(({ job }) => job.nodes))]
  return asker.rows<{ which: number; coreSeconds: number | null; memoryPeakBytes: number | null }>(
    'usage by processes',
    sql`SELECT toInt32(which) AS which, sum(cpu) AS coreSeconds, toFloat64(max(memory)) AS memoryPeakBytes FROM (
          SELECT ${jobOfRow(spans, sql`time`)} AS which, sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) AS cpu,
            sum(memory_bytes) AS memory
          FROM processes WHERE cluster = ${cluster} AND node IN ${nodes} AND ${between(spans, sql`time`)} AND job IN ${spans.ids}
          GROUP BY which, time
        ) WHERE which >= 0 GROUP BY which`,
  )
}

function readBySamples(asker: Asker, cluster: string, spans: Spans) {
  return asker.rows<{ which: number; seconds: number; topFunction: string | null }>(
    'usage by samples',
    sql`WITH sums AS (
          SELECT ${jobOfRow(spans, sql`minute`)} AS which, function_id, sum(self) AS ns
          FROM function_minutes
          WHERE cluster = ${cluster} AND job IN ${spans.ids} AND event = 'cpu' AND ${between(spans, sql`minute`)}
          GROUP BY which, function_id
        ), tops AS (SELECT which, toFloat64(sum(ns)) / 1e9 AS seconds, argMax(function_id, ns) AS hottest FROM sums WHERE which >= 0 GROUP BY which)
        SELECT toInt32(which) AS which, seconds, nullIf(function, '') AS topFunction FROM tops
        LEFT ANY JOIN (SELECT function_id, any(function) AS function FROM frames WHERE function_id IN (SELECT hottest FROM tops) GROUP BY function_id) AS names
          ON names.function_id = tops.hottest`,
  )
}
