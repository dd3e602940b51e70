/**
 * Sends a batch by OTLP/HTTP: POST endpoint/v1/metrics, protobuf, gzip. https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 * A stock OTLP backend has no door for jobs and often none for profiles: it answers 404, which is for good. 401 and 403
 * are kept and tried again, against the specification: a token that ran out overnight must not cost the night's readings.
 */
import http from 'node:http'
import https from 'node:https'
import { promisify } from 'node:util'
import { constants, gzip, gzipSync } from 'node:zlib'
import { PbfReader } from 'pbf'
import type { Logger } from 'pino'
import { type Credentials, NO_CREDENTIALS } from './credentials.ts'
import type { Door, Send, Sent } from './outbox.ts'

const FAST = { level: constants.Z_BEST_SPEED }
const gzipBeside = promisify(gzip)
/** Below it, waking a thread of the pool costs more than the work (0.9 against 0.4 ms for the 7 KB of a tick). */
const SMALL_BYTES = 128 << 10

const compress = async (body: Uint8Array) =>
  body.length <= SMALL_BYTES ? gzipSync(body, FAST) : gzipBeside(body, FAST)

const PATHS: Record<Door, string> = { metrics: 'v1/metrics', profiles: 'v1development/profiles', jobs: 'v1/jobs' }
const TIMEOUT_MS = 30_000
const RETRY = new Set([401, 403, 408, 429, 502, 503, 504])
const ANSWER_BYTES = 64 << 10

interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  body: Buffer
}

/** `endpoint` as OTEL_EXPORTER_OTLP_ENDPOINT has it: http://host:4318, a path in it is kept. */
export function httpSend(endpoint: string, log: Logger, credentials: Credentials = NO_CREDENTIALS): Send {
  const base = new URL(endpoint.endsWith('/') ? endpoint : `${endpoint}/`)
  const secure = base.protocol === 'https:'
  const agent = secure ? new https.Agent({ keepAlive: true, ...credentials.tls }) : new http.Agent({ keepAlive: true })
  return async (door, body, batch) => {
    const url = new URL(PATHS[door], base)
    const packed = await compress(body)
    const request = {
      method: 'POST',
      agent,
      timeout: TIMEOUT_MS,
      headers: {
        ...credentials.headers(),
        'content-type': door === 'jobs' ? 'application/json' : 'application/x-protobuf',
        'content-encoding': 'gzip',
        'content-length': packed.length,
        'user-agent': 'jobsight-collector',
        // By this node's clock: the server says where it differs from its own.
        'jobsight-sent-ms': String(Date.now()),
        ...(batch === undefined ? {} : { 'idempotency-key': batch }),
      },
    }
    try {
      const answer = await post(secure ? https : http, url, request, packed)
      log.debug({ door, bytes: body.length, packed: packed.length, status: answer.status }, 'sent')
      return parseAnswer(door, url, answer, Date.now())
    } catch (error) {
      return {
        ok: false,
        permanent: false,
        message: `${url.origin} cannot be reached (${reasonOf(error)}); is it running?`,
      }
    }
  }
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

function post(
  client: typeof http | typeof https,
  url: URL,
  options: https.RequestOptions,
  body: Buffer,
  again = true,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = client.request(url, options, response => {
      const parts: Buffer[] = []
      let length = 0
      response.on('data', (part: Buffer) => {
        length += part.length
        if (length <= ANSWER_BYTES) parts.push(part)
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) })
      })
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
    request.on('error', error => {
      // the receiver closed an idle connection just as it was taken up again; that is no failure
      // https://nodejs.org/api/http.html#requestreusedsocket
      if (again && request.reusedSocket && reasonOf(error) === 'ECONNRESET') {
        post(client, url, options, body, false).then(resolve, reject)
      } else reject(error)
    })
    request.end(body)
  })
}

export function parseAnswer(door: Door, url: URL, answer: Answer, nowMs: number): Sent {
  const { status } = answer
  if (status >= 200 && status < 300) return door === 'jobs' ? { ok: true } : parsePartialSuccess(answer)
  if (status === 409) return { ok: false, permanent: true, message: parseWords(answer), held: true }
  const text = answer.body.toString('utf8', 0, 300).replace(/[^\x20-\x7e]+/g, ' ')
  const message = `${url.href} answered ${status}${text.trim() === '' ? '' : `: ${text.trim()}`}`
  if (status < 400) {
    const location = answer.headers.location ?? 'elsewhere'
    return { ok: false, permanent: false, message: `${message}; it points to ${location}: set that as endpoint` }
  }
  if (status === 401 && text.trim() === '')
    return {
      ok: false,
      permanent: false,
      message: `${message}; give it a token: --token-file FILE (collector.tokenFile)`,
    }
  if (!RETRY.has(status)) return { ok: false, permanent: true, message }
  const retryAfterMs = parseRetryAfter(answer.headers['retry-after'], nowMs)
  return { ok: false, permanent: false, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
}

/** google.rpc.Status as JSON; what is none is said as it is. */
function parseWords({ body }: Answer): string {
  try {
    const told: unknown = JSON.parse(body.toString())
    if (typeof told === 'object' && told !== null && 'message' in told) return String(told.message)
  } catch {
    // No JSON: as it is.
  }
  return body.toString('utf8', 0, 300)
}

/** Seconds, or a date. At most an hour: a receiver whose clock is wrong must not silence a node for a year. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return ms >= 0 ? Math.min(ms, 3_600_000) : undefined
}

/** Answers to profiles have the same shape as those to metrics: partial_success 1 { rejected 1, message 2 }. */
function parsePartialSuccess({ headers, body }: Answer): Sent {
  if (body.length === 0 || !headers['content-type']?.includes('protobuf')) return { ok: true }
  const found = { rejected: 0, message: '' }
  const readPartial = (tag: number, into: typeof found, pbf: PbfReader) => {
    if (tag === 1) into.rejected = pbf.readVarint()
    else if (tag === 2) into.message = pbf.readString()
  }
  try {
    new PbfReader(body).readFields((tag, into: typeof found, pbf) => {
      if (tag === 1) pbf.readMessage(readPartial, into)
    }, found)
  } catch {
    return { ok: true }
  }
  const { rejected, message } = found
  return rejected === 0 ? { ok: true } : { ok: true, rejected, message: message || `${rejected} records` }
}
