/** The collector's end of the control line: orders, bounds, news, and a line that comes back. */
import { once } from 'node:events'
import fastify from 'fastify'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Control, type ControlDeps, startControl } from '../../collector/control.ts'
import { webSocketWire } from '../../collector/line.ts'
import type { BurstOptions, Sampler, StackWindow } from '../../collector/sampler.ts'
import { type Stacks, startStacks } from '../../collector/stacks.ts'
import { WindowBuilder } from '../../collector/window.ts'
import { openControl } from '../../ingest/control.ts'
import { addControlDoor, webSocket } from '../../ingest/controldoor.ts'
import type { BurstOrder, FromCollector } from '../../ingest/records.ts'
import { drawn } from './stacks/drawn.ts'
import { decodeRequest } from './stacks/otlp.ts'

const log = pino({ level: 'silent' })
const LIMITS = { atOnce: 2, maxHz: 1000 }

/** Which job each pid belongs to. */
const CHARGES: Record<number, { job: string; rank?: number }> = {
  1: { job: '4711', rank: 0 },
  2: { job: '4711', rank: 1 },
}

interface Node {
  control: Control
  /** What the server hears. */
  told: FromCollector[]
  order(order: Partial<BurstOrder>): void
  say(frame: unknown): void
  asked: BurstOptions[]
  stopped: string[]
  windows: StackWindow[]
  /** pid and burst of each sample that went out. */
  sent(): [number, string, number][]
  stacks: Stacks
}

async function openNode(more: Partial<ControlDeps> & { limits?: typeof LIMITS } = {}): Promise<Node> {
  const { limits = LIMITS, ...deps } = more
  const asked: BurstOptions[] = []
  const stopped: string[] = []
  const windows: StackWindow[] = []
  const sampler: Sampler = {
    status: { kind: 'addon', hz: 19, clock: 'cpu-clock' },
    drain: () => windows.splice(0),
    startBurst: options => {
      asked.push(options)
      const endsMs = Date.now() + options.durationMs
      return { hz: options.hz, endsMs, stop: () => void stopped.push(options.burst) }
    },
    stop: async () => {},
  }
  const bodies: Uint8Array[] = []
  const charge = (pid: number) => ({ job: '', step: '', evidence: 'cgroup' as const, ...CHARGES[pid] })
  const stacks = await startStacks(
    { hz: 19, windowMs: 10_000, includeIdle: false, stackBytes: 16_384, node: 'n1' },
    { samplers: [async () => sampler], outbox: { put: (_, body) => bodies.push(body) }, attribution: { charge }, log },
  )
  const told: FromCollector[] = []
  let hear: (frame: unknown) => void = () => {}
  const control = startControl(
    { node: 'n1', cluster: 'lab', bursts: limits },
    {
      openWire: async events => {
        hear = events.hear
        return { send: frame => told.push(frame), close: () => {} }
      },
      stacks,
      attribution: { groupOf: ids => (ids.includes('grouped') ? '/slurm/job_5' : undefined) },
      startOf: pid => (pid < 100 ? 1000 : undefined),
      waiting: () => 0,
      log,
      ...deps,
    },
  )
  onTestFinished(async () => {
    control.stop()
    await stacks.stop()
  })
  await Promise.resolve()
  const order = (fields: Partial<BurstOrder>) =>
    hear({ start: { id: 'b1', hz: 499, seconds: 10, target: { kind: 'node' }, ...fields } })
  const sent = () =>
    bodies
      .flatMap(body => decodeRequest(body).samples)
      .map(s => [Number(s.resource['process.pid']), String(s.attributes['jobsight.burst'] ?? ''), s.value])
  return {
    control,
    told,
    order,
    say: frame => hear(frame),
    asked,
    stopped,
    windows,
    sent: sent as Node['sent'],
    stacks,
  }
}

/** The last of a burst of 10 s, where no other end is told. */
function windowOf(burst: string, pids: readonly number[], lost = 0, endMs = Date.now() + 10_000): StackWindow {
  const builder = new WindowBuilder()
  for (const pid of pids) for (const sample of drawn(`main\n${pid * 10}`, { pid })) builder.add(sample)
  builder.lose(lost)
  return builder.build({ startMs: endMs - 5000, endMs, burst })
}

const newsOf = (node: Node) => node.told.filter(frame => 'burst' in frame)

describe('an order', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('for a job samples the node, sends the stacks of the job alone, and tells how it goes', async () => {
    const node = await openNode()
    node.order({ target: { kind: 'job', ids: ['4711'] } })
    expect(node.asked).toMatchObject([{ burst: 'b1', hz: 499, durationMs: 10_000, target: 'node' }])
    node.windows.push(windowOf('b1', [1, 2, 3], 4), windowOf('', [3]))
    await vi.advanceTimersByTimeAsync(2000)
    expect(node.sent()).toEqual([
      [1, 'b1', 10],
      [2, 'b1', 20],
      [3, '', 30],
    ])
    expect(newsOf(node).at(-1)).toMatchObject({ state: 'running', samples: 2, lost: 4 })
    await vi.advanceTimersByTimeAsync(12_000)
    expect(newsOf(node).at(-1)).toEqual({ burst: 'b1', state: 'done', samples: 2, lost: 4 })
    // Bursts are not among the numbers of the continuous profile.
    node.stacks.source.read({ timeMs: 0, intervalMs: 1000, monotonicMs: 0 })
    node.windows.push(windowOf('b1', [1]))
    await vi.advanceTimersByTimeAsync(1000)
    expect(node.stacks.source.read({ timeMs: 0, intervalMs: 1000, monotonicMs: 1000 })[0]?.value).toBe(0)
  })

  it('is done when its last window is out, however late names come', async () => {
    const node = await openNode()
    node.order({})
    const endsMs = Date.now() + 10_000
    node.windows.push(windowOf('b1', [1], 0, endsMs - 5000))
    await vi.advanceTimersByTimeAsync(14_000)
    expect(newsOf(node).at(-1)).toMatchObject({ state: 'running', samples: 1 })
    node.windows.push(windowOf('b1', [1, 2], 0, endsMs - 3))
    await vi.advanceTimersByTimeAsync(4000)
    expect(newsOf(node).at(-1)).toMatchObject({ state: 'done', samples: 3 })
  })

  it('is done without a last window that never comes', async () => {
    const node = await openNode()
    node.order({})
    node.windows.push(windowOf('b1', [1], 0, Date.now() + 5000))
    await vi.advanceTimersByTimeAsync(25_000)
    expect(newsOf(node).at(-1)).toMatchObject({ state: 'done', samples: 1 })
  })

  it('for a rank leaves the other ranks out; for a job with a control group of its own asks the kernel for that', async () => {
    const node = await openNode()
    node.order({ target: { kind: 'job', ids: ['4711'], rank: 1 } })
    node.windows.push(windowOf('b1', [1, 2, 3]))
    await vi.advanceTimersByTimeAsync(1000)
    expect(node.sent()).toEqual([[2, 'b1', 20]])
    node.order({ id: 'b2', target: { kind: 'job', ids: ['5', 'grouped'] } })
    expect(node.asked.at(-1)?.target).toEqual({ cgroup: '/slurm/job_5' })
  })

  it('is stopped when the server says so', async () => {
    const node = await openNode()
    node.order({ target: { kind: 'process', pid: 7, startMs: 1000 } })
    expect(node.asked.at(-1)?.target).toEqual({ pid: 7 })
    node.say({ stop: 'b1' })
    expect(node.stopped).toEqual(['b1'])
    await vi.advanceTimersByTimeAsync(5000)
    expect(newsOf(node).at(-1)).toMatchObject({ state: 'stopped' })
  })

  it.each([
    [{ hz: 1500 }, /at most 1000 Hz \(collector.bursts.maxHz\)/],
    [{ target: { kind: 'process', pid: 100 } }, /process 100 is gone$/],
    [{ target: { kind: 'process', pid: 7, startMs: 90_000 } }, /process 7 is gone; another one/],
  ] as const)('is refused: %j', async (order, why) => {
    const node = await openNode()
    node.order(order)
    expect(node.asked).toEqual([])
    expect(newsOf(node)).toMatchObject([{ burst: 'b1', state: 'refused', reason: expect.stringMatching(why) }])
  })

  it('is refused while one looks at the same, and beyond what may run at once', async () => {
    const node = await openNode()
    node.order({})
    node.order({ id: 'b2' })
    node.order({ id: 'b3', target: { kind: 'process', pid: 7 } })
    node.order({ id: 'b4', target: { kind: 'process', pid: 8 } })
    const refused = newsOf(node).filter(news => news.state === 'refused')
    expect(refused.map(news => [news.burst, news.reason])).toEqual([
      ['b2', expect.stringContaining('burst b1 looks at the same')],
      ['b4', expect.stringContaining('collector.bursts.atOnce is 2')],
    ])
  })

  it('beyond the bounds of the contract, or none at all, is not understood, and nothing starts', async () => {
    const node = await openNode({ limits: { atOnce: 2, maxHz: 2000 } })
    node.order({ hz: 5000 })
    node.order({ seconds: 3600 })
    node.say({ run: 'rm' })
    node.say(undefined)
    expect(node.asked).toEqual([])
  })

  it('never comes to a node that takes none: it says so at once', async () => {
    const node = await openNode({ limits: { atOnce: 0, maxHz: 2000 } })
    expect(node.told).toEqual([{ hello: { node: 'n1', cluster: 'lab', absent: expect.stringMatching(/atOnce is 0/) } }])
  })
})

describe('the line', () => {
  it('comes back after the server was away, and tells what went on', async () => {
    const first = await openServer()
    const node = await openNode({ openWire: webSocketWire(first.url), random: () => 0 })
    await vi.waitFor(() => expect(first.control.nodes('lab')).toEqual(['n1']), 10_000)
    first.control.start('lab', 'n1', { id: 'b1', hz: 99, seconds: 300, target: { kind: 'node' } })
    await vi.waitFor(() => expect(node.asked).toHaveLength(1), 10_000)
    await first.close()
    await vi.waitFor(() => expect(node.control.status()).toHaveProperty('absent'), 10_000)
    const second = await openServer(first.port)
    const news = once(second.news, 'news')
    await vi.waitFor(() => expect(second.control.nodes('lab')).toEqual(['n1']), 20_000)
    expect((await news)[0]).toMatchObject({ burst: 'b1', state: 'running' })
    await second.close()
  }, 60_000)

  it('says why there is none, where the other side is no Jobsight', async () => {
    const app = fastify()
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    onTestFinished(() => app.close())
    const node = await openNode({ openWire: webSocketWire(url), random: () => 0 })
    await vi.waitFor(
      () => expect(node.control.status()).toHaveProperty('absent', expect.stringMatching(/v1\/control: .*404/)),
      10_000,
    )
  })
})

async function openServer(port = 0) {
  const { EventEmitter } = await import('node:events')
  const news = new EventEmitter()
  const control = openControl('lab', log)
  control.onNews((_cluster, _node, told) => void news.emit('news', told))
  const app = fastify({ forceCloseConnections: true })
  await app.register(webSocket)
  addControlDoor(app, control)
  const url = await app.listen({ port, host: '127.0.0.1' })
  return { url, port: Number(new URL(url).port), control, news, close: () => app.close() }
}
