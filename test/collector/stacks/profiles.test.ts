import { describe, expect, it } from 'vitest'
import { type Charge, encodeProfiles } from '../../../collector/profiles.ts'
import { WindowBuilder } from '../../../collector/window.ts'
import { drawn, frame, undrawn } from './drawn.ts'
import { decodeRequest } from './otlp.ts'

const TIME = { startMs: 1_790_000_000_000, endMs: 1_790_000_010_000 }
const nobody = (): Charge => ({ job: '', step: '', evidence: 'none' })

function windowOf(...samples: ReturnType<typeof drawn>[]) {
  const builder = new WindowBuilder()
  for (const sample of samples.flat()) builder.add(sample)
  return builder.build(TIME)
}

describe('encodeProfiles', () => {
  it('writes what another reader of the specification reads', () => {
    const python = { ...frame('fib@app.py'), kind: 'python' as const, file: '/home/u/app.py', line: 7 }
    const window = windowOf(
      drawn(`_start    _start
             main      main
             step      MPI_Wait@libmpi.so.40
             vfs_read@[k] .
             52631578  105263156`),
      drawn('x\n9', { frames: [python], pid: 77, startMs: 0, process: 'python3', thread: '' }),
    )
    const charge = (process: { pid: number }): Charge =>
      process.pid === 1 ? { job: '4711_3', step: '0', rank: 2, evidence: 'cgroup' } : nobody()
    const bodies = [...encodeProfiles(window, { node: 'n1', cluster: 'c', hz: 19 }, charge)]
    expect(bodies.length).toBe(1)
    const { samples, zeros } = decodeRequest(bodies[0] ?? new Uint8Array())
    expect(zeros).toEqual([0, 0, 0, 0, 0, 0, 0])
    const app = {
      'host.name': 'n1',
      'jobsight.cluster': 'c',
      'process.pid': 1,
      'process.creation.time': '1970-01-01T00:00:01.000Z',
      'process.executable.name': 'app',
      'jobsight.job.id': '4711_3',
      'jobsight.job.step': '0',
      'jobsight.job.rank': 2,
      'jobsight.evidence': 'cgroup',
    }
    const common = { type: 'cpu/nanoseconds', ...TIME, periodNs: 52631578 }
    const root = ['main@app native', '_start@app native']
    expect(samples).toEqual([
      {
        ...common,
        resource: app,
        attributes: { 'jobsight.category': 'io', 'jobsight.sample.count': 1, 'thread.name': 'app' },
        frames: ['vfs_read@[kernel.kallsyms] kernel', 'step@app native', ...root],
        value: 52631578,
      },
      {
        ...common,
        resource: app,
        attributes: { 'jobsight.category': 'mpi', 'jobsight.sample.count': 1, 'thread.name': 'app' },
        frames: ['MPI_Wait@libmpi.so.40 native', ...root],
        value: 105263156,
      },
      {
        ...common,
        resource: {
          'host.name': 'n1',
          'jobsight.cluster': 'c',
          'process.pid': 77,
          'process.executable.name': 'python3',
          'jobsight.evidence': 'none',
        },
        attributes: { 'jobsight.category': 'interpreter', 'jobsight.sample.count': 1 },
        frames: ['fib@app.py cpython /home/u/app.py:7'],
        value: 9,
      },
    ])
  })

  it('marks bursts and demo data, and gives other events no unit of time', () => {
    const builder = new WindowBuilder()
    for (const sample of drawn('main\n3')) builder.add(sample)
    const window = builder.build({ ...TIME, burst: 'b1', event: 'alloc_space' })
    const [body] = encodeProfiles(window, { node: 'n1', simulated: true }, nobody)
    const [sample] = decodeRequest(body ?? new Uint8Array()).samples
    expect(sample).toMatchObject({
      type: 'alloc_space/count',
      resource: { 'jobsight.simulated': true },
      attributes: { 'jobsight.burst': 'b1' },
    })
  })

  it('splits a window into bodies below the limit, each of which stands alone, and loses nothing', () => {
    const samples = Array.from({ length: 3000 }, (_, i) => [
      ...drawn(`main\nf${i % 700}_${'x'.repeat(i % 50)}é\nleaf${i}\n${i + 1}`, { pid: i % 3, thread: `t${i % 5}` }),
    ])
    const window = windowOf(...samples)
    const limit = 32 << 10
    const bodies = [...encodeProfiles(window, { node: 'n1' }, nobody, limit)]
    expect(bodies.length).toBeGreaterThan(3)
    expect(Math.max(...bodies.map(b => b.length))).toBeLessThanOrEqual(limit + 1024)
    const decoded = bodies.flatMap(body => decodeRequest(body).samples)
    const lines = decoded.map(s => {
      const names = s.frames.map(f => f.split('@')[0])
      return `${s.resource['process.pid']} ${s.attributes['thread.name']} ${names.join('<')} ${s.value} 1`
    })
    expect(lines.sort()).toEqual(undrawn(window))
  })

  it('writes nothing for an empty window', () => {
    expect([...encodeProfiles(windowOf(), { node: 'n1' }, nobody)]).toEqual([])
  })
})
