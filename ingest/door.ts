/** What the three doors share. */
import type { Logger } from 'pino'
import type { IngestConfig } from './config.ts'
import type { Receipt } from './index.ts'
import type { Intern } from './otlp/intern.ts'
import { Reader } from './otlp/reader.ts'
import type { Sending } from './sendergate.ts'
import type { Sender } from './senders.ts'
import type { Retention } from './tables/migrate.ts'
import type { Writer } from './writer.ts'

export interface DoorDeps {
  log: Logger
  now: () => number
  defaultCluster: string
  config: Required<IngestConfig>
  retentionDays: Retention
  writer: Writer
  intern: Intern
  /** Who sent what is being taken in. */
  sending: Sending
}

const DAY_MS = 86_400_000

/** Records outside of this are refused: older ones the store would drop at once, later ones have a wrong clock; a sender's cluster. */
export function timeLimits(
  deps: DoorDeps,
  kept: 'points' | 'samples',
): { nowMs: number; fromMs: number; toMs: number; sender: Sender | undefined } {
  const nowMs = deps.now()
  const sender = deps.sending.getStore()
  return { nowMs, fromMs: nowMs - deps.retentionDays[kept] * DAY_MS, toMs: nowMs + deps.config.futureMs, sender }
}

/** 200, with what was refused; a message without refusals is a warning. */
export const accepted = (rejected: number, reasons: readonly string[]): Receipt => ({
  status: 200,
  rejected,
  ...(reasons.length > 0 ? { message: `${rejected > 0 ? `${rejected} refused: ` : ''}${reasons.join('; ')}` } : {}),
})

/** What the protobuf library throws at nonsense (a read past the end, a number of 11 bytes) is the sender's error too. */
export function decodeSafely<T>(body: Uint8Array, intern: Intern, decode: (reader: Reader) => T, wire = 'OTLP'): T {
  const reader = new Reader(body, intern, wire)
  try {
    return decode(reader)
  } catch (error) {
    if (error instanceof RangeError || (error instanceof Error && /varint|Unimplemented type/.test(error.message))) {
      throw reader.error(error.message)
    }
    throw error
  }
}
