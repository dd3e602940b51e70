/**
 * OTLP bodies from plain objects, in both encodings: the objects are OTLP's JSON, toProtobuf() writes the same by the
 * field numbers of opentelemetry-proto. Only what tests need.
 */
import { PbfWriter } from 'pbf'

export type Attrs = Record<string, string | number | boolean | string[]>

export interface Point {
  attributes?: Attrs
  startMs?: number
  timeMs: number
  asDouble?: number
  asInt?: number
  flags?: number
}

export interface Metric {
  name: string
  unit?: string
  gauge?: Point[]
  sum?: { points: Point[]; temporality?: number; monotonic?: boolean }
  histogram?: { points: (Omit<Point, 'asDouble'> & { count?: number; sum?: number })[]; temporality: number }
}

export interface Resource {
  attributes: Attrs
  metrics: Metric[]
}

const nanos = (ms: number): string => `${Math.round(ms * 1000)}000`

export function metricsJson(resources: readonly Resource[]): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      resourceMetrics: resources.map(r => ({
        resource: { attributes: keyValues(r.attributes) },
        scopeMetrics: [{ scope: { name: 'test' }, metrics: r.metrics.map(metricJson) }],
      })),
    }),
  )
}

function metricJson(m: Metric): object {
  const point = (p: Point & { count?: number; sum?: number }): object => ({
    attributes: keyValues(p.attributes ?? {}),
    ...(p.startMs === undefined ? {} : { startTimeUnixNano: nanos(p.startMs) }),
    timeUnixNano: nanos(p.timeMs),
    ...(p.asDouble === undefined ? {} : { asDouble: Number.isNaN(p.asDouble) ? 'NaN' : p.asDouble }),
    ...(p.asInt === undefined ? {} : { asInt: String(p.asInt) }),
    ...(p.flags === undefined ? {} : { flags: p.flags }),
    ...(p.count === undefined ? {} : { count: String(p.count) }),
    ...(p.sum === undefined ? {} : { sum: p.sum }),
  })
  return {
    name: m.name,
    unit: m.unit ?? '',
    ...(m.gauge ? { gauge: { dataPoints: m.gauge.map(point) } } : {}),
    ...(m.sum
      ? {
          sum: {
            dataPoints: m.sum.points.map(point),
            aggregationTemporality: m.sum.temporality,
            isMonotonic: m.sum.monotonic,
          },
        }
      : {}),
    ...(m.histogram
      ? { histogram: { dataPoints: m.histogram.points.map(point), aggregationTemporality: m.histogram.temporality } }
      : {}),
  }
}

export const keyValues = (attrs: Attrs): object[] =>
  Object.entries(attrs).map(([key, v]) => ({
    key,
    value:
      typeof v === 'string'
        ? { stringValue: v }
        : typeof v === 'boolean'
          ? { boolValue: v }
          : Array.isArray(v)
            ? { arrayValue: { values: v.map(stringValue => ({ stringValue })) } }
            : Number.isInteger(v)
              ? { intValue: String(v) }
              : { doubleValue: v },
  }))

export function metricsProtobuf(resources: readonly Resource[]): Uint8Array {
  const w = new PbfWriter()
  for (const r of resources) w.writeMessage(1, writeResourceMetrics, r)
  return w.finish().slice()
}

function writeResourceMetrics(r: Resource, w: PbfWriter): void {
  w.writeMessage(1, (attrs: Attrs, to: PbfWriter) => writeAttributes(attrs, to, 1), r.attributes)
  w.writeMessage(
    2,
    (metrics: Metric[], to: PbfWriter) => {
      for (const m of metrics) to.writeMessage(2, writeMetric, m)
    },
    r.metrics,
  )
}

function writeMetric(m: Metric, w: PbfWriter): void {
  w.writeStringField(1, m.name)
  w.writeStringField(2, 'a description')
  w.writeStringField(3, m.unit ?? '')
  if (m.gauge) w.writeMessage(5, (points: Point[], to: PbfWriter) => writePoints(points, to), m.gauge)
  if (m.sum) {
    w.writeMessage(
      7,
      (sum: NonNullable<Metric['sum']>, to: PbfWriter) => {
        writePoints(sum.points, to)
        if (sum.temporality !== undefined) to.writeVarintField(2, sum.temporality)
        if (sum.monotonic) to.writeBooleanField(3, true)
      },
      m.sum,
    )
  }
  if (m.histogram) {
    w.writeMessage(
      9,
      (h: NonNullable<Metric['histogram']>, to: PbfWriter) => {
        for (const p of h.points) to.writeMessage(1, writeHistogramPoint, p)
        to.writeVarintField(2, h.temporality)
      },
      m.histogram,
    )
  }
}

function writePoints(points: readonly Point[], w: PbfWriter): void {
  for (const p of points) {
    w.writeMessage(
      1,
      (point: Point, to: PbfWriter) => {
        if (point.startMs !== undefined) writeNanos(2, point.startMs, to)
        writeNanos(3, point.timeMs, to)
        if (point.asDouble !== undefined) to.writeDoubleField(4, point.asDouble)
        if (point.asInt !== undefined) to.writeSFixed64Field(6, point.asInt)
        writeAttributes(point.attributes ?? {}, to, 7)
        if (point.flags !== undefined) to.writeVarintField(8, point.flags)
      },
      p,
    )
  }
}

function writeHistogramPoint(p: NonNullable<Metric['histogram']>['points'][number], w: PbfWriter): void {
  if (p.startMs !== undefined) writeNanos(2, p.startMs, w)
  writeNanos(3, p.timeMs, w)
  if (p.count !== undefined) w.writeFixed64Field(4, p.count)
  if (p.sum !== undefined) w.writeDoubleField(5, p.sum)
  writeAttributes(p.attributes ?? {}, w, 9)
}

/** Exact, unlike a number of nanoseconds. */
export function writeNanos(field: number, ms: number, w: PbfWriter): void {
  const ns = BigInt(nanos(ms))
  w.writeTag(field, 1)
  w.writeFixed32(Number(ns & 0xffff_ffffn))
  w.writeFixed32(Number(ns >> 32n))
}

export function writeAttributes(attrs: Attrs, w: PbfWriter, field: number): void {
  for (const [key, value] of Object.entries(attrs)) {
    w.writeMessage(
      field,
      (_: unknown, to: PbfWriter) => {
        to.writeStringField(1, key)
        to.writeMessage(2, writeAnyValue, value)
      },
      undefined,
    )
  }
}

function writeAnyValue(value: Attrs[string], w: PbfWriter): void {
  if (typeof value === 'string') w.writeStringField(1, value)
  else if (typeof value === 'boolean') w.writeBooleanField(2, value)
  else if (Array.isArray(value)) {
    w.writeMessage(
      5,
      (list: string[], to: PbfWriter) => {
        for (const text of list) to.writeMessage(1, writeAnyValue, text)
      },
      value,
    )
  } else if (Number.isInteger(value)) w.writeVarintField(3, value)
  else w.writeDoubleField(4, value)
}
