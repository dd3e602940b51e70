import { beforeAll, expect, it } from 'vitest'
import { LatestValues } from '../../ingest/latest.ts'
import type { JobDetail, JobNodes } from '../../query/api.ts'
import { openAsker } from '../../query/asker.ts'
import { openTotals, readNodeTotals, readWaits } from '../../query/jobuse.ts'
import { openKnown } from '../../query/known.ts'
import { resolveJobScope } from '../../query/scope.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from './place.ts'

/**
 *   n1   GPU 0  1  2  3     ann's 1 holds two and runs one of them half of the time; bob's 2 holds one and leaves it idle
 *        30 % 100 % 0  0
 *   n2   GPU 0  1           eve's 3 holds both: no need to know of processes
 *        80 % 40 %
 *   n3   GPU 0  1           dan's 4 holds one of them, and nobody tells of processes
 */
const JOBS = [
  { id: '1', user: 'ann', node: 'n1', gpus: 2 },
  { id: '2', user: 'bob', node: 'n1', gpus: 1 },
  { id: '3', user: 'eve', node: 'n2', gpus: 2 },
  { id: '4', user: 'dan', node: 'n3', gpus: 1 },
]
const GPUS: Record<string, number[]> = { n1: [0.3, 1, 0, 0], n2: [0.8, 0.4], n3: [1, 0] }
const TICKS = Array.from({ length: 10 }, (_, i) => (T0 + (i + 1) * MINUTE) / 1000)

let place: Place
beforeAll(async () => {
  place = await openPlace()
  const run = {
    cluster: 'alpha',
    state: 'completed',
    submitMs: T0,
    startMs: T0,
    endMs: T0 + 10 * MINUTE,
    updatedMs: T0,
  }
  const row = { submit_ms: T0, start_ms: T0, end_ms: T0 + 10 * MINUTE, node_count: 1, updated_ms: T0 }
  await place.write(
    'jobs',
    JOBS.map(({ node, ...job }) => ({
      ...{ cluster: 'alpha', state: 'completed', nodes: [node], ...job, ...row },
      record: JSON.stringify({ ...run, ...job, scheduler: 'slurm', cores: 1 }),
    })),
  )
  const points = Object.entries(GPUS).flatMap(([node, used]) =>
    used.flatMap((share, i) =>
      TICKS.map(time => ({
        ...{ cluster: 'alpha', node, instance: String(i), time, interval_ms: MINUTE },
        utilization: Math.round(share * 10_000),
      })),
    ),
  )
  await place.write('gpu_points', points)
  // One that uses a GPU half of the time, and of another job one that only has it open.
  const process = (pid: number, job: string, share: number) =>
    TICKS.map(time => ({
      ...{ cluster: 'alpha', node: 'n1', time, interval_ms: MINUTE, pid, start_ms: T0, name: 'train', job },
      gpu_utilization: share,
    }))
  await place.write('processes', [...process(10, '1', 0.5), ...process(11, '2', 0)])
  // Of eve's job it was added up what waited, of dan's not in one of its minutes.
  const minute = (i: number, job: string, node: string, waiting: number | null) => ({
    ...{ cluster: 'alpha', job, node, minute: TICKS[i], sampled_ns: 4e9 },
    ...(waiting === null ? {} : { waiting_ns: waiting }),
  })
  await place.write('job_usage', [
    ...[minute(0, '3', 'n2', 2e9), minute(1, '3', 'n2', 0)],
    ...[minute(0, '4', 'n3', 4e9), minute(1, '4', 'n3', null)],
  ])
  const sample = {
    cluster: 'alpha',
    job: '4',
    event: 'cpu',
    node: 'n3',
    pid: 1,
    time: TICKS[0],
    window_ms: MINUTE,
    count: 1,
  }
  await place.write('samples', [
    { ...sample, stack_id: 1, value: 3e9 },
    { ...sample, stack_id: 2, value: 1e9 },
  ])
  await place.write('stacks', [
    { stack_id: 1, category: 'mpi', frames: [], seen: '2026-01-05' },
    { stack_id: 2, category: 'compute', frames: [], seen: '2026-01-05' },
  ])
}, 60_000)

it.each([
  ['of a shared node what its processes used of those it holds', '1', 0.25],
  ['of a shared node 0 where it left its own idle, whatever the others do', '2', 0],
  ['of a node that it has for itself the mean of the GPUs', '3', 0.6],
  ['of a shared node whose processes are not told, nothing', '4', null],
])('the GPUs of a job: %s', async (_, id, expected) => {
  const { gpuUtilization } = await place.ask<JobDetail>(`/jobs/${id}`)
  if (expected === null) expect(gpuUtilization).toBeNull()
  else expect(gpuUtilization).toBeCloseTo(expected, 3)
})

it.each([
  ['as it was added up', '3', new Map([['n2', 0.25]])],
  ['of its stacks where it was not', '4', new Map([['n3', 0.75]])],
])('what waited on each node of a job: %s', async (_, job, expected) => {
  const asker = openAsker(place.store, T0 + 10 * MINUTE, undefined)
  const target = await resolveJobScope(asker, openKnown(new LatestValues()), { cluster: 'alpha', job })
  const totals = await readNodeTotals(asker, target, target.job)
  expect(await readWaits(asker, target, totals)).toEqual(expected)
})

it('the panels of a page that ask for one job at the same time share one look, and later ones look again', async () => {
  const asked: string[] = []
  const query: typeof place.store.query = (question, options) => {
    asked.push(options.name)
    return place.store.query(question, options)
  }
  const known = openKnown(new LatestValues())
  const resolve = () => {
    const asker = openAsker({ ...place.store, query }, T0, new AbortController().signal)
    return resolveJobScope(asker, known, { cluster: 'alpha', job: '1' })
  }
  const looks = () => asked.filter(name => name === 'job by id').length
  const [first, second] = await Promise.all([resolve(), resolve(), resolve()])
  expect([first.job.record.user, second.job.record.user, looks()]).toEqual(['ann', 'ann', 1])
  await resolve()
  expect(looks()).toBe(2)
})

it('what a job used on its nodes is looked up once for the panels of a page', async () => {
  const asked: string[] = []
  const query: typeof place.store.query = (question, options) => {
    asked.push(options.name)
    return place.store.query(question, options)
  }
  const asker = openAsker({ ...place.store, query }, T0 + HOUR, undefined)
  const target = await resolveJobScope(asker, openKnown(new LatestValues()), { cluster: 'alpha', job: '3' })
  const totals = openTotals()
  const looks = () => asked.filter(name => name === 'use of a job by node').length
  const [one, other] = await Promise.all([totals(asker, target, target.job), totals(asker, target, target.job)])
  expect([one.get('n2')?.waitShare, other, looks()]).toEqual([0.25, one, 1])
  await totals(asker, target, target.job)
  expect(looks()).toBe(2)
})

it('a node of a large job has what it did in all of it, and the function of its last part', async () => {
  const names = Array.from({ length: 1100 }, (_, i) => `w${i}`)
  const [begin, end] = [T0 + HOUR, T0 + 4 * HOUR]
  const run = { cluster: 'alpha', id: '9', state: 'completed', user: 'ann' }
  await place.write('jobs', [
    {
      ...{ ...run, nodes: names, node_count: 1100, submit_ms: begin, start_ms: begin, end_ms: end, updated_ms: end },
      record: JSON.stringify({ ...run, scheduler: 'slurm', startMs: begin, endMs: end, updatedMs: end }),
    },
  ])
  const did = (minute: number, function_id: number, self: number) => ({
    ...{ cluster: 'alpha', job: '9', event: 'cpu', node: 'w7', pid: 1, start_ms: begin, total: self },
    ...{ minute: (begin + minute * MINUTE) / 1000, function_id, self, self_count: 1 },
  })
  // The store adds up by itself what was sampled on each node.
  await place.write('function_minutes', [did(10, 1, 60e9), did(178, 2, 6e9)])
  await place.write(
    'frames',
    [1, 2].map(id => ({
      frame_id: id,
      function_id: id,
      function: `f${id}`,
      module: 'm',
      kind: 'native',
      seen: '2026-01-05',
    })),
  )
  const { nodes, functionsFrom } = await place.ask<JobNodes>('/jobs/9/nodes', { buckets: 10 })
  // Its last samples were folded over a minute that ended after it.
  expect(functionsFrom).toBe(end - 9 * MINUTE)
  const node = nodes.find(one => one.node === 'w7')
  expect(node?.topFunction).toBe('f2')
  expect(node?.jobCores).toBeCloseTo(66 / (3 * 3600), 6)
})
