/**
 * Rows between their acknowledgement and the database. An insert costs 20 ms of CPU a table however few rows it has, so rows
 * of many requests go in together; what is acknowledged meanwhile lies here, and a killed process finds it at its next start.
 *
 *   journal/0001764284400123-9f3a01c2.rows      a segment: frames, one a group of requests, in the order they came
 *   journal/0001764284400123-9f3a01c2.refused   the database does not take them; renamed to .rows it is tried again
 *   journal/batches.log                         batches of segments that are gone, a line a segment
 *
 *   frame   u32 length, u32 CRC-32 of: u32 length, JSON {batches, blocks: [[key, rows, bytes, columns?] …]}, bytes of the blocks
 *
 * A frame is whole or it is not there: a request's rows are stored all or none. The name of a segment is unique for ever and
 * goes with each insert as its token, by which the database stores a segment's block once even when it is inserted twice.
 * There is no fsync, as ClickHouse has none for its own parts: a power cut may take the last seconds, kill -9 takes nothing.
 */
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writevSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Logger } from 'pino'
import { type Batch, KnownBatches } from './batches.ts'
import { StoreError } from './errors.ts'

/** Rows of one table. */
export interface Block {
  table: string
  columns: readonly string[]
  rows: number
  bytes: Uint8Array
}

/** Rows with the same columns of the same table are one block of their segment. */
export function blockKey(table: string, columns: readonly string[]): string {
  const known = KEYS.get(columns)
  if (known?.table === table) return known.key
  const key = `${table} ${crc32(columns.join()).toString(16)}`
  KEYS.set(columns, { table, key })
  return key
}

const KEYS = new WeakMap<readonly string[], { table: string; key: string }>()

export interface Journal {
  /** Batches whose rows it has had. */
  readonly known: KnownBatches
  /** Of this one's segments, those that the last process left, oldest first. */
  readonly left: readonly string[]
  /** Throws StoreError where the disk does not take it; then nothing of it is there. */
  append(blocks: readonly Block[], batches: readonly Batch[]): void
  /** Ends the segment; the answer is its name. */
  turn(): string
  /** The blocks of a segment. */
  read(segment: string): Block[]
  /** The database has its rows. */
  done(segment: string): void
  /** The database will not have its rows: set aside; the answer is the file. */
  refused(segment: string): string
  close(): void
}

/** So many lines of batches.log are put together to one. */
const MOST_LINES = 64

export function openJournal(path: string, log: Logger): Journal {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return new SegmentFiles(path, log)
}

class SegmentFiles implements Journal {
  readonly known = new KnownBatches()
  readonly left: readonly string[]
  readonly #path: string
  readonly #log: Logger
  /** Of segments that are not done. */
  readonly #batches = new Map<string, Batch[]>()
  #lines = 0
  #segment = ''
  #file = -1
  #length = 0
  /** Keys of blocks whose columns this segment has told. */
  readonly #told = new Set<string>()

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
    this.left = readdirSync(path)
      .filter(name => name.endsWith('.rows'))
      .map(name => name.slice(0, -'.rows'.length))
      .sort()
    for (const line of readLines(this.#logFile)) {
      this.known.restore(line)
      this.#lines++
    }
    for (const segment of this.left) this.#learn(segment)
  }

  append(blocks: readonly Block[], batches: readonly Batch[]): void {
    const parts = this.#frame(blocks, batches)
    try {
      this.#open()
      const wanted = parts.reduce((sum, part) => sum + part.length, 0)
      const written = writevSync(this.#file, parts, this.#length)
      if (written < wanted) throw new Error(`only ${written} of ${wanted} bytes were written`)
      this.#length += wanted
    } catch (error) {
      this.#cut()
      const reason = error instanceof Error ? error.message : String(error)
      throw new StoreError('journal', `the journal in ${this.#path} takes nothing: ${reason}`, { cause: error })
    }
    for (const { table, columns } of blocks) this.#told.add(blockKey(table, columns))
    for (const batch of batches) this.known.add(batch)
    this.#batches.get(this.#segment)?.push(...batches)
  }

  turn(): string {
    const segment = this.#segment
    this.close()
    this.#segment = ''
    return segment
  }

  read(segment: string): Block[] {
    const file = this.#rowsFile(segment)
    const blocks = new Map<string, { table: string; columns: readonly string[]; rows: number; parts: Uint8Array[] }>()
    for (const frame of readFrames(file, this.#log)) {
      for (const { table, columns, rows, bytes } of frame.blocks) {
        const key = blockKey(table, columns)
        const block = blocks.get(key) ?? { table, columns, rows: 0, parts: [] }
        blocks.set(key, block)
        block.rows += rows
        block.parts.push(bytes)
      }
    }
    return [...blocks.values()].map(({ parts, ...block }) => ({ ...block, bytes: Buffer.concat(parts) }))
  }

  done(segment: string): void {
    const batches = this.#batches.get(segment) ?? []
    this.#batches.delete(segment)
    if (batches.length > 0) {
      // On a line of its own: the last one may have been cut by a full disk.
      appendFileSync(this.#logFile, `\n${JSON.stringify(batches.map(b => [b.sender, b.number]))}`)
      this.#lines++
    }
    rmSync(this.#rowsFile(segment))
    if (this.#lines > MOST_LINES) this.#shorten()
  }

  refused(segment: string): string {
    const file = join(this.#path, `${segment}.refused`)
    renameSync(this.#rowsFile(segment), file)
    return file
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file)
    this.#file = -1
  }

  #shorten(): void {
    const file = this.#logFile
    writeFileSync(`${file}.part`, `${JSON.stringify(this.known)}\n`)
    renameSync(`${file}.part`, file)
    this.#lines = 1
  }

  #learn(segment: string): void {
    const batches = [...readFrames(this.#rowsFile(segment), this.#log)].flatMap(frame => frame.batches)
    this.#batches.set(segment, batches)
    for (const batch of batches) this.known.add(batch)
  }

  get #logFile(): string {
    return join(this.#path, 'batches.log')
  }

  #rowsFile(segment: string): string {
    return join(this.#path, `${segment}.rows`)
  }

  #open(): void {
    if (this.#file >= 0) return
    this.#segment = `${String(Date.now()).padStart(16, '0')}-${randomBytes(6).toString('hex')}`
    this.#file = openSync(this.#rowsFile(this.#segment), 'wx', 0o600)
    this.#batches.set(this.#segment, [])
    this.#length = 0
    this.#told.clear()
  }

  /** Takes a torn frame away; where even that fails the next frame is written over it, and reading stops at what stays. */
  #cut(): void {
    if (this.#file < 0) return
    try {
      ftruncateSync(this.#file, this.#length)
    } catch (error) {
      this.#log.warn({ err: error }, 'ingest: the journal keeps the beginning of a frame that is not whole')
    }
  }

  #frame(blocks: readonly Block[], batches: readonly Batch[]): Uint8Array[] {
    const told = this.#file < 0 ? new Set<string>() : this.#told
    const head = Buffer.from(
      JSON.stringify({
        batches: batches.map(b => [b.sender, b.number]),
        blocks: blocks.map(b => {
          const key = blockKey(b.table, b.columns)
          return [key, b.rows, b.bytes.length, ...(told.has(key) ? [] : [b.columns])]
        }),
      }),
    )
    const start = Buffer.alloc(12)
    start.writeUInt32LE(head.length, 8)
    let crc = crc32(head, crc32(start.subarray(8)))
    let length = 4 + head.length
    for (const { bytes } of blocks) {
      crc = crc32(bytes, crc)
      length += bytes.length
    }
    start.writeUInt32LE(length, 0)
    start.writeUInt32LE(crc, 4)
    return [start, head, ...blocks.map(b => b.bytes)]
  }
}

interface Frame {
  batches: Batch[]
  blocks: Block[]
}

interface FrameHead {
  batches: [string, number][]
  blocks: [string, number, number, string[]?][]
}

/** Ends at the first frame that is not whole: it was never acknowledged. */
function* readFrames(file: string, log: Logger): Generator<Frame> {
  const bytes = readFileSync(file)
  const columns = new Map<string, readonly string[]>()
  for (let at = 0; at < bytes.length; ) {
    const length = at + 8 <= bytes.length ? bytes.readUInt32LE(at) : Number.POSITIVE_INFINITY
    const payload = bytes.subarray(at + 8, at + 8 + length)
    if (payload.length < length || crc32(payload) !== bytes.readUInt32LE(at + 4)) {
      log.warn({ file, bytes: bytes.length - at }, 'ingest: the journal ends in a frame that was not acknowledged')
      return
    }
    yield parseFrame(payload, columns)
    at += 8 + length
  }
}

function parseFrame(payload: Buffer, columns: Map<string, readonly string[]>): Frame {
  const headEnd = 4 + payload.readUInt32LE(0)
  const head = JSON.parse(payload.toString('utf8', 4, headEnd)) as FrameHead
  const blocks: Block[] = []
  let at = headEnd
  for (const [key, rows, length, told] of head.blocks) {
    if (told !== undefined) columns.set(key, told)
    const table = key.slice(0, key.indexOf(' '))
    blocks.push({ table, columns: columns.get(key) ?? [], rows, bytes: payload.subarray(at, at + length) })
    at += length
  }
  return { batches: head.batches.map(([sender, number]) => ({ sender, number })), blocks }
}

/** A line that is not whole is of a segment that is still there. */
function readLines(file: string): [string, ...number[]][][] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap(line => {
      try {
        return [JSON.parse(line) as [string, ...number[]][]]
      } catch {
        return []
      }
    })
}
