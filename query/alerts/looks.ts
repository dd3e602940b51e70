/** Looks at the store that are of no metric: who was heard, processes, shares of functions, waiting on nodes. */
import { CATEGORIES } from '../../ingest/records.ts'
import { type Asker, numbers, strings } from '../asker.ts'
import type { Desk } from '../desk.ts'
import { within } from '../scope.ts'
import { column, nothing, sql, whole } from '../sql.ts'
import type { Labels, Measure, Measured } from './evaluate.ts'
import { groupBy } from './groups.ts'
import { acceptsJob, distances, jobLabels, measure, toldOf } from './measure.ts'
import type { Noted } from './noted.ts'
import type { Raw } from './points.ts'
import { matches, type ReadyRule } from './rule.ts'
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

interface ProcessRow {
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

/** Samples of each job (of all for the cluster) by stack: what function shares are taken from. */
export interface Stacks {
  job: string[]
  id: string[]
  ns: number[]
}

export async function readStacks(desk: Desk, scene: Scene, windowMs: number): Promise<Stacks> {
  const [job, id, ns] = await desk.asker.columns(
    'alerts: stacks',
    sql`SELECT toString(job), toString(stack_id), toFloat64(sum(value)) FROM samples
        WHERE cluster = ${scene.cluster} AND event = 'cpu' AND burst = ''
          AND ${within({ from: scene.atMs - windowMs, to: scene.atMs })} GROUP BY job, stack_id`,
  )
  const stacks = { job: strings(job), id: strings(id), ns: numbers(ns) }
  await desk.bodies().learn(desk.asker, [...new Set(stacks.id)])
  return stacks
}

const IDLE = CATEGORIES.indexOf('idle')
/** Fewer CPU seconds say nothing. */
const MIN_NS = 5e9

/** Part of the CPU time in stacks that hold such a function; of scope function one for each function. A stack counts once. */
export function functionMeasures(desk: Desk, rule: ReadyRule, scene: Scene, stacks: Stacks): Measured {
  const bodies = desk.bodies()
  const names = bodies.names.map(name => (matches(rule.function, name) ? name : ''))
  const sums = new Map<string, { ns: number; of: Map<string, number> }>()
  stacks.id.forEach((id, i) => {
    const body = bodies.find(id)
    if (!body || body.category === IDLE) return
    const owner = rule.scope === 'cluster' ? '' : (scene.byId.get(stacks.job[i] ?? '')?.record.id ?? '')
    const ns = stacks.ns[i] ?? 0
    const all = sums.get(owner) ?? { ns: 0, of: new Map<string, number>() }
    sums.set(owner, all)
    all.ns += ns
    const found = new Set<string>()
    for (const f of body.functions) if (names[f]) found.add(rule.scope === 'function' ? (names[f] ?? '') : '')
    for (const name of found) all.of.set(name, (all.of.get(name) ?? 0) + ns)
  })
  return {
    measures:
      rule.scope === 'cluster' ? shares({ cluster: scene.cluster }, sums.get(''), false) : jobShares(rule, scene, sums),
    complete: true,
  }
}

type Sums = { ns: number; of: Map<string, number> } | undefined

const jobShares = (rule: ReadyRule, scene: Scene, sums: ReadonlyMap<string, Sums>): Measure[] =>
  scene.running.flatMap(job =>
    acceptsJob(rule.where, scene, job)
      ? shares(jobLabels(scene, job), sums.get(job.record.id), rule.scope === 'function')
      : [],
  )

function shares(labels: Labels, sums: Sums, each: boolean): Measure[] {
  if (!sums || sums.ns < MIN_NS) return [measure(labels, null)]
  if (each) return [...sums.of].map(([name, ns]) => measure({ ...labels, function: name }, ns / sums.ns))
  return [measure(labels, (sums.of.get('') ?? 0) / sums.ns)]
}
