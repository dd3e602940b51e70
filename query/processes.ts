/** GET /processes: the processes of a window, the heaviest first, and what the rest of them used. */
import type { Processes, ProcessRow } from './api.ts'
import type { ProcessesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { processesOf, resolveScope, samplesOf, type Target } from './scope.ts'
import { list, type Sql, sql } from './sql.ts'

/** Seconds. */
const HOUR = 3600

interface Key {
  node: string
  pid: number
  start: number
}

interface Ranked extends Key {
  cores: number
  /** Seconds: its last tick, and the last that a job was found for. */
  lastTick: number
  lastOfJob: number
  /** Of all processes of the target. */
  all: number
  allCores: number
}

type Row = Omit<ProcessRow, 'sampled'>
type Names = Key &
  Pick<Row, 'name' | 'command' | 'user' | 'job' | 'step' | 'evidence' | 'state' | 'executable' | 'container'>
type Measures = Omit<Row, Exclude<keyof Names, keyof Key>>

/** A rate over the time in which it was told. */
const meanOf = (column: Sql): Sql =>
  sql`sum(${column} * (interval_ms / 1000)) / sumIf(interval_ms / 1000, isNotNull(${column}))`

/** What a process is ranked by. */
const SORT = {
  cpu: sql`cores`,
  memory: sql`max(memory_bytes)`,
  read: meanOf(sql`read_bytes`),
  write: meanOf(sql`write_bytes`),
  newest: sql`max(time)`,
} as const satisfies Record<string, Sql>
type Sort = keyof typeof SORT

/** Seconds that a mean over the window is taken of: the part of it that has been. */
const secondsOf = (target: Target, nowMs: number): number =>
  Math.max(1, (Math.min(target.rowsTo, Math.max(nowMs, target.from)) - target.from) / 1000)

/** Who they are, by numbers alone; names and commands are read of those that are shown. */
const rank = (desk: Desk, target: Target, sort: Sort, limit: number): Promise<Ranked[]> =>
  desk.asker.rows<Ranked>(
    'processes ranked',
    sql`SELECT toString(node) AS node, pid, toFloat64(start_ms) AS start, toUInt32(count() OVER ()) AS all, cores,
          toUnixTimestamp(max(time)) AS lastTick, toUnixTimestamp(maxIf(time, job != '')) AS lastOfJob,
          sum(cores) OVER () AS allCores, ifNull(${SORT[sort]}, -1) AS place,
          sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * (interval_ms / 1000)) / ${secondsOf(target, desk.asker.nowMs)} AS cores
        FROM processes WHERE ${processesOf(target)} GROUP BY node, pid, start_ms
        ORDER BY place DESC, cores DESC, node, pid, start LIMIT ${limit}`,
  )

/** In the order of the ranking. */
export async function readRows(
  desk: Desk,
  target: Target,
  sort: Sort,
  limit: number,
): Promise<{ rows: Row[]; ranked: Ranked[] }> {
  const ranked = await rank(desk, target, sort, limit)
  if (ranked.length === 0) return { rows: [], ranked }
  const [measures, names] = await Promise.all([measure(desk, target, ranked), describe(desk, target, ranked)])
  const measured = new Map(measures.map(row => [keyOf(row), row]))
  const named = new Map(names.map(row => [keyOf(row), row]))
  return {
    rows: ranked.flatMap(key => {
      const [row, name] = [measured.get(keyOf(key)), named.get(keyOf(key))]
      return row && name ? [{ ...row, ...name }] : []
    }),
    ranked,
  }
}

const distinct = <T>(values: readonly T[]) => [...new Set(values)]
/** The tables are sorted by hour: of the hours that these seconds are in. */
const inHoursOf = (ends: readonly number[]): Sql =>
  sql`toStartOfHour(time) IN (${list(
    distinct(ends.map(second => Math.floor(second / HOUR) * HOUR)).map(second => sql`toDateTime(${second}, 'UTC')`),
  )})`

/** A few more than asked: those whose node, pid and start each occur in the ranking. */
const among = (keys: readonly Key[]): Sql =>
  sql`node IN ${distinct(keys.map(k => k.node))} AND pid IN ${distinct(keys.map(k => k.pid))} AND start_ms IN ${distinct(keys.map(k => k.start))}`

/** What they are called, which is text and costs as much to read as all their numbers: as their last ticks say. */
function describe(desk: Desk, target: Target, keys: readonly Ranked[]): Promise<Names[]> {
  const ticks = distinct(keys.flatMap(key => [key.lastTick, key.lastOfJob]).filter(second => second > 0))
  return desk.asker.rows<Names>(
    'names of processes',
    sql`SELECT toString(p.node) AS node, p.pid AS pid, toFloat64(start_ms) AS start, argMax(p.name, time) AS name, argMax(p.command, time) AS command,
          argMax(p.user, time) AS user, argMax(p.job, (p.job != '', time)) AS job, argMax(p.step, (p.job != '', time)) AS step,
          argMax(p.evidence, (p.job != '', time)) AS evidence, argMax(p.state, time) AS state,
          argMax(p.executable, (p.executable != '', time)) AS executable, argMax(p.container, (p.container != '', time)) AS container
        FROM (SELECT * FROM processes WHERE ${processesOf(target)} AND ${among(keys)}
            AND ${inHoursOf(ticks)} AND toUnixTimestamp(time) IN ${ticks}) AS p
        GROUP BY p.node, p.pid, start_ms`,
  )
}

function measure(desk: Desk, target: Target, keys: readonly Key[]): Promise<Measures[]> {
  const seconds = secondsOf(target, desk.asker.nowMs)
  return desk.asker.rows<Measures>(
    'processes',
    sql`SELECT toString(p.node) AS node, p.pid AS pid, toFloat64(start_ms) AS start, argMax(p.rank, time) AS rank,
          toUnixTimestamp(min(time)) * 1000. AS first, toUnixTimestamp(max(time)) * 1000. AS last,
          sum(cpu_user * (interval_ms / 1000)) / ${seconds} AS cpuUser, sum(cpu_system * (interval_ms / 1000)) / ${seconds} AS cpuSystem,
          toFloat64(max(memory_bytes)) AS memoryBytes, ${SORT.read} AS readBytes, ${SORT.write} AS writeBytes,
          max(p.threads) AS threads, ${meanOf(sql`cpu_delay`)} AS cpuDelay, ${meanOf(sql`disk_delay`)} AS diskDelay,
          argMax(p.numa_node, time) AS numaNode, ${meanOf(sql`gpu_utilization`)} AS gpuUtilization,
          toFloat64(max(gpu_memory_bytes)) AS gpuMemoryBytes,
          if(isNull(max(p.ended)), NULL, round(sum(p.ended * (interval_ms / 1000)))) AS ended
        FROM (SELECT * FROM processes WHERE ${processesOf(target)} AND ${among(keys)}) AS p GROUP BY p.node, p.pid, start_ms`,
  )
}

export async function readProcesses(desk: Desk, ask: ProcessesAsk): Promise<Processes> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const { rows, ranked } = await readRows(desk, target, ask.sort ?? 'cpu', ask.limit ?? 20)
  const sampled = await readSampled(desk, target, rows)
  const all = ranked[0]?.all ?? 0
  const listed = ranked.reduce((sum, { cores }) => sum + cores, 0)
  return {
    cluster: target.cluster,
    from: target.from,
    to: target.to,
    processes: rows.map(row => ({ ...row, sampled: sampled.has(keyOf(row)) })),
    total: all,
    other: { cpu: Math.max(0, (ranked[0]?.allCores ?? 0) - listed), count: all - ranked.length },
  }
}

const keyOf = (row: Key): string => `${row.node}\n${row.pid}\n${row.start}`

/**
 * Which of these have stacks in the window. Most that have any have some in the hour of their last tick, so the others alone are
 * looked for in all of it. Their jobs are named, since samples are ordered by job.
 */
async function readSampled(desk: Desk, target: Target, rows: readonly Row[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const found = await readSampledIn(desk, target, rows, inHoursOf(rows.map(row => row.last / 1000)))
  const others = rows.filter(row => !found.has(keyOf(row)))
  if (others.length === 0 || target.to - target.from <= HOUR * 1000) return found
  return new Set([...found, ...(await readSampledIn(desk, target, others, sql`true`))])
}

async function readSampledIn(desk: Desk, target: Target, rows: readonly Row[], when: Sql): Promise<Set<string>> {
  const nodes = distinct(rows.map(row => row.node))
  const found = await desk.asker.rows<Key>(
    'sampled',
    sql`SELECT DISTINCT toString(node) AS node, pid, toFloat64(start_ms) AS start FROM samples
        WHERE ${samplesOf({ ...target, namedNodes: nodes, user: undefined })} AND ${when}
          AND pid IN ${distinct(rows.map(row => row.pid))} AND job IN ${distinct(rows.map(row => row.job).concat(''))}`,
  )
  return new Set(found.map(keyOf))
}
