/**
 * Points of a minute and of an hour, added up as they are stored.
 *
 *   points      12:00:10  12:00:20 … 12:01:00 │ 12:01:10 …
 *   _1m         one row, time 12:01:00        │               sum, count, min, max of each metric
 *   _1h         a part each few minutes, time 13:00:00        parts of one bucket merge in the table
 *
 * A bucket is written when its time and a grace for stragglers have passed; what comes later is written as another part,
 * so nothing is ever taken back. What a killed process had added up but not written, mendRollups() makes from the points.
 */
import type { Row } from './gather.ts'
import { COLUMNS, type Entity } from './metrics.ts'
import type { RowWriter } from './rowbinary.ts'
import { storedValue } from './stored.ts'
import {
  ENTITY_NAMES,
  perEntity,
  ROLLUP_SECONDS,
  type Rollup,
  rollupColumns,
  rollupTable,
  storedType,
} from './tables/points.ts'
import type { Writer } from './writer.ts'

interface Part {
  cluster: string
  node: string
  instance: string
  /** End of the bucket. */
  timeMs: number
  rows: number
  /** sum, count, min, max of each column. */
  sums: Float64Array
}

const COLUMN_NAMES = perEntity(entity => rollupColumns(entity).map(c => c.name))
const WIDE = perEntity(entity => COLUMNS[entity].map(m => storedType(m) === 'Int64'))

const GRACE_MS = 15_000
/** A part of an hour is written at most so often. */
const HOUR_PART_MS = 300_000

export class Rollups {
  readonly #writer: Writer
  readonly #minutes = perEntity(() => new Map<string, Part>())
  readonly #hours = perEntity(() => new Map<string, Part>())
  #hoursWrittenMs = 0

  constructor(writer: Writer) {
    this.#writer = writer
  }

  /** Adds a point that the database has. */
  add(row: Row, arena: Float64Array): void {
    const part = this.#part(this.#minutes, row.entity, '1m', {
      cluster: row.origin.cluster,
      node: row.origin.node,
      instance: row.instance,
      timeMs: row.timeMs,
    })
    part.rows++
    const columns = COLUMNS[row.entity]
    for (let i = 0; i < columns.length; i++) {
      const value = storedValue(row.entity, i, arena[row.offset + i] ?? Number.NaN)
      if (Number.isNaN(value)) continue
      addTo(part.sums, i, value, 1, value, value)
    }
  }

  /** Writes the minutes that are over, and now and then the hours; all of both with `all`. */
  async write(nowMs: number, all = false): Promise<void> {
    const hours = all || nowMs - this.#hoursWrittenMs >= HOUR_PART_MS
    if (hours) this.#hoursWrittenMs = nowMs
    await Promise.all(
      ENTITY_NAMES.flatMap(entity => [
        this.#writeMinutes(entity, all ? Number.POSITIVE_INFINITY : nowMs - GRACE_MS),
        hours ? this.#writeParts(entity, '1h', this.#hours[entity], [...this.#hours[entity].keys()]) : undefined,
      ]),
    )
  }

  /** Minutes are added to their hour as they are written. */
  #writeMinutes(entity: Entity, untilMs: number): Promise<void> | undefined {
    const over: string[] = []
    for (const [key, part] of this.#minutes[entity]) {
      if (part.timeMs > untilMs) continue
      over.push(key)
      const hour = this.#part(this.#hours, entity, '1h', part)
      hour.rows += part.rows
      for (let i = 0; i < part.sums.length / 4; i++) {
        const [sum = 0, count = 0, min = 0, max = 0] = part.sums.subarray(4 * i, 4 * i + 4)
        if (count > 0) addTo(hour.sums, i, sum, count, min, max)
      }
    }
    return this.#writeParts(entity, '1m', this.#minutes[entity], over)
  }

  #writeParts(
    entity: Entity,
    rollup: Rollup,
    parts: Map<string, Part>,
    keys: readonly string[],
  ): Promise<void> | undefined {
    if (keys.length === 0) return undefined
    return this.#writer.append(rollupTable(entity, rollup), COLUMN_NAMES[entity], to => {
      for (const key of keys) {
        const part = parts.get(key)
        if (part !== undefined) writePart(to, entity, part)
        parts.delete(key)
      }
    })
  }

  #part(
    of: Readonly<Record<Entity, Map<string, Part>>>,
    entity: Entity,
    rollup: Rollup,
    row: Pick<Part, 'cluster' | 'node' | 'instance' | 'timeMs'>,
  ): Part {
    const bucketMs = ROLLUP_SECONDS[rollup] * 1000
    const timeMs = Math.ceil(row.timeMs / bucketMs) * bucketMs
    const key = `${timeMs}\0${row.cluster}\0${row.node}\0${row.instance}`
    const known = of[entity].get(key)
    if (known !== undefined) return known
    const { cluster, node, instance } = row
    const part = { cluster, node, instance, timeMs, rows: 0, sums: new Float64Array(4 * COLUMNS[entity].length) }
    of[entity].set(key, part)
    return part
  }
}

function addTo(sums: Float64Array, column: number, sum: number, count: number, min: number, max: number): void {
  const at = 4 * column
  const before = sums[at + 1] ?? 0
  sums[at] = (sums[at] ?? 0) + sum
  sums[at + 1] = before + count
  sums[at + 2] = before === 0 ? min : Math.min(sums[at + 2] ?? 0, min)
  sums[at + 3] = before === 0 ? max : Math.max(sums[at + 3] ?? 0, max)
}

function writePart(to: RowWriter, entity: Entity, part: Part): void {
  to.string(part.cluster)
  to.string(part.node)
  if (entity !== 'node') to.string(part.instance)
  to.dateTime(part.timeMs)
  to.i64(part.rows)
  const { sums } = part
  WIDE[entity].forEach((wide, i) => {
    const count = sums[4 * i + 1] ?? 0
    const none = count === 0 ? 1 : 0
    to.u8(none)
    if (none === 0) to.i64(sums[4 * i] ?? 0)
    to.i64(count)
    for (const at of [4 * i + 2, 4 * i + 3]) {
      to.u8(none)
      if (none === 1) continue
      if (wide) to.i64(sums[at] ?? 0)
      else to.i32(sums[at] ?? 0)
    }
  })
  to.endRow()
}
