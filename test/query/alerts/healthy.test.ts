/**
 * All rules that come with Jobsight over an hour of two simulated clusters, through the real ingest, evaluated while it comes:
 * where jobs are well nothing fires; where faults are planted each fires what it is, and what runs well beside them nothing.
 */
import { pino } from 'pino'
import { beforeAll, describe, expect, it } from 'vitest'
import { demoStory, type SimulateOptions, simulate } from '../../../collector/simulate.ts'
import { openControl } from '../../../ingest/control.ts'
import type { Ingest } from '../../../ingest/index.ts'
import { EVERYONE } from '../../../query/access/who.ts'
import { ALERTS_DEFAULTS } from '../../../query/alerts/config.ts'
import type { Rule } from '../../../query/alerts/rule.ts'
import { type AlertDesk, openAlerts } from '../../../query/alerts/service.ts'
import type { Jobs } from '../../../query/api.ts'
import { openBursts } from '../../../query/bursts.ts'
import { openRoom } from '../../../query/desk.ts'
import { HOUR, MINUTE, openIngestedPlace, type Place, quiet } from '../place.ts'

const loud = pino({ level: 'warn' })
const EVERY_MS = 3 * MINUTE
const untilMs = Math.floor(Date.now() / EVERY_MS) * EVERY_MS - EVERY_MS
const HOURLY = { hours: 1, untilMs, seed: 7, perCore: false, stepMs: 60_000 }
const WELL = { ...HOURLY, cluster: 'well', nodes: 5, jobs: 16, stories: false }
const ILL = { ...HOURLY, cluster: 'ill', nodes: 10, jobs: 20 }

/** True of whatever computes: where these are silent nothing was looked at, and that no other rule fires says nothing. */
const SEEN: readonly Rule[] = [
  { name: 'seen-metric', scope: 'node', metric: 'cpu_busy', above: 0.2 },
  { name: 'seen-work', scope: 'job', figure: 'cpu_efficiency', window: '10m', above: 0.2 },
  { name: 'seen-process', scope: 'process', figure: 'cpu', above: 0.2 },
  { name: 'seen-function', scope: 'job', function: '*', window: '10m', above: 0.2 },
]

let place: Place
/** `rule subject` of all that fired, by cluster. */
const fired = new Map<string, Set<string>>()

function openDesk(ingest: Ingest): AlertDesk {
  const now = () => place.clock.now
  const bursts = openBursts({ control: openControl('demo', quiet), keepBurst: async () => {}, log: quiet, now })
  const room = openRoom(place.store, ingest.latest, bursts, now)
  const openOne = () => room.desk({ who: EVERYONE, signal: undefined })
  const config = { ...ALERTS_DEFAULTS, everyMs: EVERY_MS }
  return openAlerts({ store: place.store, config, log: loud, now, openDesk: openOne })
}

/** What a cluster sends, in order of time. */
function openFeed(options: SimulateOptions, ingest: Ingest): (toMs: number) => Promise<void> {
  const traffic = simulate(options)[Symbol.asyncIterator]()
  let next = traffic.next()
  return async toMs => {
    for (let one = await next; !one.done && one.value.timeMs <= toMs; one = await next) {
      const { status, message } = await ingest.receive(one.value.door, one.value.body)
      expect(status, message).toBe(200)
      next = traffic.next()
    }
  }
}

beforeAll(async () => {
  const opened = await openIngestedPlace()
  place = opened.place
  const { ingest } = opened
  place.clock.now = untilMs - HOUR
  const { evaluator, rules } = openDesk(ingest)
  for (const rule of SEEN) await rules.save(rule, '', untilMs)
  const feeds = [WELL, ILL].map(options => openFeed(options, ingest))
  for (let atMs = untilMs - HOUR + EVERY_MS; atMs <= untilMs; atMs += EVERY_MS) {
    place.clock.now = atMs
    for (const feed of feeds) await feed(atMs)
    await ingest.flush()
    place.clock.now = atMs + ALERTS_DEFAULTS.delayMs
    await evaluator.tick()
    for (const { rule, series, alert } of evaluator.active()) {
      if (series.phase !== 'firing') continue
      const { cluster = '', job, node } = alert.labels
      fired.set(cluster, (fired.get(cluster) ?? new Set()).add(`${rule.name} ${job ?? node ?? ''}`))
    }
  }
  expect(evaluator.counters).toMatchObject({ failed: 0, rounds: HOUR / EVERY_MS })
  await evaluator.close()
}, 240_000)

const firedIn = (cluster: string): string[] => [...(fired.get(cluster) ?? [])].sort()

describe('the rules that come with Jobsight', () => {
  it('say nothing of a healthy hour', async () => {
    const rules = firedIn(WELL.cluster).map(one => one.split(' ')[0])
    expect([...new Set(rules)].sort()).toEqual(SEEN.map(rule => rule.name).sort())
    const { jobs } = await place.ask<Jobs>('/jobs', { cluster: WELL.cluster })
    expect(jobs.filter(job => job.state === 'running').length).toBeGreaterThan(2)
    expect(jobs.filter(job => job.state === 'completed').length).toBeGreaterThan(2)
  })

  it('say of planted faults what they are, and nothing of the jobs beside them', () => {
    const stories = demoStory(ILL)
    const of = (kind: string) => {
      const story = stories.find(s => s.kind === kind)
      if (!story) throw new Error(`the simulator planted no ${kind}`)
      return { job: story.job, node: story.node ?? story.nodes[0] }
    }
    const [straggler, io, hog] = [of('straggler'), of('io_bound'), of('memory_hog')]
    const own = firedIn(ILL.cluster).filter(one => !one.startsWith('seen-'))
    expect(own).toEqual(
      [
        `job-idle ${of('idle').job}`,
        // The node that lags behind, and why it does.
        `job-straggler ${straggler.job}`,
        `cpu-throttled ${straggler.node}`,
        // Readers of a full disk wait for it, and are in the kernel when they do not.
        `node-io-wait ${io.node}`,
        `job-kernel-time ${io.job}`,
        `job-out-of-memory ${hog.job}`,
        `node-oom-kill ${hog.node}`,
        `collector-silent ${of('silent_node').node}`,
      ].sort(),
    )
  })
})
