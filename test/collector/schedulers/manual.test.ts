import { Compile } from 'typebox/compile'
import { describe, expect, it } from 'vitest'
import { applyJobChange, parseJobChange, tellJob } from '../../../collector/schedulers/manual.ts'
import { Job } from '../../../ingest/records.ts'

const T0 = 1_800_000_000_000
const teller = (nowMs: number) => ({ cluster: 'cube', node: 'n1.lab', nowMs })
const told = (line: string, before?: Job, nowMs = T0) =>
  applyJobChange(parseJobChange(line.split(' ')), before, teller(nowMs))
const CheckedJob = Compile(Job)

describe('jobsight job', () => {
  it('start, update and stop make whole records, each with what was told before', () => {
    const started = told(
      'start 47 name=relax user=alice queue=long nodes=n[01-02].lab,x cores=64 gpus=8 memory=4G limit=3600',
    )
    expect(started).toMatchObject({
      id: '47',
      scheduler: 'other',
      state: 'running',
      startMs: T0,
      cores: 64,
      memoryBytes: 4 * 2 ** 30,
    })
    expect(started.allocations?.map(a => a.node)).toEqual(['n01', 'n02', 'x'])
    const held = told('update 47 state=suspended reason=night', started, T0 + 10)
    expect(held).toEqual({ ...started, state: 'suspended', reason: 'night', updatedMs: T0 + 10 })
    const stopped = told('stop 47 exit=3', held, T0 + 20)
    expect(stopped).toMatchObject({ name: 'relax', state: 'failed', exitCode: 3, startMs: T0, endMs: T0 + 20 })
    for (const record of [started, held, stopped]) expect(CheckedJob.Check(record)).toBe(true)
  })

  it('told twice is told once', () => {
    const started = told('start 47')
    expect(told('start 47', started, T0 + 5)).toEqual({ ...started, updatedMs: T0 + 5 })
    const stopped = told('stop 47 exit=0', started, T0 + 10)
    expect(told('stop 47 exit=0', stopped, T0 + 15)).toEqual({ ...stopped, updatedMs: T0 + 15 })
  })

  it('start of a number that ended is another run', () => {
    const stopped = told('stop 47 signal=9', told('start 47 name=a'), T0 + 10)
    const again = told('start 47', stopped, T0 + 99)
    expect(again).toMatchObject({ name: 'a', state: 'running', startMs: T0 + 99, submitMs: T0 + 99, restarts: 1 })
    expect(again).not.toHaveProperty('endMs')
    expect(again).not.toHaveProperty('signal')
  })

  it('stop without a start is a job all the same', () => {
    const job = told('stop 47 state=timeout end=2027-01-15T08:00:00Z')
    expect(job).toMatchObject({ id: '47', state: 'timeout', endMs: Date.UTC(2027, 0, 15, 8) })
    expect(CheckedJob.Check(job)).toBe(true)
  })

  it('start without nodes is on the node that tells', () => {
    expect(told('start 47')).toMatchObject({ allocations: [{ node: 'n1' }], nodeCount: 1 })
  })

  it.each([
    ['', 'expected: job start|update|stop ID'],
    ['start', 'expected: job start|update|stop ID'],
    ['start name=x', 'expected: job start|update|stop ID'],
    ['kill 47', 'expected: job start|update|stop ID'],
    ['start 47 nam=x', 'nam=x: expected key=value, with one of name, user'],
    ['start 47 cores=many', 'cores=many: not a value for cores'],
    ['start 47 state=runing', 'state=runing: not a value for state'],
    ['start 47 nodes=', 'nodes=: not a value for nodes'],
  ])('%j says what is wrong', (line, message) => {
    expect(() => parseJobChange(line.split(' '))).toThrow(message)
  })
})

describe('telling', () => {
  /** A server that keeps one job. */
  function played(answer = new Response('{}')) {
    const posted: unknown[] = []
    let known: unknown
    const fetch = async (url: string | URL | Request, init?: RequestInit) => {
      if (init?.method !== 'POST')
        return known === undefined
          ? new Response('{"error": {"code": "NOT_FOUND"}}', { status: 404 })
          : Response.json({ record: known })
      const [job] = (JSON.parse(String(init.body)) as { jobs: unknown[] }).jobs
      posted.push([String(url), job])
      known = job
      return answer.clone()
    }
    return { posted, fetch: fetch as typeof globalThis.fetch }
  }

  it('asks for the job, and posts it changed', async () => {
    const { posted, fetch } = played()
    const options = { ...teller(T0), endpoint: 'http://h:1', fetch }
    await tellJob(['start', 'a/b', 'name=x'], options)
    await tellJob(['stop', 'a/b', 'exit=0'], { ...options, nowMs: T0 + 9 })
    expect(posted).toMatchObject([
      ['http://h:1/v1/jobs', { id: 'a/b', name: 'x', state: 'running' }],
      ['http://h:1/v1/jobs', { id: 'a/b', name: 'x', state: 'completed', endMs: T0 + 9 }],
    ])
  })

  it.each([
    [new Response('{"message": "sign in"}', { status: 401 }), 'http://h:1 did not take job 1: 401'],
    [new Response('{"partialSuccess": {"rejected": "1", "errorMessage": "jobs[0].id"}}'), 'did not take job 1: 200'],
  ])('says that it was refused', async (answer, message) => {
    const { fetch } = played(answer)
    await expect(tellJob(['start', '1'], { ...teller(T0), endpoint: 'http://h:1', fetch })).rejects.toThrow(message)
  })
})
