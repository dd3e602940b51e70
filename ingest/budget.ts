/**
 * How full the store is, said before it is: against its budget (store.maxBytes) and against what the disk still has.
 *
 *   stored 70 GB of 100 GB, 2 GB more a day   ->  full in 15 days: nothing yet
 *   stored 88 GB of 100 GB, 2 GB more a day   ->  said, with what to do
 *
 * Nothing is deleted for it: how long what is kept is the operator's to say (store.retentionDays).
 */
import { statfs } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { Store } from './store.ts'

export interface Usage {
  storedBytes: number
  /** undefined: no budget was given. */
  maxBytes: number | undefined
  /** On the disk of the data directory; undefined where that is not ours. */
  freeBytes: number | undefined
  /** Growth, and over how long; 0 ms where it was not seen for long enough. */
  grownBytes: number
  grownMs: number
}

const DAY_MS = 86_400_000
const WARN_SHARE = 0.8
const WARN_DAYS = 7
/** Growth of less time than that says nothing of a day. */
const SEEN_MS = 3_600_000

/** What to say, and undefined while there is room. */
export function evaluateBudget(usage: Usage): { full: boolean; message: string } | undefined {
  const { storedBytes, maxBytes = Number.POSITIVE_INFINITY, freeBytes = Number.POSITIVE_INFINITY } = usage
  const most = Math.min(maxBytes, storedBytes + freeBytes)
  if (most === Number.POSITIVE_INFINITY) return undefined
  const aDay = usage.grownMs >= SEEN_MS ? (usage.grownBytes * DAY_MS) / usage.grownMs : 0
  const days = aDay > 0 ? Math.max(0, most - storedBytes) / aDay : Number.POSITIVE_INFINITY
  if (storedBytes < WARN_SHARE * most && days > WARN_DAYS) return undefined
  const bound = maxBytes <= storedBytes + freeBytes ? 'store.maxBytes allows' : 'the disk has room for'
  const pace = aDay > 0 ? `, ${gigabytes(aDay)} more a day: full in ${days.toFixed(1)} days` : ''
  const advice = 'keep less (store.retentionDays), or give it more room (a larger disk, store.maxBytes)'
  return {
    full: storedBytes >= most,
    message: `the store holds ${gigabytes(storedBytes)} of the ${gigabytes(most)} that ${bound}${pace}; ${advice}`,
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 0)} GB`

/** Looks at most so often, and says the same thing once an hour. */
const LOOK_EVERY_MS = 600_000
const SAY_EVERY_MS = 3_600_000

export class Budget {
  storedBytes = 0
  readonly #store: Store
  readonly #log: Logger
  #lookedMs = Number.NEGATIVE_INFINITY
  #saidMs = Number.NEGATIVE_INFINITY
  #first: { bytes: number; atMs: number } | undefined

  constructor(store: Store, log: Logger) {
    this.#store = store
    this.#log = log
  }

  async look(nowMs: number): Promise<void> {
    if (nowMs - this.#lookedMs < LOOK_EVERY_MS) return
    this.#lookedMs = nowMs
    const found = evaluateBudget(await this.#usage(nowMs))
    if (found === undefined || nowMs - this.#saidMs < SAY_EVERY_MS) return
    this.#saidMs = nowMs
    if (found.full) this.#log.error(found.message)
    else this.#log.warn(found.message)
  }

  async #usage(nowMs: number): Promise<Usage> {
    const query =
      'SELECT toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE active AND database = currentDatabase()'
    const [row] = await this.#store.query<{ bytes: number }>({ query, query_params: {} }, { name: 'stored bytes' })
    const bytes = row?.bytes ?? 0
    this.storedBytes = bytes
    this.#first ??= { bytes, atMs: nowMs }
    const { maxBytes, dataPath } = this.#store
    const disk = dataPath === undefined ? undefined : await statfs(dataPath)
    return {
      storedBytes: bytes,
      maxBytes,
      freeBytes: disk && disk.bavail * disk.bsize,
      grownBytes: bytes - this.#first.bytes,
      grownMs: nowMs - this.#first.atMs,
    }
  }
}
