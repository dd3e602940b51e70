import { beforeAll, expect, it } from 'vitest'
import type { JobDetail } from '../../query/api.ts'
import { MINUTE, openPlace, type Place, T0 } from './place.ts'

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
