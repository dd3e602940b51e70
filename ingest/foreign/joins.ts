/**
 * Metrics that are a sum of others which arrive apart, even in different requests: memory in use is MemTotal - MemAvailable.
 *
 *   12:00:15  total 100   -> waits          12:00:15  available 30   -> 70
 *
 * Only parts of one time are put together. Bounded: when full it begins anew, and the next tick fills it.
 */
import type { Meaning } from './meaning.ts'

interface Waiting {
  timeMs: number
  parts: Map<string, number>
}

const MOST = 200_000

export class Joins {
  readonly #waiting = new Map<string, Waiting>()

  /** The sum once all parts of this time are here, else undefined. */
  add(key: string, part: NonNullable<Meaning['part']>, timeMs: number, value: number): number | undefined {
    let waiting = this.#waiting.get(key)
    if (waiting === undefined) {
      if (this.#waiting.size >= MOST) this.#waiting.clear()
      waiting = { timeMs, parts: new Map() }
      this.#waiting.set(key, waiting)
    }
    if (waiting.timeMs !== timeMs) {
      waiting.timeMs = timeMs
      waiting.parts.clear()
    }
    waiting.parts.set(part.name, part.minus === true ? -value : value)
    if (waiting.parts.size < part.of) return undefined
    let sum = 0
    for (const one of waiting.parts.values()) sum += one
    waiting.parts.clear()
    return sum
  }
}
