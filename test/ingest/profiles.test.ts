import { describe, expect, it } from 'vitest'
import type { Store } from '../../ingest/store.ts'
import { type Profile, profilesJson, profilesProtobuf, type Sample } from './otlpprofiles.ts'
import { freshIngest, rows } from './place.ts'

const T = Math.floor(Date.now() / 60_000) * 60_000 - 300_000
const WINDOW = 10_000
const ENCODINGS = [
  ['protobuf 1.10', (p: Profile[]) => profilesProtobuf(p, '1.10'), 'application/x-protobuf'],
  ['protobuf 1.9', (p: Profile[]) => profilesProtobuf(p, '1.9'), 'application/x-protobuf'],
  ['JSON', profilesJson, 'application/json'],
] as const

const START = T - 1_000_000
const process = (more: Profile['resource'] = {}): Profile['resource'] => ({
  'host.name': 'n1',
  'process.pid': 42,
  'process.creation.time': new Date(START).toISOString(),
  'process.executable.name': 'solver',
  'jobsight.job.id': '7',
  'jobsight.evidence': 'cgroup',
  ...more,
})
const profile = (samples: Sample[], more: Partial<Profile> = {}): Profile => ({
  resource: process(),
  sampleType: ['cpu', 'nanoseconds'],
  timeMs: T - WINDOW,
  durationMs: WINDOW,
  samples,
  ...more,
})
const cpu = (stack: string, ms: number, attributes: Sample['attributes'] = {}): Sample => ({
  stack,
  values: [ms * 1e6],
  attributes: {
    'jobsight.sample.count': ms / 10,
    'jobsight.category': 'compute',
    'thread.name': 'main',
    ...attributes,
  },
})

/** Samples as they were drawn: 'main;solve 30' with milliseconds. */
async function drawn(store: Store, where = '1'): Promise<string[]> {
  const found = await rows<{ line: string }>(
    store,
    `SELECT concat(arrayStringConcat(arrayMap(f -> dictGetFrame(f), arrayReverse(frames)), ';'), ' ', toString(intDiv(value, 1000000))) AS line
     FROM samples AS s LEFT JOIN (SELECT stack_id, any(frames) AS frames FROM stacks GROUP BY stack_id) AS b USING stack_id WHERE ${where} ORDER BY line`.replace(
      'dictGetFrame(f)',
      `transform(f, (SELECT groupArray(frame_id) FROM frames), (SELECT groupArray(function) FROM frames), '?')`,
    ),
  )
  return found.map(f => f.line)
}

const functions = (store: Store): Promise<Record<string, unknown>[]> =>
  rows(
    store,
    `SELECT f.function AS function, toUInt32(sum(self) / 1000000) AS self, toUInt32(sum(total) / 1000000) AS total, sum(sample_count) AS n
     FROM function_minutes AS m INNER JOIN (SELECT DISTINCT function_id, function FROM frames) AS f USING function_id GROUP BY 1 ORDER BY 1`,
  )

for (const [encoding, encode, contentType] of ENCODINGS) {
  describe(`profiles as ${encoding}`, () => {
    it('become samples that point at stacks stored once, folded by process, thread and stack', async () => {
      const { ingest, store } = await freshIngest()
      const body = encode([
        profile([
          cpu('main@solver;solve@solver;exp@libm.so.6', 20),
          cpu('main@solver;solve@solver;exp@libm.so.6', 10),
          cpu('main@solver;solve@solver;exp@libm.so.6', 40, { 'thread.name': 'worker' }),
          cpu('main@solver;write@libc.so.6;vfs_write@[kernel.kallsyms]', 30),
        ]),
      ])
      expect(await ingest.receive('profiles', body, contentType)).toEqual({ status: 200, rejected: 0 })
      expect(await ingest.receive('profiles', body, contentType)).toEqual({ status: 200, rejected: 0 })
      expect(await drawn(store, "thread = 'main'")).toEqual([
        'main;solve;exp 30',
        'main;solve;exp 30',
        'main;write;vfs_write 30',
        'main;write;vfs_write 30',
      ])
      expect(
        await rows(store, 'SELECT DISTINCT * EXCEPT (stack_id, value, period, count, thread) FROM samples'),
      ).toEqual([
        {
          cluster: 'c1',
          job: '7',
          event: 'cpu',
          node: 'n1',
          pid: 42,
          start_ms: String(START),
          time: expect.any(String),
          window_ms: WINDOW,
          process: 'solver',
          step: '',
          rank: null,
          evidence: 'cgroup',
          burst: '',
        },
      ])
      expect(
        await rows(store, 'SELECT thread, value, sample_count AS count FROM samples WHERE value = 40000000 LIMIT 1'),
      ).toEqual([{ thread: 'worker', value: '40000000', count: 4 }])
      expect(await rows(store, 'SELECT category, count() AS n FROM stacks GROUP BY category')).toEqual([
        { category: 'compute', n: '2' },
      ])
      expect(await rows(store, 'SELECT function, module, file, line, kind FROM frames ORDER BY function')).toEqual([
        { function: 'exp', module: 'libm.so.6', file: 'exp.c', line: 7, kind: 'native' },
        { function: 'main', module: 'solver', file: 'main.c', line: 7, kind: 'native' },
        { function: 'solve', module: 'solver', file: 'solve.c', line: 7, kind: 'native' },
        { function: 'vfs_write', module: '[kernel.kallsyms]', file: 'vfs_write.c', line: 7, kind: 'kernel' },
        { function: 'write', module: 'libc.so.6', file: 'write.c', line: 7, kind: 'native' },
      ])
    })

    it('count a function once a stack: recursion never passes the whole; idle and bursts are not added', async () => {
      const { ingest, store } = await freshIngest()
      const body = encode([
        profile([
          cpu('main;fib;fib;fib', 60),
          cpu('main;fib', 30),
          cpu('main;other', 10),
          cpu('main;fib', 500, { 'jobsight.burst': 'b1' }),
          cpu('main;sleep', 500, { 'jobsight.category': 'idle' }),
        ]),
      ])
      await ingest.receive('profiles', body, contentType)
      expect(await functions(store)).toEqual([
        { function: 'fib', self: 90, total: 90, n: '9' },
        { function: 'main', self: 0, total: 100, n: '0' },
        { function: 'other', self: 10, total: 10, n: '1' },
      ])
      expect(await drawn(store, "burst = 'b1'")).toEqual(['main;fib 500'])
      expect(await rows(store, "SELECT count() AS n FROM stacks WHERE category = 'idle'")).toEqual([{ n: '1' }])
      expect(await rows(store, 'SELECT DISTINCT toUnixTimestamp(minute) AS m FROM function_minutes')).toEqual([
        { m: T / 1000 },
      ])
    })

    it('are added up by job: what waited a minute, functions over five minutes', async () => {
      const { ingest, store } = await freshIngest()
      const mpi = { 'jobsight.category': 'mpi' }
      const body = encode([
        profile([
          cpu('main;MPI_Wait', 60, mpi),
          cpu('main;solve', 40),
          cpu('main;MPI_Wait', 500, { ...mpi, 'jobsight.burst': 'b1' }),
        ]),
        profile([cpu('main;solve', 100)], { resource: process({ 'process.pid': 43, 'jobsight.job.id': '8' }) }),
        profile([cpu('main;lock', 10, { 'jobsight.category': 'wait' })], {
          resource: process({ 'process.pid': 44, 'jobsight.job.id': '' }),
        }),
      ])
      await ingest.receive('profiles', body, contentType)
      await ingest.receive('profiles', body, contentType)
      expect(
        await rows(
          store,
          `SELECT job, node, toUInt32(sum(waiting_ns) / 1000000) AS waited, toUInt32(sum(sampled_ns) / 1000000) AS sampled,
            toUnixTimestamp(any(minute)) AS m FROM job_usage GROUP BY job, node ORDER BY job`,
        ),
      ).toEqual([
        { job: '7', node: 'n1', waited: 120, sampled: 200, m: T / 1000 },
        { job: '8', node: 'n1', waited: 0, sampled: 200, m: T / 1000 },
      ])
      const five = Math.ceil(T / 300_000) * 300
      expect(
        await rows(
          store,
          `SELECT job, function, toUInt32(sum(self) / 1000000) AS self, toUInt32(sum(total) / 1000000) AS total, sum(self_count) AS n,
            toUnixTimestamp(any(time)) AS t FROM functions_5m INNER JOIN (SELECT DISTINCT function_id, function FROM frames) AS f USING function_id
            GROUP BY job, function ORDER BY job, function`,
        ),
      ).toEqual([
        { job: '', function: 'lock', self: 20, total: 20, n: '2', t: five },
        { job: '', function: 'main', self: 0, total: 20, n: '0', t: five },
        { job: '7', function: 'MPI_Wait', self: 120, total: 120, n: '12', t: five },
        { job: '7', function: 'main', self: 0, total: 200, n: '0', t: five },
        { job: '7', function: 'solve', self: 80, total: 80, n: '8', t: five },
        { job: '8', function: 'main', self: 0, total: 200, n: '0', t: five },
        { job: '8', function: 'solve', self: 200, total: 200, n: '20', t: five },
      ])
    })

    it('name what has no name by module and offset, and keep the same stack of another category apart', async () => {
      const { ingest, store } = await freshIngest()
      const body = encode([
        profile([
          cpu('main;@/usr/lib/libfoo.so.1+0x1f40', 10),
          cpu('@[kernel.kallsyms]+0xffffffff81234567', 20),
          cpu('main;wait', 10, { 'jobsight.category': 'wait' }),
          cpu('main;wait', 10, { 'jobsight.category': 'mpi' }),
          cpu('main;wait', 10, { 'jobsight.category': 'nonsense' }),
        ]),
      ])
      await ingest.receive('profiles', body, contentType)
      expect(await drawn(store, 'value != 10000000 OR 1')).toEqual([
        '[kernel.kallsyms]+0xffffffff81234567 20',
        'main;libfoo.so.1+0x1f40 10',
        'main;wait 10',
        'main;wait 10',
        'main;wait 10',
      ])
      expect(
        await rows(store, 'SELECT category, count() AS n FROM stacks GROUP BY category ORDER BY category'),
      ).toEqual([
        { category: 'compute', n: '2' },
        { category: 'mpi', n: '1' },
        { category: 'unknown', n: '1' },
        { category: 'wait', n: '1' },
      ])
    })

    it("of the stock profiler weigh count x period, and find the job in the process' environment", async () => {
      const { ingest, store } = await freshIngest()
      const stock = profile(
        [
          {
            stack: 'main;solve',
            attributes: { 'thread.name': 'solver', 'cpu.logical_number': 3 },
            timestampsMs: [T - 9000, T - 5000, T - 1000],
          },
          {
            stack: 'main;solve',
            attributes: { 'thread.name': 'solver', 'cpu.logical_number': 4 },
            timestampsMs: [T - 8000],
          },
          { stack: 'main', attributes: { 'thread.name': 'solver' }, timestampsMs: [T - 7000, T - 6000] },
        ],
        {
          resource: {
            'host.name': 'n1.example',
            'process.pid': 42,
            'process.executable.name': 'solver',
            'process.environment_variable.SLURM_JOB_ID': '815',
          },
          sampleType: ['samples', 'count'],
          periodType: ['cpu', 'nanoseconds'],
          period: 50_000_000,
        },
      )
      expect(await ingest.receive('profiles', encode([stock]), contentType)).toEqual({ status: 200, rejected: 0 })
      expect(await drawn(store)).toEqual(['main 100', 'main;solve 200'])
      expect(
        await rows(store, 'SELECT event, job, evidence, node, sum(sample_count) AS n FROM samples GROUP BY ALL'),
      ).toEqual([{ event: 'cpu', job: '815', evidence: 'environment', node: 'n1', n: '6' }])
      for (const [table, count] of [
        ['samples', 'count'],
        ['function_minutes', 'self_count'],
      ])
        expect(await rows(store, `SELECT DISTINCT period, ${count} AS written FROM ${table}`)).toEqual([
          { period: 50_000_000, written: 0 },
        ])
    })

    it('with a bad sample lose only that, and a profile without a good time alone', async () => {
      const { ingest, store } = await freshIngest()
      const body = encode([
        profile([cpu('main', 10), { stack: 'main;nothing' }]),
        profile([cpu('main;old', 10)], { timeMs: 1000 }),
      ])
      const receipt = await ingest.receive('profiles', body, contentType)
      expect(receipt).toMatchObject({ status: 200, rejected: 1 })
      expect(receipt.message).toMatch(
        /1 refused: .*neither values nor timestamps.*the time of the profile.*1 samples left out/,
      )
      expect(await drawn(store)).toEqual(['main 10'])
    })
  })
}

describe('the two protobuf layouts', () => {
  // Only the old layout has values where the new one has attributes; all lists here hold one element.
  it('are told apart where a sample has only a list in field 2', async () => {
    const { ingest, store } = await freshIngest()
    const values = profile([{ stack: 'main', values: [70_000_000] }])
    const old = profilesProtobuf([values], '1.9')
    const bare = Buffer.from(old)
    expect(await ingest.receive('profiles', bare)).toEqual({ status: 200, rejected: 0 })
    expect(await drawn(store)).toEqual(['main 70'])
  })

  it('are told apart by what fits all samples of timestamps alone', async () => {
    const { ingest, store } = await freshIngest()
    const hits = profile(
      [
        { stack: 'a', attributes: { 'thread.name': 't' }, timestampsMs: [T] },
        { stack: 'b', attributes: { 'thread.name': 't' }, timestampsMs: [T, T] },
      ],
      { sampleType: ['samples', 'count'], periodType: ['cpu', 'nanoseconds'], period: 10_000_000 },
    )
    expect(await ingest.receive('profiles', profilesProtobuf([hits], '1.10'))).toEqual({ status: 200, rejected: 0 })
    expect(await drawn(store)).toEqual(['a 10', 'b 20'])
    expect(await rows(store, 'SELECT DISTINCT thread FROM samples')).toEqual([{ thread: 't' }])
  })
})

describe('stacks', () => {
  it('are told again once forgotten, and nothing is acknowledged before they are stored', async () => {
    const { ingest, store } = await freshIngest({ config: { maxStacks: 2 } })
    for (const round of [1, 2]) {
      for (const leaf of ['a', 'b', 'c', 'd', 'e']) {
        await ingest.receive('profiles', profilesProtobuf([profile([cpu(`main;${leaf}`, 10)])]))
        const lost = await rows(
          store,
          'SELECT count() AS n FROM samples WHERE stack_id NOT IN (SELECT stack_id FROM stacks)',
        )
        expect([round, leaf, lost]).toEqual([round, leaf, [{ n: '0' }]])
      }
    }
    expect(await rows(store, 'SELECT uniqExact(stack_id) AS n FROM stacks')).toEqual([{ n: '5' }])
    expect(ingest.counters().forgottenStacks).toBeGreaterThan(0)
  })

  it('deeper than 2048 frames lose their root end and say so', async () => {
    const { ingest, store } = await freshIngest()
    const deep = ['main', ...Array(5000).fill('fib'), 'leaf'].join(';')
    await ingest.receive('profiles', profilesProtobuf([profile([cpu(deep, 10)])]))
    expect(await rows(store, 'SELECT length(frames) AS n FROM stacks')).toEqual([{ n: '2049' }])
    expect(await functions(store)).toEqual([
      { function: '[truncated]', self: 0, total: 10, n: '0' },
      { function: 'fib', self: 0, total: 10, n: '0' },
      { function: 'leaf', self: 10, total: 10, n: '1' },
    ])
  })

  it('have ids that do not change from run to run: the database keeps them', async () => {
    const { ingest, store } = await freshIngest()
    await ingest.receive('profiles', profilesProtobuf([profile([cpu('main@m;f@m', 10)])]))
    expect(await rows(store, 'SELECT toString(stack_id) AS id FROM stacks')).toEqual([{ id: '2616176921438323796' }])
  })
})
