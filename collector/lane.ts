import type { Door } from './outbox.ts'
import type { Spooled } from './spool.ts'

export interface Batch extends Spooled {
  body: Uint8Array | undefined
  onDisk: boolean
}

/** The batches of one door, oldest first (a Set keeps the order in which they came). */
export class Lane {
  readonly door: Door
  readonly batches = new Set<Batch>()
  isDraining = false
  drained: Promise<void> = Promise.resolve()
  inFlight: Batch | undefined
  failures = 0
  closing = false
  private wake: (() => void) | undefined

  constructor(door: Door) {
    this.door = door
  }

  head(): Batch | undefined {
    return this.batches.values().next().value
  }

  sleep(ms: number): Promise<void> {
    if (this.closing) return Promise.resolve()
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** No more waiting between attempts; the first failure from now on ends the lane. */
  hurry(): void {
    this.closing = true
    this.wake?.()
  }
}
