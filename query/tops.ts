/** What burns a node right now: its top process and its top function. */
import type { NodeSummary } from './api.ts'
import type { Asker } from './asker.ts'
import type { Bodies } from './bodies.ts'
import { type OwnJobs, ownProcesses, ownSamples, readOwnJobs } from './reach.ts'
import { and, sql } from './sql.ts'
import { NOT_STORED } from './stacks.ts'

type TopProcess = NonNullable<NodeSummary['topProcess']>
type TopFunction = NonNullable<NodeSummary['topFunction']>

const PROCESS_SECONDS = 180
const FUNCTION_SECONDS = 300
const since = (asker: Asker, seconds: number): number => Math.floor(asker.nowMs / 1000) - seconds

/** Of the last tick that each node told. */
async function readTopProcesses(
  asker: Asker,
  cluster: string,
  nodes: readonly string[],
  own: OwnJobs | undefined,
): Promise<Map<string, TopProcess>> {
  if (nodes.length === 0) return new Map()
  const where = and([
    sql`cluster = ${cluster} AND node IN ${nodes} AND time > toDateTime(${since(asker, PROCESS_SECONDS)}, 'UTC')`,
    ownProcesses(own, sql`time`),
  ])
  const rows = await asker.rows<TopProcess & { node: string }>(
    'top processes now',
    sql`SELECT toString(node) AS node, hottest.1 AS pid, toFloat64(hottest.2) AS start, hottest.3 AS name, hottest.4 AS user, hottest.5 AS cores FROM (
          SELECT node, argMax((pid, start_ms, name, user, ifNull(cpu_user, 0) + ifNull(cpu_system, 0)),
            (time, ifNull(cpu_user, 0) + ifNull(cpu_system, 0))) AS hottest
          FROM processes WHERE ${where} GROUP BY node)`,
  )
  return new Map(rows.map(({ node, ...process }) => [node, process]))
}

/** Of the last minutes. Jobs are named since the table is ordered by job; '' is what belongs to none. */
async function readTopFunctions(
  asker: Asker,
  bodies: Bodies,
  cluster: string,
  nodes: readonly string[],
  jobs: readonly string[],
  own: OwnJobs | undefined,
): Promise<Map<string, TopFunction>> {
  if (nodes.length === 0) return new Map()
  const where = and([
    sql`cluster = ${cluster} AND job IN ${['', ...jobs]} AND event = 'cpu' AND node IN ${nodes}`,
    sql`minute > toDateTime(${since(asker, FUNCTION_SECONDS)}, 'UTC')`,
    ownSamples(own, sql`minute`),
  ])
  const rows = await asker.rows<{ node: string; id: string; share: number }>(
    'top functions now',
    sql`SELECT node, toString(argMax(function_id, ns)) AS id, max(ns) / sum(ns) AS share FROM (
          SELECT toString(node) AS node, function_id, sum(self) AS ns FROM function_minutes
          WHERE ${where} GROUP BY node, function_id
        ) GROUP BY node HAVING sum(ns) > 0`,
  )
  const names = await bodies.functions(
    asker,
    rows.map(row => row.id),
  )
  return new Map(
    rows.map(({ node, id, share }) => {
      const { function: name, module } = names.get(id) ?? { function: NOT_STORED, module: '' }
      return [node, { function: name, module, share }]
    }),
  )
}

export interface Tops {
  process: TopProcess | null
  function: TopFunction | null
}

/** A page asks every few seconds, and several readers ask the same: what burned a node some seconds ago still does. */
const KEPT_MS = 10_000
const MAX_KEPT = 20_000

export type ReadTops = (
  asker: Asker,
  cluster: string,
  nodes: readonly string[],
  jobs: readonly string[],
) => Promise<Map<string, Tops>>

export function openTops(bodies: () => Bodies): ReadTops {
  const kept = new Map<string, { tops: Tops; atMs: number }>()
  return async (asker, cluster, nodes, jobs) => {
    const keyOf = (node: string) => `${cluster}\0${node}\0${asker.reach.key}`
    const old = nodes.filter(node => {
      const at = kept.get(keyOf(node))?.atMs ?? Number.NEGATIVE_INFINITY
      return asker.nowMs - at >= KEPT_MS || at > asker.nowMs
    })
    const own = await readOwnJobs(asker, cluster, { from: asker.nowMs - FUNCTION_SECONDS * 1000, to: asker.nowMs + 1 })
    const [processes, functions] = await Promise.all([
      readTopProcesses(asker, cluster, old, own),
      readTopFunctions(asker, bodies(), cluster, old, jobs, own),
    ])
    if (kept.size > MAX_KEPT) kept.clear()
    for (const node of old) {
      const tops = { process: processes.get(node) ?? null, function: functions.get(node) ?? null }
      kept.set(keyOf(node), { tops, atMs: asker.nowMs })
    }
    return new Map(nodes.map(node => [node, kept.get(keyOf(node))?.tops ?? { process: null, function: null }]))
  }
}
