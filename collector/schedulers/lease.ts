/**
 * A thousand collectors could be configured to ask the scheduler, and one does: before it asks, each claims that from the
 * receiver (ingest/pollers.ts), in a request of its own to /v1/jobs. A receiver that knows no such claims, or does not answer,
 * holds nobody up.
 */
import type { PollerClaim } from '../../ingest/records.ts'
import type { Send } from '../outbox.ts'

export interface Lease {
  /** Claims it for so long. Who has it instead, in words for people; undefined: this one may ask. */
  hold(forMs: number): Promise<string | undefined>
  /** Lets the next one have it at once. */
  release(): Promise<void>
}

export function openLease(claim: Omit<PollerClaim, 'forMs'>, send: Send): Lease {
  let held = false
  const ask = async (forMs: number) => {
    const sent = await send('jobs', Buffer.from(JSON.stringify({ [CLAIM]: { ...claim, forMs: Math.round(forMs) } })))
    return !sent.ok && sent.held ? sent.message : undefined
  }
  return {
    async hold(forMs) {
      const other = await ask(forMs)
      held = other === undefined
      return other
    },
    async release() {
      if (held) await ask(0)
      held = false
    },
  }
}

const CLAIM = 'poller'

/** For who looks and sends nothing: of all that is given to it, the claims alone go out. */
export const sendClaims =
  (send: Send): Send =>
  async (door, body) => {
    const isClaim = door === 'jobs' && Buffer.from(body).toString('latin1', 0, CLAIM.length + 4) === `{"${CLAIM}":`
    return isClaim ? send(door, body) : { ok: true }
  }
