/**
 * The only way out of the collector. Each door has a lane of its own, in order: profiles that nobody takes hold up no metrics.
 *
 *   put -> memory -> send -> gone
 *             |        |
 *             |        +- busy, away: all of the lane goes to disk, again after 1, 2, 4 … 60 s (or when the receiver says)
 *             |        +- refused for good: counted, said once, dropped
 *             +- memory full, or the lane waits already: to disk; disk full: the oldest is dropped, and counted
 *
 * What a batch costs when it is taken at once is no disk access at all. kill -9 loses what is in memory: the one batch that
 * is on its way, or none. A batch whose receipt got lost is sent again under the same name, so a receiver can store it once.
 */
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { type Batch, Lane } from './lane.ts'
import { openSpool, type Spool } from './spool.ts'

export { httpSend } from './httpsend.ts'

export type Door = 'metrics' | 'profiles' | 'jobs'
export type Sent =
  /** `rejected`: records of the batch that the receiver left out. */
  | { ok: true; rejected?: number; message?: string }
  /** `held`: another collector has what was claimed; the message is for people. */
  | { ok: false; retryAfterMs?: number; permanent: boolean; message: string; held?: boolean }
/** `batch` names it: the same one each time it is sent. */
export type Send = (door: Door, body: Uint8Array, batch?: string) => Promise<Sent>

export class OutboxError extends Error {
  readonly code: 'SPOOL_HELD'
  constructor(code: 'SPOOL_HELD', message: string) {
    super(message)
    this.code = code
  }
}

export interface OutboxOptions {
  /** Absent: memory only. */
  path?: string
  maxBytes: number
  memoryBytes: number
}

/** Batches, unless the name says bytes. Everything that was put is in exactly one of sent, refused, dropped and waiting. */
export interface OutboxCounters {
  put: number
  sent: number
  sentBytes: number
  /** Attempts that failed and were, or will be, made again. */
  retried: number
  /** Permanent failures. */
  refused: number
  /** No room left, or a file of the spool that could not be read. */
  dropped: number
  /** Records in batches that were taken, which the receiver left out. */
  rejected: number
  waiting: number
  waitingBytes: number
}

export interface Outbox {
  put(door: Door, body: Uint8Array): void
  counters(): OutboxCounters
  /** Sends what waits, as long as the receiver takes it and for at most so long; the rest stays on disk. */
  close(withinMs: number): Promise<void>
}

const FIRST_RETRY_MS = 1000
const LAST_RETRY_MS = 60_000

export function openOutbox(options: OutboxOptions, deps: { send: Send; log: Logger }): Outbox {
  return new Lanes(options, deps.send, deps.log)
}

class Lanes implements Outbox {
  private readonly options: OutboxOptions
  private readonly send: Send
  private readonly log: Logger
  private readonly spool: Spool | undefined
  private readonly lanes: Record<Door, Lane>
  private readonly counts = { put: 0, sent: 0, sentBytes: 0, retried: 0, refused: 0, dropped: 0, rejected: 0 }
  private memoryBytes = 0
  private diskBytes = 0
  private lastSequence = 0
  /** Not of the machine or the spool: nodes are made from copies of one disk. */
  private readonly sender = randomBytes(6).toString('hex')
  private readonly said = new Set<string>()

  constructor(options: OutboxOptions, send: Send, log: Logger) {
    this.options = options
    this.send = send
    this.log = log
    this.lanes = { metrics: new Lane('metrics'), profiles: new Lane('profiles'), jobs: new Lane('jobs') }
    this.spool = this.openSpool()
    for (const batch of this.spool?.found ?? []) {
      this.lanes[batch.door].batches.add({ ...batch, body: undefined, onDisk: true })
      this.diskBytes += batch.bytes
      this.lastSequence = batch.sequence
      this.counts.put++
    }
    if (this.counts.put > 0) log.info({ batches: this.counts.put }, 'sending what the last run left in the spool')
    this.boundDisk()
    for (const lane of Object.values(this.lanes)) this.run(lane)
  }

  private openSpool(): Spool | undefined {
    if (this.options.path === undefined) return undefined
    try {
      return openSpool(this.options.path)
    } catch (error) {
      if (error instanceof OutboxError) throw error
      this.log.warn({ err: error }, `no spool at ${this.options.path}: what cannot be sent is kept in memory only`)
      return undefined
    }
  }

  put(door: Door, body: Uint8Array): void {
    const lane = this.lanes[door]
    this.lastSequence = Math.max(this.lastSequence + 1, Date.now())
    const { sender } = this
    const batch: Batch = { sequence: this.lastSequence, sender, door, bytes: body.length, body, onDisk: false }
    this.counts.put++
    lane.batches.add(batch)
    this.memoryBytes += batch.bytes
    if (lane.failures > 0) this.moveToDisk(batch)
    this.boundMemory()
    this.run(lane)
  }

  counters(): OutboxCounters {
    const waiting = Object.values(this.lanes).reduce((sum, lane) => sum + lane.batches.size, 0)
    return { ...this.counts, waiting, waitingBytes: this.memoryBytes + this.diskBytes }
  }

  async close(withinMs: number): Promise<void> {
    const lanes = Object.values(this.lanes)
    for (const lane of lanes) lane.hurry()
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>(resolve => {
      timer = setTimeout(resolve, withinMs)
    })
    await Promise.race([Promise.all(lanes.map(lane => lane.drained)), deadline])
    clearTimeout(timer)
    for (const lane of lanes) for (const batch of lane.batches) this.moveToDisk(batch)
    const lost = lanes.flatMap(lane => [...lane.batches]).filter(batch => !batch.onDisk)
    for (const batch of lost) this.drop(batch, 'the collector stops and it is not on disk')
    this.spool?.close()
  }

  private run(lane: Lane): void {
    if (lane.isDraining) return
    lane.isDraining = true
    lane.drained = this.drain(lane)
  }

  private async drain(lane: Lane): Promise<void> {
    for (let batch = lane.head(); batch !== undefined; batch = lane.head()) {
      const body = batch.body ?? this.spool?.read(batch)
      if (body === undefined) {
        this.drop(batch, 'its file in the spool cannot be read')
        continue
      }
      lane.inFlight = batch
      const sent = await this.attempt(batch, body)
      lane.inFlight = undefined
      if (this.settle(lane, batch, sent)) continue
      if (lane.closing) break
      await lane.sleep(this.retryAfter(lane, sent))
    }
    // in the same breath as the look that found nothing: a batch put from now on starts a new run
    lane.isDraining = false
  }

  private async attempt({ door, sender, sequence }: Batch, body: Uint8Array): Promise<Sent> {
    try {
      return await this.send(door, body, `${sender}-${sequence}`)
    } catch (error) {
      return { ok: false, permanent: false, message: error instanceof Error ? error.message : String(error) }
    }
  }

  /** True when the batch is done with, one way or the other. */
  private settle(lane: Lane, batch: Batch, sent: Sent): boolean {
    if (sent.ok) {
      this.counts.sent++
      this.counts.sentBytes += batch.bytes
      if (lane.failures > 0) this.log.info({ door: lane.door }, `${lane.door} are taken again`)
      lane.failures = 0
      if (sent.rejected) {
        this.counts.rejected += sent.rejected
        this.sayOnce(`rejected ${lane.door}`, `the receiver left records out: ${sent.message ?? sent.rejected}`)
      }
    } else if (sent.permanent) {
      this.counts.refused++
      this.sayOnce(`refused ${lane.door} ${sent.message}`, `${lane.door} are refused and dropped: ${sent.message}`)
    } else {
      this.counts.retried++
      if (lane.failures++ === 0) this.log.warn(`${lane.door} cannot be sent now: ${sent.message}; kept, trying again`)
      for (const waiting of lane.batches) this.moveToDisk(waiting)
      return false
    }
    this.forget(batch)
    return true
  }

  private retryAfter(lane: Lane, sent: Sent): number {
    const backoff = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (lane.failures - 1))
    // a thousand nodes that lost the same server must not come back in the same second
    const jittered = backoff * (0.5 + Math.random() / 2)
    return Math.max(jittered, sent.ok ? 0 : (sent.retryAfterMs ?? 0))
  }

  private moveToDisk(batch: Batch): void {
    if (batch.onDisk || batch.body === undefined || this.spool === undefined) return
    try {
      this.spool.write(batch, batch.body)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.sayOnce('spool', `the spool takes nothing: ${why}; what cannot be sent is kept in memory only`)
      return
    }
    this.said.delete('spool')
    batch.onDisk = true
    batch.body = undefined
    this.memoryBytes -= batch.bytes
    this.diskBytes += batch.bytes
    this.boundDisk()
  }

  private boundMemory(): void {
    while (this.memoryBytes > this.options.memoryBytes) {
      const oldest = this.oldest(batch => !batch.onDisk)
      if (oldest === undefined) return
      this.moveToDisk(oldest)
      if (!oldest.onDisk) this.drop(oldest, 'memory is full')
    }
  }

  private boundDisk(): void {
    while (this.diskBytes > this.options.maxBytes) {
      const oldest = this.oldest(batch => batch.onDisk)
      if (oldest === undefined) return
      this.drop(oldest, 'the spool is full')
    }
  }

  /** Oldest of all lanes that is not on its way at the moment. */
  private oldest(isWanted: (batch: Batch) => boolean): Batch | undefined {
    let oldest: Batch | undefined
    for (const lane of Object.values(this.lanes)) {
      for (const batch of lane.batches) {
        if (batch === lane.inFlight || !isWanted(batch)) continue
        if (oldest === undefined || batch.sequence < oldest.sequence) oldest = batch
        break
      }
    }
    return oldest
  }

  private drop(batch: Batch, why: string): void {
    this.counts.dropped++
    this.sayOnce(`dropped ${why}`, `${batch.door} dropped: ${why}`)
    this.forget(batch)
  }

  private forget(batch: Batch): void {
    this.lanes[batch.door].batches.delete(batch)
    if (batch.onDisk) {
      this.spool?.remove(batch)
      this.diskBytes -= batch.bytes
    } else this.memoryBytes -= batch.bytes
  }

  private sayOnce(key: string, message: string): void {
    if (this.said.has(key) || this.said.size > 100) return
    this.said.add(key)
    this.log.error(message)
  }
}
