/**
 * What jobs did on their nodes within a window. Three witnesses, none of which sees all:
 *
 *   the job's control group   exact; where the scheduler makes one
 *   the node's own figures    exact, but of all that ran there
 *   its processes             only the top ones of each tick
 *
 * A job's cores are its control group's; without one at most what its listed processes used and what nobody listed used:
 *
 *   busy cores of the node    ████████████████████░░░░
 *   listed, of this job       ██████
 *   listed, of others               ████
 *   not listed                          ██████████         may be this job's too
 */
import { sql } from '../sql.ts'
import { type Reading, readTicks } from './points.ts'
import type { Windows } from './ticks.ts'

export interface Work {
  /** Cores: see above. */
  cores: number | null
  /** Core seconds of listed processes, in all and in the kernel. */
  listedSeconds: number
  kernelSeconds: number
  memoryBytes: number | null
  memoryLimitBytes: number | null
  /** Bytes a second. */
  readBytes: number
  writeBytes: number
}

/** node -> job id (as rows call it) -> work. Nodes that were not measured are not in it. */
export type WorkOf = ReadonlyMap<string, ReadonlyMap<string, Work>>

interface ByProcesses {
  node: string
  job: string
  seconds: number
  kernel: number
  memory: number | null
  read: number
  written: number
}

interface ByGroup {
  node: string
  job: string
  cores: number | null
  memory: number | null
  limit: number | null
  read: number | null
  written: number | null
}

/** What the three witnesses told, tick by tick. */
export interface Witnesses {
  processes: Windows
  groups: Windows
  nodes: Windows
}

/** What processes of a job did at a tick: core seconds, bytes. */
const OF_PROCESSES = {
  seconds: sql`sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * interval_ms) / 1000`,
  kernel: sql`sum(ifNull(cpu_system, 0) * interval_ms) / 1000`,
  memory: sql`toFloat64(sum(memory_bytes))`,
  read: sql`sum(ifNull(read_bytes, 0) * interval_ms) / 1000`,
  written: sql`sum(ifNull(write_bytes, 0) * interval_ms) / 1000`,
}
export const OF_GROUPS = [
  'cpu_user',
  'cpu_system',
  'memory_bytes',
  'memory_limit',
  'read_bytes',
  'write_bytes',
] as const
export const OF_NODES = ['cpu_busy', 'cpu_count'] as const

/** `windowMs`: the longest that will be asked for. */
export async function readWitnesses(reading: Reading, windowMs: number): Promise<Witnesses> {
  const { asker, recent, cluster, atMs } = reading
  const listed = { cluster, table: sql`processes`, instance: sql`job`, values: OF_PROCESSES, gathered: true }
  const [processes, groups, nodes] = await Promise.all([
    recent.ticks(asker, listed, windowMs, atMs),
    readTicks(reading, 'job', OF_GROUPS, windowMs),
    readTicks(reading, 'node', OF_NODES, windowMs),
  ])
  return { processes, groups, nodes }
}

/** Pure: what was done within the window that ends where the ticks do. */
export function workOf({ processes, groups, nodes }: Witnesses, windowMs: number): WorkOf {
  const [share, count] = [nodes.over('cpu_busy', 'avg', windowMs), nodes.over('cpu_count', 'max', windowMs)]
  const busy = new Map<string, number>()
  for (const place of nodes.there(windowMs)) {
    const cores = ((share[place] ?? Number.NaN) / 10_000) * (count[place] ?? Number.NaN)
    if (!Number.isNaN(cores)) busy.set(nodes.nodes[place] ?? '', cores)
  }
  return addUp(byProcesses(processes, windowMs), byGroups(groups, windowMs), busy, windowMs / 1000)
}

const orNull = (value: number | undefined): number | null => (value === undefined || Number.isNaN(value) ? null : value)

function byProcesses(ticks: Windows, windowMs: number): ByProcesses[] {
  const sum = (name: keyof typeof OF_PROCESSES) => ticks.over(name, 'sum', windowMs)
  const [seconds, kernel, read, written] = [sum('seconds'), sum('kernel'), sum('read'), sum('written')]
  const memory = ticks.over('memory', 'max', windowMs)
  return ticks.there(windowMs).map(place => ({
    node: ticks.nodes[place] ?? '',
    job: ticks.instances[place] ?? '',
    seconds: seconds[place] ?? 0,
    kernel: kernel[place] ?? 0,
    memory: orNull(memory[place]),
    read: read[place] ?? 0,
    written: written[place] ?? 0,
  }))
}

function byGroups(ticks: Windows, windowMs: number): ByGroup[] {
  const mean = (name: (typeof OF_GROUPS)[number]) => ticks.over(name, 'avg', windowMs)
  const most = (name: (typeof OF_GROUPS)[number]) => ticks.over(name, 'max', windowMs)
  const [user, system, read, written] = [mean('cpu_user'), mean('cpu_system'), mean('read_bytes'), mean('write_bytes')]
  const [memory, limit] = [most('memory_bytes'), most('memory_limit')]
  return ticks.there(windowMs).map(place => ({
    node: ticks.nodes[place] ?? '',
    job: ticks.instances[place] ?? '',
    cores: orNull(((user[place] ?? Number.NaN) + (system[place] ?? Number.NaN)) / 1000),
    memory: orNull(memory[place]),
    limit: orNull(limit[place]),
    read: orNull(read[place]),
    written: orNull(written[place]),
  }))
}

/** Pure: the picture above. `busy` is in cores. */
export function addUp(
  processes: readonly ByProcesses[],
  groups: readonly ByGroup[],
  busy: ReadonlyMap<string, number>,
  seconds: number,
): WorkOf {
  const listed = new Map<string, number>()
  for (const row of processes) listed.set(row.node, (listed.get(row.node) ?? 0) + row.seconds / seconds)
  const all = new Map<string, Map<string, Work>>()
  const on = (node: string): Map<string, Work> => {
    const there = all.get(node) ?? new Map<string, Work>()
    all.set(node, there)
    return there
  }
  for (const node of busy.keys()) on(node)
  for (const row of processes) {
    const own = row.seconds / seconds
    const cores = busy.get(row.node)
    const unlisted = cores === undefined ? 0 : Math.max(0, cores - (listed.get(row.node) ?? 0))
    on(row.node).set(row.job, {
      cores: own + unlisted,
      listedSeconds: row.seconds,
      kernelSeconds: row.kernel,
      memoryBytes: row.memory,
      memoryLimitBytes: null,
      readBytes: row.read / seconds,
      writeBytes: row.written / seconds,
    })
  }
  for (const row of groups) on(row.node).set(row.job, byGroup(row, all.get(row.node)?.get(row.job)))
  // A job without a listed process there can only have what nobody listed.
  for (const [node, there] of all) {
    const unlisted = Math.max(0, (busy.get(node) ?? 0) - (listed.get(node) ?? 0))
    if (!there.has(UNLISTED)) there.set(UNLISTED, { ...NOTHING, cores: unlisted })
  }
  return all
}

/** Stands for jobs of which no process was listed on a node. */
export const UNLISTED = '\0'
const NOTHING: Work = {
  cores: 0,
  listedSeconds: 0,
  kernelSeconds: 0,
  memoryBytes: null,
  memoryLimitBytes: null,
  readBytes: 0,
  writeBytes: 0,
}

const byGroup = (row: ByGroup, listed: Work | undefined): Work => ({
  ...(listed ?? NOTHING),
  cores: row.cores ?? listed?.cores ?? null,
  memoryBytes: row.memory ?? listed?.memoryBytes ?? null,
  memoryLimitBytes: row.limit,
  readBytes: Math.max(row.read ?? 0, listed?.readBytes ?? 0),
  writeBytes: Math.max(row.written ?? 0, listed?.writeBytes ?? 0),
})
