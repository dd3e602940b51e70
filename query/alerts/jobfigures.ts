/** Figures of jobs: what they hold against what they do. Pure, over a scene and the work that was read. */
import type { Measure, Measured } from './evaluate.ts'
import { acceptsJob, jobLabels, measure } from './measure.ts'
import type { Raw } from './points.ts'
import type { ReadyRule } from './rule.ts'
import { coresOn, type LiveJob, type Scene } from './scene.ts'
import { UNLISTED, type Work, type WorkOf } from './work.ts'

interface OnNode {
  node: string
  /** Cores it holds here; null where nobody told. */
  held: number | null
  work: Work
}

/** Work of a job on each node that was measured; ids that rows use side by side are added up. */
function workOn(job: LiveJob, work: WorkOf): OnNode[] {
  return job.nodes.flatMap(node => {
    const there = work.get(node)
    if (!there) return []
    const own = job.ids.flatMap(id => there.get(id) ?? [])
    const [first = there.get(UNLISTED), ...rest] = own
    return first ? [{ node, held: coresOn(job, node), work: rest.reduce(added, first) }] : []
  })
}

const added = (a: Work, b: Work): Work => ({
  cores: a.cores === null || b.cores === null ? (a.cores ?? b.cores) : Math.max(a.cores, b.cores),
  listedSeconds: a.listedSeconds + b.listedSeconds,
  kernelSeconds: a.kernelSeconds + b.kernelSeconds,
  memoryBytes: Math.max(a.memoryBytes ?? 0, b.memoryBytes ?? 0) || null,
  memoryLimitBytes: a.memoryLimitBytes ?? b.memoryLimitBytes,
  readBytes: a.readBytes + b.readBytes,
  writeBytes: a.writeBytes + b.writeBytes,
})

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** A job must be watched on this part of its nodes before anything is said of it. */
const MIN_SEEN = 0.5

type Figure = (job: LiveJob, nodes: readonly OnNode[], rule: ReadyRule) => number | null

const OF_WORK: Readonly<Record<string, Figure>> = {
  busy_cores: (_, nodes) => sum(nodes.map(n => n.work.cores ?? 0)),
  busy_cores_per_node: (_, nodes) => sum(nodes.map(n => n.work.cores ?? 0)) / nodes.length,
  cpu_efficiency: (_, nodes) => {
    const held = sum(nodes.map(n => n.held ?? 0))
    return held > 0 ? sum(nodes.map(n => n.work.cores ?? 0)) / held : null
  },
  memory_share: (job, nodes) => {
    const shares = nodes.flatMap(n => {
      const limit = n.work.memoryLimitBytes ?? limitOn(job, n.node)
      return n.work.memoryBytes !== null && limit ? [n.work.memoryBytes / limit] : []
    })
    return shares.length > 0 ? Math.max(...shares) : null
  },
  /** Of the listed processes; below half a core nothing is said. */
  kernel_share: (_, nodes, rule) => {
    const all = sum(nodes.map(n => n.work.listedSeconds))
    return all < (0.5 * rule.windowMs) / 1000 ? 0 : sum(nodes.map(n => n.work.kernelSeconds)) / all
  },
  imbalance: (_, nodes) => {
    const busy = nodes.map(n => (n.work.cores ?? 0) / (n.held || 1))
    const most = Math.max(...busy, 0)
    return nodes.length < 2 || most < 0.05 ? 0 : 1 - sum(busy) / nodes.length / most
  },
  read_bytes: (_, nodes) => sum(nodes.map(n => n.work.readBytes)),
  write_bytes: (_, nodes) => sum(nodes.map(n => n.work.writeBytes)),
  io_bytes: (_, nodes) => sum(nodes.map(n => n.work.readBytes + n.work.writeBytes)),
}

function limitOn(job: LiveJob, node: string): number | null {
  const told = job.record.allocations?.find(a => a.node === node)?.memoryBytes
  return told ?? (job.record.memoryBytes && job.nodes.length > 0 ? job.record.memoryBytes / job.nodes.length : null)
}

/** Figures of a job on a node. */
const OF_NODES = ['job_cores', 'job_cpu_share']

/** Rules of jobs that need the work that was read. */
export const needsWork = (rule: ReadyRule): boolean =>
  rule.figure !== undefined &&
  (OF_WORK[rule.figure] !== undefined || OF_NODES.includes(rule.figure)) &&
  rule.scope !== 'process'

export function jobMeasures(rule: ReadyRule, scene: Scene, work: WorkOf | undefined): Measured {
  if (rule.figure === 'out_of_memory') return { measures: killed(rule, scene), complete: true }
  const figure = OF_WORK[rule.figure ?? '']
  const measures = scene.running.flatMap((job): Measure[] => {
    if (!acceptsJob(rule.where, scene, job)) return []
    const value = figure ? ofWork(figure, rule, scene, job, work) : ofTime(rule.figure, job, scene.atMs)
    return [measure(jobLabels(scene, job), value)]
  })
  return { measures, complete: true }
}

function ofWork(figure: Figure, rule: ReadyRule, scene: Scene, job: LiveJob, work: WorkOf | undefined): number | null {
  if (!work || scene.atMs - job.startMs < rule.windowMs) return null
  const nodes = workOn(job, work)
  return nodes.length === 0 || nodes.length < MIN_SEEN * job.nodes.length ? null : figure(job, nodes, rule)
}

function ofTime(figure: string | undefined, job: LiveJob, atMs: number): number | null {
  const limitMs = (job.record.timeLimitSeconds ?? 0) * 1000
  if (limitMs === 0) return null
  return figure === 'seconds_left' ? (job.startMs + limitMs - atMs) / 1000 : (atMs - job.startMs) / limitMs
}

/** Jobs that ended so within the window: an event, told as long as the window is. */
const killed = (rule: ReadyRule, scene: Scene): Measure[] =>
  scene.jobs
    .filter(job => job.endMs !== undefined && job.endMs > scene.atMs - rule.windowMs && job.endMs <= scene.atMs)
    .filter(job => acceptsJob(rule.where, scene, job))
    .map(job => measure(jobLabels(scene, job), job.record.state === 'out_of_memory' ? 1 : 0))

/** What each job uses on each of its nodes: cores, or its share of those that it holds. */
export const worksOnNodes = (rule: ReadyRule, scene: Scene, work: WorkOf): Raw[] =>
  scene.running
    .filter(job => scene.atMs - job.startMs >= rule.windowMs)
    .flatMap(job =>
      workOn(job, work).flatMap(({ node, held, work: { cores } }) => {
        const value = cores === null || rule.figure === 'job_cores' ? cores : held ? cores / held : null
        return value === null ? [] : [{ node, instance: '', job: job.record.id, value }]
      }),
    )
