/** What every route works with: the store, the names in it, the newest values, and the profiles that were just read. */
import { setMaxListeners } from 'node:events'
import type { Latest } from '../ingest/latest.ts'
import type { Store } from '../ingest/store.ts'
import { reachOfWho, type Who } from './access/who.ts'
import { type Asker, openAsker } from './asker.ts'
import { type Bodies, openBodies } from './bodies.ts'
import type { RunningBursts } from './bursts.ts'
import { type Cache, openCache } from './cache.ts'
import { openTotals, type ReadTotals } from './jobuse.ts'
import { type Known, openKnown } from './known.ts'
import { readProfile } from './profile.ts'
import type { Target } from './scope.ts'
import { bytesOf, type Profile } from './stacks.ts'
import { openTops, type ReadTops } from './tops.ts'
import { openUsage, type ReadUsage } from './usage.ts'

export interface Desk {
  readonly asker: Asker
  readonly known: Known
  readonly latest: Latest
  /** Stacks and functions by id. */
  bodies(): Bodies
  /** What burns these nodes now. */
  readonly tops: ReadTops
  /** What jobs of a list used. */
  readonly usage: ReadUsage
  /** What a job used on each of its nodes. */
  readonly totals: ReadTotals
  /** Closer looks that run now. */
  readonly bursts: RunningBursts
  /** The samples of a target, read once for all its views. */
  profile(target: Target): Promise<Profile>
}

const PROFILE_BYTES = 128 << 20
const BODY_BYTES = 256 << 20
/** Late samples (a collector's spool) can still reach a window that is over; an open one grows all the time. */
const KEEP_CLOSED_MS = 120_000
const KEEP_OPEN_MS = 3_000
const CLOSED_AFTER_MS = 180_000

/** Whose question it is; a request is one. */
export interface Asking {
  readonly who: Who | undefined
  readonly signal: AbortSignal | undefined
  readonly method?: string
}

/** Questions of one request that wait at the same time, each for the reader's leave: a metric of every entity, and more. */
const AT_ONCE = 100

export interface Room {
  /** Everything that is asked here is kept to what the reader may see. */
  desk(asking: Asking): Desk
}

export function openRoom(store: Store, latest: Latest, bursts: RunningBursts, now: () => number): Room {
  const known = openKnown(latest)
  const profiles = openCache<Profile>(PROFILE_BYTES, bytesOf)
  const bodies = openBodies(BODY_BYTES)
  const tops = openTops(bodies)
  const usage = openUsage(bodies)
  const totals = openTotals()
  return {
    desk: ({ who, signal: given, method = 'GET' }) => {
      // That of a request with a body ends when the body has been read: https://nodejs.org/api/http.html#event-close_3
      const signal = method === 'GET' ? given : undefined
      if (signal) setMaxListeners(AT_ONCE, signal)
      const asker = openAsker(store, now(), signal, reachOfWho(who))
      const profile = (target: Target) => cachedProfile(profiles, bodies, asker, target)
      return { asker, known, latest, bodies, tops, usage, totals, bursts, profile }
    },
  }
}

function cachedProfile(profiles: Cache<Profile>, bodies: () => Bodies, asker: Asker, target: Target): Promise<Profile> {
  const { cluster, job, namedNodes, pid, start, user, rank, burst, from, rowsTo } = target
  const key = JSON.stringify([
    asker.reach.key,
    cluster,
    job?.ids,
    namedNodes,
    pid,
    start,
    user?.name,
    rank,
    burst,
    from,
    rowsTo,
  ])
  const keepMs = rowsTo < asker.nowMs - CLOSED_AFTER_MS ? KEEP_CLOSED_MS : KEEP_OPEN_MS
  const options = { nowMs: asker.nowMs, keepMs, signal: asker.signal }
  return profiles.get(key, options, signal => readProfile(asker.until(signal), bodies(), target))
}
