import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Sampler, StackWindow, StartSampler } from '../../../collector/sampler.ts'
import { startStacks } from '../../../collector/stacks.ts'
import { WindowBuilder } from '../../../collector/window.ts'
import { drawn } from './drawn.ts'
import { decodeRequest } from './otlp.ts'

const OPTIONS = { hz: 19, windowMs: 10_000, includeIdle: false, stackBytes: 16_384, node: 'n1' }
const tick = (monotonicMs: number) => ({ timeMs: 0, intervalMs: 10_000, monotonicMs })

function windowOf(picture: string, lost = 0): StackWindow {
  const builder = new WindowBuilder()
  for (const sample of drawn(picture)) builder.add(sample)
  builder.lose(lost)
  return builder.build({ startMs: 1000, endMs: 2000 })
}

function sampler(windows: StackWindow[]): Sampler & { stopped: boolean } {
  return {
    status: { kind: 'perf', hz: 19, clock: 'cpu-clock' },
    stopped: false,
    drain: () => windows.splice(0),
    async stop() {
      this.stopped = true
      windows.push(windowOf('last\n1'))
    },
  }
}

function place(...samplers: StartSampler[]) {
  const bodies: Uint8Array[] = []
  const charged: [number, number][] = []
  const deps = {
    samplers,
    outbox: { put: (_door: string, body: Uint8Array) => bodies.push(body) },
    attribution: {
      charge: (pid: number, startMs: number) => {
        charged.push([pid, startMs])
        return { job: '4711', step: '0', evidence: 'cgroup' as const }
      },
    },
    log: pino({ level: 'silent' }),
  }
  return { deps, charged, sent: () => bodies.flatMap(body => decodeRequest(body).samples) }
}

describe('startStacks', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('takes the first sampler that can, and keeps why the others could not', async () => {
    const second = sampler([])
    const { deps } = place(
      async () => ({ absent: 'no addon' }),
      async () => Promise.reject(new Error('broken')),
      async () => second,
    )
    const stacks = await startStacks(OPTIONS, deps)
    expect(stacks.refused).toEqual(['no addon', 'broken'])
    expect(stacks.status()).toEqual({ sampler: second.status })
    const watch = { keeps: () => true, sent: () => {} }
    expect(stacks.startBurst({ burst: 'b', hz: 99, durationMs: 1, target: 'node' }, watch)).toEqual({
      absent: 'bursts need the sampler addon; no addon',
    })
    await stacks.stop()
    expect(second.stopped).toBe(true)
  })

  it('goes on without stacks where nobody can', async () => {
    const { deps } = place(async () => ({ absent: 'run `apt-get install linux-perf`' }))
    const stacks = await startStacks(OPTIONS, deps)
    expect(stacks.status()).toEqual({ absent: 'run `apt-get install linux-perf`' })
    expect(stacks.source.read(tick(0))).toEqual([])
    await stacks.stop()
  })

  it('sends each window, charged to its jobs, also those that only come when it stops', async () => {
    const windows = [windowOf('main\n5')]
    const { deps, charged, sent } = place(async () => sampler(windows))
    const stacks = await startStacks(OPTIONS, deps)
    await vi.advanceTimersByTimeAsync(1000)
    expect(sent().map(s => [s.resource['host.name'], s.resource['jobsight.job.id'], s.value])).toEqual([
      ['n1', '4711', 5],
    ])
    expect(charged).toEqual([[1, 1000]])
    await stacks.stop()
    expect(sent().map(s => s.frames)).toEqual([['main@app native'], ['last@app native']])
  })

  it('leaves the sampler alone until its next window has ended, except while somebody looks closer', async () => {
    vi.setSystemTime(2000)
    const [windows, looks]: [StackWindow[], number[]] = [[windowOf('main\n5')], []]
    const own = sampler(windows)
    own.drain = () => {
      looks.push(Date.now())
      return windows.splice(0)
    }
    own.startBurst = () => ({ hz: 99, endsMs: 0, stop: () => {} })
    const stacks = await startStacks(OPTIONS, place(async () => own).deps)
    await vi.advanceTimersByTimeAsync(12_000)
    // The window ended at 2000: the next is there at 12 300, or each second after that.
    expect(looks).toEqual([3000, 12_300, 13_300])
    stacks.startBurst({ burst: 'b', hz: 99, durationMs: 1, target: 'node' }, { keeps: () => true, sent: () => {} })
    windows.push({ ...windowOf('main\n5'), endMs: 14_500 })
    await vi.advanceTimersByTimeAsync(2000)
    expect(looks.slice(3)).toEqual([15_000, 16_000])
    await vi.advanceTimersByTimeAsync(60_000)
    await stacks.stop()
  })

  it('reads samples and losses as rates', async () => {
    const windows: StackWindow[] = []
    const { deps } = place(async () => sampler(windows))
    const stacks = await startStacks(OPTIONS, deps)
    expect(stacks.source.read(tick(0))).toEqual([])
    const window = windowOf('main main\na b\n1 1', 5)
    windows.push({ ...window, counters: { ...window.counters, throttled: 3, ownCpuNs: 20_000_000 } })
    await vi.advanceTimersByTimeAsync(1000)
    const reading = (column: string, value: number) => ({ entity: 'node', column, instance: '', value })
    const readings = (samples: number, lost: number, throttled: number, cpu: number) => [
      reading('stacks_samples', samples),
      reading('stacks_lost', lost),
      reading('stacks_throttled', throttled),
      reading('stacks_cpu', cpu),
    ]
    expect(stacks.source.read(tick(10_000))).toEqual(readings(0.2, 0.5, 0.3, 0.002))
    expect(stacks.source.read(tick(20_000))).toEqual(readings(0, 0, 0, 0))
    await stacks.stop()
  })

  it('says so when its sampler breaks, and when it is well again', async () => {
    let broken = true
    const flaky: Sampler = {
      ...sampler([]),
      drain: () => {
        if (broken) throw new Error('the thread ended')
        return []
      },
    }
    const { deps } = place(async () => flaky)
    const stacks = await startStacks(OPTIONS, deps)
    await vi.advanceTimersByTimeAsync(1000)
    expect(stacks.status()).toEqual({ absent: 'the thread ended' })
    broken = false
    await vi.advanceTimersByTimeAsync(1000)
    expect(stacks.status()).toEqual({ sampler: flaky.status })
    await stacks.stop()
  })
})
