/** A value as its column keeps it: round(value x scale), NaN where it is absent or does not fit. */
import { COLUMNS, type Entity } from './metrics.ts'
import { perEntity, storedType } from './tables/points.ts'

const SCALES = perEntity(entity => Float64Array.from(COLUMNS[entity], m => m.scale))
const MOST = perEntity(entity =>
  Float64Array.from(COLUMNS[entity], m => (storedType(m) === 'Int64' ? 9.2e18 : 0x7fff_ffff)),
)

export function storedValue(entity: Entity, column: number, value: number): number {
  const stored = Math.round(value * (SCALES[entity][column] ?? 1))
  return Math.abs(stored) <= (MOST[entity][column] ?? 0) ? stored : Number.NaN
}
