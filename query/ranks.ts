/** GET /jobs/:id/ranks: the ranks of a parallel job against each other. */
import { CATEGORIES } from '../ingest/records.ts'
import type { JobRanks } from './api.ts'
import { numbers, strings } from './asker.ts'
import type { JobRanksAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { seconds } from './flame.ts'
import { resolveScope, samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'

interface Spent {
  ns: number
  samples: number
  waitNs: number
  /** By number of the function on top. */
  functions: Map<number, number>
}

/** Waiting for others, by index of its category. */
const WAITS = new Set([CATEGORIES.indexOf('mpi'), CATEGORIES.indexOf('wait')])

export async function readRanks(desk: Desk, id: string, ask: JobRanksAsk): Promise<JobRanks> {
  const target = await resolveScope(desk.asker, desk.known, { ...ask, job: id })
  const [where, spent] = await Promise.all([readWhere(desk, target), readSpent(desk, target)])
  const { names } = desk.bodies()
  const ranks = where.flatMap(({ rank, node, processes }) => {
    const own = rank === null ? undefined : spent.get(rank)
    if (rank === null || own === undefined) return []
    const [top, topNs] = [...own.functions].reduce((a, b) => (b[1] > a[1] ? b : a), [0, 0])
    const told = { seconds: seconds(own.ns), samples: own.samples, waitShare: own.waitNs / own.ns }
    return [{ rank, node, processes, ...told, topFunction: names[top] ?? null, topShare: topNs / own.ns }]
  })
  const rest = where.find(row => row.rank === null)
  return {
    cluster: target.cluster,
    from: target.from,
    to: target.to,
    ranks,
    unranked: { seconds: seconds(rest?.ns ?? 0), processes: rest?.processes ?? 0 },
  }
}

const readWhere = ({ asker }: Desk, target: Target) =>
  asker.rows<{ rank: number | null; node: string; processes: number; ns: number }>(
    'ranks and nodes',
    sql`SELECT rank, toString(argMax(node, spent)) AS node, toUInt32(sum(pids)) AS processes,
          toFloat64(sum(spent)) AS ns FROM (
          SELECT rank, node, sum(value) AS spent, uniqExact(pid, start_ms) AS pids FROM samples
          WHERE ${samplesOf(target)} GROUP BY rank, node
        ) GROUP BY rank ORDER BY rank`,
  )

/** What a stack is doing and what is on top of it is known here, so the store adds up by stack alone. */
async function readSpent(desk: Desk, target: Target): Promise<Map<number, Spent>> {
  const [ranks, ids, ns, counts] = await desk.asker.columns(
    'samples by rank',
    sql`SELECT rank, toString(stack_id) AS id, toFloat64(sum(value)) AS ns, toFloat64(sum(sample_count)) AS samples
        FROM samples WHERE ${samplesOf(target)} AND isNotNull(rank) GROUP BY rank, stack_id HAVING ns > 0`,
  )
  const stacks = strings(ids)
  const [values, behind] = [numbers(ns), numbers(counts)]
  const bodies = desk.bodies()
  await bodies.learn(desk.asker, [...new Set(stacks)])
  const spent = new Map<number, Spent>()
  numbers(ranks).forEach((rank, i) => {
    const own = spent.get(rank) ?? { ns: 0, samples: 0, waitNs: 0, functions: new Map<number, number>() }
    spent.set(rank, own)
    const body = bodies.find(stacks[i] ?? '')
    const leaf = body?.functions[0] ?? 0
    const value = values[i] ?? 0
    own.ns += value
    own.samples += behind[i] ?? 0
    if (WAITS.has(body?.category ?? -1)) own.waitNs += value
    own.functions.set(leaf, (own.functions.get(leaf) ?? 0) + value)
  })
  return spent
}
