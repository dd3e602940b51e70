/**
 * The collector of one node: opens what can be read, reads it each tick, samples stacks, asks the scheduler where it is its
 * turn, and sends all of it through the outbox.
 *
 *   sources ──┐
 *   processes ┼─ each tick ─ meter ──┐
 *   stacks ── each window ─ profiles ┼─ outbox ─ send
 *   inventory, each hour ────────────┘
 *   attribution: whose job a process is, for processes and stacks alike
 */
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { ProcessFiles } from './attribution/process.ts'
import { type Attribution, openAttribution } from './attribution.ts'
import type { CollectorConfig } from './config.ts'
import { type Control, startControl } from './control.ts'
import { type Exits, openExits } from './exits.ts'
import { readInventory, startInventory } from './inventory.ts'
import { openJobPower } from './jobpower.ts'
import type { OpenWire } from './line.ts'
import { type Meter, openMeter } from './meter.ts'
import { type Outbox, type OutboxCounters, openOutbox, type Send } from './outbox.ts'
import { openPanel, type Panel, type SourceStatus } from './panel.ts'
import { type Polling, startPolling } from './polling.ts'
import { type Charge, openProcesses, type Processes } from './processes.ts'
import { openPortableProcesses } from './processesportable.ts'
import { adviseSampling, readSamplingHost } from './samplingadvice.ts'
import { shortName } from './schedulers/contract.ts'
import { PORTABLE_SOURCES, type Reading, SOURCES, type Tick } from './source.ts'
import { type Stacks, samplersOf, startStacks } from './stacks.ts'
import { type Boot, readBoot } from './starttime.ts'
import { spanStart, startTicks, type Ticks } from './ticks.ts'
import { openUsers } from './users.ts'

export type { CollectorConfig } from './config.ts'

export interface CollectorDeps {
  log: Logger
  send: Send
  /** The line back from the server; absent: nobody can ask for a closer look. */
  openWire?: OpenWire
  now?: () => number
  /** For the scheduler's commands (PATH, SLURM_CONF, SGE_ROOT …). */
  env?: Readonly<Record<string, string | undefined>>
  /** This collector sits beside the server, so it is the one that asks a scheduler that runs elsewhere. */
  besideServer?: boolean
  version?: string
}

export interface CollectorStatus {
  node: string
  cluster: string | undefined
  intervalMs: number
  startedMs: number
  ticks: number
  skippedTicks: number
  sources: SourceStatus[]
  /** How stacks are sampled, and what would mend what is missing in them. */
  sampling: string[]
  /** Processes of the last sweep. */
  processes: number
  scheduler: ReturnType<Polling['status']>
  control: ReturnType<Control['status']>
  attribution: Record<string, number>
  outbox: OutboxCounters
}

export interface Collector {
  status(): CollectorStatus
  stop(): Promise<void>
}

const FIRST_TICK_AFTER_MS = 1000
const INVENTORY_EVERY_MS = 3_600_000
const DRAIN_WITHIN_MS = 5000

export async function startCollector(config: CollectorConfig, deps: CollectorDeps): Promise<Collector> {
  const collector = new NodeCollector(config, deps)
  try {
    await collector.start()
  } catch (error) {
    await collector.stop()
    throw error
  }
  return collector
}

class NodeCollector implements Collector {
  private readonly config: CollectorConfig
  private readonly deps: CollectorDeps
  private readonly log: Logger
  private readonly now: () => number
  private readonly node: string
  private readonly outbox: Outbox
  private readonly startedMs: number
  private readonly closing: (() => Promise<void> | void)[] = []
  private readonly jobPower = openJobPower()
  private panel: Panel | undefined
  private attribution: Attribution | undefined
  private polling: Polling | undefined
  private processes: Processes | undefined
  private stacks: Stacks | undefined
  private control: Control | undefined
  private meter: Meter | undefined
  private ticks: Ticks | undefined
  private ticked = 0
  private readings = 0
  private schedulerWord = ''
  private tellInventory: () => void = () => {}
  private before: Tick | undefined

  constructor(config: CollectorConfig, deps: CollectorDeps) {
    this.config = config
    this.deps = deps
    this.log = deps.log
    this.now = deps.now ?? Date.now
    this.node = config.node ?? shortName(hostname())
    this.startedMs = this.now()
    const { path, maxBytes, memoryBytes } = config.spool
    this.outbox = openOutbox({ ...(path ? { path } : {}), maxBytes, memoryBytes }, { send: deps.send, log: deps.log })
  }

  async start(): Promise<void> {
    const isLinux = process.platform === 'linux'
    const boot = isLinux ? readBoot(this.config.roots) : undefined
    const inventory = { update: () => {} }
    this.panel = await openPanel({
      roots: this.config.roots,
      perCore: this.config.perCore,
      counters: this.config.counters,
      jobBandwidth: this.config.jobBandwidth,
      log: this.log,
      sources: isLinux ? SOURCES : PORTABLE_SOURCES,
      onChange: () => inventory.update(),
    })
    this.polling = this.startPolling()
    this.attribution = boot ? this.openAttribution(boot, this.polling) : undefined
    this.processes = await this.openProcesses(boot, this.panel)
    this.stacks = this.attribution ? await this.startStacks(this.attribution, this.panel) : undefined
    this.control = this.startControl(boot)
    this.meter = openMeter(
      { node: this.node, cluster: this.config.cluster, intervalMs: this.config.intervalMs },
      {
        readings: () => this.readings,
        sourceErrors: () => this.panel?.errors() ?? {},
        skippedTicks: () => this.ticks?.skipped ?? 0,
        outbox: () => this.outbox.counters(),
      },
    )
    this.read(this.tickAt(this.now()))
    this.tellInventory = inventory.update = this.startInventory(boot)
    this.ticks = startTicks(
      { intervalMs: this.config.intervalMs, leadMs: FIRST_TICK_AFTER_MS, now: this.now },
      timeMs => this.tick(timeMs),
    )
  }

  private startPolling(): Polling {
    const { scheduler, cluster, roots, spool } = this.config
    return startPolling(
      {
        config: scheduler,
        proc: roots.proc,
        cluster: cluster ?? 'local',
        statePath: spool.path ? join(dirname(spool.path), 'scheduler', 'jobs.json') : undefined,
        besideServer: this.deps.besideServer ?? false,
        env: this.deps.env ?? {},
      },
      // straight out: the poller keeps what is not taken, and sends the newest state of it
      { log: this.log, send: this.deps.send, now: this.now },
    )
  }

  private openAttribution(boot: Boot, polling: Polling): Attribution {
    return openAttribution({
      roots: this.config.roots,
      log: this.log,
      schedulerHints: rawId => polling.hint(rawId),
      boot,
      now: this.now,
      ...(this.deps.env ? { env: this.deps.env } : {}),
    })
  }

  private async openProcesses(boot: Boot | undefined, panel: Panel): Promise<Processes | undefined> {
    const { topByCpu, topByMemory } = this.config.processes
    if (topByCpu + topByMemory === 0) {
      panel.add('processes', 'switched off: collector.processes.topByCpu and topByMemory are 0')
      return undefined
    }
    const { attribution } = this
    const charge: Charge = attribution
      ? (pid, startMs) => attribution.charge(pid, startMs)
      : () => ({ job: '', step: '', evidence: 'none' })
    const options = { topByCpu, topByMemory, charge }
    const opened = boot
      ? openProcesses({
          ...{ ...options, roots: this.config.roots, files: panel.files, boot, users: openUsers() },
          ...this.openExits(panel),
          gpuOf: pid => panel.gpuOf(pid),
        })
      : await openPortableProcesses(options)
    panel.add('processes', 'absent' in opened ? opened.absent : undefined)
    return 'absent' in opened ? undefined : opened
  }

  private openExits(panel: Panel): { exits?: Exits } {
    const exits = openExits()
    if (!('absent' in exits)) {
      panel.add('process exits', undefined, exits)
      return { exits }
    }
    panel.add('process exits', `${exits.absent}; processes that came and went are told under their parent's name alone`)
    return {}
  }

  private async startStacks(attribution: Attribution, panel: Panel): Promise<Stacks> {
    const { cluster, stacks: options, roots } = this.config
    const perf = {
      log: this.log,
      proc: roots.proc,
      now: this.now,
      monotonic: () => Number(process.hrtime.bigint()) / 1e6,
    }
    const stacks = await startStacks(
      { ...options, node: this.node, ...(cluster ? { cluster } : {}) },
      { samplers: samplersOf(options.mode, perf), outbox: this.outbox, attribution, log: this.log },
    )
    const status = stacks.status()
    panel.add('stacks', 'absent' in status ? status.absent : undefined, stacks.source)
    return stacks
  }

  private startControl(boot: Boot | undefined): Control | undefined {
    const { attribution, stacks, node, log } = this
    const { openWire } = this.deps
    if (!openWire || !boot || !attribution || !stacks) return undefined
    const { cluster, bursts, roots } = this.config
    const waiting = () => this.outbox.counters().waiting
    const startOf = (pid: number) => new ProcessFiles(roots.proc, boot, pid).stat()?.startMs
    return startControl({ node, cluster, bursts }, { openWire, attribution, stacks, startOf, waiting, log })
  }

  /** Returns what to call when a source changed. */
  private startInventory(boot: Boot | undefined): () => void {
    const { cluster, intervalMs, roots } = this.config
    const { node, now, log } = this
    const inventory = startInventory(
      { cluster, node, intervalMs, bootMs: boot?.bootMs, version: this.deps.version, everyMs: INVENTORY_EVERY_MS },
      {
        read: () => readInventory(roots),
        sources: () => this.sourceWords(),
        put: body => this.outbox.put('jobs', body),
        now,
        log,
      },
    )
    this.closing.push(() => inventory.stop())
    return () => inventory.update()
  }

  private sampling(): string[] {
    if (!this.stacks) return []
    return adviseSampling(this.stacks.status(), this.stacks.refused, readSamplingHost(this.config.roots.proc))
  }

  private sourceWords(): Record<string, string> {
    const sources = this.panel?.status() ?? []
    const words = sources.map(({ name, state, why }) => [name, state === 'works' ? 'ok' : (why ?? state)])
    return { ...Object.fromEntries(words), scheduler: this.polling?.word() ?? '' }
  }

  private tickAt(timeMs: number): Tick {
    return { timeMs, intervalMs: this.config.intervalMs, monotonicMs: performance.now() }
  }

  private read(tick: Tick): { readings: Reading[]; processes: ReturnType<Processes['read']>['processes'] } {
    const readings = this.panel?.read(tick) ?? []
    readings.push(...this.jobPower.next(readings))
    const table = this.panel?.attempt('processes', () => this.processes?.read(tick))
    readings.push(...(table?.readings ?? []))
    this.before = tick
    return { readings, processes: table?.processes ?? [] }
  }

  /** Never throws: a tick that went wrong is said, and the next one comes. */
  private async tick(timeMs: number): Promise<void> {
    try {
      const { before } = this
      const tick = this.tickAt(timeMs)
      const { readings, processes } = this.read(tick)
      this.readings = readings.length
      const startMs = spanStart(before, tick)
      const body = this.meter?.encode({ startMs, timeMs }, readings, processes)
      if (body) this.outbox.put('metrics', body)
      this.ticked++
      this.noticeScheduler()
    } catch (error) {
      this.log.error({ err: error }, 'a tick went wrong, its readings are lost; please report this')
    }
  }

  /** That it does not answer, or does again, is told with what this node is. */
  private noticeScheduler(): void {
    const word = this.polling?.word() ?? ''
    if (word !== this.schedulerWord) this.tellInventory()
    this.schedulerWord = word
  }

  status(): CollectorStatus {
    return {
      node: this.node,
      cluster: this.config.cluster,
      intervalMs: this.config.intervalMs,
      startedMs: this.startedMs,
      ticks: this.ticked,
      skippedTicks: this.ticks?.skipped ?? 0,
      sources: this.panel?.status() ?? [],
      sampling: this.sampling(),
      processes: this.processes?.count ?? 0,
      scheduler: this.polling?.status() ?? { absent: 'not started' },
      control: this.control?.status() ?? { absent: 'not asked for' },
      attribution: this.attribution?.counters() ?? {},
      outbox: this.outbox.counters(),
    }
  }

  /** Those that make something first, then the outbox, then what they read from. One that fails holds up none of the others. */
  async stop(): Promise<void> {
    const parts: (() => Promise<void> | void | undefined)[] = [
      () => this.ticks?.stop(),
      ...this.closing,
      () => this.control?.stop(),
      () => this.stacks?.stop(),
      () => this.polling?.stop(),
      () => this.outbox.close(DRAIN_WITHIN_MS),
      () => this.processes?.close(),
      () => this.attribution?.close(),
      () => this.panel?.close(),
    ]
    for (const stop of parts) {
      try {
        await stop()
      } catch (error) {
        this.log.error({ err: error }, 'a part of the collector did not stop as it should')
      }
    }
  }
}
