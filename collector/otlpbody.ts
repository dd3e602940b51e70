/**
 * Metrics as OTLP bytes. https://github.com/open-telemetry/opentelemetry-proto (metrics/v1/metrics.proto)
 *
 *   ResourceMetrics { resource, scope_metrics { scope, metrics [ name, unit, gauge | sum { points [start, time, value, attributes] } ] } }
 *                                                                                           ^8 B   ^8 B  ^8 B
 *
 * What a series sends each tick differs from the last one only in times and value, and these are fields of fixed width. So the
 * bytes of a series are made once, and each tick is a copy of them that is patched.
 */
import { PbfWriter } from 'pbf'

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** Bytes with places in them that move along when they are put into something larger. */
export interface Piece {
  bytes: Uint8Array
  /** Of the 8 bytes of each value (start and time stand in the 18 bytes before it), or of a byte. */
  places: number[]
}

const encoder = new TextEncoder()

export function joined(pieces: readonly Piece[]): Piece {
  const bytes = new Uint8Array(pieces.reduce((sum, p) => sum + p.bytes.length, 0))
  const places: number[] = []
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece.bytes, at)
    for (const place of piece.places) places.push(place + at)
    at += piece.bytes.length
  }
  return { bytes, places }
}

function plain(write: (pbf: PbfWriter) => void): Piece {
  const pbf = new PbfWriter()
  write(pbf)
  return { bytes: pbf.finish().slice(), places: [] }
}

/** Field `tag` of wire type 2 around the pieces. */
export function field(tag: number, pieces: readonly Piece[]): Piece {
  const body = joined(pieces)
  const head = plain(pbf => {
    pbf.writeVarint((tag << 3) | 2)
    pbf.writeVarint(body.bytes.length)
  })
  return joined([head, body])
}

export const text = (tag: number, value: string): Piece => field(tag, [{ bytes: encoder.encode(value), places: [] }])

/** Fields `tag`, by one writer: a process that comes has a dozen, and many come. */
export const attributesPiece = (tag: number, attributes: Attributes): Piece =>
  plain(pbf => {
    for (const entry of Object.entries(attributes)) pbf.writeMessage(tag, writeKeyValue, entry)
  })

/** KeyValue { key 1, value 2 { string 1 | bool 2 | int 3 | double 4 } } */
function writeKeyValue([key, value]: readonly [string, string | number | boolean], pbf: PbfWriter): void {
  pbf.writeStringField(1, key)
  pbf.writeMessage(2, writeAnyValue, value)
}

function writeAnyValue(value: string | number | boolean, pbf: PbfWriter): void {
  if (typeof value === 'string') pbf.writeStringField(1, value)
  else if (typeof value === 'boolean') pbf.writeBooleanField(2, value)
  else if (Number.isInteger(value)) pbf.writeVarintField(3, value)
  else pbf.writeDoubleField(4, value)
}

/** A NumberDataPoint { start 2, time 3, as_double 4, attributes 7 } as field 1; what changes comes first, 9 bytes each with its tag. */
export function pointPiece(attributes: Attributes): Piece {
  const fixed = new Uint8Array(27)
  fixed[0] = (2 << 3) | 1
  fixed[9] = (3 << 3) | 1
  fixed[18] = (4 << 3) | 1
  return field(1, [{ bytes: fixed, places: [19] }, attributesPiece(7, attributes)])
}

/** What follows the points of a Sum: temporality 2 = DELTA, monotonic 3. */
export const deltaPiece = (): Piece =>
  plain(pbf => {
    pbf.writeVarintField(2, 1)
    pbf.writeBooleanField(3, true)
  })

/** ms -> the two halves of a fixed64 in ns. ms x 10^6 passes 2^53, so the halves are made apart. */
function nanoseconds(ms: number): [number, number] {
  const ns = BigInt(Math.round(ms)) * 1_000_000n
  return [Number(ns & 0xffffffffn), Number(ns >> 32n)]
}

/** A growing request body. Requests may be joined: repeated fields of protobuf messages add up. */
export class Body {
  private buffer = new Uint8Array(1 << 16)
  private view = new DataView(this.buffer.buffer)
  private times = new Uint32Array(4)
  length = 0

  /** Returns where they begin. */
  append(bytes: Uint8Array): number {
    const at = this.length
    this.reserve(at + bytes.length)
    this.buffer.set(bytes, at)
    this.length = at + bytes.length
    return at
  }

  /** The head of a field of wire type 2. */
  appendHead(tag: number, length: number): void {
    this.reserve(this.length + 10)
    this.appendVarint((tag << 3) | 2)
    this.appendVarint(length)
  }

  private appendVarint(value: number): void {
    let left = value
    while (left > 127) {
      this.buffer[this.length++] = (left & 127) | 128
      left >>>= 7
    }
    this.buffer[this.length++] = left
  }

  /** Times of all values that are patched from now on. */
  setTimes(startMs: number, timeMs: number): void {
    this.times = Uint32Array.of(...nanoseconds(startMs), ...nanoseconds(timeMs))
  }

  /** Puts a value, with the times that stand before it, at its place. */
  patch(place: number, value: number): void {
    const { view, times } = this
    view.setUint32(place - 18, times[0] ?? 0, true)
    view.setUint32(place - 14, times[1] ?? 0, true)
    view.setUint32(place - 9, times[2] ?? 0, true)
    view.setUint32(place - 5, times[3] ?? 0, true)
    view.setFloat64(place, value, true)
  }

  patchByte(place: number, byte: number): void {
    this.buffer[place] = byte
  }

  private reserve(length: number): void {
    if (length <= this.buffer.length) return
    const larger = new Uint8Array(Math.max(2 * this.buffer.length, length))
    larger.set(this.buffer.subarray(0, this.length))
    this.buffer = larger
    this.view = new DataView(larger.buffer)
  }

  /** The body so far; begins a new one. */
  take(): Uint8Array {
    const bytes = this.buffer.slice(0, this.length)
    this.length = 0
    return bytes
  }
}

/** Bytes of a varint. */
export const varintBytes = (value: number): number =>
  value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : value < 268_435_456 ? 4 : 5
