/**
 * The newest values of every entity instance, in memory: what a node grid shows needs no question to the database.
 * Filled as rows are stored, and from the store's last hours at start.
 */
import type { Row } from './gather.ts'
import type { Entity } from './metrics.ts'
import { type Place, Places } from './place.ts'
import type { Point } from './records.ts'
import { UsedColumns } from './used.ts'

/** A point and what it is of. */
export interface EntityPoint extends Point {
  entity: Entity
}

export interface Latest {
  clusters(): string[]
  /** Names of the nodes of a cluster, sorted. */
  nodes(cluster: string): readonly string[]
  /** When one of its nodes was last heard of; 0: never. */
  newestMs(cluster: string): number
  /** The node's own newest values; undefined for a node never heard of. */
  node(cluster: string, node: string): EntityPoint | undefined
  /** Newest values of each core, disk or interface of a node. */
  instances(cluster: string, node: string, entity: Entity): EntityPoint[]
}

/** A value is old after so many ticks of its node, and not before a minute: stock senders tell each metric in its own time. */
const OLD_TICKS = 3
const OLD_MS = 60_000

export class LatestValues implements Latest {
  readonly #places: Places
  readonly #used: UsedColumns
  /** Nodes of each cluster by name, until one is heard of first: every question asks for them. */
  readonly #nodes = new Map<string, readonly string[]>()
  readonly #newestMs = new Map<string, number>()

  constructor(places: Places = new Places(), used = new UsedColumns()) {
    this.#places = places
    this.#used = used
  }

  clusters(): string[] {
    return [...this.#places.clusters.keys()].filter(cluster => this.nodes(cluster).length > 0).sort()
  }

  nodes(cluster: string): readonly string[] {
    const known = this.#nodes.get(cluster)
    if (known !== undefined) return known
    const nodes = this.#places.clusters.get(cluster) ?? []
    const names = [...nodes].flatMap(([name, places]) => (heard(places.get('node')) ? [name] : [])).sort()
    this.#nodes.set(cluster, names)
    return names
  }

  newestMs(cluster: string): number {
    return this.#newestMs.get(cluster) ?? 0
  }

  node(cluster: string, node: string): EntityPoint | undefined {
    const place = this.#places.clusters.get(cluster)?.get(node)?.get('node')
    return heard(place) ? place : undefined
  }

  instances(cluster: string, node: string, entity: Entity): EntityPoint[] {
    const all = this.#places.clusters.get(cluster)?.get(node)?.values() ?? []
    return [...all]
      .filter(place => place.entity === entity && heard(place))
      .sort((a, b) => a.instance.localeCompare(b.instance, undefined, { numeric: true }))
  }

  /** A row whose columns were seen to be used. */
  update(row: Row, arena: Float64Array): void {
    this.#hear(row.place, row.timeMs)
    merge(row.place, row.timeMs, row.intervalMs, arena, row.offset, this.#used.of(row.place.entity).indices)
  }

  /** A row read back from the store; false where one as new is known. */
  restore(point: EntityPoint): boolean {
    const place = this.#places.find(point.cluster, point.node, point.entity, point.instance)
    if (place === undefined || place.timeMs >= point.timeMs) return false
    this.#hear(place, point.timeMs)
    this.#used.see(point.entity, point.values, 0)
    merge(place, point.timeMs, point.intervalMs, point.values, 0, this.#used.of(point.entity).indices)
    return true
  }

  #hear(place: Place, timeMs: number): void {
    if (place.entity !== 'node') return
    if (!heard(place)) this.#nodes.clear()
    if (timeMs > this.newestMs(place.cluster)) this.#newestMs.set(place.cluster, timeMs)
  }
}

/** A place is there as soon as a request names it, its values only once they are stored. */
const heard = (place: Place | undefined): place is Place => place !== undefined && place.timeMs > 0

function merge(
  place: Place,
  timeMs: number,
  intervalMs: number,
  values: ArrayLike<number>,
  offset: number,
  columns: readonly number[],
): void {
  const newest = Math.max(place.timeMs, timeMs)
  if (timeMs >= place.timeMs && intervalMs > 0) place.intervalMs = intervalMs
  place.timeMs = newest
  const oldest = newest - Math.max(OLD_MS, OLD_TICKS * place.intervalMs)
  const { values: known, timesMs } = place
  for (const i of columns) {
    const value = values[offset + i] ?? Number.NaN
    const knownMs = timesMs[i] ?? 0
    if (!Number.isNaN(value) && timeMs >= knownMs) {
      known[i] = value
      timesMs[i] = timeMs
    } else if (knownMs < oldest) known[i] = Number.NaN
  }
}
