/** One decoded request -> rows for the writer; remembers what outlives a request: counters' last values, known series. */
import type { Logger } from 'pino'
import {
  POINT_COLUMNS,
  PROCESS_COLUMNS,
  SERIES_COLUMNS,
  SERIES_POINT_COLUMNS,
  writePoint,
  writeProcess,
  writeSeries,
  writeSeriesPoint,
} from './blocks.ts'
import type { IngestConfig, RetentionDays } from './config.ts'
import { BodyError } from './errors.ts'
import { Gather, type Gathered, type Row } from './gather.ts'
import type { Door, Receipt } from './index.ts'
import { JOB_COLUMNS, NODE_COLUMNS, parseJobs, writeJob, writeNode } from './jobs.ts'
import type { EntityPoint, LatestValues } from './latest.ts'
import { COLUMNS, type Entity } from './metrics.ts'
import type { Encoding } from './otlp/body.ts'
import { openIntern } from './otlp/intern.ts'
import { decodeMetrics, KnownTargets } from './otlp/metrics.ts'
import { decodeMetricsJson } from './otlp/metricsjson.ts'
import { Reader } from './otlp/reader.ts'
import { Rates } from './rates.ts'
import type { Rollups } from './rollups.ts'
import { SeriesIds } from './seriesids.ts'
import { DEFAULT_RETENTION } from './tables/migrate.ts'
import { pointsTable } from './tables/points.ts'
import type { Writer } from './writer.ts'

interface ReceiverDeps {
  log: Logger
  now: () => number
  defaultCluster: string
  config: Required<IngestConfig>
  retentionDays?: RetentionDays
  writer: Writer
  latest: LatestValues
  rollups: Rollups
}

const DAY_MS = 86_400_000

export class Receiver {
  readonly #deps: ReceiverDeps
  readonly #intern = openIntern()
  readonly #targets = new KnownTargets()
  readonly #rates: Rates
  readonly #series: SeriesIds
  readonly #simulated = new Set<string>()
  readonly #listeners = new Set<(points: readonly EntityPoint[]) => void>()
  readonly #counts = { points: 0, values: 0, processes: 0, seriesPoints: 0, jobs: 0, nodes: 0, rejected: 0, ignored: 0 }

  constructor(deps: ReceiverDeps) {
    this.#deps = deps
    this.#rates = new Rates(deps.config.maxSeries)
    this.#series = new SeriesIds(deps.config.maxSeries)
  }

  take(door: Door, body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    if (door === 'metrics') return this.#takeMetrics(body, encoding)
    if (door === 'jobs') return this.#takeJobs(body, encoding)
    throw new BodyError('unsupported', 'profiles are not taken yet')
  }

  onWritten(listener: (points: readonly EntityPoint[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  counters(): Record<string, number> {
    return { ...this.#counts, ...this.#rates.counters }
  }

  async #takeMetrics(body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    const nowMs = this.#deps.now()
    const keptDays = this.#deps.retentionDays?.points ?? DEFAULT_RETENTION.points
    const limits = { fromMs: nowMs - keptDays * DAY_MS, toMs: nowMs + this.#deps.config.futureMs }
    const gather = new Gather(this.#rates, limits)
    if (encoding === 'json') decodeMetricsJson(body, gather, this.#deps.defaultCluster)
    else {
      const sink = { gather, known: this.#targets, defaultCluster: this.#deps.defaultCluster }
      decodeSafely(new Reader(body, this.#intern), reader => decodeMetrics(reader, sink))
    }
    const gathered = gather.finish()
    await this.#store(gathered, nowMs)
    this.#counts.rejected += gathered.rejected
    this.#counts.ignored += gathered.ignored
    return accepted(gathered.rejected, gathered.reasons)
  }

  async #store(gathered: Gathered, nowMs: number): Promise<void> {
    const { writer, latest } = this.#deps
    const { rows, arena, processes } = gathered
    const stored: Promise<void>[] = []
    for (const entity of Object.keys(COLUMNS) as Entity[]) {
      const own = rows.filter(r => r.entity === entity)
      if (own.length === 0) continue
      const write = writer.append(pointsTable(entity), POINT_COLUMNS[entity], to => {
        for (const row of own) this.#counts.values += writePoint(to, row, arena)
      })
      stored.push(write)
    }
    if (processes.length > 0) {
      stored.push(
        writer.append('processes', PROCESS_COLUMNS, to => {
          for (const p of processes) writeProcess(to, p)
        }),
      )
    }
    if (gathered.series.length > 0) stored.push(...this.#storeSeries(gathered, nowMs))
    stored.push(...this.#storeSimulated(gathered, nowMs))
    await Promise.all(stored)
    this.#counts.points += rows.length
    this.#counts.processes += processes.length
    this.#counts.seriesPoints += gathered.series.length
    for (const row of rows) {
      latest.update(row, arena)
      this.#deps.rollups.add(row, arena)
    }
    if (this.#listeners.size > 0 && rows.length > 0) this.#tell(rows, arena)
  }

  #storeSeries({ series }: Gathered, nowMs: number): Promise<void>[] {
    const { writer } = this.#deps
    const found = series.map(s => ({ s, ...this.#series.find(s, nowMs) }))
    const fresh = found.filter(f => f.fresh)
    const stored = [
      writer.append('series_points', SERIES_POINT_COLUMNS, to => {
        for (const f of found) writeSeriesPoint(to, f.id, f.s)
      }),
    ]
    if (fresh.length > 0) {
      const told = writer.append('series', SERIES_COLUMNS, to => {
        for (const f of fresh) writeSeries(to, f.id, f.s, nowMs)
      })
      told.catch(() => this.#series.forget())
      stored.push(told)
    }
    return stored
  }

  /** A node that says it is simulated is marked so in the table of nodes, once. */
  #storeSimulated({ rows }: Gathered, nowMs: number): Promise<void>[] {
    const fresh = rows.map(r => r.origin).filter(o => o.simulated && !this.#simulated.has(o.key))
    if (fresh.length === 0) return []
    for (const origin of fresh) this.#simulated.add(origin.key)
    const told = this.#deps.writer.append('nodes', NODE_COLUMNS, to => {
      for (const { cluster, node } of new Set(fresh)) {
        writeNode(to, { cluster, node, simulated: true, updatedMs: nowMs }, 'ingest')
      }
    })
    told.catch(() => this.#simulated.clear())
    return [told]
  }

  #tell(rows: readonly Row[], arena: Float64Array): void {
    const points = rows.map(row => ({
      entity: row.entity,
      cluster: row.origin.cluster,
      node: row.origin.node,
      instance: row.instance,
      timeMs: row.timeMs,
      intervalMs: row.intervalMs,
      values: arena.subarray(row.offset, row.offset + COLUMNS[row.entity].length),
    }))
    for (const listener of this.#listeners) {
      try {
        listener(points)
      } catch (error) {
        this.#deps.log.error({ err: error }, 'ingest: a listener of written points failed')
      }
    }
  }

  async #takeJobs(body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    if (encoding !== 'json') throw new BodyError('unsupported', 'jobs are taken as application/json')
    const { writer, config, defaultCluster } = this.#deps
    const batch = parseJobs(body, defaultCluster, this.#deps.now() + config.futureMs)
    const { jobs, nodes } = batch
    const stored: Promise<void>[] = []
    if (jobs.length > 0)
      stored.push(
        writer.append('jobs', JOB_COLUMNS, to => {
          for (const j of jobs) writeJob(to, j)
        }),
      )
    if (nodes.length > 0)
      stored.push(
        writer.append('nodes', NODE_COLUMNS, to => {
          for (const n of nodes) writeNode(to, n)
        }),
      )
    await Promise.all(stored)
    this.#counts.jobs += jobs.length
    this.#counts.nodes += nodes.length
    this.#counts.rejected += batch.rejected
    return accepted(batch.rejected, batch.reasons)
  }
}

const accepted = (rejected: number, reasons: readonly string[]): Receipt => ({
  status: 200,
  rejected,
  ...(rejected > 0 ? { message: `${rejected} refused: ${reasons.join('; ')}` } : {}),
})

/** What the protobuf library throws at nonsense (a read past the end, a number of 11 bytes) is the sender's error too. */
function decodeSafely(reader: Reader, decode: (reader: Reader) => void): void {
  try {
    decode(reader)
  } catch (error) {
    if (error instanceof RangeError || (error instanceof Error && /varint|Unimplemented type/.test(error.message))) {
      throw reader.error(error.message)
    }
    throw error
  }
}
