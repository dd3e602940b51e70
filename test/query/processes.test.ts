import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { ProcessDetail, Processes } from '../../query/api.ts'
import { HOUR, MINUTE, openPlace, type Place, SECOND, T0 } from './place.ts'

let place: Place

/** When job 8 ran. */
const OVER = { from: T0 - 10 * MINUTE, to: T0 - 10 * MINUTE + 20 * SECOND }

interface Who {
  node?: string
  pid: number
  start_ms?: number
  name: string
  user?: string
  job?: string
  rank?: number
}

/** A process as a line of user cores a tick of 10 s; '.' where it was not among the top. */
const drawLife = (who: Who, text: string, more: object = {}) =>
  text
    .trim()
    .split(/\s+/)
    .flatMap((cores, i) =>
      cores === '.'
        ? []
        : [
            {
              cluster: 'alpha',
              node: 'node1',
              start_ms: 1000,
              user: 'ann',
              job: '',
              ...who,
              command: `${who.name} --run`,
              evidence: who.job ? 'cgroup' : 'none',
              time: T0 / 1000 + (i + 1) * 10,
              interval_ms: 10_000,
              cpu_user: Number(cores),
              cpu_system: 0.25,
              state: 'R',
              ...more,
            },
          ],
    )

beforeAll(async () => {
  place = await openPlace()
  place.clock.now = T0 + MINUTE
  const node = (name: string) => ({ cluster: 'alpha', node: name, sender: 'collector', record: '{}', updated_ms: T0 })
  await place.write('nodes', [node('node1'), node('node2')])
  await place.write('processes', [
    ...drawLife({ pid: 10, name: 'solve', job: '7', rank: 3 }, '1 1 1 1 1 1', {
      memory_bytes: 500,
      read_bytes: 60,
      threads: 4,
    }),
    ...drawLife({ pid: 11, name: 'late' }, '. . . . 3 3', { memory_bytes: 900 }),
    // The pid again, by another process.
    ...drawLife({ pid: 11, start_ms: 2000, name: 'early', user: 'bob' }, '1.5 . . . . .', { memory_bytes: 100 }),
    ...drawLife({ pid: 12, name: 'small' }, '0 0 0 0 0 0', { cpu_system: 0, write_bytes: 7 }),
    ...drawLife({ pid: 10, node: 'node2', name: 'solve', job: '7', rank: 4 }, '2 2 . . . .', { memory_bytes: 200 }),
    ...drawLife({ pid: 20, node: 'node3', name: 'short', job: '8' }, '1 1', { cpu_system: 0 }).map(row => ({
      ...row,
      time: row.time + (OVER.from - T0) / 1000,
    })),
  ])
  await place.write('jobs', [
    {
      cluster: 'alpha',
      id: '7',
      state: 'running',
      user: 'ann',
      submit_ms: T0,
      start_ms: T0,
      nodes: ['node1', 'node2'],
      node_count: 2,
      record: JSON.stringify({
        cluster: 'alpha',
        id: '7',
        scheduler: 'slurm',
        state: 'running',
        user: 'ann',
        startMs: T0,
        updatedMs: T0,
      }),
      updated_ms: T0,
    },
  ])
  await place.write('jobs', [
    {
      ...{
        cluster: 'alpha',
        id: '8',
        state: 'completed',
        user: 'ann',
        nodes: ['node3'],
        node_count: 1,
        updated_ms: T0,
      },
      ...{ submit_ms: OVER.from, start_ms: OVER.from, end_ms: OVER.to },
      record: JSON.stringify({
        ...{ cluster: 'alpha', id: '8', scheduler: 'slurm', state: 'completed', user: 'ann', updatedMs: T0 },
        ...{ startMs: OVER.from, endMs: OVER.to },
      }),
    },
  ])
  await place.sample(
    `
    a
    ${2e9}`,
    { job: '7', pid: 10, start_ms: 1000, timeMs: T0 + 30 * SECOND, process: 'solve' },
  )
  await place.sample(
    `
    a  m
    ${1e9} ${3e9}`,
    { pid: 99, start_ms: 3000, timeMs: T0 + 30 * SECOND, process: 'brief' },
  )
})

const window = { from: T0, to: T0 + MINUTE }
const names = (answer: Processes) => answer.processes.map(p => `${p.node}/${p.name}`)

describe('processes', () => {
  it('of a job that is over used what they used while it ran, whenever that is asked', async () => {
    onTestFinished(() => {
      place.clock.now = T0 + MINUTE
    })
    for (const later of [0, 20 * SECOND, HOUR]) {
      place.clock.now = OVER.to + later
      const { from, to, processes } = await place.ask<Processes>('/processes', { job: '8' })
      expect({ from, to }).toEqual(OVER)
      expect(processes.map(({ name, cpuUser }) => [name, cpuUser])).toEqual([['short', 1]])
    }
  })

  it('are listed by CPU seconds of the window, what is not listed is told', async () => {
    const answer = await place.ask<Processes>('/processes', { ...window, limit: 2 })
    expect(names(answer)).toEqual(['node1/solve', 'node1/late'])
    expect(answer.processes[0]).toEqual({
      node: 'node1',
      pid: 10,
      start: 1000,
      name: 'solve',
      command: 'solve --run',
      user: 'ann',
      job: '7',
      step: '',
      rank: 3,
      evidence: 'cgroup',
      first: T0 + 10 * SECOND,
      last: T0 + MINUTE,
      cpuUser: 1,
      cpuSystem: 0.25,
      memoryBytes: 500,
      readBytes: 60,
      writeBytes: null,
      threads: 4,
      state: 'R',
      ...{ executable: '', container: '', cpuDelay: null, diskDelay: null, numaNode: null },
      ...{ gpuUtilization: null, gpuMemoryBytes: null, ended: null, sampled: true },
    })
    // late: 2 of 6 ticks at 3 + 0.25 cores.
    expect(answer.processes[1]).toMatchObject({ cpuUser: 1, sampled: false, memoryBytes: 900, readBytes: null })
    expect(answer).toMatchObject({ total: 5, other: { count: 3 } })
    // early 1.5 + 0.25 and solve on node2 twice 2 + 0.25, over six ticks.
    expect(answer.other.cpu).toBeCloseTo((1.75 + 4.5) / 6)
  })

  it('by memory, reads and writes', async () => {
    const first = async (sort: string) => names(await place.ask<Processes>('/processes', { ...window, sort }))[0]
    expect(await first('memory')).toBe('node1/late')
    expect(await first('read')).toBe('node1/solve')
    expect(await first('write')).toBe('node1/small')
  })

  it('of a job, a user, a node, a part of the window', async () => {
    const of = async (params: object) =>
      names(await place.ask<Processes>('/processes', { ...window, ...params })).sort()
    expect(await of({ job: '7' })).toEqual(['node1/solve', 'node2/solve'])
    expect(await of({ user: 'bob' })).toEqual(['node1/early'])
    expect(await of({ node: 'node2' })).toEqual(['node2/solve'])
    expect(await of({ job: '7', node: 'node2' })).toEqual(['node2/solve'])
    expect(await of({ pid: 11, start: 2000 })).toEqual(['node1/early'])
    expect(await of({ from: T0 + 40 * SECOND, user: 'ann' })).toEqual(['node1/late', 'node1/small', 'node1/solve'])
    expect(names(await place.ask<Processes>('/jobs/7/processes'))).toEqual(['node1/solve', 'node2/solve'])
  })

  it('mean cores are of the part of the window that has been', async () => {
    const answer = await place.ask<Processes>('/processes', { from: T0, to: T0 + 10 * MINUTE, limit: 1 })
    expect(answer.processes[0]?.cpuUser).toBe(1)
  })
})

describe('one process', () => {
  it('over time: absent where it was not seen', async () => {
    const answer = await place.ask<ProcessDetail>('/process', {
      ...window,
      node: 'node1',
      pid: 11,
      start: 1000,
      buckets: 6,
    })
    expect(answer).toMatchObject({ bucketMs: 10_000, process: { name: 'late', sampled: false } })
    expect(answer.series.cpuUser).toEqual([null, null, null, null, 3, 3])
    expect(answer.series.memoryBytes).toEqual([null, null, null, null, 900, 900])
    expect(answer.series.readBytes).toEqual([null, null, null, null, null, null])
  })

  it('without a start the newest of that pid; its time by category', async () => {
    const late = await place.ask<ProcessDetail>('/process', { ...window, node: 'node1', pid: 11 })
    expect(late.process).toMatchObject({ name: 'late', start: 1000 })
    const solve = await place.ask<ProcessDetail>('/process', { ...window, node: 'node1', pid: 10 })
    expect(solve.categories).toEqual([{ category: 'compute', seconds: 2, samples: 1 }])
  })

  it('that only the sampler met', async () => {
    const brief = await place.ask<ProcessDetail>('/process', { ...window, node: 'node1', pid: 99 })
    expect(brief.process).toMatchObject({ name: 'brief', start: 3000, cpuUser: null, sampled: true })
    expect(brief.categories.map(c => [c.category, c.seconds])).toEqual([
      ['mpi', 3],
      ['compute', 1],
    ])
  })

  it('that was seen first after the end of the window, by a page that is a step behind', async () => {
    const until = { from: T0 - HOUR, to: T0 + 40 * SECOND, node: 'node1', pid: 11, start: 1000 }
    const answer = await place.ask<ProcessDetail>('/process', until)
    expect(answer.process).toMatchObject({ name: 'late', first: T0 + 50 * SECOND })
    expect(answer.series.cpuUser?.every(value => value === null)).toBe(true)
    place.clock.now = T0 + HOUR
    expect((await place.refusal('/process', until)).status).toBe(404)
    place.clock.now = T0 + MINUTE
  })

  it('that started now and was not measured yet', async () => {
    const start = T0 + 55 * SECOND
    const refusal = await place.refusal('/process', { ...window, node: 'node1', pid: 5, start })
    expect(refusal).toMatchObject({ status: 404, message: expect.stringContaining('started 5 s ago on node1') })
  })

  it('that is not there, and who is', async () => {
    const refusal = await place.refusal('/process', { ...window, node: 'node1', pid: 5 })
    expect(refusal.status).toBe(404)
    expect(refusal.message).toBe(
      'process 5 is not known on node1 in this window. Busiest there then: 10 (solve), 11 (late), 11 (early), 12 (small); /processes lists them.',
    )
  })
})
