/** What every door does first and last: sheds load, inflates the body, and says what went wrong. */
import type { IngestConfig } from './config.ts'
import { BodyError, StoreError } from './errors.ts'
import type { Receipt } from './index.ts'
import { inflate } from './otlp/body.ts'
import type { Writer } from './writer.ts'

/** Takes a body in at a door. `enter` gets the bytes as they were meant. */
export type Admit = (
  body: Uint8Array,
  encoding: string,
  enter: (inflated: Uint8Array) => Promise<Receipt>,
) => Promise<Receipt>

export interface Admission {
  admit: Admit
  counters(): Record<string, number>
}

export function openAdmission(writer: Writer, config: Required<IngestConfig>): Admission {
  const refused = { malformed: 0, too_large: 0, unsupported: 0, overload: 0, store: 0 }
  return {
    async admit(body, encoding, enter) {
      if (writer.queuedBytes > config.maxQueuedBytes) {
        refused.overload++
        return later(429, writer, 'more arrives than the store takes')
      }
      try {
        const inflated = inflate(body, encoding, config.maxInflatedBytes)
        return await enter(inflated instanceof Uint8Array ? inflated : await inflated)
      } catch (error) {
        if (error instanceof BodyError) {
          refused[error.code]++
          return { status: error.status, rejected: 0, message: error.message }
        }
        if (!(error instanceof StoreError)) throw error
        refused.store++
        return later(503, writer, `the store did not take it: ${error.message}`)
      }
    },
    counters: () => ({
      refusedMalformed: refused.malformed,
      refusedTooLarge: refused.too_large,
      refusedUnsupported: refused.unsupported,
      refusedOverload: refused.overload,
      refusedStore: refused.store,
    }),
  }
}

const later = (status: 429 | 503, writer: Writer, message: string): Receipt => ({
  status,
  retryAfterSeconds: Math.min(60, Math.max(1, writer.drainSeconds)),
  rejected: 0,
  message: `${message}; send it again later`,
})
