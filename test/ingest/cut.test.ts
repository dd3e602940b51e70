import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { httpSend, openOutbox } from '../../collector/outbox.ts'
import { openIngest } from '../../ingest/index.ts'
import { metricsProtobuf } from './otlp.ts'
import { freshPath, freshStore, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 3_600_000
const SENDERS = 4
const BATCHES = 12

/** The network between them: every third answer is lost with its connection, every fifth request is cut on its way. */
function openCutter(port: number): Promise<Server> {
  let answers = 0
  let requests = 0
  const server = createServer(client => {
    const upstream = connect(port, '127.0.0.1')
    const cut = (): void => {
      client.destroy()
      upstream.destroy()
    }
    client.on('error', cut).on('close', cut)
    upstream.on('error', cut).on('close', cut)
    client.on('data', part => {
      if (++requests % 5 > 0) return void upstream.write(part)
      upstream.write(part.subarray(0, part.length >> 1))
      cut()
    })
    upstream.on('data', part => (++answers % 3 > 0 ? client.write(part) : cut()))
  })
  return new Promise(done => server.listen(0, '127.0.0.1', () => done(server)))
}

const tick = (node: string, i: number): Uint8Array =>
  metricsProtobuf([
    {
      attributes: { 'host.name': node },
      metrics: [
        {
          name: 'system.memory.usage',
          gauge: [{ timeMs: T + i * 10_000, asInt: 1 + i, attributes: { 'system.memory.state': 'used' } }],
        },
      ],
    },
  ])

describe('a network that is cut all the time', () => {
  it('costs no batch, and none counts twice', async () => {
    const store = await freshStore()
    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 50 } })
    const app = Fastify()
    await app.register(ingest.plugin)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const cutter = await openCutter((app.server.address() as AddressInfo).port)
    onTestFinished(async () => {
      cutter.close()
      await app.close()
      await ingest.close()
    })
    const send = httpSend(`http://127.0.0.1:${(cutter.address() as AddressInfo).port}`, quiet)
    const options = { path: freshPath(), maxBytes: 1 << 20, memoryBytes: 1 << 20 }
    const outboxes = Array.from({ length: SENDERS }, (_, i) =>
      openOutbox({ ...options, path: `${options.path}/${i}` }, { send, log: quiet }),
    )
    onTestFinished(async () => void (await Promise.all(outboxes.map(o => o.close(0)))))
    outboxes.forEach((outbox, node) => {
      for (let i = 0; i < BATCHES; i++) outbox.put('metrics', tick(`n${node}`, i))
    })
    const waiting = () => outboxes.reduce((sum, o) => sum + o.counters().waiting, 0)
    await expect.poll(waiting, { timeout: 120_000, interval: 200 }).toBe(0)
    await ingest.flush()
    const [found] = await rows(
      store,
      'SELECT count() AS n, sum(memory_used) AS bytes, uniqExact(node) AS nodes FROM node_points',
    )
    const bytes = (SENDERS * BATCHES * (BATCHES + 1)) / 2
    expect(found).toEqual({ n: String(SENDERS * BATCHES), bytes: String(bytes), nodes: String(SENDERS) })
    const sent = outboxes.map(o => o.counters())
    expect(sent.map(c => [c.sent, c.dropped, c.refused])).toEqual(Array(SENDERS).fill([BATCHES, 0, 0]))
    expect(ingest.counters().duplicateBatches).toBeGreaterThan(3)
  }, 180_000)
})
