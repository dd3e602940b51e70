/**
 * Readings of one tick -> OTLP bytes: those of the sources, the collector's own, and the processes, a resource each.
 *
 *   readings ─┐
 *   self.ts ──┴─ by metric ── bytes of each series, kept ── times and values patched in ─┐
 *   processes ── processmetrics.ts ─────────────────────────────────────────────────────┴─ one request
 *
 * Written by hand and not by OpenTelemetry's SDK, which this collector had before: it keeps 17 MiB of every node and took a
 * quarter of the CPU of a tick. What an SDK sends for the same readings is compared in the tests.
 *
 * Names, attributes and units are those of the catalogue. A rate travels as what it is a rate of: a delta sum, rate x the
 * seconds of its interval, so that any OTLP backend understands it. A utilisation is a gauge, as OpenTelemetry has it.
 */
import { COLUMNS, ENTITIES, type Entity, type Metric } from '../ingest/metrics.ts'
import {
  type Attributes,
  attributesPiece,
  Body,
  deltaPiece,
  field,
  type Piece,
  pointPiece,
  text,
  varintBytes,
} from './otlpbody.ts'
import type { ProcessReading } from './processes.ts'
import { openProcessEncoder } from './processmetrics.ts'
import { openSelf, type Self } from './self.ts'
import type { Reading } from './source.ts'

export interface MeterOptions {
  node: string
  /** Absent: the receiver's default. */
  cluster: string | undefined
  intervalMs: number
}

/** From `startMs` to `timeMs`, both on the grid of ticks but for the first one's start. */
export interface Span {
  startMs: number
  timeMs: number
}

export interface Meter {
  /** One ExportMetricsServiceRequest. */
  encode(span: Span, readings: readonly Reading[], processes: readonly ProcessReading[]): Uint8Array
}

export function openMeter(options: MeterOptions, self: Self): Meter {
  const common = {
    'host.name': options.node,
    ...(options.cluster === undefined ? {} : { 'jobsight.cluster': options.cluster }),
    'jobsight.interval_ms': options.intervalMs,
  }
  const processEncoder = openProcessEncoder(common)
  const readSelf = openSelf(self)
  const selfWires = new Map<string, Wire>()
  const resource = field(1, [attributesPiece(1, common)]).bytes
  const body = new Body()
  return {
    encode(span, readings, processes) {
      const seconds = (span.timeMs - span.startMs) / 1000
      const metrics = gather(readings, seconds)
      for (const { name, unit, isSum, attributes, value } of readSelf()) {
        const wire = selfWires.get(name) ?? wireOf(name, unit, isSum)
        selfWires.set(name, wire)
        add(metrics, wire, Object.values(attributes).join(), () => attributes, value)
      }
      body.setTimes(span.startMs, span.timeMs)
      writeNode(body, resource, [...metrics.values()])
      // two requests one behind the other are one request: repeated fields of protobuf messages add up
      processEncoder.write(body, processes, seconds)
      return body.take()
    },
  }
}

/** How a metric goes on the wire. */
interface Wire {
  name: string
  isSum: boolean
  /** Its name and unit, as fields of the message Metric. */
  head: Uint8Array
  /** By instance: the bytes of a series, and the place of its value in them. */
  series: Map<string, Piece>
}

const wireOf = (name: string, unit: string, isSum: boolean): Wire => ({
  name,
  isSum,
  head: Buffer.concat([text(1, name).bytes, text(3, unit).bytes]),
  series: new Map(),
})

/** A column of the catalogue; several can be of one metric. */
interface Column {
  wire: Wire
  /** What the reading is multiplied by, beside the seconds of a sum. */
  factor: number
  fixed: Attributes
  /** Tells its series from those of the other columns of the metric. */
  key: string
  instanceAttribute: string | undefined
}

/** The unit of a delta sum is that of what was counted: bytes of bytes/s, and seconds of a share of time. */
const UCUM: Record<Metric['unit'], { gauge: string; sum: string }> = {
  ratio: { gauge: '1', sum: 's' },
  bytes: { gauge: 'By', sum: 'By' },
  'bytes/s': { gauge: 'By/s', sum: 'By' },
  '1/s': { gauge: '1/s', sum: '1' },
  '1': { gauge: '1', sum: 's' },
  W: { gauge: 'W', sum: 'J' },
  Cel: { gauge: 'Cel', sum: 'Cel' },
  Hz: { gauge: 'Hz', sum: 'Hz' },
  J: { gauge: 'J', sum: 'J' },
}

const ENTITY_NAMES = Object.keys(ENTITIES).filter((name): name is Entity => name in ENTITIES)
const WIRES = new Map<string, Wire>()
const COLUMN_WIRES = new Map(ENTITY_NAMES.map(entity => [entity, columnsOf(entity)]))

function columnsOf(entity: Entity): Map<string, Column> {
  const columns = new Map<string, Column>()
  for (const metric of COLUMNS[entity]) {
    const [arrival] = metric.arrives
    if (!arrival) continue
    const isSum = metric.kind === 'rate' && !arrival.name.endsWith('.utilization')
    const wire = WIRES.get(arrival.name) ?? wireOf(arrival.name, UCUM[metric.unit][isSum ? 'sum' : 'gauge'], isSum)
    WIRES.set(arrival.name, wire)
    const instanceAttribute = ENTITIES[entity].instance[0]
    const fixed = arrival.attributes ?? {}
    columns.set(metric.column, {
      wire,
      factor: arrival.divideBy ?? 1,
      fixed,
      key: `${entity}.${metric.column} `,
      instanceAttribute,
    })
  }
  return columns
}

/** Series of one metric in this tick. */
interface Gathered {
  wire: Wire
  points: Piece[]
  values: number[]
  /** Of all points. */
  bytes: number
}

const MAX_KEPT = 10_000

function add(
  metrics: Map<Wire, Gathered>,
  wire: Wire,
  key: string,
  attributesOf: () => Attributes,
  value: number,
): void {
  let gathered = metrics.get(wire)
  if (!gathered) {
    gathered = { wire, points: [], values: [], bytes: 0 }
    metrics.set(wire, gathered)
  }
  let point = wire.series.get(key)
  if (!point) {
    // devices of containers come and go under new names for months
    if (wire.series.size >= MAX_KEPT) wire.series.clear()
    point = pointPiece(attributesOf())
    wire.series.set(key, point)
  }
  gathered.points.push(point)
  gathered.values.push(value)
  gathered.bytes += point.bytes.length
}

/** A reading of a column that is not in the catalogue, or not a number, goes nowhere: it would be a mistake of its source. */
function gather(readings: readonly Reading[], seconds: number): Map<Wire, Gathered> {
  const metrics = new Map<Wire, Gathered>()
  for (const { entity, column, instance, value } of readings) {
    const found = COLUMN_WIRES.get(entity)?.get(column)
    if (!found || !Number.isFinite(value)) continue
    const { wire, factor, fixed, key, instanceAttribute } = found
    const attributes = () => (instanceAttribute ? { ...fixed, [instanceAttribute]: instance } : fixed)
    add(metrics, wire, key + instance, attributes, value * factor * (wire.isSum ? seconds : 1))
  }
  return metrics
}

const SCOPE = field(1, [text(1, 'jobsight')]).bytes
const DELTA = deltaPiece().bytes

const fieldBytes = (length: number) => 1 + varintBytes(length) + length
const holderBytes = ({ wire, bytes }: Gathered) => bytes + (wire.isSum ? DELTA.length : 0)
const metricBytes = (metric: Gathered) => metric.wire.head.length + fieldBytes(holderBytes(metric))

/** ResourceMetrics 1 { resource 1, scope_metrics 2 { scope 1, metrics 2 } } */
function writeNode(body: Body, resource: Uint8Array, metrics: readonly Gathered[]): void {
  const scoped = SCOPE.length + metrics.reduce((sum, metric) => sum + fieldBytes(metricBytes(metric)), 0)
  body.appendHead(1, resource.length + fieldBytes(scoped))
  body.append(resource)
  body.appendHead(2, scoped)
  body.append(SCOPE)
  for (const metric of metrics) writeMetric(body, metric)
}

/** Metric { name 1, unit 3, gauge 5 { points 1 } | sum 7 { points 1, temporality 2, monotonic 3 } } */
function writeMetric(body: Body, metric: Gathered): void {
  const { wire, points, values } = metric
  body.appendHead(2, metricBytes(metric))
  body.append(wire.head)
  body.appendHead(wire.isSum ? 7 : 5, holderBytes(metric))
  for (let i = 0; i < points.length; i++) {
    const point = points[i]
    if (point) body.patch(body.append(point.bytes) + (point.places[0] ?? 0), values[i] ?? 0)
  }
  if (wire.isSum) body.append(DELTA)
}
