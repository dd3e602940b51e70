import { gzipSync } from 'node:zlib'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Door } from '../../ingest/index.ts'
import { mutate, openRandom } from './mutate.ts'
import { type Attrs, metricsJson, metricsProtobuf } from './otlp.ts'
import { profilesJson, profilesProtobuf } from './otlpprofiles.ts'
import { freshIngest, rows } from './place.ts'
import { zstdRaw } from './zstd.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

const METRICS: Parameters<typeof metricsProtobuf>[0] = [
  {
    attributes: { 'host.name': 'n1', 'jobsight.interval_ms': 10_000, list: ['a', 'b'] },
    metrics: [
      { name: 'system.memory.usage', gauge: [{ timeMs: T, asInt: 5, attributes: { 'system.memory.state': 'used' } }] },
      ...['vda', 'vdb'].map(device => ({
        name: 'system.disk.io',
        sum: {
          points: [
            {
              startMs: T - 10_000,
              timeMs: T,
              asInt: 5,
              attributes: { 'system.device': device, 'disk.io.direction': 'read' } as Attrs,
            },
          ],
          temporality: 1,
          monotonic: true,
        },
      })),
      {
        name: 'foreign',
        sum: { points: [{ startMs: 5, timeMs: T, asDouble: 5, attributes: { n: 1.5, b: true } }], temporality: 2 },
      },
      { name: 'latency', histogram: { points: [{ startMs: 5, timeMs: T, count: 5, sum: 7 }], temporality: 1 } },
      { name: 'process.memory.usage', gauge: [{ timeMs: T, asInt: 5, attributes: { 'process.pid': 7 } }] },
    ],
  },
]
const PROFILES: Parameters<typeof profilesProtobuf>[0] = [
  {
    resource: { 'host.name': 'n1', 'process.pid': 42, 'process.executable.name': 'x' },
    sampleType: ['samples', 'count'],
    periodType: ['cpu', 'nanoseconds'],
    period: 50_000_000,
    timeMs: T,
    durationMs: 5000,
    samples: [
      {
        stack: 'main@m;solve@m;@libm.so.6+0x1234',
        attributes: { 'thread.name': 't', 'jobsight.sample.count': 3 },
        values: [3],
      },
      { stack: 'main@m;solve@m', attributes: { 'thread.name': 't' }, timestampsMs: [T, T + 1] },
      { stack: 'main@m', values: [3] },
    ],
  },
]

interface Body {
  door: Door
  type: string
  bytes: Uint8Array
  encoding?: string
}
const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'

/** Bodies as they should be; each is taken before it is damaged. */
const BODIES: readonly Body[] = [
  { door: 'metrics', type: PROTOBUF, bytes: metricsProtobuf(METRICS) },
  { door: 'metrics', type: JSON_TYPE, bytes: metricsJson(METRICS) },
  { door: 'profiles', type: PROTOBUF, bytes: profilesProtobuf(PROFILES, '1.10') },
  { door: 'profiles', type: PROTOBUF, bytes: profilesProtobuf(PROFILES, '1.9') },
  { door: 'profiles', type: JSON_TYPE, bytes: profilesJson(PROFILES) },
  { door: 'metrics', type: PROTOBUF, bytes: gzipSync(metricsProtobuf(METRICS)), encoding: 'gzip' },
  { door: 'metrics', type: PROTOBUF, bytes: zstdRaw(metricsProtobuf(METRICS), 0), encoding: 'zstd' },
]
const ROUNDS = 10_000
const AT_ONCE = 250

describe('10,000 random mutations of valid bodies', () => {
  it('give only 2xx and 4xx, and the process goes on', async () => {
    const { ingest, store } = await freshIngest({ config: { flushMs: 5, maxInflatedBytes: 1 << 20 } })
    const app = Fastify()
    await app.register(ingest.plugin)
    onTestFinished(() => app.close())
    const send = async ({ door, type, bytes, encoding }: Body): Promise<number> => {
      const url = door === 'metrics' ? '/v1/metrics' : '/v1development/profiles'
      const headers = { 'content-type': type, ...(encoding === undefined ? {} : { 'content-encoding': encoding }) }
      const answer = await app.inject({ method: 'POST', url, headers, payload: Buffer.from(bytes) })
      return answer.statusCode
    }
    for (const body of BODIES) expect([body.door, body.type, await send(body)]).toEqual([body.door, body.type, 200])

    const random = openRandom(20_261_123)
    const all = BODIES.map(b => b.bytes)
    const seen = new Map<number, number>()
    const wrong: { status: number; base64: string; of: number }[] = []
    for (let round = 0; round < ROUNDS; round += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, (_, i) => {
        const of = (round + i) % BODIES.length
        const body = BODIES[of] ?? BODIES[0]
        if (body === undefined) throw new Error('no bodies')
        return { of, body: { ...body, bytes: mutate(body.bytes, all, random) } }
      })
      const statuses = await Promise.all(batch.map(b => send(b.body)))
      statuses.forEach((status, i) => {
        seen.set(status, (seen.get(status) ?? 0) + 1)
        const given = batch[i]
        if ((status < 200 || status > 299) && (status < 400 || status > 499) && given !== undefined) {
          wrong.push({ status, base64: Buffer.from(given.body.bytes).toString('base64'), of: given.of })
        }
      })
    }
    expect(wrong.slice(0, 3)).toEqual([])
    // Both happen often, else the damage was too little or too much to say anything.
    expect(seen.get(200)).toBeGreaterThan(ROUNDS / 20)
    expect(seen.get(400)).toBeGreaterThan(ROUNDS / 5)
    for (const body of BODIES) expect(await send(body)).toBe(200)
    expect(await rows(store, 'SELECT count() > 100 AS many FROM samples')).toEqual([{ many: 1 }])
    expect(ingest.counters()).toMatchObject({ failedRows: 0, queuedBytes: 0, refusedStore: 0 })
  })
})
