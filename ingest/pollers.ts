/**
 * Of the collectors that could ask the scheduler of a cluster one does: who asked first, until it falls silent. Each says so
 * before it asks, and the others are refused with the name of the one that does.
 *
 *   n1  |--|--|--|  gone               every poll holds it for three more
 *   n2   x  x  x  x  x  |--|--|--|     refused, refused …, and takes over
 *
 * Kept in memory: after a restart whoever comes first has it, and the others learn it at their next poll. Several servers
 * on one store each keep their own, so pollers should know one of them.
 */
import type { PollerClaim } from './records.ts'

interface Held {
  node: string
  holder: string
  untilMs: number
}

/** Names that are made up must not fill the memory. */
const MAX_HELD = 10_000

export class Pollers {
  readonly #held = new Map<string, Held>()

  /** Why somebody else has it, in words for people; undefined: the claim holds. `cluster`: the receiver's own where none is named. */
  claim({ scheduler, node, holder, forMs }: PollerClaim, cluster: string, nowMs: number): string | undefined {
    const key = JSON.stringify([cluster, scheduler])
    const held = this.#held.get(key)
    if (held !== undefined && held.holder !== holder && held.untilMs > nowMs)
      return `the collector on ${held.node} asks the ${scheduler} of cluster ${cluster}`
    this.#held.delete(key)
    if (forMs === 0) return undefined
    if (this.#held.size >= MAX_HELD) this.#forget(nowMs)
    this.#held.set(key, { node, holder, untilMs: nowMs + forMs })
    return undefined
  }

  #forget(nowMs: number): void {
    for (const [key, held] of this.#held) if (held.untilMs <= nowMs) this.#held.delete(key)
    const oldest = this.#held.keys().next()
    if (this.#held.size >= MAX_HELD && !oldest.done) this.#held.delete(oldest.value)
  }
}
