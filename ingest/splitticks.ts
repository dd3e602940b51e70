/**
 * Totals of nodes whose ticks come in several requests (Prometheus cuts a scrape into batches). A sum over half of the disks
 * is wrong, so the instances of a tick are held until its node tells of the next one, and the node's row follows then.
 *
 *   request 1   12:00:15  cpu0 cpu1          held
 *   request 2   12:00:15  cpu2 cpu3          held
 *   request 3   12:00:30  cpu0 …             12:00:15 is whole: its node row is added to this request
 *
 * The rows of the instances themselves are stored at once. A server that is killed loses the totals of one tick.
 */
import type { Gather, Row } from './gather.ts'
import type { Entity } from './metrics.ts'
import type { Origin } from './origin.ts'
import { fillFrom, hasTotals } from './totals.ts'

interface Held {
  origin: Origin
  timeMs: number
  intervalMs: number
  heardMs: number
  entities: Map<Entity, Map<string, Float64Array>>
}

export class SplitTicks {
  readonly #held = new Map<string, Held>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Takes the instances of a request, and adds the node rows of ticks that are over. */
  hold(gather: Gather): void {
    for (const row of [...gather.rows]) {
      if (row.origin.splitsTicks !== true || !hasTotals(row.place.entity)) continue
      const held = this.#held.get(row.origin.key)
      if (held !== undefined && row.timeMs < held.timeMs) continue
      if (held !== undefined && row.timeMs > held.timeMs) addTotals(gather, held)
      if (held?.timeMs === row.timeMs) this.#keep(held, row, gather)
      else this.#keep(this.#begin(row), row, gather)
    }
  }

  /** Whether ticks last heard of before are held. */
  waiting(beforeMs: number): boolean {
    for (const { heardMs } of this.#held.values()) if (heardMs < beforeMs) return true
    return false
  }

  settle(gather: Gather, beforeMs: number): void {
    for (const [key, held] of this.#held) {
      if (held.heardMs >= beforeMs) continue
      this.#held.delete(key)
      addTotals(gather, held)
    }
  }

  #begin({ origin, timeMs, intervalMs }: Row): Held {
    const held = { origin, timeMs, intervalMs, heardMs: this.#now(), entities: new Map() }
    this.#held.set(origin.key, held)
    return held
  }

  #keep(held: Held, row: Row, gather: Gather): void {
    const { entity, instance, values } = row.place
    held.heardMs = this.#now()
    if (held.intervalMs === 0) held.intervalMs = row.intervalMs
    let instances = held.entities.get(entity)
    if (instances === undefined) {
      instances = new Map()
      held.entities.set(entity, instances)
    }
    const known = instances.get(instance)
    const given = gather.arena.slice(row.offset, row.offset + values.length)
    if (known === undefined) instances.set(instance, given)
    else
      given.forEach((value, column) => {
        if (!Number.isNaN(value)) known[column] = value
      })
  }
}

function addTotals(gather: Gather, { origin, timeMs, intervalMs, entities }: Held): void {
  const node = gather.row(origin, 'node', '', timeMs)
  if (node === undefined) return
  if (node.intervalMs === 0) node.intervalMs = intervalMs
  for (const [entity, instances] of entities) {
    const held = [...instances].map(([instance, values]) => ({ instance, values, offset: 0 }))
    fillFrom(gather, node, entity, held)
  }
}
