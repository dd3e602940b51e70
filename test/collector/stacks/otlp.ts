/** A reader of OTLP profiles that shares no code with what it reads: field number -> values, as on the wire. */
import { PbfReader } from 'pbf'

type Value = number | Uint8Array
type Message = Map<number, Value[]>
type Attributes = Record<string, string | number | boolean>

export interface DecodedSample {
  resource: Attributes
  attributes: Attributes
  /** `function@module kind`, with `file:line` where known; leaf first. */
  frames: string[]
  value: number
  type: string
  startMs: number
  endMs: number
  periodNs: number
}

export interface DecodedRequest {
  samples: DecodedSample[]
  /** Of each dictionary table, its first element encoded: all empty as they should be the zero value. */
  zeros: (number | undefined)[]
}

export function decodeRequest(bytes: Uint8Array): DecodedRequest {
  const request = message(bytes)
  const dictionary = message(request.get(2)?.[0])
  const tables = {
    bytes: (field: number) => dictionary.get(field) ?? [],
    of: (field: number) => all(dictionary, field),
  }
  const strings = tables.bytes(5).map(text)
  const attributes = tables.of(6).map(a => [strings[int(a, 1)] ?? '', anyValue(all(a, 2)[0])] as const)
  const pick = (indices: number[]): Attributes => Object.fromEntries(indices.map(i => attributes[i] ?? ['?', '?']))
  const functions = tables.of(3).map(f => ({ name: strings[int(f, 1)], file: strings[int(f, 3)] }))
  const modules = tables.of(1).map(m => strings[int(m, 4)])
  const frames = tables.of(2).map(location => {
    const line = all(location, 3)[0] ?? new Map()
    const { name, file } = functions[int(line, 1)] ?? {}
    const kind = pick(packed(location, 4))['profile.frame.type']
    return `${name}@${modules[int(location, 1)]} ${kind}${file ? ` ${file}:${int(line, 2)}` : ''}`
  })
  const stacks = tables.of(7).map(s => packed(s, 1).map(l => frames[l] ?? '?'))
  const samples = all(request, 1).flatMap(resource => {
    const pairs = all(all(resource, 1)[0] ?? new Map(), 1)
    const who = Object.fromEntries(pairs.map(p => [text(p.get(1)?.[0]), anyValue(all(p, 2)[0])]))
    const profiles = all(resource, 2).flatMap(scope => all(scope, 2))
    return profiles.flatMap(profile => samplesOf(profile).map(sample => ({ resource: who, ...sample })))
  })
  return { samples, zeros: [1, 2, 3, 4, 5, 6, 7].map(f => lengthOf(tables.bytes(f)[0])) }

  function samplesOf(profile: Message): Omit<DecodedSample, 'resource'>[] {
    const [type] = all(profile, 1).map(t => `${strings[int(t, 1)]}/${strings[int(t, 2)]}`)
    const startMs = int(profile, 3) / 1e6
    return all(profile, 2).map(sample => ({
      attributes: pick(packed(sample, 2)),
      frames: stacks[int(sample, 1)] ?? [],
      value: packed(sample, 4)[0] ?? 0,
      type: type ?? '',
      startMs,
      endMs: startMs + int(profile, 4) / 1e6,
      periodNs: int(profile, 6),
    }))
  }
}

function message(bytes: Value | undefined): Message {
  const fields: Message = new Map()
  if (!(bytes instanceof Uint8Array)) return fields
  const reader = new PbfReader(bytes)
  while (reader.pos < reader.length) {
    const tag = reader.readVarint()
    const type = tag & 7
    if (type !== 0 && type !== 1 && type !== 2) throw new Error(`wire type ${type}`)
    const value = type === 0 ? reader.readVarint(true) : type === 1 ? reader.readFixed64() : reader.readBytes()
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value])
  }
  return fields
}

const all = (m: Message, field: number): Message[] => (m.get(field) ?? []).map(message)
const int = (m: Message, field: number): number => Number(m.get(field)?.[0] ?? 0)
const text = (value: Value | undefined): string => (value instanceof Uint8Array ? new TextDecoder().decode(value) : '')
const lengthOf = (value: Value | undefined): number | undefined =>
  value instanceof Uint8Array ? value.length : undefined

function packed(m: Message, field: number): number[] {
  const bytes = m.get(field)?.[0]
  const values: number[] = []
  if (!(bytes instanceof Uint8Array)) return values
  const reader = new PbfReader(bytes)
  while (reader.pos < reader.length) values.push(reader.readVarint(true))
  return values
}

function anyValue(m: Message | undefined): string | number | boolean {
  if (m?.has(1)) return text(m.get(1)?.[0])
  if (m?.has(2)) return int(m, 2) === 1
  return m ? int(m, 3) : ''
}
