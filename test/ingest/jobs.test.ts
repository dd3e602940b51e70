import { describe, expect, it } from 'vitest'
import { freshIngest, rows } from './place.ts'

const NOW = Date.now()
const job = (more: object = {}): object => ({
  cluster: 'c1',
  id: '4711_3',
  scheduler: 'slurm',
  state: 'running',
  updatedMs: NOW,
  ...more,
})
const body = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

describe('/v1/jobs', () => {
  it('keeps a whole record, and beside it the columns that lists filter by', async () => {
    const { ingest, store } = await freshIngest()
    const record = {
      ...job(),
      rawId: '4713',
      arrayId: '4711',
      name: 'name with\n\nblank line; DROP TABLE jobs',
      user: 'alice',
      account: 'physics',
      queue: 'long',
      submitMs: 1_700_000_000_123,
      startMs: 1_700_000_100_000,
      cores: 128,
      gpus: 4,
      allocations: [
        { node: 'n1', cores: 64 },
        { node: 'n2', cores: 64 },
      ],
    }
    expect(await ingest.receive('jobs', body({ jobs: [{ ...record, unheardOf: 1 }] }))).toEqual({
      status: 200,
      rejected: 0,
    })
    const [row] = await rows<{ record: string }>(store, 'SELECT * FROM jobs')
    expect(row).toMatchObject({
      cluster: 'c1',
      id: '4711_3',
      raw_id: '4713',
      array_id: '4711',
      name: record.name,
      user: 'alice',
      account: 'physics',
      queue: 'long',
      state: 'running',
      submit_ms: '1700000000123',
      start_ms: '1700000100000',
      end_ms: '0',
      node_count: 2,
      cores: 128,
      gpus: 4,
      nodes: ['n1', 'n2'],
      updated_ms: String(NOW),
    })
    expect(JSON.parse(row?.record ?? '')).toEqual(record)
  })

  it('lets the last state win, in whatever order records arrive', async () => {
    const { ingest, store } = await freshIngest()
    const states = [
      ['completed', NOW],
      ['queued', NOW - 2000],
      ['running', NOW - 1000],
    ] as const
    for (const [state, updatedMs] of states) await ingest.receive('jobs', body({ jobs: [job({ state, updatedMs })] }))
    expect(await rows(store, 'SELECT state FROM jobs FINAL')).toEqual([{ state: 'completed' }])
  })

  it('keeps apart what the scheduler and what the collector say of a node', async () => {
    const { ingest, store } = await freshIngest()
    const nodes = [
      { node: 'n1', cpuModel: 'EPYC', updatedMs: NOW },
      { cluster: 'c1', node: 'n1', schedulerState: 'mixed', updatedMs: NOW },
      { cluster: 'other', node: 'n1', cpuModel: 'Xeon', updatedMs: NOW },
    ]
    expect(await ingest.receive('jobs', body({ nodes }))).toEqual({ status: 200, rejected: 0 })
    expect(
      await rows(
        store,
        "SELECT cluster, sender, JSONExtractString(record, 'cpuModel') AS m FROM nodes FINAL ORDER BY ALL",
      ),
    ).toEqual([
      { cluster: 'c1', sender: 'collector', m: 'EPYC' },
      { cluster: 'c1', sender: 'scheduler', m: '' },
      { cluster: 'other', sender: 'collector', m: 'Xeon' },
    ])
  })

  it('refuses a bad record alone, with its path and what is wrong', async () => {
    const { ingest, store } = await freshIngest()
    const receipt = await ingest.receive(
      'jobs',
      body({
        jobs: [
          job(),
          job({ id: '' }),
          job({ state: 'exploded' }),
          job({ allocations: [{ node: 'n1' }, { node: 'n2', cores: -1 }] }),
          { id: 'x' },
          'no object',
          null,
          job({ updatedMs: NOW + 10 * 3_600_000 }),
        ],
        nodes: [{ node: 7, updatedMs: NOW }],
      }),
    )
    expect(receipt).toMatchObject({ status: 200, rejected: 8 })
    expect(receipt.message?.split('; ')).toEqual([
      '8 refused: jobs[1].id must not have fewer than 1 characters',
      expect.stringMatching(/^jobs\[2\]\.state must be one of queued, held, /),
      'jobs[3].allocations[1].cores must be >= 0',
      'jobs[4] must have required properties scheduler, state, updatedMs: scheduler,state,updatedMs',
      'jobs[5] must be object',
      'jobs[6] must be object',
      expect.stringMatching(/^jobs\[7\]\.updatedMs: \d+ lies ahead of this machine's clock$/),
      'nodes[0].node must be string',
    ])
    expect(await rows(store, 'SELECT id FROM jobs')).toEqual([{ id: '4711_3' }])
    expect(ingest.counters()).toMatchObject({ jobs: 1, rejectedRecords: 8 })
  })

  it('refuses a body that is not what it should be: 400, and where', async () => {
    const { ingest } = await freshIngest()
    const refused = async (text: string): Promise<unknown> => ingest.receive('jobs', Buffer.from(text))
    expect(await refused('{"jobs": [')).toMatchObject({ status: 400, message: expect.stringMatching(/^not JSON: /) })
    expect(await refused('[]')).toMatchObject({ status: 400, message: 'the body should be an object' })
    expect(await refused('{"jobs": 5}')).toMatchObject({ status: 400, message: 'jobs should be a list' })
    expect(await refused('{"job": []}')).toMatchObject({
      status: 400,
      message: expect.stringContaining('job: the body is'),
    })
    expect(await ingest.receive('jobs', Buffer.from('{}'), 'application/x-protobuf')).toMatchObject({ status: 415 })
  })
})

describe('who asks a scheduler', () => {
  const claim = (node: string, more: object = {}) =>
    body({ poller: { cluster: 'c1', scheduler: 'slurm', node, holder: `${node} 1`, forMs: 45_000, ...more } })

  it('is one collector a cluster, until it falls silent or gives it back', async () => {
    let now = NOW
    const { ingest } = await freshIngest({ now: () => now })
    const ask = async (node: string, more?: object) => (await ingest.receive('jobs', claim(node, more))).message ?? 'ok'
    const taken = (node: string) => `the collector on ${node} asks the slurm of cluster c1`
    expect([await ask('a'), await ask('b'), await ask('a')]).toEqual(['ok', taken('a'), 'ok'])
    expect([await ask('b', { cluster: 'c2' }), await ask('b', { scheduler: 'pbs' })]).toEqual(['ok', 'ok'])
    now += 44_000
    expect([await ask('b'), await ask('a', { holder: 'a 2' })]).toEqual([taken('a'), taken('a')])
    now += 1000
    expect([await ask('b'), await ask('a')]).toEqual(['ok', taken('b')])
    // Who does not have it gives nothing back.
    expect([await ask('a', { forMs: 0 }), await ask('a')]).toEqual([taken('b'), taken('b')])
    expect([await ask('b', { forMs: 0 }), await ask('a')]).toEqual(['ok', 'ok'])
    expect(ingest.counters().refusedPollers).toBe(6)
  })

  it('is told by 409, and nothing of such a request is stored', async () => {
    const { ingest, store } = await freshIngest()
    await ingest.receive('jobs', claim('a'))
    const other = {
      poller: { cluster: 'c1', scheduler: 'slurm', node: 'b', holder: 'b 1', forMs: 1000 },
      jobs: [job()],
    }
    expect(await ingest.receive('jobs', body(other))).toMatchObject({ status: 409, rejected: 0 })
    expect(await rows(store, 'SELECT * FROM jobs')).toEqual([])
    expect(await ingest.receive('jobs', claim('a', { forMs: -1 }))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/^poller\.forMs /),
    })
  })
})
