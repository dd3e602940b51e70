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
import { readInventory, startInventory } from './inventory.ts'
import { openJobPower } from './jobpower.ts'
import type { OpenWire } from './line.ts'
import { type Meter, openMeter } from './meter.ts'
import { openNodeProcesses, startNodeStacks } from './nodeparts.ts'
import { type Outbox, type OutboxCounters, openOutbox, type Send } from './outbox.ts'
import { openPanel, type Panel, type SourceStatus } from './panel.ts'
import { type Polling, startPolling } from './polling.ts'
import type { Processes } from './processes.ts'
import { adviseSampling, readSamplingHost } from './samplingadvice.ts'
import { shortName } from './schedulers/contract.ts'
import { PORTABLE_SOURCES, type Reading, SOURCES, type Tick } from './source.ts'
import type { Stacks } from './stacks.ts'
import { type Boot, readBoot } from './starttime.ts'
import { spanStart, startTicks, type Ticks } from './ticks.ts'

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
    const { config, node, outbox, log, now } = this
    const isLinux = process.platform === 'linux'
    const boot = isLinux ? readBoot(config.roots) : undefined
    const inventory = { update: () => {} }
    const { roots, perCore, counters, jobBandwidth } = config
    const panel = await openPanel({
      ...{ roots, perCore, counters, jobBandwidth, log },
      sources: isLinux ? SOURCES : PORTABLE_SOURCES,
      onChange: () => inventory.update(),
    })
    this.panel = panel
    this.polling = this.startPolling()
    this.attribution = boot ? this.openAttribution(boot, this.polling) : undefined
    this.processes = await openNodeProcesses(config, { panel, boot, attribution: this.attribution })
    this.stacks = this.attribution
      ? await startNodeStacks(config, { node, panel, attribution: this.attribution, outbox, log, now })
      : undefined
    this.control = this.startControl(boot)
    this.meter = openMeter(
      { node, cluster: config.cluster, intervalMs: config.intervalMs },
      {
        readings: () => this.readings,
        sourceErrors: () => this.panel?.errors() ?? {},
        skippedTicks: () => this.ticks?.skipped ?? 0,
        outbox: () => this.outbox.counters(),
      },
    )
    this.read(this.tickAt(this.now()))
    this.tellInventory = inventory.update = this.startInventory(boot)
    this.ticks = startTicks({ intervalMs: config.intervalMs, leadMs: FIRST_TICK_AFTER_MS, now }, timeMs =>
      this.tick(timeMs),
    )
  }

  private startPolling(): Polling {
    const { scheduler, cluster, roots, spool } = this.config
    return startPolling(
      {
        config: scheduler,
        proc: roots.proc,
        cluster: cluster ?? 'local',
        node: this.node,
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
      pidsNamed: name => this.processes?.pidsNamed?.(name),
      boot,
      now: this.now,
      ...(this.deps.env ? { env: this.deps.env } : {}),
    })
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
      const body = this.meter?.encode({ startMs: spanStart(before, tick), timeMs }, readings, processes)
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
