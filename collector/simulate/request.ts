/**
 * The message of a simulated node or process: its series are the same each tick, so all of it is laid out once, with the place
 * of every time and value. Names, units and attributes are those that the collector's meter.ts gives; a test holds the two
 * together.
 */
import {
  type Attributes,
  attributesPiece,
  type Body,
  deltaPiece,
  field,
  type Piece,
  pointPiece,
  text,
} from '../otlpbody.ts'

/** What does not change of a data point. */
export interface Shape {
  name: string
  unit: string
  /** Sums are delta and monotonic. */
  sum: boolean
  attributes: Attributes
}

/** Metric { name 1, unit 3, gauge 5 { points 1 } | sum 7 { points 1, temporality 2 = DELTA, monotonic 3 } } */
function metric(shapes: readonly Shape[]): Piece[] {
  const first = shapes[0]
  if (!first) return []
  const points = shapes.map(s => pointPiece(s.attributes))
  const holder = first.sum ? field(7, [...points, deltaPiece()]) : field(5, points)
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
    const message = field(1, [field(1, [attributesPiece(1, resource)]), field(2, [scope, ...metrics])])
    this.bytes = message.bytes
    this.places = Int32Array.from(message.places)
  }

  write(body: Body, startMs: number, timeMs: number, values: Float64Array): void {
    const base = body.append(this.bytes)
    body.setTimes(startMs, timeMs)
    for (let i = 0; i < this.places.length; i++) body.patch(base + (this.places[i] ?? 0), values[i] ?? 0)
  }
}
