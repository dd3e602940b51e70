/** What the values of a request are put together to. */
import type { Origin } from './origin.ts'
import type { Place } from './place.ts'
import type { Process } from './records.ts'
import type { Sender } from './senders.ts'

export interface Row {
  place: Place
  origin: Origin
  timeMs: number
  intervalMs: number
  /** Values of the row are arena[offset .. offset + columns of the entity). */
  offset: number
}

/** Under which name a column that arrives under several was filled in the row at this place of a list. */
export interface FilledName {
  row: number
  column: number
  name: string
}

export interface SeriesValue {
  origin: Origin
  name: string
  unit: string
  /** 'counter': the sender's own growing number, as it came. */
  kind: 'gauge' | 'rate' | 'counter'
  /** Of the point, as its target gave it. */
  attributes: ReadonlyMap<string, string>
  key: string
  timeMs: number
  value: number
}

/** How a metric's numbers are meant. */
export interface Shape {
  name: string
  unit: string
  temporality: 'gauge' | 'delta' | 'cumulative'
  /** Only grows: its value is a count, its meaning the rate. */
  monotonic: boolean
  /** As a series of its own, its numbers are kept as they came. */
  asGiven?: boolean
}

export interface Gathered {
  rows: readonly Row[]
  arena: Float64Array
  processes: readonly Process[]
  series: readonly SeriesValue[]
  /** Points refused, and the first reasons. */
  rejected: number
  reasons: readonly string[]
  /** Process metrics that no column is there for, texts, and what else is no number. */
  ignored: number
}

export interface Limits {
  /** Times before and after these are refused. */
  fromMs: number
  toMs: number
  /** Of everything; undefined: anyone, for any cluster. */
  sender: Sender | undefined
}
