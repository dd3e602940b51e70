/**
 * WebSocket /live: points as they are stored. A browser asks for a cluster's nodes and metrics; each write that touches them
 * is one frame. A slow reader loses frames, never the server its memory: while its socket holds more than MAX_WAITING bytes
 * frames are dropped and counted, and the next one that goes says how many. A reader who does not see all gets the values of
 * nodes on which own jobs run, and none after the sign-in has run out.
 */
import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { EntityPoint } from '../ingest/latest.ts'
import { COLUMNS } from '../ingest/metrics.ts'
import type { Who } from './access/who.ts'
import { readAlerts } from './alerts/answers.ts'
import type { AlertDesk } from './alerts/service.ts'
import { type Burst, type LiveAlerts, LiveAsk, type LiveBurst, type LivePoints } from './api.ts'
import type { Desk, Room } from './desk.ts'
import { readOwnNow } from './newest.ts'
import { type Own, seesBurst, seesNode } from './reach.ts'

type OnBurst = (listener: (burst: Burst) => void) => () => void
export type OnWritten = (listener: (points: readonly EntityPoint[]) => void) => () => void

/** What readers are told of. */
export interface LiveFeeds {
  onWritten: OnWritten
  onBurst: OnBurst
  alerts: AlertDesk
}

const MAX_READERS = 500
/** Tabs that one person keeps open. */
const MAX_OF_ONE = 50
const MAX_WAITING = 1 << 20
const PING_MS = 30_000

const isAsk = new Ajv({ strict: false }).compile<LiveAsk>(LiveAsk)
const COLUMN = new Map(COLUMNS.node.map((metric, i) => [metric.column, i]))

/** How often is looked which own jobs run. */
const LOOK_MS = 10_000

/** One open socket and what it asked for. */
class Reader {
  readonly user: string
  readonly #socket: WebSocket
  readonly #desk: () => Desk
  readonly #alerts: AlertDesk
  readonly #untilMs: number
  /** What the reader may see; nothing until it is known. */
  #own: Own | undefined = { jobs: [], nodes: [], user: '' }
  #ask: LiveAsk | undefined
  #nodes: Set<string> | undefined
  #columns: number[] = []
  #dropped = 0
  #alive = true

  constructor(socket: WebSocket, desk: () => Desk, alerts: AlertDesk, who: Who | undefined) {
    this.user = who?.user ?? ''
    this.#socket = socket
    this.#desk = desk
    this.#alerts = alerts
    this.#untilMs = who?.untilMs ?? Number.POSITIVE_INFINITY
    if (desk().asker.reach.only === undefined) this.#own = undefined
    socket.on('message', text => this.#hear(text))
    socket.on('pong', () => {
      this.#alive = true
    })
    socket.on('error', () => socket.terminate())
  }

  /** Every PING_MS; one that did not answer the last is gone. */
  ping(): void {
    if (this.#alive) this.#socket.ping()
    else this.#socket.terminate()
    this.#alive = false
  }

  /** Which own jobs run changes all the time. Where it cannot be read, what was known stays until it can. */
  async look(): Promise<void> {
    const desk = this.#desk()
    if (desk.asker.nowMs >= this.#untilMs) this.#socket.close(4401, 'the sign-in has run out')
    else if (this.#ask && this.#own) this.#own = await readOwnNow(desk, this.#ask.cluster)
  }

  close(): void {
    this.#socket.close(1001, 'the server is stopping')
  }

  tell(points: readonly EntityPoint[]): void {
    const ask = this.#ask
    if (!ask) return
    const touched = points.filter(
      point =>
        point.entity === 'node' &&
        point.cluster === ask.cluster &&
        (this.#nodes?.has(point.node) ?? true) &&
        seesNode(this.#own, point.node, point.timeMs),
    )
    if (touched.length === 0) return
    if (this.#socket.bufferedAmount > MAX_WAITING) {
      this.#dropped++
      return
    }
    const byTime = new Map<number, EntityPoint[]>()
    for (const point of touched) {
      const together = byTime.get(point.timeMs)
      if (together) together.push(point)
      else byTime.set(point.timeMs, [point])
    }
    for (const [time, together] of byTime) this.#send(ask, time, together)
  }

  tellBurst(burst: Burst): void {
    const ask = this.#ask
    if (ask?.bursts !== true || ask.cluster !== burst.cluster || this.#socket.bufferedAmount > MAX_WAITING) return
    if (!seesBurst(this.#own, burst)) return
    const frame: LiveBurst = { burst }
    this.#socket.send(JSON.stringify(frame))
  }

  async tellAlerts(cluster: string): Promise<void> {
    const ask = this.#ask
    if (ask?.alerts !== true || ask.cluster !== cluster || this.#socket.bufferedAmount > MAX_WAITING) return
    const { firing, critical } = await readAlerts(this.#desk(), this.#alerts, { cluster })
    const frame: LiveAlerts = { alerts: { cluster, firing, critical } }
    this.#socket.send(JSON.stringify(frame))
  }

  #send(ask: LiveAsk, time: number, points: readonly EntityPoint[]): void {
    const frame: LivePoints = {
      cluster: ask.cluster,
      time,
      nodes: points.map(point => point.node),
      values: this.#columns.map(column => points.map(point => cellOf(point, column))),
      dropped: this.#dropped,
    }
    this.#socket.send(JSON.stringify(frame))
  }

  #hear(text: RawData): void {
    const ask = parseAsk(String(text))
    if (typeof ask === 'string') {
      this.#socket.send(JSON.stringify({ error: { code: 'bad_request', message: ask } }))
      return
    }
    this.#ask = ask
    this.#nodes = ask.nodes && new Set(ask.nodes)
    this.#columns = ask.metrics.map(name => COLUMN.get(name) ?? -1)
    if (this.#own) this.#own = { jobs: [], nodes: [], user: '' }
    this.look().catch(() => {})
    // Of a cluster that is not known nothing fires.
    this.tellAlerts(ask.cluster).catch(() => {})
  }
}

const cellOf = (point: EntityPoint, column: number): number | null => {
  const value = point.values[column] ?? Number.NaN
  return Number.isNaN(value) ? null : value
}

/** What it asks, or what is wrong with it. */
function parseAsk(text: string): LiveAsk | string {
  let ask: unknown
  try {
    ask = JSON.parse(text)
  } catch {
    return 'what came is not JSON: send {cluster, metrics, nodes?}'
  }
  if (!isAsk(ask)) {
    const first = isAsk.errors?.[0]
    return `send {cluster, metrics, nodes?}: ${first?.instancePath.slice(1) ?? ''} ${first?.message ?? ''}`.trim()
  }
  const wrong = ask.metrics.find(name => !COLUMN.has(name))
  return wrong === undefined ? ask : `metric ${wrong} is not a column of entity node; see /api/v1/catalogue`
}

export async function addLive(app: FastifyInstance, room: Room, feeds: LiveFeeds): Promise<void> {
  const { onWritten, onBurst, alerts } = feeds
  const readers = new Set<Reader>()
  const stop = onWritten(points => {
    for (const reader of readers) reader.tell(points)
  })
  const stopBursts = onBurst(burst => {
    for (const reader of readers) reader.tellBurst(burst)
  })
  const stopAlerts = alerts.evaluator.onChange(cluster => {
    for (const reader of readers)
      reader.tellAlerts(cluster).catch(error => app.log.warn({ err: error }, 'live: alerts not told'))
  })
  const pings = setInterval(() => {
    for (const reader of readers) reader.ping()
  }, PING_MS)
  pings.unref()
  const looks = setInterval(() => {
    for (const reader of readers) reader.look().catch(error => app.log.warn({ err: error }, 'live: own jobs not read'))
  }, LOOK_MS)
  looks.unref()
  app.addHook('preClose', async () => {
    stop()
    stopBursts()
    stopAlerts()
    clearInterval(pings)
    clearInterval(looks)
    for (const reader of readers) reader.close()
  })
  app.get(
    '/live',
    {
      websocket: true,
      config: { access: 'rows' },
      schema: { summary: 'WebSocket: points as they are stored', hide: true },
    },
    (socket, { who }) => {
      if (readers.size >= MAX_READERS) return socket.close(1013, 'too many readers: try again later')
      const desk = () => room.desk({ who, signal: undefined })
      const of = who?.user ?? ''
      if (of !== '' && [...readers].filter(reader => reader.user === of).length >= MAX_OF_ONE)
        return socket.close(1013, `${MAX_OF_ONE} pages of ${of} are open: close some`)
      const reader = new Reader(socket, desk, alerts, who)
      readers.add(reader)
      socket.on('close', () => readers.delete(reader))
    },
  )
}
