/**
 * OTLP metrics, protobuf, in one pass over the bytes: each number goes straight to its row, no tree of objects is made.
 *
 *   request 1 resource_metrics · 1 resource, 2 scope_metrics · 2 metrics · 1 name, 3 unit, 5 gauge, 7 sum, 9 histogram,
 *   10 exponential histogram, 11 summary · 1 data_points · 2 start, 3 time, 4 double, 6 int, 7 attributes, 8 flags
 *
 * A histogram or summary gives two series, NAME_count and NAME_sum.
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto
 */
import type { Gather, Shape } from '../gather.ts'
import { match, type Target } from '../match.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import { readAttribute, readResource } from './attributes.ts'
import { hashBytes, sameBytes } from './intern.ts'
import type { Reader } from './reader.ts'

/** Targets already found, by metric name and the bytes of the attributes. */
export class KnownTargets {
  readonly #byName = new Map<string, Map<number, { bytes: Uint8Array; target: Target }>>()
  #size = 0

  find(name: string, bytes: Uint8Array, start: number, end: number): Target | undefined {
    const known = this.#byName.get(name)?.get(hashBytes(bytes, start, end))
    return known !== undefined && sameBytes(known.bytes, bytes, start, end) ? known.target : undefined
  }

  keep(name: string, bytes: Uint8Array, start: number, end: number, target: Target): void {
    if (this.#size++ > 50_000) {
      this.#byName.clear()
      this.#size = 0
    }
    let targets = this.#byName.get(name)
    if (targets === undefined) {
      targets = new Map()
      this.#byName.set(name, targets)
    }
    targets.set(hashBytes(bytes, start, end), { bytes: bytes.slice(start, end), target })
  }
}

interface Sink {
  gather: Gather
  known: KnownTargets
  defaultCluster: string
}

/** Throws BodyError where the bytes are not OTLP. */
export function decodeMetrics(reader: Reader, sink: Sink): void {
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field === 1) decodeResource(reader, sink)
  }
  reader.finish()
}

function decodeResource(reader: Reader, sink: Sink): void {
  const end = reader.enter('resource_metrics')
  const scopes: number[] = []
  let attributes = new Map<string, string>()
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) attributes = readResource(reader, [])
    else if (field === 2) scopes.push(reader.mark('scope_metrics'))
  }
  const origin = parseOrigin(attributes, sink.defaultCluster)
  for (const mark of scopes) {
    reader.back(mark)
    decodeScope(reader, sink, origin)
  }
  reader.back(end)
  reader.leave(end)
}

function decodeScope(reader: Reader, sink: Sink, origin: Origin): void {
  const end = reader.enter('scope_metrics')
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 2) decodeMetric(reader, sink, origin)
  }
  reader.leave(end)
}

function decodeMetric(reader: Reader, sink: Sink, origin: Origin): void {
  const end = reader.enter('metric')
  let name = ''
  let unit = ''
  let kind = 0
  let mark = 0
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) name = reader.text()
    else if (field === 3) unit = reader.text()
    else if (field === 5 || field === 7 || (field >= 9 && field <= 11)) {
      kind = field
      mark = reader.mark('metric')
    }
  }
  if (mark > 0) {
    reader.back(mark)
    decodeNumbers(reader, sink, origin, name, unit, kind)
    reader.back(end)
  }
  reader.leave(end)
}

const TEMPORALITY = { 1: 'delta', 2: 'cumulative' } as const

function decodeNumbers(reader: Reader, sink: Sink, origin: Origin, name: string, unit: string, kind: number): void {
  const from = reader.pos
  const end = reader.enter('points')
  let temporality = 0
  let monotonic = false
  let points = 0
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) points++
    else if (field === 2 && kind !== 5) temporality = reader.index()
    else if (field === 3 && kind === 7) monotonic = reader.index() !== 0
  }
  reader.leave(end)
  if (points === 0) return
  const gauge = kind === 5
  // A summary tells no temporality and always counts from its start.
  const given = gauge ? 'gauge' : kind === 11 ? 'cumulative' : TEMPORALITY[temporality === 1 ? 1 : 2]
  if (name === '') sink.gather.reject('a metric has no name', points)
  else if (kind === 7 && temporality !== 1 && temporality !== 2) {
    sink.gather.reject(`${name}: a sum needs an aggregation temporality`, points)
  } else {
    const shape: Shape = { name, unit, temporality: given, monotonic: monotonic || kind >= 9 }
    reader.back(from)
    const again = reader.enter('points')
    for (let field = reader.nextField(again); field !== 0; field = reader.nextField(again)) {
      if (field !== 1) continue
      if (kind >= 9) decodeHistogramPoint(reader, sink, origin, shape, kind)
      else decodeNumberPoint(reader, sink, origin, shape)
    }
    reader.leave(again)
  }
}

function decodeNumberPoint(reader: Reader, sink: Sink, origin: Origin, shape: Shape): void {
  const end = reader.enter('data_point')
  let startNs = 0
  let timeNs = 0
  let value: number | undefined
  let flags = 0
  let first = -1
  let last = -1
  let apart = false
  for (let before = reader.pos, field = reader.nextField(end); field !== 0; ) {
    if (field === 7) {
      if (first < 0) first = before
      else if (before !== last) apart = true
      reader.mark('attribute')
      last = reader.pos
    } else if (field === 2) startNs = reader.fixed64()
    else if (field === 3) timeNs = reader.fixed64()
    else if (field === 4) value = reader.double()
    else if (field === 6) value = reader.sfixed64()
    else if (field === 8) flags = reader.index()
    else reader.skip(reader.type)
    before = reader.pos
    field = reader.nextField(end)
  }
  reader.leave(end)
  // Bit 0: the series ended here, there is no value.
  if ((flags & 1) === 1) return
  if (value === undefined) {
    sink.gather.reject(`${shape.name}: a point has no value`)
    return
  }
  const target = findTarget(reader, sink, shape.name, 7, first, last, apart)
  sink.gather.add(origin, shape, target, startNs / 1e6, timeNs / 1e6, value)
}

/** Goes over the attributes once more only where these bytes were never seen under this name. */
function findTarget(
  reader: Reader,
  sink: Sink,
  name: string,
  wanted: number,
  first: number,
  last: number,
  apart: boolean,
): Target {
  const [start, end] = first < 0 ? [0, 0] : [first, last]
  if (!apart) {
    const known = sink.known.find(name, reader.buf, start, end)
    if (known !== undefined) return known
  }
  const back = reader.pos
  const attributes = new Map<string, string>()
  reader.pos = start
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === wanted) readAttribute(reader, attributes, [])
  }
  reader.pos = back
  const target = match(name, attributes)
  if (!apart) sink.known.keep(name, reader.buf, start, end, target)
  return target
}

/** Histogram 9 (attributes 9), exponential histogram 10 (attributes 1), summary 11 (attributes 7): count 4, sum 5 in all. */
function decodeHistogramPoint(reader: Reader, sink: Sink, origin: Origin, shape: Shape, kind: number): void {
  const end = reader.enter('data_point')
  const wanted = kind === 9 ? 9 : kind === 10 ? 1 : 7
  const attributes = new Map<string, string>()
  let startNs = 0
  let timeNs = 0
  let count: number | undefined
  let sum: number | undefined
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === wanted) readAttribute(reader, attributes, [])
    else if (field === 2) startNs = reader.fixed64()
    else if (field === 3) timeNs = reader.fixed64()
    else if (field === 4) count = reader.fixed64()
    else if (field === 5) sum = reader.double()
  }
  reader.leave(end)
  addHistogram(sink.gather, origin, shape, attributes, { startMs: startNs / 1e6, timeMs: timeNs / 1e6, count, sum })
}

export interface HistogramPoint {
  startMs: number
  timeMs: number
  count: number | undefined
  sum: number | undefined
}

export function addHistogram(
  gather: Gather,
  origin: Origin,
  shape: Shape,
  attributes: ReadonlyMap<string, string>,
  { startMs, timeMs, count, sum }: HistogramPoint,
): void {
  if (count === undefined) {
    gather.reject(`${shape.name}: a histogram point has no count`)
    return
  }
  const target = match(`${shape.name}_count`, attributes)
  gather.add(origin, { ...shape, name: `${shape.name}_count`, unit: '1' }, target, startMs, timeMs, count)
  if (sum !== undefined) gather.add(origin, { ...shape, name: `${shape.name}_sum` }, target, startMs, timeMs, sum)
}
