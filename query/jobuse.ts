/** What a job used on each of its nodes, and how much of its time there was measured. */
import { findMetric } from '../ingest/metrics.ts'
import type { Asker } from './asker.ts'
import type { Bodies } from './bodies.ts'
import { openCache } from './cache.ts'
import type { Desk } from './desk.ts'
import type { KnownJob } from './known.ts'
import { tableOf } from './points.ts'
import { OVERHANG, pointsOf, processesOf, samplesOf, spanOf, type Target, whoOf, within } from './scope.ts'
import { and, sql } from './sql.ts'
import type { Grid } from './window.ts'

export interface NodeUse {
  /** The larger of what its processes and its samples say; null: neither was seen. */
  coreSeconds: number | null
  topFunction: string | null
}

export interface NodeMeasure {
  /** Of the node's life in the window that was measured. */
  seconds: number
  iowait: number | null
}

/** What may be read for one job; beyond it the samples alone are asked. */
const MAX_ROWS = 20_000_000
const secondsOf = (target: Target): number => (target.to - target.from) / 1000
/** Some 20 processes a node are kept each tick of 10 s. */
const isLarge = (target: Target): boolean => (target.nodes?.length ?? 1) * secondsOf(target) * 2 > MAX_ROWS

/** `functionsFrom`: ms; top functions are of the samples since then. */
export async function readNodeUse(
  desk: Desk,
  target: Target,
): Promise<{ use: Map<string, NodeUse>; functionsFrom: number }> {
  const { asker, bodies } = desk
  const sampled = isWhole(target) ? lastOf(target) : target
  const [seconds, samples] = await Promise.all([readCoreSeconds(desk, target), readSampled(asker, bodies(), sampled)])
  const use = new Map<string, NodeUse>()
  for (const [node, coreSeconds] of seconds) use.set(node, { coreSeconds, topFunction: null })
  for (const { node, seconds, topFunction } of samples)
    use.set(node, { coreSeconds: Math.max(use.get(node)?.coreSeconds ?? 0, seconds), topFunction })
  return { use, functionsFrom: sampled.from }
}

/** An hour and more of all processes of a job, as its minutes hold it: what they lack at its ends is a minute. */
const isWhole = ({ job, rank, pid, user, ...target }: Target): boolean =>
  job?.record.startMs !== undefined &&
  rank === undefined &&
  pid === undefined &&
  user === undefined &&
  target.to - target.from >= 3_600_000

/** Of whole jobs by their processes and samples, else by processes alone: the samples of so short a time are read anyway. */
async function readCoreSeconds({ asker, totals }: Desk, target: Target): Promise<[string, number][]> {
  const { job } = target
  if (job !== undefined && isWhole(target)) {
    const span = spanOf(job, asker.nowMs)
    const rowsTo = target.to < span.to ? target.rowsTo : span.to + OVERHANG
    const own = { ...target, from: Math.max(target.from, span.from), rowsTo }
    return [...(await totals(asker, own, job))].map(([node, { coreSeconds }]) => [node, coreSeconds])
  }
  if (isLarge(target)) return []
  const rows = await asker.rows<{ node: string; seconds: number }>(
    'CPU of a job by node',
    sql`SELECT toString(node) AS node, sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) AS seconds
        FROM processes WHERE ${processesOf(target)} GROUP BY node`,
  )
  return rows.map(({ node, seconds }) => [node, seconds])
}

/** Some 240 functions a minute are kept of a node. A thousand times as many rows take half a second. */
const MAX_FUNCTION_MINUTES = 10_000
const MINUTE = 60_000

/** Of a large job the last part: what its nodes are at now is worth more than the wait for all that they ever did. */
function lastOf(target: Target): Target {
  const minutes = Math.max(10, Math.floor(MAX_FUNCTION_MINUTES / (target.nodes?.length ?? 1)))
  return { ...target, from: Math.max(target.from, target.rowsTo - minutes * MINUTE) }
}

async function readSampled(asker: Asker, bodies: Bodies, target: Target) {
  const minutes = sql`minute > toDateTime(${target.from / 1000}, 'UTC') AND minute <= toDateTime(${Math.ceil(target.rowsTo / 1000)}, 'UTC')`
  // By the hash of a node's name, since to compare texts for each row costs a quarter more.
  const rows = await asker.rows<{ node: string; seconds: number; id: string }>(
    'samples of a job by node',
    sql`SELECT toString(any(name)) AS node, toFloat64(sum(ns)) / 1e9 AS seconds, toString(argMax(function_id, ns)) AS id FROM (
          SELECT cityHash64(node) AS hash, any(node) AS name, function_id, sum(self) AS ns FROM function_minutes
          WHERE ${whoOf(target, sql`minute`)} AND ${minutes} GROUP BY hash, function_id
        ) GROUP BY hash`,
  )
  const names = await bodies.functions(
    asker,
    rows.map(row => row.id),
  )
  return rows.map(({ node, seconds, id }) => ({ node, seconds, topFunction: names.get(id)?.function ?? null }))
}

export interface NodeTotals {
  /** The larger of what its processes and its samples say. */
  coreSeconds: number
  /** Of its processes: in all, and in the kernel. */
  processSeconds: number
  kernelSeconds: number
  /** Of its samples; null: none, or not added up when they came. */
  waitShare: number | null
}

export type ReadTotals = (asker: Asker, target: Target, job: KnownJob) => Promise<Map<string, NodeTotals>>

/** Panels of a page that ask at the same time share one answer. */
export function openTotals(): ReadTotals {
  // Without room: only what is on its way is shared.
  const totals = openCache<Map<string, NodeTotals>>(0, () => 1)
  return (asker, target, job) =>
    totals.get(
      JSON.stringify([target.cluster, job.ids, target.from, target.rowsTo]),
      { nowMs: asker.nowMs, keepMs: MINUTE, signal: asker.signal },
      signal => readNodeTotals(asker.until(signal), target, job),
    )
}

/** Of the whole job, by what ingest adds up a minute: some rows a node where the ticks of its processes are thousands. */
export async function readNodeTotals(
  asker: Asker,
  target: Target,
  { ids }: KnownJob,
): Promise<Map<string, NodeTotals>> {
  const to = Math.ceil(target.rowsTo / 60_000) * 60
  // The job was found for the reader, and is asked for in its own span.
  const rows = await asker
    .unlimited()
    .rows<{ node: string; cpu: number; kernel: number; sampled: number; waiting: number | null }>(
      'use of a job by node',
      sql`SELECT toString(node) AS node, sum(cpu) AS cpu, sum(system) AS kernel, toFloat64(sum(ns)) / 1e9 AS sampled,
          if(countIf(ns > 0 AND isNull(waited)) > 0, NULL, toFloat64(sum(waited)) / nullIf(sum(ns), 0)) AS waiting
        FROM (SELECT node, minute, sum(cpu_seconds) AS cpu, sum(system_seconds) AS system, sum(sampled_ns) AS ns, sum(waiting_ns) AS waited
          FROM job_usage WHERE cluster = ${target.cluster} AND job IN ${ids}
            AND minute > toDateTime(${Math.floor(target.from / 1000)}, 'UTC') AND minute <= toDateTime(${to}, 'UTC') GROUP BY node, minute)
        GROUP BY node`,
    )
  return new Map(
    rows.map(({ node, cpu, kernel, sampled, waiting }) => [
      node,
      { coreSeconds: Math.max(cpu, sampled), processSeconds: cpu, kernelSeconds: kernel, waitShare: waiting },
    ]),
  )
}

const GPU_SCALE = findMetric('gpu', 'utilization')?.scale ?? 1
const POWER_SCALE = findMetric('job', 'power_watts')?.scale ?? 1
const scale = findMetric('node', 'cpu_iowait')?.scale ?? 1

/** Ticks as long as they are few, else buckets of five minutes, else hours. */
export async function readNodeMeasures(asker: Asker, target: Target): Promise<Map<string, NodeMeasure>> {
  const ticks = (target.nodes?.length ?? 1) * (secondsOf(target) / 10)
  const rollup: Grid['rollup'] = ticks < 4_000_000 ? '' : ticks < 24_000_000 ? '5m' : '1h'
  const seconds = {
    '': sql`sum(interval_ms) / 1000`,
    '5m': sql`uniqExact(time) * 300`,
    '1h': sql`uniqExact(time) * 3600`,
  }
  const iowait = rollup === '' ? sql`avg(cpu_iowait)` : sql`sum(cpu_iowait_sum) / nullIf(sum(cpu_iowait_count), 0)`
  const rows = await asker.rows<{ node: string; seconds: number; iowait: number | null }>(
    'measures of nodes',
    sql`SELECT toString(node) AS node, toFloat64(${seconds[rollup]}) AS seconds, ${iowait} / ${scale} AS iowait
        FROM ${tableOf('node', rollup)} WHERE ${pointsOf(target, target)} GROUP BY node`,
  )
  return new Map(rows.map(({ node, ...measure }) => [node, measure]))
}

export interface JobDevices {
  /** 0..1, mean of the GPUs that it holds; null: it has none, or they were not measured. */
  gpuUtilization: number | null
  /** Of CPUs and their memory, what fell to the job; null: not measured. */
  energyJoules: number | null
}

export async function readDevices(asker: Asker, target: Target, { ids, record }: KnownJob): Promise<JobDevices> {
  if (isLarge(target)) return { gpuUtilization: null, energyJoules: null }
  const [gpuUtilization, [power]] = await Promise.all([
    record.gpus ? readHeldGpus(asker, target, ids, record.gpus) : null,
    asker.rows<{ joules: number | null }>(
      'energy of a job',
      sql`SELECT sum(power_watts * (interval_ms / 1000)) / ${POWER_SCALE} AS joules FROM job_points
          WHERE ${pointsOf(target, target, 'job')} AND instance IN ${ids}`,
    ),
  ])
  return { gpuUtilization, energyJoules: power?.joules ?? null }
}

/**
 * Which of a node's GPUs a job holds the schedulers do not all tell, so where others may hold some of them its processes say
 * how much it used:
 *
 *   held 4 of 4   |####|##  |####|    |   mean of the node's GPUs
 *   held 1 of 4   |  a |  b |  a |    |   GPU seconds of a's processes / (1 x seconds): 0 where it left its GPU idle
 */
async function readHeldGpus(
  asker: Asker,
  target: Target,
  ids: readonly string[],
  held: number,
): Promise<number | null> {
  const [[all], [used]] = await Promise.all([
    asker.rows<{ mean: number | null; gpus: number }>(
      'GPUs of a job',
      sql`SELECT avg(utilization) / ${GPU_SCALE} AS mean, toFloat64(uniqExact(node, instance)) AS gpus
          FROM ${tableOf('gpu', '')} WHERE ${pointsOf(target, target, 'gpu')}`,
    ),
    // The job was found for the reader; of the others' processes only whether anything can be said of processes here.
    asker.unlimited().rows<{ seconds: number; told: number }>(
      'GPU time of a job',
      sql`SELECT sumIf(gpu_utilization * (interval_ms / 1000), job IN ${ids}) AS seconds, toFloat64(count()) AS told FROM processes
          WHERE ${and([sql`cluster = ${target.cluster}`, target.nodes && sql`node IN ${target.nodes}`, within(target)])}
            AND isNotNull(gpu_utilization)`,
    ),
  ])
  if (all === undefined || all.gpus === 0 || all.gpus <= held) return all?.mean ?? null
  return used === undefined || used.told === 0 ? null : Math.min(1, used.seconds / (held * secondsOf(target)))
}

/** Share of each node's sampled time that waited for others: as it was added up, else of the stacks themselves. */
export async function readWaits(
  asker: Asker,
  target: Target,
  totals: ReadonlyMap<string, NodeTotals>,
): Promise<Map<string, number>> {
  const told = [...totals].flatMap(([node, { waitShare }]) => (waitShare === null ? [] : [[node, waitShare] as const]))
  if (told.length > 0 && told.length === totals.size) return new Map(told)
  if (isLarge(target)) return new Map()
  const rows = await asker.rows<{ node: string; share: number }>(
    'waiting by node',
    sql`SELECT node, sumIf(ns, category IN ('mpi', 'wait')) / sum(ns) AS share FROM (
          SELECT toString(node) AS node, stack_id, sum(value) AS ns FROM samples WHERE ${samplesOf(target)} GROUP BY node, stack_id
        ) AS sums LEFT ANY JOIN (SELECT stack_id, category FROM stacks WHERE category IN ('mpi', 'wait')) AS waiting
          ON waiting.stack_id = sums.stack_id
        GROUP BY node HAVING sum(ns) > 0`,
  )
  return new Map(rows.map(row => [row.node, row.share]))
}
