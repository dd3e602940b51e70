/** What was read -> the subjects of a rule, each with its value: filters, nodes of a job as one, distances from peers. Pure. */
import { median, robustScores } from '../robust.ts'
import type { Labels, Measure, Measured } from './evaluate.ts'
import { groupBy } from './groups.ts'
import type { Noted } from './noted.ts'
import type { Raw } from './points.ts'
import { matches, parseDuration, type ReadyRule, type Where } from './rule.ts'
import { gpusOn, type LiveJob, type Scene } from './scene.ts'

/** The same subject has the same text, whatever else is known of it. */
export function keyOf(labels: Labels): string {
  let key = ''
  for (const name of IDENTITY) if (labels[name] !== undefined) key += `${key === '' ? '' : ' '}${name}=${labels[name]}`
  return key
}
const IDENTITY = ['cluster', 'node', 'instance', 'job', 'pid', 'start', 'function'] as const

export const measure = (labels: Labels, value: number | null): Measure => ({ key: keyOf(labels), labels, value })

/** Of a job that has thousands of processes asked for each. */
const labelsByJob = new WeakMap<LiveJob, Labels>()

export function jobLabels(scene: Scene, job: LiveJob): Labels {
  const labels = labelsByJob.get(job) ?? labelsOfJob(scene, job)
  labelsByJob.set(job, labels)
  return labels
}

function labelsOfJob(scene: Scene, job: LiveJob): Labels {
  const { id, user, account, queue, name } = job.record
  const told = Object.entries({ user, account, queue, name }).filter((e): e is [string, string] => Boolean(e[1]))
  return { cluster: scene.cluster, job: id, ...Object.fromEntries(told) }
}

const MOST_JOBS = 20

/** A node and the jobs on it; where one job has it, that job's user too: alerts can go to them. `job` would make it another subject. */
function nodeLabels(scene: Scene, node: string, instance: string): Labels {
  const jobs = scene.onNode.get(node) ?? []
  const [only] = jobs.length === 1 ? jobs : []
  return {
    cluster: scene.cluster,
    node,
    ...(instance === '' ? {} : { instance }),
    ...(jobs.length === 0
      ? {}
      : {
          jobs: jobs
            .slice(0, MOST_JOBS)
            .map(job => job.record.id)
            .join(' '),
        }),
    ...(only?.record.user === undefined ? {} : { user: only.record.user }),
  }
}

export function acceptsJob(where: Where | undefined, scene: Scene, job: LiveJob): boolean {
  if (!where) return true
  const { id, user, account, queue, cores, gpus } = job.record
  return (
    matches(where.job, id) &&
    matches(where.user, user) &&
    matches(where.account, account) &&
    matches(where.queue, queue) &&
    (where.node === undefined || job.nodes.some(node => matches(where.node, node))) &&
    job.nodes.length >= (where.minNodes ?? 0) &&
    (cores ?? 0) >= (where.minCores ?? 0) &&
    (where.gpus === undefined || (gpus ?? 0) > 0 === where.gpus) &&
    scene.atMs - job.startMs >= parseDuration(where.minAge ?? '0s')
  )
}

const OF_JOBS = ['job', 'user', 'account', 'queue', 'minNodes', 'minCores', 'minAge'] as const

function acceptsNode(rule: ReadyRule, scene: Scene, node: string, instance: string): boolean {
  const { where } = rule
  if (!where) return true
  if (!matches(where.node, node) || !matches(where.instance, instance)) return false
  const jobs = scene.onNode.get(node) ?? []
  if (where.allocated !== undefined && jobs.length > 0 !== where.allocated) return false
  if (where.gpus !== undefined && allHeld(scene, node, jobs) !== where.gpus) return false
  const { gpus: _, node: __, ...ofJob } = where
  return OF_JOBS.every(key => where[key] === undefined) || jobs.some(job => acceptsJob(ofJob, scene, job))
}

/** Which card belongs to which job nobody tells; where jobs hold all of a node's, each is held. */
function allHeld(scene: Scene, node: string, jobs: readonly LiveJob[]): boolean {
  const held = jobs.reduce((sum, job) => sum + gpusOn(job, node), 0)
  return held > 0 && held >= (scene.gpus(node) ?? Number.POSITIVE_INFINITY)
}

/** Values of nodes (or of jobs on nodes) -> what the rule looks at. */
export function measuresOf(rule: ReadyRule, raws: readonly Raw[], scene: Scene, noted: Noted): Measured {
  if (rule.test === 'peers') return { measures: peersOf(rule, raws, scene, noted), complete: true }
  if (rule.scope === 'job') return { measures: byJob(rule, raws, scene), complete: true }
  if (rule.scope === 'cluster') {
    const accepted = raws.filter(raw => acceptsNode(rule, scene, raw.node, raw.instance))
    return { measures: [measure({ cluster: scene.cluster }, combined(rule, accepted))], complete: false }
  }
  const measures = raws.flatMap(raw =>
    raw.value !== null && noted(raw.value, raw.node) && accepts(rule, raw, scene)
      ? [measure(labelsOf(raw, scene), raw.value)]
      : [],
  )
  // Of a job on a node all is known that there is; a node that says nothing is only silent.
  return { measures, complete: raws.some(raw => raw.job !== undefined) }
}

function accepts(rule: ReadyRule, raw: Raw, scene: Scene): boolean {
  const job = raw.job === undefined ? undefined : scene.byId.get(raw.job)
  if (raw.job === undefined) return acceptsNode(rule, scene, raw.node, raw.instance)
  return job !== undefined && matches(rule.where?.node, raw.node) && acceptsJob(rule.where, scene, job)
}

function labelsOf(raw: Raw, scene: Scene): Labels {
  const job = raw.job === undefined ? undefined : scene.byId.get(raw.job)
  return job ? { ...jobLabels(scene, job), node: raw.node } : nodeLabels(scene, raw.node, raw.instance)
}

export function combined(rule: Pick<ReadyRule, 'over'>, raws: readonly Pick<Raw, 'value'>[]): number | null {
  const values = raws.map(raw => raw.value).filter(value => value !== null)
  if (values.length === 0) return null
  const sum = values.reduce((total, value) => total + value, 0)
  return { mean: sum / values.length, sum, max: Math.max(...values), min: Math.min(...values) }[rule.over]
}

/** A metric of nodes: of the job's nodes. A metric of jobs (its instance is the job): what each node says of the job. */
function byJob(rule: ReadyRule, raws: readonly Raw[], scene: Scene): Measure[] {
  const ofJobs = rule.metric?.startsWith('job.') ?? false
  const groups = groupBy(raws, raw => (ofJobs ? raw.instance : raw.node))
  return scene.running.flatMap(job => {
    if (!acceptsJob(rule.where, scene, job)) return []
    const keys = ofJobs ? job.ids : job.nodes
    // A window that began before the job says what others did.
    const young = !ofJobs && scene.atMs - job.startMs < rule.windowMs
    return [
      measure(
        jobLabels(scene, job),
        young
          ? null
          : combined(
              rule,
              keys.flatMap(key => groups.get(key) ?? []),
            ),
      ),
    ]
  })
}

/** Distance of each from the others of its job. With fewer than three there is no odd one out. */
function peersOf(rule: ReadyRule, raws: readonly Raw[], scene: Scene, noted: Noted): Measure[] {
  const byNode = groupBy(raws, raw => raw.node)
  return scene.running.flatMap(job => {
    if (!acceptsJob(rule.where, scene, job) || scene.atMs - job.startMs < rule.windowMs) return []
    const own = job.nodes.flatMap(node =>
      (byNode.get(node) ?? []).filter(raw => raw.job === undefined || job.ids.includes(raw.job)),
    )
    const values = own.map(raw => raw.value)
    if (areClose(rule, values) && !own.some(raw => noted(Number.NaN, raw.node))) return []
    const scored = distances(rule, values)
    return own.flatMap((raw, i) => {
      const score = scored[i]
      if (score === undefined || !noted(score.value ?? Number.NaN, raw.node)) return []
      const instance = raw.instance === '' ? {} : { instance: raw.instance }
      return [measure({ ...jobLabels(scene, job), node: raw.node, ...instance, ...toldOf(score) }, score.value)]
    })
  })
}

/** No two of them are `apart`, so none is from their median. */
function areClose({ apart = 0 }: ReadyRule, values: readonly (number | null)[]): boolean {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    if (value === null) continue
    if (value < least) least = value
    if (value > most) most = value
  }
  return most - least < apart
}

interface Distance {
  value: number | null
  /** What the distance is between; null where there is none. */
  between: readonly [own: number, median: number] | null
}

/** For the message. */
export const toldOf = ({ between }: Distance): Labels =>
  between ? { own: short(between[0]), median: short(between[1]) } : {}

/** Robust distances; one that is not `apart` far enough in its own unit is none. */
export function distances(rule: Pick<ReadyRule, 'apart'>, values: readonly (number | null)[]): Distance[] {
  const middle = median(values.filter(value => value !== null))
  return robustScores(values).map((score, i) => {
    const value = values[i] ?? null
    if (score === null || value === null || middle === null) return { value: null, between: null }
    const far = Math.abs(value - middle) >= (rule.apart ?? 0)
    return { value: far ? score : 0, between: [value, middle] }
  })
}

const short = (value: number): string => String(Number(value.toPrecision(3)))
