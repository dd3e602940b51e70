/** Looks at the store that are of no metric: who was heard, waiting on nodes. */
import type { Asker } from '../asker.ts'
import { within } from '../scope.ts'
import { sql } from '../sql.ts'
import type { Measured } from './evaluate.ts'
import { measure } from './measure.ts'
import type { Raw } from './points.ts'
import type { ReadyRule } from './rule.ts'
import { type Scene, silentMs } from './scene.ts'

const DAY = 86_400_000

/** Figures of nodes and of the cluster that a scene has. */
export function sceneRaws(rule: ReadyRule, scene: Scene): Raw[] {
  const { atMs } = scene
  if (rule.figure === 'silent_seconds') {
    return [...scene.heard]
      .filter(([, ms]) => ms > atMs - DAY)
      .map(([node, ms]) => ({ node, instance: '', value: Math.max(0, atMs - Math.max(ms, scene.listeningMs)) / 1000 }))
  }
  return [...scene.records].flatMap(([node, record]) =>
    record.schedulerState === undefined
      ? []
      : [{ node, instance: '', value: DOWN.test(record.schedulerState) ? 1 : 0 }],
  )
}

/** Slurm: down*, fail, not_responding · PBS: down, offline, state-unknown · Grid Engine: u (unreachable), E, d. */
const DOWN = /\b(down|fail|failing|not_responding|no_respond|state-unknown|unreachable|u|au)\b/i

export function clusterMeasures(rule: ReadyRule, scene: Scene): Measured {
  const labels = { cluster: scene.cluster }
  const silent = (ms: number) => ms > scene.atMs - DAY && ms < scene.atMs - 120_000
  const values: Record<string, number | null> = {
    scheduler_silent_seconds:
      scene.schedulerMs !== undefined && scene.schedulerMs > scene.atMs - 7 * DAY
        ? Math.max(0, scene.atMs - scene.schedulerMs) / 1000
        : null,
    silent_seconds: Math.max(0, silentMs(scene)) / 1000,
    nodes_silent: [...scene.heard.values()].filter(silent).length,
    jobs_queued: scene.queued,
    jobs_running: scene.running.length,
  }
  return { measures: [measure(labels, values[rule.figure ?? ''] ?? null)], complete: false }
}

/** Share of each job's sampled time on each node that waited for others. */
export async function waitRaws(asker: Asker, scene: Scene, windowMs: number): Promise<Raw[]> {
  const rows = await asker.rows<{ node: string; job: string; share: number }>(
    'alerts: waiting by node',
    sql`SELECT node, job, sumIf(ns, category IN ('mpi', 'wait')) / sum(ns) AS share FROM (
          SELECT toString(node) AS node, toString(job) AS job, stack_id, sum(value) AS ns FROM samples
          WHERE cluster = ${scene.cluster} AND job IN ${[...scene.byId.keys()]} AND event = 'cpu' AND burst = ''
            AND ${within({ from: scene.atMs - windowMs, to: scene.atMs })} GROUP BY node, job, stack_id
        ) AS sums LEFT ANY JOIN (SELECT stack_id, category FROM stacks WHERE category IN ('mpi', 'wait')) AS waiting
          ON waiting.stack_id = sums.stack_id
        GROUP BY node, job HAVING sum(ns) > 0`,
  )
  return rows.map(row => ({
    node: row.node,
    instance: '',
    job: scene.byId.get(row.job)?.record.id ?? row.job,
    value: row.share,
  }))
}
