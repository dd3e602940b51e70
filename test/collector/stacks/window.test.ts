import { describe, expect, it } from 'vitest'
import { type Sample, WindowBuilder } from '../../../collector/window.ts'
import { drawn, frame, undrawn } from './drawn.ts'

const TIME = { startMs: 0, endMs: 10_000 }

function windowOf(samples: readonly Sample[], limits = {}) {
  const builder = new WindowBuilder(limits)
  for (const sample of samples) builder.add(sample)
  return builder.build(TIME)
}

describe('a window', () => {
  it('adds up equal stacks of one process and thread', () => {
    const window = windowOf(
      drawn(`main main main main
             step step out  step
             fft  .    .    fft
             3    2    5    4`),
    )
    expect(undrawn(window)).toEqual(['1 app fft<step<main 7 2', '1 app out<main 5 1', '1 app step<main 2 1'])
    expect(window.strings[0]).toBe('')
    expect(window.frames.function.length).toBe(4)
    expect(window).toMatchObject({ ...TIME, event: 'cpu', burst: '', counters: { lost: 0, throttled: 0, samples: 4 } })
  })

  it('keeps processes, restarted pids and threads apart', () => {
    const picture = 'main\n7'
    const window = windowOf([
      ...drawn(picture),
      ...drawn(picture, { pid: 2 }),
      ...drawn(picture, { startMs: 9 }),
      ...drawn(picture, { thread: 'io' }),
    ])
    expect(undrawn(window)).toEqual(['1 app main 7 1', '1 app main 7 1', '1 io main 7 1', '2 app main 7 1'])
    expect(window.processes.map(p => [p.pid, p.startMs])).toEqual([
      [1, 1000],
      [2, 1000],
      [1, 9],
    ])
  })

  it('gives a process the last name it had', () => {
    const window = windowOf([
      ...drawn('main\n1', { process: 'sh' }),
      ...drawn('main\n1', { process: 'ls', cgroup: '/a' }),
    ])
    expect(window.processes).toEqual([{ pid: 1, startMs: 1000, name: 'ls', cgroup: '/a' }])
  })

  it('tells frames apart by module, file, line and kind', () => {
    const one = frame('f')
    const frames = [
      one,
      { ...one, module: 'b' },
      { ...one, file: 'c' },
      { ...one, line: 1 },
      { ...one, kind: 'jit' as const },
    ]
    const window = windowOf([...drawn('x\n1', { frames }), ...drawn('x\n1', { frames: frames.map(f => ({ ...f })) })])
    expect(window.frames.function.length).toBe(5)
    expect(window.samples.count).toEqual(Uint32Array.of(2))
  })

  it('says how much of the truth it covers', () => {
    const window = windowOf(
      drawn(`main [truncated] [truncated]
             step a+0x1f      [unknown]
             1    2           3`),
    )
    expect(window.counters).toMatchObject({ samples: 3, unfinished: 2, frames: 4, namedFrames: 2 })
  })

  it('counts stacks beyond its bounds as lost, and goes on with those it knows', () => {
    const window = windowOf(
      drawn(`a b c a a
             . . . b .
             1 1 1 1 1`),
      { stacks: 2 },
    )
    expect(undrawn(window)).toEqual(['1 app a 2 2', '1 app b 1 1'])
    expect(window.counters.lost).toBe(2)
    expect(window.frames.function.length).toBe(2)
    expect(windowOf(drawn('a b c\n1 1 1'), { samples: 1 }).counters.lost).toBe(2)
  })

  it('cuts endless recursion at the root end and says so', () => {
    const window = windowOf(drawn('a\nb\nc\nd\ne\n1'), { depth: 3 })
    expect(undrawn(window)).toEqual(['1 app e<d<[truncated] 1 1'])
  })

  it('loses neither time nor samples whatever it is given', () => {
    const next = random(7)
    for (let round = 0; round < 50; round++) {
      const samples = Array.from({ length: next(400) }, () => sample(next))
      const window = windowOf(samples, { stacks: 1 + next(60), depth: 2 + next(8) })
      const kept = window.samples.count.reduce((sum, n) => sum + n, 0)
      const given = samples.reduce((sum, s) => sum + s.count, 0)
      expect(kept + window.counters.lost).toBe(given)
      if (window.counters.lost === 0)
        expect(window.samples.periodNs.reduce((sum, n) => sum + n, 0)).toBe(
          samples.reduce((sum, s) => sum + s.periodNs, 0),
        )
    }
  })
})

const random = (seed: number) => (below: number) => {
  seed = (seed * 1103515245 + 12345) % 2147483648
  return Math.floor((seed / 2147483648) * below)
}

const sample = (next: (below: number) => number): Sample => ({
  pid: next(3),
  startMs: next(2),
  process: 'p',
  cgroup: '',
  thread: `t${next(3)}`,
  frames: Array.from({ length: next(6) }, () => frame(`f${next(4)}`)),
  periodNs: next(1e6),
  count: 1 + next(3),
})
