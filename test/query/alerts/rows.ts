/** Rows of the store for tests of alerts. Times are minutes after T0. */
import { findMetric } from '../../../ingest/metrics.ts'
import { MINUTE, T0 } from '../place.ts'

interface DrawnJob {
  id: string
  user: string
  start: number
  nodes: string[]
  cores: number
  memoryBytes?: number
  timeLimitSeconds?: number
}

export function jobRow({ id, user, start, nodes, cores, ...more }: DrawnJob) {
  const startMs = T0 + start * MINUTE
  const allocations = nodes.map(node => ({ node, cores: cores / nodes.length }))
  const record = {
    ...{
      cluster: 'alpha',
      id,
      scheduler: 'slurm',
      state: 'running',
      user,
      startMs,
      submitMs: startMs,
      cores,
      allocations,
    },
    ...more,
    updatedMs: startMs,
  }
  return {
    ...{ cluster: 'alpha', id, raw_id: '', array_id: '', name: '', user, account: '', queue: '', state: 'running' },
    ...{ submit_ms: startMs, start_ms: startMs, end_ms: 0, node_count: nodes.length, cores, nodes },
    record: JSON.stringify(record),
    updated_ms: startMs,
  }
}

/** Ticks of 10 s. */
const ticks = (from: number, to: number): number[] =>
  Array.from({ length: (to - from) * 6 }, (_, i) => T0 + from * MINUTE + (i + 1) * 10_000)

export const nodePoints = (
  node: string,
  from: number,
  to: number,
  valuesAt: (minute: number) => Record<string, number>,
) =>
  ticks(from, to).map(ms => ({
    ...{ cluster: 'alpha', node, time: ms / 1000, interval_ms: 10_000 },
    ...Object.fromEntries(
      Object.entries(valuesAt(Math.floor((ms - 1 - T0) / MINUTE))).map(([name, value]) => [
        name,
        Math.round(value * (findMetric('node', name)?.scale ?? 1)),
      ]),
    ),
  }))

export const processRows = (node: string, job: string, from: number, to: number, values: Record<string, number>) =>
  ticks(from, to).map(ms => ({
    ...{
      cluster: 'alpha',
      node,
      time: ms / 1000,
      interval_ms: 10_000,
      pid: 100,
      start_ms: T0 - 60 * MINUTE,
      name: 'app',
    },
    ...{ user: 'ann', job, evidence: 'cgroup', state: 'R' },
    ...values,
  }))
