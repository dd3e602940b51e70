/**
 * Answers that were costly, for the next view of the same scope: bounded in bytes, the least recently used goes first.
 * Readers that ask the same at once wait for one question; it stops when the last of them has left.
 */
export interface Cache<T> {
  get(key: string, options: CacheOptions, ask: (signal: AbortSignal) => Promise<T>): Promise<T>
  readonly bytes: number
}

interface CacheOptions {
  nowMs: number
  /** How long the answer stays good. */
  keepMs: number
  /** Of this reader. */
  signal: AbortSignal | undefined
}

interface Entry<T> {
  answer: Promise<T>
  settled: boolean
  bytes: number
  until: number
  /** Readers that wait for it. */
  waiting: number
  stop: AbortController
}

export const openCache = <T>(maxBytes: number, bytesOf: (answer: T) => number): Cache<T> =>
  new Answers(maxBytes, bytesOf)

class Answers<T> implements Cache<T> {
  // A Map keeps the order of insertion: the first is the one that was used longest ago.
  readonly #entries = new Map<string, Entry<T>>()
  readonly #maxBytes: number
  readonly #bytesOf: (answer: T) => number
  bytes = 0

  constructor(maxBytes: number, bytesOf: (answer: T) => number) {
    this.#maxBytes = maxBytes
    this.#bytesOf = bytesOf
  }

  async get(key: string, options: CacheOptions, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    options.signal?.throwIfAborted()
    const kept = this.#entries.get(key)
    const entry = kept && options.nowMs < kept.until ? kept : this.#start(key, options, ask)
    if (kept) this.#drop(key, kept)
    this.#entries.set(key, entry)
    this.bytes += entry.bytes
    entry.waiting++
    let left = false
    const go = (): void => {
      if (!left) this.#leave(key, entry)
      left = true
    }
    options.signal?.addEventListener('abort', go, { once: true })
    try {
      return await entry.answer
    } finally {
      options.signal?.removeEventListener('abort', go)
      go()
    }
  }

  #start(key: string, { nowMs, keepMs }: CacheOptions, ask: (signal: AbortSignal) => Promise<T>): Entry<T> {
    const stop = new AbortController()
    const answer = ask(stop.signal)
    const entry: Entry<T> = { answer, settled: false, bytes: 0, until: nowMs + keepMs, waiting: 0, stop }
    answer.then(
      value => this.#arrived(key, entry, value),
      () => {
        entry.settled = true
        this.#drop(key, entry)
      },
    )
    return entry
  }

  #arrived(key: string, entry: Entry<T>, answer: T): void {
    entry.settled = true
    if (this.#entries.get(key) !== entry) return
    entry.bytes = this.#bytesOf(answer)
    this.bytes += entry.bytes
    for (const [oldest, old] of this.#entries) {
      if (this.bytes <= this.#maxBytes) break
      this.#drop(oldest, old)
    }
  }

  #leave(key: string, entry: Entry<T>): void {
    entry.waiting--
    if (entry.waiting > 0 || entry.settled) return
    this.#drop(key, entry)
    entry.stop.abort()
  }

  #drop(key: string, entry: Entry<T>): void {
    if (this.#entries.get(key) !== entry) return
    this.bytes -= entry.bytes
    this.#entries.delete(key)
  }
}
