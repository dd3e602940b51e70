/**
 * A place where values are measured: a node itself, or one of its cores, disks, interfaces … One object as long as it is
 * heard of, and what is known of it hangs on it: its newest values, the bucket that is being added up, the row of the
 * request that is being decoded. So a value finds all of it with one look-up.
 */
import type { Row } from './gather.ts'
import { COLUMNS, type Entity } from './metrics.ts'
import type { Part } from './rollups.ts'

export interface Place {
  readonly entity: Entity
  readonly cluster: string
  readonly node: string
  /** '' for the node itself. */
  readonly instance: string
  /** Of the newest point that the database has; 0 before the first. */
  timeMs: number
  intervalMs: number
  /** Newest value of each column, NaN where there is none or it is old. */
  readonly values: Float64Array
  /** When each value was measured. */
  readonly timesMs: Float64Array
  /** The bucket of the shorter rollup that points were last added to. */
  bucket: Part | undefined
  /** The row of request number `request`. */
  row: Row | undefined
  request: number
}

/** Of one node: the node itself under 'node', others under their entity and name. */
export type NodePlaces = Map<string, Place>

export class Places {
  size = 0
  readonly #most: number
  readonly clusters = new Map<string, Map<string, NodePlaces>>()

  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most
  }

  /** undefined where it would be one too many. */
  find(cluster: string, node: string, entity: Entity, instance: string): Place | undefined {
    const key = entity === 'node' ? 'node' : `${entity} ${instance}`
    const known = this.clusters.get(cluster)?.get(node)?.get(key)
    if (known !== undefined || this.size >= this.#most) return known
    const nodes = getOrAdd(this.clusters, cluster, () => new Map<string, NodePlaces>())
    const place = makePlace(cluster, node, entity, instance)
    getOrAdd(nodes, node, () => new Map<string, Place>()).set(key, place)
    this.size++
    return place
  }

  /**
   * Forgets disks, interfaces … not heard of since: containers come and go with names of their own. Nodes stay. The answer
   * is how many; whoever kept a place must look it up again then.
   */
  forget(beforeMs: number): number {
    let forgotten = 0
    for (const nodes of this.clusters.values()) {
      for (const places of nodes.values()) {
        for (const [key, place] of places) {
          if (key === 'node' || place.timeMs >= beforeMs) continue
          places.delete(key)
          forgotten++
          this.size--
        }
      }
    }
    return forgotten
  }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

function makePlace(cluster: string, node: string, entity: Entity, instance: string): Place {
  const columns = COLUMNS[entity].length
  return {
    entity,
    cluster,
    node,
    instance,
    timeMs: 0,
    intervalMs: 0,
    values: new Float64Array(columns).fill(Number.NaN),
    timesMs: new Float64Array(columns),
    bucket: undefined,
    row: undefined,
    request: 0,
  }
}
