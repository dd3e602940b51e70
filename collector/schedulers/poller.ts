/**
 * Asks the scheduler once an interval, for the whole cluster, and sends what changed. A controller that is slow is asked
 * less: never for more than a fifth of the time; one that fails after 1, 2, 4 … intervals, at most every 5 minutes.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import type { Send } from '../outbox.ts'
import { bodyOf, chunksOf } from './chunks.ts'
import type { PolledJob, Scheduler } from './contract.ts'
import type { Lease } from './lease.ts'
import { type JobHint, Ledger } from './ledger.ts'
import { asList, asNumber, asRecord, parseJson } from './values.ts'

export interface PollerOptions {
  cluster: string
  pollEveryMs: number
  /** Unchanged records are sent again after it. */
  resendEveryMs?: number
  /** How far back accounting is read at the first start. */
  lookbackMs?: number
  /** File that remembers live jobs over a restart; absent: jobs that end meanwhile are known from accounting only. */
  statePath?: string
}

export interface PollerDeps {
  log: Logger
  send: Send
  /** Held before the scheduler is asked; absent: nobody else asks it. */
  lease?: Lease
  now?: () => number
}

export interface PollerStatus {
  kind: Scheduler['kind']
  version: string
  /** Why nothing is known since `polledMs`, in words for people. */
  unreadable: string | undefined
  /** Which collector asks in place of this one, in words for people. */
  heldBy: string | undefined
  polledMs: number | undefined
  tookMs: number | undefined
  jobs: number
  nodes: number
  polls: number
  failures: number
  sentRecords: number
  refusedRecords: number
  /** Jobs that left the queue with nobody to tell how they ended. */
  unknownEnds: number
}

export interface Poller {
  status(): PollerStatus
  /** What the scheduler says of a job that the kernel names. */
  hint(rawId: string): JobHint | undefined
  stop(): Promise<void>
}

const MINUTE = 60_000
const MAX_WAIT_MS = 5 * MINUTE
const ACCOUNT_EVERY_MS = MINUTE
/** slurmdbd may know of an end a little later than the queue forgets the job. */
const OVERLAP_MS = 2 * MINUTE
const GRACE_MS = 2 * MINUTE
const ROUNDS_HELD = 3

/** After a poll: at most a fifth of the time goes into asking. After the nth failure in a row: 2^n intervals. */
export function waitAfter(pollEveryMs: number, tookMs: number, failuresInARow: number): number {
  const rhythmMs = Math.min(pollEveryMs * 2 ** Math.min(failuresInARow, 10), Math.max(MAX_WAIT_MS, pollEveryMs))
  return Math.max(rhythmMs - tookMs, 4 * tookMs)
}

export async function startPoller(scheduler: Scheduler, options: PollerOptions, deps: PollerDeps): Promise<Poller> {
  const poller = new QueuePoller(scheduler, options, deps)
  await poller.restore()
  poller.start()
  return poller
}

class QueuePoller implements Poller {
  readonly #scheduler: Scheduler
  readonly #options: PollerOptions
  readonly #deps: PollerDeps
  readonly #now: () => number
  readonly #ledger: Ledger
  readonly #status = { polls: 0, failures: 0, sentRecords: 0, refusedRecords: 0 }
  #polledMs: number | undefined
  #tookMs: number | undefined
  #unreadable: string | undefined
  #heldBy: string | undefined
  #failuresInARow = 0
  /** Accounting was read up to here. */
  #accountedMs: number
  #accounting = true
  #savedMs = 0
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(scheduler: Scheduler, options: PollerOptions, deps: PollerDeps) {
    this.#scheduler = scheduler
    this.#options = options
    this.#deps = deps
    this.#now = deps.now ?? Date.now
    const resendEveryMs = options.resendEveryMs ?? 10 * MINUTE
    this.#ledger = new Ledger({ cluster: options.cluster, resendEveryMs, graceMs: GRACE_MS })
    this.#accountedMs = this.#now() - (options.lookbackMs ?? 24 * 60 * MINUTE)
  }

  start(): void {
    this.#running = this.#round()
  }

  status(): PollerStatus {
    return {
      kind: this.#scheduler.kind,
      version: this.#scheduler.version,
      unreadable: this.#unreadable,
      heldBy: this.#heldBy,
      polledMs: this.#polledMs,
      tookMs: this.#tookMs,
      ...this.#ledger.counts(),
      ...this.#status,
      unknownEnds: this.#ledger.unknown,
    }
  }

  hint(rawId: string): JobHint | undefined {
    // What was known before another collector took over is old.
    return this.#heldBy === undefined ? this.#ledger.hint(rawId) : undefined
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#scheduler.close()
    await this.#running
    await this.#deps.lease?.release()
    await this.#save()
  }

  async #round(): Promise<void> {
    const startedMs = this.#now()
    try {
      if (!(await this.#mayPoll())) return this.#after(this.#options.pollEveryMs)
      await this.#poll(startedMs)
      if (this.#unreadable !== undefined) this.#deps.log.info('the scheduler answers again')
      this.#unreadable = undefined
      this.#failuresInARow = 0
    } catch (error) {
      if (this.#stopped) return
      this.#fail(error)
    }
    const tookMs = this.#now() - startedMs
    if (this.#failuresInARow === 0) this.#tookMs = tookMs
    this.#after(waitAfter(this.#options.pollEveryMs, tookMs, this.#failuresInARow))
  }

  #after(waitMs: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#running = this.#round()
    }, waitMs)
    this.#timer.unref()
  }

  /** Held for three rounds as the last one went: who fails comes ever later, and loses it to one that may be luckier. */
  async #mayPoll(): Promise<boolean> {
    const { lease, log } = this.#deps
    if (lease === undefined) return true
    const tookMs = this.#tookMs ?? 0
    const roundMs = tookMs + waitAfter(this.#options.pollEveryMs, tookMs, 0)
    const heldBy = await lease.hold(ROUNDS_HELD * roundMs)
    if (heldBy !== this.#heldBy)
      log.info(
        heldBy === undefined
          ? 'jobs are polled from here'
          : `jobs are not polled: ${heldBy}; this one takes over when it falls silent. Another scheduler needs another --cluster`,
      )
    this.#heldBy = heldBy
    return heldBy === undefined
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    // Said once an outage, not once a poll.
    if (this.#unreadable !== message) this.#deps.log.warn({ err: error }, message)
    this.#unreadable = message
    this.#status.failures++
    this.#failuresInARow++
  }

  async #poll(nowMs: number): Promise<void> {
    this.#status.polls++
    const poll = await this.#scheduler.poll()
    this.#ledger.seen(poll, nowMs)
    this.#polledMs = nowMs
    await this.#account(nowMs)
    this.#ledger.close(nowMs, this.#accounting)
    await this.#sendDue(nowMs)
    this.#ledger.forget(this.#accounting ? this.#accountedMs - OVERLAP_MS - GRACE_MS : Number.POSITIVE_INFINITY)
    if (nowMs - this.#savedMs >= MINUTE) await this.#save()
  }

  /** Asks accounting once a minute, and at once where a job left the queue unseen. */
  async #account(nowMs: number): Promise<void> {
    if (!this.#accounting) return
    const { jobs: gone, sinceMs: missing } = this.#ledger.missing()
    if (this.#status.polls > 1 && missing === undefined && nowMs - this.#accountedMs < ACCOUNT_EVERY_MS) return
    const sinceMs = Math.min(this.#accountedMs - OVERLAP_MS, (missing ?? nowMs) - OVERLAP_MS)
    let jobs: PolledJob[] | undefined
    try {
      jobs = await this.#scheduler.finished?.(sinceMs, nowMs, gone)
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'accounting cannot be read: ends of jobs come late or not at all')
      return
    }
    this.#accounting = jobs !== undefined
    this.#ledger.accounted(jobs ?? [], nowMs)
    this.#accountedMs = nowMs
  }

  async #sendDue(nowMs: number): Promise<void> {
    const { jobs, nodes } = this.#ledger.due(nowMs)
    for (const chunk of chunksOf(jobs, nodes)) {
      const count = chunk.jobs.length + chunk.nodes.length
      const sent = await this.#deps.send('jobs', bodyOf(chunk))
      if (!sent.ok && !sent.permanent) return
      if (sent.ok) this.#status.sentRecords += count
      else {
        this.#status.refusedRecords += count
        this.#deps.log.error({ count }, `job records were refused: ${sent.message}`)
      }
      this.#ledger.sent(chunk, nowMs)
    }
  }

  async restore(): Promise<void> {
    const path = this.#options.statePath
    if (path === undefined) return
    const bytes = await readFile(path).catch(() => Buffer.alloc(0))
    const state = asRecord(parseJson(bytes))
    this.#accountedMs = asNumber(state?.accountedMs) ?? this.#accountedMs
    this.#ledger.restore(parseRuns(state?.runs))
  }

  async #save(): Promise<void> {
    const path = this.#options.statePath
    if (path === undefined || this.#polledMs === undefined) return
    this.#savedMs = this.#now()
    const state = { accountedMs: this.#accountedMs, runs: this.#ledger.live() }
    try {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.new`, JSON.stringify(state))
      await rename(`${path}.new`, path)
    } catch (error) {
      this.#deps.log.warn({ err: error }, `live jobs cannot be remembered in ${path}`)
    }
  }
}

/** What an earlier poller wrote; what does not look like it is left out. */
function parseRuns(value: unknown): { job: PolledJob; seenMs: number }[] {
  return asList(value).flatMap(entry => {
    const run = asRecord(entry)
    const job = asRecord(run?.job)
    const seenMs = asNumber(run?.seenMs)
    if (typeof job?.id !== 'string' || typeof job.state !== 'string' || seenMs === undefined) return []
    return [{ job: job as unknown as PolledJob, seenMs }]
  })
}
