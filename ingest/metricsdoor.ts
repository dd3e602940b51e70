/** Metrics: a request -> points, processes and series for the writer. Remembers last values of counters and known series. */

import { Arenas } from './arenas.ts'
import {
  PROCESS_COLUMNS,
  SERIES_COLUMNS,
  SERIES_POINT_COLUMNS,
  writePoint,
  writeProcess,
  writeSeries,
  writeSeriesPoint,
} from './blocks.ts'
import { accepted, type DoorDeps, decodeSafely, timeLimits } from './door.ts'
import { Gather, type Gathered, type Row } from './gather.ts'
import type { Receipt } from './index.ts'
import { NODE_COLUMNS, writeNode } from './jobs.ts'
import type { EntityPoint, LatestValues } from './latest.ts'
import type { Encoding } from './otlp/body.ts'
import { KnownOrigins, KnownTargets } from './otlp/known.ts'
import { Layouts } from './otlp/layouts.ts'
import { decodeMetrics } from './otlp/metrics.ts'
import { decodeMetricsJson } from './otlp/metricsjson.ts'
import type { Places } from './place.ts'
import { Rates } from './rates.ts'
import type { Rollups } from './rollups.ts'
import { SeriesIds } from './seriesids.ts'
import { SplitTicks } from './splitticks.ts'
import { perEntity, pointsTable } from './tables/points.ts'
import { Telling } from './telling.ts'
import type { UsedColumns } from './used.ts'

const POINT_TABLES = perEntity(pointsTable)

type MetricsDeps = DoorDeps & { places: Places; latest: LatestValues; rollups: Rollups; used: UsedColumns }

export class MetricsDoor {
  readonly #deps: MetricsDeps
  readonly #targets = new KnownTargets()
  readonly #origins = new KnownOrigins()
  readonly #layouts = new Layouts()
  readonly #rates: Rates
  readonly #series: SeriesIds
  readonly #ticks = new SplitTicks()
  readonly #telling = new Telling()
  readonly #arenas = new Arenas()
  readonly #simulated = new Set<string>()
  readonly #listeners = new Set<(points: readonly EntityPoint[]) => void>()
  readonly #counts = { points: 0, values: 0, processes: 0, seriesPoints: 0, rejectedPoints: 0, ignoredPoints: 0 }

  constructor(deps: MetricsDeps) {
    this.#deps = deps
    this.#rates = new Rates(deps.config.maxSeries)
    this.#series = new SeriesIds(deps.config.maxSeries)
  }

  onWritten(listener: (points: readonly EntityPoint[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Forgets what was not heard of since. */
  forget(beforeMs: number): void {
    if (this.#deps.places.forget(beforeMs) > 0) this.#origins.clear()
  }

  /** Stores the totals of ticks that nothing was heard of since; at the end those of all. */
  async settle(beforeMs: number): Promise<void> {
    if (this.#ticks.waiting(beforeMs)) await this.add(gather => this.#ticks.settle(gather, beforeMs))
  }

  counters(): Record<string, number> {
    const { resets, late, forgotten } = this.#rates.counters
    return { ...this.#counts, counterResets: resets, latePoints: late, forgottenCounters: forgotten }
  }

  take(body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    const { defaultCluster, intern } = this.#deps
    return this.add(gather => {
      if (encoding === 'json') decodeMetricsJson(body, gather, defaultCluster)
      else {
        // Written out: copying an object of them costs as much as finding the layout.
        const sink = { gather, defaultCluster, targets: this.#targets, origins: this.#origins, layouts: this.#layouts }
        decodeSafely(body, intern, reader => decodeMetrics(reader, sink))
      }
    })
  }

  /** A request of any wire: `decode` adds its points, and nothing is stored where it throws. */
  async add(decode: (gather: Gather, nowMs: number) => void): Promise<Receipt> {
    const limits = timeLimits(this.#deps, 'points')
    const gather = new Gather(this.#deps.places, this.#rates, limits, this.#ticks, this.#arenas.take())
    const counted = this.#rates.begin()
    try {
      decode(gather, limits.nowMs)
      const gathered = gather.finish()
      this.#counts.rejectedPoints += gathered.rejected
      this.#counts.ignoredPoints += gathered.ignored
      await this.#store(gathered, limits.nowMs)
      this.#written(gathered)
      return accepted(gathered.rejected, gathered.reasons)
    } catch (error) {
      this.#rates.takeBack(counted)
      throw error
    } finally {
      this.#arenas.giveBack(gather.arena)
    }
  }

  async #store(gathered: Gathered, nowMs: number): Promise<void> {
    // With a journal all of a turn are safe together, by one promise.
    const stored = new Set<Promise<void>>()
    this.#storePoints(gathered, stored)
    const { processes } = gathered
    if (processes.length > 0) {
      const write = this.#deps.writer.append('processes', PROCESS_COLUMNS, to => {
        for (const process of processes) writeProcess(to, process)
      })
      stored.add(write)
    }
    if (gathered.series.length > 0) stored.add(this.#storeSeries(gathered, nowMs))
    this.#tellSimulated(gathered, nowMs)
    for (const told of this.#telling.underWay) stored.add(told)
    await (stored.size === 1 ? [...stored][0] : Promise.all(stored))
  }

  /** Rows of an entity that follow each other go to its table at once. */
  #storePoints({ rows, arena }: Gathered, stored: Set<Promise<void>>): void {
    const { used, writer } = this.#deps
    for (let from = 0; from < rows.length; ) {
      const entity = rows[from]?.place.entity ?? 'node'
      let to = from
      for (; rows[to]?.place.entity === entity; to++) used.see(entity, arena, rows[to]?.offset ?? 0)
      const { names, indices } = used.of(entity)
      const own = rows.slice(from, to)
      const write = writer.append(POINT_TABLES[entity], names, into => {
        for (const row of own) this.#counts.values += writePoint(into, row, arena, indices)
      })
      stored.add(write)
      from = to
    }
  }

  #storeSeries({ series }: Gathered, nowMs: number): Promise<void> {
    const { writer } = this.#deps
    const found = series.map(s => ({ s, ...this.#series.find(s, nowMs) }))
    const fresh = found.filter(f => f.fresh)
    if (fresh.length > 0) {
      const told = writer.append('series', SERIES_COLUMNS, to => {
        for (const { id, s } of fresh) writeSeries(to, id, s, nowMs)
      })
      this.#telling.begin(told, () => this.#series.forget())
    }
    return writer.append('series_points', SERIES_POINT_COLUMNS, to => {
      for (const { id, s } of found) writeSeriesPoint(to, id, s)
    })
  }

  /** A node that says it is simulated is marked so in the table of nodes, once. */
  #tellSimulated({ rows }: Gathered, nowMs: number): void {
    if (!rows.some(r => r.origin.simulated)) return
    const fresh = new Map(rows.map(r => [r.origin.key, r.origin]))
    for (const [key, origin] of fresh) if (!origin.simulated || this.#simulated.has(key)) fresh.delete(key)
    if (fresh.size === 0) return
    const told = this.#deps.writer.append('nodes', NODE_COLUMNS, to => {
      for (const [key, { cluster, node }] of fresh) {
        this.#simulated.add(key)
        writeNode(to, { cluster, node, simulated: true, updatedMs: nowMs }, 'ingest')
      }
    })
    this.#telling.begin(told, () => this.#simulated.clear())
  }

  /** Memory follows what the database has. */
  #written({ rows, arena, processes, series }: Gathered): void {
    this.#counts.points += rows.length
    this.#counts.processes += processes.length
    this.#counts.seriesPoints += series.length
    for (const row of rows) {
      this.#deps.latest.update(row, arena)
      this.#deps.rollups.add(row, arena)
    }
    if (this.#listeners.size > 0 && rows.length > 0) this.#tellListeners(rows, arena)
  }

  #tellListeners(rows: readonly Row[], arena: Float64Array): void {
    const points = rows.map(({ place, timeMs, intervalMs, offset }) => ({
      entity: place.entity,
      cluster: place.cluster,
      node: place.node,
      instance: place.instance,
      timeMs,
      intervalMs,
      values: arena.slice(offset, offset + place.values.length),
    }))
    this.tell(points)
  }

  /** Points that the database has, whoever brought them. */
  tell(points: readonly EntityPoint[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(points)
      } catch (error) {
        this.#deps.log.error({ err: error }, 'ingest: a listener of written points failed')
      }
    }
  }
}
