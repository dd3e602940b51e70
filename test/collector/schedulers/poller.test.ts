import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Send } from '../../../collector/outbox.ts'
import { type PolledJob, type Scheduler, SchedulerError } from '../../../collector/schedulers/contract.ts'
import { type Poller, type PollerOptions, startPoller, waitAfter } from '../../../collector/schedulers/poller.ts'
import type { Job, Node } from '../../../ingest/records.ts'

const log = pino({ level: 'silent' })
const T0 = 1_800_000_000_000
const EVERY = 15_000

/** A scheduler whose answers the test writes. */
class Played implements Scheduler {
  readonly kind = 'slurm'
  readonly version = '22.05.8'
  jobs: PolledJob[] = []
  ended: PolledJob[] | undefined = undefined
  down: SchedulerError | undefined
  polls = 0
  asked: [number, number][] = []
  async poll() {
    this.polls++
    if (this.down !== undefined) throw this.down
    return { jobs: this.jobs, nodes: [{ node: 'n1', schedulerState: 'idle' }] }
  }
  async finished(sinceMs: number, untilMs: number) {
    this.asked.push([sinceMs, untilMs])
    return this.ended
  }
  close() {}
}

const running = (id: string): PolledJob => ({
  id,
  rawId: id,
  scheduler: 'slurm',
  state: 'running',
  submitMs: T0 - 9000,
  startMs: T0 - 5000,
})

let poller: Poller | undefined
let bodies: { jobs: Job[]; nodes: Node[] }[] = []
const send: Send = async (door, body) => {
  expect(door).toBe('jobs')
  bodies.push(JSON.parse(Buffer.from(body).toString()))
  return { ok: true }
}

async function start(scheduler: Scheduler, options: Partial<PollerOptions> = {}, to: Send = send): Promise<Poller> {
  poller = await startPoller(scheduler, { cluster: 'lab', pollEveryMs: EVERY, ...options }, { log, send: to })
  await vi.advanceTimersByTimeAsync(0)
  return poller
}

beforeEach(() => {
  vi.useFakeTimers({ now: T0, toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  bodies = []
})
afterEach(async () => {
  await poller?.stop()
  poller = undefined
  vi.useRealTimers()
})

describe('the poller', () => {
  it('polls once an interval and sends what changed', async () => {
    const scheduler = new Played()
    scheduler.jobs = [running('1')]
    await start(scheduler)
    await vi.advanceTimersByTimeAsync(2 * EVERY)
    expect(scheduler.polls).toBe(3)
    expect(bodies).toMatchObject([{ jobs: [{ id: '1', cluster: 'lab', updatedMs: T0 }], nodes: [{ node: 'n1' }] }])
  })

  it('asks less and less while nobody answers, says why, and ends no job', async () => {
    const scheduler = new Played()
    scheduler.jobs = [running('1')]
    await start(scheduler)
    scheduler.down = new SchedulerError('unreadable', 'slurm_load_jobs')
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(poller?.status().unreadable).toBe('scheduler unreadable: slurm_load_jobs')
    await vi.advanceTimersByTimeAsync(60 * 60_000)
    expect(scheduler.polls).toBeLessThan(20)
    expect(bodies).toHaveLength(1)
    const failures = scheduler.polls - 1
    scheduler.down = undefined
    await vi.advanceTimersByTimeAsync(5 * 60_000)
    expect(poller?.status()).toMatchObject({ unreadable: undefined, jobs: 1, failures })
  })

  it('asks accounting at once when a job vanished, else once a minute', async () => {
    const scheduler = new Played()
    scheduler.ended = []
    scheduler.jobs = [running('1')]
    await start(scheduler, { lookbackMs: 3_600_000 })
    expect(scheduler.asked).toEqual([[T0 - 3_600_000 - 120_000, T0]])
    await vi.advanceTimersByTimeAsync(2 * EVERY)
    expect(scheduler.asked).toHaveLength(1)
    scheduler.jobs = []
    scheduler.ended = [{ ...running('1'), state: 'failed', exitCode: 3, endMs: T0 + 31_000 }]
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(scheduler.asked).toHaveLength(2)
    expect(bodies.at(-1)?.jobs).toMatchObject([{ id: '1', state: 'failed', exitCode: 3 }])
    await vi.advanceTimersByTimeAsync(60_000 + EVERY)
    expect(scheduler.asked.length).toBeLessThanOrEqual(4)
  })

  it('ends a vanished job itself where there is no accounting', async () => {
    const scheduler = new Played()
    scheduler.jobs = [running('1')]
    await start(scheduler)
    scheduler.jobs = []
    await vi.advanceTimersByTimeAsync(EVERY)
    expect(bodies.at(-1)?.jobs).toMatchObject([{ id: '1', state: 'unknown', endMs: T0 }])
    expect(poller?.status()).toMatchObject({ unknownEnds: 1, jobs: 0 })
    expect(scheduler.asked).toHaveLength(1)
  })

  it('sends again what nobody took, and not what was refused for good', async () => {
    const scheduler = new Played()
    scheduler.jobs = [running('1')]
    const answers = [
      { ok: false, permanent: false, message: 'busy' },
      { ok: false, permanent: true, message: 'no' },
    ] as const
    let sends = 0
    await start(scheduler, {}, async () => answers[sends++] ?? { ok: true })
    await vi.advanceTimersByTimeAsync(3 * EVERY)
    expect(sends).toBe(2)
    expect(poller?.status()).toMatchObject({ sentRecords: 0, refusedRecords: 2 })
  })

  it('keeps bodies small', async () => {
    const scheduler = new Played()
    scheduler.jobs = Array.from({ length: 2500 }, (_, i) => ({ ...running(String(i)), name: 'x'.repeat(1000) }))
    await start(scheduler)
    expect(bodies.length).toBeGreaterThanOrEqual(3)
    expect(bodies.flatMap(body => body.jobs)).toHaveLength(2500)
    expect(Math.max(...bodies.map(body => JSON.stringify(body).length))).toBeLessThan(1.2e6)
  })

  it('loses none of 1000 one-second jobs a minute and of an array of 10,000 tasks', { timeout: 120_000 }, async () => {
    const scheduler = new Played()
    const MINUTES = 2
    const task = (i: number): PolledJob => ({ ...running(`7_${i}`), rawId: String(1_000_000 + i), arrayId: '7' })
    const ran = (job: PolledJob, startMs: number): PolledJob => ({
      ...job,
      ...{ state: 'completed', exitCode: 0, submitMs: startMs, startMs, endMs: startMs + 1000 },
    })
    const short = Array.from({ length: 1000 * MINUTES }, (_, i) => ran(running(`s${i}`), T0 + i * 60))
    const tasks = Array.from({ length: 10_000 }, (_, i) => ran(task(i), T0 + Math.floor(i / 1000) * 6000))
    const all = [...short, ...tasks]
    // The queue lists what runs at that moment, accounting what ended since.
    vi.spyOn(scheduler, 'poll').mockImplementation(async () => {
      const now = Date.now()
      const live = all.filter(job => (job.startMs ?? 0) <= now && now < (job.endMs ?? 0))
      return { jobs: live.map(({ endMs, exitCode, ...job }): PolledJob => ({ ...job, state: 'running' })), nodes: [] }
    })
    vi.spyOn(scheduler, 'finished').mockImplementation(async (since, until) =>
      all.filter(job => (job.endMs ?? 0) >= since && (job.endMs ?? 0) <= until),
    )
    await start(scheduler)
    await vi.advanceTimersByTimeAsync((MINUTES + 2) * 60_000)
    const told = new Map(bodies.flatMap(body => body.jobs).map(job => [job.id, job]))
    expect(told.size).toBe(all.length)
    expect([...told.values()].filter(job => job.state !== 'completed')).toEqual([])
    expect(poller?.status()).toMatchObject({ jobs: 0, unknownEnds: 0 })
    // Each is told once or twice: what was sent and cannot change any more is not sent again, and then forgotten.
    expect(bodies.flatMap(body => body.jobs).length).toBeLessThan(2.2 * all.length)
  })

  it('knows after a restart what ran before it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'poller-'))
    const statePath = join(directory, 'deep', 'jobs.json')
    const scheduler = new Played()
    scheduler.jobs = [running('1'), running('2')]
    await start(scheduler, { statePath })
    await poller?.stop()
    expect(readFileSync(statePath, 'utf8')).toContain('"id":"1"')
    await vi.advanceTimersByTimeAsync(3_600_000)
    scheduler.jobs = [running('2')]
    await start(scheduler, { statePath })
    expect(bodies.at(-1)?.jobs.find(job => job.id === '1')).toMatchObject({ state: 'unknown', endMs: T0 })
    rmSync(directory, { recursive: true })
  })

  it('hints at jobs by the id that the kernel names', async () => {
    const scheduler = new Played()
    scheduler.jobs = [{ ...running('4_1'), rawId: '14' }]
    await start(scheduler)
    expect(poller?.hint('14')).toEqual({ id: '4_1', startMs: T0 - 5000, live: true })
    expect(poller?.hint('15')).toBeUndefined()
  })
})

it('waits so that a controller is never busy with us', () => {
  expect(waitAfter(EVERY, 100, 0)).toBe(14_900)
  expect(waitAfter(EVERY, 10_000, 0)).toBe(40_000)
  expect([1, 2, 3].map(failures => waitAfter(EVERY, 0, failures))).toEqual([30_000, 60_000, 120_000])
  expect(waitAfter(EVERY, 0, 99)).toBe(300_000)
  expect(waitAfter(EVERY, 121_000, 99)).toBe(484_000)
  expect(waitAfter(3_600_000, 0, 5)).toBe(3_600_000)
})
