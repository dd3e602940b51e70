/**
 * Where it is told what processes did in a window: their ticks, or what the store adds up of each in five minutes.
 *
 *   asked     9:22:10 |--------------------------------------| 20:13:40   of hours: up to five minutes wider, as functions are
 *   read    9:20 |  a row of five minutes for 30 of ticks      | 20:15
 *
 *   a job     9:22:10 |----------------|  9:57:20                          its own time, not rounded: a row belongs to the window
 *   read    9:20 |  ..|                | ..|  10:00                        where the first tick in it lies
 */
import { ownProcesses } from './reach.ts'
import { processesOf, spanOf, type Target, whichProcesses, within } from './scope.ts'
import { and, type Sql, sql } from './sql.ts'
import { down, FIVE, up, type Window } from './window.ts'

/** One of the two tables, and its columns as figures of a group of rows; `p` is what the rows are called. */
export interface ProcessTable {
  name: Sql
  where: Sql
  first: Sql
  last: Sql
  /** The last tick that a job was found for. */
  lastOfJob: Sql
  /** That job; '' where none was found. */
  job: Sql
  /** Core seconds. */
  cores: Sql
  user: Sql
  system: Sql
  memory: Sql
  read: Sql
  write: Sql
  rank: Sql
  threads: Sql
  cpuDelay: Sql
  diskDelay: Sql
  numaNode: Sql
  gpuUtilization: Sql
  gpuMemory: Sql
  ended: Sql
}

type Figures = Omit<ProcessTable, 'name' | 'where'>

/** A rate over the time in which it was told. */
const meanOf = (column: Sql): Sql =>
  sql`sum(${column} * (interval_ms / 1000)) / sumIf(interval_ms / 1000, isNotNull(${column}))`

const TICKS: Figures = {
  first: sql`min(time)`,
  last: sql`max(time)`,
  lastOfJob: sql`maxIf(time, p.job != '')`,
  job: sql`argMaxIf(p.job, time, p.job != '')`,
  cores: sql`sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000))`,
  user: sql`sum(cpu_user * (interval_ms / 1000))`,
  system: sql`sum(cpu_system * (interval_ms / 1000))`,
  memory: sql`max(memory_bytes)`,
  read: meanOf(sql`read_bytes`),
  write: meanOf(sql`write_bytes`),
  rank: sql`argMax(p.rank, time)`,
  threads: sql`max(p.threads)`,
  cpuDelay: meanOf(sql`cpu_delay`),
  diskDelay: meanOf(sql`disk_delay`),
  numaNode: sql`argMax(p.numa_node, time)`,
  gpuUtilization: meanOf(sql`gpu_utilization`),
  gpuMemory: sql`max(gpu_memory_bytes)`,
  ended: sql`sum(p.ended * (interval_ms / 1000))`,
}

/** Of a sum, and how many ms it was told for. */
const rateOf = (sum: Sql, ms: Sql): Sql => sql`sum(${sum}) / nullIf(sum(${ms}) / 1000, 0)`
const told = (ms: Sql, value: Sql): Sql => sql`if(sum(${ms}) = 0, NULL, ${value})`

const FIVES: Figures = {
  first: sql`min(p.first)`,
  last: sql`max(p.last)`,
  lastOfJob: sql`maxIf(p.last, p.job != '')`,
  job: sql`argMaxIf(p.job, p.last, p.job != '')`,
  cores: sql`sum(cpu_seconds)`,
  user: told(sql`user_ms`, sql`greatest(0, sum(cpu_seconds) - sum(system_seconds))`),
  system: told(sql`system_ms`, sql`sum(system_seconds)`),
  memory: told(sql`memory_ms`, sql`max(memory_max)`),
  read: rateOf(sql`read_bytes`, sql`read_ms`),
  write: rateOf(sql`write_bytes`, sql`write_ms`),
  rank: sql`argMax(p.rank, p.last)`,
  threads: sql`nullIf(max(p.threads), 0)`,
  cpuDelay: rateOf(sql`cpu_delay_seconds`, sql`cpu_delay_ms`),
  diskDelay: rateOf(sql`disk_delay_seconds`, sql`disk_delay_ms`),
  numaNode: sql`argMax(p.numa_node, p.last)`,
  gpuUtilization: rateOf(sql`gpu_seconds`, sql`gpu_ms`),
  gpuMemory: sql`max(gpu_memory_max)`,
  ended: sql`sum(p.ended)`,
}

/** Of a shorter one the ticks are as quick. */
const LEAST = 1_800_000
const LONG = 6 * 3_600_000

/** `fivesSince`: see known.ts. */
export function tableOf(target: Target, nowMs: number, fivesSince: number): ProcessTable {
  const { from, rowsTo, own } = target
  if (!isOfFives(target, nowMs, fivesSince)) {
    return { ...TICKS, name: sql`processes`, where: processesOf(target) }
  }
  const begins = sql`first > toDateTime(${Math.floor(from / 1000)}, 'UTC') AND first <= toDateTime(${Math.floor(rowsTo / 1000)}, 'UTC')`
  const cells = within({ from, to: up(rowsTo, FIVE) })
  return {
    ...FIVES,
    name: sql`processes_5m`,
    where: and([whichProcesses(target), cells, begins, ownProcesses(own, sql`first`)]),
  }
}

/** Whether rows of five minutes tell the same as the ticks do. */
function isOfFives({ from, rowsTo, job, rank }: Target, nowMs: number, since: number): boolean {
  const span = job && spanOf(job, nowMs)
  const begins = from === down(from, FIVE) || (span !== undefined && from <= span.from)
  const ends = rowsTo === up(rowsTo, FIVE) || rowsTo >= nowMs || (span !== undefined && rowsTo >= span.to)
  // A row's rank is the last of it.
  return rowsTo - from >= LEAST && rank === undefined && from >= since && begins && ends
}

/** A window of hours as whole five minutes, but not beyond its job. */
export function widen(target: Target, nowMs: number): Target {
  const { from, to, rowsTo, job } = target
  if (to - from < LONG || target.rank !== undefined) return target
  const span: Window = job ? spanOf(job, nowMs) : { from: 0, to: Number.POSITIVE_INFINITY }
  const end = (ms: number) => (ms < span.to ? Math.min(up(ms, FIVE), span.to) : ms)
  return {
    ...target,
    from: from > span.from ? Math.max(down(from, FIVE), span.from) : from,
    to: Math.min(end(to), Math.max(to, nowMs)),
    rowsTo: end(rowsTo),
  }
}
