/**
 * Requests that differ from one seen before in their numbers only. A collector sends the same metrics each tick, and a
 * thousand collectors send the same ones: once the points of one resource were decoded, the places of their numbers are known.
 *
 *   scope_metrics … start ········ time ········ value ········ "cpu.mode" "user" … start ········ time …
 *   same bytes?     ^^^^^          ^^^^          ^^^^^          ^^^^^^^^^^^^^^^^^^^^^^^^^
 *   then            the numbers go to the columns that they went to before, without names, attributes or tags being read
 *
 * Every byte but the numbers is compared, so what comes out is what decoding would give. Only gauges and deltas that go to
 * columns, of one tick: everything else is decoded.
 */
import type { Gather, Shape } from '../gather.ts'
import type { FilledName, Row } from '../gathered.ts'
import type { ColumnTarget, Target } from '../match.ts'
import type { Entity } from '../metrics.ts'
import type { Origin } from '../origin.ts'
import { requireCluster } from '../senders.ts'
import { copyBytes } from './intern.ts'
import type { NumberPoint } from './reader.ts'

const TWO_32 = 2 ** 32
/** Layouts of one length, and bytes of all: beyond, they start anew. */
const MOST_OF_LENGTH = 16
const MOST_BYTES = 32 << 20

const SET = 0
const ADD = 1
/** Its column has a value under another name already. */
const SKIP = 2

interface Place {
  /** -1: not given. */
  startAt: number
  timeAt: number
  valueAt: number
  isInt: boolean
  row: number
  target: ColumnTarget
  counts: boolean
  how: typeof SET | typeof ADD | typeof SKIP
}

interface LaidRow {
  entity: Entity
  instance: string
  counts: boolean
}

/** Notes where the numbers are while they are decoded. */
export class Recorder {
  readonly places: Place[] = []
  readonly rows: LaidRow[] = []
  readonly names: FilledName[] = []
  readonly #rows = new Map<string, number>()
  readonly #names = new Map<string, string>()
  #failed = false

  /** Something else than numbers for columns is among it. */
  fail(): void {
    this.#failed = true
  }

  get failed(): boolean {
    return this.#failed
  }

  add(point: NumberPoint, shape: Shape, target: Target): void {
    const counts = shape.temporality === 'delta'
    if (target.kind !== 'column' || point.timeAt < 0 || (counts ? point.startAt < 0 : shape.temporality !== 'gauge')) {
      this.fail()
      return
    }
    // A delta of what can go down is refused, see gather.ts.
    if (counts && !shape.monotonic && target.metric.kind !== 'rate') this.fail()
    const row = this.#row(target, counts)
    const { startAt, timeAt, valueAt, isInt } = point
    this.places.push({
      startAt,
      timeAt,
      valueAt,
      isInt,
      row,
      target,
      counts,
      how: this.#how(row, target, shape, counts),
    })
  }

  #row({ entity, instance }: ColumnTarget, counts: boolean): number {
    const key = `${entity} ${instance}`
    const known = this.#rows.get(key)
    if (known !== undefined) {
      if (counts) (this.rows[known] as LaidRow).counts = true
      return known
    }
    this.#rows.set(key, this.rows.length)
    return this.rows.push({ entity, instance, counts }) - 1
  }

  /** What Gather does with it. */
  #how(row: number, { column, severalNames }: ColumnTarget, { name }: Shape, counts: boolean): Place['how'] {
    const key = `${row} ${column}`
    const first = this.#names.get(key)
    if (first === undefined) {
      this.#names.set(key, name)
      if (severalNames) this.names.push({ row, column, name })
      return SET
    }
    if (severalNames && first !== name) return SKIP
    return counts ? ADD : SET
  }
}

/** Of a scope_metrics of so many bytes. Positions count from its first byte. */
class Layout {
  readonly #bytes: DataView
  /** What has to be the same: bytes from .. to. */
  readonly #same: Int32Array
  readonly #places: readonly Place[]
  readonly #rows: readonly LaidRow[]
  readonly #names: readonly FilledName[]
  readonly #counts: boolean
  readonly #values: Float64Array

  constructor(bytes: Uint8Array, start: number, end: number, recorder: Recorder) {
    const kept = copyBytes(bytes, start, end)
    this.#bytes = new DataView(kept.buffer)
    this.#places = recorder.places.map(p => ({
      ...p,
      startAt: p.startAt < 0 ? -1 : p.startAt - start,
      timeAt: p.timeAt - start,
      valueAt: p.valueAt - start,
    }))
    this.#rows = recorder.rows
    this.#names = recorder.names
    this.#counts = recorder.rows.some(r => r.counts)
    this.#values = new Float64Array(recorder.places.length)
    const numbers = this.#places.flatMap(p => [p.startAt, p.timeAt, p.valueAt]).filter(at => at >= 0)
    const ends = [0, ...numbers.sort((a, b) => a - b).flatMap(at => [at, at + 8]), end - start]
    this.#same = Int32Array.from(ends)
  }

  get length(): number {
    return this.#bytes.byteLength
  }

  /** Whether the bytes from `start` on are laid out like this, `length` of them. */
  fits(view: DataView, start: number): boolean {
    const kept = this.#bytes
    const same = this.#same
    for (let i = 0; i < same.length; i += 2) {
      const to = same[i + 1] ?? 0
      let at = same[i] ?? 0
      for (; at + 4 <= to; at += 4) if (kept.getUint32(at) !== view.getUint32(start + at)) return false
      for (; at < to; at++) if (kept.getUint8(at) !== view.getUint8(start + at)) return false
    }
    return true
  }

  /** False, and nothing is added, where a number needs more than to be put into its column. */
  add(view: DataView, start: number, origin: Origin, gather: Gather): boolean {
    const timeMs = this.#oneTime(view, start, false)
    const startMs = this.#counts ? this.#oneTime(view, start, true) : 0
    const intervalMs = timeMs - startMs
    const { sender, fromMs, toMs } = gather.limits
    if (!(timeMs >= fromMs && timeMs <= toMs) || (this.#counts && !(startMs > 0 && intervalMs > 0))) return false
    if (!this.#readValues(view, start, intervalMs)) return false
    requireCluster(sender, origin.cluster)
    const rows = this.#freshRows(origin, gather, timeMs)
    if (rows === undefined) return false
    this.#put(rows, gather, intervalMs)
    gather.filled.push({ rows, names: this.#names })
    return true
  }

  /** Of all points; NaN where they differ. */
  #oneTime(view: DataView, start: number, ofStart: boolean): number {
    let low = -1
    let high = -1
    for (const { startAt, timeAt, counts } of this.#places) {
      if (ofStart && !counts) continue
      const at = start + (ofStart ? startAt : timeAt)
      const nextLow = view.getUint32(at, true)
      const nextHigh = view.getUint32(at + 4, true)
      if (low >= 0 && (nextLow !== low || nextHigh !== high)) return Number.NaN
      low = nextLow
      high = nextHigh
    }
    return (low + high * TWO_32) / 1e6
  }

  #readValues(view: DataView, start: number, intervalMs: number): boolean {
    const values = this.#values
    let sum = 0
    for (let i = 0; i < values.length; i++) {
      const place = this.#places[i]
      if (place === undefined) return false
      const at = start + place.valueAt
      const given = place.isInt
        ? view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32
        : view.getFloat64(at, true)
      sum += given - given
      values[i] = (place.counts ? (given * 1000) / intervalMs : given) / place.target.divideBy
    }
    // Infinity less Infinity is NaN, and so is what is added to NaN.
    return sum === 0
  }

  /** undefined where the request had one of the rows before, or there may be no more of them. */
  #freshRows(origin: Origin, gather: Gather, timeMs: number): Row[] | undefined {
    const before = gather.rows.length
    for (const { entity, instance } of this.#rows) if (!gather.row(origin, entity, instance, timeMs)) return undefined
    return gather.rows.length - before === this.#rows.length ? gather.rows.slice(before) : undefined
  }

  #put(rows: readonly Row[], { arena }: Gather, intervalMs: number): void {
    const values = this.#values
    for (let i = 0; i < values.length; i++) {
      const place = this.#places[i]
      if (place === undefined || place.how === SKIP) continue
      const row = rows[place.row]
      if (row === undefined) continue
      const at = row.offset + place.target.column
      const value = values[i] ?? Number.NaN
      arena[at] = place.how === ADD ? (arena[at] ?? 0) + value : value
    }
    rows.forEach((row, i) => {
      if (this.#rows[i]?.counts) row.intervalMs = Math.round(intervalMs)
    })
  }
}

export class Layouts {
  readonly #byLength = new Map<number, Layout[]>()
  /** That of an origin's last request. */
  #last = new WeakMap<Origin, Layout>()
  #bytes = 0

  /** The layout of these bytes, if it was seen before. */
  find(view: DataView, start: number, end: number, origin: Origin): Layout | undefined {
    const last = this.#last.get(origin)
    if (last !== undefined && last.length === end - start && last.fits(view, start)) return last
    const found = this.#byLength.get(end - start)?.find(layout => layout !== last && layout.fits(view, start))
    if (found !== undefined) this.#last.set(origin, found)
    return found
  }

  keep(bytes: Uint8Array, start: number, end: number, recorder: Recorder): void {
    if (recorder.failed || recorder.places.length === 0) return
    const known = this.#byLength.get(end - start) ?? []
    if (known.length >= MOST_OF_LENGTH || this.#bytes + end - start > MOST_BYTES) {
      this.#byLength.clear()
      this.#last = new WeakMap()
      this.#bytes = 0
      known.length = 0
    }
    known.push(new Layout(bytes, start, end, recorder))
    this.#byLength.set(end - start, known)
    this.#bytes += end - start
  }
}
