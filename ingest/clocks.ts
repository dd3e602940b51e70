/**
 * Clocks of senders beside this machine's. Values are stored under the time that their node gave them, so a node whose clock is
 * off is drawn beside its neighbours' past; nothing is shifted, since what a step of its clock moved cannot be told afterwards.
 * It is said instead, with what to do.
 *
 *   sent 14:00:42 ──▶ arrived 14:00:00     42 s ahead; what is behind may also have been on its way for so long
 */
import type { Logger } from 'pino'

/** When the request left, by the clock of the sender, ms since the epoch. */
export const SENT_HEADER = 'jobsight-sent-ms'

const AHEAD_MS = 2000
/** More than a slow network and a busy server take. */
const BEHIND_MS = 10_000
const SAY_AGAIN_MS = 3_600_000
const MOST_SENDERS = 20_000

export class Clocks {
  readonly counters = { skewedRequests: 0 }
  readonly #log: Logger
  readonly #said = new Map<string, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** `from` is an address; `sent` the header as it came. */
  look(from: string, sent: string | undefined, nowMs: number): void {
    const offsetMs = Number(sent ?? Number.NaN) - nowMs
    if (!(offsetMs > AHEAD_MS || offsetMs < -BEHIND_MS)) return
    this.counters.skewedRequests++
    if (nowMs - (this.#said.get(from) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN_MS) return
    if (this.#said.size >= MOST_SENDERS) this.#said.clear()
    this.#said.set(from, nowMs)
    const seconds = Math.round(Math.abs(offsetMs) / 1000)
    this.#log.warn(
      `ingest: the clock of the collector at ${from} is ${seconds} s ${offsetMs > 0 ? 'ahead of' : 'behind'} this machine's: its values are drawn at the wrong time; run \`chronyc tracking\` there and here`,
    )
  }
}
