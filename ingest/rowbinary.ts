/**
 * Writes rows as ClickHouse's RowBinary: values of a row one after the other, rows without separators, little-endian.
 * A row goes from its record straight to the bytes that the database reads; nothing is kept in between.
 *
 *   String            LEB128 length, UTF-8            Array(T)      LEB128 count, values
 *   Nullable(T)       0, value | 1                    Map(K, V)     LEB128 count, (key, value) …
 *   DateTime          UInt32 seconds                  DateTime64(3) Int64 milliseconds
 *   LowCardinality(T) as T
 *
 * https://clickhouse.com/docs/interfaces/formats/RowBinary
 */
import { type StoredColumns, storedValue } from './stored.ts'

const TWO_32 = 2 ** 32
const TWO_63 = 2 ** 63

export class RowWriter {
  #bytes: Buffer
  #view: DataView
  #at = 0
  #rows = 0
  #rowStart = 0

  constructor(capacity = 4096) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get rows(): number {
    return this.#rows
  }

  get length(): number {
    return this.#at
  }

  /** A view of what is written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Ends a row. Everything since the last endRow() is one row, or nothing after dropRow(). */
  endRow(): void {
    this.#rows++
    this.#rowStart = this.#at
  }

  /** Takes back what was written since the last endRow(). */
  dropRow(): void {
    this.#at = this.#rowStart
  }

  /** Takes whole rows back, to what `length` and `rows` were then. */
  cutTo(length: number, rows: number): void {
    this.#at = length
    this.#rows = rows
    this.#rowStart = length
  }

  clear(): void {
    this.#at = 0
    this.#rows = 0
    this.#rowStart = 0
  }

  u8(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  u16(value: number): void {
    this.#room(2)
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  i32(value: number): void {
    this.#room(4)
    this.#view.setInt32(this.#at, value, true)
    this.#at += 4
  }

  /**
   * An integer as a number: exact as far as a number is, and clamped to what 64 bits hold. High and low word by
   * arithmetic, since a bigint would be an allocation a value.
   */
  i64(value: number): void {
    this.#room(8)
    if (value >= TWO_63) {
      this.#words(0xffff_ffff, 0x7fff_ffff)
      return
    }
    const whole = Math.max(value, -TWO_63)
    const high = Math.floor(whole / TWO_32)
    this.#words(whole - high * TWO_32, high)
  }

  u64(value: bigint): void {
    this.#room(8)
    this.#view.setBigUint64(this.#at, value, true)
    this.#at += 8
  }

  bigI64(value: bigint): void {
    this.#room(8)
    this.#view.setBigInt64(this.#at, value, true)
    this.#at += 8
  }

  f32(value: number): void {
    this.#room(4)
    this.#view.setFloat32(this.#at, value, true)
    this.#at += 4
  }

  f64(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  /** Lone surrogates become U+FFFD, so what is written is always UTF-8. */
  string(value: string): void {
    // Three bytes is the most a UTF-16 unit can take; short lengths need one byte of LEB128, which is written afterwards.
    this.#room(value.length * 3 + 5)
    if (value.length < 32 && this.#ascii(value)) return
    if (value.length < 43) {
      const size = this.#bytes.write(value, this.#at + 1)
      this.#bytes[this.#at] = size
      this.#at += size + 1
      return
    }
    this.#varint(Buffer.byteLength(value))
    this.#at += this.#bytes.write(value, this.#at)
  }

  /** A value that may be absent: `write` is called for one that is there. */
  nullable<T>(value: T | undefined, write: (value: T) => void): void {
    this.u8(value === undefined ? 1 : 0)
    if (value !== undefined) write(value)
  }

  nullableF32(value: number | undefined): void {
    this.u8(value === undefined ? 1 : 0)
    if (value !== undefined) this.f32(value)
  }

  nullableI64(value: number | undefined): void {
    this.u8(value === undefined ? 1 : 0)
    if (value !== undefined) this.i64(value)
  }

  /** Nullable(Int32 | Int64) of these columns, from values[offset + column]; NaN is NULL. The answer is how many are not. */
  nullableInts(values: Float64Array, offset: number, stored: StoredColumns, columns: readonly number[]): number {
    this.#room(9 * columns.length)
    const bytes = this.#bytes
    const view = this.#view
    let at = this.#at
    let count = 0
    for (const i of columns) {
      const value = storedValue(stored, i, values[offset + i] ?? Number.NaN)
      if (Number.isNaN(value)) {
        bytes[at++] = 1
        continue
      }
      bytes[at++] = 0
      count++
      if (stored.wide[i] === 1) {
        const high = Math.floor(value / TWO_32)
        view.setUint32(at, value - high * TWO_32, true)
        view.setInt32(at + 4, high, true)
        at += 8
      } else {
        view.setInt32(at, value, true)
        at += 4
      }
    }
    this.#at = at
    return count
  }

  array<T>(values: readonly T[], write: (value: T) => void): void {
    this.#room(5)
    this.#varint(values.length)
    for (const value of values) write(value)
  }

  map<V>(entries: readonly (readonly [string, V])[], write: (value: V) => void): void {
    this.#room(5)
    this.#varint(entries.length)
    for (const [key, value] of entries) {
      this.string(key)
      write(value)
    }
  }

  /** Seconds; ClickHouse's DateTime ends in 2106. */
  dateTime(ms: number): void {
    this.u32(Math.min(0xffff_ffff, Math.max(0, Math.round(ms / 1000))))
  }

  dateTime64(ms: number): void {
    this.i64(Math.round(ms))
  }

  /** Days since the epoch. */
  date(ms: number): void {
    this.u16(Math.min(0xffff, Math.max(0, Math.floor(ms / 86_400_000))))
  }

  /** Rows that another writer made. */
  append(bytes: Uint8Array, rows: number): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
    this.#rowStart = this.#at
    this.#rows += rows
  }

  /** Most names are short and ASCII; a loop over these is faster than a call out of JavaScript. */
  #ascii(value: string): boolean {
    const bytes = this.#bytes
    let at = this.#at + 1
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      bytes[at++] = code
    }
    bytes[this.#at] = value.length
    this.#at = at
    return true
  }

  #varint(value: number): void {
    let rest = value
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
  }

  #words(low: number, high: number): void {
    this.#view.setUint32(this.#at, low, true)
    this.#view.setInt32(this.#at + 4, high, true)
    this.#at += 8
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}
