/** Shares of functions in the CPU time of jobs, or of a cluster. */
import { CATEGORIES } from '../../ingest/records.ts'
import { numbers, strings } from '../asker.ts'
import type { Desk } from '../desk.ts'
import { within } from '../scope.ts'
import { sql } from '../sql.ts'
import type { Labels, Measure, Measured } from './evaluate.ts'
import { acceptsJob, jobLabels, measure } from './measure.ts'
import { matches, type ReadyRule } from './rule.ts'
import type { Scene } from './scene.ts'

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
  const sums = new Map<string, Sums>()
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
  return ofSums(rule, scene, sums)
}

/** Time of all, and of what a rule means: by function where it is of scope function, else all in one, called ''. */
export interface Sums {
  ns: number
  of: Map<string, number>
}

/** Pure. By job; of the whole cluster under ''. */
export const ofSums = (rule: ReadyRule, scene: Scene, sums: ReadonlyMap<string, Sums>): Measured => ({
  measures:
    rule.scope === 'cluster' ? shares({ cluster: scene.cluster }, sums.get(''), false) : jobShares(rule, scene, sums),
  complete: true,
})

const jobShares = (rule: ReadyRule, scene: Scene, sums: ReadonlyMap<string, Sums>): Measure[] =>
  scene.running.flatMap(job =>
    acceptsJob(rule.where, scene, job)
      ? shares(jobLabels(scene, job), sums.get(job.record.id), rule.scope === 'function')
      : [],
  )

function shares(labels: Labels, sums: Sums | undefined, each: boolean): Measure[] {
  if (!sums || sums.ns < MIN_NS) return [measure(labels, null)]
  if (each) return [...sums.of].map(([name, ns]) => measure({ ...labels, function: name }, ns / sums.ns))
  return [measure(labels, (sums.of.get('') ?? 0) / sums.ns)]
}
