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
  readonly #unused = perEntity(entity => [...COLUMNS[entity].keys()])

  of(entity: Entity): Used {
    return this.#used[entity]
  }

  /** A row of the entity lies at values[offset …]. */
  see(entity: Entity, values: ArrayLike<number>, offset: number): void {
    const unused = this.#unused[entity]
    const isThere = (column: number): boolean => !Number.isNaN(values[offset + column] ?? Number.NaN)
    if (!unused.some(isThere)) return
    const fresh = unused.filter(isThere)
    for (const column of fresh) unused.splice(unused.indexOf(column), 1)
    const indices = [...this.#used[entity].indices, ...fresh].sort((a, b) => a - b)
    const used = this.#used[entity]
    used.indices = indices
    used.names = [...KEYS[entity], ...indices.map(column => COLUMNS[entity][column]?.column ?? '')]
  }
}
