/**
 * One batch a table. Rows wait for each other until the batch is full or its oldest row is flushMs old, then go to the
 * store as one block; a failed block is tried again. Who appended hears of it only when the database has the rows.
 *
 *   append ─┐                      ┌─ resolve
 *   append ─┼─ batch ─ insert ─ ok ┼─ resolve      while an insert runs, the next batch fills
 *   append ─┘     └─ fails: again after 0.1, 0.2, 0.4 … s, then reject all
 */
import type { Logger } from 'pino'
import { StoreError } from './errors.ts'
import { RowWriter } from './rowbinary.ts'
import type { Store } from './store.ts'

export interface WriterConfig {
  flushMs: number
  flushRows: number
  /** Tries of one block. */
  tries?: number
  firstRetryMs?: number
}

export interface Writer {
  /** `write` adds whole rows, at once. Resolves when the database has them, rejects when it will not have them. */
  append(table: string, columns: readonly string[], write: (rows: RowWriter) => void): Promise<void>
  /** Of rows that the database does not have yet. */
  readonly queuedBytes: number
  /** How long the rows that wait will take, at the speed of the last inserts. */
  readonly drainSeconds: number
  readonly counters: WriterCounters
  /** Everything that waits goes now; resolves when it has gone. */
  flush(): Promise<void>
  /** Drains; what fails now is not tried again. */
  close(): Promise<void>
}

export interface WriterCounters {
  inserts: number
  insertedRows: number
  insertedBytes: number
  retries: number
  /** Rows whose senders were told that they are not stored. */
  failedRows: number
}

const FULL_BYTES = 8 << 20

interface Batch {
  rows: RowWriter
  done: Promise<void>
  resolve: () => void
  reject: (error: unknown) => void
}

class Table {
  readonly name: string
  readonly columns: readonly string[]
  batch: Batch | undefined
  timer: NodeJS.Timeout | undefined
  running: Promise<void> | undefined
  readonly spare: RowWriter[] = []

  constructor(name: string, columns: readonly string[]) {
    this.name = name
    this.columns = columns
  }

  open(): Batch {
    if (this.batch !== undefined) return this.batch
    let resolve: () => void = () => {}
    let reject: (error: unknown) => void = () => {}
    const done = new Promise<void>((ok, no) => {
      resolve = ok
      reject = no
    })
    this.batch = { rows: this.spare.pop() ?? new RowWriter(64 << 10), done, resolve, reject }
    return this.batch
  }
}

export function openWriter(store: Pick<Store, 'insert'>, config: WriterConfig, log: Logger): Writer {
  return new BatchWriter(store, config, log)
}

class BatchWriter implements Writer {
  readonly counters: WriterCounters = { inserts: 0, insertedRows: 0, insertedBytes: 0, retries: 0, failedRows: 0 }
  readonly #store: Pick<Store, 'insert'>
  readonly #config: WriterConfig
  readonly #log: Logger
  readonly #tables = new Map<string, Table>()
  #queuedBytes = 0
  #bytesPerSecond = 8 << 20
  #closing = false

  constructor(store: Pick<Store, 'insert'>, config: WriterConfig, log: Logger) {
    this.#store = store
    this.#config = config
    this.#log = log
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get drainSeconds(): number {
    return Math.ceil(this.#queuedBytes / this.#bytesPerSecond)
  }

  append(name: string, columns: readonly string[], write: (rows: RowWriter) => void): Promise<void> {
    const table = this.#tables.get(name) ?? this.#add(name, columns)
    const { rows, done } = table.open()
    const before = rows.length
    try {
      write(rows)
    } finally {
      rows.dropRow()
      this.#queuedBytes += rows.length - before
    }
    if (rows.rows >= this.#config.flushRows || rows.length >= FULL_BYTES || this.#closing) this.#start(table)
    else table.timer ??= setTimeout(() => this.#start(table), this.#config.flushMs)
    return done
  }

  async flush(): Promise<void> {
    const tables = [...this.#tables.values()]
    while (tables.some(t => t.batch !== undefined || t.running !== undefined)) {
      for (const table of tables) this.#start(table)
      await Promise.all(tables.map(t => t.running))
    }
  }

  close(): Promise<void> {
    this.#closing = true
    return this.flush()
  }

  #add(name: string, columns: readonly string[]): Table {
    const table = new Table(name, columns)
    this.#tables.set(name, table)
    return table
  }

  /** One insert a table at a time: what comes meanwhile is the next batch. */
  #start(table: Table): void {
    clearTimeout(table.timer)
    table.timer = undefined
    if (table.running !== undefined || table.batch === undefined) return
    const batch = table.batch
    table.batch = undefined
    table.running = this.#insert(table, batch).finally(() => {
      table.running = undefined
      batch.rows.clear()
      if (table.spare.length < 2) table.spare.push(batch.rows)
      const waiting = table.batch
      if (waiting === undefined) return
      if (this.#closing || waiting.rows.rows >= this.#config.flushRows) this.#start(table)
      else table.timer ??= setTimeout(() => this.#start(table), this.#config.flushMs)
    })
  }

  async #insert(table: Table, batch: Batch): Promise<void> {
    const { bytes, rows } = batch.rows
    const from = performance.now()
    try {
      if (rows > 0) await this.#try(table, bytes, rows)
      this.counters.inserts++
      this.counters.insertedRows += rows
      this.counters.insertedBytes += bytes.length
      const seconds = (performance.now() - from) / 1000
      this.#bytesPerSecond = 0.8 * this.#bytesPerSecond + 0.2 * Math.max(64 << 10, bytes.length / seconds)
      batch.resolve()
    } catch (error) {
      this.counters.failedRows += rows
      this.#log.error({ err: error, table: table.name, rows }, 'ingest: rows not stored, their senders are told so')
      batch.reject(error instanceof StoreError ? error : new StoreError('database', String(error), { cause: error }))
    } finally {
      this.#queuedBytes -= bytes.length
    }
  }

  async #try(table: Table, bytes: Uint8Array, rows: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#store.insert(table.name, table.columns, bytes, rows)
        return
      } catch (error) {
        if (this.#closing || tries >= (this.#config.tries ?? 5)) throw error
        this.counters.retries++
        this.#log.warn({ err: error, table: table.name, rows, tries }, 'ingest: insert failed, trying again')
        await new Promise(resolve => setTimeout(resolve, (this.#config.firstRetryMs ?? 100) * 2 ** (tries - 1)))
      }
    }
  }
}
