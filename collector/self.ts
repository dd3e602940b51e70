/**
 * How the collector itself fares, as instruments of the SDK: what it costs, and everything it lost, left out or keeps back.
 * A counter that never counted anything is not sent: a thousand healthy nodes need no ten zeros each tick.
 */
import type { Attributes, Meter } from '@opentelemetry/api'
import type { OutboxCounters } from './outbox.ts'

export interface Self {
  /** Readings in this tick. */
  readings(): number
  /** Failed reads since the start, by source. */
  sourceErrors(): Readonly<Record<string, number>>
  skippedTicks(): number
  outbox(): OutboxCounters
}

const LOSSES = ['refused', 'dropped', 'rejected', 'retried'] as const

export function addSelfInstruments(meter: Meter, self: Self): void {
  const gauge = (name: string, unit: string, read: () => number | undefined) => {
    meter.createObservableGauge(name, { unit }).addCallback(result => {
      const value = read()
      if (value !== undefined) result.observe(value)
    })
  }
  const counter = (name: string, unit: string, read: () => Iterable<readonly [Attributes, number]>) => {
    meter.createObservableCounter(name, { unit }).addCallback(result => {
      for (const [attributes, value] of read()) if (value > 0) result.observe(value, attributes)
    })
  }
  gauge('jobsight.collector.cpu', '1', openCpuShare())
  gauge('jobsight.collector.memory', 'By', () => process.memoryUsage.rss())
  gauge('jobsight.collector.readings', '1', self.readings)
  gauge(
    'jobsight.outbox.waiting',
    '{batch}',
    emptyUnlessUsed(() => self.outbox().waiting),
  )
  gauge(
    'jobsight.outbox.waiting_bytes',
    'By',
    emptyUnlessUsed(() => self.outbox().waitingBytes),
  )
  counter('jobsight.collector.errors', '1', () =>
    Object.entries(self.sourceErrors()).map(([source, count]) => [{ source }, count] as const),
  )
  counter('jobsight.collector.skipped_ticks', '1', () => [[{}, self.skippedTicks()]])
  for (const loss of LOSSES) counter(`jobsight.outbox.${loss}`, '1', () => [[{}, self.outbox()[loss]]])
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

/** Said while it is not 0, and once more when it is 0 again. */
function emptyUnlessUsed(read: () => number): () => number | undefined {
  let last = 0
  return () => {
    const before = last
    last = read()
    return last > 0 || before > 0 ? last : undefined
  }
}
