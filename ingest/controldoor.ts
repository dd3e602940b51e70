/**
 * The control line over HTTP: WebSocket /v1/control. It is the collector that calls, so it crosses whatever lets its metrics
 * through. A line that does not answer a ping until the next one is gone.
 */
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { Control, LineEnd } from './control.ts'

export const CONTROL_PATH = '/v1/control'
const MAX_LINES = 20_000
/** Proxies close what is silent for a minute. */
const PING_MS = 25_000
/** What readers of /api/v1/live may send, too: a server has one WebSocket plugin. */
const MAX_FRAME_BYTES = 256 << 10

/**
 * Registered for the whole server it serves all its parts; where it is there already, nothing happens. Before every hook that refuses: it
 * closes the connections of those that were refused, which otherwise stay until the process ends.
 */
export const webSocket: FastifyPluginAsync = Object.assign(
  async (app: FastifyInstance) => {
    if (app.hasDecorator('websocketServer')) return
    await app.register(websocket, { options: { maxPayload: MAX_FRAME_BYTES } })
  },
  // What it adds is the caller's too: https://fastify.dev/docs/latest/Reference/Plugins/#handle-the-scope
  { [Symbol.for('skip-override')]: true },
)

export function addControlDoor(app: FastifyInstance, control: Control): void {
  const alive = new Map<WebSocket, boolean>()
  const pings = setInterval(() => {
    for (const [socket, answered] of alive) {
      if (answered) socket.ping()
      else socket.terminate()
      alive.set(socket, false)
    }
  }, PING_MS)
  pings.unref()
  app.addHook('preClose', async () => {
    clearInterval(pings)
    for (const socket of alive.keys()) socket.close(1001, 'the server is stopping')
  })
  const route = { websocket: true, config: { access: 'collector' }, schema: { hide: true } as object } as const
  app.get(CONTROL_PATH, route, (socket, { sender }) => {
    if (alive.size >= MAX_LINES) return socket.close(1013, 'too many lines: try again later')
    alive.set(socket, true)
    const end = control.join({
      send: frame => socket.send(JSON.stringify(frame)),
      close: reason => socket.close(1008, reason),
      sender,
    })
    socket.on('pong', () => alive.set(socket, true))
    socket.on('message', text => hear(end, text))
    socket.on('error', () => socket.terminate())
    socket.on('close', () => {
      alive.delete(socket)
      end.gone()
    })
  })
}

function hear(end: LineEnd, text: RawData): void {
  let frame: unknown
  try {
    frame = JSON.parse(String(text))
  } catch {
    // Not JSON: refused like all that is no frame.
  }
  end.hear(frame)
}
