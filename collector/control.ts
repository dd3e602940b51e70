/**
 * The line back from the server: "sample this pid at 499 Hz for 30 s". Opened at start and, when it is lost, again after
 * 1, 2, 4 … 60 s, each time a little differently, so that a thousand nodes do not come back to a restarted server at once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Compile } from 'typebox/compile'
import { type FromCollector, ToCollector } from '../ingest/records.ts'
import type { Attribution } from './attribution.ts'
import { type Bursts, type BurstsOptions, openBursts } from './bursts.ts'
import type { OpenWire, Wire } from './line.ts'
import type { Stacks } from './stacks.ts'

export interface ControlOptions {
  /** Short host name. */
  node: string
  /** Absent: the receiver's own default. */
  cluster: string | undefined
  bursts: BurstsOptions
}

export interface ControlDeps {
  openWire: OpenWire
  stacks: Pick<Stacks, 'status' | 'startBurst'>
  attribution: Pick<Attribution, 'groupOf'>
  /** Start of a process that lives, in ms; undefined: there is none. */
  startOf(pid: number): number | undefined
  /** Batches that are not out yet. */
  waiting(): number
  log: Logger
  /** 0 … 1, for the pause before the next try. */
  random?: () => number
}

export interface Control {
  /** Whether the line is open, else why not. */
  status(): { open: true } | { absent: string }
  stop(): void
}

const FIRST_PAUSE_MS = 1000
const LAST_PAUSE_MS = 60_000
/** A line that was open for so long worked: the next try comes soon. */
const WORKED_MS = 30_000
/** Where the receiver takes nothing, the end of a burst is told all the same. */
const SENT_WITHIN_MS = 10_000

const isOrder = Compile(ToCollector)

export function startControl(options: ControlOptions, deps: ControlDeps): Control {
  return new ControlLine(options, deps)
}

async function sent(waiting: () => number): Promise<void> {
  const deadline = performance.now() + SENT_WITHIN_MS
  while (waiting() > 0 && performance.now() < deadline) await sleep(100)
}

class ControlLine implements Control {
  private readonly options: ControlOptions
  private readonly deps: ControlDeps
  private readonly bursts: Bursts
  private wire: Wire | undefined
  private timer: NodeJS.Timeout | undefined
  private pauseMs = FIRST_PAUSE_MS
  private absent = 'it is being opened'
  private stopped = false

  constructor(options: ControlOptions, deps: ControlDeps) {
    this.options = options
    this.deps = deps
    this.bursts = openBursts(options.bursts, {
      stacks: deps.stacks,
      startOf: deps.startOf,
      groupOf: ids => deps.attribution.groupOf(ids),
      sent: () => sent(deps.waiting),
      tell: news => this.wire?.send(news),
      log: deps.log,
    })
    this.open()
  }

  status(): { open: true } | { absent: string } {
    return this.wire ? { open: true } : { absent: this.absent }
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
    this.bursts.close()
    this.wire?.close()
  }

  private open(): void {
    const openedMs = performance.now()
    const events = {
      hear: (frame: unknown) => this.hear(frame),
      gone: (why: string) => {
        this.wire = undefined
        if (performance.now() - openedMs > WORKED_MS) this.pauseMs = FIRST_PAUSE_MS
        this.again(why)
      },
    }
    this.deps.openWire(events).then(
      wire => this.greet(wire),
      (error: unknown) => this.again(error instanceof Error ? error.message : String(error)),
    )
  }

  private greet(wire: Wire): void {
    if (this.stopped) {
      wire.close()
      return
    }
    this.wire = wire
    this.absent = ''
    wire.send(this.hello())
    // What went on while nobody listened.
    for (const news of this.bursts.running()) wire.send(news)
    this.deps.log.debug('control: the line is open')
  }

  private hello(): FromCollector {
    const { node, cluster, bursts } = this.options
    const status = this.deps.stacks.status()
    const stacks = 'absent' in status ? status.absent : undefined
    const absent = bursts.atOnce === 0 ? 'they are switched off there (collector.bursts.atOnce is 0)' : stacks
    return { hello: { node, ...(cluster ? { cluster } : {}), ...(absent === undefined ? {} : { absent }) } }
  }

  private again(why: string): void {
    if (this.stopped) return
    if (this.absent !== why) this.deps.log.info(`control: no line to the server, so no bursts from its page: ${why}`)
    this.absent = why
    const { random = Math.random } = this.deps
    this.timer = setTimeout(() => this.open(), this.pauseMs * (0.5 + random() / 2))
    this.timer.unref()
    this.pauseMs = Math.min(LAST_PAUSE_MS, this.pauseMs * 2)
  }

  private hear(frame: unknown): void {
    if (!isOrder.Check(frame)) {
      this.deps.log.warn({ frame }, 'control: not understood; is the server newer than this collector?')
      return
    }
    const order = frame as ToCollector
    if ('start' in order) this.bursts.start(order.start)
    else this.bursts.stop(order.stop)
  }
}
