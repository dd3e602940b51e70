/**
 * Points of five minutes and of an hour, added up as they are stored.
 *
 *   points      12:00:10  12:00:20 … 12:05:00 │ 12:05:10 …
 *   _5m         one row, time 12:05:00        │               sum, count, max of each metric
 *   _1h         one row, time 13:00:00, from the short ones
 *
 * A bucket is written when its time and a grace for stragglers have passed and nothing was added to it for a while (what was
 * held up by an outage comes all at once); what comes later is written as another part, which merges with it in the table, so
 * nothing is ever taken back. What the store does not take waits; what a killed process had added up, mendRollups() makes
 * from the points.
 */
import type { Row } from './gather.ts'
import { COLUMNS, type Entity } from './metrics.ts'
import type { RowWriter } from './rowbinary.ts'
import { storedColumns, storedValue } from './stored.ts'
import { ENTITY_NAMES, perEntity, ROLLUP_SECONDS, type Rollup, rollupColumns, rollupTable } from './tables/points.ts'
import type { UsedColumns } from './used.ts'
import type { Writer } from './writer.ts'

/** One bucket of one place, or a part of it. */
export interface Part {
  cluster: string
  node: string
  instance: string
  /** End of the bucket. */
  timeMs: number
  rows: number
  /** sum, count, max of each column; no Float64Array, since one is made a place and bucket and those are slow to make. */
  sums: number[]
  /** Written, so nothing may be added any more. */
  closed: boolean
  /** Since buckets were last written. */
  touched: boolean
}

/** Names of the columns before the metrics'. */
const KEYS = perEntity(entity =>
  rollupColumns(entity)
    .slice(0, -3 * COLUMNS[entity].length)
    .map(c => c.name),
)
const STORED = perEntity(storedColumns)

const SHORT_MS = 300_000
/** Open buckets of one entity; one of a node is about 6 KiB. */
const MOST_OPEN = 50_000
const GRACE_MS = 15_000
const HOUR_GRACE_MS = 60_000
/** Parts of hours are written at most so often: of old ones that are added to again and again, since an insert costs the same for few. */
const HOUR_PARTS_MS = 120_000

export class Rollups {
  readonly #writer: Writer
  readonly #used: UsedColumns
  readonly #short = perEntity(() => new Map<string, Part>())
  readonly #hours = perEntity(() => new Map<string, Part>())
  #hoursWrittenMs = 0

  constructor(writer: Writer, used: UsedColumns) {
    this.#writer = writer
    this.#used = used
  }

  /** Adds a point that the database has. */
  add(row: Row, arena: Float64Array): void {
    const { place } = row
    const bucketMs = Math.ceil(row.timeMs / SHORT_MS) * SHORT_MS
    let part = place.bucket
    if (part === undefined || part.timeMs !== bucketMs || part.closed) {
      if (this.#short[place.entity].size >= MOST_OPEN) this.#writeEarly()
      part = this.#part(this.#short[place.entity], place.entity, '5m', place, row.timeMs)
      place.bucket = part
    }
    part.rows++
    part.touched = true
    const { sums } = part
    const stored = STORED[place.entity]
    for (const i of this.#used.of(place.entity).indices) {
      const value = storedValue(stored, i, arena[row.offset + i] ?? Number.NaN)
      if (!Number.isNaN(value)) addTo(sums, i, value, 1, value)
    }
  }

  /** Much of the past arrives at once: as parts, so that memory stays bounded. What fails waits for the next time. */
  #writeEarly(): void {
    this.write(0, true).catch(() => {})
  }

  /** Writes the buckets that are over; all with `all`. Those that the store does not take are written the next time. */
  async write(nowMs: number, all = false): Promise<void> {
    const untilMs = all ? Number.POSITIVE_INFINITY : nowMs - GRACE_MS
    const hours = all || nowMs - this.#hoursWrittenMs >= HOUR_PARTS_MS
    if (hours) this.#hoursWrittenMs = nowMs
    await Promise.all(
      ENTITY_NAMES.map(async entity => {
        await this.#writeShort(entity, untilMs, all)
        // Its last short one was over when it was.
        if (hours) await this.#writeHours(entity, untilMs - HOUR_GRACE_MS)
      }),
    )
  }

  async #writeHours(entity: Entity, untilMs: number): Promise<void> {
    const parts = this.#hours[entity]
    const over = [...parts].flatMap(([key, part]) => (part.timeMs <= untilMs ? [key] : []))
    await this.#writeParts(entity, '1h', parts, over)
  }

  /** They are added to their hour once they are written. */
  async #writeShort(entity: Entity, untilMs: number, all: boolean): Promise<void> {
    const over: string[] = []
    for (const [key, part] of this.#short[entity]) {
      if (part.timeMs <= untilMs && (all || !part.touched)) over.push(key)
      part.touched = false
    }
    for (const part of await this.#writeParts(entity, '5m', this.#short[entity], over)) {
      addAll(this.#part(this.#hours[entity], entity, '1h', part, part.timeMs), part)
    }
  }

  async #writeParts(
    entity: Entity,
    rollup: Rollup,
    parts: Map<string, Part>,
    keys: readonly string[],
  ): Promise<readonly Part[]> {
    if (keys.length === 0) return []
    const { indices } = this.#used.of(entity)
    const over = keys.flatMap(key => parts.get(key) ?? [])
    for (const key of keys) parts.delete(key)
    try {
      await this.#writer.append(rollupTable(entity, rollup), columnNames(entity, indices), to => {
        for (const part of over) {
          part.closed = true
          writePart(to, entity, part, indices)
        }
      })
      return over
    } catch (error) {
      for (const part of over) addAll(this.#part(parts, entity, rollup, part, part.timeMs), part)
      throw error
    }
  }

  #part(
    parts: Map<string, Part>,
    entity: Entity,
    rollup: Rollup,
    where: Pick<Part, 'cluster' | 'node' | 'instance'>,
    atMs: number,
  ): Part {
    const bucketMs = ROLLUP_SECONDS[rollup] * 1000
    const { cluster, node, instance } = where
    const timeMs = Math.ceil(atMs / bucketMs) * bucketMs
    const key = `${timeMs}\0${cluster}\0${node}\0${instance}`
    const known = parts.get(key)
    if (known !== undefined) return known
    const sums = new Array<number>(3 * COLUMNS[entity].length).fill(0)
    const part = { cluster, node, instance, timeMs, rows: 0, sums, closed: false, touched: true }
    parts.set(key, part)
    return part
  }
}

function addAll(to: Part, { rows, sums }: Part): void {
  to.rows += rows
  for (let i = 0; i < sums.length; i += 3) {
    const count = sums[i + 1] ?? 0
    if (count > 0) addTo(to.sums, i / 3, sums[i] ?? 0, count, sums[i + 2] ?? 0)
  }
}

function addTo(sums: number[], column: number, sum: number, count: number, max: number): void {
  const at = 3 * column
  const before = sums[at + 1] ?? 0
  sums[at] = (sums[at] ?? 0) + sum
  sums[at + 1] = before + count
  sums[at + 2] = before === 0 ? max : Math.max(sums[at + 2] ?? 0, max)
}

const columnNames = (entity: Entity, indices: readonly number[]): string[] => [
  ...KEYS[entity],
  ...indices.flatMap(i => ['sum', 'count', 'max'].map(what => `${COLUMNS[entity][i]?.column}_${what}`)),
]

function writePart(to: RowWriter, entity: Entity, part: Part, indices: readonly number[]): void {
  to.string(part.cluster)
  to.string(part.node)
  if (entity !== 'node') to.string(part.instance)
  to.dateTime(part.timeMs)
  to.i64(part.rows)
  const { sums } = part
  const { wide } = STORED[entity]
  for (const i of indices) {
    const count = sums[3 * i + 1] ?? 0
    const none = count === 0 ? 1 : 0
    const max = sums[3 * i + 2] ?? 0
    to.u8(none)
    if (none === 0) to.i64(sums[3 * i] ?? 0)
    to.i64(count)
    to.u8(none)
    if (none === 0 && wide[i] === 1) to.i64(max)
    else if (none === 0) to.i32(max)
  }
  to.endRow()
}
