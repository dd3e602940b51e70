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

export function openCache<T>(maxBytes: number, bytesOf: (answer: T) => number): Cache<T> {
  // A Map keeps the order of insertion: the first is the one that was used longest ago.
  const entries = new Map<string, Entry<T>>()
  let bytes = 0
  const drop = (key: string, entry: Entry<T>): void => {
    if (entries.get(key) !== entry) return
    bytes -= entry.bytes
    entries.delete(key)
  }
  const arrived = (key: string, entry: Entry<T>, answer: T): void => {
    entry.settled = true
    if (entries.get(key) !== entry) return
    entry.bytes = bytesOf(answer)
    bytes += entry.bytes
    for (const [oldest, old] of entries) {
      if (bytes <= maxBytes) break
      drop(oldest, old)
    }
  }
  const start = (key: string, options: CacheOptions, ask: (signal: AbortSignal) => Promise<T>): Entry<T> => {
    const stop = new AbortController()
    const answer = ask(stop.signal)
    const entry: Entry<T> = {
      answer,
      settled: false,
      bytes: 0,
      until: options.nowMs + options.keepMs,
      waiting: 0,
      stop,
    }
    answer.then(
      value => arrived(key, entry, value),
      () => {
        entry.settled = true
        drop(key, entry)
      },
    )
    return entry
  }
  const leave = (key: string, entry: Entry<T>): void => {
    entry.waiting--
    if (entry.waiting > 0 || entry.settled) return
    drop(key, entry)
    entry.stop.abort()
  }
  return {
    get bytes() {
      return bytes
    },
    async get(key, options, ask) {
      options.signal?.throwIfAborted()
      const kept = entries.get(key)
      const entry = kept && options.nowMs < kept.until ? kept : start(key, options, ask)
      if (kept) drop(key, kept)
      entries.set(key, entry)
      bytes += entry.bytes
      entry.waiting++
      let left = false
      const go = (): void => {
        if (!left) leave(key, entry)
        left = true
      }
      options.signal?.addEventListener('abort', go, { once: true })
      try {
        return await entry.answer
      } finally {
        options.signal?.removeEventListener('abort', go)
        go()
      }
    },
  }
}
