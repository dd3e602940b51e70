/**
 * Stacks by perf(1): the sampler of machines on which the addon cannot be built. It runs one pair `perf record | perf script`
 * (perfpair.ts), parses its text, and rolls the samples into windows.
 *
 * perf script keeps the symbols and unwinding tables of everything it has seen, so a pair that has become large is followed
 * by a fresh one. Both sample for a while; one cut decides which samples of which count. It lies where the old one has got to
 * when the first sample of the new one arrives, or at that sample, whichever is later:
 *
 *   old    ──x──x──x──x──x──x──╎··x···x     those after the cut are dropped here …
 *   new            ··x··x··x··x╎─x──x──x    … and those before it there: none is lost, none is counted twice
 */
import { cpus, release } from 'node:os'
import type { Logger } from 'pino'
import { reachesRoot } from './formats/perfframe.ts'
import { type PerfSample, PerfScriptParser } from './formats/perfscript.ts'
import { Identities } from './identities.ts'
import { advicePerf, readPerfHost } from './perfadvice.ts'
import { commandFor, type PerfCommand, simplerCommand } from './perfcommand.ts'
import { PerfPair } from './perfpair.ts'
import { WindowRoll } from './roll.ts'
import type { Sampler, SamplerOptions, SamplerStatus, StackWindow, StartSampler } from './sampler.ts'
import { TRUNCATED } from './window.ts'

export interface PerfDeps {
  log: Logger
  proc: string
  now: () => number
  /** CLOCK_MONOTONIC in ms, the clock that perf is told to use. */
  monotonic: () => number
  /** When a pair is followed by a fresh one; the defaults below are right but for tests. */
  succession?: Succession
}

interface Succession {
  largeBytes: number
  youngMs: number
}

const PULSE_MS = 1000
const SUCCESSION: Succession = { largeBytes: 384 << 20, youngMs: 20_000 }
const TOO_LARGE_BYTES = 1024 << 20
const MET_A_PULSE = 100
const BEHIND_BYTES = 1 << 20
const BEHIND_MS = 15_000
const OLD_MS = 3_600_000
/** For what still waits for the old perf script. */
const LEAVING_MS = 60_000
const BACKOFF_MS = { first: 1000, last: 60_000 }

export const perfSampler =
  (deps: PerfDeps): StartSampler =>
  async options => {
    const command = commandFor(options, cpus().length)
    const sampler = new PerfSampler(command, options, deps)
    const absent = await sampler.start()
    return absent === undefined ? sampler : { absent }
  }

/** A pair, and the samples of it that count: after `fromMs`, up to `untilMs` of CLOCK_MONOTONIC. */
interface Generation {
  pair: PerfPair
  parser: PerfScriptParser
  fromMs: number
  untilMs: number
  /** The latest that has arrived. */
  reachedMs: number
  /** How many have arrived, those that do not count among them. */
  arrived: number
  /** What was told to the windows already. */
  lost: number
  throttled: number
}

class PerfSampler implements Sampler {
  readonly status: SamplerStatus
  private command: PerfCommand
  private readonly options: SamplerOptions
  private readonly deps: PerfDeps
  private readonly roll: WindowRoll
  private readonly identities: Identities
  private readonly host = readPerfHost(release())
  private current: Generation | undefined
  private successor: Generation | undefined
  private readonly leaving = new Set<Generation>()
  private timer: NodeJS.Timeout | undefined
  private backoffMs = BACKOFF_MS.first
  private stopped = false
  private lastMs = 0
  private met = 0
  private endedCpuSeconds = 0

  constructor(command: PerfCommand, options: SamplerOptions, deps: PerfDeps) {
    this.command = command
    this.options = options
    this.deps = deps
    this.status = { kind: 'perf', hz: command.hz, clock: 'cpu-clock' }
    this.roll = new WindowRoll({
      startMs: deps.now(),
      windowMs: options.windowMs,
      ownCpuNs: () => 1e9 * (this.endedCpuSeconds + this.running().reduce((sum, g) => sum + g.pair.cpuSeconds(), 0)),
    })
    this.identities = new Identities(deps.proc, deps.now)
  }

  /** Undefined once it samples, else why not. Tries again without what this perf or this user cannot have. */
  async start(): Promise<string | undefined> {
    for (;;) {
      const generation = this.open()
      const said = await generation.pair.ready
      if (said === undefined) {
        this.current = generation
        this.watch(generation)
        this.timer = setInterval(() => this.pulse(), PULSE_MS)
        return undefined
      }
      const simpler = simplerCommand(this.command, said)
      if (!simpler) return advicePerf(said, this.host)
      this.command = simpler
    }
  }

  drain(): StackWindow[] {
    this.identities.prune()
    const nowMs = this.deps.now()
    // Where perf script is behind, windows wait for their samples instead of the clock.
    const behind = (this.current?.pair.waitingBytes() ?? 0) > BEHIND_BYTES
    return this.roll.drain(behind ? Math.max(this.lastMs, nowMs - BEHIND_MS) : nowMs)
  }

  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    const ended = this.running()
    await Promise.all(ended.map(generation => generation.pair.stop()))
    for (const generation of ended) if (generation !== this.successor) this.countUnread(generation)
    this.roll.end(this.deps.now())
  }

  private running(): Generation[] {
    return [this.current, this.successor, ...this.leaving].filter(generation => generation !== undefined)
  }

  private open(): Generation {
    const parser = new PerfScriptParser(sample => this.take(generation, sample))
    const pair = new PerfPair(
      this.command,
      { line: text => parser.line(text), exec: pid => this.meet(pid) },
      this.deps.now(),
    )
    const generation: Generation = {
      pair,
      parser,
      fromMs: 0,
      untilMs: Number.POSITIVE_INFINITY,
      reachedMs: 0,
      arrived: 0,
      lost: 0,
      throttled: 0,
    }
    return generation
  }

  private take(generation: Generation, sample: PerfSample): void {
    this.countLost(generation)
    generation.arrived++
    if (sample.timeMs === undefined) return
    if (generation === this.successor) this.handOver(sample.timeMs)
    generation.reachedMs = Math.max(generation.reachedMs, sample.timeMs)
    if (sample.timeMs <= generation.fromMs || sample.timeMs > generation.untilMs) return
    if (sample.pid <= 0 && !this.options.includeIdle) return
    const { pid, comm } = sample
    const known = this.identities.of(pid)
    const process = known?.name ?? (comm.startsWith(':') ? '' : comm)
    const frames =
      sample.frames.length === 0 || !reachesRoot(sample.frames) ? [...sample.frames, TRUNCATED] : sample.frames
    this.lastMs = sample.timeMs + this.deps.now() - this.deps.monotonic()
    this.roll.add(this.lastMs, {
      pid: Math.max(0, pid),
      startMs: known?.startMs ?? 0,
      process,
      cgroup: '',
      thread: threadGroup(comm, process),
      frames,
      periodNs: sample.period ?? 1e9 / this.command.hz,
      count: 1,
    })
  }

  /** Its start is read now, since it may be gone when its samples arrive; not of every one in a storm of short-lived ones. */
  private meet(pid: number): void {
    if (this.met++ < MET_A_PULSE) this.identities.of(pid)
  }

  private countLost(generation: Generation): void {
    const { lost, throttled } = generation.pair.stream
    if (lost > generation.lost || throttled > generation.throttled)
      this.roll.lose(lost - generation.lost, throttled - generation.throttled)
    generation.lost = lost
    generation.throttled = throttled
  }

  /** Of a pair that has ended: what perf script did not get to. An upper bound, since another may have the same samples. */
  private countUnread(generation: Generation): void {
    const { pair, arrived, reachedMs, untilMs } = generation
    this.countLost(generation)
    if (reachedMs < untilMs) this.roll.lose(Math.max(0, pair.stream.samples - arrived), 0)
  }

  private handOver(firstMs: number): void {
    const old = this.current
    const fresh = this.successor
    this.current = fresh
    this.successor = undefined
    if (!old || !fresh) return
    const cutMs = Math.max(old.reachedMs, firstMs)
    old.untilMs = cutMs
    fresh.fromMs = cutMs
    this.leaving.add(old)
    const cpuSeconds = old.pair.cpuSeconds()
    old.pair.stop(LEAVING_MS).then(() => {
      this.leaving.delete(old)
      if (!this.stopped) this.countUnread(old)
      this.endedCpuSeconds += cpuSeconds
    })
  }

  private pulse(): void {
    this.met = 0
    for (const generation of [this.current, this.successor]) generation?.pair.pulse()
    const { current } = this
    if (!current) return
    this.countLost(current)
    const ageMs = this.deps.now() - current.pair.startedMs
    const bytes = current.pair.residentBytes()
    if (ageMs > BACKOFF_MS.last) this.backoffMs = BACKOFF_MS.first
    if (bytes > TOO_LARGE_BYTES) current.pair.kill()
    const { largeBytes, youngMs } = this.deps.succession ?? SUCCESSION
    if (!this.successor && ((bytes > largeBytes && ageMs > youngMs) || ageMs > OLD_MS)) this.beginSuccessor()
  }

  private beginSuccessor(): void {
    const successor = this.open()
    this.successor = successor
    successor.pair.ended.then(said => {
      if (this.successor === successor) this.successor = undefined
      else this.restart(successor, said)
    })
  }

  private watch(generation: Generation): void {
    generation.pair.ended.then(said => this.restart(generation, said))
  }

  /** A pair that ended on its own is replaced, later each time. */
  private restart(generation: Generation, said: string): void {
    if (this.stopped || this.current !== generation) return
    this.countUnread(generation)
    this.current = undefined
    const { log } = this.deps
    log.warn(
      { said: said.slice(0, 500), afterMs: this.backoffMs },
      `stacks: ${advicePerf(said, this.host)}; starting it again`,
    )
    setTimeout(() => {
      if (this.stopped) return
      this.current = this.open()
      this.watch(this.current)
    }, this.backoffMs).unref()
    this.backoffMs = Math.min(BACKOFF_MS.last, this.backoffMs * 2)
  }
}

/** `worker-12` and `worker-13` are one group; a thread with its process's name keeps it, `fib2` is no second `fib`. */
export function threadGroup(comm: string, process: string): string {
  return comm === process ? comm : comm.replace(/[-_ /#:.]*\d+$/, '') || comm
}
