/** The usual tick of a target's nodes: finer than this nothing is known of them. */
import type { Desk } from './desk.ts'
import { pointsOf, type Target } from './scope.ts'
import { sql } from './sql.ts'

const TEN_MINUTES = 600_000
const USUAL_INTERVAL = 10_000
/** Of nodes that memory does not know, so many are looked at: those of one cluster mostly tick alike. */
const LOOKED_AT = 8

/** Memory knows it of nodes that were heard of lately; of others the end of the window tells. */
export async function readInterval(desk: Desk, target: Target): Promise<number> {
  const nodes = target.nodes ?? desk.latest.nodes(target.cluster)
  const ticks = nodes
    .map(node => desk.latest.node(target.cluster, node)?.intervalMs ?? 0)
    .filter(intervalMs => intervalMs > 0)
    .sort((a, b) => a - b)
  const usual = ticks[(ticks.length - 1) >> 1]
  return Math.max(1000, usual ?? (await readStored(desk, target)) ?? USUAL_INTERVAL)
}

async function readStored({ asker, known }: Desk, target: Target): Promise<number | undefined> {
  const nodes = target.nodes ?? [...new Set((await known.nodes(asker, target.cluster)).values())]
  const to = Math.min(target.to, Math.max(asker.nowMs, target.from + 1000))
  const window = { from: Math.max(target.from, to - TEN_MINUTES), to }
  const where = pointsOf({ ...target, nodes: nodes.slice(0, LOOKED_AT) }, window)
  const [row] = await asker.rows<{ ms: number; rows: number }>(
    'interval',
    sql`SELECT toFloat64(quantileExact(0.5)(interval_ms)) AS ms, toUInt32(count()) AS rows FROM node_points WHERE ${where}`,
  )
  return row && row.rows > 0 ? row.ms : undefined
}
