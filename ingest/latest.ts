/**
 * The newest values of every entity instance, in memory: what a node grid shows needs no question to the database.
 * Filled as rows are stored, and from the store's last hours at start.
 */
import type { Row } from './gather.ts'
import { COLUMNS, type Entity } from './metrics.ts'
import type { Point } from './records.ts'

/** A point and what it is of. */
export interface EntityPoint extends Point {
  entity: Entity
}

export interface Latest {
  clusters(): string[]
  /** Names of the nodes of a cluster, sorted. */
  nodes(cluster: string): string[]
  /** The node's own newest values; undefined for a node never heard of. */
  node(cluster: string, node: string): EntityPoint | undefined
  /** Newest values of each core, disk or interface of a node. */
  instances(cluster: string, node: string, entity: Entity): EntityPoint[]
}

interface Instance extends EntityPoint {
  /** When each value was measured. */
  timesMs: Float64Array
}

/** A value is old after so many ticks of its node, and not before a minute: stock senders tell each metric in its own time. */
const OLD_TICKS = 3
const OLD_MS = 60_000

export class LatestValues implements Latest {
  readonly #clusters = new Map<string, Map<string, Map<string, Instance>>>()

  clusters(): string[] {
    return [...this.#clusters.keys()].sort()
  }

  nodes(cluster: string): string[] {
    return [...(this.#clusters.get(cluster)?.keys() ?? [])].sort()
  }

  node(cluster: string, node: string): EntityPoint | undefined {
    return this.#clusters.get(cluster)?.get(node)?.get('node')
  }

  instances(cluster: string, node: string, entity: Entity): EntityPoint[] {
    const all = this.#clusters.get(cluster)?.get(node)?.values() ?? []
    return [...all]
      .filter(i => i.entity === entity)
      .sort((a, b) => a.instance.localeCompare(b.instance, undefined, { numeric: true }))
  }

  update(row: Row, arena: Float64Array): void {
    const { cluster, node } = row.origin
    const at = this.#instance(cluster, node, row.entity, row.instance)
    this.#merge(at, row.timeMs, row.intervalMs, arena, row.offset)
  }

  /** A row read back from the store. */
  restore(point: EntityPoint): void {
    const at = this.#instance(point.cluster, point.node, point.entity, point.instance)
    this.#merge(at, point.timeMs, point.intervalMs, point.values, 0)
  }

  #merge(at: Instance, timeMs: number, intervalMs: number, values: Float64Array, offset: number): void {
    const newest = Math.max(at.timeMs, timeMs)
    if (timeMs >= at.timeMs && intervalMs > 0) at.intervalMs = intervalMs
    at.timeMs = newest
    const oldest = newest - Math.max(OLD_MS, OLD_TICKS * at.intervalMs)
    for (let i = 0; i < at.values.length; i++) {
      const value = values[offset + i] ?? Number.NaN
      const known = at.timesMs[i] ?? 0
      if (!Number.isNaN(value) && timeMs >= known) {
        at.values[i] = value
        at.timesMs[i] = timeMs
      } else if (known < oldest) at.values[i] = Number.NaN
    }
  }

  #instance(cluster: string, node: string, entity: Entity, instance: string): Instance {
    const nodes = getOrAdd(this.#clusters, cluster, () => new Map<string, Map<string, Instance>>())
    const instances = getOrAdd(nodes, node, () => new Map<string, Instance>())
    const key = entity === 'node' ? 'node' : `${entity} ${instance}`
    return getOrAdd(instances, key, () => {
      const columns = COLUMNS[entity].length
      const values = new Float64Array(columns).fill(Number.NaN)
      return { entity, cluster, node, instance, timeMs: 0, intervalMs: 0, values, timesMs: new Float64Array(columns) }
    })
  }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
