/**
 * Blocks into the store, tried again where they fail; and the segments of a journal. Each has a token of its own, by which the
 * database stores it once though the answer to its first insert was lost.
 */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { isMisfit, StoreError } from './errors.ts'
import { type Block, blockKey, type Journal } from './journal.ts'
import type { Store } from './store.ts'

export interface WriterCounters {
  inserts: number
  insertedRows: number
  insertedBytes: number
  retries: number
  /** Rows that the database does not have and will not: their senders were told so, or the journal set them aside. */
  failedRows: number
}

export interface Tries {
  /** Of one block. */
  tries?: number
  firstRetryMs?: number
}

type Keeper = 'their senders' | 'the journal'

const LAST_RETRY_MS = 30_000

export class Inserter {
  readonly counters: WriterCounters = { inserts: 0, insertedRows: 0, insertedBytes: 0, retries: 0, failedRows: 0 }
  readonly #store: Pick<Store, 'insert'>
  readonly #tries: Required<Tries>
  readonly #closing = new AbortController()
  readonly #log: Logger

  constructor(store: Pick<Store, 'insert'>, tries: Tries, log: Logger) {
    this.#store = store
    this.#tries = { tries: tries.tries ?? 5, firstRetryMs: tries.firstRetryMs ?? 100 }
    this.#log = log
  }

  /** What fails from now on is not tried again: a journal keeps it, or its senders do. */
  close(): void {
    this.#closing.abort()
  }

  /** Rows whose senders wait: the error after some tries, undefined when the database has them. */
  insert(block: Block): Promise<StoreError | undefined> {
    return this.#insert(block, randomUUID(), 'their senders')
  }

  /** What the last process acknowledged and did not store. */
  async left(journal: Journal): Promise<void> {
    const segments = journal.left.length
    if (segments > 0)
      this.#log.info({ segments }, 'ingest: what the last run acknowledged and did not store goes in first')
    for (const name of journal.left) await this.segment(journal, name, journal.read(name))
  }

  /** Rows that were acknowledged: tried until the database takes them, unless they do not fit it or this process ends. */
  async segment(journal: Journal, name: string, blocks: readonly Block[]): Promise<void> {
    const errors = await Promise.all(
      blocks.map(block => this.#insert(block, `${name} ${blockKey(block.table, block.columns)}`, 'the journal')),
    )
    const rows = blocks.reduce((sum, block, i) => sum + (errors[i] === undefined ? 0 : block.rows), 0)
    try {
      if (rows === 0) journal.done(name)
      else if (errors.some(error => error !== undefined && isMisfit(error))) {
        this.counters.failedRows += rows
        const file = journal.refused(name)
        this.#log.error(
          { rows, file },
          'ingest: rows set aside; rename the file to .rows to have them tried at a start',
        )
      }
    } catch (error) {
      this.#log.error({ err: error, segment: name }, 'ingest: a journal file stays; the next start finds it stored')
    }
  }

  /** `keeper`: who has the rows until the database does. */
  async #insert(block: Block, token: string, keeper: Keeper): Promise<StoreError | undefined> {
    const { table, columns, bytes, rows } = block
    for (let tries = 1; ; tries++) {
      try {
        await this.#store.insert(table, columns, bytes, rows, token)
        this.counters.inserts++
        this.counters.insertedRows += rows
        this.counters.insertedBytes += bytes.length
        return undefined
      } catch (thrown) {
        const error =
          thrown instanceof StoreError ? thrown : new StoreError('database', String(thrown), { cause: thrown })
        const ends = keeper === 'their senders' || isMisfit(error)
        if ((ends && tries >= this.#tries.tries) || this.#closing.signal.aborted)
          return this.#failed(error, block, keeper)
        this.counters.retries++
        this.#log.warn({ reason: error.message, table, rows, tries }, 'ingest: insert failed, trying again')
        await this.#pause(tries)
      }
    }
  }

  /** Over at once when this is closed. */
  async #pause(tries: number): Promise<void> {
    const ms = Math.min(LAST_RETRY_MS, this.#tries.firstRetryMs * 2 ** (tries - 1))
    const { signal } = this.#closing
    await new Promise<void>(resolve => {
      const end = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end)
    })
  }

  #failed(error: StoreError, { table, rows }: Block, keeper: Keeper): StoreError {
    if (keeper === 'their senders') this.counters.failedRows += rows
    const then = keeper === 'their senders' ? 'their senders are told so' : 'the journal keeps them'
    this.#log.error({ err: error, table, rows }, `ingest: rows not stored, ${then}`)
    return error
  }
}
