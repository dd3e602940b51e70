/**
 * Counters that only grow, as differences: rate = (value - last value) / (time - last time).
 *
 *   value   100   130   5      35           the counter began anew (its program was started again) between 2nd and 3rd
 *   time     10    20   30     40
 *   rate      -     3   0.5*    3           * since the new start, where the sender tells it; else absent
 *
 * Memory is bounded by two generations: what was not seen since the younger one began is forgotten with the older one.
 */
interface Last {
  value: number
  timeMs: number
}

/** What a counter was before a request told of it. */
export interface Change extends Last {
  last: Last
}

export interface RateCounters {
  resets: number
  late: number
  forgotten: number
}

export class Rates {
  readonly counters: RateCounters = { resets: 0, late: 0, forgotten: 0 }
  readonly #half: number
  #young = new Map<string, Last>()
  #old = new Map<string, Last>()
  #changes: Change[] = []
  /** Of the difference that rate() gave last. */
  intervalMs = 0

  constructor(most: number) {
    this.#half = Math.max(1, Math.floor(most / 2))
  }

  /** What changes until the next request begins. */
  begin(): readonly Change[] {
    this.#changes = []
    return this.#changes
  }

  /** Of a request that was not stored: it comes again, and after it those that followed it. */
  takeBack(changes: readonly Change[]): void {
    for (const { last, value, timeMs } of changes) {
      if (timeMs < last.timeMs) Object.assign(last, { value, timeMs })
    }
  }

  /** Per second; NaN where there is nothing to compare with. startMs is 0 where the sender does not tell it. */
  rate(key: string, startMs: number, timeMs: number, value: number): number {
    const last = this.#find(key)
    if (last === undefined) {
      this.#young.set(key, { value, timeMs })
      this.#turn()
      return Number.NaN
    }
    if (timeMs <= last.timeMs) {
      this.counters.late++
      return Number.NaN
    }
    const anew = value < last.value || startMs > last.timeMs
    const fromMs = anew ? startMs : last.timeMs
    const grown = anew ? value : value - last.value
    if (anew) this.counters.resets++
    const known = !anew || startMs >= last.timeMs
    this.#changes.push({ last, value: last.value, timeMs: last.timeMs })
    last.value = value
    last.timeMs = timeMs
    this.intervalMs = timeMs - fromMs
    return known && this.intervalMs > 0 ? (grown * 1000) / this.intervalMs : Number.NaN
  }

  #find(key: string): Last | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.#young.set(key, old)
    this.#turn()
    return old
  }

  #turn(): void {
    if (this.#young.size < this.#half) return
    this.counters.forgotten += this.#old.size
    this.#old = this.#young
    this.#young = new Map()
  }
}
