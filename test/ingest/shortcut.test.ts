import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Senders } from '../../ingest/senders.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { freshIngest, openOneSender, quiet, receiver, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000
const loadOf = (node: string, n: number, attributes: Record<string, string>): Uint8Array =>
  metricsProtobuf([
    {
      attributes: { 'host.name': node, ...attributes },
      metrics: [{ name: 'system.cpu.load_average.1m', gauge: [{ timeMs: T + n * 1000, asDouble: n }] }],
    },
  ])

type Headers = Record<string, string>
const PLAIN: Headers = { 'content-type': 'application/x-protobuf' }

/** Opening one takes seconds: each test has a node of its own in it. */
let store: Store
const path = mkdtempSync(join(tmpdir(), 'jobsight-shortcut-'))
beforeAll(async () => {
  store = await openStore({ path }, { log: quiet })
})
afterAll(async () => {
  await store.close()
  rmSync(path, { recursive: true, force: true })
})
let nodes = 0

type Road = 'node:http' | 'addon'

/** A server, and a client that has one connection to it. `short()`: how many requests went past Fastify. */
async function open(by: Road, senders?: Senders) {
  const node = `n${++nodes}`
  const { ingest } = await freshIngest({
    store,
    config: { maxBodyBytes: 2000 },
    receiver: by === 'addon' ? receiver : undefined,
    ...(senders === undefined ? {} : { senders }),
  })
  const app = Fastify()
  const seen: string[] = []
  app.addHook('onRequest', async request => {
    seen.push(request.url)
  })
  await app.register(ingest.plugin)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(async () => {
    agent.destroy()
    await app.close()
  })
  const post = (body: Uint8Array, headers: Headers = PLAIN, path = '/v1/metrics') =>
    new Promise<{ status: number; type: string | undefined; text: string }>((done, fail) => {
      const all = { ...headers, 'content-length': body.length }
      const request = http.request({ port, path, method: 'POST', agent, headers: all }, answer => {
        const parts: Buffer[] = []
        answer.on('data', part => parts.push(part))
        answer.on('end', () =>
          done({
            status: answer.statusCode ?? 0,
            type: answer.headers['content-type'],
            text: Buffer.concat(parts).toString(),
          }),
        )
      })
      request.on('error', fail)
      request.end(body)
    })
  const load = (n: number, attributes: Record<string, string> = {}) => loadOf(node, n, attributes)
  const points = () =>
    rows(
      store,
      `SELECT toInt32(toUnixTimestamp(time) - ${T / 1000}) AS n FROM node_points WHERE node = '${node}' ORDER BY n`,
    )
  return { app, post, port, seen, load, points, short: () => ingest.counters().shortRequests }
}

const roads: Road[] = receiver === undefined ? ['node:http'] : ['node:http', 'addon']

describe.each(roads)('the second request of a connection, read by %s,', by => {
  it('goes past Fastify when its head is that of one that was taken, and lands alike', async () => {
    const { post, seen, short, load, points } = await open(by)
    for (let n = 1; n <= 4; n++) {
      expect(await post(load(n), { ...PLAIN, 'idempotency-key': `sender-one-${n}` })).toEqual({
        status: 200,
        type: 'application/x-protobuf',
        text: '',
      })
    }
    expect([seen.length, short()]).toEqual([1, 3])
    // The batch is known, by whichever way it comes.
    await post(load(4), { ...PLAIN, 'idempotency-key': 'sender-one-4' })
    expect(short()).toBe(4)
    expect(await points()).toHaveLength(4)
  })

  it('goes through Fastify with another head, path or method, or when the last was refused', async () => {
    const { post, seen, short, load } = await open(by)
    await post(load(1))
    await post(load(2), { ...PLAIN, 'x-more': '1' })
    await post(load(3), { ...PLAIN, 'x-more': '2' })
    await post(load(4), { ...PLAIN, 'x-more': '2', prefer: 'wait' })
    await post(load(5), { ...PLAIN, 'x-more': '2', prefer: 'wait' })
    expect((await post(load(6), PLAIN, '/v1/metrics?x=1')).status).toBe(200)
    expect((await post(load(7), { 'content-type': 'text/plain' })).status).toBe(415)
    expect((await post(load(7), { 'content-type': 'text/plain' })).status).toBe(415)
    expect([seen.length, short()]).toEqual([8, 0])
  })

  it('is told what Fastify would say: what is broken, what is too large, what is refused in part', async () => {
    const { post, app, short, load } = await open(by)
    const bodies = [Buffer.from('not protobuf'), Buffer.alloc(3000), load(-90_000_000)]
    for (const body of bodies) {
      await post(load(1))
      const taken = await post(body)
      const told = await app.inject({ method: 'POST', url: '/v1/metrics', payload: Buffer.from(body), headers: PLAIN })
      expect([taken.status, taken.type]).toEqual([told.statusCode, told.headers['content-type']])
      if (taken.status !== 413) expect(taken.text).toEqual(told.payload)
      else expect(taken.text).toContain('the body is larger than 2000 bytes')
    }
    expect(short()).toBeGreaterThanOrEqual(2)
  })

  it('is asked who sends each time: a token that was taken back ends it, and a cluster that is not its own', async () => {
    const senders = openOneSender()
    const { post, short, load } = await open(by, senders)
    await post(load(1))
    expect([(await post(load(2))).status, short()]).toEqual([200, 1])
    expect(await post(load(3, { 'jobsight.cluster': 'other' }))).toMatchObject({
      status: 403,
      text: expect.stringContaining('speaks for cluster c1'),
    })
    expect(short()).toBe(2)
    senders.isKnown = false
    expect(await post(load(4))).toMatchObject({ status: 401, text: expect.stringContaining('any longer') })
    expect(short()).toBe(2)
  })

  it('that breaks in the middle of its body leaves nothing, and the server goes on', async () => {
    const { post, port, short, load, points } = await open(by)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const start = (length: number, body: Uint8Array) => {
      const headers = { ...PLAIN, 'content-length': length }
      return http.request({ port, path: '/v1/metrics', method: 'POST', agent, headers }).end(body)
    }
    const body = load(1)
    await new Promise(done => start(body.length, body).on('response', answer => answer.resume().on('end', done)))
    const broken = http.request({
      ...{ port, path: '/v1/metrics', method: 'POST', agent },
      headers: { ...PLAIN, 'content-length': 500 },
    })
    broken.on('error', () => {})
    await new Promise(done => broken.write(load(2), done))
    broken.destroy()
    expect((await post(load(3))).status).toBe(200)
    expect(short()).toBe(0)
    expect(await points()).toEqual([{ n: 1 }, { n: 3 }])
    agent.destroy()
  })
})
