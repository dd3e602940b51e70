/** A value as its column keeps it: round(value x scale), absent where it does not fit. */
import { COLUMNS, type Entity } from './metrics.ts'
import { storedType } from './tables/points.ts'

/** What a column does to its values; position i is column i of the entity. */
export interface StoredColumns {
  scales: Float64Array
  /** Largest stored value; what is beyond is left out. */
  most: Float64Array
  /** 1: Int64, 0: Int32. */
  wide: Uint8Array
}

export const storedColumns = (entity: Entity): StoredColumns => {
  const wide = Uint8Array.from(COLUMNS[entity], m => (storedType(m) === 'Int64' ? 1 : 0))
  return {
    scales: Float64Array.from(COLUMNS[entity], m => m.scale),
    most: Float64Array.from(wide, isWide => (isWide === 1 ? 9.2e18 : 0x7fff_ffff)),
    wide,
  }
}
