/** OTLP metrics as JSON; the same as metrics.ts does with protobuf. A point that is not what it should be is refused alone. */
import { BodyError } from '../errors.ts'
import type { Gather, Shape } from '../gather.ts'
import { match } from '../match.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import { attributesOf, type Json, parseJson } from './json.ts'
import { addHistogram } from './metrics.ts'

/** Throws BodyError where the body is not OTLP. */
export function decodeMetricsJson(bytes: Uint8Array, gather: Gather, defaultCluster: string): void {
  for (const resourceMetrics of parseJson(bytes).list('resourceMetrics')) {
    const resource = resourceMetrics.get('resource')
    const origin = parseOrigin(resource === undefined ? new Map() : attributesOf(resource), defaultCluster)
    for (const scope of resourceMetrics.list('scopeMetrics')) {
      for (const metric of scope.list('metrics')) decodeMetric(metric, gather, origin)
    }
  }
}

const KINDS = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'] as const

function decodeMetric(metric: Json, gather: Gather, origin: Origin): void {
  const name = metric.text('name')
  const unit = metric.text('unit')
  for (const kind of KINDS) {
    const data = metric.get(kind)
    if (data === undefined) continue
    const points = data.list('dataPoints')
    const temporality = temporalityOf(kind, data)
    if (name === '') gather.reject(`${metric.path} has no name`, points.length)
    else if (temporality === undefined) {
      gather.reject(`${name}: a sum needs an aggregation temporality (${data.path})`, points.length)
    } else {
      const monotonic = kind === 'sum' ? data.flag('isMonotonic') : kind !== 'gauge'
      for (const point of points) decodePoint(point, gather, origin, { name, unit, temporality, monotonic }, kind)
    }
  }
}

function temporalityOf(kind: (typeof KINDS)[number], data: Json): Shape['temporality'] | undefined {
  if (kind === 'gauge') return 'gauge'
  if (kind === 'summary') return 'cumulative'
  const given = data.get('aggregationTemporality')?.value
  if (given === 1 || given === 'AGGREGATION_TEMPORALITY_DELTA') return 'delta'
  if (given === 2 || given === 'AGGREGATION_TEMPORALITY_CUMULATIVE') return 'cumulative'
  return kind === 'sum' ? undefined : 'cumulative'
}

function decodePoint(point: Json, gather: Gather, origin: Origin, shape: Shape, kind: (typeof KINDS)[number]): void {
  try {
    if (((point.number('flags') ?? 0) & 1) === 1) return
    const attributes = attributesOf(point)
    const startMs = point.nanosAsMs('startTimeUnixNano')
    const timeMs = point.nanosAsMs('timeUnixNano')
    if (kind !== 'gauge' && kind !== 'sum') {
      const count = point.number('count')
      addHistogram(gather, origin, shape, attributes, { startMs, timeMs, count, sum: point.number('sum') })
      return
    }
    const value = point.number('asDouble') ?? point.number('asInt')
    if (value === undefined) gather.reject(`${shape.name}: a point has no value`)
    else gather.add(origin, shape, match(shape.name, attributes), startMs, timeMs, value)
  } catch (error) {
    if (!(error instanceof BodyError)) throw error
    gather.reject(`${shape.name}: ${error.message}`)
  }
}
