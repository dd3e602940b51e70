/**
 * What a metric of another system is in the catalogue's words: an OTLP name and attributes, so that match() finds its column
 * as it finds that of an OTLP sender. Only names are in here whose meaning and unit their program documents; all others
 * keep their own name in the series table.
 */
import type { Gather, Shape } from '../gather.ts'
import { type Attributes, match, type Target } from '../match.ts'
import type { Origin } from '../origin.ts'
import type { Joins } from './joins.ts'

export interface Meaning {
  name: string
  attributes?: Readonly<Record<string, string>>
  /** Only grows. */
  counter?: boolean
  /** What arrives times this is the catalogue's unit. */
  scale?: number
  /** The metric is the sum of so many that arrive apart, this one with a minus: used = total - available. */
  part?: { of: number; name: string; minus?: boolean }
}

export const gauge = (name: string, attributes?: Record<string, string>, more: Partial<Meaning> = {}): Meaning => ({
  name,
  ...(attributes === undefined ? {} : { attributes }),
  ...more,
})
export const counter = (name: string, attributes?: Record<string, string>, more: Partial<Meaning> = {}): Meaning =>
  gauge(name, attributes, { counter: true, ...more })

/** A meaning made ready: looked up once, good for every value that comes under the same name and labels. */
export interface Known {
  shape: Shape
  target: Target
  scale: number
  part: Meaning['part']
}

export function knownAs({ name, attributes, counter: counts = false, scale = 1, part }: Meaning): Known {
  const shape: Shape = { name, unit: '', temporality: counts ? 'cumulative' : 'gauge', monotonic: counts }
  return { shape, target: match(name, new Map(Object.entries(attributes ?? {}))), scale, part }
}

/** A series under its own name, its values as they came: a counter stays a counter, for those who ask for its rate. */
export function knownAsSeries(name: string, unit: string, monotonic: boolean, attributes: Attributes): Known {
  const shape: Shape = { name, unit, temporality: 'gauge', monotonic, asGiven: true }
  return { shape, target: seriesTarget(attributes), scale: 1, part: undefined }
}

/** Sorted, since senders do not always keep an order. */
function seriesTarget(attributes: Attributes): Target {
  const sorted = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1))
  return { kind: 'series', attributes: new Map(sorted), key: JSON.stringify(sorted) }
}

export function addKnown(
  gather: Gather,
  joins: Joins,
  origin: Origin,
  known: Known,
  timeMs: number,
  given: number,
): void {
  const { shape, target, part } = known
  const value = given * known.scale
  if (part === undefined) {
    gather.add(origin, shape, target, 0, timeMs, value)
    return
  }
  const whole = joins.add(
    `${origin.key}\0${shape.name}\0${target.kind === 'none' ? '' : target.key}`,
    part,
    timeMs,
    value,
  )
  if (whole !== undefined) gather.add(origin, shape, target, 0, timeMs, whole)
}
