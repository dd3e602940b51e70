import { gzipSync } from 'node:zlib'
import { metrics } from '@opentelemetry/api'
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { AggregationTemporality, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import Fastify, { type FastifyInstance } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { RowWriter } from '../../ingest/rowbinary.ts'
import { type Store, StoreError } from '../../ingest/store.ts'
import { type Metric, metricsJson, metricsProtobuf } from './otlp.ts'
import { freshIngest, quiet, rows } from './place.ts'
import { zstdRaw } from './zstd.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000
const gauge = (name: string, value: number): Metric => ({ name, gauge: [{ timeMs: T, asDouble: value }] })
const load = (value: number): Parameters<typeof metricsProtobuf>[0] => [
  { attributes: { 'host.name': 'n1' }, metrics: [gauge('system.cpu.load_average.1m', value)] },
]

async function open(ingest: Ingest): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(ingest.plugin)
  onTestFinished(() => app.close())
  return app
}

describe('a stock OpenTelemetry exporter', () => {
  for (const [encoding, Exporter] of [
    ['protobuf', ProtobufExporter],
    ['JSON', JsonExporter],
  ] as const) {
    for (const compression of ['none', 'gzip'] as const) {
      it(`with ${encoding}, ${compression}, lands`, async () => {
        const { ingest, store } = await freshIngest()
        const app = await open(ingest)
        const url = `${await app.listen({ port: 0 })}/v1/metrics`
        const exporter = new Exporter({
          url,
          compression: compression as never,
          temporalityPreference: AggregationTemporality.DELTA,
        })
        const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
        const resource = resourceFromAttributes({ 'host.name': 'host7', 'service.name': 'shop' })
        const provider = new MeterProvider({ resource, readers: [reader] })
        onTestFinished(() => provider.shutdown())
        const meter = provider.getMeter('test')
        meter.createGauge('system.memory.usage', { unit: 'By' }).record(12345, { 'system.memory.state': 'used' })
        meter.createUpDownCounter('queue.length').add(-5, { queue: 'a\n\nb' })
        const counter = meter.createCounter('orders')
        const histogram = meter.createHistogram('latency', { unit: 's' })
        counter.add(1)
        histogram.record(0.25)
        await new Promise(resolve => setTimeout(resolve, 20))
        counter.add(10)
        histogram.record(0.5)
        await reader.forceFlush()
        expect(await rows(store, 'SELECT node, memory_used FROM node_points')).toEqual([
          { node: 'host7', memory_used: '12345' },
        ])
        const series = await rows<{ name: string; value: number; attributes: object; kind: string }>(
          store,
          'SELECT name, kind, value, attributes FROM series INNER JOIN series_points USING series_id ORDER BY name',
        )
        expect(series.map(s => [s.name, s.kind])).toEqual([
          ['latency_count', 'rate'],
          ['latency_sum', 'rate'],
          ['orders', 'rate'],
          ['queue.length', 'gauge'],
        ])
        expect(series.find(s => s.name === 'queue.length')).toMatchObject({
          value: -5,
          attributes: { 'service.name': 'shop', queue: 'a\n\nb' },
        })
        expect(series.find(s => s.name === 'orders')?.value).toBeGreaterThan(0)
        metrics.disable()
      })
    }
  }
})

describe('OTLP over HTTP', () => {
  it('answers in the encoding of the request', async () => {
    const { ingest } = await freshIngest()
    const app = await open(ingest)
    const post = (payload: Uint8Array, type: string, headers: Record<string, string> = {}) =>
      app.inject({
        method: 'POST',
        url: '/v1/metrics',
        payload: Buffer.from(payload),
        headers: { 'content-type': type, ...headers },
      })
    const bad: Parameters<typeof metricsProtobuf>[0] = [
      { attributes: {}, metrics: [gauge('x', Number.NaN), gauge('y', 1)] },
    ]

    const good = await post(metricsProtobuf(load(1)), 'application/x-protobuf')
    expect([good.statusCode, good.headers['content-type'], good.rawPayload.length]).toEqual([
      200,
      'application/x-protobuf',
      0,
    ])
    const goodJson = await post(metricsJson(load(1)), 'application/json; charset=utf-8')
    expect([goodJson.statusCode, goodJson.headers['content-type'], goodJson.json()]).toEqual([
      200,
      'application/json',
      {},
    ])

    const partial = await post(metricsJson(bad), 'application/json')
    expect(partial.json()).toEqual({
      partialSuccess: { rejectedDataPoints: '1', errorMessage: '1 refused: x: the value is not a finite number' },
    })
    const partialProtobuf = await post(metricsProtobuf(bad), 'application/x-protobuf')
    // partial_success 1: rejected_data_points 1 = 1, error_message 2
    expect([...partialProtobuf.rawPayload.subarray(0, 5)]).toEqual([0x0a, 2 + 2 + 46 - 0, 0x08, 1, 0x12])

    const broken = await post(Buffer.from('{"resourceMetrics": {}}'), 'application/json')
    expect([broken.statusCode, broken.json()]).toEqual([400, { code: 3, message: 'resourceMetrics should be a list' }])
    const brokenProtobuf = await post(Uint8Array.of(0x0a, 0x7f, 1, 2), 'application/x-protobuf')
    expect([brokenProtobuf.statusCode, brokenProtobuf.headers['content-type']]).toEqual([400, 'application/x-protobuf'])
    expect(brokenProtobuf.rawPayload.toString()).toContain(
      'not protobuf as OTLP has it: resource_metrics is longer than what it lies in, at byte 2',
    )
    const unknown = await post(Buffer.from('x'), 'text/plain')
    expect([unknown.statusCode, unknown.json()]).toEqual([
      415,
      { code: 3, message: expect.stringContaining('text/plain') },
    ])
  })

  it('takes gzip, zstd and deflate, and refuses what is not, and what grows too large', async () => {
    const { ingest, store } = await freshIngest({ config: { maxInflatedBytes: 100_000, maxBodyBytes: 50_000 } })
    const app = await open(ingest)
    const post = async (payload: Uint8Array, encoding: string): Promise<[number, string]> => {
      const headers = { 'content-type': 'application/json', 'content-encoding': encoding }
      const answer = await app.inject({ method: 'POST', url: '/v1/metrics', payload: Buffer.from(payload), headers })
      return [answer.statusCode, answer.statusCode === 200 ? '' : answer.json().message]
    }
    const json = metricsJson(load(3))
    expect(await post(gzipSync(json), 'gzip')).toEqual([200, ''])
    expect(await post(zstdRaw(json), 'zstd')).toEqual([200, ''])
    expect(await post(json, 'identity')).toEqual([200, ''])
    expect(await rows(store, 'SELECT count() AS n FROM node_points')).toEqual([{ n: '3' }])

    expect(await post(json, 'gzip')).toEqual([400, expect.stringContaining('not gzip')])
    expect(await post(json, 'zstd')).toEqual([400, expect.stringContaining('not zstd')])
    expect(await post(json, 'br')).toEqual([415, expect.stringContaining('content-encoding br')])
    const bomb = Buffer.alloc(10_000_000)
    expect(await post(gzipSync(bomb), 'gzip')).toEqual([413, expect.stringContaining('larger than 100000 bytes')])
    expect(await post(zstdRaw(bomb.subarray(0, 200), 1000), 'zstd')).toEqual([
      413,
      expect.stringContaining('larger than'),
    ])
    // A header that asks for a window of 1 GiB, and no more.
    expect(await post(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0), 'zstd')).toEqual([
      413,
      expect.stringContaining('larger than'),
    ])
    expect((await post(Buffer.alloc(60_000, 32), 'identity'))[0]).toBe(413)
  })

  it('tells a sender to come back when the store does not keep up, and goes on when it does', async () => {
    const { store } = await freshIngest()
    const held: (() => void)[] = []
    const free = (): void => {
      for (const go of held.splice(0)) go()
    }
    const slow: Store = {
      ...store,
      insert: async (...block) => {
        await new Promise<void>(go => held.push(go))
        return store.insert(...block)
      },
    }
    const ingest = await openIngest({
      store: slow,
      log: quiet,
      defaultCluster: 'c',
      config: { flushMs: 0, maxQueuedBytes: 1 },
    })
    const app = await open(ingest)
    const post = () =>
      app
        .inject({
          method: 'POST',
          url: '/v1/metrics',
          payload: Buffer.from(metricsProtobuf(load(1))),
          headers: { 'content-type': 'application/x-protobuf' },
        })
        .then(answer => answer)
    const first = post()
    await expect.poll(() => ingest.counters().queuedBytes).toBeGreaterThan(1)
    const refused = await post()
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '1'])
    const timer = setInterval(free, 5)
    onTestFinished(() => clearInterval(timer))
    expect((await first).statusCode).toBe(200)
    expect((await post()).statusCode).toBe(200)
    expect(ingest.counters()).toMatchObject({ refusedOverload: 1 })
    await ingest.close()
  })

  it('answers 503 after the store has refused a block several times, and counts its rows', async () => {
    const { store } = await freshIngest()
    let tries = 0
    const broken: Store = {
      ...store,
      insert: async () => {
        tries++
        throw new StoreError('database', 'Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space')
      },
    }
    const ingest = await openIngest({ store: broken, log: quiet, defaultCluster: 'c', config: { flushMs: 0 } })
    const receipt = await ingest.receive('metrics', metricsProtobuf(load(1)))
    expect(receipt).toMatchObject({
      status: 503,
      retryAfterSeconds: 1,
      message: expect.stringContaining('not enough space'),
    })
    expect(tries).toBe(5)
    expect(ingest.counters()).toMatchObject({ failedRows: 1, retries: 4, points: 0, queuedBytes: 0 })
    expect(ingest.latest.nodes('c')).toEqual([])
    await ingest.close().catch(() => {})
  })
})

describe('the writer', () => {
  it('puts the rows of many requests into one block', async () => {
    const { store } = await freshIngest()
    const blocks: number[] = []
    const counting: Store = {
      ...store,
      insert: (table, columns, bytes, n) => {
        blocks.push(n)
        return store.insert(table, columns, bytes, n)
      },
    }
    const ingest = await openIngest({ store: counting, log: quiet, defaultCluster: 'c', config: { flushMs: 200 } })
    await Promise.all(Array.from({ length: 100 }, (_, i) => ingest.receive('metrics', metricsProtobuf(load(i)))))
    await ingest.close()
    // The points; they are of one bucket of each rollup.
    expect(blocks).toEqual([100, 1, 1])
    expect(new RowWriter().rows).toBe(0)
  })
})
