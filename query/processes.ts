/** GET /processes: the processes of a window, the heaviest first, and what the rest of them used. */
import type { Processes, ProcessRow } from './api.ts'
import type { ProcessesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { type ProcessTable, tableOf, widen } from './processtable.ts'
import { processesOf, resolveScope, samplesOf, type Target } from './scope.ts'
import { list, oneOf, type Sql, sql } from './sql.ts'

/** Seconds. */
const HOUR = 3600

interface Key {
  node: string
  pid: number
  start: number
}

interface Ranked extends Key {
  cores: number
  /** The last job that was found for it; '' for none. */
  ofJob: string
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

/** What a process is ranked by. */
const SORT = {
  cpu: () => sql`cores`,
  memory: ({ memory }) => memory,
  read: ({ read }) => read,
  write: ({ write }) => write,
  newest: ({ last }) => last,
} as const satisfies Record<string, (table: ProcessTable) => Sql>
type Sort = keyof typeof SORT

/** Seconds that a mean over the window is taken of: the part of it that has been. */
const secondsOf = (target: Target, nowMs: number): number =>
  Math.max(1, (Math.min(target.to, Math.max(nowMs, target.from)) - target.from) / 1000)

const readTable = async ({ asker, known }: Desk, target: Target): Promise<ProcessTable> =>
  tableOf(target, asker.nowMs, (await known.fivesSince(asker, target.cluster)).processes)

/** Who they are, by numbers alone; names and commands are read of those that are shown. */
const rank = (desk: Desk, target: Target, table: ProcessTable, sort: Sort, limit: number): Promise<Ranked[]> =>
  desk.asker.rows<Ranked>(
    'processes ranked',
    sql`SELECT toString(node) AS node, pid, toFloat64(start_ms) AS start, toUInt32(count() OVER ()) AS all, cores,
          toUnixTimestamp(${table.last}) AS lastTick, toUnixTimestamp(${table.lastOfJob}) AS lastOfJob, toString(${table.job}) AS ofJob,
          sum(cores) OVER () AS allCores, ifNull(${SORT[sort](table)}, -1) AS place,
          ${table.cores} / ${secondsOf(target, desk.asker.nowMs)} AS cores
        FROM ${table.name} AS p WHERE ${table.where} GROUP BY node, pid, start_ms
        ORDER BY place DESC, cores DESC, node, pid, start LIMIT ${limit}`,
  )

/** In the order of the ranking. */
export async function readRows(desk: Desk, target: Target, sort: Sort, limit: number): Promise<Row[]> {
  const table = await readTable(desk, target)
  return fill(desk, target, table, await rank(desk, target, table, sort, limit))
}

async function fill(desk: Desk, target: Target, table: ProcessTable, ranked: readonly Ranked[]): Promise<Row[]> {
  if (ranked.length === 0) return []
  const [measures, names] = await Promise.all([measure(desk, target, table, ranked), describe(desk, target, ranked)])
  const measured = new Map(measures.map(row => [keyOf(row), row]))
  return ranked.flatMap(key => {
    const [row, name] = [measured.get(keyOf(key)), names.get(keyOf(key))]
    return row && name ? [{ ...row, ...name }] : []
  })
}

const distinct = <T>(values: readonly T[]) => [...new Set(values)]
/** The tables are sorted by hour: of the hours that these seconds are in. */
const inHoursOf = (ends: readonly number[]): Sql =>
  sql`toStartOfHour(time) IN (${list(
    distinct(ends.map(second => Math.floor(second / HOUR) * HOUR)).map(second => sql`toDateTime(${second}, 'UTC')`),
  )})`

const nodesOf = (keys: readonly Key[]): Sql => oneOf(sql`node`, distinct(keys.map(key => key.node)))
/** A few more than asked: those whose node, pid and start each occur in the ranking. */
const among = (keys: readonly Key[]): Sql =>
  sql`${nodesOf(keys)} AND pid IN ${distinct(keys.map(k => k.pid))} AND start_ms IN ${distinct(keys.map(k => k.start))}`

/** What they are called, which is text and costs as much to read as all their numbers: as their last ticks say. */
async function describe(desk: Desk, target: Target, keys: readonly Ranked[]): Promise<Map<string, Names>> {
  const ticks = keys.flatMap(key => distinct([key.lastTick, key.lastOfJob]).map(second => ({ ...key, second })))
  const told = ticks.filter(({ second }) => second > 0)
  const seconds = distinct(told.map(({ second }) => second))
  const rows = await desk.asker.rows<Names>(
    'names of processes',
    sql`SELECT toString(p.node) AS node, pid, toFloat64(start_ms) AS start, name, command, user, job, step, evidence, state, executable, container
        FROM (SELECT * FROM processes WHERE ${processesOf(target)} AND ${nodesOf(keys)} AND ${inHoursOf(seconds)} AND toUnixTimestamp(time) IN ${seconds}
            AND concat(toString(node), ' ', toString(pid), ' ', toString(start_ms), ' ', toString(toUnixTimestamp(time)))
              IN ${told.map(({ node, pid, start, second }) => `${node} ${pid} ${start} ${second}`)}) AS p ORDER BY time`,
  )
  const named = new Map<string, Names>()
  for (const row of rows) {
    const before = named.get(keyOf(row)) ?? row
    const { job, step, evidence } = row.job === '' ? before : row
    const executable = row.executable || before.executable
    const container = row.container || before.container
    named.set(keyOf(row), { ...row, job, step, evidence, executable, container })
  }
  return named
}

function measure(desk: Desk, target: Target, table: ProcessTable, keys: readonly Key[]): Promise<Measures[]> {
  const seconds = secondsOf(target, desk.asker.nowMs)
  return desk.asker.rows<Measures>(
    'processes',
    sql`SELECT toString(p.node) AS node, p.pid AS pid, toFloat64(start_ms) AS start, ${table.rank} AS rank,
          toUnixTimestamp(${table.first}) * 1000. AS first, toUnixTimestamp(${table.last}) * 1000. AS last,
          ${table.user} / ${seconds} AS cpuUser, ${table.system} / ${seconds} AS cpuSystem,
          toFloat64(${table.memory}) AS memoryBytes, ${table.read} AS readBytes, ${table.write} AS writeBytes,
          ${table.threads} AS threads, ${table.cpuDelay} AS cpuDelay, ${table.diskDelay} AS diskDelay,
          ${table.numaNode} AS numaNode, ${table.gpuUtilization} AS gpuUtilization, toFloat64(${table.gpuMemory}) AS gpuMemoryBytes,
          round(${table.ended}) AS ended
        FROM (SELECT * FROM ${table.name} WHERE ${table.where} AND ${among(keys)}) AS p GROUP BY p.node, p.pid, start_ms`,
  )
}

export async function readProcesses(desk: Desk, ask: ProcessesAsk): Promise<Processes> {
  const target = widen(await resolveScope(desk.asker, desk.known, ask), desk.asker.nowMs)
  const table = await readTable(desk, target)
  const ranked = await rank(desk, target, table, ask.sort ?? 'cpu', ask.limit ?? 20)
  const [rows, sampled] = await Promise.all([fill(desk, target, table, ranked), readSampled(desk, target, ranked)])
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
async function readSampled(desk: Desk, target: Target, rows: readonly Ranked[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const found = await readSampledIn(desk, target, rows, inHoursOf(rows.map(row => row.lastTick)))
  const others = rows.filter(row => !found.has(keyOf(row)))
  if (others.length === 0 || target.to - target.from <= HOUR * 1000) return found
  return new Set([...found, ...(await readSampledIn(desk, target, others, sql`true`))])
}

async function readSampledIn(desk: Desk, target: Target, rows: readonly Ranked[], when: Sql): Promise<Set<string>> {
  const nodes = distinct(rows.map(row => row.node))
  const found = await desk.asker.rows<Key>(
    'sampled',
    sql`SELECT DISTINCT toString(node) AS node, pid, toFloat64(start_ms) AS start FROM samples
        WHERE ${samplesOf({ ...target, namedNodes: nodes, user: undefined })} AND ${when}
          AND pid IN ${distinct(rows.map(row => row.pid))} AND job IN ${distinct(rows.map(row => row.ofJob).concat(''))}`,
  )
  return new Set(found.map(keyOf))
}
