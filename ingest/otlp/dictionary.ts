/**
 * The dictionary of an OTLP profiles request: tables that everything else points into by index, element 0 the zero value.
 *
 *   sample ─ stack ─ locations (leaf first) ─ lines (inlined first) ─ function ─ name, file
 *                        └ mapping: the module          location attribute profile.frame.type: the kind
 *
 * mapping_table 1, location_table 2, function_table 3, string_table 5, attribute_table 6, stack_table 7 of
 * https://github.com/open-telemetry/opentelemetry-proto/blob/v1.11.0/opentelemetry/proto/profiles/v1development/profiles.proto
 */
import { readAnyValue } from './attributes.ts'
import type { Reader } from './reader.ts'

export interface Mapping {
  memoryStart: bigint
  memoryLimit: bigint
  fileOffset: bigint
  file: number
}

export interface Line {
  function: number
  line: number
}

export interface Location {
  mapping: number
  address: bigint
  lines: Line[]
  attributes: number[]
}

export interface Dictionary {
  strings: string[]
  mappings: Mapping[]
  functions: { name: number; systemName: number; file: number }[]
  locations: Location[]
  attributes: { key: string; value: string }[]
  /** Location indices, leaf first. */
  stacks: number[][]
}

export const emptyDictionary = (): Dictionary => ({
  strings: [],
  mappings: [],
  functions: [],
  locations: [],
  attributes: [],
  stacks: [],
})

/** Attributes are read last, wherever they stand: their names and values lie in the string table. */
export function readDictionary(reader: Reader): Dictionary {
  const end = reader.enter('dictionary')
  const dictionary = emptyDictionary()
  const attributes: number[] = []
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) dictionary.mappings.push(readMapping(reader))
    else if (field === 2) dictionary.locations.push(readLocation(reader))
    else if (field === 3) dictionary.functions.push(readFunction(reader))
    else if (field === 5) dictionary.strings.push(reader.text())
    else if (field === 6) attributes.push(reader.mark('attribute_table'))
    else if (field === 7) dictionary.stacks.push(readStack(reader))
  }
  for (const mark of attributes) {
    reader.back(mark)
    dictionary.attributes.push(readKeyValueAndUnit(reader, dictionary.strings))
  }
  reader.back(end)
  reader.leave(end)
  return dictionary
}

function readMapping(reader: Reader): Mapping {
  const end = reader.enter('mapping_table')
  const mapping: Mapping = { memoryStart: 0n, memoryLimit: 0n, fileOffset: 0n, file: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) mapping.memoryStart = reader.bigVarint()
    else if (field === 2) mapping.memoryLimit = reader.bigVarint()
    else if (field === 3) mapping.fileOffset = reader.bigVarint()
    else if (field === 4) mapping.file = reader.index()
  }
  reader.leave(end)
  return mapping
}

function readLocation(reader: Reader): Location {
  const end = reader.enter('location_table')
  const location: Location = { mapping: 0, address: 0n, lines: [], attributes: [] }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) location.mapping = reader.index()
    else if (field === 2) location.address = reader.bigVarint()
    else if (field === 3) location.lines.push(readLine(reader))
    else if (field === 4) reader.varints(location.attributes)
  }
  reader.leave(end)
  return location
}

function readLine(reader: Reader): Line {
  const end = reader.enter('line')
  const line: Line = { function: 0, line: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) line.function = reader.index()
    else if (field === 2) line.line = reader.int64()
  }
  reader.leave(end)
  return line
}

function readFunction(reader: Reader): Dictionary['functions'][number] {
  const end = reader.enter('function_table')
  const found = { name: 0, systemName: 0, file: 0 }
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) found.name = reader.index()
    else if (field === 2) found.systemName = reader.index()
    else if (field === 3) found.file = reader.index()
  }
  reader.leave(end)
  return found
}

function readKeyValueAndUnit(reader: Reader, strings: readonly string[]): { key: string; value: string } {
  const end = reader.enter('attribute_table')
  let key = ''
  let value = ''
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) key = strings[reader.index()] ?? ''
    else if (field === 2) value = readAnyValue(reader, strings, 0) ?? ''
  }
  reader.leave(end)
  return { key, value }
}

function readStack(reader: Reader): number[] {
  const end = reader.enter('stack_table')
  const locations: number[] = []
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) reader.varints(locations)
  }
  reader.leave(end)
  return locations
}
