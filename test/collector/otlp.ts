/** ExportMetricsServiceRequest -> plain objects, read by the field numbers of the .proto files and nothing of ours. */
import { PbfReader } from 'pbf'

type Attributes = Record<string, string | number | boolean>

export interface DecodedPoint {
  attributes: Attributes
  startMs: number
  timeMs: number
  value: number
}

export interface DecodedMetric {
  unit: string
  kind: 'gauge' | 'sum'
  /** 1 delta, 2 cumulative */
  temporality: number
  monotonic: boolean
  points: DecodedPoint[]
}

export interface DecodedResource {
  attributes: Attributes
  metrics: Record<string, DecodedMetric>
}

function message(pbf: PbfReader, fields: Record<number, () => void>): void {
  const end = pbf.type === 2 && pbf.pos > 0 ? pbf.readVarint() + pbf.pos : pbf.length
  for (let field = pbf.nextField(end); field !== 0; field = pbf.nextField(end)) {
    const read = fields[field]
    if (read) read()
    else pbf.skip(pbf.type)
  }
}

const fixed64Ms = (pbf: PbfReader) => {
  const low = pbf.readFixed32()
  return Number((BigInt(pbf.readFixed32()) << 32n) | BigInt(low)) / 1e6
}

function keyValue(pbf: PbfReader, into: Attributes): void {
  let key = ''
  message(pbf, {
    1: () => {
      key = pbf.readString()
    },
    2: () =>
      message(pbf, {
        1: () => {
          into[key] = pbf.readString()
        },
        2: () => {
          into[key] = pbf.readBoolean()
        },
        3: () => {
          into[key] = pbf.readVarint(true)
        },
        4: () => {
          into[key] = pbf.readDouble()
        },
      }),
  })
}

function point(pbf: PbfReader): DecodedPoint {
  const decoded: DecodedPoint = { attributes: {}, startMs: 0, timeMs: 0, value: Number.NaN }
  message(pbf, {
    2: () => {
      decoded.startMs = fixed64Ms(pbf)
    },
    3: () => {
      decoded.timeMs = fixed64Ms(pbf)
    },
    4: () => {
      decoded.value = pbf.readDouble()
    },
    7: () => keyValue(pbf, decoded.attributes),
  })
  return decoded
}

function metric(pbf: PbfReader, into: Record<string, DecodedMetric>): void {
  let name = ''
  const decoded: DecodedMetric = { unit: '', kind: 'gauge', temporality: 0, monotonic: false, points: [] }
  message(pbf, {
    1: () => {
      name = pbf.readString()
    },
    3: () => {
      decoded.unit = pbf.readString()
    },
    5: () => message(pbf, { 1: () => decoded.points.push(point(pbf)) }),
    7: () => {
      decoded.kind = 'sum'
      message(pbf, {
        1: () => decoded.points.push(point(pbf)),
        2: () => {
          decoded.temporality = pbf.readVarint()
        },
        3: () => {
          decoded.monotonic = pbf.readBoolean()
        },
      })
    },
  })
  if (name in into) throw new Error(`${name} comes twice`)
  into[name] = decoded
}

export function decodeRequest(bytes: Uint8Array): DecodedResource[] {
  const resources: DecodedResource[] = []
  const pbf = new PbfReader(bytes)
  message(pbf, {
    1: () => {
      const resource: DecodedResource = { attributes: {}, metrics: {} }
      resources.push(resource)
      message(pbf, {
        1: () => message(pbf, { 1: () => keyValue(pbf, resource.attributes) }),
        2: () => message(pbf, { 2: () => metric(pbf, resource.metrics) }),
      })
    },
  })
  return resources
}
