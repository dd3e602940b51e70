/**
 * Messages on their way. A message is in the store before anyone tries to send it and is taken out after its receiver said
 * yes, so each is delivered at least once, whatever dies in between. One that fails is tried again after 5 s, 10 s, 20 s …
 * up to 10 min; after MAX_TRIES it is dead: kept with its error, listed, and sent again when somebody asks.
 */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Book, Change } from './book.ts'
import { type Notice, toldKey } from './plan.ts'
import type { Receiver } from './receiver.ts'

export interface Delivery {
  id: string
  notice: Notice
  createdMs: number
  tries: number
  nextMs: number
  status: 'waiting' | 'dead'
  error: string
}

/** Throws when the receiver did not take it; the message says why. */
export type SendNotice = (receiver: Receiver, delivery: Delivery) => Promise<void>

export const MAX_TRIES = 10
const FIRST_WAIT_MS = 5_000
const MOST_WAIT_MS = 600_000
/** Dead ones beyond it are dropped, the oldest first, and counted. */
const MAX_DEAD = 1000
const AT_ONCE = 8

export const waitAfterTries = (tries: number): number => Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** (tries - 1))

export interface Outbox {
  /** What to write, together with what else changed; posted() after the store has it. */
  changesFor(notices: readonly Notice[], nowMs: number): Change[]
  /** Tries everything that is due. */
  deliver(receivers: ReadonlyMap<string, Receiver>, nowMs: number): Promise<void>
  list(): Delivery[]
  /** Groups with a message on its way. */
  underWay(): ReadonlySet<string>
  /** A dead one is sent again, or dropped. undefined: there is none of this id. */
  again(id: string, nowMs: number): Promise<Delivery | undefined>
  drop(id: string): Promise<boolean>
  /** Reads what an earlier process left. */
  restore(): Promise<void>
  readonly counters: { delivered: number; failed: number; dead: number; dropped: number }
}

export function openOutbox(book: Book, send: SendNotice, log: Logger): Outbox {
  return new StoredOutbox(book, send, log)
}

class StoredOutbox implements Outbox {
  readonly #book: Book
  readonly #send: SendNotice
  readonly #log: Logger
  #deliveries = new Map<string, Delivery>()
  readonly counters = { delivered: 0, failed: 0, dead: 0, dropped: 0 }

  constructor(book: Book, send: SendNotice, log: Logger) {
    this.#book = book
    this.#send = send
    this.#log = log
  }

  async restore(): Promise<void> {
    const kept = await this.#book.read('delivery')
    this.#deliveries = new Map(kept.map(({ id, record }) => [id, parseDelivery(record)]))
  }

  changesFor(notices: readonly Notice[], nowMs: number): Change[] {
    return notices.map(notice => {
      const id = randomUUID()
      const delivery: Delivery = { id, notice, createdMs: nowMs, tries: 0, nextMs: nowMs, status: 'waiting', error: '' }
      this.#deliveries.set(id, delivery)
      return { kind: 'delivery', id, record: delivery }
    })
  }

  async deliver(receivers: ReadonlyMap<string, Receiver>, nowMs: number): Promise<void> {
    const due = [...this.#deliveries.values()].filter(d => d.status === 'waiting' && d.nextMs <= nowMs)
    const changes: Change[] = []
    for (let at = 0; at < due.length; at += AT_ONCE) {
      const some = due.slice(at, at + AT_ONCE)
      changes.push(...(await Promise.all(some.map(d => this.#try(d, receivers.get(d.notice.receiver), nowMs)))))
    }
    await this.#book.write([...changes, ...this.#dropOldest()])
  }

  async #try(delivery: Delivery, receiver: Receiver | undefined, nowMs: number): Promise<Change> {
    try {
      if (receiver === undefined) throw new Error(`there is no receiver ${delivery.notice.receiver} any more`)
      await this.#send(receiver, delivery)
      this.counters.delivered++
      this.#deliveries.delete(delivery.id)
      return { kind: 'delivery', id: delivery.id, record: null }
    } catch (cause) {
      const error = cause instanceof Error ? cause.message : String(cause)
      return { kind: 'delivery', id: delivery.id, record: this.#failed(delivery, error, nowMs) }
    }
  }

  #failed(delivery: Delivery, error: string, nowMs: number): Delivery {
    const tries = delivery.tries + 1
    const dead = tries >= MAX_TRIES
    this.counters.failed++
    if (dead) this.counters.dead++
    const next: Delivery = {
      ...delivery,
      tries,
      error,
      nextMs: nowMs + waitAfterTries(tries),
      status: dead ? 'dead' : 'waiting',
    }
    this.#deliveries.set(delivery.id, next)
    this.#log.warn(
      { receiver: delivery.notice.receiver, tries, error },
      dead ? 'alerts: given up, see the dead letters' : 'alerts: not delivered, tried again',
    )
    return next
  }

  #dropOldest(): Change[] {
    const dead = this.list().filter(d => d.status === 'dead')
    return dead.slice(0, Math.max(0, dead.length - MAX_DEAD)).map(({ id }) => {
      this.#deliveries.delete(id)
      this.counters.dropped++
      return { kind: 'delivery', id, record: null }
    })
  }

  list(): Delivery[] {
    return [...this.#deliveries.values()].sort((a, b) => a.createdMs - b.createdMs)
  }

  underWay(): ReadonlySet<string> {
    const waiting = this.list().filter(d => d.status === 'waiting')
    return new Set(waiting.map(({ notice }) => toldKey(notice.receiver, notice.group)))
  }

  async again(id: string, nowMs: number): Promise<Delivery | undefined> {
    const known = this.#deliveries.get(id)
    if (!known) return undefined
    const next: Delivery = { ...known, status: 'waiting', tries: 0, nextMs: nowMs }
    await this.#book.write([{ kind: 'delivery', id, record: next }])
    this.#deliveries.set(id, next)
    return next
  }

  async drop(id: string): Promise<boolean> {
    if (!this.#deliveries.has(id)) return false
    await this.#book.write([{ kind: 'delivery', id, record: null }])
    return this.#deliveries.delete(id)
  }
}

/** Written by this file. */
const parseDelivery = (record: unknown): Delivery => record as Delivery
