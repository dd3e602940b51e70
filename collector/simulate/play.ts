/**
 * Traffic -> send, several requests under way at once, since each is answered only after the database has it. What is
 * refused for now is sent again; what is refused for good is counted and said once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Send } from '../outbox.ts'
import type { Traffic } from './cluster.ts'

export interface PlayCounters {
  requests: number
  bytes: number
  retries: number
  refused: number
}

export interface PlayDeps {
  send: Send
  log: Logger
  signal: AbortSignal
  /** Of requests that wait for their answer. */
  maxBytesUnderWay?: number
}

const RETRY_MS = 1000

export async function play(traffic: AsyncIterable<Traffic>, deps: PlayDeps): Promise<PlayCounters> {
  const counters: PlayCounters = { requests: 0, bytes: 0, retries: 0, refused: 0 }
  const most = deps.maxBytesUnderWay ?? 24 << 20
  const underWay = new Set<Promise<void>>()
  let bytes = 0
  for await (const request of traffic) {
    if (deps.signal.aborted) break
    while (bytes + request.body.length > most && underWay.size > 0) await Promise.race(underWay)
    bytes += request.body.length
    const sending = sendUntilTaken(request, deps, counters).finally(() => {
      bytes -= request.body.length
      underWay.delete(sending)
    })
    underWay.add(sending)
  }
  await Promise.all(underWay)
  return counters
}

async function sendUntilTaken({ door, body }: Traffic, deps: PlayDeps, counters: PlayCounters): Promise<void> {
  for (;;) {
    const sent = await deps.send(door, body)
    if (sent.ok) {
      counters.requests++
      counters.bytes += body.length
      return
    }
    if (sent.permanent || deps.signal.aborted) {
      if (counters.refused++ === 0) deps.log.error(`simulated ${door} refused: ${sent.message}`)
      return
    }
    counters.retries++
    await sleep(sent.retryAfterMs ?? RETRY_MS, undefined, { signal: deps.signal }).catch(() => undefined)
  }
}
