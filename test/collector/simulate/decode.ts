/** Reads what the simulation sent back out of the bytes, by the field numbers of opentelemetry-proto and nothing else. */
import { PbfReader } from 'pbf'

export type Value = string | number | boolean
type Attributes = Record<string, Value>

export interface MetricPoint {
  name: string
  resource: Attributes
  attributes: Attributes
  sum: boolean
  temporality: number
  startMs: number
  timeMs: number
  value: number
}

type Fields = { tag: number; bytes?: Uint8Array; number?: number; fixed?: DataView }[]

/** All fields of one message, in their order. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new PbfReader(bytes)
  const fields: Fields = []
  for (let tag = reader.nextField(); tag !== 0; tag = reader.nextField()) {
    const type = reader.type & 7
    if (type === 2) fields.push({ tag, bytes: reader.readBytes() })
    else if (type === 0) fields.push({ tag, number: reader.readVarint() })
    else if (type === 1) {
      fields.push({ tag, fixed: new DataView(bytes.buffer, bytes.byteOffset + reader.pos, 8) })
      reader.pos += 8
    } else throw new Error(`wire type ${type}`)
  }
  return fields
}

const decoder = new TextDecoder('utf-8', { fatal: true })
const within = (fields: Fields, tag: number): Uint8Array[] =>
  fields.flatMap(f => (f.tag === tag && f.bytes ? [f.bytes] : []))
const textAt = (fields: Fields, tag: number): string => decoder.decode(within(fields, tag)[0])
const numberAt = (fields: Fields, tag: number): number => fields.find(f => f.tag === tag)?.number ?? 0

function anyValue(bytes: Uint8Array): Value {
  const [field] = fieldsOf(bytes)
  if (field?.tag === 1) return decoder.decode(field.bytes)
  if (field?.tag === 2) return field.number !== 0
  if (field?.tag === 3) return field.number ?? Number.NaN
  return field?.fixed?.getFloat64(0, true) ?? Number.NaN
}

/** Points of a million share some thousand sets of attributes. */
const decoded = new Map<string, Attributes>()

function attributesOf(keyValues: Uint8Array[]): Attributes {
  const key = keyValues.map(b => Buffer.from(b.buffer, b.byteOffset, b.length).toString('latin1')).join('\0')
  const known = decoded.get(key)
  if (known) return known
  const attributes: Attributes = {}
  decoded.set(key, attributes)
  for (const bytes of keyValues) {
    const fields = fieldsOf(bytes)
    attributes[textAt(fields, 1)] = anyValue(within(fields, 2)[0] ?? new Uint8Array())
  }
  return attributes
}

const nanosToMs = (view: DataView | undefined): number => Number((view?.getBigUint64(0, true) ?? 0n) / 1000n) / 1000

export function decodeMetrics(body: Uint8Array): MetricPoint[] {
  const points: MetricPoint[] = []
  for (const resourceMetrics of within(fieldsOf(body), 1).map(fieldsOf)) {
    const resource = attributesOf(within(fieldsOf(within(resourceMetrics, 1)[0] ?? new Uint8Array()), 1))
    for (const scope of within(resourceMetrics, 2).map(fieldsOf)) {
      for (const metric of within(scope, 2).map(fieldsOf)) points.push(...pointsOf(metric, resource))
    }
  }
  return points
}

function pointsOf(metric: Fields, resource: Attributes): MetricPoint[] {
  const sum = within(metric, 7)[0]
  const holder = fieldsOf(sum ?? within(metric, 5)[0] ?? new Uint8Array())
  return within(holder, 1)
    .map(fieldsOf)
    .map(point => {
      const fixed = (tag: number) => point.find(f => f.tag === tag)?.fixed
      const whole = fixed(6)
      return {
        name: textAt(metric, 1),
        resource,
        attributes: attributesOf(within(point, 7)),
        sum: sum !== undefined,
        temporality: sum ? numberAt(holder, 2) : 0,
        startMs: nanosToMs(fixed(2)),
        timeMs: nanosToMs(fixed(3)),
        value: whole ? Number(whole.getBigInt64(0, true)) : (fixed(4)?.getFloat64(0, true) ?? Number.NaN),
      }
    })
}

export interface ProfileSample {
  resource: Attributes
  attributes: Attributes
  /** Leaf first. */
  frames: string[]
  modules: string[]
  nanoseconds: number
  endMs: number
}

const packed = (bytes: Uint8Array | undefined): number[] => {
  const numbers: number[] = []
  if (!bytes) return numbers
  const reader = new PbfReader(bytes)
  while (reader.pos < reader.length) numbers.push(reader.readVarint())
  return numbers
}

export function decodeProfiles(body: Uint8Array): ProfileSample[] {
  const request = fieldsOf(body)
  const dictionary = fieldsOf(within(request, 2)[0] ?? new Uint8Array())
  const strings = within(dictionary, 5).map(b => decoder.decode(b))
  const table = (tag: number) => within(dictionary, tag).map(fieldsOf)
  const [mappings, locations, functions, attributes, stacks] = [1, 2, 3, 6, 7].map(table)
  const attributeAt = (index: number): [string, Value] => {
    const fields = attributes?.[index] ?? []
    return [strings[numberAt(fields, 1)] ?? '', anyValue(within(fields, 2)[0] ?? new Uint8Array())]
  }
  const frameAt = (index: number): { name: string; module: string } => {
    const location = locations?.[index] ?? []
    const line = fieldsOf(within(location, 3)[0] ?? new Uint8Array())
    const name = strings[numberAt(functions?.[numberAt(line, 1)] ?? [], 1)] ?? ''
    return { name, module: strings[numberAt(mappings?.[numberAt(location, 1)] ?? [], 4)] ?? '' }
  }
  const samples: ProfileSample[] = []
  for (const resourceProfiles of within(request, 1).map(fieldsOf)) {
    const resource = attributesOf(within(fieldsOf(within(resourceProfiles, 1)[0] ?? new Uint8Array()), 1))
    for (const profile of within(resourceProfiles, 2).flatMap(s => within(fieldsOf(s), 2).map(fieldsOf))) {
      const startMs = nanosToMs(profile.find(f => f.tag === 3)?.fixed)
      for (const sample of within(profile, 2).map(fieldsOf)) {
        const frames = packed(within(stacks?.[numberAt(sample, 1)] ?? [], 1)[0]).map(frameAt)
        samples.push({
          resource,
          attributes: Object.fromEntries(packed(within(sample, 2)[0]).map(attributeAt)),
          frames: frames.map(f => f.name),
          modules: frames.map(f => f.module),
          nanoseconds: packed(within(sample, 4)[0])[0] ?? 0,
          endMs: startMs + numberAt(profile, 4) / 1e6,
        })
      }
    }
  }
  return samples
}
