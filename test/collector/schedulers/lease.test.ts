/** Two collectors that are both told to ask one scheduler, before one receiver: its rule of who may, over HTTP's answer. */
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseAnswer } from '../../../collector/httpsend.ts'
import type { Send } from '../../../collector/outbox.ts'
import { type PolledJob, type Scheduler, SchedulerError } from '../../../collector/schedulers/contract.ts'
import { openLease, sendClaims } from '../../../collector/schedulers/lease.ts'
import { type Poller, startPoller } from '../../../collector/schedulers/poller.ts'
import { answerOf } from '../../../ingest/http.ts'
import { Pollers } from '../../../ingest/pollers.ts'
import type { JobsRequest } from '../../../ingest/records.ts'

const log = pino({ level: 'silent' })
const T0 = 1_800_000_000_000
const EVERY = 15_000
const URL_JOBS = new URL('http://server:7070/v1/jobs')
const JOB: PolledJob = { id: '1', rawId: '1', scheduler: 'slurm', state: 'running', submitMs: T0, startMs: T0 }

class Counted implements Scheduler {
  readonly kind = 'slurm'
  readonly version = '22.05.8'
  polls = 0
  jobs: PolledJob[] = [JOB]
  down = false
  async poll() {
    this.polls++
    if (this.down) throw new SchedulerError('unreadable', 'it is down')
    return { jobs: this.jobs, nodes: [] }
  }
  close() {}
}

let pollers = new Pollers()
const open: Poller[] = []

/** The receiver: records are thrown away. */
const send: Send = async (door, body) => {
  const { poller } = JSON.parse(Buffer.from(body).toString()) as JobsRequest
  const message = poller && pollers.claim(poller, poller.cluster ?? '', Date.now())
  const receipt = message === undefined ? { status: 200, rejected: 0 } : { status: 409, rejected: 0, message }
  const answer = answerOf(door, 'application/json', receipt)
  return parseAnswer(door, URL_JOBS, answer, Date.now())
}

async function start(node: string, through: Send = send) {
  const scheduler = new Counted()
  const lease = openLease({ cluster: 'lab', scheduler: 'slurm', node, holder: `${node} 1` }, through)
  const poller = await startPoller(scheduler, { cluster: 'lab', pollEveryMs: EVERY }, { log, send: through, lease })
  open.push(poller)
  await vi.advanceTimersByTimeAsync(0)
  return { scheduler, poller }
}

beforeEach(() => {
  pollers = new Pollers()
  vi.useFakeTimers({ now: T0, toFake: ['setTimeout', 'clearTimeout', 'Date'] })
})
afterEach(async () => {
  for (const poller of open.splice(0)) await poller.stop()
  vi.useRealTimers()
})

describe('of two pollers of a cluster', () => {
  it('one asks the scheduler, the other says which, and takes over when that one stops', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await vi.advanceTimersByTimeAsync(10 * EVERY)
    expect([a.scheduler.polls, b.scheduler.polls]).toEqual([11, 0])
    expect(a.poller.status().heldBy).toBeUndefined()
    expect(b.poller.status()).toMatchObject({
      heldBy: 'the collector on a asks the slurm of cluster lab',
      unreadable: undefined,
    })
    await a.poller.stop()
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(b.scheduler.polls).toBe(1)
    expect(b.poller.status()).toMatchObject({ heldBy: undefined, jobs: 1 })
  })

  it('the other takes over from one that was killed after three intervals', async () => {
    let alive = true
    const dying: Send = (door, body) => (alive ? send(door, body) : new Promise(() => {}))
    const a = await start('a', dying)
    const b = await start('b')
    await vi.advanceTimersByTimeAsync(2 * EVERY)
    alive = false
    await vi.advanceTimersByTimeAsync(2 * EVERY)
    expect([a.scheduler.polls, b.scheduler.polls]).toEqual([3, 0])
    await vi.advanceTimersByTimeAsync(2 * EVERY)
    expect(b.scheduler.polls).toBeGreaterThan(0)
    open.splice(open.indexOf(a.poller), 1)
  })

  it('the other takes over from one that cannot reach the scheduler, whose word on its jobs counts no more', async () => {
    const [a, b] = [await start('a'), await start('b')]
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(a.poller.hint('1')).toBeDefined()
    a.scheduler.down = true
    await vi.advanceTimersByTimeAsync(20 * EVERY)
    expect(b.scheduler.polls).toBeGreaterThan(0)
    expect(b.poller.status().heldBy).toBeUndefined()
    expect(a.poller.status().heldBy).toBe('the collector on b asks the slurm of cluster lab')
    expect(a.poller.hint('1')).toBeUndefined()
  })
})

it('asks all the same where the receiver knows no claims, or is away', async () => {
  const answers = [
    { ok: false, permanent: true, message: '404' },
    { ok: false, permanent: false, message: 'away' },
  ] as const
  for (const [i, answer] of answers.entries()) {
    const { scheduler } = await start(`n${i}`, async () => answer)
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(scheduler.polls).toBe(2)
  }
})

it('of all that is sent lets through only the claims', async () => {
  const through: string[] = []
  const only = sendClaims(async (_, body) => {
    through.push(Buffer.from(body).toString())
    return { ok: true }
  })
  await only('metrics', Buffer.from('{"poller":1}'))
  await only('jobs', Buffer.from('{"jobs":[]}'))
  await openLease({ scheduler: 'slurm', node: 'a', holder: 'a 1' }, only).hold(1000.5)
  expect(through.map(text => JSON.parse(text))).toEqual([
    { poller: { scheduler: 'slurm', node: 'a', holder: 'a 1', forMs: 1001 } },
  ])
})
