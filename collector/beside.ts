/**
 * Looks that may take long: a program, a sensor behind a slow bus, a file server that hangs. They are made beside the ticks,
 * one at a time; a tick takes what the newest one found and never waits.
 *
 *   tick   |    |    |    |    |    |    |    |
 *   look    ├─┤       ├─┤       ├───────── …      not ended after withinMs: it is told to stop, the ticks are told that it
 *                                                 is stuck, and none is started beside it
 */
import { SourceError } from './kernelfile.ts'
import type { Tick } from './source.ts'

export interface BesideOptions {
  /** What is looked at, for the message of a look that is stuck. */
  what: string
  everyMs: number
  withinMs: number
}

export interface Beside<T> {
  /** What the newest look found; undefined before the first has ended. Throws what made it fail, or that it is stuck. */
  newest(tick: Tick): T | undefined
  close(): void
}

export function openBeside<T>(look: (signal: AbortSignal) => Promise<T>, options: BesideOptions): Beside<T> {
  return new Looks(look, options)
}

class Looks<T> implements Beside<T> {
  private readonly look: (signal: AbortSignal) => Promise<T>
  private readonly options: BesideOptions
  private ending: AbortController | undefined
  private startedMs = Number.NEGATIVE_INFINITY
  private found: { value: T } | { error: unknown } | undefined
  private closed = false

  constructor(look: (signal: AbortSignal) => Promise<T>, options: BesideOptions) {
    this.look = look
    this.options = options
  }

  newest({ monotonicMs }: Tick): T | undefined {
    const { everyMs, withinMs, what } = this.options
    const tookMs = monotonicMs - this.startedMs
    if (this.ending === undefined) {
      // ticks come some milliseconds early or late
      if (tookMs > everyMs - 500) this.start(monotonicMs)
    } else if (tookMs > withinMs) {
      this.ending.abort()
      throw new SourceError(`${what} has not answered for ${Math.round(tookMs / 1000)} s`)
    }
    if (this.found === undefined) return undefined
    if ('error' in this.found) throw this.found.error
    return this.found.value
  }

  private start(monotonicMs: number): void {
    if (this.closed) return
    const ending = new AbortController()
    this.ending = ending
    this.startedMs = monotonicMs
    this.look(ending.signal)
      .then(
        value => ({ value }),
        (error: unknown) => ({ error }),
      )
      .then(found => {
        this.found = found
        this.ending = undefined
      })
  }

  close(): void {
    this.closed = true
    this.ending?.abort()
  }
}
