/** Samples that were lost before anyone could read them, on the nodes of a target. */
import type { Asker } from './asker.ts'
import { pointsOf, type Target } from './scope.ts'
import { sql } from './sql.ts'

const TWO_DAYS = 2 * 86_400_000
/** stacks_lost is stored as tenths a second. */
const SCALE = 10

export async function readLost(asker: Asker, target: Target): Promise<number> {
  const where = pointsOf(target, target)
  const question =
    target.to - target.from <= TWO_DAYS
      ? sql`SELECT sum(stacks_lost * (interval_ms / 1000)) AS lost FROM node_points WHERE ${where}`
      : sql`SELECT sum(mean * 3600) AS lost FROM (
              SELECT sum(stacks_lost_sum) / sum(stacks_lost_count) AS mean FROM node_points_1h WHERE ${where}
              GROUP BY node, time HAVING sum(stacks_lost_count) > 0)`
  const [row] = await asker.rows<{ lost: number | null }>('samples lost', question)
  return Math.round((row?.lost ?? 0) / SCALE)
}
