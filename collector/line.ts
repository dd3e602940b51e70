/**
 * The wire of the control line: a WebSocket that this collector opens to its endpoint, so that it passes wherever its
 * metrics pass. The server pings it; one that hears nothing for two pings is dead, whatever TCP thinks.
 */
import { WebSocket } from 'ws'
import type { FromCollector } from '../ingest/records.ts'
import { type Credentials, NO_CREDENTIALS } from './credentials.ts'

export interface Wire {
  send(frame: FromCollector): void
  close(): void
}

export interface WireEvents {
  hear(frame: unknown): void
  gone(why: string): void
}

/** Resolves when the line is open; rejects with what to do where it cannot be. Then `gone` is called exactly once. */
export type OpenWire = (events: WireEvents) => Promise<Wire>

/** The server pings every 25 s. */
const SILENT_MS = 60_000
const OPEN_WITHIN_MS = 15_000
const MAX_FRAME_BYTES = 64 << 10

/** `endpoint` as OTEL_EXPORTER_OTLP_ENDPOINT has it; credentials as for all that is sent there. */
export function webSocketWire(endpoint: string, credentials: Credentials = NO_CREDENTIALS): OpenWire {
  const url = new URL('v1/control', endpoint.endsWith('/') ? endpoint : `${endpoint}/`)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return events =>
    new Promise((resolve, reject) => {
      const headers = credentials.headers()
      const socket = new WebSocket(url, {
        ...credentials.tls,
        headers,
        handshakeTimeout: OPEN_WITHIN_MS,
        maxPayload: MAX_FRAME_BYTES,
      })
      let open = false
      let why = 'the server closed it'
      const silence = setTimeout(() => socket.terminate(), SILENT_MS)
      silence.unref()
      socket.on('open', () => {
        open = true
        resolve({ send: frame => socket.send(JSON.stringify(frame)), close: () => socket.close(1000) })
      })
      socket.on('ping', () => silence.refresh())
      socket.on('message', text => {
        silence.refresh()
        events.hear(parseFrame(String(text)))
      })
      socket.on('error', error => {
        why = error.message
      })
      socket.on('close', (code, reason) => {
        clearTimeout(silence)
        const told = reason.length > 0 ? `${reason} (${code})` : why
        if (open) events.gone(told)
        else reject(new Error(`${url.href}: ${told}`))
      })
    })
}

function parseFrame(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
