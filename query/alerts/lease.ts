/**
 * Of several servers on one store one evaluates. ClickHouse has no compare-and-set, so who wants the lease writes it, waits,
 * and holds it if the newest row is its own. Two may hold it for one round after both started at once: then an alert can be
 * told twice, never not at all.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Book } from './book.ts'

export interface Lease {
  /** Does this server hold it now? Asked before each round. */
  hold(nowMs: number): Promise<boolean>
  release(): Promise<void>
}

interface Held {
  holder: string
  untilMs: number
}

const ID = 'evaluator'
const SETTLE_MS = 500

export function openLease(book: Book, everyMs: number, settleMs = SETTLE_MS): Lease {
  const holder = randomUUID()
  const keepMs = Math.max(30_000, 3 * everyMs)
  let mine = false
  const read = async (): Promise<Held | undefined> => {
    const [row] = await book.read('lease')
    return row && parseHeld(row.record)
  }
  const write = (untilMs: number) => book.write([{ kind: 'lease', id: ID, record: { holder, untilMs } }])
  return {
    async hold(nowMs) {
      const held = await read()
      if (held && held.holder !== holder && held.untilMs > nowMs) {
        mine = false
        return false
      }
      await write(nowMs + keepMs)
      if (!mine) {
        await wait(settleMs)
        mine = (await read())?.holder === holder
      }
      return mine
    },
    async release() {
      if (mine) await write(0)
      mine = false
    },
  }
}

/** Written by this file. */
const parseHeld = (record: unknown): Held => record as Held

/** A store in this process has one server. */
export const ALONE: Lease = { hold: async () => true, release: async () => {} }
