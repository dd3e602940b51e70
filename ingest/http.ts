/** The doors over HTTP: OTLP/HTTP metrics and profiles, and /v1/jobs. A body is taken as bytes; what it is, ingest finds out. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type Batch, parseBatch } from './batches.ts'
import type { Door, Receipt } from './index.ts'
import { type Encoding, parseContentType } from './otlp/body.ts'
import { exportResponse, statusResponse } from './otlp/response.ts'

const PATHS: Readonly<Record<Door, string>> = {
  metrics: '/v1/metrics',
  profiles: '/v1development/profiles',
  jobs: '/v1/jobs',
}

const REJECTED: Readonly<Record<Door, string>> = {
  metrics: 'rejectedDataPoints',
  profiles: 'rejectedProfiles',
  jobs: 'rejected',
}

export type Take = (
  door: Door,
  body: Uint8Array,
  contentType: string,
  contentEncoding: string,
  batch?: Batch,
) => Promise<Receipt>

/** `flush` resolves when the database has what was taken: who asks for it by `prefer: wait` can be sure to find it. */
export function httpDoors(take: Take, flush: () => Promise<void>, maxBodyBytes: number): FastifyPluginAsync {
  return async app => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxBodyBytes }, (_request, body, done) =>
      done(null, body),
    )
    // Fastify answers a body over its limit (and a broken connection) before a handler runs.
    app.setErrorHandler(async (error, request, reply) => {
      const status = statusOf(error)
      const message = error instanceof Error ? error.message : String(error)
      return refuse(reply, encodingOf(request), status, message)
    })
    for (const door of ['metrics', 'profiles', 'jobs'] as const) {
      app.post(
        PATHS[door],
        { config: { access: 'collector' }, schema: { hide: true } as object },
        async (request, reply) => {
          const body = request.body instanceof Uint8Array ? request.body : new Uint8Array()
          const given = request.headers['content-encoding'] ?? ''
          const type =
            request.headers['content-type'] ?? (door === 'jobs' ? 'application/json' : 'application/x-protobuf')
          const batch = parseBatch(oneHeader(request.headers['idempotency-key']))
          const receipt = await take(door, body, type, oneHeader(given) ?? '', batch)
          if (request.headers.prefer === 'wait' && receipt.status === 200) await flush()
          return answer(reply, door === 'jobs' ? 'json' : encodingOf(request), REJECTED[door], receipt)
        },
      )
    }
  }
}

const oneHeader = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value

function answer(reply: FastifyReply, encoding: Encoding, rejectedName: string, receipt: Receipt): FastifyReply {
  if (receipt.retryAfterSeconds !== undefined) reply.header('retry-after', String(receipt.retryAfterSeconds))
  if (receipt.status !== 200) return refuse(reply, encoding, receipt.status, receipt.message ?? '')
  return reply
    .type(TYPES[encoding])
    .send(exportResponse(encoding, rejectedName, receipt.rejected, receipt.message ?? ''))
}

const TYPES: Readonly<Record<Encoding, string>> = { json: 'application/json', protobuf: 'application/x-protobuf' }

const refuse = (reply: FastifyReply, encoding: Encoding, status: number, message: string): FastifyReply =>
  reply
    .code(status)
    .type(TYPES[encoding])
    .send(statusResponse(encoding, status, message))

function encodingOf(request: FastifyRequest): Encoding {
  try {
    return parseContentType(request.headers['content-type'] ?? 'application/x-protobuf')
  } catch {
    return 'json'
  }
}

const statusOf = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500
