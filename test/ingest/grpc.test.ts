import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type GrpcOptions, openGrpc } from '../../ingest/grpc.ts'
import type { Receipt } from '../../ingest/index.ts'
import { SenderError } from '../../ingest/senders.ts'
import { readTls } from '../../ingest/tls.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { freshPath, openDoors, quiet, rows } from './place.ts'

const doors = openDoors()
const T = Math.floor(Date.now() / 1000) * 1000 - 60_000
const METRICS = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export'
const PROFILES = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export'
const options: GrpcOptions = { listen: '127.0.0.1:0', maxInflatedBytes: 1 << 20 }

let port = 0
let close: () => Promise<void>
beforeAll(async () => {
  const grpc = await openGrpc(doors.ingest, options, quiet)
  port = grpc.port
  close = grpc.close
})
afterAll(() => close())

function send(
  path: string,
  body: Uint8Array,
  to = port,
  metadata = new Metadata(),
  by = credentials.createInsecure(),
): Promise<Buffer> {
  const client = new Client(`127.0.0.1:${to}`, by)
  onTestFinished(() => client.close())
  const asIs = (bytes: Buffer): Buffer => bytes
  return new Promise((done, failed) => {
    client.makeUnaryRequest(path, asIs, asIs, Buffer.from(body), metadata, (error, answer) => {
      if (error) failed(error)
      else done(answer ?? Buffer.alloc(0))
    })
  })
}

describe('OTLP/gRPC', () => {
  it('takes what the stock exporter sends, plain and gzip', async () => {
    for (const compression of ['none', 'gzip'] as const) {
      const exporter = new OTLPMetricExporter({ url: `http://127.0.0.1:${port}`, compression: compression as never })
      const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
      const resource = resourceFromAttributes({ 'host.name': `grpc-${compression}` })
      const provider = new MeterProvider({ resource, readers: [reader] })
      provider.getMeter('test').createGauge('system.memory.usage').record(12345, { 'system.memory.state': 'used' })
      await reader.forceFlush()
      await provider.shutdown()
    }
    expect(await rows(doors.store, 'SELECT DISTINCT node, memory_used FROM node_points ORDER BY node')).toEqual([
      { node: 'grpc-gzip', memory_used: '12345' },
      { node: 'grpc-none', memory_used: '12345' },
    ])
  })

  it('takes profiles of both layouts', async () => {
    for (const layout of ['1.9', '1.10'] as const) {
      const body = profilesProtobuf(
        [
          {
            resource: { 'host.name': `p${layout}`, 'process.pid': 42 },
            sampleType: ['cpu', 'nanoseconds'],
            timeMs: T,
            durationMs: 5000,
            samples: [{ stack: 'main@m;solve@m', values: [3e9] }],
          },
        ],
        layout,
      )
      expect((await send(PROFILES, body)).length).toBe(0)
    }
    expect(await rows(doors.store, 'SELECT node, value FROM samples ORDER BY node')).toEqual([
      { node: 'p1', value: '3000000000' },
      { node: 'p1', value: '3000000000' },
    ])
  })

  it('with a certificate it speaks TLS, and nothing without', async () => {
    const dir = freshPath()
    const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    execFileSync('openssl', [...made, ...subject, '-keyout', key, '-out', cert], { stdio: 'pipe' })
    const grpc = await openGrpc(doors.ingest, { ...options, tls: readTls({ cert, key }) }, quiet)
    onTestFinished(() => grpc.close())
    const body = metricsProtobuf([
      { attributes: { 'host.name': 'tls' }, metrics: [{ name: 'x', gauge: [{ timeMs: T, asDouble: 1 }] }] },
    ])
    const trusting = credentials.createSsl(readFileSync(cert))
    expect((await send(METRICS, body, grpc.port, new Metadata(), trusting)).length).toBe(0)
    const plain: ServiceError = await send(METRICS, body, grpc.port).catch(error => error)
    expect(plain.code).toBe(status.UNAVAILABLE)
  })

  it('says what of a request was refused, and of a broken one that it is', async () => {
    const points = [Number.NaN, 1].map((asDouble, i) => ({ name: `x${i}`, gauge: [{ timeMs: T, asDouble }] }))
    const answer = await send(METRICS, metricsProtobuf([{ attributes: {}, metrics: points }]))
    expect(answer.toString()).toContain('1 refused: x0: the value is not a finite number')
    const broken: ServiceError = await send(METRICS, Uint8Array.of(0x0a, 0x7f, 1, 2)).catch(error => error)
    expect([broken.code, broken.details]).toEqual([
      status.INVALID_ARGUMENT,
      expect.stringContaining('resource_metrics is longer than what it lies in'),
    ])
    const large: ServiceError = await send(METRICS, new Uint8Array(2 << 20)).catch(error => error)
    expect(large.code).toBe(status.RESOURCE_EXHAUSTED)
  })

  it('tells a sender when to come again, and a stranger to stay away', async () => {
    const busy: Receipt = { status: 429, retryAfterSeconds: 7, rejected: 0, message: 'busy' }
    const receipts = [busy, { ...busy, status: 503, retryAfterSeconds: 1 }]
    const receive = async (): Promise<Receipt> => receipts.shift() ?? busy
    const as = async <T>(authorization: string | undefined, send: () => Promise<T>): Promise<T> => {
      if (authorization === undefined) throw new SenderError('unauthenticated', 'no token')
      return send()
    }
    const grpc = await openGrpc({ receive, as }, options, quiet)
    onTestFinished(() => grpc.close())
    const token = new Metadata()
    token.set('authorization', 'Bearer x')
    const ask = (metadata: Metadata): Promise<ServiceError> =>
      send(METRICS, new Uint8Array(), grpc.port, metadata).then(
        () => Promise.reject(new Error('taken')),
        error => error,
      )
    const exhausted = await ask(token)
    expect([exhausted.code, exhausted.details]).toEqual([status.RESOURCE_EXHAUSTED, 'busy'])
    const [details] = exhausted.metadata.get('grpc-status-details-bin')
    // … value 2: retry_delay 1: seconds 1 = 7
    expect(Buffer.from(details ?? '').toString('hex')).toContain(
      `${Buffer.from('google.rpc.RetryInfo').toString('hex')}12040a020807`,
    )
    expect((await ask(token)).code).toBe(status.UNAVAILABLE)
    const stranger = await ask(new Metadata())
    expect([stranger.code, stranger.details]).toEqual([status.UNAUTHENTICATED, 'no token'])
    await expect(openGrpc({ receive, as }, { ...options, listen: `127.0.0.1:${grpc.port}` }, quiet)).rejects.toThrow(
      'choose another',
    )
  })
})
