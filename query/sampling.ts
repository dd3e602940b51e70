/** What the samplers of a target's nodes say of themselves: samples lost before anyone could read them, throttling, own CPU. */
import { ROLLUP_SECONDS } from '../ingest/tables/points.ts'
import type { Coverage } from './api.ts'
import type { Asker } from './asker.ts'
import { cutOf, tableOf } from './points.ts'
import { pointsOf, type Target } from './scope.ts'
import { type Sql, sql } from './sql.ts'
import type { Window } from './window.ts'

export type Sampling = Pick<Coverage, 'lost' | 'throttled' | 'samplerCpu' | 'unwinding'>

const HOUR = 3_600_000
/** As ingest/metrics.ts stores them: tenths a second, millionths of a core. */
const SCALE = 10
const CPU_SCALE = 1e6

interface Row {
  lost: number | null
  throttled: number | null
  cpu: number | null
  nodes: number
}

/** Ticks of a few hours, else buckets of five minutes, else hours, each taken as whole; what they lack at the end is told by ticks. */
function sqlOf(target: Target, nowMs: number): Sql {
  const span = target.to - target.from
  if (span <= 6 * HOUR) return ticksOf(target, target)
  const rollup = span <= 48 * HOUR ? '5m' : '1h'
  const cut = cutOf(rollup, target, nowMs)
  const seconds = ROLLUP_SECONDS[rollup]
  return sql`SELECT sum(stacks_lost_sum) / sum(stacks_lost_count) * ${seconds} AS lost,
      sum(stacks_throttled_sum) / greatest(1, sum(stacks_throttled_count)) * ${seconds} AS throttled,
      toFloat64(sum(stacks_cpu_sum)) AS cpu, toUInt64(sum(stacks_cpu_count)) AS told, toUInt64(1) AS samplers
    FROM ${tableOf('node', rollup)} WHERE ${pointsOf(target, { from: target.from, to: cut })}
    GROUP BY node, time HAVING sum(stacks_lost_count) > 0
    UNION ALL ${ticksOf(target, { from: cut, to: target.to })}`
}

const ticksOf = (target: Target, window: Window): Sql =>
  sql`SELECT sum(stacks_lost * (interval_ms / 1000)) AS lost, sum(stacks_throttled * (interval_ms / 1000)) AS throttled,
    toFloat64(sum(stacks_cpu)) AS cpu, count(stacks_cpu) AS told, count(stacks_samples) AS samplers
    FROM node_points WHERE ${pointsOf(target, window)}`

export async function readSampling(asker: Asker, target: Target): Promise<Sampling> {
  const question = sql`SELECT sum(lost) AS lost, sum(throttled) AS throttled, sum(cpu) / sum(told) AS cpu, toFloat64(sum(samplers)) AS nodes
    FROM (${sqlOf(target, asker.nowMs)})`
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
