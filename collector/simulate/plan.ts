/** Plans turned into jobs with times and sizes for a cluster, and jobs drawn at random. */
import { cfd } from './apps/cfd.ts'
import { genome } from './apps/genome.ts'
import { molecular } from './apps/molecular.ts'
import { training } from './apps/training.ts'
import type { App, SimulatedJob } from './model.ts'
import { openRandom, type Random } from './random.ts'
import { PLANS, type StoryKind } from './stories.ts'

/** From this share of its life on, the straggler's processor runs at 56 % of its speed. */
const THROTTLE = { afterShare: 0.3, speed: 0.56 }
const FIRST_ID = 48201
const HOUR = 3_600_000
const WAITING = { startMs: 0, nodes: [], state: 'queued', reason: '' } as const

export interface PlannedJob extends SimulatedJob {
  kind: StoryKind | 'filler'
}

export interface Span {
  beginMs: number
  untilMs: number
}

/** Ids are given in the order of submission, as a scheduler does. */
function idOf(kind: StoryKind): string {
  const order = [...PLANS].sort((a, b) => a.submit - b.submit)
  return String(FIRST_ID + 3 * order.findIndex(p => p.kind === kind))
}

/** The planted jobs; on a small cluster those that find no nodes stay queued. */
export function planStories(nodes: number, span: Span): PlannedJob[] {
  const long = span.untilMs - span.beginMs
  const at = (part: number): number => Math.round((span.beginMs + part * long) / 1000) * 1000
  return PLANS.map((plan, i) => {
    const wanted = plan.nodes(nodes)
    const odd = wanted - Math.max(1, Math.floor(wanted / 3))
    const { kind, name, user, account, app, coresPerNode, besides } = plan
    return {
      ...WAITING,
      ...{ kind, name, user, account, app, coresPerNode },
      id: idOf(kind),
      uid: 20_000 + i * 37,
      queue: plan.queue ?? 'batch',
      nodesWanted: wanted,
      submitMs: at(plan.submit),
      earliestMs: at(plan.begin),
      runMs: plan.end === undefined ? plan.timeLimitHours * HOUR : (plan.end - plan.begin) * long,
      timeLimitMs: plan.timeLimitHours * HOUR,
      ending: plan.ending ?? 'timeout',
      exitCode: plan.exitCode ?? 0,
      signal: plan.signal ?? 0,
      besides: besides === undefined ? '' : idOf(besides),
      throttle:
        kind === 'straggler' ? { index: odd, afterMs: THROTTLE.afterShare * long, speed: THROTTLE.speed } : undefined,
    }
  })
}

const FILLERS: readonly { app: App; name: string; user: string; account: string }[] = [
  { app: molecular, name: 'membrane-eq', user: 'liwei', account: 'biophysics' },
  { app: cfd, name: 'duct-rans', user: 'amara', account: 'turbulence' },
  { app: training, name: 'wordvec-sweep', user: 'sofia', account: 'language' },
  { app: genome, name: 'exome-trio', user: 'daniel', account: 'genomics' },
  { app: molecular, name: 'peptide-fold', user: 'hana', account: 'biophysics' },
]

/** Job number `index` of those drawn at random, submitted at `submitMs`. */
export function drawFiller(seed: number, index: number, submitMs: number, nodes: number): PlannedJob {
  const random: Random = openRandom(seed, 'filler', index)
  const filler = FILLERS[random.integer(0, FILLERS.length - 1)] ?? {
    app: molecular,
    name: 'md',
    user: 'liwei',
    account: 'x',
  }
  const fails = random.uniform()
  const runMs = Math.round(12 * 60_000 + random.exponential(35 * 60_000))
  return {
    ...WAITING,
    ...filler,
    kind: 'filler',
    id: String(FIRST_ID + 3 * PLANS.length + index * 2 + random.integer(0, 1)),
    name: `${filler.name}-${random.integer(1, 40)}`,
    uid: 20_400 + random.integer(0, 50),
    queue: 'batch',
    nodesWanted: Math.max(1, Math.min(Math.ceil(nodes / 6), Math.round(random.exponential(nodes / 20)))),
    coresPerNode: undefined,
    submitMs,
    earliestMs: submitMs + 2000,
    runMs,
    timeLimitMs: 24 * HOUR,
    ending: fails < 0.12 ? 'failed' : fails < 0.18 ? 'cancelled' : 'completed',
    exitCode: fails < 0.12 ? 1 : 0,
    signal: 0,
    besides: '',
    throttle: undefined,
  }
}
