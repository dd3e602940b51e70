/**
 * GET /functions: the function table. Of a short window from its stacks, which the flame graph beside it needs anyway; of a
 * long one from the functions a minute and an hour that ingest adds up: they need no stacks, and they are kept when samples are
 * gone. All give the same.
 *
 *   asked        9:20 |--------------------------------------| 14:10
 *   read from    minutes |  10:00   hours of the job   14:00 | minutes
 */
import type { Coverage, Functions } from './api.ts'
import { type Asker, numbers, strings } from './asker.ts'
import type { FunctionsAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { coverageOf, seconds, share } from './flame.ts'
import { readSampling } from './sampling.ts'
import { resolveScope, samplesOf, spanOf, type Target, whoOf } from './scope.ts'
import { and, type Sql, sql } from './sql.ts'
import { functionTotals, isUnnamedName, kindOf, NOT_STORED, type Profile, sumsOf } from './stacks.ts'
import type { Window } from './window.ts'

interface Row {
  function: string
  module: string
  kind: string
  /** Nanoseconds. */
  self: number
  total: number
  /** Behind self. */
  samples: number
}

const MINUTE = 60_000
const HOUR = 3_600_000
const LONG = 6 * HOUR

export async function readFunctions(desk: Desk, ask: FunctionsAsk): Promise<Functions> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const long = target.to - target.from >= LONG && target.burst === '' && target.rank === undefined && !ask.idle
  return long ? byMinutes(desk, wholeMinutes(target), ask) : byStacks(desk, target, ask)
}

async function byStacks(desk: Desk, target: Target, ask: FunctionsAsk): Promise<Functions> {
  const [profile, sampling] = await Promise.all([desk.profile(target), readSampling(desk.asker, target)])
  const idle = ask.idle ?? false
  const table = tableOf(rowsOf(profile, idle), sumsOf(profile, idle).ns, ask)
  return { cluster: target.cluster, ...table, coverage: coverageOf(target, profile, idle, sampling) }
}

const rowsOf = (profile: Profile, idle: boolean): Row[] =>
  functionTotals(profile, idle).map(row => ({
    function: profile.names[row.function] ?? '',
    module: profile.modules[row.function] ?? '',
    kind: kindOf(profile, row.function),
    self: row.self,
    total: row.total,
    samples: row.samples,
  }))

/** A window of hours may well be a minute wider. */
const wholeMinutes = (target: Target): Target => ({
  ...target,
  from: Math.floor(target.from / MINUTE) * MINUTE,
  to: Math.ceil(target.to / MINUTE) * MINUTE,
  rowsTo: Math.ceil(target.rowsTo / MINUTE) * MINUTE,
})

async function byMinutes(desk: Desk, target: Target, ask: FunctionsAsk): Promise<Functions> {
  const [rows, sampling, idleNs] = await Promise.all([
    readTotals(desk, target),
    readSampling(desk.asker, target),
    readIdle(desk.asker, target),
  ])
  const whole = rows.reduce((sum, row) => sum + row.self, 0)
  const unnamed = rows.filter(row => isUnnamedName(row.function))
  const coverage: Coverage = {
    from: target.from,
    to: target.to,
    samples: rows.reduce((sum, row) => sum + row.samples, 0),
    ...sampling,
    truncatedShare: share(rows.find(row => row.kind === 'truncated')?.total ?? 0, whole),
    unnamedShare: share(
      unnamed.reduce((sum, row) => sum + row.self, 0),
      whole,
    ),
    idleSeconds: seconds(idleNs),
  }
  return { cluster: target.cluster, ...tableOf(rows, whole, ask), coverage }
}

/**
 * Idle stacks are left out of minutes and hours, and so are bursts; both are named by their end, like all that has a time here.
 * Of the minutes the reader sees what is own; hours are a job's that was found for the reader, in its own time.
 */
async function readTotals({ asker, bodies }: Desk, target: Target): Promise<Row[]> {
  const { cluster, job, from, rowsTo: to } = target
  const hours = wholeHours(target, asker.nowMs)
  const minutes = hours
    ? sql`(${endsIn({ from, to: hours.from }, MINUTE_END)} OR ${endsIn({ from: hours.to, to }, MINUTE_END)})`
    : endsIn({ from, to }, MINUTE_END)
  const ofMinutes = sql`SELECT function_id, self, total, toUInt64(self_count) AS samples FROM function_minutes
    WHERE ${whoOf(target, MINUTE_END)} AND ${minutes}`
  const ofHours =
    hours &&
    sql`SELECT function_id, self, total, self_count AS samples FROM function_hours
    WHERE ${and([sql`cluster = ${cluster}`, job && sql`job IN ${job.ids}`, sql`event = 'cpu'`, endsIn(hours, sql`hour`)])}`
  const [ids, ...sums] = await (hours ? asker.unlimited() : asker).columns(
    'functions',
    sql`SELECT toString(function_id), toFloat64(sum(self)), toFloat64(sum(total)), toFloat64(sum(samples))
        FROM (${ofHours ? sql`${ofMinutes} UNION ALL ${ofHours}` : ofMinutes}) GROUP BY function_id`,
  )
  const functions = strings(ids)
  const names = await bodies().functions(asker, functions)
  const [self, total, samples] = sums.map(numbers)
  return functions.map((id, i) => ({
    ...(names.get(id) ?? { function: NOT_STORED, module: '', kind: 'other' }),
    self: self?.[i] ?? 0,
    total: total?.[i] ?? 0,
    samples: samples?.[i] ?? 0,
  }))
}

const MINUTE_END = sql`minute`
const endsIn = ({ from, to }: Window, time: Sql): Sql =>
  sql`(${time} > toDateTime(${from / 1000}, 'UTC') AND ${time} <= toDateTime(${to / 1000}, 'UTC'))`

/** Hours have neither nodes nor processes. In the job's own time only: before and after it, its id may be another's. */
function wholeHours(
  { job, own, namedNodes, pid, start, user, from, rowsTo }: Target,
  nowMs: number,
): Window | undefined {
  const parted = namedNodes !== undefined || pid !== undefined || start !== undefined || user !== undefined
  if (parted || (job === undefined && own !== undefined)) return undefined
  const span = job === undefined ? { from, to: rowsTo } : spanOf(job, nowMs)
  const first = Math.ceil(Math.max(from, span.from) / HOUR) * HOUR
  const end = Math.floor(Math.min(rowsTo, span.to) / HOUR) * HOUR
  return end > first ? { from: first, to: end } : undefined
}

/** Mostly nobody samples idle time; then there is no such stack and the samples need not be read. */
async function readIdle(asker: Asker, target: Target): Promise<number> {
  const stacks = sql`SELECT stack_id FROM stacks WHERE category = 'idle'`
  const some = await asker.rows('idle stacks', sql`${stacks} LIMIT 1`)
  if (some.length === 0) return 0
  const [row] = await asker.rows<{ ns: number }>(
    'idle time',
    sql`SELECT toFloat64(sum(value)) AS ns FROM samples WHERE ${samplesOf(target)} AND stack_id IN (${stacks})`,
  )
  return row?.ns ?? 0
}

/** What is searched for narrows the rows, never the shares. */
function tableOf(all: readonly Row[], whole: number, ask: FunctionsAsk): Omit<Functions, 'cluster' | 'coverage'> {
  const by = ask.sort ?? 'self'
  const wanted = ask.search?.toLowerCase() ?? ''
  const rows = all
    .filter(row => row.self > 0 || row.kind !== 'truncated')
    .filter(row => wanted === '' || `${row.function}\n${row.module}`.toLowerCase().includes(wanted))
    .sort((a, b) => b[by] - a[by] || b.total - a.total || (a.function < b.function ? -1 : 1))
  const listed = rows.slice(0, ask.limit ?? 100)
  const rest = rows.slice(listed.length)
  return {
    seconds: seconds(whole),
    functions: listed.map(row => ({
      function: row.function,
      module: row.module,
      kind: row.kind,
      self: seconds(row.self),
      total: seconds(row.total),
      selfShare: share(row.self, whole),
      totalShare: share(row.total, whole),
      samples: row.samples,
    })),
    other: { self: seconds(rest.reduce((sum, row) => sum + row.self, 0)), count: rest.length },
  }
}
