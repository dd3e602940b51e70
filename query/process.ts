/** GET /process: one process over time. */
import type { ProcessDetail, ProcessRow } from './api.ts'
import { numbers, numbersOrNull } from './asker.ts'
import type { ProcessAsk } from './asks.ts'
import { shareRows } from './categories.ts'
import type { Desk } from './desk.ts'
import { notFound, type QueryError } from './errors.ts'
import { readInterval } from './interval.ts'
import { bucketOf } from './points.ts'
import { readRows } from './processes.ts'
import { processesOf, resolveScope, samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'
import { type Grid, layGrid } from './window.ts'

export async function readProcess(desk: Desk, ask: ProcessAsk): Promise<ProcessDetail> {
  const asked = await resolveScope(desk.asker, desk.known, ask)
  const process = (await readWho(desk, asked)) ?? (await readJustStarted(desk, asked))
  if (!process) throw await notThere(desk, asked)
  const target = { ...asked, start: process.start }
  const profile = await desk.profile(target)
  const grid = layGrid(target, {
    buckets: ask.buckets ?? 300,
    intervalMs: await readInterval(desk, target),
    rowsPerTick: 1,
    nowMs: desk.asker.nowMs,
  })
  return {
    cluster: target.cluster,
    from: grid.from,
    to: grid.to,
    bucketMs: grid.bucketMs,
    process: { ...process, sampled: profile.ns.length > 0 },
    series: await readLife(desk, target, grid),
    categories: shareRows(profile),
  }
}

async function readWho(desk: Desk, target: Target): Promise<ProcessRow | undefined> {
  const [row] = await readRows(desk, target, 'newest', 1)
  return row ? { ...row, sampled: false } : readUnseen(desk, target)
}

/**
 * A page that follows asks up to the last whole step, and a link to what the live line has just told of is followed within
 * it: the process is known, its figures come with the next step.
 */
async function readJustStarted(desk: Desk, target: Target): Promise<ProcessRow | undefined> {
  const { nowMs } = desk.asker
  if (target.rowsTo < nowMs - JUST_MS || target.rowsTo >= nowMs) return undefined
  return readWho(desk, { ...target, from: target.rowsTo, rowsTo: nowMs })
}

const JUST_MS = 60_000

/** One that was never among the top processes of a tick, but was met by the sampler. */
async function readUnseen(desk: Desk, target: Target): Promise<ProcessRow | undefined> {
  const rows = await desk.asker.rows<
    Pick<ProcessRow, 'node' | 'pid' | 'start' | 'name' | 'job' | 'evidence' | 'first' | 'last'>
  >(
    'process by samples',
    sql`SELECT toString(node) AS node, pid, toFloat64(start_ms) AS start, argMax(process, time) AS name, argMax(s.job, time) AS job,
          argMax(s.evidence, time) AS evidence, min(toUnixTimestamp(time)) * 1000. AS first, max(toUnixTimestamp(time)) * 1000. AS last
        FROM (SELECT * FROM samples WHERE ${samplesOf(target)}) AS s GROUP BY node, pid, start_ms ORDER BY last DESC LIMIT 1`,
  )
  const nothing = {
    cpuUser: null,
    cpuSystem: null,
    memoryBytes: null,
    readBytes: null,
    writeBytes: null,
    threads: null,
    cpuDelay: null,
    diskDelay: null,
    numaNode: null,
    gpuUtilization: null,
    gpuMemoryBytes: null,
    ended: null,
  }
  const unsaid = { command: '', user: '', step: '', rank: null, state: '', executable: '', container: '' }
  return rows[0] && { ...rows[0], ...nothing, ...unsaid, sampled: true }
}

async function notThere(desk: Desk, target: Target): Promise<QueryError> {
  const age = target.start === undefined ? undefined : desk.asker.nowMs - target.start
  if (age !== undefined && age >= 0 && age < JUST_MS) {
    return notFound(
      `process ${target.pid} started ${Math.ceil(age / 1000)} s ago on ${target.nodes?.join(', ')} and was not measured yet: its first figures come with the node's next tick, ask again then`,
    )
  }
  const rows = await readRows(desk, { ...target, pid: undefined, start: undefined }, 'cpu', 5)
  const names = rows.map(row => `${row.pid} (${row.name})`).join(', ')
  const start = target.start === undefined ? '' : ` started at ${target.start}`
  const busiest = names === '' ? 'No process is known there then' : `Busiest there then: ${names}`
  return notFound(
    `process ${target.pid}${start} is not known on ${target.nodes?.join(', ')} in this window. ${busiest}; /processes lists them.`,
  )
}

const SERIES = [
  'cpuUser',
  'cpuSystem',
  'memoryBytes',
  'readBytes',
  'writeBytes',
  'threads',
  'cpuDelay',
  'diskDelay',
  'gpuUtilization',
  'gpuMemoryBytes',
] as const

/** Means over the ticks of a bucket, so a process that lived for a part of it shows what it did while it lived. */
async function readLife(desk: Desk, target: Target, grid: Grid): Promise<ProcessDetail['series']> {
  const [buckets, ...columns] = await desk.asker.columns(
    'process over time',
    sql`SELECT ${bucketOf({ ...grid, rollup: '' })} AS bucket, avg(cpu_user), avg(cpu_system), toFloat64(max(memory_bytes)),
          avg(read_bytes), avg(write_bytes), max(threads), avg(cpu_delay), avg(disk_delay), avg(gpu_utilization),
          toFloat64(max(gpu_memory_bytes))
        FROM processes WHERE ${processesOf({ ...target, from: grid.from, rowsTo: grid.to })} GROUP BY bucket`,
  )
  const at = numbers(buckets)
  return Object.fromEntries(
    SERIES.map((name, i) => {
      const values = new Array<number | null>(grid.count).fill(null)
      const cells = numbersOrNull(columns[i])
      at.forEach((bucket, row) => {
        if (bucket >= 0 && bucket < grid.count) values[bucket] = cells[row] ?? null
      })
      return [name, values]
    }),
  )
}
