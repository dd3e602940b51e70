import { readdirSync } from 'node:fs'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { CollectorConfig } from '../../collector/config.ts'
import { startCollector } from '../../collector/index.ts'
import type { Sent } from '../../collector/outbox.ts'
import { captured, type Machine, makeMachine } from './machine.ts'
import { type DecodedResource, decodeRequest } from './otlp.ts'

const START = 1_700_000_003_000 // 3 s after a multiple of 10 s
const FILES = [
  'stat',
  'loadavg',
  'meminfo',
  'vmstat',
  'diskstats',
  'net/dev',
  'pressure/cpu',
  'pressure/memory',
  'pressure/io',
]
const capturedMachine = (which: 'before' | 'after') =>
  Object.fromEntries(FILES.map(file => [`proc/${file}`, captured('vm-2-cores', `${which}/${file}`)]))
const INIT =
  '1 (init) S 0 1 1 0 -1 4194560 9 0 0 0 50 20 7 8 20 0 1 0 10 104857600 300 0 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0\n'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] })
  vi.setSystemTime(START)
})
afterEach(() => void vi.useRealTimers())

/** A collector on a machine of files; `sent` gets what it sends. */
async function start(machine: Machine, given: Record<string, unknown> = {}) {
  const config = Value.Default(CollectorConfig, {
    cluster: 'lab',
    node: 'n1',
    roots: machine.options.roots,
    scheduler: { kind: 'none' },
    stacks: { mode: 'off' },
    ...given,
  }) as Static<typeof CollectorConfig>
  const receiver = {
    answer: { ok: true } as Sent,
    metrics: [] as DecodedResource[][],
    nodes: [] as Record<string, unknown>[],
  }
  const collector = await startCollector(config, {
    log: machine.options.log,
    async send(door, body) {
      if (!receiver.answer.ok) return receiver.answer
      if (door === 'metrics') receiver.metrics.push(decodeRequest(body))
      if (door === 'jobs') receiver.nodes.push(...JSON.parse(Buffer.from(body).toString()).nodes)
      return receiver.answer
    },
  })
  const stop = vi.fn(() => collector.stop())
  onTestFinished(async () => {
    if (stop.mock.calls.length === 0) await collector.stop()
  })
  return { receiver, status: () => collector.status(), stop }
}

const node = (request: DecodedResource[] | undefined) => request?.find(r => !('process.pid' in r.attributes))
const spans = (request: DecodedResource[] | undefined) => {
  const points = Object.values(node(request)?.metrics ?? {}).flatMap(metric => metric.points)
  return [
    ...new Set(points.map(point => `${(point.startMs - START) / 1000 + 3}..${(point.timeMs - START) / 1000 + 3}`)),
  ]
}
const errorsLogged = (machine: Machine) => machine.logged.filter(line => line.level >= 50).map(line => line.msg)

describe('collector', () => {
  it('sends one request a tick, on the grid: the first speaks for the time since the start', async () => {
    const machine = makeMachine({ ...capturedMachine('before'), 'proc/1/stat': INIT })
    const { receiver, status } = await start(machine)
    for (const [path, text] of Object.entries(capturedMachine('after'))) machine.write(path, text)
    await vi.advanceTimersByTimeAsync(28_000)
    expect(receiver.metrics.map(spans)).toEqual([['3..10'], ['10..20'], ['20..30']])
    const metrics = node(receiver.metrics[0])?.metrics
    // vda wrote 132976 sectors between the captures, here in the 7 s from the start to the first tick
    expect(metrics?.['system.disk.io']?.points.map(point => [point.attributes, point.value])).toContainEqual([
      { 'disk.io.direction': 'write', 'system.device': 'vda' },
      132_976 * 512,
    ])
    expect(Object.keys(metrics ?? {})).toEqual(
      expect.arrayContaining([
        'system.cpu.utilization',
        'system.memory.usage',
        'system.linux.pressure.time',
        'system.paging.faults',
      ]),
    )
    // what ends on this machine meanwhile may be told, too
    const init = receiver.metrics[0]?.find(resource => resource.attributes['process.pid'] === 1)
    expect(init?.attributes).toMatchObject({ 'host.name': 'n1', 'process.pid': 1, 'process.executable.name': 'init' })
    expect(status()).toMatchObject({ node: 'n1', cluster: 'lab', ticks: 3, skippedTicks: 0, processes: 1 })
    expect(errorsLogged(machine)).toEqual([])
  })

  it('leaves out what it cannot read, counts it, says it once, and goes on when it can be read again', async () => {
    const machine = makeMachine(capturedMachine('before'))
    const { receiver, status } = await start(machine)
    const memory = (tick: number) => node(receiver.metrics[tick])?.metrics['system.memory.usage']
    const good = captured('vm-2-cores', 'before/meminfo')
    machine.write('proc/meminfo', 'nonsense')
    await vi.advanceTimersByTimeAsync(18_000)
    expect([memory(0), memory(1)]).toEqual([undefined, undefined])
    expect(node(receiver.metrics[1])?.metrics).toHaveProperty('system.cpu.load_average.1m')
    expect(node(receiver.metrics[1])?.metrics['jobsight.collector.errors']?.points).toMatchObject([
      { attributes: { source: 'memory' }, value: 1 },
    ])
    expect(errorsLogged(machine)).toEqual(['memory cannot be read, its metrics are left out'])
    expect(status().sources).toContainEqual({
      name: 'memory',
      state: 'failing',
      why: '/proc/meminfo has no MemTotal',
      errors: 2,
    })
    machine.write('proc/meminfo', good)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(memory(2)?.points.length).toBeGreaterThan(0)
    expect(status().sources).toContainEqual({ name: 'memory', state: 'works', errors: 2 })
  })

  it('tells which sources there are with the node, and again a minute after one failed', async () => {
    const files: Record<string, string> = capturedMachine('before')
    for (const which of ['cpu', 'memory', 'io']) delete files[`proc/pressure/${which}`]
    const machine = makeMachine(files)
    const { receiver, status } = await start(machine)
    await vi.waitFor(() => expect(receiver.nodes).toHaveLength(1), { timeout: 20_000 })
    const sources = { cpu: 'ok', memory: 'ok', processes: 'ok', pressure: expect.stringContaining('psi=1') }
    expect(receiver.nodes[0]).toMatchObject({ cluster: 'lab', node: 'n1', bootMs: 1_795_455_812_000, sources })
    expect(status().sources).toContainEqual({
      name: 'pressure',
      state: 'absent',
      why: expect.stringContaining('psi=1'),
      errors: 0,
    })
    expect(machine.logged.filter(line => line.msg.startsWith('pressure is absent'))).toHaveLength(1)
    machine.write('proc/loadavg', '')
    await vi.advanceTimersByTimeAsync(75_000)
    expect(receiver.nodes).toHaveLength(2)
    expect(receiver.nodes[1]).toMatchObject({ sources: { cpu: 'ok', load: expect.stringContaining('three numbers') } })
  })

  it('keeps its batches while nobody takes them, and sends them in order when it stops', async () => {
    const machine = makeMachine(capturedMachine('before'))
    const { receiver, status, stop } = await start(machine)
    receiver.answer = { ok: false, permanent: false, message: 'away' }
    await vi.advanceTimersByTimeAsync(38_000)
    expect(status().outbox.waiting).toBeGreaterThanOrEqual(4)
    receiver.answer = { ok: true }
    await stop()
    expect(receiver.metrics.map(spans)).toEqual([['3..10'], ['10..20'], ['20..30'], ['30..40']])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(receiver.metrics).toHaveLength(4)
  })

  it('leaves nothing running where it cannot start', async () => {
    const machine = makeMachine({ 'proc/loadavg': '1 1 1 1/1 1\n' }) // no stat, so nobody knows when it booted
    const spool = `${machine.options.roots.sys}/spool`
    await expect(start(machine, { spool: { path: spool } })).rejects.toThrow(/stat/)
    expect(readdirSync(spool)).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('says no more of processes than it is asked for', async () => {
    const machine = makeMachine({ ...capturedMachine('before'), 'proc/1/stat': INIT })
    const { receiver } = await start(machine, { processes: { topByCpu: 0, topByMemory: 0 } })
    await vi.advanceTimersByTimeAsync(8000)
    expect(receiver.metrics[0]).toHaveLength(1)
  })
})
