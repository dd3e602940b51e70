/**
 * Reads protobuf from bytes that anyone may have sent. pbf reads past the end of a message without a word, so each message
 * is entered and left here: its length must lie inside its parent, and its fields must end exactly where it ends.
 *
 *   const end = reader.enter('resource')
 *   for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) …  unread fields are skipped
 *   reader.leave(end)
 *
 * https://protobuf.dev/programming-guides/encoding/
 */
import { PbfReader } from 'pbf'
import { BodyError } from '../errors.ts'
import type { Intern } from './intern.ts'

export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2

/** A NumberDataPoint; one object a reader, good until the next one is read. */
export interface NumberPoint {
  startMs: number
  timeMs: number
  value: number
  hasValue: boolean
  flags: number
  /** Where its numbers lie; -1: not given. */
  startAt: number
  timeAt: number
  valueAt: number
  isInt: boolean
  /** Its attributes are bytes first .. last; `apart`: with something else in between. */
  first: number
  last: number
  apart: boolean
}

const TWO_32 = 2 ** 32

export class Reader extends PbfReader {
  readonly #intern: Intern
  /** Ends of the messages we are in. */
  readonly #ends: number[] = []
  readonly #names: string[] = []
  readonly #point: NumberPoint = {
    startMs: 0,
    timeMs: 0,
    value: 0,
    hasValue: false,
    flags: 0,
    startAt: -1,
    timeAt: -1,
    valueAt: -1,
    isInt: false,
    first: 0,
    last: 0,
    apart: false,
  }

  readonly #wire: string

  /** `wire`: whose protobuf it should be, for people. */
  constructor(bytes: Uint8Array, intern: Intern, wire: string) {
    super(bytes)
    this.#intern = intern
    this.#wire = wire
  }

  enter(name: string): number {
    if (this.type !== BYTES) throw this.error(`${name} should be a message`)
    const length = this.readVarint()
    const end = this.pos + length
    if (end > this.#end() || length < 0) throw this.error(`${name} is longer than what it lies in`)
    this.#ends.push(end)
    this.#names.push(name)
    return end
  }

  leave(end: number): void {
    if (this.pos !== end) throw this.error('a field runs past the end of its message')
    this.#ends.pop()
    this.#names.pop()
  }

  /** To the beginning, out of all messages. */
  rewind(): void {
    this.#ends.length = 0
    this.#names.length = 0
    this.back(0)
  }

  /** Ends the outermost message. */
  finish(): void {
    if (this.pos !== this.length) throw this.error('the body ends in the middle of a field')
  }

  /** Passes over a message that is read later: the place to go back to. */
  mark(name: string): number {
    const at = this.pos
    const end = this.enter(name)
    this.pos = end
    this.leave(end)
    return at
  }

  /** Goes back to a marked message, which enter() then reads. */
  back(mark: number): void {
    this.pos = mark
    this.type = BYTES
    this._valueStart = -1
  }

  /** A string; the same bytes give the same string object. */
  text(): string {
    const { start, end } = this.#lengthDelimited()
    return this.#intern.string(this.buf, start, end)
  }

  bytes(): Uint8Array {
    const { start, end } = this.#lengthDelimited()
    return this.buf.subarray(start, end)
  }

  /** uint64 without loss; addresses of the kernel have all their high bits set. */
  bigVarint(): bigint {
    this.#expect(VARINT)
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.buf[this.pos++] ?? 128
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return BigInt.asUintN(64, value)
    }
    throw this.error('a number is longer than 10 bytes')
  }

  /** A varint that is an index or a small count. */
  index(): number {
    this.#expect(VARINT)
    return this.readVarint()
  }

  /** int64; exact up to 2^53. */
  int64(): number {
    this.#expect(VARINT)
    return this.readVarint(true)
  }

  fixed64(): number {
    this.#expect(FIXED64)
    this.#fits(8)
    return this.readFixed64()
  }

  sfixed64(): number {
    this.#expect(FIXED64)
    this.#fits(8)
    return this.readSFixed64()
  }

  double(): number {
    this.#expect(FIXED64)
    this.#fits(8)
    return this.readDouble()
  }

  /** A repeated int32 or int64, packed or not. */
  varints(into: number[], signed = false): void {
    if (this.type === VARINT) {
      into.push(this.readVarint(signed))
      return
    }
    const { start, end } = this.#lengthDelimited()
    this.pos = start
    while (this.pos < end) into.push(this.readVarint(signed))
    if (this.pos !== end) throw this.error('a list of numbers ends in the middle of one')
  }

  /**
   * NumberDataPoint: 2 start, 3 time, 4 double, 6 int, 7 attributes, 8 flags. What ingest does most, so its tags are read
   * here as the bytes they are: field << 3 | wire type.
   */
  numberPoint(): NumberPoint {
    const end = this.enter('data_point')
    const { buf, dataView } = this
    const point = this.#point
    point.startMs = point.timeMs = point.flags = point.first = point.last = 0
    point.hasValue = point.apart = false
    point.startAt = point.timeAt = point.valueAt = -1
    while (this.pos < end) {
      const tag = buf[this.pos]
      if (tag === 0x3a) this.#attribute(point, end)
      else if (tag === 0x11 || tag === 0x19 || tag === 0x21 || tag === 0x31) {
        const at = this.pos + 1
        if (at + 8 > end) throw this.error('a field is longer than its message')
        const low = dataView.getUint32(at, true)
        if (tag === 0x11) {
          point.startAt = at
          point.startMs = (low + dataView.getUint32(at + 4, true) * TWO_32) / 1e6
        } else if (tag === 0x19) {
          point.timeAt = at
          point.timeMs = (low + dataView.getUint32(at + 4, true) * TWO_32) / 1e6
        } else {
          point.hasValue = true
          point.valueAt = at
          point.isInt = tag === 0x31
          point.value = tag === 0x21 ? dataView.getFloat64(at, true) : low + dataView.getInt32(at + 4, true) * TWO_32
        }
        this.pos = at + 8
      } else {
        const field = this.nextField(end)
        if (field === 8) point.flags = this.index()
        else this.skip(this.type)
      }
    }
    this.leave(end)
    return point
  }

  #attribute(point: NumberPoint, end: number): void {
    const start = this.pos++
    const length = this.readVarint()
    this.pos += length
    if (!(length >= 0 && this.pos <= end)) throw this.error('an attribute is longer than its point')
    if (point.first === 0) point.first = start
    else if (start !== point.last) point.apart = true
    point.last = this.pos
  }

  /** How many values a repeated fixed64 holds; OTLP needs no more of timestamps than the last. */
  fixed64s(into: number[]): void {
    if (this.type === FIXED64) {
      into.push(this.fixed64())
      return
    }
    const { start, end } = this.#lengthDelimited()
    if ((end - start) % 8 !== 0) throw this.error('a list of 8-byte numbers ends in the middle of one')
    for (this.pos = start; this.pos < end; ) into.push(this.readFixed64())
  }

  error(what: string): BodyError {
    const where = this.#names.length > 0 ? ` in ${this.#names.join('.')}` : ''
    return new BodyError(
      'malformed',
      `not protobuf as ${this.#wire} has it: ${what}${where}, at byte ${Math.min(this.pos, this.length)}`,
    )
  }

  #lengthDelimited(): { start: number; end: number } {
    this.#expect(BYTES)
    const length = this.readVarint()
    const start = this.pos
    this.#fits(length)
    this.pos = start + length
    return { start, end: this.pos }
  }

  #expect(type: number): void {
    if (this.type !== type) throw this.error(`a field has wire type ${this.type} in place of ${type}`)
  }

  #fits(length: number): void {
    if (!(length >= 0 && this.pos + length <= this.#end())) throw this.error('a field is longer than its message')
  }

  #end(): number {
    return this.#ends.at(-1) ?? this.length
  }
}
