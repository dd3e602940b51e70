/** Rules on a real store: what they read, what fires, what is kept, what the API says. */
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openControl } from '../../../ingest/control.ts'
import { LatestValues } from '../../../ingest/latest.ts'
import type { Burst } from '../../../ingest/records.ts'
import { EVERYONE } from '../../../query/access/who.ts'
import { ALERTS_DEFAULTS } from '../../../query/alerts/config.ts'
import { LIBRARY } from '../../../query/alerts/library.ts'
import type { Rule } from '../../../query/alerts/rule.ts'
import { type AlertDesk, openAlerts } from '../../../query/alerts/service.ts'
import type { AlertHistory, RuleTest } from '../../../query/api.ts'
import { type BurstPlan, openBursts, type RunningBursts } from '../../../query/bursts.ts'
import { openRoom } from '../../../query/desk.ts'
import { HOUR, MINUTE, openPlace, type Place, quiet, SECOND, T0 } from '../place.ts'
import { jobRow, nodePoints, processRows } from './rows.ts'

/** A round that fails says why. */
const loud = pino({ level: 'warn' })
let place: Place
/** A server over the place's store, as it comes up after a start. */
let alerts: AlertDesk

/** Its methods as a plain object, so that one can be another. */
const bound = (real: RunningBursts): RunningBursts => ({
  start: plan => real.start(plan),
  stop: id => real.stop(id),
  find: id => real.find(id),
  all: () => real.all(),
  onChange: listener => real.onChange(listener),
  close: () => real.close(),
})

/** Closer looks that were asked for; of n9 none is to be had. */
const looks: BurstPlan[] = []

/** Over what an earlier server left; openFresh() over nothing. */
const serve = (rules: readonly Rule[] = [], library = false): AlertDesk => {
  const now = () => place.clock.now
  const real = openBursts({ control: openControl('alpha', quiet), keepBurst: async () => {}, log: quiet, now })
  const bursts: RunningBursts = {
    ...bound(real),
    start: async (plan: BurstPlan) => {
      looks.push(plan)
      if (plan.nodes.includes('n9')) throw new Error('nobody there takes it')
      return { id: `b${looks.length}` } as Burst
    },
  }
  const room = openRoom(place.store, new LatestValues(), bursts, now)
  const config = { ...ALERTS_DEFAULTS, library }
  const openDesk = () => room.desk({ who: EVERYONE, signal: undefined })
  const desk = openAlerts({ store: place.store, config, log: loud, now, openDesk })
  saved = Promise.all(rules.map(rule => desk.rules.save(rule, 'ann', now())))
  return desk
}
let saved: Promise<unknown> = Promise.resolve()

async function openFresh(rules: readonly Rule[]): Promise<AlertDesk> {
  await place.store.command('TRUNCATE TABLE alert_records')
  return serve(rules)
}

/** One round at a minute after T0; the state of each series that is not inactive. */
async function roundAt(minutes: number, desk = alerts): Promise<string[]> {
  await saved
  place.clock.now = T0 + minutes * MINUTE + ALERTS_DEFAULTS.delayMs
  await desk.evaluator.tick()
  return desk.evaluator
    .active()
    .map(a => `${a.rule.name} ${a.alert.labels.job ?? ''}${a.alert.labels.node ?? ''} ${a.series.phase}`)
    .sort()
}

beforeAll(async () => {
  place = await openPlace()
  // Two jobs on four nodes each, of 8 cores. One works but for n4, the other does nothing.
  await place.write('jobs', [
    jobRow({
      id: '1',
      user: 'ann',
      start: -60,
      nodes: ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'],
      cores: 48,
      timeLimitSeconds: 7500,
    }),
    jobRow({ id: '2', user: 'bob', start: -60, nodes: ['n7', 'n8'], cores: 16, memoryBytes: 16e9 }),
    jobRow({ id: '3', user: 'bob', start: 1, nodes: ['n9'], cores: 8 }),
  ])
  const load: Record<string, number> = { n1: 7.9, n2: 7.8, n3: 7.9, n4: 2, n5: 7.7, n6: 7.9, n7: 0.01, n8: 0.02, n9: 6 }
  for (const [node, cores] of Object.entries(load)) {
    const job = ['n7', 'n8'].includes(node) ? '2' : node === 'n9' ? '3' : '1'
    await place.write(
      'node_points',
      nodePoints(node, 0, 60, () => ({
        cpu_busy: cores / 8,
        cpu_count: 8,
        cpu_system: 0.01,
        memory_used: 9e9,
        memory_total: 1e10,
      })),
    )
    await place.write(
      'processes',
      processRows(node, job, 0, 60, {
        cpu_user: cores * 0.9,
        cpu_system: cores * 0.1,
        memory_bytes: node === 'n7' ? 7.9e9 : 1e9,
        write_bytes: node === 'n9' ? 2e9 : 0,
      }),
    )
  }
  await place.restore()
}, 120_000)
afterAll(() => alerts?.evaluator.close())

describe('rules on a store', () => {
  it('of metrics: value, share, change, all of a cluster', async () => {
    alerts = await openFresh([
      { name: 'busy', scope: 'node', metric: 'cpu_busy', above: 0.98 },
      { name: 'full', scope: 'node', metric: 'memory_used', share: true, above: 0.5, where: { node: 'n1' } },
      { name: 'mean', scope: 'cluster', metric: 'cpu_busy', above: 0.5 },
      { name: 'job-mean', scope: 'job', metric: 'cpu_busy', below: 0.1, over: 'max' },
    ])
    expect(await roundAt(20)).toEqual([
      'busy n1 firing',
      'busy n3 firing',
      'busy n6 firing',
      'full n1 firing',
      'job-mean 2 firing',
      'mean  firing',
    ])
  })

  it('of jobs and of the nodes of a job against each other', async () => {
    alerts = await openFresh([
      { name: 'idle', scope: 'job', figure: 'cpu_efficiency', window: '10m', below: 0.02 },
      { name: 'slow', scope: 'node', figure: 'job_cpu_share', test: 'peers', window: '10m', below: -3.5, apart: 0.2 },
      { name: 'uneven', scope: 'job', figure: 'imbalance', window: '10m', above: 0.1, where: { minNodes: 3 } },
      { name: 'storm', scope: 'job', figure: 'io_bytes', above: 1e9 },
      { name: 'memory', scope: 'job', figure: 'memory_share', above: 0.95 },
      { name: 'late', scope: 'job', figure: 'time_share', above: 0.6 },
      { name: 'hog', scope: 'process', figure: 'memory_bytes', above: 5e9 },
      { name: 'dead', scope: 'job', figure: 'kernel_share', window: '10m', above: 0.3 },
    ])
    expect(await roundAt(20)).toEqual([
      'hog 2n7 firing',
      'idle 2 firing',
      'late 1 firing',
      'memory 2 firing',
      'slow 1n4 firing',
      'storm 3 firing',
      'uneven 1 firing',
    ])
    const slow = alerts.evaluator.active().find(a => a.rule.name === 'slow')
    expect(slow?.alert.labels).toMatchObject({ cluster: 'alpha', job: '1', user: 'ann', node: 'n4', own: '0.25' })
  })

  it('of functions: a stack counts once, and only for its job', async () => {
    for (const [job, text] of [
      ['1', 'a a a\nw b d\nw . .\n6 2 2'],
      ['2', 'a\nb\n9'],
    ] as const) {
      const runner = { job, node: job === '1' ? 'n1' : 'n7', timeMs: T0 + 19 * MINUTE }
      await place.sample(text.replace(/(\d)/g, '$1000000000'), runner)
    }
    alerts = await openFresh([{ name: 'wait', scope: 'job', function: 'w*', window: '10m', above: 0.5 }])
    expect(await roundAt(20)).toEqual(['wait 1 firing'])
    expect(alerts.evaluator.active()[0]?.series.value).toBeCloseTo(0.6)
  })

  it('what cannot be read fails its own rules alone', async () => {
    alerts = await openFresh([
      { name: 'busy', scope: 'node', metric: 'cpu_busy', above: 0.98 },
      { name: 'hog', scope: 'process', figure: 'memory_bytes', above: 5e9 },
    ])
    await place.store.command('RENAME TABLE processes TO elsewhere')
    try {
      expect(await roundAt(20)).toEqual(['busy n1 firing', 'busy n3 firing', 'busy n6 firing'])
    } finally {
      await place.store.command('RENAME TABLE elsewhere TO processes')
    }
    expect(alerts.evaluator.error('hog')).toBeTruthy()
    expect(alerts.evaluator.error('busy')).toBeUndefined()
    expect(await roundAt(21)).toContain('hog 2n7 firing')
    expect(alerts.evaluator.error('hog')).toBeUndefined()
  })
})

it('a rule with `profile` takes a closer look when it fires: once, and only so many', async () => {
  looks.length = 0
  const rule: Rule = { name: 'hot', scope: 'node', metric: 'cpu_busy', above: 0.2, profile: true }
  alerts = await openFresh([rule])
  expect(await roundAt(20)).toHaveLength(7)
  // Six of the seven that fire at once; what is refused is counted, and the alert fires all the same.
  expect(looks).toHaveLength(6)
  expect(looks.map(l => l.by)).toContain('alert hot')
  const counters = alerts.evaluator.evidence.counters
  expect(counters.limited).toBe(1)
  expect(counters.taken + counters.refused).toBe(6)
  await roundAt(21)
  expect(looks).toHaveLength(6)
  const [one] = alerts.evaluator.active().filter(a => a.alert.labels.burst !== undefined)
  expect(one?.alert.link).toContain(`burst=${one?.alert.labels.burst}`)
  const ask = { rule: 'hot', from: T0, to: T0 + HOUR }
  const past = (await place.ask<AlertHistory>('/alerts/history', ask)).alerts.find(a => a.id === one?.alert.id)
  expect(past?.labels.burst).toBe(one?.alert.labels.burst)
  alerts = serve()
  await roundAt(22)
  expect(alerts.evaluator.active().find(a => a.alert.id === one?.alert.id)?.alert.labels.burst).toBe(
    one?.alert.labels.burst,
  )
})

describe('what is kept', () => {
  const rule: Rule = { name: 'kept', scope: 'node', metric: 'cpu_busy', above: 0.98, for: '1m', where: { node: 'n1' } }

  it('every rule that comes with Jobsight is a question that the store takes', async () => {
    await place.store.command('TRUNCATE TABLE alert_records')
    alerts = serve([], true)
    await roundAt(30)
    const refused = LIBRARY.map(({ name }) => [name, alerts.evaluator.error(name)]).filter(([, error]) => error)
    expect(refused).toEqual([])
    expect(alerts.evaluator.counters).toMatchObject({ rounds: 1, failed: 0 })
  })

  it('a restart neither forgets what is pending nor tells again what fires', async () => {
    alerts = await openFresh([rule])
    expect(await roundAt(21)).toEqual(['kept n1 pending'])
    await alerts.evaluator.close()
    alerts = serve([rule])
    expect(await roundAt(22)).toEqual(['kept n1 firing'])
    const fired = alerts.evaluator.active()[0]?.series.firedMs
    alerts = serve([rule]) // killed: nothing was closed
    expect(await roundAt(23)).toEqual(['kept n1 firing'])
    expect(alerts.evaluator.active()[0]?.series.firedMs).toBe(fired)
    const { alerts: past } = await place.ask<AlertHistory>('/alerts/history', { rule: 'kept', from: T0, to: T0 + HOUR })
    expect(past).toMatchObject([{ state: 'firing', fired, resolved: null, threshold: 0.98, labels: { node: 'n1' } }])
  })

  it('what ended is in the history with its values and why', async () => {
    await alerts.rules.drop('kept')
    expect(await roundAt(24)).toEqual([])
    const { alerts: past } = await place.ask<AlertHistory>('/alerts/history', { rule: 'kept', from: T0, to: T0 + HOUR })
    expect(past).toMatchObject([{ state: 'resolved', why: 'rule', resolved: T0 + 24 * MINUTE }])
    expect(past[0]?.worst).toBeGreaterThan(0.98)
  })

  it('a late row changes nothing that was evaluated', async () => {
    alerts = await openFresh([{ ...rule, name: 'late', metric: 'cpu_busy', above: 0.98, for: '0s', window: '1m' }])
    expect(await roundAt(25)).toEqual(['late n1 firing'])
    expect(await roundAt(25)).toEqual(['late n1 firing'])
    expect(alerts.evaluator.counters.failed).toBe(0)
  })
})

describe('a rule over the past', () => {
  const ask = async (rule: Rule) => {
    const answer = await place.app.inject({
      method: 'POST',
      url: '/api/v1/alerts/test',
      payload: { rule, cluster: 'alpha', from: T0, to: T0 + 50 * MINUTE },
    })
    expect(answer.statusCode, answer.body).toBe(200)
    return answer.json<RuleTest>()
  }

  it('says how often it would have fired', async () => {
    await place.write(
      'node_points',
      nodePoints('m1', 0, 50, minute => ({ cpu_busy: minute % 20 < 10 ? 0.1 : 0.9, cpu_count: 8 })),
    )
    await place.restore()
    place.clock.now = T0 + HOUR
    const rule: Rule = {
      name: 'try',
      scope: 'node',
      metric: 'cpu_busy',
      window: '1m',
      above: 0.55,
      where: { node: 'm1' },
    }
    const tested = await ask(rule)
    expect(tested).toMatchObject({ fired: 2, firing: 0, step: MINUTE })
    expect(tested.alerts.map(a => [(a.fired ?? 0) - T0, (a.resolved ?? 0) - T0].map(ms => ms / MINUTE))).toEqual([
      [31, 41],
      [11, 21],
    ])
    expect((await ask({ ...rule, for: '15m' })).fired).toBe(0)
    expect((await ask({ ...rule, window: '20m' })).fired).toBe(0)
    expect((await ask({ ...rule, aggregate: 'max', window: '20m' })).fired).toBe(1)
  })

  it('of jobs as they were', async () => {
    const tested = await ask({ name: 'idle', scope: 'job', figure: 'cpu_efficiency', window: '10m', below: 0.02 })
    expect(tested.alerts.map(a => a.labels.job)).toEqual(['2'])
  })

  it('refuses what has no past, saying so', async () => {
    const answer = await place.app.inject({
      method: 'POST',
      url: '/api/v1/alerts/test',
      payload: { rule: { name: 'x', scope: 'node', figure: 'silent_seconds', above: 1 }, from: T0, to: T0 + HOUR },
    })
    expect(answer.statusCode).toBe(400)
    expect(answer.body).toContain('can only be watched live')
  })
})

it('leaves nothing unanswered in the API', async () => {
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, payload?: object) => {
    const answer = await place.app.inject({ method, url: `/api/v1/alerts${path}`, ...(payload ? { payload } : {}) })
    return { status: answer.statusCode, body: answer.json() }
  }
  const rule = { name: 'mine', scope: 'node', metric: 'cpu_busy', above: 0.5 }
  expect(await call('PUT', '/rules/mine', { rule: { ...rule, metric: 'cpu_bsy' } })).toMatchObject({ status: 400 })
  expect(await call('PUT', '/rules/other', { rule })).toMatchObject({ status: 400 })
  expect(await call('PUT', '/rules/mine', { rule, author: 'ann' })).toEqual({ status: 200, body: { done: true } })
  expect((await call('GET', '/rules')).body.rules.find((r: { rule: Rule }) => r.rule.name === 'mine')).toMatchObject({
    origin: 'page',
    author: 'ann',
  })
  expect(await call('DELETE', '/rules/job-idle')).toMatchObject({ status: 400 })
  const swapping = { name: 'swapping', scope: 'node', metric: 'swap_in', above: 1, inhibitedBy: ['mine'] }
  const misspelt = await call('PUT', '/rules/swapping', { rule: { ...swapping, inhibitedBy: ['minne'] } })
  expect(misspelt).toMatchObject({ status: 400 })
  expect(JSON.stringify(misspelt.body)).toContain('inhibitedBy.0: rule minne is not known. Known: mine,')
  expect(await call('PUT', '/rules/swapping', { rule: swapping })).toMatchObject({ status: 200 })
  const named = await call('DELETE', '/rules/mine')
  expect(named).toMatchObject({ status: 400 })
  expect(JSON.stringify(named.body)).toContain('rule swapping is inhibited by it')
  expect(await call('DELETE', '/rules/swapping')).toMatchObject({ status: 200 })
  expect(await call('DELETE', '/rules/mine')).toMatchObject({ status: 200 })
  const until = place.clock.now + HOUR
  const silence = await call('POST', '/silences', {
    match: { node: 'n*' },
    until,
    comment: 'maintenance',
    author: 'ann',
  })
  expect(silence).toMatchObject({ status: 200, body: { author: 'ann' } })
  expect((await call('GET', '/silences')).body.silences).toHaveLength(1)
  place.clock.now += SECOND
  expect(await call('DELETE', `/silences/${silence.body.id}`)).toMatchObject({ status: 200 })
  expect((await call('GET', '/silences')).body.silences[0].until).toBe(place.clock.now)
  expect(await call('DELETE', '/silences/none')).toMatchObject({ status: 404 })
  expect(await call('POST', '/none/ack', {})).toMatchObject({ status: 404 })
  expect(await call('POST', '/silences', { match: {}, until })).toMatchObject({ status: 400 })
  expect(await call('POST', '/silences', { match: { nodes: 'n1' }, until })).toMatchObject({ status: 400 })
  expect(await call('GET', '/deliveries')).toMatchObject({ status: 200, body: { deliveries: [] } })
  expect(await call('POST', '/deliveries/none/again')).toMatchObject({ status: 404 })
})
