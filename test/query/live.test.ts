import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { EntityPoint } from '../../ingest/latest.ts'
import { COLUMNS } from '../../ingest/metrics.ts'
import { ALERTS_DEFAULTS } from '../../query/alerts/config.ts'
import type { Alerts, LiveAsk, LivePoints } from '../../query/api.ts'
import { nodePoints } from './alerts/rows.ts'
import { HOUR, openPlace, type Place, SECOND, T0 } from './place.ts'

let place: Place
let url: string
const sockets: WebSocket[] = []

beforeAll(async () => {
  place = await openPlace({ alerts: { ...ALERTS_DEFAULTS, everyMs: 500, library: false } })
  url = (await place.app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
})
afterAll(() => {
  for (const socket of sockets) socket.terminate()
})

async function join(
  ask: LiveAsk | string,
): Promise<{ socket: WebSocket; frames: unknown[]; next(): Promise<unknown> }> {
  const socket = new WebSocket(`${url}/api/v1/live`)
  sockets.push(socket)
  const frames: unknown[] = []
  socket.on('message', text => frames.push(JSON.parse(String(text))))
  await once(socket, 'open')
  socket.send(typeof ask === 'string' ? ask : JSON.stringify(ask))
  const next = async () => {
    while (frames.length === 0) await once(socket, 'message')
    return frames.shift()
  }
  // A frame of its own cluster says that the question before it was heard.
  return { socket, frames, next }
}

const point = (node: string, values: Record<string, number>, more: Partial<EntityPoint> = {}): EntityPoint => ({
  entity: 'node',
  cluster: 'alpha',
  node,
  instance: '',
  timeMs: T0,
  intervalMs: 10_000,
  values: Float64Array.from(COLUMNS.node, m => values[m.column] ?? Number.NaN),
  ...more,
})

/** The server hears a socket some time after it was sent to. */
async function heard(tell: () => void, got: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !got(); i++) {
    tell()
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  expect(got()).toBe(true)
}

describe('live', () => {
  it('sends what was asked of what was written, a frame a tick', async () => {
    const reader = await join({ cluster: 'alpha', nodes: ['n1', 'n2'], metrics: ['cpu_busy', 'memory_used'] })
    await heard(
      () => place.written([point('n1', { cpu_busy: 0 })]),
      () => reader.frames.length > 0,
    )
    reader.frames.length = 0
    place.written([
      point('n1', { cpu_busy: 0.5, memory_used: 10 }),
      point('n2', { cpu_busy: 0.25 }),
      point('n3', { cpu_busy: 1 }),
      point('n1', { cpu_busy: 1 }, { cluster: 'beta' }),
      point('n1', { cpu_busy: 0.75 }, { timeMs: T0 + 10_000 }),
      { ...point('n1', {}), entity: 'disk', instance: 'vda', values: new Float64Array(COLUMNS.disk.length) },
    ])
    const frames = [await reader.next(), await reader.next()] as LivePoints[]
    expect(frames).toEqual([
      {
        cluster: 'alpha',
        time: T0,
        nodes: ['n1', 'n2'],
        values: [
          [0.5, 0.25],
          [10, null],
        ],
        dropped: 0,
      },
      { cluster: 'alpha', time: T0 + 10_000, nodes: ['n1'], values: [[0.75], [null]], dropped: 0 },
    ])
    // Another question on the same socket takes the place of the first.
    reader.socket.send(JSON.stringify({ cluster: 'beta', metrics: ['cpu_busy'] }))
    await heard(
      () => place.written([point('x', { cpu_busy: 1 }, { cluster: 'beta' })]),
      () => reader.frames.some(frame => JSON.stringify(frame).includes('beta')),
    )
  })

  it('says what is wrong with a question', async () => {
    expect(await (await join('{')).next()).toMatchObject({
      error: { code: 'bad_request', message: expect.stringContaining('not JSON') },
    })
    expect(await (await join('{"cluster":5}')).next()).toMatchObject({
      error: { message: expect.stringContaining('send {cluster') },
    })
    expect(await (await join({ cluster: 'alpha', metrics: ['cpu_bussy'] })).next()).toMatchObject({
      error: { message: 'metric cpu_bussy is not a column of entity node; see /api/v1/catalogue' },
    })
  })

  it('drops frames of a reader that does not read, and tells how many', async () => {
    const reader = await join({ cluster: 'alpha', metrics: ['cpu_busy'] })
    await heard(
      () => place.written([point('n1', { cpu_busy: 0 })]),
      () => reader.frames.length > 0,
    )
    reader.socket.pause()
    const wide = Array.from({ length: 20_000 }, (_, i) => point(`node${i}-${'x'.repeat(200)}`, { cpu_busy: 1 }))
    for (let i = 0; i < 40; i++) {
      place.written(wide)
      await new Promise(resolve => setImmediate(resolve))
    }
    reader.socket.resume()
    await heard(
      () => place.written([point('n1', { cpu_busy: 0.125 })]),
      () => reader.frames.some(frame => (frame as LivePoints).dropped > 0),
    )
    expect(reader.frames.length).toBeLessThan(60)
  })

  it('tells how many alerts fire: at once, and when one begins, is silenced, or the silence is over', async () => {
    await place.write(
      'node_points',
      nodePoints('n1', 0, 60, () => ({ cpu_busy: 0.9 })),
    )
    await place.restore()
    const reader = await join({ cluster: 'alpha', nodes: [], metrics: [], alerts: true })
    expect(await reader.next()).toEqual({ alerts: { cluster: 'alpha', firing: 0, critical: 0 } })
    const post = async (method: 'POST' | 'PUT', path: string, payload: object) => {
      const answer = await place.app.inject({ method, url: `/api/v1/alerts${path}`, payload })
      expect(answer.statusCode, answer.body).toBe(200)
    }
    const rule = { name: 'hot', scope: 'node', metric: 'cpu_busy', above: 0.5, severity: 'critical' }
    await post('PUT', '/rules/hot', { rule })
    place.clock.now += SECOND
    expect(await reader.next()).toEqual({ alerts: { cluster: 'alpha', firing: 1, critical: 1 } })
    const [alert] = (await place.ask<Alerts>('/alerts', { cluster: 'alpha' })).alerts
    await post('POST', `/${alert?.id}/ack`, { author: 'ann' })
    expect(await reader.next()).toMatchObject({ alerts: { firing: 1 } })
    const until = place.clock.now + HOUR / 60
    await post('POST', '/silences', { match: { node: 'n1' }, until, comment: 'known', author: 'ann' })
    expect(await reader.next()).toMatchObject({ alerts: { firing: 0 } })
    place.clock.now = until + SECOND
    expect(await reader.next()).toMatchObject({ alerts: { firing: 1 } })
    expect(reader.frames).toEqual([])
  })
})
