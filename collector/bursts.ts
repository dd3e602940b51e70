/**
 * Closer looks on this node: an order -> a session of the stack sampler beside the continuous one, its windows cut down to
 * what was asked for, and news of how it goes. This side holds to its own bounds, whoever asks.
 *
 *   process   events of that process, and of all that descend from it
 *   job       events of the job's control group where it has one of its own, else of the node; other processes' stacks are left out
 *   cgroup    events of that control group
 *   node      everything
 */
import type { Logger } from 'pino'
import { BURST_LIMITS, type BurstNews, type BurstOrder, type BurstTarget } from '../ingest/records.ts'
import type { Charge } from './profiles.ts'
import type { Burst, BurstTarget as SampledTarget } from './sampler.ts'
import type { Stacks } from './stacks.ts'

export interface BurstsOptions {
  /** Bursts that may run at the same time on this node. */
  atOnce: number
  /** Highest rate this node takes. */
  maxHz: number
}

export interface BurstsDeps {
  stacks: Pick<Stacks, 'startBurst'>
  /** Start of a process that lives, in ms; undefined: there is none. */
  startOf(pid: number): number | undefined
  /** The control group that holds all of a job here, where there is one. */
  groupOf(ids: readonly string[]): string | undefined
  /** Resolves when what was sampled so far is out. */
  sent(): Promise<void>
  tell(news: BurstNews): void
  log: Logger
}

export interface Bursts {
  start(order: BurstOrder): void
  stop(id: string): void
  /** The newest news of each that runs. */
  running(): BurstNews[]
  close(): void
}

interface Running {
  order: BurstOrder
  news: BurstNews
  /** What was told last. */
  told: number
  burst: Burst
  timer: NodeJS.Timeout | undefined
  ending: boolean
  /** End of the last window that came, ms; 0 before. */
  sentMs: number
}

/** The last window of a session is drained within a second of its end … */
const SETTLE_MS = 2500
/** … but names of a node with many more tasks than CPUs come late: so long is waited for it. */
const LATE_MS = 10_000
/** A last window ends so near the end that was promised; the one before it ends seconds earlier. */
const NEAR_END_MS = 1000
const NEWS_EVERY_MS = 1000
/** Starts in /proc/PID/stat are to a tick, boot times to a second. */
const SLACK_MS = 1500

export function openBursts(options: BurstsOptions, deps: BurstsDeps): Bursts {
  return new NodeBursts(options, deps)
}

class NodeBursts implements Bursts {
  private readonly options: BurstsOptions
  private readonly deps: BurstsDeps
  private readonly bursts = new Map<string, Running>()
  private readonly ticker: NodeJS.Timeout

  constructor(options: BurstsOptions, deps: BurstsDeps) {
    this.options = options
    this.deps = deps
    this.ticker = setInterval(() => this.tellProgress(), NEWS_EVERY_MS)
    this.ticker.unref()
  }

  start(order: BurstOrder): void {
    const refusal = this.refusalOf(order) ?? this.open(order)
    if (refusal === undefined) return
    this.deps.log.info({ burst: order.id, target: order.target }, `burst refused: ${refusal}`)
    this.deps.tell({ burst: order.id, state: 'refused', reason: refusal, samples: 0, lost: 0 })
  }

  stop(id: string): void {
    const running = this.bursts.get(id)
    if (running === undefined) return
    clearTimeout(running.timer)
    running.burst.stop()
    void this.end(running, 'stopped')
  }

  running(): BurstNews[] {
    return [...this.bursts.values()].map(({ news }) => ({ ...news }))
  }

  close(): void {
    clearInterval(this.ticker)
    for (const running of this.bursts.values()) {
      clearTimeout(running.timer)
      running.burst.stop()
      this.deps.tell({ ...running.news, state: 'stopped', reason: 'the collector was stopped' })
    }
    this.bursts.clear()
  }

  private refusalOf({ id, target, hz, seconds }: BurstOrder): string | undefined {
    const { maxHz, atOnce } = this.options
    const { minSeconds, maxSeconds } = BURST_LIMITS
    if (hz > maxHz) return `this node takes at most ${maxHz} Hz (collector.bursts.maxHz): ask for less`
    if (seconds < minSeconds || seconds > maxSeconds) return `a burst takes ${minSeconds} to ${maxSeconds} s`
    if (this.bursts.has(id)) return `burst ${id} runs already`
    const same = [...this.bursts.values()].find(b => JSON.stringify(b.order.target) === JSON.stringify(target))
    if (same) return `burst ${same.order.id} looks at the same: wait for its end or stop it`
    if (this.bursts.size >= atOnce)
      return `${this.bursts.size} bursts run here, and collector.bursts.atOnce is ${atOnce}: wait for the end of one`
    return target.kind === 'process' ? this.processRefusal(target) : undefined
  }

  private processRefusal({ pid, startMs }: Extract<BurstTarget, { kind: 'process' }>): string | undefined {
    const living = this.deps.startOf(pid)
    if (living === undefined) return `process ${pid} is gone`
    if (startMs === undefined || startMs === 0 || Math.abs(living - startMs) <= SLACK_MS) return undefined
    return `process ${pid} is gone; another one has its number now`
  }

  private open(order: BurstOrder): string | undefined {
    const news: BurstNews = { burst: order.id, state: 'running', samples: 0, lost: 0 }
    const burst = this.deps.stacks.startBurst(
      { burst: order.id, hz: order.hz, durationMs: order.seconds * 1000, target: this.sampledTarget(order.target) },
      {
        keeps: (_, charge) => keeps(order.target, charge),
        sent: (samples, lost, endMs) => {
          news.samples += samples
          news.lost += lost
          const running = this.bursts.get(order.id)
          if (running) running.sentMs = endMs
        },
      },
    )
    if ('absent' in burst) return burst.absent
    const running: Running = { order, news, told: -1, burst, ending: false, sentMs: 0, timer: undefined }
    running.timer = setTimeout(() => void this.end(running, 'done'), order.seconds * 1000)
    this.bursts.set(order.id, running)
    this.deps.log.info({ burst: order.id, target: order.target, hz: order.hz, seconds: order.seconds }, 'burst started')
    this.tellProgress()
    return undefined
  }

  private sampledTarget(target: BurstTarget): SampledTarget {
    if (target.kind === 'process') return { pid: target.pid }
    if (target.kind === 'cgroup') return { cgroup: target.path }
    const cgroup = target.kind === 'job' ? this.deps.groupOf(target.ids) : undefined
    return cgroup === undefined ? 'node' : { cgroup }
  }

  /** It is told when the server can have all of it. */
  private async end(running: Running, state: 'done' | 'stopped'): Promise<void> {
    if (running.ending) return
    running.ending = true
    const until = performance.now() + LATE_MS
    const lacksLast = () => state === 'done' && running.sentMs < running.burst.endsMs - NEAR_END_MS
    do await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    while (lacksLast() && performance.now() < until && this.bursts.has(running.order.id))
    await this.deps.sent()
    if (!this.bursts.delete(running.order.id)) return
    this.deps.log.info(
      { burst: running.order.id, samples: running.news.samples, lost: running.news.lost },
      `burst ${state}`,
    )
    this.deps.tell({ ...running.news, state })
  }

  private tellProgress(): void {
    for (const running of this.bursts.values()) {
      if (running.told === running.news.samples) continue
      running.told = running.news.samples
      this.deps.tell({ ...running.news })
    }
  }
}

function keeps(target: BurstTarget, charge: Charge): boolean {
  if (target.kind !== 'job') return true
  return target.ids.includes(charge.job) && (target.rank === undefined || charge.rank === target.rank)
}
