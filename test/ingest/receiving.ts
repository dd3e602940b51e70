/** A server whose requests the addon reads, or node:http alone; and clients that write bytes as they are told. */
import net, { type AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { onTestFinished } from 'vitest'
import type { IngestConfig } from '../../ingest/config.ts'
import { openLatch } from '../../ingest/latch.ts'
import { GIVEN_WORDS, type NewReceiver, REQUEST_WORDS } from '../../ingest/receiver.ts'
import type { Senders } from '../../ingest/senders.ts'
import type { Store } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { freshIngest, receiver, rows } from './place.ts'

/** Times of loads count from here, in seconds. */
export const T = Math.floor(Date.now() / 1000) * 1000 - 60_000
let nodes = 0

export interface Options {
  senders?: Senders
  config?: IngestConfig
  /** What stands for the store's. */
  insert?: Store['insert']
  keepAliveTimeout?: number
}

type Native = InstanceType<NewReceiver>

/** The addon's, counting what it reads and what it gives back. */
function counting() {
  const counts = { byAddon: 0, given: 0 }
  const counted = (batch: ReturnType<Native['read']>) => {
    counts.byAddon += batch.requests.length / REQUEST_WORDS
    counts.given += batch.given.length / GIVEN_WORDS
    return batch
  }
  const Counting: NewReceiver = class {
    readonly #native: Native
    constructor(...args: ConstructorParameters<NewReceiver>) {
      if (receiver === undefined) throw new Error('the addon is not built')
      this.#native = new receiver(...args)
    }
    add: Native['add'] = (...args) => this.#native.add(...args)
    pause = () => this.#native.pause()
    resume = () => this.#native.resume()
    read = () => counted(this.#native.read())
    answer: Native['answer'] = (...args) => this.#native.answer(...args)
    release: Native['release'] = id => this.#native.release(id)
    sweep: Native['sweep'] = waitedMs => counted(this.#native.sweep(waitedMs))
    close = () => this.#native.close()
  }
  return { counts, Counting }
}

/** `byAddon()`: how many requests the addon read. */
export async function openServer(
  store: Store,
  by: 'node:http' | 'addon',
  { senders, config, insert, keepAliveTimeout }: Options = {},
) {
  const node = `r${++nodes}`
  const { counts, Counting } = counting()
  const { ingest } = await freshIngest({
    store: insert === undefined ? store : { ...store, insert },
    config: { maxBodyBytes: 2000, ...config },
    ...(senders === undefined ? {} : { senders }),
    receiver: by === 'addon' ? Counting : undefined,
  })
  const app = Fastify({ keepAliveTimeout: keepAliveTimeout ?? 72_000 })
  app.get('/hello', async () => 'hello')
  await app.register(ingest.plugin)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  onTestFinished(() => app.close())
  const load = (n: number) => loadOf(node, n)
  const points = async () => {
    const found = await rows<{ n: number }>(
      store,
      `SELECT toInt32(toUnixTimestamp(time) - ${T / 1000}) AS n FROM node_points WHERE node = '${node}' ORDER BY n`,
    )
    return found.map(row => row.n)
  }
  return { app, port, ingest, load, points, byAddon: () => counts.byAddon, given: () => counts.given }
}

const loadOf = (node: string, n: number): Buffer =>
  Buffer.from(
    metricsProtobuf([
      {
        attributes: { 'host.name': node },
        metrics: [{ name: 'system.cpu.load_average.1m', gauge: [{ timeMs: T + n * 1000, asDouble: n }] }],
      },
    ]),
  )

export interface Client {
  write(bytes: Buffer | string): void
  /** The next whole answer, with its date taken out; what there is when the connection ends. */
  answer(): Promise<string>
  ended: Promise<void>
  socket: net.Socket
}

export function connect(port: number): Client {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  let text = ''
  let waiting: (() => void) | undefined
  const ended = openLatch()
  const end = () => {
    ended.resolve()
    waiting?.()
  }
  let isEnded = false
  socket.on('data', part => {
    text += part.toString('latin1')
    waiting?.()
  })
  socket.on('error', () => {})
  for (const event of ['end', 'close'])
    socket.on(event, () => {
      isEnded = true
      end()
    })
  const whole = (): number | undefined => {
    const head = text.indexOf('\r\n\r\n') + 4
    if (head < 4) return undefined
    const length = head + Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
    return text.length >= length ? length : undefined
  }
  const answer = async () => {
    for (let length = whole(); ; length = whole()) {
      if (length !== undefined || isEnded) {
        const found = text.slice(0, length)
        text = text.slice(found.length)
        return found.replace(/Date: .*\r\n/, '')
      }
      await new Promise<void>(done => {
        waiting = done
      })
    }
  }
  return { write: bytes => void socket.write(bytes), answer, ended: ended.done, socket }
}

export interface Request {
  url?: string
  headers?: Record<string, string>
  body: Uint8Array
}

export function request({ url = '/v1/metrics', headers = {}, body }: Request): Buffer {
  const all = { host: 'a:1', 'content-type': 'application/x-protobuf', 'content-length': body.length, ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`POST ${url} HTTP/1.1\r\n${lines.join('')}\r\n`), body])
}
