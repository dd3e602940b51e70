/**
 * A profile file, or a stream, as OTLP profiles: what `jobsight import FILE` sends. All samples are charged to the job that
 * the sender names; samples with times roll into windows of ten seconds, a profile without them is one window.
 */
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { detectFormat, isGzip, READERS } from './formats/detect.ts'
import { ProfileError, type ProfilePart, type ProfileSource, type ProfileSummary } from './formats/format.ts'
import { type Charge, encodeProfiles } from './profiles.ts'
import type { StackWindow } from './sampler.ts'
import { WindowBuilder } from './window.ts'

export interface ImportOptions {
  cluster?: string
  /** Short name of the node it was taken on. */
  node: string
  job?: string
  /** Wall clock of its beginning, ms since the epoch; absent: what the file says, else that it ended when it was written. */
  timeMs?: number
  /** Samples a second behind the counts of a folded file. */
  hz?: number
  now?: () => number
  /** Told at the end: what it was, and what of it could not be used. */
  onSummary?: (summary: ProfileSummary) => void
}

const WINDOW_MS = 10_000
const HEAD_BYTES = 64 << 10
const TAIL_BYTES = 256 << 10
/** A file may hold far more distinct stacks than a node makes in ten seconds. */
const LIMITS = { stacks: 500_000, samples: 2_000_000 }

/** `file`: a path, '-' for standard input, or the bytes themselves. Yields bodies for /v1development/profiles. */
export async function* importProfile(
  file: string | AsyncIterable<Uint8Array>,
  options: ImportOptions,
): AsyncGenerator<Uint8Array> {
  const { chunks, source } = await openSource(file, options)
  const { head, all } = await peek(decompressed(chunks, source.name))
  const parts = READERS[detectFormat(head, source.name)](all, source)
  const { node, cluster, job } = options
  const sender = { node, ...(cluster === undefined ? {} : { cluster }) }
  const charge: Charge = { job: job ?? '', step: '', evidence: job ? 'sender' : 'none' }
  for await (const window of windowsOf(parts, summary => options.onSummary?.(summary)))
    yield* encodeProfiles(window, sender, () => charge)
}

async function openSource(
  file: string | AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<{ chunks: AsyncIterable<Uint8Array>; source: ProfileSource }> {
  const nowMs = (options.now ?? Date.now)()
  const common = { startMs: options.timeMs, hz: options.hz ?? 100 }
  if (typeof file !== 'string') return { chunks: file, source: { ...common, name: 'stream', endMs: nowMs } }
  if (file === '-') return { chunks: process.stdin, source: { ...common, name: 'stdin', endMs: nowMs } }
  const { mtimeMs } = await stat(file).catch(error => {
    throw new ProfileError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`)
  })
  const source = { ...common, name: basename(file), endMs: mtimeMs, tail: () => readTail(file) }
  return { chunks: createReadStream(file), source }
}

/** Empty for a compressed file. */
async function readTail(path: string): Promise<Uint8Array> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.alloc(Math.min(TAIL_BYTES, size))
    await handle.read(bytes, 0, bytes.length, size - bytes.length)
    return isGzip(bytes) ? new Uint8Array() : bytes
  } finally {
    await handle.close()
  }
}

async function* decompressed(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* await inflated(chunks)
  } catch (error) {
    throw new ProfileError(`cannot read ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function inflated(chunks: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const { head, all } = await peek(chunks)
  if (!isGzip(head)) return all
  const gunzip = createGunzip()
  // An error of either side destroys gunzip, so whoever reads from it gets that error.
  pipeline(all, gunzip).catch(() => undefined)
  return gunzip
}

/** The first bytes, and all of them again. */
async function peek(chunks: AsyncIterable<Uint8Array>): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]()
  const first: Uint8Array[] = []
  let bytes = 0
  let ended = false
  while (bytes < HEAD_BYTES && !ended) {
    const next = await iterator.next()
    if (next.done) {
      ended = true
    } else {
      first.push(next.value)
      bytes += next.value.length
    }
  }
  async function* all() {
    yield* first
    while (!ended) {
      const next = await iterator.next()
      if (next.done) return
      yield next.value
    }
  }
  return { head: Buffer.concat(first), all: all() }
}

/** Windows by event: of samples with times each ten seconds, of those without them one at the end. */
async function* windowsOf(
  parts: AsyncGenerator<ProfilePart[], ProfileSummary>,
  onSummary: (summary: ProfileSummary) => void,
): AsyncGenerator<StackWindow> {
  const open = new OpenWindows()
  let next = await parts.next()
  for (; !next.done; next = await parts.next())
    for (const part of next.value) {
      const ended = open.add(part)
      if (ended) yield ended
    }
  yield* open.end(next.value)
  onSummary(next.value)
}

class OpenWindows {
  private readonly timed = new Map<string, { startMs: number; builder: WindowBuilder }>()
  private readonly timeless = new Map<string, WindowBuilder>()

  /** The window that this sample ended, by lying beyond it. */
  add({ event, timeMs, sample }: ProfilePart): StackWindow | undefined {
    if (timeMs === undefined) {
      const builder = this.timeless.get(event) ?? new WindowBuilder(LIMITS)
      this.timeless.set(event, builder)
      builder.add(sample)
      return undefined
    }
    const startMs = Math.floor(timeMs / WINDOW_MS) * WINDOW_MS
    const known = this.timed.get(event)
    const window = known && startMs <= known.startMs ? known : { startMs, builder: new WindowBuilder(LIMITS) }
    this.timed.set(event, window)
    window.builder.add(sample)
    return known && known !== window ? windowOf(event, known) : undefined
  }

  *end({ lost, startMs, endMs }: ProfileSummary): Generator<StackWindow> {
    const [first] = [...[...this.timed.values()].map(w => w.builder), ...this.timeless.values()]
    first?.lose(lost)
    for (const [event, window] of this.timed) yield windowOf(event, window)
    for (const [event, builder] of this.timeless) yield builder.build({ startMs, endMs, event })
  }
}

const windowOf = (event: string, { startMs, builder }: { startMs: number; builder: WindowBuilder }) =>
  builder.build({ startMs, endMs: startMs + WINDOW_MS, event })
