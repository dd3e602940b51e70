/** GET /processes: the processes of a window, the heaviest first, and what the rest of them used. */
import type { Processes, ProcessRow } from './api.ts'
import type { ProcessesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { processesOf, resolveScope, samplesOf, type Target } from './scope.ts'
import { type Sql, sql } from './sql.ts'

export interface Row extends Omit<ProcessRow, 'sampled'> {
  all: number
  allCores: number
}

/** Of the columns that are summed up below: what a sort key means. */
const SORT: Readonly<Record<'cpu' | 'memory' | 'read' | 'write', Sql>> = {
  cpu: sql`cores`,
  memory: sql`ifNull(memoryBytes, -1)`,
  read: sql`ifNull(readBytes, -1)`,
  write: sql`ifNull(writeBytes, -1)`,
}

/** Seconds that a mean over the window is taken of: the part of it that has been. */
const secondsOf = (target: Target, nowMs: number): number =>
  Math.max(1, (Math.min(target.rowsTo, Math.max(nowMs, target.from)) - target.from) / 1000)

export function readRows(desk: Desk, target: Target, sort: Sql, limit: number): Promise<Row[]> {
  const seconds = secondsOf(target, desk.asker.nowMs)
  return desk.asker.rows<Row>(
    'processes',
    sql`SELECT node, pid, start, name, command, user, job, step, rank, evidence, first, last,
          cpuUser, cpuSystem, memoryBytes, readBytes, writeBytes, threads, state, all, allCores
        FROM (
          SELECT toString(node) AS node, pid, toFloat64(start_ms) AS start, argMax(p.name, time) AS name, argMax(p.command, time) AS command,
            argMax(p.user, time) AS user, argMax(p.job, (p.job != '', time)) AS job, argMax(p.step, (p.job != '', time)) AS step,
            argMax(p.rank, time) AS rank, argMax(p.evidence, (p.job != '', time)) AS evidence,
            toUnixTimestamp(min(time)) * 1000. AS first, toUnixTimestamp(max(time)) * 1000. AS last,
            sum(cpu_user * (interval_ms / 1000)) / ${seconds} AS cpuUser, sum(cpu_system * (interval_ms / 1000)) / ${seconds} AS cpuSystem,
            toFloat64(max(memory_bytes)) AS memoryBytes,
            sum(read_bytes * (interval_ms / 1000)) / sumIf(interval_ms / 1000, isNotNull(read_bytes)) AS readBytes,
            sum(write_bytes * (interval_ms / 1000)) / sumIf(interval_ms / 1000, isNotNull(write_bytes)) AS writeBytes,
            max(p.threads) AS threads, argMax(p.state, time) AS state,
            ifNull(cpuUser, 0) + ifNull(cpuSystem, 0) AS cores,
            toUInt32(count() OVER ()) AS all, sum(cores) OVER () AS allCores
          FROM (SELECT * FROM processes WHERE ${processesOf(target)}) AS p
          GROUP BY node, pid, start_ms
        ) ORDER BY ${sort} DESC, cores DESC, node, pid, start LIMIT ${limit}`,
  )
}

export async function readProcesses(desk: Desk, ask: ProcessesAsk): Promise<Processes> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const rows = await readRows(desk, target, SORT[ask.sort ?? 'cpu'], ask.limit ?? 20)
  const sampled = await readSampled(desk, target, rows)
  const coresOf = (row: Row) => (row.cpuUser ?? 0) + (row.cpuSystem ?? 0)
  const all = rows[0]?.all ?? 0
  const listed = rows.reduce((sum, row) => sum + coresOf(row), 0)
  return {
    cluster: target.cluster,
    from: target.from,
    to: target.to,
    processes: rows.map(row => processRow(row, sampled.has(keyOf(row)))),
    total: all,
    other: { cpu: Math.max(0, (rows[0]?.allCores ?? 0) - listed), count: all - rows.length },
  }
}

const keyOf = (row: { node: string; pid: number; start: number }): string => `${row.node}\n${row.pid}\n${row.start}`

export function processRow({ all: _, allCores: __, ...row }: Row, sampled: boolean): ProcessRow {
  return { ...row, sampled }
}

/** Which of these have stacks in the window. Their jobs are named, since samples are ordered by job. */
async function readSampled(desk: Desk, target: Target, rows: readonly Row[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const pids = [...new Set(rows.map(row => row.pid))]
  const jobs = [...new Set(rows.map(row => row.job).concat(''))]
  const nodes = [...new Set(rows.map(row => row.node))]
  const found = await desk.asker.rows<{ node: string; pid: number; start: number }>(
    'sampled',
    sql`SELECT DISTINCT toString(node) AS node, pid, toFloat64(start_ms) AS start FROM samples
        WHERE ${samplesOf({ ...target, namedNodes: nodes, user: undefined })} AND pid IN ${pids} AND job IN ${jobs}`,
  )
  return new Set(found.map(keyOf))
}
