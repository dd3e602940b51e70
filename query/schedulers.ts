/** Who asks the scheduler, and whether it answers: so that an outage is told as one, and not as a cluster without jobs. */
import type { Jobs } from './api.ts'
import type { Desk } from './desk.ts'

/** The source of a node's record in which its collector tells of its poller. */
const SOURCE = 'scheduler'
const UNREADABLE = 'unreadable: '
/** A collector that says nothing for so long is not heard of an outage either. */
const SILENT_MS = 300_000

/** Nobody's in particular: that the scheduler is down may be known by all whose jobs are in it. */
export async function readSchedulers({ asker, known, latest }: Desk, cluster: string): Promise<Jobs['schedulers']> {
  const records = await known.records(asker.unlimited(), cluster)
  return [...records].flatMap(([node, { sources }]) => {
    const told = sources?.[SOURCE]
    if (told !== 'ok' && !told?.startsWith(UNREADABLE)) return []
    if (told !== 'ok') return [{ node, unreadable: told.slice(UNREADABLE.length) }]
    const heardMs = latest.node(cluster, node)?.timeMs ?? 0
    const silent = heardMs < asker.nowMs - SILENT_MS
    return [{ node, unreadable: silent ? `the collector on ${node}, which asks it, is silent` : null }]
  })
}
