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

const OVERHANG_SECONDS = 60

/** In the order of the jobs. */
async function readUsage(asker: Asker, bodies: Bodies, cluster: string, jobs: readonly KnownJob[]): Promise<Usage[]> {
  const usage = jobs.map(() => NO_USAGE)
  // The jobs were found for the reader, and each is asked for in its own span.
  const all = asker.unlimited()
  for (const batch of batchesOf(jobs.filter(job => job.record.startMs !== undefined))) {
    const spans = spansOf(asker, batch)
    const [minutes, functions] = await Promise.all([
      readMinutes(all, cluster, spans),
      readTopFunctions(all, bodies, cluster, spans),
    ])
    for (const job of batch) {
      const of = <T extends { job: string }>(rows: readonly T[]) => rows.filter(row => job.ids.includes(row.job))
      usage[jobs.indexOf(job)] = usageOf(of(minutes), of(functions))
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

type Minutes = Awaited<ReturnType<typeof readMinutes>>[number]
type TopFunction = Awaited<ReturnType<typeof readTopFunctions>>[number]

/** Mostly one row each; two where some evidence gave the id and some the kernel's. */
function usageOf(minutes: readonly Minutes[], functions: readonly TopFunction[]): Usage {
  if (minutes.length === 0) return NO_USAGE
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  const sampled = sum(minutes.map(row => row.sampled))
  const [hottest] = [...functions].sort((a, b) => b.ns - a.ns)
  return {
    coreSeconds: Math.max(sampled, sum(minutes.map(row => row.seconds))),
    sampledSeconds: sampled,
    memoryPeakBytes: Math.max(...minutes.map(row => row.memory)) || null,
    topFunction: hottest?.name ?? null,
  }
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

/** Rows of these jobs, each in its own span; `time` is the end of what a row is of. */
const inSpans = ({ ids, from, to }: Spans, time: Sql): Sql => {
  const at = sql`toInt64(toUnixTimestamp(${time}))`
  return sql`job IN ${ids} AND ${time} > toDateTime(${Math.min(...from)}, 'UTC') AND ${time} <= toDateTime(${Math.max(...to)}, 'UTC')
    AND ${at} > transform(job, ${ids}, ${from}, 0) AND ${at} <= transform(job, ${ids}, ${to}, 0)`
}

/** Memory: of each node the peak of the minute, added up; the highest minute. */
function readMinutes(asker: Asker, cluster: string, spans: Spans) {
  return asker.rows<{ job: string; seconds: number; memory: number; sampled: number }>(
    'usage of jobs',
    sql`SELECT job, sum(cpu) AS seconds, toFloat64(max(memory)) AS memory, toFloat64(sum(ns)) / 1e9 AS sampled FROM (
          SELECT job, minute, sum(node_cpu) AS cpu, sum(node_memory) AS memory, sum(node_ns) AS ns FROM (
            SELECT job, minute, node, sum(cpu_seconds) AS node_cpu, max(memory_bytes) AS node_memory, sum(sampled_ns) AS node_ns
            FROM job_usage WHERE cluster = ${cluster} AND ${inSpans(spans, sql`minute`)} GROUP BY job, minute, node
          ) GROUP BY job, minute
        ) GROUP BY job`,
  )
}

const HOUR_SECONDS = 3600

async function readTopFunctions(asker: Asker, bodies: Bodies, cluster: string, spans: Spans) {
  const hours = { ...spans, to: spans.to.map(second => second + HOUR_SECONDS) }
  const rows = await asker.rows<{ job: string; most: number; id: string }>(
    'top functions of jobs',
    sql`SELECT job, toFloat64(max(ns)) AS most, toString(argMax(function_id, ns)) AS id FROM (
          SELECT job, function_id, sum(self) AS ns FROM function_hours
          WHERE cluster = ${cluster} AND event = 'cpu' AND ${inSpans(hours, sql`hour`)} GROUP BY job, function_id
        ) GROUP BY job`,
  )
  const names = await bodies.functions(
    asker,
    rows.map(row => row.id),
  )
  return rows.map(({ job, most, id }) => ({ job, ns: most, name: names.get(id)?.function ?? null }))
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
    const found = await readUsage(asker, bodies(), cluster, unknown)
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
