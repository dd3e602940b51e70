/**
 * Sums of functions over hours, from what the store adds up as samples come in: minutes of each process, and five minutes and
 * hours of all nodes of a job together. The coarsest that fits is read; what is left at the edges from the finer ones.
 *
 *   asked     9:22 |---------------------------------------------| 14:13
 *   read      9:20 |· five ·|10:00      hours          14:00|five| 14:15
 *
 * An hour of 125 nodes is 1.8 million rows by minute; by five minutes twelve a function, and one as an hour.
 */
import { type Asker, numbers, strings } from './asker.ts'
import { spanOf, type Target, whoOf } from './scope.ts'
import { and, join, type Sql, sql } from './sql.ts'
import { down, FIVE, up, type Window } from './window.ts'

/** Parallel lists; ns. */
export interface FunctionSums {
  ids: string[]
  self: number[]
  total: number[]
  /** Behind self. */
  samples: number[]
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/**
 * A window of hours may well be some minutes wider, but not beyond its job: a minute before a job began its id may have been
 * another's, or its own before it was queued again.
 */
export function roundOut(target: Target, nowMs: number): Target {
  const own = wholeTime(target, nowMs)
  const first = own !== undefined && target.from > own.from ? Math.max(down(target.from, FIVE), own.from) : target.from
  const last = (end: number) => (own !== undefined && end < own.to ? Math.min(up(end, FIVE), own.to) : end)
  return {
    ...target,
    from: down(first, MINUTE),
    to: up(Math.min(last(target.to), Math.max(target.to, nowMs)), MINUTE),
    rowsTo: up(last(target.rowsTo), MINUTE),
  }
}

/**
 * Idle stacks are in none of these tables, and neither are bursts; all name a time by its end. Minutes have the reader's limits;
 * the others are a job's that was found for the reader, in its own time. `fivesSince`: see known.ts.
 */
export async function readSums(asker: Asker, target: Target, fivesSince: number): Promise<FunctionSums> {
  const { minutes, fives, hours } = cutWindow(target, wholeTime(target, asker.nowMs), fivesSince)
  const { cluster, job } = target
  const ofJob = [sql`cluster = ${cluster}`, job && sql`job IN ${job.ids}`]
  const parts = [
    minutes.length > 0 &&
      sql`SELECT function_id, self, total, toUInt64(sample_count) AS samples FROM function_minutes
        WHERE ${whoOf(target, sql`minute`)} AND ${endsIn(minutes, sql`minute`)}`,
    fives.length > 0 &&
      sql`SELECT function_id, self, total, self_count AS samples FROM functions_5m
        WHERE ${and([...ofJob, endsIn(fives, sql`time`)])}`,
    hours.length > 0 &&
      sql`SELECT function_id, self, total, self_count AS samples FROM function_hours
        WHERE ${and([...ofJob, sql`event = 'cpu'`, endsIn(hours, sql`hour`)])}`,
  ].filter(part => part !== false)
  const whole = fives.length + hours.length > 0
  const [ids, self, total, samples] = await (whole ? asker.unlimited() : asker).columns(
    'functions',
    sql`SELECT toString(function_id), toFloat64(sum(self)), toFloat64(sum(total)), toFloat64(sum(samples))
        FROM (${join(parts, sql` UNION ALL `)}) GROUP BY function_id`,
  )
  return { ids: strings(ids), self: numbers(self), total: numbers(total), samples: numbers(samples) }
}

const endsIn = (windows: readonly Window[], time: Sql): Sql =>
  sql`(${join(
    windows.map(
      ({ from, to }) =>
        sql`(${time} > toDateTime(${from / 1000}, 'UTC') AND ${time} <= toDateTime(${to / 1000}, 'UTC'))`,
    ),
    sql` OR `,
  )})`

/** Where all nodes and processes may be taken together; undefined: nowhere. */
function wholeTime({ job, own, namedNodes, pid, start, user }: Target, nowMs: number): Window | undefined {
  const parted = namedNodes !== undefined || pid !== undefined || start !== undefined || user !== undefined
  if (parted || (job === undefined && own !== undefined)) return undefined
  return job === undefined ? { from: 0, to: Number.POSITIVE_INFINITY } : spanOf(job, nowMs)
}

interface Cut {
  minutes: Window[]
  fives: Window[]
  hours: Window[]
}

/** Pure. Every moment of the target is in one of the windows. */
export function cutWindow(
  { from, rowsTo }: Pick<Target, 'from' | 'rowsTo'>,
  own: Window | undefined,
  fivesSince: number,
): Cut {
  const asked = { from, to: rowsTo }
  if (own === undefined) return { minutes: [asked], fives: [], hours: [] }
  const hours = wholeIn(asked, own, HOUR)
  const around = without(asked, hours)
  const since = { from: Math.max(own.from, fivesSince), to: own.to }
  const fives = around.map(window => wholeIn(window, since, FIVE))
  const minutes = around.flatMap((window, i) => without(window, fives[i]))
  return { minutes, fives: fives.filter(window => window !== undefined), hours: hours ? [hours] : [] }
}

/** The longest of whole steps in both. */
function wholeIn(a: Window, b: Window, step: number): Window | undefined {
  const from = up(Math.max(a.from, b.from), step)
  const to = down(Math.min(a.to, b.to), step)
  return to > from ? { from, to } : undefined
}

const without = ({ from, to }: Window, inner: Window | undefined): Window[] =>
  (inner === undefined
    ? [{ from, to }]
    : [
        { from, to: inner.from },
        { from: inner.to, to },
      ]
  ).filter(window => window.to > window.from)
