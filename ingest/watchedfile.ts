/** A small file of settings that is changed while the server runs: read again when it is another one. */
import { readFileSync, statSync } from 'node:fs'
import type { Logger } from 'pino'

export interface WatchedFile<T> {
  /** What it says now; `absent` while there is no such file. A file that cannot be read leaves what was known, and is logged. */
  get(): T
}

const LOOK_MS = 1000

/** Throws what `parse` throws where the file is wrong from the start. */
export function openWatchedFile<T>(path: string, absent: T, parse: (text: string) => T, log: Logger): WatchedFile<T> {
  let seen = ''
  let lookedMs = Number.NEGATIVE_INFINITY
  let value = absent
  const look = (): void => {
    const now = stampOf(path)
    if (now === seen) return
    value = now === '' ? absent : parse(readFileSync(path, 'utf8'))
    seen = now
  }
  look()
  return {
    get() {
      if (performance.now() - lookedMs < LOOK_MS) return value
      lookedMs = performance.now()
      try {
        look()
      } catch (error) {
        log.error({ err: error, path }, 'the file has an error: what it said before stays')
      }
      return value
    },
  }
}

/** '' where there is none. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`
}
