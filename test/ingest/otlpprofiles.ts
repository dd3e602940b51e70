/**
 * OTLP profiles from drawn stacks, root first: 'main;solve;exp'. A frame is NAME, NAME@MODULE or @MODULE+0x12 (no name).
 * One object gives JSON, and protobuf in the layout of before and of after 1.10.
 */
import { PbfWriter } from 'pbf'
import { type Attrs, keyValues, writeAttributes, writeNanos } from './otlp.ts'

export interface Sample {
  stack: string
  attributes?: Attrs
  values?: number[]
  timestampsMs?: number[]
}

export interface Profile {
  resource: Attrs
  sampleType: [string, string]
  periodType?: [string, string]
  period?: number
  timeMs: number
  durationMs: number
  samples: Sample[]
}

class Table<T> {
  readonly values: T[]
  readonly #at = new Map<string, number>()
  constructor(zero: T) {
    this.values = [zero]
    this.#at.set(JSON.stringify(zero), 0)
  }
  index(value: T): number {
    const key = JSON.stringify(value)
    const known = this.#at.get(key)
    if (known !== undefined) return known
    this.#at.set(key, this.values.length)
    return this.values.push(value) - 1
  }
}

interface Tables {
  strings: Table<string>
  mappings: Table<{ filenameStrindex?: number }>
  functions: Table<{ nameStrindex?: number; filenameStrindex?: number }>
  locations: Table<{
    mappingIndex?: number
    address?: string
    lines?: { functionIndex: number; line: number }[]
    attributeIndices?: number[]
  }>
  attributes: Table<{ keyStrindex?: number; value?: unknown; raw?: Attrs[string] }>
  stacks: Table<{ locationIndices?: number[] }>
}

const newTables = (): Tables => ({
  strings: new Table(''),
  mappings: new Table({}),
  functions: new Table({}),
  locations: new Table({}),
  attributes: new Table({}),
  stacks: new Table({}),
})

function locationOf(t: Tables, text: string): number {
  const [name = '', rest = ''] = text.split('@')
  const [module = '', offset] = rest.split('+')
  const mappingIndex = module === '' ? 0 : t.mappings.index({ filenameStrindex: t.strings.index(module) })
  const kind = module.startsWith('[kernel') ? 'kernel' : module.startsWith('python') ? 'cpython' : 'native'
  const attributeIndices = [attributeOf(t, 'profile.frame.type', kind)]
  if (name === '') {
    return t.locations.index({ mappingIndex, address: String(BigInt(offset ?? '0x0')), attributeIndices })
  }
  const functionIndex = t.functions.index({
    nameStrindex: t.strings.index(name),
    filenameStrindex: t.strings.index(`${name}.c`),
  })
  return t.locations.index({ mappingIndex, lines: [{ functionIndex, line: 7 }], attributeIndices })
}

function attributeOf(t: Tables, key: string, raw: Attrs[string]): number {
  if (typeof raw === 'string') t.strings.index(raw)
  const value = (keyValues({ key: raw })[0] as { value: unknown }).value
  return t.attributes.index({ keyStrindex: t.strings.index(key), value, raw })
}

function encoded(t: Tables, p: Profile) {
  const type = ([type, unit]: [string, string]) => ({
    typeStrindex: t.strings.index(type),
    unitStrindex: t.strings.index(unit),
  })
  return {
    resource: p.resource,
    sampleType: type(p.sampleType),
    periodType: p.periodType && type(p.periodType),
    period: p.period,
    timeMs: p.timeMs,
    durationMs: p.durationMs,
    samples: p.samples.map(s => ({
      stackIndex: t.stacks.index({
        locationIndices: s.stack
          .split(';')
          .reverse()
          .map(frame => locationOf(t, frame)),
      }),
      attributeIndices: Object.entries(s.attributes ?? {}).map(([key, value]) => attributeOf(t, key, value)),
      values: s.values ?? [],
      timestampsMs: s.timestampsMs ?? [],
    })),
  }
}

const nanos = (ms: number): string => `${Math.round(ms * 1000)}000`

export function profilesJson(profiles: readonly Profile[]): Uint8Array {
  const t = newTables()
  const all = profiles.map(p => encoded(t, p))
  return Buffer.from(
    JSON.stringify({
      resourceProfiles: all.map(p => ({
        resource: { attributes: keyValues(p.resource) },
        scopeProfiles: [
          {
            profiles: [
              {
                sampleType: p.sampleType,
                periodType: p.periodType,
                period: p.period,
                timeUnixNano: nanos(p.timeMs),
                durationNano: nanos(p.durationMs),
                samples: p.samples.map(s => ({
                  stackIndex: s.stackIndex,
                  attributeIndices: s.attributeIndices,
                  values: s.values.map(String),
                  timestampsUnixNano: s.timestampsMs.map(nanos),
                })),
              },
            ],
          },
        ],
      })),
      dictionary: {
        stringTable: t.strings.values,
        mappingTable: t.mappings.values,
        functionTable: t.functions.values,
        locationTable: t.locations.values,
        attributeTable: t.attributes.values.map(({ raw: _, ...a }) => a),
        stackTable: t.stacks.values,
        linkTable: [{}],
      },
    }),
  )
}

export function profilesProtobuf(profiles: readonly Profile[], layout: '1.9' | '1.10' = '1.10'): Uint8Array {
  const t = newTables()
  const all = profiles.map(p => encoded(t, p))
  const w = new PbfWriter()
  // The dictionary first and last are both protobuf; the 1.9 one stands in front here.
  if (layout === '1.9') w.writeMessage(2, writeDictionary, t)
  for (const p of all) {
    w.writeMessage(
      1,
      (_: unknown, resourceProfiles: PbfWriter) => {
        resourceProfiles.writeMessage(1, (attrs: Attrs, to: PbfWriter) => writeAttributes(attrs, to, 1), p.resource)
        resourceProfiles.writeMessage(
          2,
          (_scope: unknown, scope: PbfWriter) =>
            scope.writeMessage(2, (_p: unknown, to: PbfWriter) => writeProfile(p, layout, to), p),
          p,
        )
      },
      p,
    )
  }
  if (layout === '1.10') w.writeMessage(2, writeDictionary, t)
  return w.finish().slice()
}

function writeProfile(p: ReturnType<typeof encoded>, layout: '1.9' | '1.10', w: PbfWriter): void {
  const writeType = (type: { typeStrindex: number; unitStrindex: number }, to: PbfWriter): void => {
    to.writeVarintField(1, type.typeStrindex)
    to.writeVarintField(2, type.unitStrindex)
  }
  w.writeMessage(1, writeType, p.sampleType)
  const [values, attributes, link] = layout === '1.9' ? [2, 3, 4] : [4, 2, 3]
  for (const s of p.samples) {
    w.writeMessage(
      2,
      (_: unknown, to: PbfWriter) => {
        to.writeVarintField(1, s.stackIndex)
        if (s.values.length > 0) to.writePackedVarint(values, s.values)
        if (s.attributeIndices.length > 0) to.writePackedVarint(attributes, s.attributeIndices)
        if (s.values.length > 0 && layout === '1.9') to.writeVarintField(link, 0)
        if (s.timestampsMs.length > 0) {
          to.writeMessage(
            5,
            (times: number[], packed: PbfWriter) => {
              for (const ms of times) {
                const ns = BigInt(nanos(ms))
                packed.writeFixed32(Number(ns & 0xffff_ffffn))
                packed.writeFixed32(Number(ns >> 32n))
              }
            },
            s.timestampsMs,
          )
        }
      },
      s,
    )
  }
  writeNanos(3, p.timeMs, w)
  w.writeVarintField(4, p.durationMs * 1e6)
  if (p.periodType) w.writeMessage(5, writeType, p.periodType)
  if (p.period) w.writeVarintField(6, p.period)
}

function writeDictionary(t: Tables, w: PbfWriter): void {
  for (const m of t.mappings.values) {
    w.writeMessage(1, (_: unknown, to: PbfWriter) => to.writeVarintField(4, m.filenameStrindex ?? 0), m)
  }
  for (const l of t.locations.values) {
    w.writeMessage(
      2,
      (_: unknown, to: PbfWriter) => {
        if (l.mappingIndex) to.writeVarintField(1, l.mappingIndex)
        if (l.address) {
          to.writeTag(2, 0)
          writeBigVarint(BigInt(l.address), to)
        }
        for (const line of l.lines ?? []) {
          to.writeMessage(
            3,
            (_l: unknown, in3: PbfWriter) => {
              in3.writeVarintField(1, line.functionIndex)
              in3.writeVarintField(2, line.line)
            },
            line,
          )
        }
        if (l.attributeIndices) to.writePackedVarint(4, l.attributeIndices)
      },
      l,
    )
  }
  for (const f of t.functions.values) {
    w.writeMessage(
      3,
      (_: unknown, to: PbfWriter) => {
        if (f.nameStrindex) to.writeVarintField(1, f.nameStrindex)
        if (f.filenameStrindex) to.writeVarintField(3, f.filenameStrindex)
      },
      f,
    )
  }
  for (const text of t.strings.values) w.writeStringField(5, text)
  for (const a of t.attributes.values) {
    w.writeMessage(
      6,
      (_: unknown, to: PbfWriter) => {
        if (a.keyStrindex === undefined) return
        to.writeVarintField(1, a.keyStrindex)
        to.writeMessage(
          2,
          (_v: unknown, value: PbfWriter) => {
            // Texts by reference into the string table, as 1.10 allows.
            if (typeof a.raw === 'string') value.writeVarintField(8, t.strings.index(a.raw))
            else if (typeof a.raw === 'number') value.writeVarintField(3, a.raw)
          },
          a,
        )
      },
      a,
    )
  }
  for (const s of t.stacks.values) {
    w.writeMessage(7, (_: unknown, to: PbfWriter) => to.writePackedVarint(1, s.locationIndices ?? []), s)
  }
}

function writeBigVarint(value: bigint, w: PbfWriter): void {
  w.realloc(10)
  let rest = value
  for (; rest > 127n; rest >>= 7n) w.buf[w.pos++] = Number(rest & 127n) | 128
  w.buf[w.pos++] = Number(rest)
}
