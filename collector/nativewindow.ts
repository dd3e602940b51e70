/**
 * A window of the addon's. What it is (time, processes, counters) comes at once, its columns only where somebody looks at them: the
 * collector wants its OTLP, which the addon writes itself, so that the names in it never become strings of JavaScript.
 *
 *   addon ── head ──▶ charge each process ──▶ addon: encode ──▶ bodies
 *                                               └ names it has not seen: matchFrame() of categories.ts, once each
 */
import { FRAME_KINDS } from '../ingest/records.ts'
import { matchFrame, RULES } from './categories.ts'
import type { Charge, ProfileSender } from './profiles.ts'
import type { StackWindow } from './sampler.ts'

type Columns = Pick<StackWindow, 'strings' | 'frames' | 'stacks' | 'samples'>
type Head = Required<Omit<StackWindow, keyof Columns | 'encode'>>

/** native/src/addon_windows.rs */
export interface NativeWindow {
  head(): Head
  columns(): Columns
  /** Gives its memory back; it has no stacks from then on. */
  close(): void
}

type MatchFrames = (kinds: number[], modules: string[], functions: string[]) => Int32Array

export interface NativeEncoder {
  encode(
    window: NativeWindow,
    sender: { node: string; cluster?: string; mostBytes: number },
    chargeOf: Int32Array,
    charges: Charge[],
    matchFrames: MatchFrames,
  ): Uint8Array[]
}

export type NewEncoder = new (rules: { category: string; where: string }[]) => NativeEncoder

export function openEncoder(Encoder: NewEncoder): NativeEncoder {
  return new Encoder(RULES.map(({ category, where }) => ({ category, where })))
}

export function windowOf(native: NativeWindow, encoder: NativeEncoder): StackWindow {
  return new AddonWindow(native, encoder)
}

class AddonWindow implements StackWindow {
  readonly startMs: number
  readonly endMs: number
  readonly event: string
  readonly burst: string
  readonly hz: number
  readonly processes: Head['processes']
  readonly sampled: Uint32Array
  readonly counters: Head['counters']
  private readonly native: NativeWindow
  private readonly encoder: NativeEncoder
  private seen: Columns | undefined

  constructor(native: NativeWindow, encoder: NativeEncoder) {
    const head = native.head()
    this.native = native
    this.encoder = encoder
    this.startMs = head.startMs
    this.endMs = head.endMs
    this.event = head.event
    this.burst = head.burst
    this.hz = head.hz
    this.processes = head.processes
    this.sampled = head.sampled
    this.counters = head.counters
  }

  get strings(): string[] {
    return this.columns().strings
  }

  get frames(): StackWindow['frames'] {
    return this.columns().frames
  }

  get stacks(): StackWindow['stacks'] {
    return this.columns().stacks
  }

  get samples(): StackWindow['samples'] {
    return this.columns().samples
  }

  /** Lets go of the stacks: what was not looked at before is not there any more. */
  encode(sender: ProfileSender, charges: readonly (Charge | undefined)[], mostBytes: number): Uint8Array[] {
    const distinct: Charge[] = []
    const chargeOf = Int32Array.from(charges, charge => (charge ? numberOf(distinct, charge) : -1))
    const { node, cluster } = sender
    const from = { node, mostBytes, ...(cluster === undefined ? {} : { cluster }) }
    const bodies = this.encoder.encode(this.native, from, chargeOf, distinct, matchFrames)
    this.native.close()
    return bodies
  }

  private columns(): Columns {
    this.seen ??= this.native.columns()
    return this.seen
  }
}

/** Neighbours are of one job, and most processes of none: the last ones are looked at first. */
function numberOf(distinct: Charge[], charge: Charge): number {
  const same = (known: Charge) =>
    known === charge ||
    (known.job === charge.job &&
      known.step === charge.step &&
      known.rank === charge.rank &&
      known.evidence === charge.evidence)
  const known = distinct.findLastIndex(same)
  return known >= 0 ? known : distinct.push(charge) - 1
}

const matchFrames: MatchFrames = (kinds, modules, functions) =>
  Int32Array.from(functions, (name, at) =>
    matchFrame({ function: name, module: modules[at] ?? '', kind: FRAME_KINDS[kinds[at] ?? 0] ?? 'native' }),
  )
