/**
 * OTLP attributes as strings. Numbers and booleans in decimal, lists and maps as JSON, bytes in base64; a name or value
 * that the profiles' string table holds is looked up there (KeyValue.key_strindex 3, AnyValue.string_value_strindex 8).
 *
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto
 */
import type { Reader } from './reader.ts'

export type Strings = readonly string[]

/** Reads one KeyValue into the map; the first of a name wins. */
export function readAttribute(reader: Reader, into: Map<string, string>, strings: Strings): void {
  const end = reader.enter('attribute')
  let name = ''
  let value: string | undefined
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) name = reader.text()
    else if (field === 2) value = readAnyValue(reader, strings, 0)
    else if (field === 3) name = strings[reader.index()] ?? name
  }
  reader.leave(end)
  if (name !== '' && value !== undefined && !into.has(name)) into.set(name, value)
}

const DEEPEST = 16

/** undefined for a value that is not there. */
export function readAnyValue(reader: Reader, strings: Strings, depth: number): string | undefined {
  if (depth > DEEPEST) throw reader.error('attribute values are nested too deeply')
  const end = reader.enter('value')
  let value: string | undefined
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) value = reader.text()
    else if (field === 2) value = reader.index() === 0 ? 'false' : 'true'
    else if (field === 3) value = String(reader.int64())
    else if (field === 4) value = String(reader.double())
    else if (field === 5) value = readList(reader, strings, depth + 1)
    else if (field === 6) value = readMap(reader, strings, depth + 1)
    else if (field === 7) value = Buffer.from(reader.bytes()).toString('base64')
    else if (field === 8) value = strings[reader.index()]
  }
  reader.leave(end)
  return value
}

function readList(reader: Reader, strings: Strings, depth: number): string {
  const end = reader.enter('list')
  const values: (string | null)[] = []
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) values.push(readAnyValue(reader, strings, depth) ?? null)
  }
  reader.leave(end)
  return JSON.stringify(values)
}

function readMap(reader: Reader, strings: Strings, depth: number): string {
  const end = reader.enter('map')
  const values = new Map<string, string>()
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field !== 1) continue
    if (depth > DEEPEST) throw reader.error('attribute values are nested too deeply')
    readNested(reader, values, strings, depth)
  }
  reader.leave(end)
  return JSON.stringify(Object.fromEntries(values))
}

function readNested(reader: Reader, into: Map<string, string>, strings: Strings, depth: number): void {
  const end = reader.enter('attribute')
  let name = ''
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) name = reader.text()
    else if (field === 3) name = strings[reader.index()] ?? name
    else if (field === 2) into.set(name, readAnyValue(reader, strings, depth) ?? '')
  }
  reader.leave(end)
}

/** Reads a Resource (or anything whose field 1 is its attributes). */
export function readResource(reader: Reader, strings: Strings): Map<string, string> {
  const end = reader.enter('resource')
  const attributes = new Map<string, string>()
  for (let field = reader.nextField(end); field !== 0; field = reader.nextField(end)) {
    if (field === 1) readAttribute(reader, attributes, strings)
  }
  reader.leave(end)
  return attributes
}
