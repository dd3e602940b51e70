/**
 * What jobs used, by our own measurements. Two of them, each of which can only miss time: the processes of each tick
 * (misses those that lived shorter than one) and the samples (misses lost ones). The larger is nearer to the truth.
 */
import type { Asker } from './asker.ts'
import type { Bodies } from './bodies.ts'
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

const NO_USAGE: Usage = { coreSeconds: null, sampledSeconds: 0, memoryPeakBytes: null, topFunction: null }

/** Some 20 processes a node are kept each tick of 10 s. */
const ROWS_PER_NODE_SECOND = 2
/** Rows of processes read for one job at most; a larger one is known by its samples alone. */
const ROWS_OF_LISTED_JOB = 500_000
export const ROWS_OF_ONE_JOB = 20_000_000
const OVERHANG_SECONDS = 60

/** In the order of the jobs. */
export async function readUsage(
  asker: Asker,
  bodies: Bodies,
  cluster: string,
  jobs: readonly KnownJob[],
  maxRows: number,
): Promise<Usage[]> {
  const usage = jobs.map(() => NO_USAGE)
  // The jobs were found for the reader, and each is asked for in its own span.
  const all = asker.unlimited()
  for (const batch of batchesOf(jobs.filter(job => job.record.startMs !== undefined))) {
    const spans = spansOf(asker, batch)
    const small = batch.filter(job => job.nodes.length > 0 && rowsOf(asker, job) <= maxRows)
    const [processes, samples] = await Promise.all([
      small.length === 0 ? [] : readByProcesses(all, cluster, small),
      readBySamples(all, bodies, cluster, spans),
    ])
    for (const job of batch) {
      const of = <T extends { job: string }>(rows: readonly T[]) => rows.filter(row => job.ids.includes(row.job))
      usage[jobs.indexOf(job)] = usageOf(of(processes), of(samples))
    }
  }
  return usage
}

/** An id that is used again would be two jobs in one sum: each batch has it once. */
function batchesOf(jobs: readonly KnownJob[]): KnownJob[][] {
  const batches: { jobs: KnownJob[]; ids: Set<string> }[] = []
  for (const job of jobs) {
    let batch = batches.find(b => job.ids.every(id => !b.ids.has(id)))
    if (!batch) {
      batch = { jobs: [], ids: new Set() }
      batches.push(batch)
    }
    batch.jobs.push(job)
    for (const id of job.ids) batch.ids.add(id)
  }
  return batches.map(batch => batch.jobs)
}

type ByProcesses = Awaited<ReturnType<typeof readByProcesses>>[number]
type BySamples = Awaited<ReturnType<typeof readBySamples>>[number]

/** Mostly one row each; two where some evidence gave the id and some the kernel's. */
function usageOf(processes: readonly ByProcesses[], samples: readonly BySamples[]): Usage {
  const sum = (values: readonly (number | null)[]) => values.reduce<number>((total, value) => total + (value ?? 0), 0)
  const sampled = sum(samples.map(row => row.seconds))
  const most = Math.max(sampled, sum(processes.map(row => row.coreSeconds)))
  const [hottest] = [...samples].sort((a, b) => b.seconds - a.seconds)
  return {
    coreSeconds: processes.length + samples.length === 0 ? null : most,
    sampledSeconds: sampled,
    memoryPeakBytes:
      processes.length === 0 ? null : Math.max(...processes.map(row => row.memoryPeakBytes ?? 0)) || null,
    topFunction: hottest?.topFunction ?? null,
  }
}

function rowsOf(asker: Asker, job: KnownJob): number {
  const { from, to } = spanOf(job, asker.nowMs)
  return job.nodes.length * ((to - from) / 1000) * ROWS_PER_NODE_SECOND
}

/** Parallel lists, an entry an id: when the job of this id began and ended, in seconds. */
interface Spans {
  ids: string[]
  from: number[]
  to: number[]
}

function spansOf(asker: Asker, jobs: readonly KnownJob[]): Spans {
  const spans: Spans = { ids: [], from: [], to: [] }
  for (const job of jobs) {
    const { from, to } = spanOf(job, asker.nowMs)
    for (const id of job.ids) {
      spans.ids.push(id)
      spans.from.push(from / 1000)
      spans.to.push(to / 1000 + OVERHANG_SECONDS)
    }
  }
  return spans
}

/** Rows of these jobs, each in its own span. The outer bounds let whole parts of the table be left out. */
const inSpans = ({ ids, from, to }: Spans, time: Sql): Sql => {
  const at = sql`toInt64(toUnixTimestamp(${time}))`
  return sql`job IN ${ids} AND ${time} > toDateTime(${Math.min(...from)}, 'UTC') AND ${time} <= toDateTime(${Math.max(...to)}, 'UTC')
    AND ${at} > transform(toString(job), ${ids}, ${from}, 0) AND ${at} <= transform(toString(job), ${ids}, ${to}, 0)`
}

function readByProcesses(asker: Asker, cluster: string, jobs: readonly KnownJob[]) {
  const nodes = [...new Set(jobs.flatMap(job => job.nodes))]
  return asker.rows<{ job: string; coreSeconds: number | null; memoryPeakBytes: number | null }>(
    'usage by processes',
    sql`SELECT toString(job) AS job, sum(cpu) AS coreSeconds, toFloat64(max(memory)) AS memoryPeakBytes FROM (
          SELECT job, sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) AS cpu, sum(memory_bytes) AS memory
          FROM processes WHERE cluster = ${cluster} AND node IN ${nodes} AND ${inSpans(spansOf(asker, jobs), sql`time`)}
          GROUP BY job, time
        ) GROUP BY job`,
  )
}

async function readBySamples(asker: Asker, bodies: Bodies, cluster: string, spans: Spans) {
  const rows = await asker.rows<{ job: string; seconds: number; id: string }>(
    'usage by samples',
    sql`SELECT toString(job) AS job, toFloat64(sum(ns)) / 1e9 AS seconds, toString(argMax(function_id, ns)) AS id FROM (
          SELECT job, function_id, sum(self) AS ns FROM function_minutes
          WHERE cluster = ${cluster} AND event = 'cpu' AND ${inSpans(spans, sql`minute`)} GROUP BY job, function_id
        ) GROUP BY job`,
  )
  const names = await bodies.functions(
    asker,
    rows.map(row => row.id),
  )
  return rows.map(({ job, seconds, id }) => ({ job, seconds, topFunction: names.get(id)?.function ?? null }))
}

const ENDED_FOR = 600_000
const KEEP_ENDED = 3_600_000
const KEEP_RUNNING = 20_000
const MAX_KEPT = 50_000

export type ReadUsage = (asker: Asker, cluster: string, jobs: readonly KnownJob[]) => Promise<Usage[]>

/** What a job that is over used does not change any more: a page of jobs that was seen is not measured again. */
export function openUsage(bodies: () => Bodies): ReadUsage {
  const kept = new Map<string, { usage: Usage; until: number }>()
  return async (asker, cluster, jobs) => {
    const keyOf = (job: KnownJob) => `${cluster}\0${job.record.id}\0${job.record.startMs}\0${job.record.state}`
    const unknown = jobs.filter(job => (kept.get(keyOf(job))?.until ?? 0) <= asker.nowMs)
    const found = await readUsage(asker, bodies(), cluster, unknown, ROWS_OF_LISTED_JOB)
    const fresh = new Map(unknown.map((job, i) => [job, found[i] ?? NO_USAGE]))
    for (const [job, usage] of fresh) {
      const over = (job.record.endMs ?? asker.nowMs) < asker.nowMs - ENDED_FOR
      kept.delete(keyOf(job))
      kept.set(keyOf(job), { usage, until: asker.nowMs + (over ? KEEP_ENDED : KEEP_RUNNING) })
    }
    const answer = jobs.map(job => fresh.get(job) ?? kept.get(keyOf(job))?.usage ?? NO_USAGE)
    for (const oldest of kept.keys()) {
      if (kept.size <= MAX_KEPT) break
      kept.delete(oldest)
    }
    return answer
  }
}
