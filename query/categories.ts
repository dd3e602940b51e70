/** GET /categories: CPU time by what it was spent on, as a whole and, where buckets are asked, over time. */
import type { Categories } from './api.ts'
import { numbers, strings } from './asker.ts'
import type { CategoriesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { seconds } from './flame.ts'
import { bucketsOver } from './points.ts'
import { resolveScope, samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'
import { categoriesOf, type Profile } from './stacks.ts'
import { layGrid } from './window.ts'

export async function readCategories(desk: Desk, ask: CategoriesAsk): Promise<Categories> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const categories = shareRows(await desk.profile(target))
  if (ask.buckets === undefined) return { cluster: target.cluster, categories }
  return { cluster: target.cluster, categories, over: await readOver(desk, target, ask.buckets) }
}

export const shareRows = (profile: Profile): Categories['categories'] =>
  categoriesOf(profile)
    .map(({ category, ns, samples }) => ({ category, seconds: seconds(ns), samples }))
    .sort((a, b) => b.seconds - a.seconds)

/** Samples are folded over windows of mostly ten seconds; no bucket is shorter than a minute, so that each holds some. */
const FINEST = 60_000

async function readOver(desk: Desk, target: Target, buckets: number): Promise<NonNullable<Categories['over']>> {
  const grid = layGrid(target, { buckets, intervalMs: FINEST, rowsPerTick: 0, nowMs: desk.asker.nowMs })
  const [at, names, values] = await desk.asker.columns(
    'categories over time',
    sql`SELECT bucket, if(category = '', 'unknown', category) AS category, toFloat64(sum(ns)) AS ns FROM (
          SELECT ${bucketsOver(grid)} AS bucket, stack_id, sum(value) AS ns FROM samples WHERE ${samplesOf(target)} GROUP BY bucket, stack_id
        ) AS sums LEFT ANY JOIN (SELECT stack_id, toString(category) AS category FROM stacks) AS bodies ON bodies.stack_id = sums.stack_id
        GROUP BY bucket, category`,
  )
  const rows = new Map<string, (number | null)[]>()
  const cells = numbers(values)
  const bucket = numbers(at)
  strings(names).forEach((category, i) => {
    const row = rows.get(category) ?? new Array<number | null>(grid.count).fill(null)
    rows.set(category, row)
    const b = Math.min(grid.count - 1, bucket[i] ?? -1)
    if (b >= 0) row[b] = (row[b] ?? 0) + seconds(cells[i] ?? 0)
  })
  return {
    from: grid.from,
    to: grid.to,
    bucketMs: grid.bucketMs,
    categories: [...rows].map(([category, row]) => ({ category, seconds: row })),
  }
}
