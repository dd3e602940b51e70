/**
 * The samples of one profiles request, folded: samples of one process that share a stack and thread within one window are
 * one row, and each function's time is added up to its minute, once a stack however often it recurses.
 */
import type { StackFrames } from './frames.ts'
import { cut, type Origin, type ProcessIdentity, parseIdentity } from './origin.ts'
import type { Dictionary } from './otlp/dictionary.ts'
import {
  allAttributes,
  claimOf,
  type ProfileHead,
  periodOf,
  type SampleIn,
  type Told,
  tell,
  type Weight,
  weigh,
} from './profilesample.ts'
import { CATEGORIES, type StackSample } from './records.ts'
import { requireCluster, type Sender } from './senders.ts'
import type { KnownStack, StackBook } from './stackbook.ts'

/** A function of one process within one minute. */
export interface FunctionMinute {
  functionId: bigint
  self: number
  total: number
  selfCount: number
}

export interface FoldedSample {
  window: ProcessWindow
  thread: string
  stack: KnownStack
  value: number
  count: number
}

/** Samples of one process and event within one window, and its functions. */
export interface ProcessWindow {
  /** What all of its samples have in common; of a burst the functions are not added up. */
  head: Omit<StackSample, 'thread' | 'stackId' | 'value' | 'count'>
  /** What one sample weighs where a clock decides, ns; 0 otherwise. */
  periodNs: number
  minuteMs: number
  functions: Map<number, FunctionMinute>
  /** Of its time, what waited for others. */
  waitingNs: number
  threads: Map<string, Map<KnownStack, FoldedSample>>
}

export interface GatheredProfiles {
  samples: readonly FoldedSample[]
  windows: readonly ProcessWindow[]
  /** Profiles of which nothing was taken. */
  rejected: number
  /** Samples left out of profiles that were taken otherwise. */
  refusedSamples: number
  reasons: readonly string[]
}

interface Limits {
  fromMs: number
  toMs: number
  sender: Sender | undefined
}

export class ProfileGather {
  readonly #book: StackBook
  readonly #limits: Limits
  readonly #samples: FoldedSample[] = []
  readonly #windows = new Map<string, ProcessWindow>()
  readonly #reasons = new Set<string>()
  /** Where the sample before went. */
  #last:
    | {
        of: ProfileHead
        origin: Origin
        identity: ProcessIdentity | undefined
        event: string
        burst: string
        window: ProcessWindow
      }
    | undefined
  #rejected = 0
  #refused = 0

  constructor(book: StackBook, limits: Limits) {
    this.#book = book
    this.#limits = limits
  }

  reject(reason: string): void {
    this.#rejected++
    if (this.#reasons.size < 5) this.#reasons.add(reason)
  }

  /** One profile of one process. */
  add(
    origin: Origin,
    head: ProfileHead,
    dictionary: Dictionary,
    frames: StackFrames,
    samples: Iterable<SampleIn>,
  ): void {
    requireCluster(this.#limits.sender, origin.cluster)
    const timeMs = Math.round((head.timeMs + head.durationMs) / 1000) * 1000
    if (!(timeMs >= this.#limits.fromMs && timeMs <= this.#limits.toMs)) {
      this.reject('the time of the profile is absent, older than what is kept, or ahead of the clock')
      return
    }
    const resource = parseIdentity(new Map(), origin.attributes)
    let taken = 0
    let given = 0
    for (const sample of samples) {
      given++
      if (this.#addSample(origin, resource, head, timeMs, dictionary, frames, sample)) taken++
    }
    if (taken === 0 && given > 0) this.#rejected++
    else this.#refused += given - taken
  }

  finish(): GatheredProfiles {
    return {
      samples: this.#samples,
      windows: [...this.#windows.values()],
      rejected: this.#rejected,
      refusedSamples: this.#refused,
      reasons: [...this.#reasons],
    }
  }

  #refuse(reason: string): false {
    if (this.#reasons.size < 5) this.#reasons.add(reason)
    return false
  }

  #addSample(
    origin: Origin,
    resource: ProcessIdentity | undefined,
    head: ProfileHead,
    timeMs: number,
    dictionary: Dictionary,
    frames: StackFrames,
    sample: SampleIn,
  ): boolean {
    const numbers = frames.of(sample.stack)
    if (numbers === undefined) return this.#refuse(`sample points to stack ${sample.stack}, which is not there`)
    const told = tell(sample, dictionary)
    const weight = weigh(head, sample, told.count)
    if (weight === undefined) return this.#refuse('a sample has neither values nor timestamps, or a negative value')
    const stack = this.#book.stack(numbers, CATEGORIES.find(c => c === told.category) ?? 'unknown')
    const identity = told.pid ? parseIdentity(allAttributes(sample, dictionary), origin.attributes) : resource
    this.#fold(origin, identity, head, timeMs, told, stack, weight)
    return true
  }

  #fold(
    origin: Origin,
    identity: ProcessIdentity | undefined,
    head: ProfileHead,
    timeMs: number,
    told: Told,
    stack: KnownStack,
    weight: Weight,
  ): void {
    const thread = cut(told.thread, 255)
    const burst = cut(told.burst, 255)
    const last = this.#last
    // The samples of a process come one after the other: only the first of them needs the key.
    const same =
      last?.of === head &&
      last.origin === origin &&
      last.identity === identity &&
      last.event === weight.event &&
      last.burst === burst
    const window = same ? last.window : this.#window(origin, identity, head, timeMs, weight.event, burst)
    if (!same) this.#last = { of: head, origin, identity, event: weight.event, burst, window }
    addFunctions(window, stack, weight)
    let stacks = window.threads.get(thread)
    if (stacks === undefined) {
      stacks = new Map()
      window.threads.set(thread, stacks)
    }
    const known = stacks.get(stack)
    if (known !== undefined) {
      known.value += weight.value
      known.count += weight.count
      return
    }
    const { value, count } = weight
    const sample = { window, thread, stack, value, count }
    stacks.set(stack, sample)
    this.#samples.push(sample)
  }

  #window(
    origin: Origin,
    identity: ProcessIdentity | undefined,
    head: ProfileHead,
    timeMs: number,
    event: string,
    burst: string,
  ): ProcessWindow {
    const pid = identity?.pid ?? 0
    const startMs = identity?.startMs ?? 0
    const key = `${origin.key}\0${pid}\0${startMs}\0${timeMs}\0${event}\0${burst}`
    const known = this.#windows.get(key)
    if (known !== undefined) return known
    const claim = identity === undefined || identity.job === '' ? claimOf(origin.attributes) : identity
    const window = {
      head: {
        cluster: origin.cluster,
        job: claim.job,
        node: origin.node,
        pid,
        startMs,
        process: identity?.name || cut(origin.attributes.get('service.name') ?? '', 255),
        evidence: claim.evidence,
        step: claim.step,
        rank: claim.rank,
        timeMs,
        windowMs: Math.min(0xffff_ffff, Math.max(0, Math.round(head.durationMs))),
        event,
        burst,
      },
      periodNs: periodOf(head),
      minuteMs: Math.ceil(timeMs / 60_000) * 60_000,
      functions: new Map<number, FunctionMinute>(),
      waitingNs: 0,
      threads: new Map<string, Map<KnownStack, FoldedSample>>(),
    }
    this.#windows.set(key, window)
    return window
  }
}

/** Bursts are a closer look at what the continuous profile has already, and idle is no function's time: left out. */
function addFunctions(window: ProcessWindow, stack: KnownStack, { value, count }: Weight): void {
  const { head, functions } = window
  if (head.burst !== '' || stack.category === 'idle') return
  if (stack.category === 'mpi' || stack.category === 'wait') window.waitingNs += value
  for (let i = 0; i < stack.functionNumbers.length; i++) {
    const number = stack.functionNumbers[i] ?? 0
    let minute = functions.get(number)
    if (minute === undefined) {
      minute = { functionId: stack.functions[i] ?? 0n, self: 0, total: 0, selfCount: 0 }
      functions.set(number, minute)
    }
    minute.total += value
    if (i > 0) continue
    minute.self += value
    minute.selfCount += count
  }
}
