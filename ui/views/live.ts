import type { Burst, LiveAlerts, LivePoints } from '../../query/api.ts'
import { openStore, type Store, useStore } from '../state.ts'

/** What the line to the server asks for, and the position of each in its points. */
export const LIVE_METRICS = ['cpu_busy', 'memory_used'] as const
export type LiveMetric = (typeof LIVE_METRICS)[number]

export interface Newest {
  readonly cluster: string
  readonly time: number
  /** node -> values in the order of LIVE_METRICS. A write touches some nodes; the others keep what they had. */
  readonly values: ReadonlyMap<string, readonly (number | null)[]>
}

export const newest: Store<Newest> = openStore<Newest>({ cluster: '', time: 0, values: new Map() })

export function hearPoints(points: LivePoints): void {
  const before = newest.get()
  const values = new Map(before.cluster === points.cluster ? before.values : [])
  points.nodes.forEach((node, n) => {
    values.set(
      node,
      LIVE_METRICS.map((_, m) => points.values[m]?.[n] ?? null),
    )
  })
  newest.set({ cluster: points.cluster, time: Math.max(points.time, before.time), values })
}

/** Newest value of a metric on a node, where the line has brought one. */
export function useNewest(cluster: string, node: string, metric: LiveMetric): number | null {
  const held = useStore(newest)
  if (held.cluster !== cluster) return null
  return held.values.get(node)?.[LIVE_METRICS.indexOf(metric)] ?? null
}

/** The burst that changed last, as the line told it. */
export const newestBurst: Store<Burst | undefined> = openStore<Burst | undefined>(undefined)

/** How many alerts fire, as the line told it last; `tick` is another one each time. undefined: the line is down. */
export const newestAlerts: Store<HeardAlerts | undefined> = openStore<HeardAlerts | undefined>(undefined)

interface HeardAlerts {
  readonly cluster: string
  readonly firing: number
  readonly critical: number
  readonly tick: number
}

export function hearAlerts(alerts: LiveAlerts['alerts']): void {
  newestAlerts.set({ ...alerts, tick: (newestAlerts.get()?.tick ?? 0) + 1 })
}

/** What the line told of this cluster's alerts. */
export function useHeardAlerts(cluster: string): HeardAlerts | undefined {
  const heard = useStore(newestAlerts)
  return heard?.cluster === cluster ? heard : undefined
}
