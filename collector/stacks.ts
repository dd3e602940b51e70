/**
 * The road of stacks through the collector: the first sampler that can, drained when a window has ended; each window charged to
 * jobs and written as OTLP profiles.
 *
 *   sampler ──windows──▶ charge(pid, start) ──▶ encodeProfiles ──≤ 1 MiB each──▶ outbox
 *      └────counters────▶ stacks_samples, stacks_lost, stacks_throttled, stacks_cpu: a reading each tick
 */
import type { Logger } from 'pino'
import type { Attribution } from './attribution.ts'
import type { StacksConfig } from './config.ts'
import { startNative } from './native.ts'
import type { Outbox } from './outbox.ts'
import { type PerfDeps, perfSampler } from './perf.ts'
import { type Charge, encodeProfiles, type ProfileSender } from './profiles.ts'
import type {
  Burst,
  BurstOptions,
  SampledProcess,
  Sampler,
  SamplerOptions,
  SamplerStatus,
  StackWindow,
  StartSampler,
} from './sampler.ts'
import type { Reading, Source } from './source.ts'

export interface StacksOptions extends SamplerOptions {
  /** Short host name. */
  node: string
  cluster?: string
}

export interface StacksDeps {
  /** In order of preference. */
  samplers: readonly StartSampler[]
  outbox: Pick<Outbox, 'put'>
  attribution: Pick<Attribution, 'charge'>
  log: Logger
}

/** What `doctor` and the page say: who samples, or why nobody does. */
export type StacksStatus = { sampler: SamplerStatus } | { absent: string }

/** Who asked for a burst: whose stacks are sent, and how many were. */
export interface BurstWatch {
  keeps(process: SampledProcess, charge: Charge): boolean
  /** After each window of it; `endMs` is the window's end. */
  sent(samples: number, lost: number, endMs: number): void
}

export interface Stacks {
  /** Why each sampler before the one that runs could not. */
  readonly refused: readonly string[]
  status(): StacksStatus
  /** What stacks_* of the catalogue tells, a second; part of each tick. */
  readonly source: Source
  startBurst(options: BurstOptions, watch: BurstWatch): Burst | { absent: string }
  /** Sends what has been sampled, then ends. */
  stop(): Promise<void>
}

const DRAIN_EVERY_MS = 1000
/** Names come a moment after the end of a window. */
const NAMED_AFTER_MS = 300
/** The last window of a burst comes soon after its end. */
const FORGET_AFTER_MS = 60_000

/** Who may sample, in order of preference. */
export function samplersOf(mode: StacksConfig['mode'], deps: PerfDeps): StartSampler[] {
  const order = { auto: [startNative, perfSampler(deps)], addon: [startNative], perf: [perfSampler(deps)], off: [] }
  return order[mode]
}

export async function startStacks(options: StacksOptions, deps: StacksDeps): Promise<Stacks> {
  const refused: string[] = []
  for (const start of deps.samplers) {
    const started = await startOne(start, options)
    if (!('absent' in started)) {
      deps.log.info({ ...started.status, refused }, 'stacks: sampling')
      return new RunningStacks(started, options, deps, refused)
    }
    refused.push(started.absent)
  }
  const absent = refused.at(-1) ?? 'turned off (collector.stacks.mode)'
  deps.log.warn({ refused }, `no stacks: ${absent}`)
  return new AbsentStacks(absent, refused)
}

/**
 * How long the sampler is left alone: until its next window has ended, if that is known. Looking each second for what comes each
 * ten costs more than to encode it, since JavaScript that wakes seldom finds nothing of its own in the caches.
 */
function drainAfterMs(lastEndMs: number | undefined, windowMs: number, nowMs: number): number {
  const leftMs = lastEndMs === undefined ? 0 : lastEndMs + windowMs + NAMED_AFTER_MS - nowMs
  return Math.min(Math.max(leftMs, DRAIN_EVERY_MS), windowMs + NAMED_AFTER_MS)
}

/** A sampler that throws is absent too: the rest of the collector does not depend on it. */
async function startOne(start: StartSampler, options: SamplerOptions): Promise<Sampler | { absent: string }> {
  try {
    return await start(options)
  } catch (error) {
    return { absent: error instanceof Error ? error.message : String(error) }
  }
}

/** Samples of each process of a window. */
function sampledOf(window: StackWindow): Uint32Array {
  if (window.sampled) return window.sampled
  const sampled = new Uint32Array(window.processes.length)
  const { process, count } = window.samples
  for (const [at, of] of process.entries()) sampled[of] = (sampled[of] ?? 0) + (count[at] ?? 0)
  return sampled
}

/** Since the start; `cpu` in seconds. */
interface Sums {
  samples: number
  lost: number
  throttled: number
  cpu: number
}

class RunningStacks implements Stacks {
  readonly refused: readonly string[]
  readonly source: Source = { name: 'stacks', read: tick => this.read(tick.monotonicMs) }
  private readonly sampler: Sampler
  private readonly sender: ProfileSender
  private readonly deps: StacksDeps
  private readonly windowMs: number
  private timer: NodeJS.Timeout | undefined
  /** Of the continuous profile. */
  private lastEndMs: number | undefined
  private readonly watches = new Map<string, BurstWatch>()
  private draining: Promise<void> | undefined
  private failure = ''
  private stopped = false
  private sums: Sums = { samples: 0, lost: 0, throttled: 0, cpu: 0 }
  private last: { monotonicMs: number; sums: Sums } | undefined
  /** perf(1) does not tell what it costs. */
  private tellsCpu = false

  constructor(sampler: Sampler, options: StacksOptions, deps: StacksDeps, refused: readonly string[]) {
    this.sampler = sampler
    this.deps = deps
    this.refused = refused
    const { node, cluster } = options
    this.sender = { node, hz: sampler.status.hz, ...(cluster === undefined ? {} : { cluster }) }
    this.windowMs = options.windowMs
    this.drainAfter(DRAIN_EVERY_MS)
  }

  status(): StacksStatus {
    return this.failure === '' ? { sampler: this.sampler.status } : { absent: this.failure }
  }

  startBurst(options: BurstOptions, watch: BurstWatch): Burst | { absent: string } {
    const started = this.sampler.startBurst?.(options) ?? {
      absent: `bursts need the sampler addon; ${this.refused[0] ?? `${this.sampler.status.kind} cannot look closer`}`,
    }
    if ('absent' in started) return started
    this.watches.set(options.burst, watch)
    const forget = setTimeout(() => this.watches.delete(options.burst), options.durationMs + FORGET_AFTER_MS)
    forget.unref()
    this.drainAfter(DRAIN_EVERY_MS)
    return started
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearTimeout(this.timer)
    await this.drain()
    await this.sampler.stop()
    await this.drain()
  }

  /** Again and again; each second while somebody looks closer, or waits for the sampler to be well again. */
  private async drainOn(): Promise<void> {
    await this.drain()
    if (this.stopped) return
    const soon = this.watches.size > 0 || this.failure !== ''
    this.drainAfter(soon ? DRAIN_EVERY_MS : drainAfterMs(this.lastEndMs, this.windowMs, Date.now()))
  }

  private drainAfter(ms: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.drainOn(), ms)
  }

  private drain(): Promise<void> {
    this.draining ??= this.drainOnce().finally(() => {
      this.draining = undefined
    })
    return this.draining
  }

  private async drainOnce(): Promise<void> {
    try {
      for (const window of await this.sampler.drain()) this.send(window)
      this.failure = ''
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (this.failure !== message) this.deps.log.error({ err: error }, `stacks: ${message}`)
      this.failure = message
    }
  }

  private send(window: StackWindow): void {
    const { lost, throttled, ownCpuNs } = window.counters
    this.sums.cpu += (ownCpuNs ?? 0) / 1e9
    this.tellsCpu ||= ownCpuNs !== undefined
    const { attribution, outbox } = this.deps
    const chargeOf = (p: SampledProcess) => attribution.charge(p.pid, p.startMs, p.cgroup)
    if (window.burst !== '') {
      this.sendBurst(window, chargeOf)
      return
    }
    this.lastEndMs = window.endMs
    this.sums.samples += sampledOf(window).reduce((sum, count) => sum + count, 0)
    this.sums.lost += lost
    this.sums.throttled += throttled
    for (const body of encodeProfiles(window, this.sender, chargeOf)) outbox.put('profiles', body)
  }

  /** Beside the continuous profile: not among its numbers, and only what was asked for. */
  private sendBurst(window: StackWindow, chargeOf: (process: SampledProcess) => Charge): void {
    const watch = this.watches.get(window.burst)
    const charges = window.processes.map(process => {
      const charge = chargeOf(process)
      return watch?.keeps(process, charge) === false ? undefined : charge
    })
    const charged = new Map(window.processes.map((process, i) => [process, charges[i]]))
    for (const body of encodeProfiles(window, this.sender, process => charged.get(process)))
      this.deps.outbox.put('profiles', body)
    const kept = sampledOf(window).reduce((sum, n, process) => sum + (charges[process] === undefined ? 0 : n), 0)
    watch?.sent(kept, window.counters.lost, window.endMs)
  }

  /** Windows end on their own clock, so a tick may hold none or two of them; over a minute it evens out. */
  private read(monotonicMs: number): Reading[] {
    const { sums, last } = this
    this.last = { monotonicMs, sums: { ...sums } }
    if (!last || monotonicMs <= last.monotonicMs) return []
    const seconds = (monotonicMs - last.monotonicMs) / 1000
    const reading = (column: string, counter: keyof Sums): Reading => ({
      entity: 'node',
      column,
      instance: '',
      value: (sums[counter] - last.sums[counter]) / seconds,
    })
    return [
      reading('stacks_samples', 'samples'),
      reading('stacks_lost', 'lost'),
      reading('stacks_throttled', 'throttled'),
      ...(this.tellsCpu ? [reading('stacks_cpu', 'cpu')] : []),
    ]
  }
}

class AbsentStacks implements Stacks {
  readonly refused: readonly string[]
  readonly source: Source = { name: 'stacks', read: () => [] }
  private readonly absent: string

  constructor(absent: string, refused: readonly string[]) {
    this.absent = absent
    this.refused = refused
  }

  status(): StacksStatus {
    return { absent: this.absent }
  }

  startBurst(): { absent: string } {
    return { absent: this.absent }
  }

  async stop(): Promise<void> {}
}
