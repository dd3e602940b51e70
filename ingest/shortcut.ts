/**
 * The way of a collector's second request. Fastify's hooks, parsers and replies cost more than decoding and storing what a
 * node sends, and for the same collector they come to the same answer each tick. So:
 *
 *   connection   request 1 ─ Fastify ─ 200            its head is remembered
 *                request 2 ─ same head? ─ door        but for the length of the body, the name of the batch and the time
 *                request 3 ─ another head ─ Fastify
 *
 * A head that hooks let in once is let in again: whatever they look at is in it or is the connection. Only who sends is
 * found out each time, since a token can be taken back. Nothing of it shows in the log of requests.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseBatch } from './batches.ts'
import { SENT_HEADER } from './clocks.ts'
import { BodyError } from './errors.ts'
import { type Answer, answerOf, DOOR_PATHS, failureOf, type Take } from './http.ts'
import type { Door } from './index.ts'
import type { Sending } from './sendergate.ts'
import type { Sender, Senders } from './senders.ts'

const VARIES = new Set(['content-length', 'idempotency-key', SENT_HEADER])

/** A request that went through Fastify and was taken. */
interface Known {
  url: string
  /** name, value, name, value … */
  head: readonly string[]
  door: Door
  type: string
  encoding: string
  authorization: string | undefined
}

export interface ShortcutDeps {
  take: Take
  senders: Senders
  sending: Sending
  maxBodyBytes: number
  /** Called for each request that went this way: from where, and when by the sender's clock. */
  onTaken: (address: string, sent: string | undefined) => void
}

export function addShortcut(app: FastifyInstance, deps: ShortcutDeps): void {
  const known = new WeakMap<Socket, Known>()
  let closing = false
  app.addHook('onResponse', async (request, reply) => {
    const found = reply.statusCode === 200 ? knownOf(request) : undefined
    if (found !== undefined) known.set(request.raw.socket, found)
  })
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onListen', async () => {
    const { server } = app
    const others = server.listeners('request') as RequestListener[]
    server.removeAllListeners('request')
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const like = closing ? undefined : known.get(request.socket)
      const sender = like === undefined || !isLike(request, like) ? REFUSED : admit(deps.senders, like, request)
      if (like === undefined || sender === REFUSED) for (const other of others) other.call(server, request, response)
      else takeIn(deps, like, sender, request, response)
    })
  })
}

function knownOf({ url, method, headers, raw, routeOptions }: FastifyRequest): Known | undefined {
  const door = DOORS.find(name => DOOR_PATHS[name] === url)
  const type = headers['content-type']
  // Who waits for the database waits at the road.
  if (door === undefined || method !== 'POST' || routeOptions.url !== url || type === undefined) return undefined
  if (headers.prefer !== undefined || headers.expect !== undefined) return undefined
  const { authorization, 'content-encoding': encoding = '' } = headers
  return { url, head: raw.rawHeaders, door, type, encoding, authorization }
}

const DOORS: readonly Door[] = ['metrics', 'profiles']

function isLike({ method, url, rawHeaders }: IncomingMessage, { url: knownUrl, head }: Known): boolean {
  if (method !== 'POST' || url !== knownUrl || rawHeaders.length !== head.length) return false
  for (let i = 0; i < head.length; i += 2) {
    if (rawHeaders[i] !== head[i]) return false
    if (rawHeaders[i + 1] !== head[i + 1] && !VARIES.has(head[i]?.toLowerCase() ?? '')) return false
  }
  return true
}

/** The road says why. */
const REFUSED = Symbol('refused')

function admit(senders: Senders, { authorization }: Known, { socket }: IncomingMessage) {
  try {
    return senders.admit(authorization, socket)
  } catch {
    return REFUSED
  }
}

function takeIn(
  { take, sending, maxBodyBytes, onTaken }: ShortcutDeps,
  { door, type, encoding }: Known,
  sender: Sender | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const chunks: Buffer[] = []
  const tooLong = `the body is larger than ${maxBodyBytes} bytes: send smaller batches, or raise ingest.maxBodyBytes`
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= maxBodyBytes) chunks.push(chunk)
    else if (!response.headersSent) answer(response, failureOf(type, new BodyError('too_large', tooLong)), true)
  })
  // The connection broke in the middle of the body: nobody is left to answer.
  request.on('error', () => {})
  request.on('end', () => {
    if (length > maxBodyBytes) return
    onTaken(request.socket.remoteAddress ?? '', headerOf(request.rawHeaders, SENT_HEADER))
    const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
    const enter = () => take(door, body, type, encoding, parseBatch(headerOf(request.rawHeaders, 'idempotency-key')))
    const taken = sender === undefined ? enter() : sending.run(sender, enter)
    taken.then(
      receipt => answer(response, answerOf(door, type, receipt)),
      (error: unknown) => answer(response, failureOf(type, error)),
    )
  })
}

function headerOf(head: readonly string[], name: string): string | undefined {
  for (let i = 0; i < head.length; i += 2) if (head[i]?.toLowerCase() === name) return head[i + 1]
  return undefined
}

function answer(response: ServerResponse, { status, headers, body }: Answer, last = false): void {
  response.writeHead(status, last ? { ...headers, connection: 'close' } : headers)
  if (body.length > 0) response.end(body)
  else response.end()
}
