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
import type { KnownOrigins, KnownTargets } from './known.ts'
import { type Layouts, Recorder } from './layouts.ts'
import type { NumberPoint, Reader } from './reader.ts'

interface Sink {
  gather: Gather
  targets: KnownTargets
  origins: KnownOrigins
  layouts: Layouts
  /** Of the resource that is being decoded, where its layout is new. */
  recorder?: Recorder | undefined
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
  let resource = 0
  let resourceEnd = 0
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) {
      resource = reader.mark('resource')
      resourceEnd = reader.pos
    } else if (field === 2) scopes.push(reader.mark('scope_metrics'))
  }
  const origin = findOrigin(reader, sink, resource, resourceEnd)
  // Nothing but what lies behind the resource; and processes are decoded, they are rows of another kind.
  const alike = resource > 0 && (scopes[0] ?? 0) > resource && !origin.attributes.has('process.pid')
  const from = alike ? resourceEnd : end
  const layout = sink.layouts.find(reader.dataView, from, end, origin)
  if (layout?.add(reader.dataView, from, origin, sink.gather) !== true) {
    sink.recorder = layout === undefined && from < end ? new Recorder() : undefined
    for (const mark of scopes) {
      reader.back(mark)
      decodeScope(reader, sink, origin)
    }
    if (sink.recorder !== undefined) sink.layouts.keep(reader.buf, from, end, sink.recorder)
  }
  reader.back(end)
  reader.leave(end)
}

/** A collector's resource is the same each tick. One of a process is not kept: there are many, and they go. */
function findOrigin(reader: Reader, sink: Sink, start: number, end: number): Origin {
  if (start === 0) return parseOrigin(new Map(), sink.defaultCluster)
  const known = sink.origins.find(reader.buf, start, end)
  if (known !== undefined) return known
  reader.back(start)
  const attributes = readResource(reader, [])
  const origin = parseOrigin(attributes, sink.defaultCluster)
  if (!attributes.has('process.pid')) sink.origins.keep(reader.buf, start, end, origin)
  return origin
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
  if (kind >= 9) sink.recorder?.fail()
  const gauge = kind === 5
  // A summary tells no temporality and always counts from its start.
  const given = gauge ? 'gauge' : kind === 11 ? 'cumulative' : TEMPORALITY[temporality === 1 ? 1 : 2]
  if (name === '') reject(sink, 'a metric has no name', points)
  else if (kind === 7 && temporality !== 1 && temporality !== 2) {
    reject(sink, `${name}: a sum needs an aggregation temporality`, points)
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
  const point = reader.numberPoint()
  // Bit 0: the series ended here, there is no value.
  if ((point.flags & 1) === 1) {
    sink.recorder?.fail()
    return
  }
  if (!point.hasValue) {
    reject(sink, `${shape.name}: a point has no value`, 1)
    return
  }
  const target = findTarget(reader, sink, shape.name, point)
  sink.recorder?.add(point, shape, target)
  sink.gather.add(origin, shape, target, point.startMs, point.timeMs, point.value)
}

/** For what it is, whatever its numbers are. */
function reject({ gather, recorder }: Sink, reason: string, points: number): void {
  gather.reject(reason, points)
  recorder?.fail()
}

/** Goes over the attributes once more only where these bytes were never seen under this name. */
function findTarget(reader: Reader, sink: Sink, name: string, { first, last, apart }: NumberPoint): Target {
  if (!apart) {
    const known = sink.targets.find(name, reader.buf, first, last)
    if (known !== undefined) return known
  }
  const back = reader.pos
  const attributes = new Map<string, string>()
  reader.pos = first
  for (let field = reader.nextField(last); field !== 0; field = reader.nextField(last)) {
    if (field === 7) readAttribute(reader, attributes, [])
  }
  reader.pos = back
  const target = match(name, attributes)
  if (!apart) sink.targets.keep(name, reader.buf, first, last, target)
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
