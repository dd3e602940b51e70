/**
 * Rows of many requests wait for each other and go to the store together, a block a table (and set of columns), since an insert
 * costs the same for one row and for a thousand. Who appended hears when the rows are safe:
 *
 *   append ─┐                        ┌─ resolve
 *   append ─┼─ group ─ journal ─ ok ─┼─ resolve     with a journal: once it has them, at the end of the event loop's turn
 *   append ─┘     └─ fails: reject   └─ resolve
 *
 *   group ─┐
 *   group ─┼─ segment ─ an insert a table           when full or old; one at a time, meanwhile the next fills
 *   group ─┘     └─ fails: again after 0.1, 0.2, 0.4 … s
 *
 * Without a journal (a ClickHouse server and no store.path, or flushMs 0) they hear when their block is inserted.
 */
import type { Batch } from './batches.ts'
import type { Inserter } from './insert.ts'
import { type Block, blockKey, type Journal } from './journal.ts'
import { type Latch, openLatch } from './latch.ts'
import { RowWriter } from './rowbinary.ts'

export interface WriterConfig {
  flushMs: number
  flushRows: number
}

export interface Writer {
  /**
   * `write` adds whole rows, at once. Resolves when they are safe, rejects when they will not be. What is appended within one
   * turn of the event loop is safe together.
   */
  append(table: string, columns: readonly string[], write: (rows: RowWriter) => void): Promise<void>
  /** The batch that rows appended in this turn came in: known from when they are safe. */
  note(batch: Batch): void
  /** Of rows that the database does not have yet. */
  readonly queuedBytes: number
  /** How long the rows that wait will take, at the speed of the last inserts. */
  readonly drainSeconds: number
  /** Everything that waits goes to the database now; resolves when it has gone. */
  flush(): Promise<void>
  /** Drains; what fails now is not tried again. */
  close(): Promise<void>
}

const FULL_BYTES = 16 << 20
/** The longer inserts take, the more rows wait for the next: they run for at most this share of the time … */
const INSERTING = 0.1
/** … but nothing waits longer. */
const LONGEST_WAIT_MS = 10_000
const SPARE = 32

interface Open {
  table: string
  columns: readonly string[]
  rows: RowWriter
  /** What of it the journal has. */
  safeRows: number
  safeBytes: number
  /** Without a journal. */
  latch: Latch | undefined
}

export function openWriter(config: WriterConfig, inserter: Inserter, journal?: Journal): Writer {
  return new SegmentWriter(config, inserter, journal)
}

class SegmentWriter implements Writer {
  readonly #config: WriterConfig
  readonly #inserter: Inserter
  readonly #journal: Journal | undefined
  #segment = new Map<string, Open>()
  readonly #spare: RowWriter[] = []
  #group: Latch | undefined
  #batches: Batch[] = []
  #timer: NodeJS.Timeout | undefined
  #inserting: Promise<void> | undefined
  #waitMs: number
  #queuedBytes = 0
  #bytesPerSecond = 8 << 20
  #closing = false

  constructor(config: WriterConfig, inserter: Inserter, journal: Journal | undefined) {
    this.#config = config
    this.#inserter = inserter
    this.#journal = journal
    this.#waitMs = config.flushMs
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get drainSeconds(): number {
    return Math.ceil(this.#queuedBytes / this.#bytesPerSecond)
  }

  append(table: string, columns: readonly string[], write: (rows: RowWriter) => void): Promise<void> {
    const key = blockKey(table, columns)
    const open = this.#segment.get(key) ?? this.#open(key, table, columns)
    const { rows, latch } = open
    const before = rows.length
    try {
      write(rows)
    } finally {
      rows.dropRow()
      this.#queuedBytes += rows.length - before
    }
    if (latch === undefined) return this.#inGroup()
    this.#insertSoon()
    return latch.done
  }

  note(batch: Batch): void {
    if (this.#group !== undefined) this.#batches.push(batch)
  }

  async flush(): Promise<void> {
    for (this.#commit(); this.#segment.size > 0 || this.#inserting !== undefined; this.#commit()) {
      this.#insertNow()
      await this.#inserting
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#inserter.close()
    await this.flush()
    this.#journal?.close()
  }

  #open(key: string, table: string, columns: readonly string[]): Open {
    const latch = this.#journal === undefined ? openLatch() : undefined
    const rows = this.#spare.pop() ?? new RowWriter(64 << 10)
    const open = { table, columns, rows, safeRows: 0, safeBytes: 0, latch }
    this.#segment.set(key, open)
    return open
  }

  #inGroup(): Promise<void> {
    if (this.#group === undefined) {
      this.#group = openLatch()
      setImmediate(() => {
        this.#commit()
        if (this.#segment.size > 0) this.#insertSoon()
      })
    }
    return this.#group.done
  }

  /** The group's rows go to the journal. */
  #commit(): void {
    const group = this.#group
    if (group === undefined) return
    const batches = this.#batches
    this.#group = undefined
    this.#batches = []
    try {
      this.#journal?.append(this.#unsafe(), batches)
      for (const open of this.#segment.values()) {
        open.safeRows = open.rows.rows
        open.safeBytes = open.rows.length
      }
      group.resolve()
    } catch (error) {
      this.#takeBack()
      group.reject(error)
    }
  }

  #unsafe(): Block[] {
    const blocks: Block[] = []
    for (const { table, columns, rows, safeRows, safeBytes } of this.#segment.values()) {
      if (rows.rows === safeRows) continue
      blocks.push({ table, columns, rows: rows.rows - safeRows, bytes: rows.bytes.subarray(safeBytes) })
    }
    return blocks
  }

  /** Rows that the journal did not take: they will be sent again. */
  #takeBack(): void {
    for (const [key, { rows, safeRows, safeBytes }] of this.#segment) {
      this.#inserter.counters.failedRows += rows.rows - safeRows
      this.#queuedBytes -= rows.length - safeBytes
      rows.cutTo(safeBytes, safeRows)
      if (safeRows === 0) this.#segment.delete(key)
    }
  }

  /** A timer runs only while no insert does: one that ended during an insert would never be set again. */
  #insertSoon(): void {
    if (this.#inserting !== undefined) return
    if (this.#closing || this.#isFull()) this.#insertNow()
    else this.#timer ??= setTimeout(() => this.#insertNow(), this.#waitMs)
  }

  #isFull(): boolean {
    for (const { rows } of this.#segment.values()) {
      if (rows.rows >= this.#config.flushRows || rows.length >= FULL_BYTES) return true
    }
    return false
  }

  /** One segment at a time: what comes meanwhile is the next. */
  #insertNow(): void {
    if (this.#inserting !== undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#commit()
    const segment = this.#segment
    if (segment.size === 0) return
    this.#segment = new Map()
    this.#inserting = this.#insert(segment).finally(() => {
      this.#inserting = undefined
      for (const { rows } of segment.values()) {
        rows.clear()
        if (this.#spare.length < SPARE) this.#spare.push(rows)
      }
      if (this.#segment.size > 0) this.#insertSoon()
    })
  }

  async #insert(segment: ReadonlyMap<string, Open>): Promise<void> {
    const from = performance.now()
    const bytes = [...segment.values()].reduce((sum, { rows }) => sum + rows.length, 0)
    const blocks = [...segment.values()].map(({ table, columns, rows, latch }) => ({
      ...{ table, columns, latch },
      rows: rows.rows,
      bytes: rows.bytes,
    }))
    if (this.#journal !== undefined) await this.#inserter.segment(this.#journal, this.#journal.turn(), blocks)
    else await Promise.all(blocks.map(block => this.#insertAlone(block, block.latch)))
    const ms = Math.max(1, performance.now() - from)
    this.#queuedBytes -= bytes
    this.#bytesPerSecond = 0.8 * this.#bytesPerSecond + 0.2 * Math.max(64 << 10, (bytes * 1000) / ms)
    if (this.#journal === undefined) return
    this.#waitMs = Math.max(this.#config.flushMs, Math.min(LONGEST_WAIT_MS, ms / INSERTING))
  }

  async #insertAlone(block: Block, latch: Latch | undefined): Promise<void> {
    const error = await this.#inserter.insert(block)
    if (error === undefined) latch?.resolve()
    else latch?.reject(error)
  }
}
