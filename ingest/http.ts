/** The doors over HTTP: OTLP/HTTP metrics and profiles, and /v1/jobs. A body is taken as bytes; what it is, ingest finds out. */
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { type Batch, parseBatch } from './batches.ts'
import { type Clocks, SENT_HEADER } from './clocks.ts'
import { BodyError } from './errors.ts'
import type { Door, Receipt } from './index.ts'
import { type Encoding, parseContentType } from './otlp/body.ts'
import { exportResponse, statusResponse } from './otlp/response.ts'

export const DOOR_PATHS: Readonly<Record<Door, string>> = {
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
export function httpDoors(
  take: Take,
  flush: () => Promise<void>,
  maxBodyBytes: number,
  clocks: Clocks,
  now: () => number,
): FastifyPluginAsync {
  return async app => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxBodyBytes }, (_request, body, done) =>
      done(null, body),
    )
    // Fastify answers a body over its limit (and a broken connection) before a handler runs.
    app.setErrorHandler(async (error, request, reply) => {
      return send(reply, failureOf(request.headers['content-type'], error))
    })
    for (const door of ['metrics', 'profiles', 'jobs'] as const) {
      app.post(
        DOOR_PATHS[door],
        { config: { access: 'collector' }, schema: { hide: true } as object },
        async (request, reply) => {
          const body = request.body instanceof Uint8Array ? request.body : new Uint8Array()
          const given = request.headers['content-encoding'] ?? ''
          const type =
            request.headers['content-type'] ?? (door === 'jobs' ? 'application/json' : 'application/x-protobuf')
          clocks.look(request.ip, oneHeader(request.headers[SENT_HEADER]), now())
          const batch = parseBatch(oneHeader(request.headers['idempotency-key']))
          const receipt = await take(door, body, type, oneHeader(given) ?? '', batch)
          if (request.headers.prefer === 'wait' && receipt.status === 200) await flush()
          return send(reply, answerOf(door, request.headers['content-type'], receipt))
        },
      )
    }
  }
}

const oneHeader = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value

/** What goes back: by Fastify, or by the shortcut. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: Buffer
}

const send = (reply: FastifyReply, { status, headers, body }: Answer): FastifyReply =>
  reply.code(status).headers(headers).send(body)

/** In the encoding of the request; of jobs always as JSON. */
export function answerOf(door: Door, type: string | undefined, receipt: Receipt): Answer {
  const { status, rejected, message = '', retryAfterSeconds } = receipt
  const encoding = door === 'jobs' ? 'json' : encodingOf(type)
  if (status === 200 && encoding === 'protobuf' && rejected === 0 && message === '') return TAKEN
  if (status === 200) return answerIn(encoding, status, exportResponse(encoding, REJECTED[door], rejected, message))
  const answer = answerIn(encoding, status, statusResponse(encoding, status, message))
  if (retryAfterSeconds !== undefined) answer.headers['retry-after'] = String(retryAfterSeconds)
  return answer
}

/** What was thrown on the way to a door. */
export function failureOf(type: string | undefined, error: unknown): Answer {
  const status = statusOf(error)
  const encoding = encodingOf(type)
  const message = error instanceof Error ? error.message : String(error)
  return answerIn(encoding, status, statusResponse(encoding, status, message))
}

const TYPES: Readonly<Record<Encoding, string>> = { json: 'application/json', protobuf: 'application/x-protobuf' }

const answerIn = (encoding: Encoding, status: number, body: Buffer): Answer => ({
  status,
  headers: { 'content-type': TYPES[encoding], 'content-length': String(body.length) },
  body,
})

/** What nearly all get. */
const TAKEN: Answer = answerIn('protobuf', 200, exportResponse('protobuf', '', 0, ''))

function encodingOf(type = 'application/x-protobuf'): Encoding {
  try {
    return parseContentType(type)
  } catch {
    return 'json'
  }
}

const statusOf = (error: unknown): number => (error instanceof BodyError ? error.status : thrownStatus(error))

const thrownStatus = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500
