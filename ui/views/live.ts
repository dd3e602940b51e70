import type { LivePoints } from '../../query/api.ts'
import { openStore, type Store, useStore } from '../state.ts'

/** The newest points that the line to the server brought. */
export const newest: Store<LivePoints | undefined> = openStore<LivePoints | undefined>(undefined)

/** Newest value of a metric on a node, where the line has brought one. */
export function useNewest(cluster: string, node: string, metric: 'cpu_busy' | 'memory_used'): number | null {
  const points = useStore(newest)
  if (points === undefined || points.cluster !== cluster) return null
  return points.values[metric === 'cpu_busy' ? 0 : 1]?.[points.nodes.indexOf(node)] ?? null
}
