/**
 * Columns of points that anyone here sends. The catalogue has more than a cluster fills: a block names only those that are
 * (1000 rows of nodes with 41 of the 98 columns cost 27 ms of CPU to insert, with the others in them as NULL 34).
 */
import { COLUMNS, type Entity } from './metrics.ts'
import { perEntity, pointColumns } from './tables/points.ts'

export interface Used {
  /** Names of a row's columns, its key first; another list once there are more. */
  names: readonly string[]
  /** Which columns of the entity these are, in that order. */
  indices: readonly number[]
}

const KEYS = perEntity(entity =>
  pointColumns(entity)
    .slice(0, -COLUMNS[entity].length)
    .map(c => c.name),
)

export class UsedColumns {
  readonly #used = perEntity<Used>(entity => ({ names: KEYS[entity], indices: [] }))
  readonly #unused = perEntity(entity => new Set(COLUMNS[entity].keys()))

  of(entity: Entity): Used {
    return this.#used[entity]
  }

  /** A row of the entity lies at arena[offset …]. */
  see(entity: Entity, arena: readonly number[], offset: number): void {
    const unused = this.#unused[entity]
    const before = unused.size
    for (const column of unused) if (!Number.isNaN(arena[offset + column] ?? Number.NaN)) unused.delete(column)
    if (unused.size === before) return
    const indices = [...COLUMNS[entity].keys()].filter(column => !unused.has(column))
    const used = this.#used[entity]
    used.indices = indices
    used.names = [...KEYS[entity], ...indices.map(column => COLUMNS[entity][column]?.column ?? '')]
  }
}
