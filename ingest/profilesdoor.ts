/** Profiles: a request -> samples, functions a minute, and the stacks and frames that the database does not know yet. */
import {
  FRAME_COLUMNS,
  FUNCTION_MINUTE_COLUMNS,
  JOB_WAITING_COLUMNS,
  SAMPLE_COLUMNS,
  STACK_COLUMNS,
  writeFrame,
  writeFunctionMinutes,
  writeJobWaiting,
  writeSample,
  writeStack,
} from './blocks.ts'
import { accepted, type DoorDeps, decodeSafely, timeLimits } from './door.ts'
import type { Receipt } from './index.ts'
import type { Encoding } from './otlp/body.ts'
import { decodeProfiles } from './otlp/profiles.ts'
import { decodeProfilesJson } from './otlp/profilesjson.ts'
import { type FoldedSample, ProfileGather } from './profilegather.ts'
import { type KnownFrame, type KnownStack, StackBook } from './stackbook.ts'
import { Telling } from './telling.ts'

export class ProfilesDoor {
  readonly #deps: DoorDeps
  readonly #book: StackBook
  readonly #telling = new Telling()
  readonly #counts = { samples: 0, stacks: 0, frames: 0, rejectedProfiles: 0, refusedSamples: 0 }

  constructor(deps: DoorDeps) {
    this.#deps = deps
    this.#book = new StackBook(deps.config.maxStacks)
  }

  counters(): Record<string, number> {
    return { ...this.#counts, knownStacks: this.#book.size, forgottenStacks: this.#book.forgotten }
  }

  take(body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    const { defaultCluster, intern } = this.#deps
    return this.add((gather, book) => {
      const sink = { gather, book, defaultCluster }
      if (encoding === 'json') decodeProfilesJson(body, sink)
      else decodeSafely(body, intern, reader => decodeProfiles(reader, sink))
    })
  }

  /** A request of any wire: `decode` adds its samples, and nothing is stored where it throws. */
  async add(decode: (gather: ProfileGather, book: StackBook, nowMs: number) => void): Promise<Receipt> {
    const { writer } = this.#deps
    const limits = timeLimits(this.#deps, 'samples')
    this.#book.trim()
    const gather = new ProfileGather(this.#book, limits)
    decode(gather, this.#book, limits.nowMs)
    const { samples, windows, rejected, refusedSamples, reasons } = gather.finish()
    this.#counts.rejectedProfiles += rejected
    this.#counts.refusedSamples += refusedSamples
    if (samples.length > 0) {
      this.#tellStacks(samples, limits.nowMs)
      const stored = writer.append('samples', SAMPLE_COLUMNS, to => {
        for (const sample of samples) writeSample(to, sample)
      })
      const minutes = writer.append('function_minutes', FUNCTION_MINUTE_COLUMNS, to => {
        for (const window of windows) writeFunctionMinutes(to, window)
      })
      const waiting = writer.append('job_usage', JOB_WAITING_COLUMNS, to => writeJobWaiting(to, windows))
      await Promise.all([stored, minutes, waiting, ...this.#telling.underWay])
      this.#counts.samples += samples.length
    }
    return accepted(rejected, refusedSamples > 0 ? [...reasons, `${refusedSamples} samples left out`] : reasons)
  }

  #tellStacks(samples: readonly FoldedSample[], nowMs: number): void {
    const { writer } = this.#deps
    const book = this.#book
    const day = Math.floor(nowMs / 86_400_000)
    const stacks: { stack: KnownStack; frames: bigint[] }[] = []
    const frames: KnownFrame[] = []
    for (const { stack } of samples) {
      if (!book.tell(stack, day)) continue
      const known = Array.from(stack.frames, number => book.frame(number))
      stacks.push({ stack, frames: known.map(frame => frame.id) })
      for (const frame of known) if (book.tell(frame, day)) frames.push(frame)
    }
    const forget = (): void => book.forget()
    if (stacks.length > 0) {
      const told = writer.append('stacks', STACK_COLUMNS, to => {
        for (const { stack, frames: ids } of stacks) writeStack(to, stack, ids, nowMs)
      })
      this.#telling.begin(told, forget)
    }
    if (frames.length > 0) {
      const told = writer.append('frames', FRAME_COLUMNS, to => {
        for (const frame of frames) writeFrame(to, frame, nowMs)
      })
      this.#telling.begin(told, forget)
    }
    this.#counts.stacks += stacks.length
    this.#counts.frames += frames.length
  }
}
