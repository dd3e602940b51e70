/**
 * pprof, as a file or as Pyroscope's clients push it -> samples. It is the mother of OTLP's profiles, so its tables become a
 * dictionary of theirs; ids are looked up, never used as indices: they need not be dense.
 *
 *   profile  1 sample_type, 2 sample, 3 mapping, 4 location, 5 function, 6 string_table, 9 time, 10 duration,
 *            11 period_type, 12 period, 14 default_sample_type
 *   sample   1 location_id (leaf first), 2 value a sample type, 3 label (1 key, 2 str, 3 num)
 *
 * https://github.com/google/pprof/blob/main/proto/profile.proto
 */
import { type Dictionary, emptyDictionary } from '../otlp/dictionary.ts'
import type { Reader } from '../otlp/reader.ts'
import type { ProfileHead, SampleIn } from '../profilesample.ts'

export interface Pprof {
  head: ProfileHead
  dictionary: Dictionary
  samples: SampleIn[]
}

interface ValueType {
  type: number
  unit: number
}

/** Places in the bytes, by what lies there: names are looked up once all strings are read. */
interface Marks {
  sampleTypes: ValueType[]
  samples: number[]
  mappings: number[]
  locations: number[]
  functions: number[]
  strings: string[]
  timeNs: number
  durationNs: number
  periodType: ValueType
  period: number
  defaultType: number
}

/** Throws BodyError where the bytes are no pprof, or hold no kind of value. */
export function decodePprof(reader: Reader): Pprof {
  const marks = readMarks(reader)
  if (marks.sampleTypes.length === 0) throw reader.error('it has no sample_type, so it is no pprof profile')
  const text = (index: number): string => marks.strings[index] ?? ''
  const dictionary = emptyDictionary()
  dictionary.strings = marks.strings
  const mappings = readTable(reader, marks.mappings, 'mapping', readMapping)
  const functions = readTable(reader, marks.functions, 'function', readFunction)
  const locations = readTable(reader, marks.locations, 'location', readLocation)
  const mappingAt = indexById(mappings, dictionary.mappings, {
    memoryStart: 0n,
    memoryLimit: 0n,
    fileOffset: 0n,
    file: 0,
  })
  const functionAt = indexById(functions, dictionary.functions, { name: 0, systemName: 0, file: 0 })
  const locationAt = new Map<number, number>()
  const kinds = openKinds(dictionary, text)
  for (const { id, mapping, address, lines } of locations) {
    const named = lines.map(line => ({ function: functionAt.get(line.function) ?? 0, line: line.line }))
    const file = dictionary.functions[named[0]?.function ?? 0]?.file ?? 0
    locationAt.set(id, dictionary.locations.length)
    dictionary.locations.push({ mapping: mappingAt.get(mapping) ?? 0, address, lines: named, attributes: kinds(file) })
  }
  const chosen = chooseValue(marks, text)
  const samples = readSamples(reader, marks, dictionary, locationAt, chosen)
  return { head: headOf(marks, chosen, text), dictionary, samples }
}

function readMarks(reader: Reader): Marks {
  const none: ValueType = { type: 0, unit: 0 }
  const marks: Marks = {
    sampleTypes: [],
    samples: [],
    mappings: [],
    locations: [],
    functions: [],
    strings: [],
    timeNs: 0,
    durationNs: 0,
    periodType: none,
    period: 0,
    defaultType: 0,
  }
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field === 1) marks.sampleTypes.push(readValueType(reader))
    else if (field === 2) marks.samples.push(reader.mark('sample'))
    else if (field === 3) marks.mappings.push(reader.mark('mapping'))
    else if (field === 4) marks.locations.push(reader.mark('location'))
    else if (field === 5) marks.functions.push(reader.mark('function'))
    else if (field === 6) marks.strings.push(reader.text())
    else if (field === 9) marks.timeNs = reader.int64()
    else if (field === 10) marks.durationNs = reader.int64()
    else if (field === 11) marks.periodType = readValueType(reader)
    else if (field === 12) marks.period = reader.int64()
    else if (field === 14) marks.defaultType = reader.index()
  }
  reader.finish()
  return marks
}

function readValueType(reader: Reader): ValueType {
  const end = reader.enter('value_type')
  const found = { type: 0, unit: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) found.type = reader.index()
    else if (field === 2) found.unit = reader.index()
  }
  reader.leave(end)
  return found
}

function readTable<T>(
  reader: Reader,
  marks: readonly number[],
  name: string,
  read: (reader: Reader, end: number) => T,
): T[] {
  return marks.map(mark => {
    reader.back(mark)
    const end = reader.enter(name)
    const row = read(reader, end)
    reader.leave(end)
    return row
  })
}

/** Index 0 stands for none, as in OTLP's tables. */
function indexById<T>(rows: readonly (T & { id: number })[], into: T[], zero: T): Map<number, number> {
  into.push(zero)
  const at = new Map<number, number>()
  for (const row of rows) {
    at.set(row.id, into.length)
    into.push(row)
  }
  return at
}

function readMapping(reader: Reader, end: number) {
  const mapping = { id: 0, memoryStart: 0n, memoryLimit: 0n, fileOffset: 0n, file: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) mapping.id = reader.index()
    else if (field === 2) mapping.memoryStart = reader.bigVarint()
    else if (field === 3) mapping.memoryLimit = reader.bigVarint()
    else if (field === 4) mapping.fileOffset = reader.bigVarint()
    else if (field === 5) mapping.file = reader.index()
  }
  return mapping
}

function readFunction(reader: Reader, end: number) {
  const found = { id: 0, name: 0, systemName: 0, file: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) found.id = reader.index()
    else if (field === 2) found.name = reader.index()
    else if (field === 3) found.systemName = reader.index()
    else if (field === 4) found.file = reader.index()
  }
  return found
}

function readLocation(reader: Reader, end: number) {
  const location = { id: 0, mapping: 0, address: 0n, lines: [] as { function: number; line: number }[] }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) location.id = reader.index()
    else if (field === 2) location.mapping = reader.index()
    else if (field === 3) location.address = reader.bigVarint()
    else if (field === 4) location.lines.push(readLine(reader))
  }
  return location
}

function readLine(reader: Reader): { function: number; line: number } {
  const end = reader.enter('line')
  const line = { function: 0, line: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) line.function = reader.index()
    else if (field === 2) line.line = reader.int64()
  }
  reader.leave(end)
  return line
}

const KIND_OF_FILE: readonly [RegExp, string][] = [
  [/\.pyx?$/, 'cpython'],
  [/\.[cm]?[jt]sx?$|^(?:node|file):/, 'v8js'],
  [/\.(?:java|kt|scala)$/, 'jvm'],
  [/\.go$/, 'go'],
]

/** The language of a location, by its source file, as an attribute of the dictionary. */
function openKinds(dictionary: Dictionary, text: (index: number) => string): (file: number) => number[] {
  const known = new Map<number, number[]>()
  return file => {
    let attributes = known.get(file)
    if (attributes === undefined) {
      const value = KIND_OF_FILE.find(([pattern]) => pattern.test(text(file)))?.[1]
      attributes = value === undefined ? [] : [dictionary.attributes.push({ key: 'profile.frame.type', value }) - 1]
      known.set(file, attributes)
    }
    return attributes
  }
}

interface Chosen {
  at: number
  /** Where the number of samples stands. */
  countAt: number | undefined
}

const TIME = /^(?:nanoseconds|microseconds|milliseconds|seconds|ns|us|ms|s)$/

/** Of several kinds of value one is taken: CPU time, else any time, else a count whose period is a time, else the default. */
function chooseValue({ sampleTypes, defaultType }: Marks, text: (index: number) => string): Chosen {
  const types = sampleTypes.map(t => ({ type: text(t.type), unit: text(t.unit) }))
  const found = [
    types.findIndex(t => t.type === 'cpu' && TIME.test(t.unit)),
    types.findIndex(t => TIME.test(t.unit)),
    types.findIndex(t => t.type === text(defaultType) && t.type !== ''),
  ].find(at => at >= 0)
  const countAt = types.findIndex(t => t.unit === 'count' && /^(?:samples?|count|cpu)$/.test(t.type))
  const at = found ?? (countAt >= 0 ? countAt : types.length - 1)
  return { at, countAt: countAt >= 0 && countAt !== at ? countAt : undefined }
}

function headOf(marks: Marks, { at }: Chosen, text: (index: number) => string): ProfileHead {
  const type = marks.sampleTypes[at]
  return {
    type: text(type?.type ?? 0),
    unit: text(type?.unit ?? 0),
    periodType: text(marks.periodType.type),
    periodUnit: text(marks.periodType.unit),
    period: marks.period,
    timeMs: marks.timeNs / 1e6,
    durationMs: marks.durationNs / 1e6,
  }
}

/** Labels that say the same as an attribute of OTLP. */
const LABELS: Readonly<Record<string, string>> = {
  pid: 'process.pid',
  process_id: 'process.pid',
  comm: 'process.executable.name',
  thread: 'thread.name',
  thread_name: 'thread.name',
  'thread name': 'thread.name',
}

function readSamples(
  reader: Reader,
  { samples, strings }: Marks,
  dictionary: Dictionary,
  locationAt: ReadonlyMap<number, number>,
  chosen: Chosen,
): SampleIn[] {
  const known = new Map<string, number>()
  const attribute = (key: string, value: string): number => {
    const name = `${key}\0${value}`
    const at = known.get(name) ?? dictionary.attributes.push({ key, value }) - 1
    known.set(name, at)
    return at
  }
  return readTable(reader, samples, 'sample', (_, end) => {
    const locations: number[] = []
    const values: number[] = []
    const attributes: number[] = []
    for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
      if (field === 1) reader.varints(locations)
      else if (field === 2) reader.varints(values, true)
      else if (field === 3) {
        const [key, value] = readLabel(reader, strings)
        const name = Object.hasOwn(LABELS, key) ? LABELS[key] : undefined
        if (name !== undefined && value !== '') attributes.push(attribute(name, value))
      }
    }
    const count = chosen.countAt === undefined ? 0 : (values[chosen.countAt] ?? 0)
    if (count > 0) attributes.push(attribute('jobsight.sample.count', String(count)))
    // A location that is not there is one no sample may point to: found out where the stack is read.
    const stack = dictionary.stacks.push(locations.map(id => locationAt.get(id) ?? -1)) - 1
    const value = values[chosen.at]
    return { stack, attributes, values: value === undefined ? [] : [value], timestamps: [] }
  })
}

function readLabel(reader: Reader, strings: readonly string[]): [key: string, value: string] {
  const end = reader.enter('label')
  let key = ''
  let value = ''
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) key = strings[reader.index()] ?? ''
    else if (field === 2) value = strings[reader.index()] || value
    else if (field === 3) value = value || String(reader.int64())
  }
  reader.leave(end)
  return [key, value]
}
