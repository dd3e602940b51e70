/** MUTATIONS=1000000 npx vitest run test/ingest/mutations: as many as that, and then memory must stay flat, too. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Client, credentials, status } from '@grpc/grpc-js'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openGrpc } from '../../ingest/grpc.ts'
import { type DoorBody, doorBodies } from './doorbodies.ts'
import { mutate, openRandom } from './mutate.ts'
import { freshIngest, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000
const ROUNDS = Number(process.env.MUTATIONS ?? 8_000)
const AT_ONCE = 250
const MANY = ROUNDS >= 100_000

/** Without what V8 has not collected yet: how much it lets lie depends on how much there is, and so hides what grows. */
function readResident(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc()')
  return process.memoryUsage().rss
}

const mean = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0) / all.length

/** As over HTTP: what was the sender's error is 400. */
const HTTP: Readonly<Partial<Record<status, number>>> = {
  [status.OK]: 200,
  [status.INVALID_ARGUMENT]: 400,
  [status.RESOURCE_EXHAUSTED]: 429,
}

describe(`${ROUNDS} random mutations of valid bodies of all doors`, () => {
  it(
    'give only 2xx and 4xx, and the process goes on',
    async () => {
      const limits = {
        maxInflatedBytes: 1 << 20,
        maxQueuedBytes: 64 << 20,
        maxSeries: 20_000,
        maxStacks: 20_000,
        maxPlaces: 20_000,
      }
      const { ingest, store } = await freshIngest({ config: { flushMs: MANY ? 500 : 50, ...limits } })
      const app = Fastify()
      await app.register(ingest.plugin)
      onTestFinished(() => app.close())
      const grpc = await openGrpc(ingest, { listen: '127.0.0.1:0', maxInflatedBytes: 1 << 20 }, quiet)
      const client = new Client(`127.0.0.1:${grpc.port}`, credentials.createInsecure())
      onTestFinished(async () => {
        client.close()
        await grpc.close()
      })
      const call = (url: string, bytes: Uint8Array): Promise<number> =>
        new Promise(done => {
          const asIs = (given: Buffer): Buffer => given
          client.makeUnaryRequest(url, asIs, asIs, Buffer.from(bytes), error =>
            done(HTTP[error?.code ?? status.OK] ?? 1000 + (error?.code ?? 0)),
          )
        })
      const send = async ({ url, headers, bytes, grpc: byGrpc }: DoorBody): Promise<number> => {
        if (byGrpc) return call(url, bytes)
        const answer = await app.inject({ method: 'POST', url, headers, payload: Buffer.from(bytes) })
        return answer.statusCode
      }
      const bodies = doorBodies(T)
      const good = async (): Promise<void> => {
        for (const body of bodies) {
          // Its native histogram is not stored, and told so.
          const expected =
            body.url === '/api/v1/write' && !body.headers['content-type']?.includes('v2') ? [400] : [200, 204]
          expect(expected, body.url).toContain(await send(body))
        }
      }
      await good()

      const random = openRandom(20_261_123)
      const all = bodies.map(b => b.bytes)
      const seen = new Map<number, number>()
      const wrong: { status: number; base64: string; url: string }[] = []
      const memory: number[] = []
      for (let round = 0; round < ROUNDS; round += AT_ONCE) {
        const batch = Array.from({ length: AT_ONCE }, (_, i) => {
          const body = bodies[(round + i) % bodies.length]
          if (body === undefined) throw new Error('no bodies')
          return { ...body, bytes: mutate(body.bytes, all, random) }
        })
        const statuses = await Promise.all(batch.map(send))
        statuses.forEach((code, i) => {
          seen.set(code, (seen.get(code) ?? 0) + 1)
          const given = batch[i]
          if ((code < 200 || code > 299) && (code < 400 || code > 499) && given !== undefined) {
            wrong.push({ status: code, base64: Buffer.from(given.bytes).toString('base64'), url: given.url })
          }
        })
        if (MANY && round % 10_000 === 0) memory.push(readResident())
      }
      expect(wrong.slice(0, 3)).toEqual([])
      // Both happen often, else the damage was too little or too much to say anything.
      const times = (...codes: number[]) => codes.reduce((sum, code) => sum + (seen.get(code) ?? 0), 0)
      expect(times(200, 204)).toBeGreaterThan(ROUNDS / 20)
      expect(times(400)).toBeGreaterThan(ROUNDS / 5)
      if (MANY) {
        const mib = memory.map(bytes => Math.round(bytes / 2 ** 20))
        console.error(`statuses ${JSON.stringify([...seen])}; resident MiB ${mib.join(' ')}`)
        // Caches fill at first; from a third of the way on nothing may grow with the number of requests.
        const third = Math.floor(mib.length / 3)
        const [second, last] = [mean(mib.slice(third, 2 * third)), mean(mib.slice(-third))]
        expect(last / second).toBeLessThan(1.05)
      }
      await good()
      await ingest.flush()
      expect(await rows(store, 'SELECT count() > 100 AS many FROM samples')).toEqual([{ many: 1 }])
      expect(ingest.counters()).toMatchObject({ failedRows: 0, queuedBytes: 0, refusedStore: 0 })
    },
    MANY ? 3_600_000 : 180_000,
  )
})
