import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLatch } from '../../ingest/latch.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { missingReceiver, openOneSender, quiet } from './place.ts'
import { connect, type Options, openServer, request, T } from './receiving.ts'

const FUTURE = 90_000
const PATIENT = { timeout: 20_000 }

/** Opening one takes seconds: each test has a node of its own in it. */
let store: Store
const path = mkdtempSync(join(tmpdir(), 'jobsight-receiver-'))
beforeAll(async () => {
  store = await openStore({ path }, { log: quiet })
})
afterAll(async () => {
  await store.close()
  rmSync(path, { recursive: true, force: true })
})
const open = (by: 'node:http' | 'addon', options?: Options) => openServer(store, by, options)

const PROFILE = profilesProtobuf(
  [
    {
      resource: { 'host.name': 'r', 'process.pid': 1, 'process.creation.time': new Date(T - 1e6).toISOString() },
      sampleType: ['cpu', 'nanoseconds'],
      timeMs: T,
      durationMs: 10_000,
      samples: [{ stack: 'main;f', values: [1e6], attributes: {} }],
    },
  ],
  '1.10',
)

/** Sends them one after the other on one connection. */
async function converse(port: number, steps: readonly (Buffer | string)[]): Promise<string[]> {
  const client = connect(port)
  const answers: string[] = []
  for (const step of steps) {
    client.write(step)
    answers.push(await client.answer())
  }
  client.socket.destroy()
  return answers
}

if (missingReceiver) it(`the receiver: ${missingReceiver}`, context => context.skip(missingReceiver))

describe.skipIf(missingReceiver)('the receiver', () => {
  it('answers byte for byte as node:http does, whatever comes on the connection', async () => {
    const gzip = { 'content-encoding': 'gzip' }
    const steps = (load: (n: number) => Buffer): (Buffer | string)[] => [
      request({ body: load(1) }),
      request({ body: load(2), headers: {} }),
      request({ body: gzipSync(load(3)), headers: gzip }),
      request({ body: gzipSync(load(4)), headers: gzip }),
      request({ body: Buffer.from('no gzip'), headers: gzip }),
      request({ body: load(5) }),
      request({ url: '/v1development/profiles', body: PROFILE }),
      request({ url: '/v1development/profiles', body: PROFILE }),
      request({ body: Buffer.from('no protobuf') }),
      request({ body: Buffer.alloc(0) }),
      request({ body: load(FUTURE) }),
      'GET /hello HTTP/1.1\r\nhost: a:1\r\n\r\n',
      request({ body: load(6) }),
      request({ body: load(7) }),
      request({ body: load(8), headers: { prefer: 'wait' } }),
      request({ body: load(9) }),
      request({ body: load(10), headers: { 'content-type': 'text/plain' } }),
      request({ body: load(10) }),
      request({ body: Buffer.alloc(3000) }),
    ]
    const theirs = await open('node:http')
    const ours = await open('addon')
    const expected = await converse(theirs.port, steps(theirs.load))
    expect(await converse(ours.port, steps(ours.load))).toEqual(expected)
    expect(expected.map(answer => Number(answer.slice(9, 12)))).toEqual([
      ...[200, 200, 200, 200, 400, 200, 200, 200, 400, 200, 200, 200, 200, 200, 200, 200, 415, 200, 413],
    ])
    expect(await ours.points()).toEqual(await theirs.points())
    expect(ours.byAddon()).toBeGreaterThanOrEqual(8)
  })

  it('reads what comes byte by byte, and knows a batch that comes again', async () => {
    const { port, load, points, byAddon } = await open('addon')
    const client = connect(port)
    const one = (n: number) =>
      request({ body: load(n), headers: { 'idempotency-key': `sender-one-${n}`, 'jobsight-sent-ms': `${Date.now()}` } })
    client.write(one(1))
    expect(await client.answer()).toContain('200 OK')
    for (const n of [2, 2, 3]) {
      for (const byte of one(n)) {
        client.write(Buffer.from([byte]))
        await new Promise(setImmediate)
      }
      expect(await client.answer()).toContain('200 OK')
    }
    expect(await points()).toEqual([1, 2, 3])
    expect(byAddon()).toBe(3)
  })

  it('gives back what is two requests at once, and what is cut off', async () => {
    const { port, load, points, byAddon, given } = await open('addon')
    const client = connect(port)
    client.write(request({ body: load(1) }))
    await client.answer()
    client.write(Buffer.concat([request({ body: load(2) }), request({ body: load(3) })]))
    expect([await client.answer(), await client.answer()]).toEqual(Array(2).fill(expect.stringContaining('200 OK')))
    const cut = connect(port)
    cut.write(request({ body: load(4) }))
    await cut.answer()
    cut.socket.end(request({ body: load(5) }).subarray(0, -3))
    expect(await cut.answer()).toContain('400 Bad Request')
    await cut.ended
    const last = connect(port)
    last.write(request({ body: load(6) }))
    await last.answer()
    // Answered, though nothing comes after it.
    last.socket.end(request({ body: load(7) }))
    expect(await last.answer()).toContain('200 OK')
    await last.ended
    expect(await points()).toEqual([1, 2, 3, 4, 6, 7])
    expect([byAddon(), given()]).toEqual([1, 2])
  })

  it('leaves a connection that came with two requests at once to node:http', async () => {
    const { port, load, points, byAddon } = await open('addon')
    const client = connect(port)
    const second = request({ body: load(2) })
    client.write(Buffer.concat([request({ body: load(1) }), second.subarray(0, 20)]))
    await client.answer()
    client.write(second.subarray(20))
    await client.answer()
    client.write(request({ body: load(3) }))
    await client.answer()
    expect(await points()).toEqual([1, 2, 3])
    expect(byAddon()).toBe(0)
  })

  it('leaves a connection whose head changes again and again to node:http', async () => {
    const { port, load, points, byAddon } = await open('addon')
    const client = connect(port)
    for (let n = 0; n < 12; n++) {
      for (const again of [0, 1]) {
        client.write(request({ body: load(2 * n + again), headers: { 'x-more': `${n}` } }))
        expect(await client.answer()).toContain('200 OK')
      }
    }
    expect(await points()).toHaveLength(24)
    expect(byAddon()).toBe(8)
  })

  it('asks who sends each time', async () => {
    const senders = openOneSender()
    const { port, load, points, byAddon } = await open('addon', { senders })
    const client = connect(port)
    for (const n of [1, 2]) {
      client.write(request({ body: load(n) }))
      expect(await client.answer()).toContain('200 OK')
    }
    const other = metricsProtobuf([
      {
        attributes: { 'host.name': 'x', 'jobsight.cluster': 'other' },
        metrics: [{ name: 'system.cpu.load_average.1m', gauge: [{ timeMs: T, asDouble: 1 }] }],
      },
    ])
    client.write(request({ body: other }))
    expect(await client.answer()).toMatch(/403 Forbidden[\s\S]*speaks for cluster c1/)
    senders.isKnown = false
    client.write(request({ body: load(3) }))
    expect(await client.answer()).toMatch(/401 Unauthorized[\s\S]*any longer/)
    senders.isKnown = true
    client.write(request({ body: load(4) }))
    expect(await client.answer()).toContain('200 OK')
    expect(byAddon()).toBe(3)
    expect(await points()).toEqual([1, 2, 4])
  })

  it('says 429 and 503 as node:http does, and goes on', async () => {
    const said: string[][] = []
    for (const by of ['node:http', 'addon'] as const) {
      let isFull = false
      let held: Promise<void> | undefined
      const insert: Store['insert'] = async (...block) => {
        await held
        if (isFull) throw new Error('no room')
        return store.insert(...block)
      }
      const { port, ingest, load, byAddon } = await open(by, { insert, config: { maxQueuedBytes: 1 } })
      const client = connect(port)
      const answers: string[] = []
      const ask = async (n: number) => {
        client.write(request({ body: load(n) }))
        answers.push(await client.answer())
      }
      await ask(1)
      isFull = true
      await ask(2)
      isFull = false
      const latch = openLatch()
      held = latch.done
      const slow = connect(port)
      slow.write(request({ body: load(3) }))
      await expect.poll(() => ingest.counters().queuedBytes, PATIENT).toBeGreaterThan(1)
      await ask(4)
      latch.resolve()
      expect(await slow.answer()).toContain('200 OK')
      await ask(5)
      expect(answers.map(answer => Number(answer.slice(9, 12)))).toEqual([200, 503, 429, 200])
      if (by === 'addon') expect(byAddon()).toBe(3)
      said.push(answers)
    }
    expect(said[1]).toEqual(said[0])
  })

  it('takes the requests of 1000 connections that come at once', async () => {
    const { port, load, points, byAddon } = await open('addon', { config: { flushMs: 50 } })
    const clients = Array.from({ length: 1000 }, () => connect(port))
    for (const from of [0, 1000]) {
      for (const [i, client] of clients.entries()) client.write(request({ body: load(from + i - 30_000) }))
      for (const client of clients) expect(await client.answer()).toContain('200 OK')
    }
    expect(byAddon()).toBe(1000)
    await expect.poll(async () => (await points()).length, PATIENT).toBe(2000)
  })

  it('takes turns where bodies are large', async () => {
    const { port, load, byAddon } = await open('addon', { config: { maxBodyBytes: 4 << 20 } })
    const clients = Array.from({ length: 6 }, () => connect(port))
    for (const client of clients) {
      client.write(request({ body: load(1) }))
      await client.answer()
    }
    const large = request({ body: Buffer.alloc(3 << 20, 'no protobuf') })
    for (const client of clients) client.write(large)
    for (const client of clients) expect(await client.answer()).toContain('400 Bad Request')
    for (const client of clients) client.write(request({ body: load(2) }))
    for (const client of clients) expect(await client.answer()).toContain('200 OK')
    expect(byAddon()).toBe(12)
  })

  it('ends connections that nothing comes from, and leaves half requests to node:http', async () => {
    const { port, load, given } = await open('addon', { keepAliveTimeout: 400 })
    const idle = connect(port)
    idle.write(request({ body: load(1) }))
    await idle.answer()
    await idle.ended
    const whole = request({ body: load(2) })
    // On a slow machine it may end before its half request is there.
    for (let half = connect(port); ; half = connect(port)) {
      half.write(request({ body: load(1) }))
      await half.answer()
      half.write(whole.subarray(0, 100))
      while (given() === 0 && !half.socket.readableEnded && !half.socket.destroyed)
        await new Promise(done => setTimeout(done, 20))
      if (given() === 0) continue
      half.write(whole.subarray(100))
      expect(await half.answer()).toContain('200 OK')
      break
    }
  })

  it('is closed with the server: what is under way is answered, what is idle ends', async () => {
    let held: Promise<void> | undefined
    const insert: Store['insert'] = async (...block) => {
      await held
      return store.insert(...block)
    }
    const { app, port, load, points, byAddon } = await open('addon', { insert })
    const [idle, busy] = [connect(port), connect(port)]
    for (const client of [idle, busy]) {
      client.write(request({ body: load(1) }))
      await client.answer()
    }
    const latch = openLatch()
    held = latch.done
    busy.write(request({ body: load(2) }))
    await expect.poll(byAddon, PATIENT).toBe(1)
    const closed = app.close()
    await idle.ended
    latch.resolve()
    expect(await busy.answer()).toMatch(/200 OK[\s\S]*Connection: close/)
    await busy.ended
    await closed
    expect(await points()).toEqual([1, 1, 2])
  })
})
