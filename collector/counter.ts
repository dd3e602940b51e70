import type { Entity } from '../ingest/metrics.ts'
import type { Reading, Tick } from './source.ts'

/**
 * Rate of a counter: what it grew by, a second. Undefined, so absent, where it cannot be known: at the first sight, after a
 * reset or a wrap (it went backwards), where it is not a number, where no time has passed.
 *
 *   before 100   now 160   over 2 s   -> 30
 *   before 100   now   7   over 2 s   -> undefined: how far it had got before it fell, nobody knows
 */
export function rateOf(before: number | undefined, now: number | undefined, seconds: number): number | undefined {
  if (before === undefined || now === undefined || !(seconds > 0)) return undefined
  const grown = now - before
  return grown >= 0 ? grown / seconds : undefined
}

/** What was counted until now, by instance and column; in the unit of the column (a column of bytes/s counts bytes). */
export type Counters = ReadonlyMap<string, ReadonlyMap<string, number>>

/** Counters of the instances of one entity, tick by tick -> rates. One that was not there at the tick before has none yet. */
export class Rates {
  private readonly entity: Entity
  private before: { counters: Counters; monotonicMs: number } | undefined

  constructor(entity: Entity) {
    this.entity = entity
  }

  next({ monotonicMs }: Tick, counters: Counters): Reading[] {
    const before = this.before
    this.before = { counters, monotonicMs }
    if (!before) return []
    const seconds = (monotonicMs - before.monotonicMs) / 1000
    const readings: Reading[] = []
    for (const [instance, columns] of counters) {
      const then = before.counters.get(instance)
      for (const [column, now] of columns) {
        const value = rateOf(then?.get(column), now, seconds)
        if (value !== undefined) readings.push({ entity: this.entity, column, instance, value })
      }
    }
    return readings
  }
}
