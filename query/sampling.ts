/** What the samplers of a target's nodes say of themselves: samples lost before anyone could read them, throttling, own CPU. */
import type { Coverage } from './api.ts'
import type { Asker } from './asker.ts'
import { pointsOf, type Target } from './scope.ts'
import { sql } from './sql.ts'

export type Sampling = Pick<Coverage, 'lost' | 'throttled' | 'samplerCpu' | 'unwinding'>

const TWO_DAYS = 2 * 86_400_000
/** As ingest/metrics.ts stores them: tenths a second, millionths of a core. */
const SCALE = 10
const CPU_SCALE = 1e6

interface Row {
  lost: number | null
  throttled: number | null
  cpu: number | null
  nodes: number
}

export async function readSampling(asker: Asker, target: Target): Promise<Sampling> {
  const where = pointsOf(target, target)
  const question =
    target.to - target.from <= TWO_DAYS
      ? sql`SELECT sum(stacks_lost * (interval_ms / 1000)) AS lost, sum(stacks_throttled * (interval_ms / 1000)) AS throttled,
              avg(stacks_cpu) AS cpu, count(stacks_samples) AS nodes FROM node_points WHERE ${where}`
      : sql`SELECT sum(lost * 3600) AS lost, sum(throttled * 3600) AS throttled, avg(cpu) AS cpu, count() AS nodes FROM (
              SELECT sum(stacks_lost_sum) / sum(stacks_lost_count) AS lost, sum(stacks_cpu_sum) / sum(stacks_cpu_count) AS cpu,
                sum(stacks_throttled_sum) / greatest(1, sum(stacks_throttled_count)) AS throttled
              FROM node_points_1h WHERE ${where} GROUP BY node, time HAVING sum(stacks_lost_count) > 0)`
  const [row] = await asker.rows<Row>('what samplers say of themselves', question)
  const cpu = Number.isFinite(row?.cpu) ? (row?.cpu ?? null) : null
  return {
    lost: Math.round((row?.lost ?? 0) / SCALE),
    throttled: Math.round((row?.throttled ?? 0) / SCALE),
    samplerCpu: cpu === null ? null : cpu / CPU_SCALE,
    // Only the addon, which unwinds by .eh_frame, tells what it costs.
    unwinding: cpu !== null ? 'eh_frame' : Number(row?.nodes ?? 0) > 0 ? 'perf' : '',
  }
}
