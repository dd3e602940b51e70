/**
 * What bytes were found to mean before. A thousand collectors send the same resources, names and attributes every tick;
 * only times and values differ. Bounded: when full they start anew.
 */
import type { Target } from '../match.ts'
import type { Origin } from '../origin.ts'
import { copyBytes, hashBytes, sameBytes } from './intern.ts'

const MOST_ORIGINS = 20_000
const MOST_TARGETS = 50_000

export class KnownOrigins {
  readonly #byHash = new Map<number, { bytes: Uint8Array; origin: Origin }>()

  find(bytes: Uint8Array, start: number, end: number): Origin | undefined {
    const known = this.#byHash.get(hashBytes(bytes, start, end))
    return known !== undefined && sameBytes(known.bytes, bytes, start, end) ? known.origin : undefined
  }

  keep(bytes: Uint8Array, start: number, end: number, origin: Origin): void {
    if (this.#byHash.size >= MOST_ORIGINS) this.#byHash.clear()
    this.#byHash.set(hashBytes(bytes, start, end), { bytes: copyBytes(bytes, start, end), origin })
  }

  clear(): void {
    this.#byHash.clear()
  }
}

interface KnownTarget {
  name: string
  bytes: Uint8Array
  target: Target
  /** What came after it last time: senders keep their order, so it is most often what comes now. */
  next: KnownTarget | undefined
}

/** Targets by metric name and the bytes of the attributes. */
export class KnownTargets {
  readonly #byName = new Map<string, Map<number, KnownTarget>>()
  #size = 0
  #last: KnownTarget | undefined

  find(name: string, bytes: Uint8Array, start: number, end: number): Target | undefined {
    const guess = this.#last?.next
    if (guess !== undefined && guess.name === name && sameBytes(guess.bytes, bytes, start, end)) {
      this.#last = guess
      return guess.target
    }
    const known = this.#byName.get(name)?.get(hashBytes(bytes, start, end))
    if (known === undefined || !sameBytes(known.bytes, bytes, start, end)) return undefined
    return this.#follow(known).target
  }

  keep(name: string, bytes: Uint8Array, start: number, end: number, target: Target): void {
    if (this.#size++ >= MOST_TARGETS) {
      this.#byName.clear()
      this.#size = 0
      this.#last = undefined
    }
    let targets = this.#byName.get(name)
    if (targets === undefined) {
      targets = new Map()
      this.#byName.set(name, targets)
    }
    const known: KnownTarget = { name, bytes: copyBytes(bytes, start, end), target, next: undefined }
    targets.set(hashBytes(bytes, start, end), known)
    this.#follow(known)
  }

  #follow(known: KnownTarget): KnownTarget {
    if (this.#last !== undefined) this.#last.next = known
    this.#last = known
    return known
  }
}
