/**
 * Which questions are slow, by how long the last of the same name took. Slow ones leave a connection to the others, so that
 * a flame graph of a day holds up another one and not the page around it.
 */
export interface Pace {
  isSlow(name: string): boolean
  /** A question of this name runs; the answer is called when it has ended. One that runs on is known to be slow while it does. */
  start(name: string): () => void
}

const SLOW_MS = 1000
/** Names are constants of our own; should they not be, they are learnt again. */
const MOST = 1000

export function openPace(slowMs = SLOW_MS, now = () => performance.now()): Pace {
  const taken = new Map<string, number>()
  const note = (name: string, ms: number): void => {
    if (taken.size >= MOST && !taken.has(name)) taken.clear()
    taken.set(name, ms)
  }
  return {
    isSlow: name => (taken.get(name) ?? 0) >= slowMs,
    start: name => {
      const from = now()
      const slow = setTimeout(() => note(name, slowMs), slowMs)
      slow.unref()
      return () => {
        clearTimeout(slow)
        const ms = now() - from
        note(name, ((taken.get(name) ?? ms) + ms) / 2)
      }
    },
  }
}
