/**
 * A StackWindow as OTLP profiles, v1development in the layout of 1.10 and later (Sample: 1 stack, 2 attributes, 3 link,
 * 4 values). https://github.com/open-telemetry/opentelemetry-proto/blob/v1.11.0/opentelemetry/proto/profiles/v1development/profiles.proto
 *
 *   request ── resource_profiles ── one a process: host.name, process.pid, jobsight.job.id …
 *           │    └ profile: sample_type cpu/nanoseconds, samples -> (stack, attributes, [nanoseconds])
 *           └─ dictionary: names, functions, locations, stacks, attributes once each; element 0 of each table is the zero value
 *
 * A window becomes several requests where one would pass the limit; each stands alone.
 */
import { PbfWriter } from 'pbf'
import { type Evidence, FRAME_KINDS, type FrameKind } from '../ingest/records.ts'
import { classifyStacks } from './categories.ts'
import { Dictionary, writeAnyValue } from './dictionary.ts'
import type { SampledProcess, StackWindow } from './sampler.ts'

/** Who sends. */
export interface ProfileSender {
  /** Short host name. */
  node: string
  /** Absent: the receiver's own default. */
  cluster?: string
  /** Marks demo data. */
  simulated?: boolean
  /** Samples a second and CPU, where it is known. */
  hz?: number
}

/** Whose work a process is, and how that is known. */
export interface Charge {
  /** As users type it; '' for no job. */
  job: string
  step: string
  rank?: number | undefined
  evidence: Evidence
}

/** The names of the semantic conventions where they have one, else our own. */
const FRAME_TYPES: Record<FrameKind, string> = {
  native: 'native',
  kernel: 'kernel',
  python: 'cpython',
  jit: 'jit',
  java: 'jvm',
  javascript: 'v8js',
  other: 'other',
  truncated: 'truncated',
}

export const MAX_REQUEST_BYTES = 1 << 20

/** One body after the other, each at most about `maxBytes`. Processes without a charge are left out. A window is encoded once. */
export function encodeProfiles(
  window: StackWindow,
  sender: ProfileSender,
  charge: (process: SampledProcess) => Charge | undefined,
  maxBytes: number = MAX_REQUEST_BYTES,
): Iterable<Uint8Array> {
  return (
    window.encode?.(sender, window.processes.map(charge), maxBytes) ?? encodeColumns(window, sender, charge, maxBytes)
  )
}

/** The same of a window that cannot encode itself. */
export function* encodeColumns(
  window: StackWindow,
  sender: ProfileSender,
  charge: (process: SampledProcess) => Charge | undefined,
  maxBytes: number,
): Generator<Uint8Array> {
  const categories = classifyStacks(window)
  let request = new Request(window, sender)
  for (const [process, samples] of samplesByProcess(window)) {
    const charged = charge(process)
    if (charged === undefined) continue
    const attributes = resourceAttributes(sender, process, charged)
    request.openProcess(attributes)
    for (const sample of samples) {
      if (request.bytes > maxBytes) {
        yield request.encode()
        request = new Request(window, sender)
        request.openProcess(attributes)
      }
      request.add(sample, categories[window.samples.stack[sample] ?? 0] ?? 'unknown')
    }
  }
  if (!request.empty) yield request.encode()
}

function samplesByProcess(window: StackWindow): [SampledProcess, number[]][] {
  const groups = window.processes.map((process): [SampledProcess, number[]] => [process, []])
  for (const [sample, process] of window.samples.process.entries()) groups[process]?.[1].push(sample)
  return groups.filter(([, samples]) => samples.length > 0)
}

type Attributes = [key: string, value: string | number | boolean][]

function resourceAttributes(sender: ProfileSender, process: SampledProcess, charge: Charge): Attributes {
  const attributes: Attributes = [['host.name', sender.node]]
  if (sender.cluster !== undefined) attributes.push(['jobsight.cluster', sender.cluster])
  if (sender.simulated) attributes.push(['jobsight.simulated', true])
  attributes.push(['process.pid', process.pid])
  if (process.startMs > 0) attributes.push(['process.creation.time', new Date(process.startMs).toISOString()])
  if (process.name) attributes.push(['process.executable.name', process.name])
  if (charge.job) attributes.push(['jobsight.job.id', charge.job])
  if (charge.step) attributes.push(['jobsight.job.step', charge.step])
  if (charge.rank !== undefined) attributes.push(['jobsight.job.rank', charge.rank])
  attributes.push(['jobsight.evidence', charge.evidence])
  return attributes
}

interface ProcessSamples {
  attributes: Attributes
  /** Encoded Sample messages. */
  samples: { stack: number; attributes: number[]; value: number }[]
}

/** One ExportProfilesServiceRequest in the making. */
class Request {
  private readonly window: StackWindow
  private readonly sender: ProfileSender
  private readonly dictionary = new Dictionary()
  private readonly processes: ProcessSamples[] = []
  /** Where each string, frame and stack of the window is in the dictionary; 0 while it is not. */
  private readonly strings: Uint32Array
  private readonly locations: Uint32Array
  private readonly stacks: Uint32Array
  private sampleBytes = 0

  constructor(window: StackWindow, sender: ProfileSender) {
    this.window = window
    this.sender = sender
    this.strings = new Uint32Array(window.strings.length)
    this.locations = new Uint32Array(window.frames.line.length)
    this.stacks = new Uint32Array(window.stacks.offsets.length)
  }

  /** About what encode() will give, from above. */
  get bytes(): number {
    return this.sampleBytes + this.dictionary.bytes
  }

  get empty(): boolean {
    return this.processes.length === 0
  }

  openProcess(attributes: Attributes): void {
    this.processes.push({ attributes, samples: [] })
    this.sampleBytes +=
      128 + attributes.reduce((sum, [key, value]) => sum + key.length + Buffer.byteLength(String(value)) + 20, 0)
  }

  add(sample: number, category: string): void {
    const { samples, strings, burst } = this.window
    const thread = strings[samples.thread[sample] ?? 0] ?? ''
    const { dictionary } = this
    const attributes = [
      dictionary.attribute('jobsight.category', category),
      dictionary.attribute('jobsight.sample.count', samples.count[sample] ?? 0),
    ]
    if (thread) attributes.push(dictionary.attribute('thread.name', thread))
    if (burst) attributes.push(dictionary.attribute('jobsight.burst', burst))
    const stack = this.stackOf(samples.stack[sample] ?? 0)
    this.processes.at(-1)?.samples.push({ stack, attributes, value: Math.round(samples.periodNs[sample] ?? 0) })
    this.sampleBytes += 20 + 3 * attributes.length
  }

  encode(): Uint8Array {
    const { window, sender, dictionary } = this
    const hz = window.hz ?? sender.hz
    const profile = {
      sampleType: [
        dictionary.string(window.event),
        dictionary.string(window.event === 'cpu' ? 'nanoseconds' : 'count'),
      ],
      timeNs: window.startMs * 1e6,
      durationNs: Math.max(0, Math.round((window.endMs - window.startMs) * 1e6)),
      // As the kernel divides: its software clock ticks in whole nanoseconds.
      periodNs: hz ? Math.floor(1e9 / hz) : 0,
    }
    const writer = new PbfWriter()
    for (const process of this.processes)
      writer.writeMessage(1, (p: ProcessSamples, w) => writeResourceProfiles(p, profile, w), process)
    writer.writeMessage(2, (d: Dictionary, w) => d.write(w), dictionary)
    return writer.finish()
  }

  private stackOf(stack: number): number {
    const known = this.stacks[stack] ?? 0
    if (known > 0) return known
    const { offsets, frames } = this.window.stacks
    const locations: number[] = []
    for (let at = offsets[stack] ?? 0; at < (offsets[stack + 1] ?? 0); at++)
      locations.push(this.locationOf(frames[at] ?? 0))
    const index = this.dictionary.stack(locations)
    this.stacks[stack] = index
    return index
  }

  private locationOf(frame: number): number {
    const known = this.locations[frame] ?? 0
    if (known > 0) return known
    const { frames } = this.window
    const index = this.dictionary.location({
      function: this.stringOf(frames.function[frame] ?? 0),
      module: this.stringOf(frames.module[frame] ?? 0),
      file: this.stringOf(frames.file[frame] ?? 0),
      line: frames.line[frame] ?? 0,
      frameType: FRAME_TYPES[FRAME_KINDS[frames.kind[frame] ?? 0] ?? 'native'],
    })
    this.locations[frame] = index
    return index
  }

  private stringOf(string: number): number {
    const known = this.strings[string] ?? 0
    if (known > 0) return known
    const index = this.dictionary.string(this.window.strings[string] ?? '')
    this.strings[string] = index
    return index
  }
}

interface ProfileHead {
  sampleType: number[]
  timeNs: number
  durationNs: number
  periodNs: number
}

/** ResourceProfiles: resource 1, scope_profiles 2 (scope 1, profiles 2). */
function writeResourceProfiles(process: ProcessSamples, head: ProfileHead, writer: PbfWriter): void {
  writer.writeMessage(1, writeResource, process.attributes)
  writer.writeMessage(
    2,
    (p: ProcessSamples, scope) => {
      scope.writeMessage(1, (name: string, w) => w.writeStringField(1, name), 'jobsight')
      scope.writeMessage(2, (q: ProcessSamples, w) => writeProfile(q, head, w), p)
    },
    process,
  )
}

function writeResource(attributes: Attributes, writer: PbfWriter): void {
  for (const attribute of attributes)
    writer.writeMessage(
      1,
      ([key, value]: Attributes[number], w) => {
        w.writeStringField(1, key)
        w.writeMessage(2, writeAnyValue, value)
      },
      attribute,
    )
}

/** Profile: sample_type 1, samples 2, time_unix_nano 3, duration_nano 4, period_type 5, period 6. */
function writeProfile(process: ProcessSamples, head: ProfileHead, writer: PbfWriter): void {
  writer.writeMessage(1, writeValueType, head.sampleType)
  for (const sample of process.samples) writer.writeMessage(2, writeSample, sample)
  writer.writeFixed64Field(3, head.timeNs)
  writer.writeVarintField(4, head.durationNs)
  if (head.periodNs > 0) {
    writer.writeMessage(5, writeValueType, head.sampleType)
    writer.writeVarintField(6, head.periodNs)
  }
}

function writeValueType(type: number[], writer: PbfWriter): void {
  writer.writeVarintField(1, type[0] ?? 0)
  writer.writeVarintField(2, type[1] ?? 0)
}

function writeSample(sample: ProcessSamples['samples'][number], writer: PbfWriter): void {
  writer.writeVarintField(1, sample.stack)
  writer.writePackedVarint(2, sample.attributes)
  writer.writePackedVarint(4, [sample.value])
}
