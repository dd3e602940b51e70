/**
 * What the poller remembers of runs between polls: which records changed, and which runs left the queue unseen.
 *
 *   poll 1   A running   B running   C queued         send A B C
 *   poll 2   A running   -           C running        send C; B is missing: what does accounting say?
 *   poll 3   A running   -           C failed         send C, and B: as accounted, else unknown, ended when last seen
 *
 * Pure but for its own state; the clock is handed in.
 */
import { createHash } from 'node:crypto'
import { type Job, LIVE_JOB_STATES, type Node } from '../../ingest/records.ts'
import { type Poll, type PolledJob, type PolledNode, runKey } from './contract.ts'

/** A record that waits to be sent. */
export interface Due {
  key: string
  hash: string
  record: Job | Node
}

/** What a scheduler's list says of a job that the kernel's evidence names. */
export interface JobHint {
  id: string
  startMs: number
  live: boolean
  /** Whose it is, where the scheduler tells. */
  uid?: number
}

interface Run {
  job: PolledJob
  /** Last poll that listed it. */
  seenMs: number
  /** First poll that did not. */
  missedMs: number | undefined
  /** Nothing later is believed. */
  final: boolean
  sentHash: string
  sentMs: number
}

interface KnownNode {
  node: PolledNode
  sentHash: string
  sentMs: number
}

export interface LedgerOptions {
  cluster: string
  /** Unchanged records of live jobs and of nodes are sent again after it, so that a receiver that lost them has them. */
  resendEveryMs: number
  /** How long accounting may take to know a job that left the queue. */
  graceMs: number
}

const LIVE: ReadonlySet<string> = new Set(LIVE_JOB_STATES)
const isLive = (job: PolledJob) => LIVE.has(job.state)

export class Ledger {
  readonly #options: LedgerOptions
  readonly #runs = new Map<string, Run>()
  readonly #nodes = new Map<string, KnownNode>()
  readonly #byKernelName = new Map<string, string>()
  #polledMs = 0
  /** Runs that ended in a way nobody could tell. */
  unknown = 0

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  /** Takes in a poll. */
  seen(poll: Poll, nowMs: number): void {
    this.#polledMs = nowMs
    for (const job of poll.jobs) this.#see(job, nowMs)
    for (const node of poll.nodes) {
      const known = this.#nodes.get(node.node)
      if (known === undefined) this.#nodes.set(node.node, { node, sentHash: '', sentMs: 0 })
      else known.node = node
    }
    for (const run of this.#runs.values()) if (run.seenMs < nowMs && !run.final) run.missedMs ??= nowMs
  }

  #see(job: PolledJob, nowMs: number): void {
    const key = runKey(job)
    const run = this.#runs.get(key)
    if (run === undefined) this.#add(key, job, nowMs)
    else {
      run.seenMs = nowMs
      run.missedMs = undefined
      // The queue lists ended jobs for a while, with less than accounting knows.
      if (!run.final) run.job = job
    }
  }

  #add(key: string, job: PolledJob, nowMs: number): Run {
    const run = { job, seenMs: nowMs, missedMs: undefined, final: false, sentHash: '', sentMs: 0 }
    this.#runs.set(key, run)
    for (const name of kernelNames(job)) this.#byKernelName.set(name, key)
    return run
  }

  /** Jobs that were alive and are gone, and when the first of them was last seen. */
  missing(): { jobs: PolledJob[]; sinceMs: number | undefined } {
    const runs = [...this.#runs.values()].filter(isMissing)
    const sinceMs = runs.length === 0 ? undefined : runs.reduce((first, run) => Math.min(first, run.seenMs), Infinity)
    return { jobs: runs.map(run => run.job), sinceMs }
  }

  /** Takes in what accounting says of runs that ended. It completes what the queue told, whose names are unmangled. */
  accounted(jobs: readonly PolledJob[], nowMs: number): void {
    for (const job of jobs) {
      const key = runKey(job)
      const run = this.#runs.get(key) ?? this.#add(key, job, nowMs)
      // How it ended is accounting's word alone; what it was called and held, the queue told better.
      const { exitCode, signal, name = job.name, allocations = job.allocations, ...told } = run.job
      run.job = { ...told, ...job }
      if (name !== undefined) run.job.name = name
      if (allocations !== undefined) run.job.allocations = allocations
      run.final = true
      run.missedMs = undefined
    }
  }

  /** Ends the runs that are missing for good. `accounting`: someone may still tell of them. */
  close(nowMs: number, accounting: boolean): void {
    for (const [key, run] of this.#runs) {
      if (!isMissing(run)) continue
      if (isRest(run.job)) run.job = { ...run.job, state: 'completed', schedulerState: 'EXPANDED', endMs: run.seenMs }
      else if (accounting && nowMs - (run.missedMs ?? nowMs) < this.#options.graceMs) continue
      else run.job = this.#ended(key, run, accounting)
      run.final = true
    }
  }

  #ended(key: string, run: Run, accounting: boolean): PolledJob {
    const { job, seenMs } = run
    const again = [...this.#runs].some(([other, { job }]) => other !== key && job.id === run.job.id && isLive(job))
    // Accounting tells of every run: a job it does not know never had one.
    const never = accounting && job.startMs === undefined
    if (!again && !never) this.unknown++
    const between = `${new Date(seenMs).toISOString()} and ${new Date(run.missedMs ?? seenMs).toISOString()}`
    return {
      ...job,
      state: again ? 'requeued' : never ? 'cancelled' : 'unknown',
      reason: `left the queue between ${between}${never ? ' and never ran' : ''}`,
      // The last moment at which it was there.
      endMs: Math.max(seenMs, job.startMs ?? 0),
    }
  }

  /** Records that changed since they were sent, and those whose turn it is again. */
  due(nowMs: number): { jobs: Due[]; nodes: Due[] } {
    const { cluster, resendEveryMs } = this.#options
    const stamp = { cluster, updatedMs: this.#polledMs }
    const late = (sentMs: number) => nowMs - sentMs >= resendEveryMs
    const jobs: Due[] = []
    for (const [key, run] of this.#runs) {
      const hash = hashOf(run.job)
      if (hash !== run.sentHash || (isLive(run.job) && late(run.sentMs)))
        jobs.push({ key, hash, record: { ...run.job, ...stamp } })
    }
    const nodes: Due[] = []
    for (const [key, { node, sentHash, sentMs }] of this.#nodes) {
      const hash = hashOf(node)
      if (hash !== sentHash || late(sentMs)) nodes.push({ key, hash, record: { ...node, ...stamp } })
    }
    return { jobs, nodes }
  }

  sent(due: { jobs: readonly Due[]; nodes: readonly Due[] }, nowMs: number): void {
    for (const { key, hash } of due.jobs) mark(this.#runs.get(key), hash, nowMs)
    for (const { key, hash } of due.nodes) mark(this.#nodes.get(key), hash, nowMs)
  }

  /** Forgets ended runs that were sent and that neither queue nor accounting (asked back to `accountedMs`) will tell again. */
  forget(accountedMs: number): void {
    for (const [key, run] of this.#runs) {
      const listed = run.seenMs === this.#polledMs
      if (isLive(run.job) || listed || run.sentHash !== hashOf(run.job) || (run.job.endMs ?? 0) >= accountedMs) continue
      this.#runs.delete(key)
      for (const name of kernelNames(run.job)) if (this.#byKernelName.get(name) === key) this.#byKernelName.delete(name)
    }
  }

  hint(kernelName: string): JobHint | undefined {
    const run = this.#runs.get(this.#byKernelName.get(kernelName) ?? '')
    // What has not started of an array has the raw id that its last task will have.
    if (run?.job.startMs === undefined) return undefined
    const { id, startMs, uid } = run.job
    return { id, startMs, live: isLive(run.job), ...(uid === undefined ? {} : { uid }) }
  }

  /** Live runs, for the file that outlives the poller. */
  live(): { job: PolledJob; seenMs: number }[] {
    return [...this.#runs.values()].filter(run => isLive(run.job)).map(({ job, seenMs }) => ({ job, seenMs }))
  }

  restore(runs: readonly { job: PolledJob; seenMs: number }[]): void {
    for (const { job, seenMs } of runs) {
      const run = this.#add(runKey(job), job, seenMs)
      run.sentHash = hashOf(job)
      run.sentMs = seenMs
    }
  }

  counts(): { jobs: number; nodes: number } {
    return { jobs: [...this.#runs.values()].filter(run => isLive(run.job)).length, nodes: this.#nodes.size }
  }
}

/** What control groups and environments call a job. */
function kernelNames(job: PolledJob): string[] {
  return [job.rawId, job.sluid].filter(name => name !== undefined)
}

function isMissing(run: Run): boolean {
  return run.missedMs !== undefined && !run.final && isLive(run.job)
}

/** What has not started of an array: it leaves the queue when its last task starts, and nothing ended. */
function isRest(job: PolledJob): boolean {
  return (
    job.arrayId === job.id && job.arrayTask !== undefined && !/^\d+$/.test(job.arrayTask) && job.startMs === undefined
  )
}

function mark(entry: { sentHash: string; sentMs: number } | undefined, hash: string, nowMs: number): void {
  if (entry === undefined) return
  entry.sentHash = hash
  entry.sentMs = nowMs
}

function hashOf(record: object): string {
  return createHash('sha1').update(JSON.stringify(record)).digest('base64')
}
