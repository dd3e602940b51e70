import Fastify from 'fastify'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { httpSend } from '../../collector/outbox.ts'
import { Clocks } from '../../ingest/clocks.ts'
import { openRandom } from './mutate.ts'
import { metricsProtobuf } from './otlp.ts'
import { freshIngest, quiet, rows } from './place.ts'

const SECOND = 1000
const HOUR = 3_600_000

describe('the clock of a sender', () => {
  const said: string[] = []
  const log = pino({ level: 'warn' }, { write: line => void said.push(JSON.parse(line).msg) })
  const clocks = new Clocks(log)
  const now = 10 * HOUR
  const look = (from: string, offsetMs: number, atMs = now) => {
    said.length = 0
    clocks.look(from, String(atMs + offsetMs), atMs)
    return said[0] ?? ''
  }

  it('that is off is said once an hour, with what to do', () => {
    expect(look('10.0.0.7', 42 * SECOND)).toBe(
      "ingest: the clock of the collector at 10.0.0.7 is 42 s ahead of this machine's: its values are drawn at the wrong time; run `chronyc tracking` there and here",
    )
    expect(look('10.0.0.7', 42 * SECOND)).toBe('')
    expect(look('10.0.0.8', -90 * SECOND)).toContain("10.0.0.8 is 90 s behind this machine's")
    expect(look('10.0.0.7', 42 * SECOND, now + HOUR)).toContain('42 s ahead')
    expect(clocks.counters.skewedRequests).toBe(4)
  })

  it('that is right is not, nor what was on its way for some seconds, nor one that tells none', () => {
    for (const offsetMs of [0, 1500, -9000]) expect(look('10.0.0.9', offsetMs)).toBe('')
    clocks.look('10.0.0.9', undefined, now)
    clocks.look('10.0.0.9', 'soon', now)
    expect(clocks.counters.skewedRequests).toBe(4)
  })

  it('comes with each request of our collectors', async () => {
    const ahead = await freshIngest({ now: () => Date.now() - 60 * SECOND })
    const app = Fastify()
    await app.register(ahead.ingest.plugin)
    onTestFinished(() => app.close())
    const send = httpSend(await app.listen({ port: 0, host: '127.0.0.1' }), quiet)
    const body = new TextEncoder().encode('{"jobs":[]}')
    expect(await send('jobs', body)).toMatchObject({ ok: true })
    // Metrics that take the shortcut too, from the second on.
    for (let i = 0; i < 3; i++) expect(await send('metrics', new Uint8Array())).toMatchObject({ ok: true })
    expect(ahead.ingest.counters()).toMatchObject({ skewedRequests: 4, shortRequests: 2 })
  })
})

/** All values different, so that a sum tells which were stored. */
const NODES = 4
const TICKS = 90

it('jumps of clocks, any order and all of it twice: what was sent is stored once or counted as refused', async () => {
  const realMs = Math.floor(Date.now() / 10_000) * 10_000
  let serverMs = realMs
  const { ingest, store } = await freshIngest({ now: () => serverMs, config: { flushMs: 50 } })
  const random = openRandom(7)
  const sent = Array.from({ length: NODES * TICKS }, (_, i) => {
    const [node, tick] = [i % NODES, Math.floor(i / NODES)]
    // The last node's clock is two hours ahead for its last third.
    const jumpMs = node === NODES - 1 && tick >= (TICKS * 2) / 3 ? 2 * HOUR : 0
    const timeMs = realMs - (TICKS - tick) * 10_000 + jumpMs
    const gauge = [{ timeMs, asInt: i + 1, attributes: { 'system.memory.state': 'used' } }]
    const body = metricsProtobuf([
      { attributes: { 'host.name': `n${node}` }, metrics: [{ name: 'system.memory.usage', gauge }] },
    ])
    return { i, body, timeMs }
  })
  const shuffled = sent.map(batch => ({ batch, at: random(1e9) })).sort((a, b) => a.at - b.at)
  let refused = 0
  const stored = new Set<number>()
  for (const [n, { batch }] of shuffled.entries()) {
    // Of this machine: a while an hour ahead, then an hour behind, then right.
    serverMs = realMs + (n % 90 < 30 ? HOUR : n % 90 < 60 ? -HOUR : 0)
    for (const again of [false, true]) {
      const receipt = await ingest.receive('metrics', batch.body, undefined, `sender-n${batch.i % NODES}-${batch.i}`)
      expect(receipt.status).toBe(200)
      if (receipt.rejected === 0 && !again) stored.add(batch.i)
      else if (receipt.rejected > 0) refused++
    }
  }
  serverMs = realMs
  await ingest.flush()
  const values = [...stored].map(i => i + 1)
  expect(await rows(store, 'SELECT count() AS n, sum(memory_used) AS bytes FROM node_points')).toEqual([
    { n: String(values.length), bytes: String(values.reduce((a, b) => a + b, 0)) },
  ])
  expect(stored.size + refused).toBe(sent.length)
  expect(refused).toBeGreaterThan(0)
  // A batch is known by its name when it comes again, also one whose point was refused: it is counted once.
  expect(ingest.counters()).toMatchObject({
    duplicateBatches: sent.length,
    rejectedPoints: refused,
    failedRows: 0,
  })
})
