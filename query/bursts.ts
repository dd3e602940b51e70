/**
 * Closer looks: who may have one, how it goes, and where it is found later.
 *
 *   ask ─ resolve: which nodes, what there ─ refuse? ─ order to each node over the control line
 *                                                         └─ news ─▶ memory ─▶ live, and the table when it is over
 *
 * What runs is in memory; the table has all, and what it says of one that ran when the server was stopped is mended on reading.
 */
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { Control } from '../ingest/control.ts'
import type { Burst, BurstNews, BurstPart, BurstState, BurstTarget } from '../ingest/records.ts'
import { QueryError } from './errors.ts'

export interface BurstsDeps {
  control: Pick<Control, 'reach' | 'start' | 'stop' | 'onNews'>
  /** Resolves after the store has it. */
  keepBurst(burst: Burst): Promise<void>
  log: Logger
  now(): number
}

/** A burst that has been looked at and may start. */
export interface BurstPlan {
  cluster: string
  /** Whose processes; of a process: whose it is. */
  job?: string
  rank?: number
  pid?: number
  start?: number
  nodes: readonly string[]
  target: BurstTarget
  hz: number
  seconds: number
  /** Who asked; '' where nobody has to say. */
  by: string
}

export interface RunningBursts {
  /** Throws QueryError where it may not start: 409 runs already or nobody there takes it, 429 too many. */
  start(plan: BurstPlan): Promise<Burst>
  stop(id: string): Burst | undefined
  find(id: string): Burst | undefined
  /** Those that run, and those whose end the table does not have yet; each changes as it goes on. */
  all(): Burst[]
  onChange(listener: (burst: Burst) => void): () => void
  close(): void
}

/** At once on all clusters, and starts on one node within RATE_MS: a closer look costs the nodes that are looked at. */
const MAX_RUNNING = 50
const MAX_STARTS = 12
const RATE_MS = 600_000
/** After its time a burst is given so long for its last samples and its last word. */
const GRACE_MS = 30_000

interface Running {
  burst: Burst
  target: string
  timer: NodeJS.Timeout
}

export function openBursts(deps: BurstsDeps): RunningBursts {
  return new Book(deps)
}

class Book implements RunningBursts {
  readonly #deps: BurstsDeps
  readonly #running = new Map<string, Running>()
  readonly #starts = new Map<string, number[]>()
  readonly #listeners = new Set<(burst: Burst) => void>()
  readonly #forget: () => void

  constructor(deps: BurstsDeps) {
    this.#deps = deps
    this.#forget = deps.control.onNews((cluster, node, news) => this.#hear(cluster, node, news))
  }

  async start(plan: BurstPlan): Promise<Burst> {
    const nowMs = this.#deps.now()
    const target = JSON.stringify(plan.target)
    this.#refuseTooMany(plan, target, nowMs)
    const burst = burstOf(plan, nowMs)
    const { cluster, target: aim, hz, seconds } = plan
    for (const part of burst.parts) {
      const reached = this.#deps.control.reach(cluster, part.node)
      if (reached !== true) Object.assign(part, { state: 'refused', reason: reached })
    }
    const reached = burst.parts.filter(part => part.state === 'asked')
    if (reached.length === 0) throw new QueryError(409, 'unreachable', burst.parts[0]?.reason ?? 'no node was named')
    // First the record, so that what is sampled is found whatever happens to this server.
    await this.#deps.keepBurst(burst)
    const timer = setTimeout(() => this.#lose(burst.id), seconds * 1000 + GRACE_MS)
    timer.unref()
    this.#running.set(burst.id, { burst, target, timer })
    for (const part of reached) {
      const started = this.#deps.control.start(cluster, part.node, { id: burst.id, target: aim, hz, seconds })
      if (started !== true) Object.assign(part, { state: 'refused', reason: started })
    }
    this.#change(burst)
    return burst
  }

  stop(id: string): Burst | undefined {
    const burst = this.#running.get(id)?.burst
    for (const part of burst?.parts ?? [])
      if (isOpen(part)) this.#deps.control.stop(burst?.cluster ?? '', part.node, id)
    return burst
  }

  find(id: string): Burst | undefined {
    return this.#running.get(id)?.burst
  }

  all(): Burst[] {
    return [...this.#running.values()].map(({ burst }) => burst)
  }

  onChange = (listener: (burst: Burst) => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#forget()
    for (const { timer } of this.#running.values()) clearTimeout(timer)
    this.#running.clear()
  }

  #refuseTooMany(plan: BurstPlan, target: string, nowMs: number): void {
    const same = [...this.#running.values()].find(
      ({ burst, target: other }) =>
        burst.cluster === plan.cluster &&
        other === target &&
        burst.parts.some(part => isOpen(part) && plan.nodes.includes(part.node)),
    )
    if (same) {
      const { id } = same.burst
      throw new QueryError(409, 'running', `burst ${id} looks at the same now: wait for its end, or stop it first`)
    }
    if ([...this.#running.values()].filter(({ burst }) => !isOver(burst.state)).length >= MAX_RUNNING)
      throw new QueryError(429, 'too_many', `${MAX_RUNNING} bursts run on this server: wait for the end of one`)
    for (const node of plan.nodes) this.#countStart(`${plan.cluster}\0${node}`, node, nowMs)
  }

  #countStart(key: string, node: string, nowMs: number): void {
    const starts = (this.#starts.get(key) ?? []).filter(ms => ms > nowMs - RATE_MS)
    const oldest = starts[0]
    if (starts.length >= MAX_STARTS && oldest !== undefined) {
      const minutes = Math.ceil((oldest + RATE_MS - nowMs) / 60_000)
      throw new QueryError(
        429,
        'too_many',
        `${node} had ${MAX_STARTS} bursts in ${RATE_MS / 60_000} minutes: ask again in ${minutes} min, or look at the continuous profile`,
      )
    }
    this.#starts.set(key, [...starts, nowMs])
  }

  #hear(cluster: string, node: string, news: BurstNews): void {
    const burst = this.#running.get(news.burst)?.burst
    const part = burst?.cluster === cluster ? burst.parts.find(p => p.node === node) : undefined
    if (!burst || !part) return
    const { burst: _, ...told } = news
    Object.assign(part, told)
    this.#change(burst)
  }

  #lose(id: string): void {
    const burst = this.#running.get(id)?.burst
    if (!burst) return
    for (const part of burst.parts)
      if (isOpen(part)) Object.assign(part, { state: 'lost', reason: `${part.node} did not say how it ended` })
    this.#change(burst)
  }

  #change(burst: Burst): void {
    const nowMs = this.#deps.now()
    Object.assign(burst, summaryOf(burst.parts), { updatedMs: nowMs })
    if (isOver(burst.state)) {
      clearTimeout(this.#running.get(burst.id)?.timer)
      burst.to = Math.min(burst.to, nowMs + GRACE_MS)
      void this.#keepEnd(burst)
    }
    for (const listener of this.#listeners) listener(burst)
  }

  /** Memory knows it until the table does. */
  async #keepEnd(burst: Burst): Promise<void> {
    try {
      await this.#deps.keepBurst({ ...burst })
    } catch (error) {
      this.#deps.log.error(
        { err: error, burst: burst.id },
        'the end of a burst is not stored: it will be said to be lost',
      )
    }
    this.#running.delete(burst.id)
  }
}

function burstOf(plan: BurstPlan, nowMs: number): Burst {
  const { nodes, target: _, ...told } = plan
  const parts = nodes.map((node): BurstPart => ({ node, state: 'asked', samples: 0, lost: 0 }))
  return {
    ...told,
    id: `${nowMs.toString(36)}-${randomBytes(4).toString('hex')}`,
    state: 'asked',
    // A window of samples is named by its end, to the second.
    from: Math.floor(nowMs / 1000) * 1000 - 1000,
    to: nowMs + plan.seconds * 1000 + GRACE_MS,
    samples: 0,
    lost: 0,
    parts,
    updatedMs: nowMs,
  }
}

const isOpen = (part: BurstPart): boolean => part.state === 'asked' || part.state === 'running'
const isOver = (state: BurstState): boolean => state !== 'asked' && state !== 'running'

/** The first of these that one of its nodes is in; the reason of the first node that has one. */
const IN_ORDER: readonly BurstState[] = ['running', 'asked', 'done', 'stopped', 'lost', 'refused']

function summaryOf(parts: readonly BurstPart[]): Pick<Burst, 'state' | 'samples' | 'lost' | 'reason'> {
  const state = IN_ORDER.find(word => parts.some(part => part.state === word)) ?? 'refused'
  const reason = parts.find(part => part.reason !== undefined)?.reason
  return {
    state,
    samples: parts.reduce((sum, part) => sum + part.samples, 0),
    lost: parts.reduce((sum, part) => sum + part.lost, 0),
    ...(reason === undefined ? {} : { reason }),
  }
}

/** A record that says it runs, of which memory knows nothing: the server was stopped meanwhile. */
export function mended(burst: Burst, nowMs: number): Burst {
  if (isOver(burst.state) || nowMs <= burst.to) return burst
  const reason = 'the server was restarted while it ran; what was sampled is here'
  return { ...burst, state: 'lost', reason }
}
