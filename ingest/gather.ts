/**
 * The values of one request, put together to rows: a row an entity instance and tick.
 *
 *   system.disk.io{device=vda, direction=read}  ─┐   disk  vda  12:00:10   read_bytes write_bytes …
 *   system.disk.io{device=vda, direction=write} ─┘
 *
 * All rows' values lie in one array, so a row is a place in it. Nothing is written before the whole request is decoded: a
 * body that turns out to be broken leaves nothing behind.
 */
import type { FilledName, Gathered, Limits, Row, SeriesValue, Shape } from './gathered.ts'
import type { ProcessField, Target } from './match.ts'
import type { Entity } from './metrics.ts'
import { cut, type Origin, type ProcessIdentity, parseIdentity } from './origin.ts'
import type { Place, Places } from './place.ts'
import type { Rates } from './rates.ts'
import type { Process } from './records.ts'
import { requireCluster } from './senders.ts'
import type { SplitTicks } from './splitticks.ts'
import { fillTotals } from './totals.ts'

export type { Gathered, Row, SeriesValue, Shape } from './gathered.ts'

/** What a process has, not what it does: a sum of it is what it has now. */
const PROCESS_LEVELS: ReadonlySet<ProcessField> = new Set(['memoryBytes', 'threads', 'gpuMemoryBytes'])

let requests = 0

export class Gather {
  readonly rows: Row[] = []
  /** Another array once it holds more. */
  arena: Float64Array
  #end = 0
  /** Rows that otlp/layouts.ts filled. */
  readonly filled: { rows: readonly Row[]; names: readonly FilledName[] }[] = []
  readonly #places: Places
  readonly #rates: Rates
  readonly limits: Limits
  readonly #ticks: SplitTicks | undefined
  readonly #request = ++requests
  /** Rows of places that have several times in this request. */
  #more: Map<Place, Map<number, Row>> | undefined
  /** Under which name a value came, where its column has several. */
  #names: Map<number, string> | undefined
  /** Of `filled`, those whose names are in #names. */
  #named = 0
  #processes: Map<string, Process> | undefined
  readonly #series: SeriesValue[] = []
  #reasons: Map<string, number> | undefined
  #rejected = 0
  #ignored = 0

  /** `arena` holds nothing that is still looked at. */
  constructor(places: Places, rates: Rates, limits: Limits, ticks?: SplitTicks, arena?: Float64Array) {
    this.arena = arena ?? new Float64Array(512)
    this.#places = places
    this.#rates = rates
    this.limits = limits
    this.#ticks = ticks
  }

  reject(reason: string, points = 1): void {
    this.#rejected += points
    this.#reasons ??= new Map()
    const known = this.#reasons.get(reason)
    if (known !== undefined || this.#reasons.size < 5) this.#reasons.set(reason, (known ?? 0) + points)
  }

  /** Points that mean nothing here, like texts. */
  ignore(points = 1): void {
    this.#ignored += points
  }

  /** One number of one metric. Times in ms; startMs is 0 where it is not given. */
  add(origin: Origin, shape: Shape, target: Target, startMs: number, timeMs: number, given: number): void {
    requireCluster(this.limits.sender, origin.cluster)
    if (target.kind === 'none') this.#ignored++
    else if (!Number.isFinite(given)) this.reject(`${shape.name}: the value is not a finite number`)
    else if (!(timeMs >= this.limits.fromMs && timeMs <= this.limits.toMs)) this.#rejectTime(shape, timeMs)
    else if (target.kind === 'column') this.#addToRow(origin, shape, target, startMs, timeMs, given)
    else if (target.kind === 'process') this.#addToProcess(origin, shape, target, startMs, timeMs, given)
    else this.#addToSeries(origin, shape, target, startMs, timeMs, given)
  }

  #addToSeries(
    origin: Origin,
    shape: Shape,
    target: Target & { kind: 'series' },
    startMs: number,
    timeMs: number,
    given: number,
  ): void {
    const counts = shape.asGiven !== true && (shape.monotonic || shape.temporality === 'delta')
    const value = counts ? this.#rate(origin, shape, target.key, startMs, timeMs, given) : given
    if (Number.isNaN(value)) return
    const kind = counts ? 'rate' : shape.monotonic ? 'counter' : 'gauge'
    const { name, unit } = shape
    this.#series.push({ origin, name, unit, kind, attributes: target.attributes, key: target.key, timeMs, value })
  }

  finish(): Gathered {
    this.#ticks?.hold(this)
    fillTotals(this)
    return {
      rows: this.rows,
      arena: this.arena,
      processes: this.#processes === undefined ? [] : [...this.#processes.values()],
      series: this.#series,
      rejected: this.#rejected,
      reasons: [...(this.#reasons ?? [])].map(([reason, times]) =>
        times === 1 ? reason : `${reason} (${times} points)`,
      ),
      ignored: this.#ignored,
    }
  }

  /**
   * The row of an instance at a time, made where it is not there yet. The store keeps seconds. undefined where more places
   * are told of than are remembered.
   */
  row(origin: Origin, entity: Entity, instance: string, timeMs: number): Row | undefined {
    const second = Math.round(timeMs / 1000) * 1000
    const place = this.#place(origin, entity, instance)
    if (place === undefined) return undefined
    const known = place.request === this.#request ? place.row : undefined
    if (known !== undefined && known.timeMs === second && known.origin === origin) return known
    return known === undefined ? this.#addRow(place, origin, second) : this.#otherRow(known, place, origin, second)
  }

  #place(origin: Origin, entity: Entity, instance: string): Place | undefined {
    let places = origin.places.get(entity)
    if (places === undefined) {
      places = new Map()
      origin.places.set(entity, places)
    }
    let place = places.get(instance)
    if (place === undefined) {
      place = this.#places.find(origin.cluster, origin.node, entity, cut(instance, 255))
      if (place !== undefined) places.set(instance, place)
    }
    return place
  }

  #addRow(place: Place, origin: Origin, timeMs: number): Row {
    const offset = this.#end
    this.#end += place.values.length
    if (this.#end > this.arena.length) this.#grow()
    this.arena.fill(Number.NaN, offset, this.#end)
    const row = { place, origin, timeMs, intervalMs: origin.intervalMs, offset }
    place.request = this.#request
    place.row = row
    this.rows.push(row)
    return row
  }

  #grow(): void {
    const grown = new Float64Array(Math.max(this.#end, 2 * this.arena.length))
    grown.set(this.arena)
    this.arena = grown
  }

  /** A place of which this request has several times (or origins): looked up by time. */
  #otherRow(known: Row, place: Place, origin: Origin, timeMs: number): Row {
    this.#more ??= new Map()
    let rows = this.#more.get(place)
    if (rows === undefined) {
      rows = new Map([[known.timeMs, known]])
      this.#more.set(place, rows)
    }
    const row = rows.get(timeMs) ?? this.#addRow(place, origin, timeMs)
    rows.set(timeMs, row)
    place.row = row
    return row
  }

  #addToRow(
    origin: Origin,
    shape: Shape,
    target: Target & { kind: 'column' },
    startMs: number,
    timeMs: number,
    given: number,
  ): void {
    const counts = shape.monotonic || (target.metric.kind === 'rate' && shape.temporality !== 'gauge')
    if (!counts && shape.temporality === 'delta') {
      this.reject(`${shape.name}: a delta of what can go down has no value of its own, send it cumulative`)
      return
    }
    const value = counts ? this.#rate(origin, shape, target.key, startMs, timeMs, given) : given
    if (Number.isNaN(value)) return
    const row = this.row(origin, target.entity, target.instance, timeMs)
    if (row === undefined) {
      this.reject('more nodes, cores, disks … than ingest.maxPlaces allows')
      return
    }
    // A tick that comes after some that were missed speaks for all of their time, else rate x interval were less than it was.
    const isOwn = shape.temporality === 'delta' || row.intervalMs === 0
    if (counts && isOwn) row.intervalMs = Math.round(this.#intervalMs)
    this.#put(row.offset + target.column, target, shape.name, value / target.divideBy, counts)
  }

  /**
   * What a column is not told apart by is added up: reads of both queues are reads. But a column that arrives under several
   * names (energy and power, CPU time and utilisation) is told twice by whoever sends both: the first name counts.
   */
  #put(at: number, target: Target & { kind: 'column' }, name: string, value: number, adds: boolean): void {
    const before = this.arena[at] ?? Number.NaN
    if (target.severalNames) {
      this.#names ??= new Map()
      for (; this.#named < this.filled.length; this.#named++) this.#nameFilled(this.#named, this.#names)
      if ((this.#names.get(at) ?? name) !== name) return
      this.#names.set(at, name)
    }
    this.arena[at] = adds && !Number.isNaN(before) ? before + value : value
  }

  #nameFilled(at: number, names: Map<number, string>): void {
    const { rows = [], names: filled = [] } = this.filled[at] ?? {}
    for (const { row, column, name } of filled) names.set((rows[row]?.offset ?? 0) + column, name)
  }

  #addToProcess(
    origin: Origin,
    shape: Shape,
    target: Target & { kind: 'process' },
    startMs: number,
    timeMs: number,
    given: number,
  ): void {
    const identity = parseIdentity(target.attributes, origin.attributes)
    if (identity === undefined) {
      this.reject(`${shape.name}: neither point nor resource has a process.pid`)
      return
    }
    // The hostmetrics receiver tells the start of a process only as the start of its counters.
    if (identity.startMs === 0 && shape.temporality === 'cumulative') identity.startMs = Math.round(startMs)
    const key = `${origin.key}\0${identity.pid}\0${identity.startMs}`
    const counts = !PROCESS_LEVELS.has(target.field) && shape.temporality !== 'gauge'
    const value = counts ? this.#rate(origin, shape, `${key}\0${target.field}`, startMs, timeMs, given) : given
    if (Number.isNaN(value)) return
    const process = this.#process(origin, identity, key, timeMs)
    // A collector's gauges have a start too: the tick before.
    const isSpan = shape.temporality !== 'cumulative' && origin.intervalMs > 0 && startMs > 0
    if (isSpan) process.intervalMs = Math.round(timeMs - startMs)
    process[target.field] = (counts ? (process[target.field] ?? 0) : 0) + value
  }

  #process(origin: Origin, identity: ProcessIdentity, key: string, timeMs: number): Process {
    const second = Math.round(timeMs / 1000) * 1000
    this.#processes ??= new Map()
    const known = this.#processes.get(`${key}\0${second}`)
    if (known !== undefined) return known
    const process: Process = {
      cluster: origin.cluster,
      node: origin.node,
      timeMs: second,
      intervalMs: origin.intervalMs,
      ...identity,
      cpuUser: undefined,
      cpuSystem: undefined,
      memoryBytes: undefined,
      readBytes: undefined,
      writeBytes: undefined,
      threads: undefined,
      cpuDelay: undefined,
      diskDelay: undefined,
      numaNode: undefined,
      gpuUtilization: undefined,
      gpuMemoryBytes: undefined,
      ended: undefined,
    }
    this.#processes.set(`${key}\0${second}`, process)
    return process
  }

  /** Of the rate that was computed last. */
  #intervalMs = 0

  #rate(origin: Origin, shape: Shape, key: string, startMs: number, timeMs: number, value: number): number {
    if (shape.temporality === 'cumulative') {
      const rate = this.#rates.rate(`${origin.key}\0${shape.name}\0${key}`, startMs, timeMs, value)
      this.#intervalMs = this.#rates.intervalMs
      return rate
    }
    this.#intervalMs = timeMs - startMs
    if (startMs > 0 && this.#intervalMs > 0) return (value * 1000) / this.#intervalMs
    this.reject(`${shape.name}: a delta needs a start time before its time`)
    return Number.NaN
  }

  #rejectTime(shape: Shape, timeMs: number): void {
    const side = timeMs < this.limits.fromMs ? 'older than what is kept' : "ahead of this machine's clock"
    this.reject(`${shape.name}: the ${timeMs === 0 ? 'point has no time' : `time of the point is ${side}`}`)
  }
}
