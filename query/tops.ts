/** What burns a node right now: its top process and its top function. */
import type { NodeSummary } from './api.ts'
import type { Asker } from './asker.ts'
import { sql } from './sql.ts'

type TopProcess = NonNullable<NodeSummary['topProcess']>
type TopFunction = NonNullable<NodeSummary['topFunction']>

const PROCESS_SECONDS = 180
const FUNCTION_SECONDS = 300
const since = (asker: Asker, seconds: number): number => Math.floor(asker.nowMs / 1000) - seconds

/** Of the last tick that each node told. */
export async function readTopProcesses(
  asker: Asker,
  cluster: string,
  nodes: readonly string[],
): Promise<Map<string, TopProcess>> {
  if (nodes.length === 0) return new Map()
  const rows = await asker.rows<TopProcess & { node: string }>(
    'top processes now',
    sql`SELECT toString(node) AS node, hottest.1 AS pid, toFloat64(hottest.2) AS start, hottest.3 AS name, hottest.4 AS user, hottest.5 AS cores FROM (
          SELECT node, argMax((pid, start_ms, name, user, ifNull(cpu_user, 0) + ifNull(cpu_system, 0)),
            (time, ifNull(cpu_user, 0) + ifNull(cpu_system, 0))) AS hottest
          FROM processes WHERE cluster = ${cluster} AND node IN ${nodes} AND time > toDateTime(${since(asker, PROCESS_SECONDS)}, 'UTC')
          GROUP BY node)`,
  )
  return new Map(rows.map(({ node, ...process }) => [node, process]))
}

/** Of the last minutes. Jobs are named since the table is ordered by job; '' is what belongs to none. */
export async function readTopFunctions(
  asker: Asker,
  cluster: string,
  nodes: readonly string[],
  jobs: readonly string[],
): Promise<Map<string, TopFunction>> {
  if (nodes.length === 0) return new Map()
  const rows = await asker.rows<TopFunction & { node: string }>(
    'top functions now',
    sql`WITH sums AS (
          SELECT toString(node) AS node, function_id, sum(self) AS ns FROM function_minutes
          WHERE cluster = ${cluster} AND job IN ${['', ...jobs]} AND event = 'cpu' AND node IN ${nodes}
            AND minute > toDateTime(${since(asker, FUNCTION_SECONDS)}, 'UTC')
          GROUP BY node, function_id
        ), tops AS (SELECT node, argMax(function_id, ns) AS hottest, max(ns) / sum(ns) AS share FROM sums GROUP BY node)
        SELECT node, function, module, share FROM tops
        INNER JOIN (SELECT function_id, any(function) AS function, toString(any(module)) AS module FROM frames
                    WHERE function_id IN (SELECT hottest FROM tops) GROUP BY function_id) AS names ON names.function_id = tops.hottest`,
  )
  return new Map(rows.map(({ node, ...top }) => [node, top]))
}
