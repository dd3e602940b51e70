import { beforeAll, describe, expect, it } from 'vitest'
import type { JobBands, JobDetail, JobNodes, Jobs, Search } from '../../query/api.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from './place.ts'

let place: Place

interface Drawn {
  id: string
  raw?: string
  array?: string
  name?: string
  user?: string
  queue?: string
  account?: string
  state: string
  /** Minutes after T0. */
  submit?: number
  start?: number
  end?: number
  nodes?: string[]
  cores?: number
  memoryBytes?: number
  updated?: number
}

const at = (minutes: number | undefined) => (minutes === undefined ? undefined : T0 + minutes * MINUTE)

function jobRow(d: Drawn) {
  const nodes = d.nodes ?? []
  const record = {
    cluster: 'alpha',
    id: d.id,
    scheduler: 'slurm',
    state: d.state,
    rawId: d.raw,
    arrayId: d.array,
    name: d.name,
    user: d.user,
    queue: d.queue,
    account: d.account,
    submitMs: at(d.submit ?? d.start),
    startMs: at(d.start),
    endMs: at(d.end),
    nodeCount: nodes.length,
    cores: d.cores,
    memoryBytes: d.memoryBytes,
    allocations: nodes.map(node => ({ node, cores: (d.cores ?? 0) / nodes.length })),
    updatedMs: T0 + (d.updated ?? 0),
  }
  return {
    cluster: 'alpha',
    id: d.id,
    raw_id: d.raw ?? '',
    array_id: d.array ?? '',
    name: d.name ?? '',
    user: d.user ?? '',
    account: d.account ?? '',
    queue: d.queue ?? '',
    state: d.state,
    submit_ms: record.submitMs ?? 0,
    start_ms: record.startMs ?? 0,
    end_ms: record.endMs ?? 0,
    node_count: nodes.length,
    cores: d.cores ?? 0,
    nodes,
    record: JSON.stringify(record),
    updated_ms: record.updatedMs,
  }
}

/** Cores of a job's process on a node, a tick of 10 s each, from `start` minutes on. */
const process = (job: string, node: string, start: number, ticks: number, more: object) =>
  Array.from({ length: ticks }, (_, i) => ({
    cluster: 'alpha',
    node,
    time: T0 / 1000 + start * 60 + (i + 1) * 10,
    interval_ms: 10_000,
    pid: 1,
    start_ms: T0 + start * MINUTE,
    name: 'app',
    job,
    user: 'ann',
    ...more,
  }))

const nodePoints = (node: string, busy: number, more: object = {}) =>
  Array.from({ length: 360 }, (_, i) => ({
    cluster: 'alpha',
    node,
    time: T0 / 1000 + (i + 1) * 10,
    interval_ms: 10_000,
    cpu_busy: Math.round(busy * 10_000),
    cpu_iowait: 100,
    ...more,
  }))

const five = ['n1', 'n2', 'n3', 'n4', 'n5']
const GiB = 2 ** 30

beforeAll(async () => {
  place = await openPlace()
  place.clock.now = T0 + HOUR
  await place.write('jobs', [
    jobRow({
      id: '100',
      name: 'wide run',
      user: 'ann',
      queue: 'big',
      account: 'physics',
      state: 'completed',
      start: 0,
      end: 20,
      nodes: five,
      cores: 20,
      memoryBytes: 10 * GiB,
    }),
    // Told twice: the newer record wins.
    jobRow({
      id: '101',
      name: 'serial',
      user: 'bob',
      queue: 'big,small',
      state: 'running',
      submit: 5,
      start: 10,
      nodes: ['n6'],
      cores: 8,
    }),
    jobRow({
      id: '101',
      name: 'serial',
      user: 'bob',
      queue: 'big,small',
      state: 'failed',
      submit: 5,
      start: 10,
      end: 30,
      nodes: ['n6'],
      cores: 8,
      updated: 1,
    }),
    jobRow({ id: '102', user: 'bob', queue: 'small', state: 'queued', submit: 50, cores: 4 }),
    // The id again, long ago.
    jobRow({
      id: '100',
      name: 'old',
      user: 'eve',
      state: 'completed',
      start: -600,
      end: -590,
      nodes: ['n1'],
      cores: 1,
    }),
    jobRow({
      id: '200_1',
      raw: '201',
      array: '200',
      user: 'ann',
      state: 'running',
      start: 40,
      nodes: ['n1'],
      cores: 2,
    }),
    jobRow({
      id: '200_2',
      raw: '202',
      array: '200',
      user: 'ann',
      state: 'running',
      start: 41,
      nodes: ['n2'],
      cores: 2,
    }),
    jobRow({ id: '103', name: "o'brien\n\n; DROP TABLE jobs --", user: 'ann', state: 'cancelled', submit: 45 }),
  ])
  const all = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']
  await place.write(
    'node_points',
    all.flatMap(node => nodePoints(node, node === 'n3' ? 0.1 : 0.9)),
  )
  // 4 cores a node: three full, one hardly used, memory 9.5 of 10 GiB in sum.
  await place.write('processes', [
    ...five.flatMap(node =>
      process('100', node, 0, 120, {
        cpu_user: node === 'n3' ? 0.4 : 3.9,
        cpu_system: 0.1,
        memory_bytes: Math.round(1.9 * GiB),
      }),
    ),
    ...process('101', 'n6', 10, 120, { cpu_user: 0.2, cpu_system: 0.8, memory_bytes: GiB }),
    ...process('201', 'n1', 40, 60, { cpu_user: 2, cpu_system: 0, memory_bytes: GiB }),
  ])
  const frame = (id: number, name: string) => ({
    frame_id: id,
    function_id: id + 100,
    function: name,
    module: 'app',
    kind: 'native',
    seen: '2026-01-05',
  })
  await place.write('frames', [frame(1, 'sweep'), frame(2, 'exchange')])
  const minutes = (job: string, node: string, minute: number, functionId: number, seconds: number) => ({
    cluster: 'alpha',
    job,
    event: 'cpu',
    node,
    pid: 1,
    start_ms: 1,
    minute: T0 / 1000 + minute * 60,
    function_id: functionId,
    self: seconds * 1e9,
    total: seconds * 1e9,
    self_count: seconds * 19,
  })
  await place.write('function_minutes', [
    minutes('100', 'n1', 1, 101, 50),
    minutes('100', 'n1', 1, 102, 20),
    minutes('100', 'n2', 2, 102, 25),
    minutes('100', 'n1', -595, 102, 1000),
    minutes('202', 'n2', 45, 102, 600),
  ])
  await place.restore()
})

const ids = (answer: Jobs) => answer.jobs.map(job => job.id)
const list = (params: Record<string, string | number> = {}) => place.ask<Jobs>('/jobs', params)

describe('the list of jobs', () => {
  it('is newest first, each job as it was last told', async () => {
    const answer = await list()
    expect(ids(answer)).toEqual(['102', '103', '200_2', '200_1', '101', '100', '100'])
    expect(answer).toMatchObject({ total: 7, next: null, cluster: 'alpha' })
    expect(answer.jobs[4]).toMatchObject({
      state: 'failed',
      start: T0 + 10 * MINUTE,
      end: T0 + 30 * MINUTE,
      nodeCount: 1,
      cores: 8,
    })
    expect(answer.jobs[0]).toMatchObject({
      state: 'queued',
      start: null,
      end: null,
      cpuEfficiency: null,
      memoryEfficiency: null,
      topFunction: null,
    })
  })

  it('has what was measured beside what was asked', async () => {
    const jobs = new Map((await list()).jobs.map(job => [`${job.id} ${job.name}`, job]))
    // (4 x 4.0 + 0.5) cores of 20 for the whole time.
    expect(jobs.get('100 wide run')?.cpuEfficiency).toBeCloseTo(16.5 / 20)
    expect(jobs.get('100 wide run')).toMatchObject({ memoryEfficiency: expect.closeTo(0.95), topFunction: 'sweep' })
    expect(jobs.get('101 serial')?.cpuEfficiency).toBeCloseTo(1 / 8)
    // Rows carry the kernel's id of an array task. 10 of 20 min, of 2 cores both.
    expect(jobs.get('200_1 ')?.cpuEfficiency).toBeCloseTo(0.5)
    // No process was seen, but 600 s of samples.
    expect(jobs.get('200_2 ')).toMatchObject({
      cpuEfficiency: expect.closeTo(600 / (19 * 60 * 2)),
      topFunction: 'exchange',
    })
    // Before anything was measured here: nobody knows, though the id is that of a job that is known.
    expect(jobs.get('100 old')).toMatchObject({ cpuEfficiency: null, topFunction: 'exchange' })
  })

  it('pages by a cursor, also when a newer job came in between', async () => {
    const seen: string[] = []
    let cursor: string | null = null
    for (let page = 0; page < 4; page++) {
      const answer: Jobs = await list(cursor === null ? { limit: 2 } : { limit: 2, cursor })
      seen.push(...ids(answer))
      expect(answer.total).toBe(page === 0 ? 7 : 8)
      cursor = answer.next
      if (page === 0) await place.write('jobs', [jobRow({ id: '999', state: 'queued', submit: 59 })])
    }
    expect(seen).toEqual(['102', '103', '200_2', '200_1', '101', '100', '100'])
    expect(cursor).toBeNull()
    await place.store.command("DELETE FROM jobs WHERE id = '999'")
    expect((await place.refusal('/jobs', { cursor: 'abc' })).message).toContain('cursor is not one of ours')
    expect((await place.refusal('/jobs', { cursor: Buffer.from('[1,{}]').toString('base64url') })).status).toBe(400)
  })

  it('pages through tasks that were submitted at one moment, each once', async () => {
    const tasks = Array.from({ length: 7 }, (_, i) => `400_${i}`)
    const told = (state: string, updatedMs: number) =>
      tasks.map(id => ({ ...jobRow({ id, state, user: 'kim', submit: 57 }), updated_ms: updatedMs }))
    await place.write('jobs', told('queued', T0 + 57 * MINUTE))
    await place.write('jobs', told('cancelled', T0 + 58 * MINUTE))
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const answer: Jobs = await list({ limit: 3, user: 'kim', ...(cursor === null ? {} : { cursor }) })
      expect(answer.total).toBe(7)
      expect(answer.jobs.length).toBe(seen.length === 6 ? 1 : 3)
      seen.push(...ids(answer))
      cursor = answer.next
    } while (cursor !== null)
    expect(seen).toEqual([...tasks].reverse())
    expect(ids(await list({ user: 'kim', state: 'queued' }))).toEqual([])
    await place.store.command("DELETE FROM jobs WHERE user = 'kim'")
  })

  it('leaves out the record of what waited of an array, once it is told task by task', async () => {
    await place.write('jobs', [jobRow({ id: '300', array: '300', state: 'completed', submit: 58, end: 59 })])
    expect(ids(await list({ user: 'ann' }))).not.toContain('300')
    expect((await place.ask<JobDetail>('/jobs/300')).job.id).toBe('300')
    await place.store.command("DELETE FROM jobs WHERE id = '300'")
  })

  it('says why the scheduler cannot be read, and that who asks it is silent', async () => {
    expect((await list()).schedulers).toEqual([])
    const node = (name: string, scheduler: string) => ({
      cluster: 'alpha',
      node: name,
      sender: 'collector',
      record: JSON.stringify({ cluster: 'alpha', node: name, sources: { scheduler } }),
      updated_ms: T0,
    })
    const why = '`squeue --json` ended with 1: Unable to contact slurm controller'
    await place.write('nodes', [
      node('ctl', `unreadable: ${why}`),
      node('n1', 'no controller here'),
      node('old', 'ok: pbs'),
    ])
    place.clock.now += MINUTE
    expect((await list()).schedulers).toEqual([
      { node: 'ctl', unreadable: why, waits: null },
      { node: 'old', unreadable: 'the collector on old, which asks it, is silent', waits: null },
    ])
    place.clock.now += MINUTE
    await place.write('nodes', [
      { ...node('n1', 'ok: pbs'), updated_ms: T0 + 1 },
      { ...node('n2', 'waits: the collector on n1 asks the pbs of cluster alpha'), updated_ms: T0 + 1 },
    ])
    const told = (await list()).schedulers
    expect(told).toContainEqual({ node: 'n1', unreadable: null, waits: null })
    expect(told).toContainEqual({
      node: 'n2',
      unreadable: null,
      waits: 'the collector on n1 asks the pbs of cluster alpha',
    })
    // n1 has taken over from it
    expect(told.map(s => s.node)).not.toContain('old')
    place.clock.now -= 2 * MINUTE
    await place.store.command("DELETE FROM nodes WHERE node IN ('ctl', 'n1', 'n2', 'old')")
  })

  it('filters', async () => {
    const of = async (params: Record<string, string | number>) => ids(await list(params))
    expect(await of({ state: 'running,failed' })).toEqual(['200_2', '200_1', '101'])
    expect(await of({ user: 'bob' })).toEqual(['102', '101'])
    expect(await of({ user: 'bob,eve' })).toEqual(['102', '101', '100'])
    expect(await of({ queue: 'small,big' })).toEqual(['102', '101', '100'])
    expect(await of({ queue: 'small' })).toEqual(['102', '101'])
    expect(await of({ account: 'physics' })).toEqual(['100'])
    expect(await of({ name: "O'BRIEN" })).toEqual(['103'])
    expect(await of({ name: 'wide*' })).toEqual(['100'])
    expect(await of({ name: 'WIDE r?n' })).toEqual(['100'])
    expect(await of({ name: 'ide*' })).toEqual([])
    expect(await of({ name: '*(o.brien' })).toEqual([])
    expect(await of({ minCores: 4, maxCores: 8 })).toEqual(['102', '101'])
    expect(await of({ minNodes: 1, maxNodes: 1, user: 'eve' })).toEqual(['100'])
    expect(await of({ minGpus: 1 })).toEqual([])
    expect(await of({ node: 'n2' })).toEqual(['200_2', '100'])
    expect(await of({ node: 'n6,n2' })).toEqual(['200_2', '101', '100'])
    expect(await of({ minNodes: 2 })).toEqual(['100'])
    expect(await of({ from: T0 + 25 * MINUTE, to: T0 + 42 * MINUTE })).toEqual(['200_2', '200_1', '101'])
    expect(await of({ minSeconds: 1200, user: 'ann' })).toEqual(['200_1', '100'])
    expect(await of({ array: '200' })).toEqual(['200_2', '200_1'])
    expect(await of({ user: 'nobody' })).toEqual([])
    expect((await place.refusal('/jobs', { state: 'runing' })).message).toMatch(/Known: running/)
  })
})

describe('one job', () => {
  it('what it asked and used, and what stands out with its evidence', async () => {
    const job = await place.ask<JobDetail>('/jobs/100')
    expect(job).toMatchObject({
      from: T0,
      to: T0 + 20 * MINUTE,
      coreSecondsAllocated: 20 * 1200,
      sampledSeconds: 95,
      coverage: 1,
    })
    expect(job.coreSecondsUsed).toBeCloseTo(16.5 * 1200, 0)
    expect(job.memoryPeakBytes).toBeCloseTo(9.5 * GiB, -3)
    expect(job.record).toMatchObject({ id: '100', name: 'wide run', user: 'ann' })
    expect(job.findings).toEqual([
      { severity: 'warning', node: null, text: 'memory near its limit: 9.5 GiB of 10 GiB (95 %) at the highest tick' },
      {
        severity: 'warning',
        node: 'n3',
        text: 'n3 computes less than the others: 13 % of its allocated cores are busy, the median is 100 %',
      },
    ])
  })

  it('one core of many, in the kernel', async () => {
    const { findings } = await place.ask<JobDetail>('/jobs/101')
    expect(findings.map(f => f.text)).toEqual([
      expect.stringMatching(/^it uses one core of 8: /),
      expect.stringMatching(/^80 % of its CPU time is in the kernel: /),
    ])
  })

  it('that waits has no findings', async () => {
    const job = await place.ask<JobDetail>('/jobs/102')
    expect(job).toMatchObject({ findings: [], coreSecondsUsed: null, coreSecondsAllocated: null, coverage: null })
  })

  it('by the id the kernel uses; an array tells its tasks', async () => {
    expect((await place.ask<JobDetail>('/jobs/202')).job.id).toBe('200_2')
    const refusal = await place.refusal('/jobs/200')
    expect(refusal.status).toBe(404)
    expect(refusal.message).toMatch(/^job 200 is not known\. Known: 200_2, 200_1/)
  })

  it('its nodes against each other', async () => {
    const answer = await place.ask<JobNodes>('/jobs/100/nodes', { buckets: 4 })
    expect(answer).toMatchObject({ metric: 'cpu_busy', unit: 'ratio', bucketMs: 5 * MINUTE })
    expect(answer.nodes.map(n => [n.node, n.cores, n.topFunction])).toEqual([
      ['n1', 4, 'sweep'],
      ['n2', 4, 'exchange'],
      ['n3', 4, null],
      ['n4', 4, null],
      ['n5', 4, null],
    ])
    expect(answer.nodes[2]?.mean).toBeCloseTo(0.1)
    expect(answer.nodes[2]?.score).toBeLessThan(-3.5)
    expect(answer.nodes[0]?.score).toBeCloseTo(0)
    expect(answer.nodes[0]?.jobCores).toBeCloseTo(4)
    expect(answer.band).toEqual({ min: [0.1, 0.1, 0.1, 0.1], median: [0.9, 0.9, 0.9, 0.9], max: [0.9, 0.9, 0.9, 0.9] })
  })

  it('another job that held the nodes before is not in its series', async () => {
    const answer = await place.ask<JobNodes>('/jobs/200_1/nodes', { buckets: 10, metric: 'cpu_iowait' })
    expect(answer.nodes).toHaveLength(1)
    expect(answer.nodes[0]?.values.every(v => v !== null)).toBe(true)
    expect(answer.from).toBe(T0 + 40 * MINUTE)
  })
})

describe('bands and search', () => {
  it('jobs over the nodes in a window, the widest first', async () => {
    const { jobs } = await place.ask<JobBands>('/bands', { from: T0, to: T0 + HOUR, node: 'n1' })
    expect(jobs).toEqual([
      { id: '100', name: 'wide run', user: 'ann', state: 'completed', from: T0, to: T0 + 20 * MINUTE, nodes: ['n1'] },
      { id: '200_1', name: '', user: 'ann', state: 'running', from: T0 + 40 * MINUTE, to: T0 + HOUR, nodes: ['n1'] },
    ])
    expect((await place.ask<JobBands>('/bands', { job: '100' })).jobs.map(j => j.id)).toEqual(['100'])
    expect((await place.ask<JobBands>('/bands', { from: T0, to: T0 + HOUR })).jobs).toHaveLength(4)
    expect((await place.ask<JobBands>('/bands', { from: T0, to: T0 + HOUR, limit: 1 })).jobs.map(j => j.id)).toEqual([
      '100',
    ])
  })

  it('finds nodes, jobs, users and functions, what begins so first', async () => {
    const hits = async (q: string) =>
      (await place.ask<Search>('/search', { q })).hits.map(h => `${h.kind} ${h.name}${h.hint && ` (${h.hint})`}`)
    expect(await hits('n3')).toEqual(['node n3'])
    expect(await hits('100')).toEqual(['job 100 (wide run · ann · completed)', 'job 100 (old · eve · completed)'])
    expect(await hits('202')).toEqual(['job 200_2 (ann · running)'])
    expect(await hits('wid')).toEqual(['job 100 (wide run · ann · completed)'])
    expect(await hits('BOB')).toEqual(['user bob (2 jobs)'])
    expect(await hits('ee')).toEqual(['function sweep (app)'])
    expect(await hits('e')).toEqual(
      expect.arrayContaining(['user eve (1 jobs)', 'function exchange (app)', 'function sweep (app)']),
    )
  })
})
