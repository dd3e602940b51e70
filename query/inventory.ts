/** What is known of the nodes beside their values: their records and the jobs on them. */
import { shortName } from '../ingest/origin.ts'
import type { Node } from '../ingest/records.ts'
import type { Asker } from './asker.ts'
import type { Desk } from './desk.ts'
import { heldAny, namesOf } from './jobplace.ts'
import { ownJobs } from './reach.ts'
import { and, sql } from './sql.ts'

/** `record` was written by ingest from a checked Node. */
const parseNode = (record: string): Partial<Node> => JSON.parse(record) as Partial<Node>

/** What one sender calls a node. */
export interface Called {
  node: string
  sender: string
  aliases: readonly string[]
}

/**
 * A scheduler may call a node otherwise than the node itself, which then is told twice. It is one where a name of the scheduler's
 * is one of exactly one collector's, and of no other node of the scheduler's:
 *
 *   scheduler   gpu-1   alias 10.0.0.7              ip-10-0-0-7   alias 10.0.0.7, ip-10-0-0-7.internal   collector
 *                \____________________________________/
 *
 * The scheduler's name -> the collector's. Pure.
 */
export function meetNodes(called: readonly Called[]): Map<string, string> {
  const measured = called.filter(({ sender }) => sender === 'collector')
  const own = new Set(measured.map(({ node }) => node))
  const strangers = called.filter(({ sender, node }) => sender !== 'collector' && !own.has(node))
  const [there, asked] = [nodesByName(measured), nodesByName(strangers)]
  const met = new Map<string, string>()
  for (const stranger of strangers) {
    const only = namesIn(stranger).filter(name => asked.get(name)?.size === 1)
    const nodes = new Set(only.flatMap(name => [...(there.get(name) ?? [])]))
    const [node] = nodes
    if (node !== undefined && nodes.size === 1) met.set(stranger.node, node)
  }
  return met
}

/** With the short forms of those that are no addresses. */
const namesIn = ({ node, aliases }: Called): string[] => [
  ...new Set([node, ...aliases].flatMap(name => [name, shortName(name)])),
]

/** Name -> nodes that go by it. */
function nodesByName(called: readonly Called[]): Map<string, Set<string>> {
  const nodes = new Map<string, Set<string>>()
  for (const one of called)
    for (const name of namesIn(one)) nodes.set(name, (nodes.get(name) ?? new Set()).add(one.node))
  return nodes
}

/** The records of the two senders as one: of each field the newest that is there. */
export async function readNodeRecords(asker: Asker, cluster: string): Promise<Map<string, Partial<Node>>> {
  const rows = await asker.rows<{ node: string; sender: string; record: string }>(
    'node records',
    sql`SELECT node, toString(sender) AS sender, record FROM nodes FINAL WHERE cluster = ${cluster} ORDER BY updated_ms`,
  )
  const records = rows.map(row => ({ ...row, record: parseNode(row.record) }))
  const met = meetNodes(records.map(({ record, ...row }) => ({ ...row, aliases: record.aliases ?? [] })))
  const merged = new Map<string, Partial<Node>>()
  for (const { node, record } of records) {
    const one = met.get(node) ?? node
    const aliases = [...new Set([...(merged.get(one)?.aliases ?? []), ...(record.aliases ?? []), node])].filter(
      name => name !== one,
    )
    merged.set(one, { ...merged.get(one), ...record, node: one, ...(aliases.length > 0 ? { aliases } : {}) })
  }
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
