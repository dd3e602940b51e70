/**
 * ProfilesDictionary of OTLP profiles: each name, function, location, stack and attribute once, pointed at by index.
 * Element 0 of each table is the zero value, as the specification demands. `bytes` bounds the encoded size from above.
 */
import type { PbfWriter } from 'pbf'

/** Names are indices of strings. */
export interface NewLocation {
  function: number
  module: number
  file: number
  line: number
  frameType: string
}

interface Location {
  mapping: number
  function: number
  line: number
  attribute: number
}

interface Attribute {
  key: number
  value: string | number
}

export class Dictionary {
  /** An index takes at most 4 bytes as a varint below 2^28. */
  bytes = 256
  private readonly strings = new Table('')
  private readonly functions = new Table({ name: 0, file: 0 })
  private readonly mappings = new Table(0)
  private readonly locations = new Table<Location>({ mapping: 0, function: 0, line: 0, attribute: 0 })
  private readonly stacks = new Table<number[]>([])
  private readonly attributes = new Table<Attribute>({ key: 0, value: '' })
  private readonly stringAt = new Map<string, number>()
  private readonly functionAt = new Map<number, number>()
  private readonly mappingAt = new Map<number, number>()
  private readonly attributeAt = new Map<string, Map<string | number, number>>()

  string(text: string): number {
    if (text === '') return 0
    const known = this.stringAt.get(text)
    if (known !== undefined) return known
    this.bytes += Buffer.byteLength(text) + 6
    return numbered(this.stringAt, text, this.strings.push(text))
  }

  attribute(key: string, value: string | number): number {
    const at = this.attributeAt.get(key)
    const known = at?.get(value)
    if (known !== undefined) return known
    const values = at ?? new Map<string | number, number>()
    this.attributeAt.set(key, values)
    this.bytes += Buffer.byteLength(String(value)) + 20
    return numbered(values, value, this.attributes.push({ key: this.string(key), value }))
  }

  location({ function: name, module, file, line, frameType }: NewLocation): number {
    const attribute = this.attribute('profile.frame.type', frameType)
    this.bytes += 30
    const mapping = module === 0 ? 0 : this.mapping(module)
    return this.locations.push({ mapping, function: this.function(name, file), line, attribute })
  }

  /** Locations leaf first. A window has each stack and each frame once: no look whether they are known. */
  stack(locations: number[]): number {
    this.bytes += 4 * locations.length + 10
    return this.stacks.push(locations)
  }

  /** mapping_table 1, location_table 2, function_table 3, link_table 4, string_table 5, attribute_table 6, stack_table 7. */
  write(writer: PbfWriter): void {
    for (const mapping of this.mappings.values) writer.writeMessage(1, writeMapping, mapping)
    for (const location of this.locations.values) writer.writeMessage(2, writeLocation, location)
    for (const fn of this.functions.values) writer.writeMessage(3, writeFunction, fn)
    writer.writeMessage(4, () => undefined, 0)
    for (const text of this.strings.values) writer.writeStringField(5, text)
    for (const attribute of this.attributes.values) writer.writeMessage(6, writeAttribute, attribute)
    for (const stack of this.stacks.values) writer.writeMessage(7, writeStack, stack)
  }

  private function(name: number, file: number): number {
    // Exact: a request has far fewer than 2^26 strings.
    const key = name * 2 ** 26 + file
    const known = this.functionAt.get(key)
    if (known !== undefined) return known
    this.bytes += 16
    return numbered(this.functionAt, key, this.functions.push({ name, file }))
  }

  private mapping(module: number): number {
    const known = this.mappingAt.get(module)
    if (known !== undefined) return known
    this.bytes += 10
    return numbered(this.mappingAt, module, this.mappings.push(module))
  }
}

function numbered<K>(at: Map<K, number>, key: K, index: number): number {
  at.set(key, index)
  return index
}

class Table<T> {
  readonly values: T[]

  constructor(zero: T) {
    this.values = [zero]
  }

  push(value: T): number {
    return this.values.push(value) - 1
  }
}

function writeMapping(file: number, writer: PbfWriter): void {
  if (file > 0) writer.writeVarintField(4, file)
}

function writeLocation(location: Location, writer: PbfWriter): void {
  if (location.mapping > 0) writer.writeVarintField(1, location.mapping)
  if (location.function > 0) writer.writeMessage(3, writeLine, location)
  if (location.attribute > 0) writer.writePackedVarint(4, [location.attribute])
}

function writeLine(location: Location, writer: PbfWriter): void {
  writer.writeVarintField(1, location.function)
  if (location.line > 0) writer.writeVarintField(2, location.line)
}

function writeFunction(fn: { name: number; file: number }, writer: PbfWriter): void {
  if (fn.name > 0) writer.writeVarintField(1, fn.name)
  if (fn.file > 0) writer.writeVarintField(3, fn.file)
}

function writeAttribute(attribute: Attribute, writer: PbfWriter): void {
  if (attribute.key === 0) return
  writer.writeVarintField(1, attribute.key)
  writer.writeMessage(2, writeAnyValue, attribute.value)
}

/** AnyValue: string 1, bool 2, int 3. */
export function writeAnyValue(value: string | number | boolean, writer: PbfWriter): void {
  if (typeof value === 'string') writer.writeStringField(1, value)
  else if (typeof value === 'boolean') writer.writeBooleanField(2, value)
  else writer.writeVarintField(3, value)
}

function writeStack(locations: number[], writer: PbfWriter): void {
  if (locations.length > 0) writer.writePackedVarint(1, locations)
}
