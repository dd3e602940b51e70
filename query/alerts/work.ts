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
import type { Asker } from '../asker.ts'
import { within } from '../scope.ts'
import { sql } from '../sql.ts'

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

export async function readWork(asker: Asker, cluster: string, windowMs: number, atMs: number): Promise<WorkOf> {
  const window = within({ from: atMs - windowMs, to: atMs })
  const [processes, groups, nodes] = await Promise.all([
    asker.rows<ByProcesses>(
      'alerts: processes of jobs',
      sql`SELECT toString(node) AS node, toString(job) AS job, sum(s) AS seconds, sum(k) AS kernel, toFloat64(max(m)) AS memory,
            sum(r) AS read, sum(w) AS written FROM (
              SELECT node, job, time, sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * interval_ms) / 1000 AS s,
                sum(ifNull(cpu_system, 0) * interval_ms) / 1000 AS k, sum(memory_bytes) AS m,
                sum(ifNull(read_bytes, 0) * interval_ms) / 1000 AS r, sum(ifNull(write_bytes, 0) * interval_ms) / 1000 AS w
              FROM processes WHERE cluster = ${cluster} AND ${window} GROUP BY node, job, time)
          GROUP BY node, job`,
    ),
    readGroups(asker, cluster, windowMs, atMs),
    asker.rows<{ node: string; cores: number | null }>(
      'alerts: busy cores',
      sql`SELECT toString(node) AS node, avg(cpu_busy) / 10000 * max(cpu_count) AS cores FROM node_points
          WHERE cluster = ${cluster} AND ${window} GROUP BY node`,
    ),
  ])
  const busy = new Map(nodes.flatMap(row => (row.cores === null ? [] : [[row.node, row.cores] as const])))
  return addUp(processes, groups, busy, windowMs / 1000)
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

const readGroups = (asker: Asker, cluster: string, windowMs: number, atMs: number): Promise<ByGroup[]> =>
  asker.rows<ByGroup>(
    'alerts: control groups of jobs',
    sql`SELECT toString(node) AS node, toString(instance) AS job, avg(cpu_user + cpu_system) / 1000 AS cores,
          toFloat64(max(memory_bytes)) AS memory, toFloat64(max(memory_limit)) AS limit,
          toFloat64(avg(read_bytes)) AS read, toFloat64(avg(write_bytes)) AS written
        FROM job_points WHERE cluster = ${cluster} AND ${within({ from: atMs - windowMs, to: atMs })} GROUP BY node, job`,
  )

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
