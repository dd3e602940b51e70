/**
 * Metrics as OTLP bytes: https://github.com/open-telemetry/opentelemetry-proto (metrics/v1/metrics.proto).
 *
 * What a node sends each tick differs from its last tick only in times and values, and those are fixed-width fields. So the
 * message is laid out once, with the place of every time and value, and each tick is a copy that is patched:
 *
 *   ResourceMetrics { resource, scope_metrics { scope, metrics [ name, unit, gauge | sum { points [start, time, value, attributes] } ] } }
 *                                                                                           ^8 B   ^8 B  ^8 B
 *
 * Names, units and attributes are those that the collector's meter.ts gives; a test holds the two together.
 */
import { PbfWriter } from 'pbf'

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** Bytes with places in them that move along when they are put into something larger. */
interface Piece {
  bytes: Uint8Array
  /** Of the 8 bytes of each value; start and time stand in the 18 bytes before it. */
  places: number[]
}

/** What does not change of a data point. */
export interface Shape {
  name: string
  unit: string
  /** Sums are delta and monotonic. */
  sum: boolean
  attributes: Attributes
}

const encoder = new TextEncoder()

function joined(pieces: readonly Piece[]): Piece {
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

/** Field `tag` of wire type 2 around the pieces. */
function field(tag: number, pieces: readonly Piece[]): Piece {
  const body = joined(pieces)
  const head = new PbfWriter()
  head.writeVarint((tag << 3) | 2)
  head.writeVarint(body.bytes.length)
  return joined([{ bytes: head.finish().slice(), places: [] }, body])
}

function plain(write: (pbf: PbfWriter) => void): Piece {
  const pbf = new PbfWriter()
  write(pbf)
  return { bytes: pbf.finish().slice(), places: [] }
}

const text = (tag: number, value: string): Piece => field(tag, [{ bytes: encoder.encode(value), places: [] }])

/** KeyValue { key 1, value 2 { string 1 | bool 2 | int 3 | double 4 } } */
function keyValue(tag: number, key: string, value: string | number | boolean): Piece {
  const any = plain(pbf => {
    if (typeof value === 'string') pbf.writeStringField(1, value)
    else if (typeof value === 'boolean') pbf.writeBooleanField(2, value)
    else if (Number.isInteger(value)) pbf.writeVarintField(3, value)
    else pbf.writeDoubleField(4, value)
  })
  return field(tag, [text(1, key), field(2, [any])])
}

const attributePieces = (tag: number, attributes: Attributes): Piece[] =>
  Object.entries(attributes).map(([key, value]) => keyValue(tag, key, value))

/** NumberDataPoint { start 2, time 3, as_double 4, attributes 7 }; what changes comes first, 9 bytes each with its tag. */
function point(shape: Shape): Piece {
  const fixed = new Uint8Array(27)
  fixed[0] = (2 << 3) | 1
  fixed[9] = (3 << 3) | 1
  fixed[18] = (4 << 3) | 1
  return joined([{ bytes: fixed, places: [19] }, ...attributePieces(7, shape.attributes)])
}

/** Metric { name 1, unit 3, gauge 5 { points 1 } | sum 7 { points 1, temporality 2 = DELTA, monotonic 3 } } */
function metric(shapes: readonly Shape[]): Piece[] {
  const first = shapes[0]
  if (!first) return []
  const points = shapes.map(s => field(1, [point(s)]))
  const sum = plain(pbf => {
    pbf.writeVarintField(2, 1)
    pbf.writeBooleanField(3, true)
  })
  const holder = first.sum ? field(7, [...points, sum]) : field(5, points)
  return [field(2, [text(1, first.name), text(3, first.unit), holder])]
}

/** A ResourceMetrics laid out once; `write` puts a tick of it at the end of a body. */
export class Message {
  private readonly bytes: Uint8Array
  private readonly places: Int32Array

  /** Shapes of one metric must stand next to each other; values are later given in the order of the shapes. */
  constructor(resource: Attributes, shapes: readonly Shape[]) {
    const metrics: Piece[] = []
    for (let i = 0; i < shapes.length; ) {
      let end = i
      while (end < shapes.length && shapes[end]?.name === shapes[i]?.name) end++
      metrics.push(...metric(shapes.slice(i, end)))
      i = end
    }
    const scope = field(1, [text(1, 'jobsight')])
    const message = field(1, [field(1, attributePieces(1, resource)), field(2, [scope, ...metrics])])
    this.bytes = message.bytes
    this.places = Int32Array.from(message.places)
  }

  write(body: Body, startMs: number, timeMs: number, values: Float64Array): void {
    const base = body.append(this.bytes)
    const view = body.view
    const [startLow, startHigh] = nanoseconds(startMs)
    const [timeLow, timeHigh] = nanoseconds(timeMs)
    for (let i = 0; i < this.places.length; i++) {
      const at = base + (this.places[i] ?? 0)
      view.setUint32(at - 18, startLow, true)
      view.setUint32(at - 14, startHigh, true)
      view.setUint32(at - 9, timeLow, true)
      view.setUint32(at - 5, timeHigh, true)
      view.setFloat64(at, values[i] ?? 0, true)
    }
  }
}

/** ms -> the two halves of a fixed64 in ns. ms x 10^6 passes 2^53, so the halves are made apart. */
function nanoseconds(ms: number): [number, number] {
  const ns = BigInt(Math.round(ms)) * 1_000_000n
  return [Number(ns & 0xffffffffn), Number(ns >> 32n)]
}

/** A growing request body. Requests may be joined: repeated fields of protobuf messages add up. */
export class Body {
  private buffer = new Uint8Array(1 << 16)
  length = 0
  view = new DataView(this.buffer.buffer)

  append(bytes: Uint8Array): number {
    const at = this.length
    if (at + bytes.length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.buffer.length, at + bytes.length))
      larger.set(this.buffer.subarray(0, at))
      this.buffer = larger
      this.view = new DataView(larger.buffer)
    }
    this.buffer.set(bytes, at)
    this.length = at + bytes.length
    return at
  }

  /** The body so far; begins a new one. */
  take(): Uint8Array {
    const bytes = this.buffer.slice(0, this.length)
    this.length = 0
    return bytes
  }
}
