/** What ingest does every ten seconds, whatever arrives: rollups and totals that are due, how full the store is, what others wrote. */
import type { Logger } from 'pino'
import type { Budget } from './budget.ts'
import type { LatestValues } from './latest.ts'
import type { MetricsDoor } from './metricsdoor.ts'
import { restoreLatest } from './restore.ts'
import type { Rollups } from './rollups.ts'
import type { Store } from './store.ts'

export interface KeepingDeps {
  store: Store
  log: Logger
  now: () => number
  budget: Budget
  metrics: MetricsDoor
  rollups: Rollups
  latest: LatestValues
}

const KEEP_EVERY_MS = 10_000
/** How late a row of another server may be stored and still be seen as new. */
const FOLLOW_BACK_MS = 120_000
/** After so long without another word of a tick, all of it has been told. */
const SETTLED_MS = 30_000

/** A disk or interface that was silent for so long is gone. */
const HEARD_MS = 6 * 3_600_000

/** The answer stops it. */
export function startKeeping(deps: KeepingDeps): () => void {
  const timers = [setInterval(() => keep(deps), KEEP_EVERY_MS)]
  if (deps.store.shared === true) timers.push(setInterval(openFollower(deps), KEEP_EVERY_MS))
  for (const timer of timers) timer.unref()
  return () => {
    for (const timer of timers) clearInterval(timer)
  }
}

function keep({ log, now, budget, metrics, rollups }: KeepingDeps): void {
  budget.look(now()).catch(error => log.warn({ err: error }, 'ingest: how full the store is was not found out'))
  metrics.settle(now() - SETTLED_MS).catch(error => log.error({ err: error }, 'ingest: totals of nodes not stored'))
  metrics.forget(now() - HEARD_MS)
  rollups.write(now()).catch(error => {
    log.error({ err: error }, 'ingest: rollups not stored, tried again in ten seconds')
  })
}

/** What other servers took in: memory and the page's live values follow the store. */
function openFollower({ store, log, now, latest, metrics }: KeepingDeps): () => void {
  let busy = false
  const look = async (): Promise<void> => {
    if (busy) return
    busy = true
    const points = await restoreLatest(store, latest, now(), log, FOLLOW_BACK_MS)
    if (points.length > 0) metrics.tell(points)
    busy = false
  }
  return () => void look()
}
