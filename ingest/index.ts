/**
 * Ingest: bytes that collectors and schedulers send -> rows in the store. A receipt says 200 only after the store has the
 * rows (its journal, then its database), so a sender that keeps what was not acknowledged loses nothing.
 *
 *   receive ─ inflate ─ decode ─ rows ─ writer ─ receipt
 *                  400/413/415          429, 503 └─ latest, onWritten
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import { type Admit, openAdmission } from './admission.ts'
import { Arrivals } from './arrivals.ts'
import { parseBatch } from './batches.ts'
import { Budget } from './budget.ts'
import type { Burst } from './burst.ts'
import { BURST_COLUMNS, writeBurst } from './bursts.ts'
import { Clocks } from './clocks.ts'
import { INGEST_DEFAULTS, type IngestConfig } from './config.ts'
import { type Control, openControl } from './control.ts'
import { addControlDoor, webSocket } from './controldoor.ts'
import { addExposition } from './exposition.ts'
import { ForeignMetrics } from './foreign/doors.ts'
import { foreignDoors } from './foreign/http.ts'
import { ForeignProfiles } from './foreign/profiles.ts'
import { httpDoors, type Take } from './http.ts'
import { Inserter } from './insert.ts'
import { JobsDoor } from './jobsdoor.ts'
import { openJournal } from './journal.ts'
import { startKeeping } from './keeping.ts'
import { type EntityPoint, type Latest, LatestValues } from './latest.ts'
import { mendRollups } from './mend.ts'
import { MetricsDoor } from './metricsdoor.ts'
import { parseContentType } from './otlp/body.ts'
import { openIntern } from './otlp/intern.ts'
import { Places } from './place.ts'
import { ProfilesDoor } from './profilesdoor.ts'
import type { NewReceiver } from './receiver.ts'
import { restoreLatest } from './restore.ts'
import { Rollups } from './rollups.ts'
import { addSenderGate, type Sending } from './sendergate.ts'
import { ANY_SENDER, type Senders } from './senders.ts'
import { addShortcut } from './shortcut.ts'
import type { Store } from './store.ts'
import { DEFAULT_RETENTION } from './tables/migrate.ts'
import { UsedColumns } from './used.ts'
import { openWriter, type Writer } from './writer.ts'

export type { EntityPoint, Latest } from './latest.ts'

export type Door = 'metrics' | 'profiles' | 'jobs'

/** HTTP's meaning of the status: 200 stored, 400 not what it should be, 409 another collector asks the scheduler, 413 too large, 415 unknown type, 429 and 503 later. */
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

export interface IngestDeps {
  store: Store
  log: Logger
  now?: () => number
  defaultCluster: string
  config?: IngestConfig
  /** Who may send; absent: anyone, for any cluster. */
  senders?: Senders
  /** Of the addon; absent: node:http reads all requests. */
  receiver?: NewReceiver | undefined
}

export async function openIngest(deps: IngestDeps): Promise<Ingest> {
  const parts = await openParts({ ...deps, now: deps.now ?? Date.now, senders: deps.senders ?? ANY_SENDER })
  const { writer, inserter, metrics, rollups, arrivals, latest, control, sending, senders, now, log } = parts
  const stopKeeping = startKeeping(parts)
  const first = (door: Door): string => (door === 'jobs' ? 'application/json' : 'application/x-protobuf')
  return {
    receive: (door, body, contentType, batch) =>
      arrivals.take(door, body, contentType ?? first(door), '', parseBatch(batch)),
    as: (authorization, send) => sending.run(senders.admit(authorization), send),
    plugin: app => addDoors(app, parts),
    onWritten: listener => metrics.onWritten(listener),
    latest,
    control,
    keepBurst: async burst => {
      await writer.append('bursts', BURST_COLUMNS, rows => writeBurst(rows, burst))
      // Who started it asks for it at once.
      await writer.flush()
    },
    counters: () => countersOf(parts),
    flush: () => writer.flush(),
    async close() {
      stopKeeping()
      // Before the first flush: on a full disk it would wait for room.
      inserter.close()
      const settled = metrics.settle(Number.POSITIVE_INFINITY).catch(error => {
        log.error({ err: error }, 'ingest: totals of nodes not stored')
      })
      await Promise.all([writer.flush(), settled])
      const written = rollups.write(now(), true).catch(error => {
        log.error({ err: error }, 'ingest: rollups not stored, mended at the next start')
      })
      // Hours follow when the others are safe.
      await Promise.all([writer.flush(), written])
      await writer.close()
    },
  }
}

type Parts = Awaited<ReturnType<typeof openParts>>

async function openParts(deps: IngestDeps & Required<Pick<IngestDeps, 'now' | 'senders'>>) {
  const { store, log, now } = deps
  const config: Required<IngestConfig> = { ...INGEST_DEFAULTS, ...deps.config }
  const places = new Places(config.maxPlaces)
  const used = new UsedColumns()
  const latest = new LatestValues(places, used)
  const { inserter, journal } = await openInserts(deps, config)
  await restoreLatest(store, latest, now(), log)
  const writer = openWriter(config, inserter, journal)
  const rollups = new Rollups(writer, used)
  const sending: Sending = new AsyncLocalStorage()
  const retentionDays = store.retentionDays ?? DEFAULT_RETENTION
  const doorDeps = { ...deps, sending, config, writer, retentionDays, intern: openIntern() }
  const metrics = new MetricsDoor({ ...doorDeps, places, latest, rollups, used })
  const doors = { metrics, profiles: new ProfilesDoor(doorDeps), jobs: new JobsDoor(doorDeps) }
  const foreign = {
    metrics: new ForeignMetrics(doorDeps, metrics),
    profiles: new ForeignProfiles(doorDeps, doors.profiles),
  }
  const admission = openAdmission(writer, config)
  const arrivals = new Arrivals(openTake(doors, writer, admission.admit), journal?.known)
  const control = openControl(deps.defaultCluster, log)
  const own = { places, latest, inserter, rollups, metrics, doors, foreign, admission, arrivals, control }
  return { ...doorDeps, ...own, budget: new Budget(store, log), clocks: new Clocks(log), shortcuts: { taken: 0 } }
}

/** What the last process acknowledged goes in first, then what it had added up. */
async function openInserts(deps: IngestDeps & { now: () => number }, config: Required<IngestConfig>) {
  const inserter = new Inserter(deps.store, {}, deps.log)
  const path = config.flushMs > 0 ? deps.store.journalPath : undefined
  const journal = path === undefined ? undefined : openJournal(path, deps.log)
  if (journal !== undefined) await inserter.left(journal)
  // What others are still adding up would look like what is missing.
  if (deps.store.shared !== true) await mendRollups(deps.store, deps.now(), deps.log)
  return { inserter, journal }
}

interface Doors {
  metrics: MetricsDoor
  profiles: ProfilesDoor
  jobs: JobsDoor
}

const openTake =
  (doors: Doors, writer: Writer, admit: Admit): Take =>
  (door, body, type, encoding, batch) =>
    admit(body, encoding, inflated => {
      const queued = writer.queuedBytes
      const taken = doors[door].take(inflated, parseContentType(type))
      // In the same turn as the rows. One that was refused has none: it comes again, and is not to be taken for known then.
      if (batch !== undefined && writer.queuedBytes > queued) writer.note(batch)
      return taken
    })

async function addDoors(app: FastifyInstance, parts: Parts): Promise<void> {
  const { arrivals, sending, senders, shortcuts, writer, control, admission, foreign, clocks, now } = parts
  const { maxBodyBytes } = parts.config
  const onTaken = (address: string, sent: string | undefined): void => {
    shortcuts.taken++
    clocks.look(address, sent, now())
  }
  await app.register(webSocket)
  addSenderGate(app, senders, sending)
  addShortcut(app, { take: arrivals.take, sending, senders, maxBodyBytes, onTaken }, parts.receiver)
  await app.register(httpDoors(arrivals.take, () => writer.flush(), maxBodyBytes, clocks, now))
  await app.register(async door => addControlDoor(door, control))
  await app.register(foreignDoors(admission.admit, foreign, maxBodyBytes))
  addExposition(app, () => countersOf(parts))
}

const countersOf = (parts: Parts): Record<string, number> => ({
  ...parts.doors.metrics.counters(),
  ...parts.doors.profiles.counters(),
  ...parts.doors.jobs.counters(),
  ...parts.foreign.metrics.counters(),
  ...parts.inserter.counters,
  ...parts.clocks.counters,
  duplicateBatches: parts.arrivals.duplicates,
  shortRequests: parts.shortcuts.taken,
  ...parts.control.counters(),
  queuedBytes: parts.writer.queuedBytes,
  storedBytes: parts.budget.storedBytes,
  knownPlaces: parts.places.size,
  ...parts.admission.counters(),
})
