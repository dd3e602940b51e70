/** OTLP profiles as JSON, in the newest layout (names do not change where numbers do); the same as profiles.ts does. */
import { BodyError } from '../errors.ts'
import { StackFrames } from '../frames.ts'
import { type Origin, parseOrigin } from '../origin.ts'
import type { ProfileGather } from '../profilegather.ts'
import type { ProfileHead, SampleIn } from '../profilesample.ts'
import type { StackBook } from '../stackbook.ts'
import { type Dictionary, emptyDictionary } from './dictionary.ts'
import { attributesOf, type Json, parseJson, valueText } from './json.ts'

interface Sink {
  gather: ProfileGather
  book: StackBook
  defaultCluster: string
}

/** Throws BodyError where the body is not OTLP. */
export function decodeProfilesJson(bytes: Uint8Array, sink: Sink): void {
  const body = parseJson(bytes)
  const given = body.get('dictionary')
  const dictionary = given === undefined ? emptyDictionary() : parseDictionary(given)
  const frames = new StackFrames(dictionary, sink.book)
  for (const resourceProfiles of body.list('resourceProfiles')) {
    const resource = resourceProfiles.get('resource')
    const attributes = resource === undefined ? new Map() : attributesOf(resource, dictionary.strings)
    const origin = parseOrigin(attributes, sink.defaultCluster)
    for (const scope of resourceProfiles.list('scopeProfiles')) {
      for (const profile of scope.list('profiles')) addProfile(profile, sink.gather, origin, dictionary, frames)
    }
  }
}

/** A profile that is not what it should be is refused alone. */
function addProfile(
  profile: Json,
  gather: ProfileGather,
  origin: Origin,
  dictionary: Dictionary,
  frames: StackFrames,
): void {
  try {
    const samples = profile.list('samples').map(parseSample)
    gather.add(origin, parseHead(profile, dictionary.strings), dictionary, frames, samples)
  } catch (error) {
    if (!(error instanceof BodyError)) throw error
    gather.reject(error.message)
  }
}

function parseHead(profile: Json, strings: readonly string[]): ProfileHead {
  const text = (of: string, key: string): string => strings[profile.get(of)?.number(key) ?? 0] ?? ''
  return {
    type: text('sampleType', 'typeStrindex'),
    unit: text('sampleType', 'unitStrindex'),
    periodType: text('periodType', 'typeStrindex'),
    periodUnit: text('periodType', 'unitStrindex'),
    period: profile.number('period') ?? 0,
    timeMs: profile.nanosAsMs('timeUnixNano'),
    durationMs: profile.nanosAsMs('durationNano'),
  }
}

const numbers = (parent: Json, key: string): number[] => parent.list(key).map(value => value.asNumber())

const parseSample = (sample: Json): SampleIn => ({
  stack: sample.number('stackIndex') ?? 0,
  attributes: numbers(sample, 'attributeIndices'),
  values: numbers(sample, 'values'),
  timestamps: numbers(sample, 'timestampsUnixNano'),
})

function parseDictionary(given: Json): Dictionary {
  const strings = given.list('stringTable').map(text => {
    if (typeof text.value !== 'string') throw text.error('should be a string')
    return text.value
  })
  return {
    strings,
    mappings: given.list('mappingTable').map(mapping => ({
      memoryStart: address(mapping, 'memoryStart'),
      memoryLimit: address(mapping, 'memoryLimit'),
      fileOffset: address(mapping, 'fileOffset'),
      file: mapping.number('filenameStrindex') ?? 0,
    })),
    functions: given.list('functionTable').map(fn => ({
      name: fn.number('nameStrindex') ?? 0,
      systemName: fn.number('systemNameStrindex') ?? 0,
      file: fn.number('filenameStrindex') ?? 0,
    })),
    locations: given.list('locationTable').map(location => ({
      mapping: location.number('mappingIndex') ?? 0,
      address: address(location, 'address'),
      lines: location.list('lines').map(line => ({
        function: line.number('functionIndex') ?? 0,
        line: line.number('line') ?? 0,
      })),
      attributes: numbers(location, 'attributeIndices'),
    })),
    attributes: given.list('attributeTable').map(attribute => {
      const value = attribute.get('value')
      return {
        key: strings[attribute.number('keyStrindex') ?? 0] ?? '',
        value: value === undefined ? '' : (valueText(value, strings) ?? ''),
      }
    }),
    stacks: given.list('stackTable').map(stack => numbers(stack, 'locationIndices')),
  }
}

/** uint64 as text keeps all its digits. */
function address(parent: Json, key: string): bigint {
  const found = parent.get(key)
  if (found === undefined) return 0n
  const { value } = found
  if (typeof value === 'string' && /^\d{1,20}$/.test(value)) return BigInt.asUintN(64, BigInt(value))
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  throw found.error('should be a number')
}
