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

/** Real time by hand: OUTAGE_SECONDS=600 npx vitest run test/ingest/cut.test.ts */
const OUTAGE_SECONDS = Number(process.env.OUTAGE_SECONDS ?? 0)

/** A network that is down takes no connection, and drops those it has. */
interface Network {
  down: boolean
  refused: number
}

/** The network between them: every third answer is lost with its connection, every fifth request is cut on its way. */
function openCutter(port: number, network?: Network): Promise<Server> {
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
    if (network?.down) {
      network.refused++
      return void cut()
    }
    client.on('data', part => {
      if (network?.down) return void cut()
      if (network !== undefined || ++requests % 5 > 0) return void upstream.write(part)
      upstream.write(part.subarray(0, part.length >> 1))
      cut()
    })
    upstream.on('data', part => (network !== undefined || ++answers % 3 > 0 ? client.write(part) : cut()))
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

/** Ingest behind a network, and collectors' outboxes before it. */
async function openSenders(network?: Network) {
  const store = await freshStore()
  const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 50 } })
  const app = Fastify()
  await app.register(ingest.plugin)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const cutter = await openCutter((app.server.address() as AddressInfo).port, network)
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
  const put = (i: number): void => {
    for (const [node, outbox] of outboxes.entries()) outbox.put('metrics', tick(`n${node}`, i))
  }
  const waiting = () => outboxes.reduce((sum, o) => sum + o.counters().waiting, 0)
  /** All that was put is in the database once. */
  const settle = async (batches: number): Promise<void> => {
    await expect.poll(waiting, { timeout: 150_000, interval: 200 }).toBe(0)
    await ingest.flush()
    const [found] = await rows(
      store,
      'SELECT count() AS n, sum(memory_used) AS bytes, uniqExact(node) AS nodes FROM node_points',
    )
    const bytes = (SENDERS * batches * (batches + 1)) / 2
    expect(found).toEqual({ n: String(SENDERS * batches), bytes: String(bytes), nodes: String(SENDERS) })
    const sent = outboxes.map(o => o.counters())
    expect(sent.map(c => [c.sent, c.dropped, c.refused])).toEqual(Array(SENDERS).fill([batches, 0, 0]))
  }
  return { ingest, put, settle, waiting }
}

describe('a network that is cut all the time', () => {
  it('costs no batch, and none counts twice', async () => {
    const { ingest, put, settle } = await openSenders()
    for (let i = 0; i < BATCHES; i++) put(i)
    await settle(BATCHES)
    expect(ingest.counters().duplicateBatches).toBeGreaterThan(3)
  }, 180_000)
})

describe('a network that is down for a while', () => {
  it(
    'costs no batch either, though every collector tried and failed meanwhile',
    async () => {
      const network: Network = { down: false, refused: 0 }
      const { put, settle, waiting } = await openSenders(network)
      let ticks = 0
      put(ticks++)
      await expect.poll(waiting, { timeout: 60_000 }).toBe(0)
      network.down = true
      const untilMs = Date.now() + OUTAGE_SECONDS * 1000
      const failed = 2 * SENDERS
      while (Date.now() < untilMs || ticks < BATCHES || network.refused < failed) {
        if (ticks < BATCHES || Date.now() < untilMs) put(ticks++)
        await new Promise(done => setTimeout(done, OUTAGE_SECONDS > 0 ? 1000 : 50))
      }
      expect(waiting()).toBe(SENDERS * (ticks - 1))
      network.down = false
      await settle(ticks)
    },
    180_000 + OUTAGE_SECONDS * 1000,
  )
})
