/**
 * The way of a collector's second request. Fastify's hooks, parsers and replies cost more than decoding and storing what a
 * node sends, and for the same collector they come to the same answer each tick. So:
 *
 *   connection   request 1 ─ Fastify ─ 200            its head is remembered (knownhead.ts)
 *                request 2 ─ same head? ─ door        but for the length of the body, the name of the batch and the time
 *                request 3 ─ another head ─ Fastify
 *
 * Where the addon is there, a plain connection goes to the receiver after request 1 (receiver.ts), and comes back with request 3.
 * Nothing of it shows in the log of requests.
 */
import { type IncomingMessage, type RequestListener, Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { SENT_HEADER } from './clocks.ts'
import { BodyError } from './errors.ts'
import { type Answer, failureOf } from './http.ts'
import { admit, isLike, type KnownHead, knownHeadOf, REFUSED, remember, type TakeDeps, takeKnown } from './knownhead.ts'
import { type NewReceiver, openReceiver, type Receiver } from './receiver.ts'
import type { Sender } from './senders.ts'

export function addShortcut(app: FastifyInstance, deps: TakeDeps, Native: NewReceiver | undefined): void {
  const known = new WeakMap<Socket, readonly KnownHead[]>()
  let receiver: Receiver | undefined
  let closing = false
  app.addHook('onResponse', async (request, reply) => {
    const { socket } = request.raw
    receiver?.count(request.raw)
    const head = reply.statusCode === 200 ? knownHeadOf(request) : undefined
    if (head === undefined) return
    const heads = remember(known.get(socket) ?? [], head)
    known.set(socket, heads)
    receiver?.adopt(socket, heads)
  })
  app.addHook('preClose', async () => {
    closing = true
    await receiver?.close()
  })
  app.addHook('onListen', async () => {
    const { server } = app
    const others = server.listeners('request') as RequestListener[]
    server.removeAllListeners('request')
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const like = closing ? undefined : known.get(request.socket)?.find(head => isRequestLike(request, head))
      const sender = like === undefined ? REFUSED : admit(deps.senders, like, request.socket)
      if (like === undefined || sender === REFUSED) for (const other of others) other.call(server, request, response)
      else takeIn(deps, like, sender, request, response)
    })
    const onGivenBack = (socket: Socket, heads: readonly KnownHead[]) => known.set(socket, heads)
    if (Native !== undefined && server instanceof Server) receiver = openReceiver(Native, server, deps, onGivenBack)
  })
}

const isRequestLike = ({ method, url = '', rawHeaders }: IncomingMessage, head: KnownHead): boolean =>
  method === 'POST' && isLike(head, url, rawHeaders)

function takeIn(
  deps: TakeDeps,
  head: KnownHead,
  sender: Sender | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { maxBodyBytes, onTaken } = deps
  const chunks: Buffer[] = []
  const tooLong = `the body is larger than ${maxBodyBytes} bytes: send smaller batches, or raise ingest.maxBodyBytes`
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= maxBodyBytes) chunks.push(chunk)
    else if (!response.headersSent) answer(response, failureOf(head.type, new BodyError('too_large', tooLong)), true)
  })
  // The connection broke in the middle of the body: nobody is left to answer.
  request.on('error', () => {})
  request.on('end', () => {
    if (length > maxBodyBytes) return
    onTaken(request.socket.remoteAddress ?? '', headerOf(request.rawHeaders, SENT_HEADER))
    const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
    const taken = takeKnown(deps, head, sender, body, headerOf(request.rawHeaders, 'idempotency-key'))
    taken.then(told => answer(response, told))
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
