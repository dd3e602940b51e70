/** Closer looks by the API, with collectors played: what they are told, what they tell, what is refused and where it is found. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Ingest } from '../../ingest/index.ts'
import type { Burst, Job, ToCollector } from '../../ingest/records.ts'
import type { Bursts, Flame } from '../../query/api.ts'
import { HOUR, MINUTE, openIngestedPlace, type Place } from './place.ts'

let place: Place
let ingest: Ingest
let now: number
let lines: Record<string, { heard: ToCollector[]; tell(news: object): void; hangUp(): void }>

const RANK = (node: string, pid: number, rank: number) => ({
  cluster: 'alpha',
  node,
  time: Math.floor(now / 1000) - 20,
  interval_ms: 10_000,
  pid,
  start_ms: now - HOUR,
  name: 'cfd',
  job: '815',
  rank,
})

beforeAll(async () => {
  const opened = await openIngestedPlace()
  place = opened.place
  ingest = opened.ingest
  now = place.clock.now
  const job = (id: string, fields: Partial<Job>): Partial<Job> => ({
    id,
    scheduler: 'slurm',
    state: 'running',
    startMs: now - HOUR,
    updatedMs: now - MINUTE,
    allocations: [{ node: 'n1' }, { node: 'n2' }],
    ...fields,
  })
  const wide = Array.from({ length: 65 }, (_, i) => ({ node: `w${i}` }))
  const jobs = [
    job('815', { rawId: '9815' }),
    job('816', { state: 'completed', endMs: now - MINUTE }),
    job('817', { allocations: wide }),
  ]
  const nodes = ['n1', 'n2', 'n3', 'n4'].map(node => ({ node, updatedMs: now - MINUTE }))
  const receipt = await ingest.receive('jobs', Buffer.from(JSON.stringify({ jobs, nodes })))
  expect(receipt).toMatchObject({ status: 200, rejected: 0 })
  await ingest.flush()
  await place.write('processes', [RANK('n1', 100, 0), RANK('n2', 200, 1)])
})

beforeEach(() => {
  for (const line of Object.values(lines ?? {})) line.hangUp()
  // Beyond the window in which starts are counted.
  place.clock.now += 11 * MINUTE
  now = place.clock.now
  lines = Object.fromEntries(['n1', 'n2', 'n3'].map(node => [node, join(node)]))
})

function join(node: string, absent?: string) {
  const heard: ToCollector[] = []
  const end = ingest.control.join({ send: frame => heard.push(frame), close: () => {} })
  end.hear({ hello: { node, ...(absent ? { absent } : {}) } })
  return { heard, tell: (news: object) => end.hear(news), hangUp: () => end.gone() }
}

async function post(body: object): Promise<{ status: number; burst: Burst; message: string }> {
  const answer = await place.app.inject({ method: 'POST', url: '/api/v1/bursts', payload: body })
  const told = answer.json()
  return { status: answer.statusCode, burst: told, message: told.error?.message ?? '' }
}

const read = (id: string) => place.ask<Burst>(`/bursts/${id}`)
const done = (burst: Burst, node: string, samples = 10) =>
  lines[node]?.tell({ burst: burst.id, state: 'done', samples, lost: 1 })

describe('a burst', () => {
  it('of a process goes to its node, tells how it goes, and is found with its job when it is over', async () => {
    const { status, burst } = await post({ node: 'n1', pid: 100, start: now - HOUR, hz: 997, seconds: 10 })
    expect(status).toBe(201)
    expect(burst).toMatchObject({ state: 'asked', pid: 100, hz: 997, seconds: 10, parts: [{ node: 'n1' }] })
    const order = { id: burst.id, hz: 997, seconds: 10, target: { kind: 'process', pid: 100, startMs: now - HOUR } }
    expect(lines.n1?.heard).toEqual([{ start: order }])
    expect(lines.n2?.heard).toEqual([])
    lines.n1?.tell({ burst: burst.id, state: 'running', samples: 3, lost: 0 })
    expect(await read(burst.id)).toMatchObject({ state: 'running', samples: 3 })
    place.clock.now += 12_000
    done(burst, 'n1', 40)
    const over = await read(burst.id)
    expect(over).toMatchObject({ state: 'done', samples: 40, lost: 1 })
    const { bursts } = await place.ask<Bursts>('/bursts', { node: 'n1', pid: 100 })
    expect(bursts.map(b => [b.id, b.state])).toEqual([[burst.id, 'done']])
    expect((await place.ask<Bursts>('/bursts', { node: 'n2' })).bursts).toEqual([])
  })

  it('of a job goes to all its nodes by both of its names, and is over when all of them are', async () => {
    const { burst } = await post({ job: '815' })
    expect(burst).toMatchObject({ job: '815', hz: 499, seconds: 30, parts: [{ node: 'n1' }, { node: 'n2' }] })
    expect(lines.n2?.heard).toMatchObject([{ start: { target: { kind: 'job', ids: ['815', '9815'] } } }])
    done(burst, 'n1')
    expect((await read(burst.id)).state).toBe('asked')
    lines.n2?.tell({ burst: burst.id, state: 'refused', reason: 'no perf here', samples: 0, lost: 0 })
    const over = await read(burst.id)
    expect(over).toMatchObject({ state: 'done', samples: 10, reason: 'no perf here' })
    expect(over.parts.map(part => part.state)).toEqual(['done', 'refused'])
    const found = await place.ask<Bursts>('/bursts', { job: '815' })
    expect(found.bursts.map(b => b.id)).toContain(burst.id)
  })

  it('of a rank goes to the node where the rank was seen', async () => {
    place.clock.now = now = now - 11 * MINUTE
    await place.write('processes', [RANK('n2', 201, 7)])
    const { burst } = await post({ job: '815', rank: 7 })
    expect(burst).toMatchObject({ rank: 7, parts: [{ node: 'n2' }] })
    expect(lines.n2?.heard).toMatchObject([{ start: { target: { kind: 'job', rank: 7 } } }])
    done(burst, 'n2')
    const { status, message } = await post({ job: '815', rank: 99 })
    expect(status).toBe(404)
    expect(message).toMatch(/rank 99 of job 815 was not seen.*Known: .*7/)
    place.clock.now = now + 11 * MINUTE
  })

  it('is stopped before its time', async () => {
    const { burst } = await post({ node: 'n3' })
    const answer = await place.app.inject({ method: 'DELETE', url: `/api/v1/bursts/${burst.id}` })
    expect(answer.statusCode).toBe(200)
    expect(lines.n3?.heard.at(-1)).toEqual({ stop: burst.id })
    lines.n3?.tell({ burst: burst.id, state: 'stopped', samples: 5, lost: 0 })
    expect(await read(burst.id)).toMatchObject({ state: 'stopped', samples: 5 })
  })

  it('has its own window: its flame graph needs nothing but its id', async () => {
    const { burst } = await post({ node: 'n3', seconds: 10 })
    const flame = await place.ask<Flame>('/flame', { burst: burst.id })
    expect(flame.coverage.from).toBe(burst.from)
    expect(flame.coverage.to).toBeGreaterThanOrEqual(burst.from + 10_000)
    done(burst, 'n3')
    expect(await place.refusal('/flame', { burst: 'nonesuch' })).toMatchObject({ status: 404 })
  })

  it('that ran when the server was stopped is said to be lost', async () => {
    const { burst } = await post({ node: 'n3', seconds: 10 })
    done(burst, 'n3')
    await read(burst.id)
    // As if the last word had not come: the record of the start is the newest again.
    const running: Burst = { ...burst, state: 'asked', updatedMs: place.clock.now + HOUR }
    await ingest.keepBurst(running)
    place.clock.now += 2 * MINUTE
    expect(await read(burst.id)).toMatchObject({ state: 'lost', reason: expect.stringContaining('restarted') })
  })
})

describe('is refused, with what to do', () => {
  it.each([
    [{}, 400, /needs a job .* or a node/],
    [{ job: '815', seconds: 5 }, 400, /seconds/],
    [{ job: '815', hz: 5000 }, 400, /hz/],
    [{ node: 'n1', hertz: 9 }, 400, /hertz/],
    [{ rank: 1, node: 'n1' }, 400, /name the job/],
    [{ pid: 5, node: 'n1,n2' }, 400, /the one node/],
    [{ job: '816' }, 409, /job 816 is completed.*jobs\/816\/flame/],
    [{ job: '817' }, 400, /65 nodes are too many.*at most 64/],
    [{ job: '999' }, 404, /job 999 is not known/],
    [{ node: 'n4' }, 409, /n4 has no control line.*jobsight collect/],
  ])('%j', async (body, status, words) => {
    const answer = await post(body)
    expect([answer.status, answer.message]).toEqual([status, expect.stringMatching(words)])
  })

  it('where the node takes none, by its own reason', async () => {
    lines.n3 = join('n3', 'run `sysctl kernel.perf_event_paranoid=1`')
    expect(await post({ node: 'n3' })).toMatchObject({
      status: 409,
      message: 'n3 takes no bursts: run `sysctl kernel.perf_event_paranoid=1`',
    })
  })

  it('while one looks at the same, and when a node had too many', async () => {
    const first = await post({ node: 'n3' })
    expect(await post({ node: 'n3' })).toMatchObject({
      status: 409,
      message: expect.stringContaining(first.burst.id),
    })
    done(first.burst, 'n3')
    for (let i = 1; i < 12; i++) done((await post({ node: 'n3' })).burst, 'n3')
    expect(await post({ node: 'n3' })).toMatchObject({
      status: 429,
      message: expect.stringMatching(/n3 had 12 bursts in 10 minutes: ask again in 10 min/),
    })
    expect((await post({ node: 'n2' })).status).toBe(201)
  })
})

describe('the switchboard', () => {
  it('hangs up on whoever says something else than hello first, or twice', () => {
    const closed: string[] = []
    const line = { send: () => {}, close: (why: string) => closed.push(why) }
    ingest.control.join(line).hear({ burst: 'x', state: 'done', samples: 0, lost: 0 })
    ingest.control.join(line).hear('nonsense')
    const end = ingest.control.join(line)
    end.hear({ hello: { node: 'twice' } })
    end.hear({ hello: { node: 'other' } })
    expect(closed).toHaveLength(3)
    expect(ingest.control.nodes('alpha')).not.toContain('other')
    end.gone()
    expect(ingest.control.nodes('alpha')).not.toContain('twice')
  })

  it('a node that comes again takes the place of itself', () => {
    const closed: string[] = []
    const old = ingest.control.join({ send: () => {}, close: why => closed.push(why) })
    old.hear({ hello: { node: 'n9' } })
    const again = join('n9')
    expect(closed).toHaveLength(1)
    old.gone()
    expect(ingest.control.reach('alpha', 'n9')).toBe(true)
    again.hangUp()
    expect(ingest.control.reach('alpha', 'n9')).not.toBe(true)
  })
})
