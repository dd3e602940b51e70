/** What is known of the nodes beside their values: their records and the jobs on them. */
import type { Node } from '../ingest/records.ts'
import type { Asker } from './asker.ts'
import type { Desk } from './desk.ts'
import { heldAny, namesOf } from './jobplace.ts'
import { ownJobs } from './reach.ts'
import { and, sql } from './sql.ts'

/** `record` was written by ingest from a checked Node. */
const parseNode = (record: string): Partial<Node> => JSON.parse(record) as Partial<Node>

/** The records of the two senders as one: of each field the newest that is there. */
export async function readNodeRecords(asker: Asker, cluster: string): Promise<Map<string, Partial<Node>>> {
  const rows = await asker.rows<{ node: string; record: string }>(
    'node records',
    sql`SELECT node, record FROM nodes FINAL WHERE cluster = ${cluster} ORDER BY updated_ms`,
  )
  const merged = new Map<string, Partial<Node>>()
  for (const row of rows) merged.set(row.node, { ...merged.get(row.node), ...parseNode(row.record) })
  return merged
}

export interface JobOnNode {
  id: string
  user: string | null
  /** Also what the kernel calls it: rows of samples and processes carry either. */
  ids: string[]
}

/** Jobs that hold nodes now. */
export async function readJobsOnNodes(
  { asker, known }: Pick<Desk, 'asker' | 'known'>,
  cluster: string,
  node?: string,
): Promise<Map<string, JobOnNode[]>> {
  const names = await known.nodes(asker, cluster)
  const asked = node === undefined ? undefined : namesOf([node], names)
  const rows = await asker.rows<{ id: string; raw_id: string; user: string; nodes: string[] }>(
    'jobs on nodes',
    sql`SELECT id, raw_id, toString(user) AS user, nodes FROM jobs FINAL
        WHERE ${and([
          sql`cluster = ${cluster} AND state IN ('starting', 'running', 'suspended', 'completing')`,
          asked && heldAny(asked),
          ownJobs(asker.reach),
        ])} ORDER BY start_ms, id`,
  )
  const jobs = new Map<string, JobOnNode[]>()
  for (const { id, raw_id, user, nodes } of rows) {
    const job = { id, user: user === '' ? null : user, ids: raw_id === '' ? [id] : [id, raw_id] }
    for (const told of asked ? nodes.filter(name => asked.includes(name)) : nodes) {
      const on = names.get(told) ?? told
      const there = jobs.get(on)
      if (there) there.push(job)
      else jobs.set(on, [job])
    }
  }
  return jobs
}
