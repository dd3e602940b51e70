/** Who asks the scheduler, and whether it answers: so that an outage is told as one, and not as a cluster without jobs. */
import type { Jobs } from './api.ts'
import type { Desk } from './desk.ts'

/** The source of a node's record in which its collector tells of its poller. */
const SOURCE = 'scheduler'
const ANSWERS = /^ok(: .+)?$/
const UNREADABLE = 'unreadable: '
const WAITS = 'waits: '
/** A collector that says nothing for so long is not heard of an outage either. */
const SILENT_MS = 300_000

/** Nobody's in particular: that the scheduler is down may be known by all whose jobs are in it. */
export async function readSchedulers({ asker, known, latest }: Desk, cluster: string): Promise<Jobs['schedulers']> {
  const records = await known.records(asker.unlimited(), cluster)
  const isSilent = (node: string) => (latest.node(cluster, node)?.timeMs ?? 0) < asker.nowMs - SILENT_MS
  const told = [...records].map(([node, { sources }]) => ({ node, word: sources?.[SOURCE] ?? '' }))
  const answering = new Set(
    told.filter(({ node, word }) => ANSWERS.test(word) && !isSilent(node)).map(({ word }) => word),
  )
  return told.flatMap(({ node, word }): Jobs['schedulers'] => {
    if (word.startsWith(UNREADABLE)) return [{ node, unreadable: word.slice(UNREADABLE.length), waits: null }]
    if (word.startsWith(WAITS))
      return isSilent(node) ? [] : [{ node, unreadable: null, waits: word.slice(WAITS.length) }]
    if (!ANSWERS.test(word)) return []
    if (!isSilent(node)) return [{ node, unreadable: null, waits: null }]
    // Another collector has taken over.
    if (answering.has(word)) return []
    return [{ node, unreadable: `the collector on ${node}, which asks it, is silent`, waits: null }]
  })
}
