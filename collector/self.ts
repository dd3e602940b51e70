/**
 * How the collector itself fares, as metrics of its own: what it costs, and everything it lost, left out or keeps back. A
 * counter that never counted anything is not sent: a thousand healthy nodes need no ten zeros each tick.
 */
import type { Attributes } from './otlpbody.ts'
import type { OutboxCounters } from './outbox.ts'

export interface Self {
  /** Readings in this tick. */
  readings(): number
  /** Failed reads since the start, by source. */
  sourceErrors(): Readonly<Record<string, number>>
  skippedTicks(): number
  outbox(): OutboxCounters
}

export interface SelfValue {
  name: string
  unit: string
  /** A sum: what was counted since the last tick. */
  isSum: boolean
  attributes: Attributes
  value: number
}

const LOSSES = ['refused', 'dropped', 'rejected', 'retried'] as const
const NONE: Attributes = {}

/** Returns what to say at each tick. */
export function openSelf(self: Self): () => SelfValue[] {
  const cpuShare = openCpuShare()
  const counted = new Map<string, number>()
  const waits = new Set<string>()
  return () => {
    const values: SelfValue[] = []
    const gauge = (name: string, unit: string, value: number | undefined) => {
      if (value !== undefined) values.push({ name, unit, isSum: false, attributes: NONE, value })
    }
    /** Said once it has counted anything. */
    const counter = (name: string, total: number, attributes = NONE) => {
      if (total === 0) return
      const key = `${name} ${Object.values(attributes)}`
      values.push({ name, unit: '1', isSum: true, attributes, value: total - (counted.get(key) ?? 0) })
      counted.set(key, total)
    }
    /** Said while it is not 0, and once more when it is 0 again. */
    const waiting = (name: string, unit: string, value: number) => {
      if (value > 0 || waits.has(name)) gauge(name, unit, value)
      if (value > 0) waits.add(name)
      else waits.delete(name)
    }
    const outbox = self.outbox()
    gauge('jobsight.collector.cpu', '1', cpuShare())
    gauge('jobsight.collector.memory', 'By', process.memoryUsage.rss())
    gauge('jobsight.collector.readings', '1', self.readings())
    waiting('jobsight.outbox.waiting', '{batch}', outbox.waiting)
    waiting('jobsight.outbox.waiting_bytes', 'By', outbox.waitingBytes)
    for (const [source, count] of Object.entries(self.sourceErrors()))
      counter('jobsight.collector.errors', count, { source })
    counter('jobsight.collector.skipped_ticks', self.skippedTicks())
    for (const loss of LOSSES) counter(`jobsight.outbox.${loss}`, outbox[loss])
    return values
  }
}

/** Cores the process used since it was last asked. */
function openCpuShare(): () => number | undefined {
  let before: { microseconds: number; monotonicMs: number } | undefined
  return () => {
    const { user, system } = process.cpuUsage()
    const now = { microseconds: user + system, monotonicMs: performance.now() }
    const last = before
    before = now
    if (!last || now.monotonicMs <= last.monotonicMs) return undefined
    return (now.microseconds - last.microseconds) / 1000 / (now.monotonicMs - last.monotonicMs)
  }
}
