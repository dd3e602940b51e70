/** GET /jobs/:id/nodes: every node of a job against the others. */
import type { JobNodes } from './api.ts'
import type { JobNodesAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { type Row, readRows } from './heatmap.ts'
import { readInterval } from './interval.ts'
import { type NodeUse, readNodeUse } from './jobuse.ts'
import { natural } from './natural.ts'
import { metricNamed, nameOf, usualInstances } from './points.ts'
import { median, robustScores } from './robust.ts'
import { resolveScope, type Target } from './scope.ts'
import { type Grid, layGrid } from './window.ts'

type Values = (number | null)[]

export async function readJobNodes(desk: Desk, id: string, ask: JobNodesAsk): Promise<JobNodes> {
  const { metric: name, buckets, ...scope } = ask
  const metric = metricNamed(name ?? 'cpu_busy')
  const target = await resolveScope(desk.asker, desk.known, { ...scope, job: id })
  const using = readNodeUse(desk, target)
  const measured = async (names: string[]) => {
    const grid = layGrid(target, {
      buckets: buckets ?? 300,
      intervalMs: await readInterval(desk, target),
      rowsPerTick: names.length * usualInstances(metric.entity),
      nowMs: desk.asker.nowMs,
    })
    // The grid's edges are round; what lies outside the job's own time is another job's.
    const window = { from: Math.max(grid.from, target.from), to: Math.min(grid.to, target.to) }
    const rows = byNode(await readRows(desk, { ...target, nodes: names }, metric, grid, window), grid)
    return { names, grid, rows }
  }
  const [{ use, functionsFrom }, { names, grid, rows }] = await Promise.all([
    using,
    target.nodes ? measured(target.nodes) : using.then(({ use }) => measured([...use.keys()].sort(natural))),
  ])
  return {
    cluster: target.cluster,
    metric: nameOf(metric),
    unit: metric.unit,
    from: grid.from,
    to: grid.to,
    bucketMs: grid.bucketMs,
    functionsFrom,
    nodes: nodeRows(target, names, rows, use, grid),
    band: bandOf(
      [...rows.values()].map(row => row.values),
      grid.count,
    ),
  }
}

function nodeRows(
  target: Target,
  names: readonly string[],
  rows: ReadonlyMap<string, Row>,
  use: ReadonlyMap<string, NodeUse>,
  grid: Grid,
): JobNodes['nodes'] {
  const record = target.job?.record
  const cores = new Map((record?.allocations ?? []).map(a => [a.node, a.cores ?? null]))
  const seconds = (target.to - target.from) / 1000
  const means = names.map(node => rows.get(node)?.mean ?? null)
  const scores = robustScores(means)
  return names.map((node, i) => {
    const used = use.get(node)
    return {
      node,
      cores: cores.get(node) ?? (record?.cores && names.length === 1 ? record.cores : null),
      mean: means[i] ?? null,
      score: scores[i] ?? null,
      jobCores: used?.coreSeconds == null ? null : used.coreSeconds / seconds,
      topFunction: used?.topFunction ?? null,
      values: rows.get(node)?.values ?? new Array(grid.count).fill(null),
    }
  })
}

/** One row a node; of a metric of instances the highest of them. */
function byNode(rows: readonly Row[], grid: Grid): Map<string, Row> {
  const merged = new Map<string, Row>()
  for (const row of rows) {
    const known = merged.get(row.node)
    if (!known) merged.set(row.node, row)
    else {
      known.mean = highest(known.mean, row.mean)
      for (let i = 0; i < grid.count; i++) known.values[i] = highest(known.values[i] ?? null, row.values[i] ?? null)
    }
  }
  return merged
}

const highest = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b)

function bandOf(rows: readonly Values[], count: number): JobNodes['band'] {
  const band: JobNodes['band'] = { min: [], median: [], max: [] }
  for (let i = 0; i < count; i++) {
    const there = rows.map(row => row[i] ?? null).filter(value => value !== null)
    band.min.push(there.length > 0 ? Math.min(...there) : null)
    band.median.push(median(there))
    band.max.push(there.length > 0 ? Math.max(...there) : null)
  }
  return band
}
