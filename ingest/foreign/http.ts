/**
 * The doors of other systems over HTTP. Each answers as its own server would, since that is what its clients understand.
 *
 *   /api/v1/write                       Prometheus remote write, 1.0 and 2.0
 *   /write  /api/v2/write  /api/write   InfluxDB's line protocol: v1, v2, and as cc-metric-collector posts it
 *   /ping                               that senders of line protocol ask before they send
 *   /v1/pprof                           a pprof file: ?node=n1&job=4711
 *   /ingest  /push.v1.PusherService/Push   what Pyroscope's clients send
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Admit } from '../admission.ts'
import { BodyError } from '../errors.ts'
import type { Receipt } from '../index.ts'
import type { ForeignMetrics } from './doors.ts'
import { addProfiles } from './profilehttp.ts'
import type { ForeignProfiles } from './profiles.ts'
import { versionOf } from './remotewrite.ts'

export interface Foreign {
  metrics: ForeignMetrics
  profiles: ForeignProfiles
}

export function foreignDoors(admit: Admit, { metrics, profiles }: Foreign, maxBodyBytes: number): FastifyPluginAsync {
  return async app => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxBodyBytes }, (_request, body, done) =>
      done(null, body),
    )
    addLines(app, admit, metrics)
    addRemoteWrite(app, admit, metrics)
    addProfiles(app, admit, profiles)
  }
}

export const hidden = { config: { access: 'collector' }, schema: { hide: true } as object } as const
export const bodyOf = (request: FastifyRequest): Uint8Array =>
  request.body instanceof Uint8Array ? request.body : new Uint8Array()
export const headerOf = (request: FastifyRequest, name: string): string => {
  const given = request.headers[name] ?? ''
  return Array.isArray(given) ? given.join(',') : given
}

/** One parameter of the address; '' where it is not there. */
export function parameterOf(request: FastifyRequest, name: string): string {
  const { query } = request
  const given: unknown =
    typeof query === 'object' && query !== null && name in query ? query[name as keyof typeof query] : ''
  return typeof given === 'string' ? given : ''
}

export function retryLater(reply: FastifyReply, receipt: Receipt): void {
  if (receipt.retryAfterSeconds !== undefined) reply.header('retry-after', String(receipt.retryAfterSeconds))
}

/** 204, or JSON with the words of v1 (`error`) and of v2 (`code`, `message`). */
function addLines(app: FastifyInstance, admit: Admit, metrics: ForeignMetrics): void {
  for (const path of ['/write', '/api/v2/write', '/api/write']) {
    app.post(path, hidden, async (request, reply) => {
      const precision = parameterOf(request, 'precision')
      const receipt = await admit(bodyOf(request), headerOf(request, 'content-encoding'), body =>
        metrics.lines(body, precision, parameterOf(request, 'cluster')),
      )
      retryLater(reply, receipt)
      if (receipt.status === 200 && receipt.rejected === 0) return reply.code(204).send()
      const status = receipt.status === 200 ? 400 : receipt.status
      const message = receipt.status === 200 ? `partial write: ${receipt.message}` : (receipt.message ?? '')
      return reply.code(status).send({ code: CODES[status] ?? 'internal error', message, error: message })
    })
  }
  app.get('/ping', hidden, (_, reply) => reply.header('x-influxdb-version', '2.0').code(204).send())
}

/** https://docs.influxdata.com/influxdb/v2/api/v2/#operation/PostWrite */
const CODES: Readonly<Record<number, string>> = {
  400: 'invalid',
  413: 'request too large',
  415: 'invalid',
  429: 'too many requests',
  503: 'unavailable',
}

function addRemoteWrite(app: FastifyInstance, admit: Admit, metrics: ForeignMetrics): void {
  app.post('/api/v1/write', hidden, async (request, reply) => {
    const encoding = headerOf(request, 'content-encoding') || 'snappy'
    let samples = 0
    const receipt = await admit(bodyOf(request), '', async body => {
      const version = versionOf(headerOf(request, 'content-type'))
      if (version === undefined) throw new BodyError('unsupported', 'content-type: send application/x-protobuf')
      if (encoding !== 'snappy') throw new BodyError('unsupported', `content-encoding ${encoding}: send snappy`)
      const written = await metrics.remoteWrite(body, version, parameterOf(request, 'cluster'))
      samples = written.samples
      return written
    })
    reply.headers({
      'x-prometheus-remote-write-samples-written': samples,
      'x-prometheus-remote-write-histograms-written': 0,
      'x-prometheus-remote-write-exemplars-written': 0,
    })
    retryLater(reply, receipt)
    // A batch that was taken in part is not sent again: what is stored would be refused as late.
    if (receipt.status === 200 && receipt.rejected === 0) return reply.code(204).send()
    return reply
      .code(receipt.status === 200 ? 400 : receipt.status)
      .type('text/plain')
      .send(receipt.message ?? '')
  })
}
