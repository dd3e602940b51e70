/**
 * Ingest: bytes that collectors and schedulers send -> rows in the store. A receipt says 200 only after the store has the
 * rows (its journal, then its database), so a sender that keeps what was not acknowledged loses nothing.
 *
 *   receive ─ inflate ─ decode ─ rows ─ writer ─ receipt
 *                  400/413/415          429, 503 └─ latest, onWritten
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import { Arrivals } from './arrivals.ts'
import { parseBatch } from './batches.ts'
import { Budget } from './budget.ts'
import type { Burst } from './burst.ts'
import { BURST_COLUMNS, writeBurst } from './bursts.ts'
import { INGEST_DEFAULTS, type IngestConfig } from './config.ts'
import { type Control, openControl } from './control.ts'
import { addControlDoor } from './controldoor.ts'
import { BodyError, StoreError } from './errors.ts'
import { addExposition } from './exposition.ts'
import { ForeignMetrics } from './foreign/doors.ts'
import { foreignDoors } from './foreign/http.ts'
import { ForeignProfiles } from './foreign/profiles.ts'
import { httpDoors, type Take } from './http.ts'
import { Inserter } from './insert.ts'
import { JobsDoor } from './jobsdoor.ts'
import { openJournal } from './journal.ts'
import { type EntityPoint, type Latest, LatestValues } from './latest.ts'
import { mendRollups } from './mend.ts'
import { MetricsDoor } from './metricsdoor.ts'
import { inflate, parseContentType } from './otlp/body.ts'
import { openIntern } from './otlp/intern.ts'
import { Places } from './place.ts'
import { ProfilesDoor } from './profilesdoor.ts'
import { restoreLatest } from './restore.ts'
import { Rollups } from './rollups.ts'
import { addSenderGate, type Sending } from './sendergate.ts'
import { ANY_SENDER, type Senders } from './senders.ts'
import type { Store } from './store.ts'
import { DEFAULT_RETENTION } from './tables/migrate.ts'
import { UsedColumns } from './used.ts'
import { openWriter, type Writer } from './writer.ts'

export type { EntityPoint, Latest } from './latest.ts'

export type Door = 'metrics' | 'profiles' | 'jobs'

/** HTTP's meaning of the status: 200 stored, 400 not what it should be, 413 too large, 415 unknown type, 429 and 503 later. */
export interface Receipt {
  status: number
  retryAfterSeconds?: number
  /** Points, profiles or records refused; the rest is stored. */
  rejected: number
  message?: string
}

export interface Ingest {
  /**
   * Resolves after the store has it. contentType: application/x-protobuf; for jobs application/json. A batch that it has
   * already (`batch` names it, see batches.ts) is acknowledged and left out.
   */
  receive(door: Door, body: Uint8Array, contentType?: string, batch?: string): Promise<Receipt>
  /** What is sent meanwhile is of whoever this authorization is. Throws SenderError where it is nobody. */
  as<T>(authorization: string | undefined, send: () => Promise<T>): Promise<T>
  readonly plugin: FastifyPluginAsync
  /** Points as the database got them, with their entity. */
  onWritten(listener: (points: readonly EntityPoint[]) => void): () => void
  readonly latest: Latest
  /** The line back to the collectors. */
  readonly control: Control
  /** Resolves after the database has it. */
  keepBurst(burst: Burst): Promise<void>
  counters(): Record<string, number>
  /** Resolves when the database has what was acknowledged: from then on questions find it. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Takes a body in at a door: sheds load, inflates, and says what went wrong. `enter` gets the bytes as they were meant. */
export type Admit = (
  body: Uint8Array,
  encoding: string,
  enter: (inflated: Uint8Array) => Promise<Receipt>,
) => Promise<Receipt>

export interface IngestDeps {
  store: Store
  log: Logger
  now?: () => number
  defaultCluster: string
  config?: IngestConfig
  /** Who may send; absent: anyone, for any cluster. */
  senders?: Senders
}

export async function openIngest(deps: IngestDeps): Promise<Ingest> {
  const config: Required<IngestConfig> = { ...INGEST_DEFAULTS, ...deps.config }
  const places = new Places(config.maxPlaces)
  const latest = new LatestValues(places)
  const now = deps.now ?? Date.now
  const inserter = new Inserter(deps.store, {}, deps.log)
  const path = config.flushMs > 0 ? deps.store.journalPath : undefined
  const journal = path === undefined ? undefined : openJournal(path, deps.log)
  if (journal !== undefined) await inserter.left(journal)
  // What others are still adding up would look like what is missing.
  if (deps.store.shared !== true) await mendRollups(deps.store, now(), deps.log)
  await restoreLatest(deps.store, latest, now(), deps.log)
  const writer = openWriter(config, inserter, journal)
  const used = new UsedColumns()
  const rollups = new Rollups(writer, used)
  const control = openControl(deps.defaultCluster, deps.log)
  const retentionDays = deps.store.retentionDays ?? DEFAULT_RETENTION
  const sending: Sending = new AsyncLocalStorage()
  const doorDeps = { ...deps, sending, now, config, writer, retentionDays, intern: openIntern() }
  const metrics = new MetricsDoor({ ...doorDeps, places, latest, rollups, used })
  const doors = { metrics, profiles: new ProfilesDoor(doorDeps), jobs: new JobsDoor(doorDeps) }
  const budget = new Budget(deps.store, deps.log)
  const foreign = {
    metrics: new ForeignMetrics(doorDeps, metrics),
    profiles: new ForeignProfiles(doorDeps, doors.profiles),
  }
  const keep = (): void => {
    budget.look(now()).catch(error => deps.log.warn({ err: error }, 'ingest: how full the store is was not found out'))
    metrics.settle(now() - SETTLED_MS).catch(error => {
      deps.log.error({ err: error }, 'ingest: totals of nodes not stored')
    })
    metrics.forget(now() - HEARD_MS)
    rollups.write(now()).catch(error => {
      deps.log.error({ err: error }, 'ingest: rollups not stored, mended at the next start')
    })
  }
  const timer = setInterval(keep, KEEP_EVERY_MS)
  timer.unref()
  const follower = deps.store.shared === true ? follow(deps, latest, points => metrics.tell(points)) : undefined
  const refused = { malformed: 0, too_large: 0, unsupported: 0, overload: 0, store: 0 }

  const admit: Admit = async (body, encoding, enter) => {
    if (writer.queuedBytes > config.maxQueuedBytes) {
      refused.overload++
      return later(429, writer, 'more arrives than the store takes')
    }
    try {
      const inflated = inflate(body, encoding, config.maxInflatedBytes)
      return await enter(inflated instanceof Uint8Array ? inflated : await inflated)
    } catch (error) {
      if (error instanceof BodyError) {
        refused[error.code]++
        return { status: error.status, rejected: 0, message: error.message }
      }
      if (!(error instanceof StoreError)) throw error
      refused.store++
      return later(503, writer, `the store did not take it: ${error.message}`)
    }
  }
  const takeAnew: Take = (door, body, type, encoding, batch) =>
    admit(body, encoding, inflated => {
      const queued = writer.queuedBytes
      const taken = doors[door].take(inflated, parseContentType(type))
      // In the same turn as the rows. One that was refused has none: it comes again, and is not to be taken for known then.
      if (batch !== undefined && writer.queuedBytes > queued) writer.note(batch)
      return taken
    })
  const arrivals = new Arrivals(takeAnew, journal?.known)
  const { take } = arrivals
  const counters = (): Record<string, number> => ({
    ...doors.metrics.counters(),
    ...doors.profiles.counters(),
    ...doors.jobs.counters(),
    ...foreign.metrics.counters(),
    ...inserter.counters,
    duplicateBatches: arrivals.duplicates,
    ...control.counters(),
    queuedBytes: writer.queuedBytes,
    storedBytes: budget.storedBytes,
    knownPlaces: places.size,
    refusedMalformed: refused.malformed,
    refusedTooLarge: refused.too_large,
    refusedUnsupported: refused.unsupported,
    refusedOverload: refused.overload,
    refusedStore: refused.store,
  })
  const first = (door: Door): string => (door === 'jobs' ? 'application/json' : 'application/x-protobuf')
  return {
    receive: (door, body, contentType, batch) => take(door, body, contentType ?? first(door), '', parseBatch(batch)),
    as: (authorization, send) => sending.run((deps.senders ?? ANY_SENDER).admit(authorization), send),
    plugin: async app => {
      addSenderGate(app, deps.senders ?? ANY_SENDER, sending)
      await app.register(httpDoors(take, () => writer.flush(), config.maxBodyBytes))
      await app.register(async door => addControlDoor(door, control))
      await app.register(foreignDoors(admit, foreign, config.maxBodyBytes))
      addExposition(app, counters)
    },
    onWritten: listener => metrics.onWritten(listener),
    latest,
    control,
    keepBurst: async burst => {
      await writer.append('bursts', BURST_COLUMNS, rows => writeBurst(rows, burst))
      // Who started it asks for it at once.
      await writer.flush()
    },
    counters,
    flush: () => writer.flush(),
    async close() {
      clearInterval(timer)
      clearInterval(follower)
      const settled = metrics.settle(Number.POSITIVE_INFINITY)
      await writer.flush()
      await settled
      await Promise.all([rollups.write(now(), true), writer.close()])
    },
  }
}

/** What other servers took in: memory and the page's live values follow the store. */
function follow(
  { store, log, now = Date.now }: IngestDeps,
  latest: LatestValues,
  tell: (points: readonly EntityPoint[]) => void,
): NodeJS.Timeout {
  let busy = false
  const look = async (): Promise<void> => {
    if (busy) return
    busy = true
    const points = await restoreLatest(store, latest, now(), log, FOLLOW_BACK_MS)
    if (points.length > 0) tell(points)
    busy = false
  }
  const timer = setInterval(() => void look(), KEEP_EVERY_MS)
  timer.unref()
  return timer
}

const KEEP_EVERY_MS = 10_000
/** How late a row of another server may be stored and still be seen as new. */
const FOLLOW_BACK_MS = 120_000
/** After so long without another word of a tick, all of it has been told. */
const SETTLED_MS = 30_000

/** A disk or interface that was silent for so long is gone. */
const HEARD_MS = 6 * 3_600_000

const later = (status: 429 | 503, writer: Writer, message: string): Receipt => ({
  status,
  retryAfterSeconds: Math.min(60, Math.max(1, writer.drainSeconds)),
  rejected: 0,
  message: `${message}; send it again later`,
})
