/**
 * A value as its column keeps it: round(value x scale), absent where it does not fit, and no finer than it was measured. A rate
 * is what was counted in a tick whose length is known to a millisecond or two of ten thousand; digits beyond are noise, and
 * noise is what a column is made of once the rest is compressed (received bytes a second: 2.4 bytes a value with all of them).
 */
import { COLUMNS, type Entity, type Metric } from './metrics.ts'
import { storedType } from './tables/points.ts'

/** What a column does to its values; position i is column i of the entity. */
export interface StoredColumns {
  scales: Float64Array
  /** Largest stored value; what is beyond is left out. */
  most: Float64Array
  /** 1: Int64, 0: Int32. */
  wide: Uint8Array
  /** Binary digits that are kept of a value; 0: all. */
  digits: Uint8Array
}

/** Off by at most 0.012 % (12 digits), 0.0008 % (16); integers below 4,096 and 65,536 are exact. */
const DIGITS: Readonly<Partial<Record<Metric['unit'], number>>> = { 'bytes/s': 12, '1/s': 12, bytes: 16 }

/** What there is in all is the same each tick: exact, it costs nothing. */
const isCapacity = (metric: Metric): boolean => metric.unit === 'bytes' && metric.column.endsWith('_total')

export const storedColumns = (entity: Entity): StoredColumns => {
  const wide = Uint8Array.from(COLUMNS[entity], m => (storedType(m) === 'Int64' ? 1 : 0))
  return {
    scales: Float64Array.from(COLUMNS[entity], m => m.scale),
    most: Float64Array.from(wide, isWide => (isWide === 1 ? 9.2e18 : 0x7fff_ffff)),
    wide,
    digits: Uint8Array.from(COLUMNS[entity], m => (isCapacity(m) ? 0 : (DIGITS[m.unit] ?? 0))),
  }
}

/** What column i keeps of a value; NaN where that is nothing. */
export function storedValue({ scales, most, digits }: StoredColumns, i: number, value: number): number {
  const stored = Math.round(value * (scales[i] ?? 1))
  // Also false for NaN.
  if (!(Math.abs(stored) <= (most[i] ?? 0))) return Number.NaN
  const kept = digits[i] ?? 0
  return kept === 0 || Math.abs(stored) < 1 << kept ? stored : rounded(stored, kept)
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)
const HIGH = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0

/** The upper word of a double is its sign, 11 bits of exponent, and 20 of the digits after the first, which is not written. */
function rounded(value: number, digits: number): number {
  double[0] = value
  const dropped = 1 << (21 - digits)
  words[HIGH] = ((words[HIGH] ?? 0) + dropped / 2) & -dropped
  words[1 - HIGH] = 0
  return double[0]
}
