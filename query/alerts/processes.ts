/** Processes, each alone or against the others of its job: what rules of scope process look at. */
import type { Asker } from '../asker.ts'
import { within } from '../scope.ts'
import { column, nothing, sql, whole } from '../sql.ts'
import type { Labels, Measure, Measured } from './evaluate.ts'
import { groupBy } from './groups.ts'
import { acceptsJob, distances, jobLabels, measure, toldOf } from './measure.ts'
import type { Noted } from './noted.ts'
import { matches, type ReadyRule } from './rule.ts'
import type { Scene } from './scene.ts'

const MAX_PROCESSES = 50_000

/** The top processes; whoever is not among them is not what a rule is after. */
export async function processMeasures(asker: Asker, rule: ReadyRule, scene: Scene, noted: Noted): Promise<Measured> {
  const value =
    rule.figure === 'cpu'
      ? sql`sum((ifNull(cpu_user, 0) + ifNull(cpu_system, 0)) * interval_ms) / ${rule.windowMs}`
      : sql`toFloat64(${AGGREGATE[rule.aggregate]}(${column({ column: rule.figure ?? '' })}))`
  const rows = await asker.rows<ProcessRow>(
    'alerts: processes',
    sql`SELECT toString(node) AS node, pid, toFloat64(start_ms) AS start, toString(any(name)) AS process, toString(any(user)) AS user,
          toString(any(job)) AS job, any(rank) AS rank, ${value} AS value
        FROM processes WHERE cluster = ${scene.cluster} AND ${within({ from: scene.atMs - rule.windowMs, to: scene.atMs })}
          ${rule.test === 'peers' ? sql`AND processes.job IN ${[...scene.byId.keys()]} AND start_ms <= ${scene.atMs - rule.windowMs}` : nothing}
        GROUP BY node, pid, start_ms ORDER BY value ${rule.below === undefined ? sql`DESC` : sql`ASC`} LIMIT ${whole(MAX_PROCESSES)}`,
  )
  return ofProcesses(rule, rows, scene, noted)
}

/** Pure. A process that is not among the rows has ended. */
export function ofProcesses(rule: ReadyRule, rows: readonly ProcessRow[], scene: Scene, noted: Noted): Measured {
  const accepted = rows.filter(row => acceptsProcess(rule, row, scene))
  return {
    measures:
      rule.test === 'peers'
        ? ranks(rule, accepted, scene, noted)
        : accepted.flatMap(row =>
            noted(row.value ?? Number.NaN, row.node) ? [measure(processLabels(row, scene), row.value)] : [],
          ),
    complete: true,
  }
}

const AGGREGATE = { avg: sql`avg`, max: sql`max`, min: sql`min`, last: sql`anyLast` }

export interface ProcessRow {
  node: string
  pid: number
  start: number
  process: string
  user: string
  job: string
  rank: number | null
  value: number | null
}

function acceptsProcess(rule: ReadyRule, row: ProcessRow, scene: Scene): boolean {
  const { where } = rule
  if (!where) return true
  const job = scene.byId.get(row.job)
  if (!matches(where.process, row.process) || !matches(where.node, row.node) || !matches(where.user, row.user))
    return false
  const ofJob = where.job ?? where.account ?? where.queue ?? where.minAge ?? where.minCores ?? where.minNodes
  return ofJob === undefined || (job !== undefined && acceptsJob(rule.where, scene, job))
}

function processLabels(row: ProcessRow, scene: Scene): Labels {
  const job = scene.byId.get(row.job)
  return {
    ...(job ? jobLabels(scene, job) : { cluster: scene.cluster }),
    node: row.node,
    pid: String(row.pid),
    start: String(row.start),
    process: row.process,
    user: row.user,
    ...(row.rank === null ? {} : { rank: String(row.rank) }),
  }
}

/** Peers of a process are those of its job with its name: the ranks of a parallel program. */
function ranks(rule: ReadyRule, rows: readonly ProcessRow[], scene: Scene, noted: Noted): Measure[] {
  // One that was born within the window was not there for all of it.
  const settled = rows.filter(row => scene.byId.has(row.job) && row.start <= scene.atMs - rule.windowMs)
  const groups = groupBy(settled, row => `${scene.byId.get(row.job)?.record.id}\0${row.process}`)
  return [...groups.values()].flatMap(group => {
    const scored = distances(
      rule,
      group.map(row => row.value),
    )
    return group.flatMap((row, i) => {
      const score = scored[i] ?? { value: null, between: null }
      if (!noted(score.value ?? Number.NaN, row.node)) return []
      return measure({ ...processLabels(row, scene), ...toldOf(score) }, score.value)
    })
  })
}
