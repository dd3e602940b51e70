/**
 * OTLP profiles, v1development, protobuf.
 *
 *   request 1 resource_profiles, 2 dictionary · resource_profiles 1 resource, 2 scope_profiles · 2 profiles
 *   profile 1 sample_type, 2 samples, 3 time, 4 duration, 5 period_type, 6 period
 *
 * A Sample was renumbered between 1.9 and 1.10 under the same package name, and no version is on the wire:
 *
 *            1       2            3            4            5
 *   1.8/1.9  stack   values       attributes   link         timestamps       lists are LEN, an index is VARINT
 *   1.10     stack   attributes   link         values       timestamps
 *
 * So 3 as a list or 4 as a number is the old layout, 3 as a number or 4 as a list the new one.
 * https://github.com/open-telemetry/opentelemetry-proto/pull/724
 */
import { StackFrames } from '../frames.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import type { ProfileGather } from '../profilegather.ts'
import type { ProfileHead, SampleIn } from '../profilesample.ts'
import type { StackBook } from '../stackbook.ts'
import { readResource } from './attributes.ts'
import { type Dictionary, emptyDictionary, readDictionary } from './dictionary.ts'
import { BYTES, type Reader, VARINT } from './reader.ts'

interface Sink {
  gather: ProfileGather
  book: StackBook
  defaultCluster: string
}

interface Request extends Sink {
  dictionary: Dictionary
  frames: StackFrames
  layout: Layout
}

type Layout = '1.9' | '1.10'

/** Throws BodyError where the bytes are not OTLP. */
export function decodeProfiles(reader: Reader, sink: Sink): void {
  const resources: number[] = []
  let dictionary = emptyDictionary()
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field === 1) resources.push(reader.mark('resource_profiles'))
    else if (field === 2) dictionary = readDictionary(reader)
  }
  reader.finish()
  const layout = findLayout(reader, resources, dictionary)
  reader.rewind()
  const request = { ...sink, dictionary, frames: new StackFrames(dictionary, sink.book), layout }
  for (const mark of resources) {
    reader.back(mark)
    decodeResource(reader, request)
  }
}

function decodeResource(reader: Reader, request: Request): void {
  const end = reader.enter('resource_profiles')
  const profiles: number[] = []
  let attributes = new Map<string, string>()
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) attributes = readResource(reader, request.dictionary.strings)
    else if (field === 2) markProfiles(reader, profiles)
  }
  const origin = parseOrigin(attributes, request.defaultCluster)
  for (const mark of profiles) {
    reader.back(mark)
    decodeProfile(reader, request, origin)
  }
  reader.back(end)
  reader.leave(end)
}

function markProfiles(reader: Reader, profiles: number[]): void {
  const end = reader.enter('scope_profiles')
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 2) profiles.push(reader.mark('profiles'))
  }
  reader.leave(end)
}

function decodeProfile(reader: Reader, request: Request, origin: Origin): void {
  const { strings } = request.dictionary
  const end = reader.enter('profile')
  const head: ProfileHead = { type: '', unit: '', periodType: '', periodUnit: '', period: 0, timeMs: 0, durationMs: 0 }
  const samples: SampleIn[] = []
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) [head.type, head.unit] = readValueType(reader, strings)
    else if (field === 2) samples.push(readSample(reader, request.layout))
    else if (field === 3) head.timeMs = reader.fixed64() / 1e6
    else if (field === 4) head.durationMs = reader.int64() / 1e6
    else if (field === 5) [head.periodType, head.periodUnit] = readValueType(reader, strings)
    else if (field === 6) head.period = reader.int64()
  }
  reader.leave(end)
  request.gather.add(origin, head, request.dictionary, request.frames, samples)
}

function readValueType(reader: Reader, strings: readonly string[]): [type: string, unit: string] {
  const end = reader.enter('value_type')
  let type = ''
  let unit = ''
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) type = strings[reader.index()] ?? ''
    else if (field === 2) unit = strings[reader.index()] ?? ''
  }
  reader.leave(end)
  return [type, unit]
}

function readSample(reader: Reader, layout: Layout): SampleIn {
  const end = reader.enter('sample')
  const [valuesField, attributesField] = layout === '1.9' ? [2, 3] : [4, 2]
  const attributes: number[] = []
  const values: number[] = []
  const timestamps: number[] = []
  let stack = 0
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) stack = reader.index()
    else if (field === valuesField) reader.varints(values, true)
    else if (field === attributesField) reader.varints(attributes)
    else if (field === 5) reader.fixed64s(timestamps)
  }
  reader.leave(end)
  return { stack, attributes, values, timestamps }
}

/** What one sample says of its layout; `both` where its list in field 2 could be either. */
interface Hint {
  layout: Layout | undefined
  /** Field 2 as values would be one a timestamp. */
  oldFits: boolean
  /** Field 2 as attributes would point into the table. */
  newFits: boolean
}

/** The first sample that can only be one layout decides for the request; else what fits all of them, else the new one. */
function findLayout(reader: Reader, resources: readonly number[], dictionary: Dictionary): Layout {
  let oldFits = true
  let newFits = true
  for (const hint of hints(reader, resources, dictionary)) {
    if (hint.layout !== undefined) return hint.layout
    oldFits &&= hint.oldFits
    newFits &&= hint.newFits
  }
  return oldFits && !newFits ? '1.9' : '1.10'
}

function* hints(reader: Reader, resources: readonly number[], dictionary: Dictionary): Generator<Hint> {
  for (const mark of resources) {
    reader.back(mark)
    const end = reader.enter('resource_profiles')
    const profiles: number[] = []
    for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
      if (field === 2) markProfiles(reader, profiles)
    }
    for (const profile of profiles) {
      reader.back(profile)
      const profileEnd = reader.enter('profile')
      for (let field = reader.nextField(profileEnd); field !== 0; field = reader.nextField(profileEnd)) {
        if (field === 2) yield readHint(reader, dictionary)
      }
      reader.leave(profileEnd)
    }
    reader.back(end)
    reader.leave(end)
  }
}

function readHint(reader: Reader, dictionary: Dictionary): Hint {
  const end = reader.enter('sample')
  const second: number[] = []
  const timestamps: number[] = []
  let layout: Layout | undefined
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 2) reader.varints(second, true)
    else if (field === 3) layout ??= reader.type === BYTES ? '1.9' : '1.10'
    else if (field === 4) layout ??= reader.type === VARINT ? '1.9' : '1.10'
    else if (field === 5) reader.fixed64s(timestamps)
  }
  reader.leave(end)
  const oldFits = second.length === timestamps.length || (timestamps.length === 0 && second.length === 1)
  const newFits = second.every(index => index >= 0 && index < dictionary.attributes.length) && timestamps.length > 0
  return { layout, oldFits, newFits }
}
