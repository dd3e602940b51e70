/**
 * Connections whose head is known go to the addon, which reads their requests and writes the answers for a seventh of what
 * node:http takes; what a request means is decided here, as on the other road.
 *
 *   node:http ── 200, and nothing read beyond it ──▶ addon ── requests of a turn ──▶ take ── answers of a turn ──▶ addon
 *       ▲                                              │
 *       └── a new socket, and the bytes that were read ┘   another head, two at once, too long, cut off, sender refused
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Answer } from './http.ts'
import { admit, type KnownHead, REFUSED, type TakeDeps, takeKnown, VARIES } from './knownhead.ts'
import { openLatch } from './latch.ts'

/** native/src/addon_receiver.rs */
interface NativeBatch {
  bytes: Buffer
  /** REQUEST_WORDS each: connection, which head, from, body, to, batch from, to, sent from, to. */
  requests: Uint32Array
  /** GIVEN_WORDS each: connection, file descriptor, from, to. */
  given: Uint32Array
  /** There is more to read, and nobody will be told of it. */
  more: boolean
}

export const REQUEST_WORDS = 9
export const GIVEN_WORDS = 4

interface NativeReceiver {
  add(fd: number, heads: { url: string; fields: readonly string[] }[]): number
  read(): NativeBatch
  /** onReady is not called until resume(). */
  pause(): void
  resume(): void
  answer(ids: Uint32Array, bytes: Buffer, last: boolean): boolean
  release(id: number): number
  sweep(waitedMs: number): NativeBatch
  close(): void
}

export type NewReceiver = new (mostBodyBytes: number, onReady: () => void) => NativeReceiver

/** undefined: it is not in this addon. */
export function parseReceiver(loaded: object): NewReceiver | undefined {
  return 'NativeReceiver' in loaded && typeof loaded.NativeReceiver === 'function'
    ? (loaded.NativeReceiver as NewReceiver)
    : undefined
}

type OnGivenBack = (socket: Socket, heads: readonly KnownHead[]) => void

export interface Receiver {
  /** Of each request that node:http read, at its end. */
  count(request: IncomingMessage): void
  /** Takes the connection over where it is sure that nothing of a next request was read. */
  adopt(socket: Socket, heads: readonly KnownHead[]): void
  /** Resolves when those that had a request under way are answered, at the latest after CLOSING_MS. */
  close(): Promise<void>
}

/** On the server's own sockets; `onGivenBack` hears of those that come back. */
export function openReceiver(Native: NewReceiver, server: Server, deps: TakeDeps, onGivenBack: OnGivenBack): Receiver {
  return new AddonReceiver(Native, server, deps, onGivenBack)
}

/** A sender whose connection comes back more often has heads that change: it stays with node:http. */
const MOST_TURNS = 8
/** An insert takes less. */
const CLOSING_MS = 10_000
/** What a sender waits longer at most. */
const LOOK_EVERY_MS = 5

interface Connection {
  heads: readonly KnownHead[]
  address: string
  turns: number
}

class AddonReceiver implements Receiver {
  readonly #native: NativeReceiver
  readonly #server: Server
  readonly #deps: TakeDeps
  readonly #onGivenBack: OnGivenBack
  /** By the addon's numbers. */
  readonly #connections: Connection[] = []
  /** Bytes that the requests of a socket had, less those that were read before it was Node's: NaN where that is not known. */
  readonly #counted = new WeakMap<Socket, number>()
  readonly #turns = new WeakMap<Socket, number>()
  readonly #sweeping: NodeJS.Timeout
  #isLooking = false
  #answers = new Map<Answer, number[]>()
  #underWay = 0
  #answered: (() => void) | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor(Native: NewReceiver, server: Server, deps: TakeDeps, onGivenBack: OnGivenBack) {
    this.#server = server
    this.#deps = deps
    this.#onGivenBack = onGivenBack
    this.#native = new Native(deps.maxBodyBytes, () => this.#lookSoon())
    const keptMs = server.keepAliveTimeout > 0 ? server.keepAliveTimeout : Number.POSITIVE_INFINITY
    const sweep = () => this.#take(this.#native.sweep(keptMs))
    this.#sweeping = setInterval(sweep, Math.min(5000, Math.max(50, keptMs / 8))).unref()
  }

  count(request: IncomingMessage): void {
    const { socket } = request
    const counted = (this.#counted.get(socket) ?? 0) + bytesOf(request)
    this.#counted.set(socket, counted === socket.bytesRead ? counted : Number.NaN)
  }

  adopt(socket: Socket, heads: readonly KnownHead[]): void {
    const turns = this.#turns.get(socket) ?? 0
    if (turns >= MOST_TURNS || (this.#server.maxRequestsPerSocket ?? 0) > 0 || !heads.every(isKept)) return
    // When node:http is through with the answer, and before the event loop reads again.
    process.nextTick(() => {
      const fd = parseFd(socket)
      const { remoteAddress: address } = socket
      const idle = socket.bytesRead === this.#counted.get(socket) && socket.writableLength === 0 && socket.readable
      if (this.#state !== 'open' || fd === undefined || address === undefined || !idle) return
      try {
        const id = this.#native.add(
          fd,
          heads.map(({ url, fields }) => ({ url, fields })),
        )
        this.#connections[id] = { heads, address, turns: turns + 1 }
      } catch {
        // No descriptor is left: it stays where it is.
        return
      }
      // Closes Node's descriptor; the connection lives on in the addon's.
      socket.destroy()
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeping)
    this.#state = 'closing'
    this.#take(this.#native.sweep(0))
    if (this.#underWay > 0) {
      const { done, resolve } = openLatch()
      this.#answered = resolve
      const late = setTimeout(resolve, CLOSING_MS)
      await done
      clearTimeout(late)
    }
    this.#state = 'closed'
    this.#native.close()
  }

  /** While requests come they are looked for each LOOK_EVERY_MS: many together cost less than each on its own. */
  #look(): void {
    if (this.#state === 'closed') return
    const batch = this.#native.read()
    this.#take(batch)
    this.#isLooking = batch.more || batch.requests.length + batch.given.length > 0
    if (this.#isLooking) setTimeout(() => this.#look(), LOOK_EVERY_MS)
    else this.#native.resume()
  }

  #lookSoon(): void {
    if (this.#isLooking || this.#state === 'closed') return
    this.#isLooking = true
    this.#native.pause()
    this.#look()
  }

  #take({ bytes, requests, given }: NativeBatch): void {
    for (let at = 0; at < requests.length; at += REQUEST_WORDS) this.#request(bytes, requests, at)
    for (let at = 0; at < given.length; at += GIVEN_WORDS) {
      const [id = 0, fd = 0, from, to] = given.subarray(at, at + GIVEN_WORDS)
      this.#giveBack(id, fd, bytes.subarray(from, to))
    }
  }

  #request(bytes: Buffer, words: Uint32Array, at: number): void {
    const id = words[at] ?? 0
    const connection = this.#connections[id]
    const head = connection?.heads[words[at + 1] ?? 0]
    if (connection === undefined || head === undefined) return
    const sender = admit(this.#deps.senders, head)
    const to = words[at + 4]
    if (sender === REFUSED) {
      this.#giveBack(id, this.#native.release(id), bytes.subarray(words[at + 2], to))
      return
    }
    this.#deps.onTaken(connection.address, textOf(bytes, words[at + 7], words[at + 8]))
    this.#underWay++
    const batch = textOf(bytes, words[at + 5], words[at + 6])
    takeKnown(this.#deps, head, sender, bytes.subarray(words[at + 3], to), batch).then(answer =>
      this.#answer(id, answer),
    )
  }

  /** Those of a turn go together. */
  #answer(id: number, answer: Answer): void {
    if (this.#answers.size === 0) process.nextTick(() => this.#sendAnswers())
    const ids = this.#answers.get(answer)
    if (ids === undefined) this.#answers.set(answer, [id])
    else ids.push(id)
  }

  #sendAnswers(): void {
    const answers = this.#answers
    this.#answers = new Map()
    if (this.#state === 'closed') return
    const last = this.#state === 'closing'
    let more = false
    for (const [answer, ids] of answers) {
      this.#underWay -= ids.length
      const bytes = layoutAnswer(answer, last ? undefined : this.#server.keepAliveTimeout)
      more = this.#native.answer(Uint32Array.from(ids), bytes, last)
    }
    if (this.#underWay === 0) this.#answered?.()
    if (more) this.#lookSoon()
  }

  #giveBack(id: number, fd: number, bytes: Buffer): void {
    const connection = this.#connections[id]
    if (connection === undefined || fd < 0) return
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
    this.#counted.set(socket, -bytes.length)
    this.#turns.set(socket, connection.turns)
    this.#onGivenBack(socket, connection.heads)
    socket.unshift(bytes)
    this.#server.emit('connection', socket)
  }
}

const textOf = (bytes: Buffer, from = 0, to = 0): string | undefined =>
  from === to ? undefined : bytes.toString('latin1', from, to)

/** As it came, if it was written as nearly all write it; else another number than the socket's. */
function bytesOf({ method = '', url = '', httpVersion, rawHeaders, headers }: IncomingMessage): number {
  let bytes = `${method} ${url} HTTP/${httpVersion}\r\n\r\n`.length + 2 * rawHeaders.length
  for (const text of rawHeaders) bytes += text.length
  return bytes + Number(headers['content-length'] ?? 0)
}

/** Whether the connection stays open after such a request, and the addon can tell what varies in it. */
function isKept({ fields }: KnownHead): boolean {
  const names = fields.filter((_, i) => i % 2 === 0).map(name => name.toLowerCase())
  const connection = fields[2 * names.indexOf('connection') + 1]
  const once = [...VARIES].every(name => names.indexOf(name) === names.lastIndexOf(name))
  const kept = !names.includes('connection') || connection?.toLowerCase() === 'keep-alive'
  return once && kept && names.includes('content-length') && !names.includes('upgrade')
}

function parseFd(socket: Socket): number | undefined {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}

/** As node:http writes it. `keptMs`: how long the connection stays open; undefined: it ends. */
function layoutAnswer({ status, headers, body }: Answer, keptMs: number | undefined): Buffer {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`
  head += `Date: ${new Date().toUTCString()}\r\n`
  if (keptMs === undefined) head += 'Connection: close\r\n'
  else head += `Connection: keep-alive\r\n${keptMs > 0 ? `Keep-Alive: timeout=${Math.floor(keptMs / 1000)}\r\n` : ''}`
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), body])
}
