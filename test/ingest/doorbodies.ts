/** A good body for each door of ingest, from which damaged ones are made. */
import { gzipSync } from 'node:zlib'
import { PbfWriter } from 'pbf'
import { Profile, StringTable } from 'pprof-format'
import { remoteWrite1, remoteWrite2 } from './foreign/writes.ts'
import { type Attrs, metricsJson, metricsProtobuf } from './otlp.ts'
import { profilesJson, profilesProtobuf } from './otlpprofiles.ts'
import { zstdRaw } from './zstd.ts'

export interface DoorBody {
  /** A path; of gRPC the method's. */
  url: string
  headers: Record<string, string>
  bytes: Uint8Array
  grpc?: true
}

const PROTOBUF = { 'content-type': 'application/x-protobuf' }
const JSON_TYPE = { 'content-type': 'application/json' }
const BYTES = { 'content-type': 'application/octet-stream' }

export function doorBodies(T: number): DoorBody[] {
  const metrics = metricsOf(T)
  const profiles = profilesOf(T)
  const series = [
    {
      labels: { __name__: 'node_cpu_seconds_total', instance: 'n1:9100', cpu: '0', mode: 'user' },
      samples: [
        [T, 5],
        [T + 1000, 6],
      ] as [number, number][],
    },
    {
      labels: { __name__: 'queue_total', instance: 'n1:9100' },
      samples: [[T, 5]] as [number, number][],
      histograms: 1,
    },
  ]
  const snappy = { ...PROTOBUF, 'content-encoding': 'snappy' }
  const at = `from=${T / 1000}&until=${T / 1000 + 5}`
  return [
    { url: '/v1/metrics', headers: PROTOBUF, bytes: metricsProtobuf(metrics) },
    { url: '/v1/metrics', headers: JSON_TYPE, bytes: metricsJson(metrics) },
    {
      url: '/v1/metrics',
      headers: { ...PROTOBUF, 'content-encoding': 'gzip' },
      bytes: gzipSync(metricsProtobuf(metrics)),
    },
    {
      url: '/v1/metrics',
      headers: { ...PROTOBUF, 'content-encoding': 'zstd' },
      bytes: zstdRaw(metricsProtobuf(metrics), 0),
    },
    { url: '/v1development/profiles', headers: PROTOBUF, bytes: profilesProtobuf(profiles, '1.10') },
    { url: '/v1development/profiles', headers: PROTOBUF, bytes: profilesProtobuf(profiles, '1.9') },
    { url: '/v1development/profiles', headers: JSON_TYPE, bytes: profilesJson(profiles) },
    { url: '/v1/jobs', headers: JSON_TYPE, bytes: jobs(T) },
    { url: '/write?precision=ms', headers: { 'content-type': 'text/plain' }, bytes: lines(T) },
    { url: '/api/v1/write', headers: snappy, bytes: remoteWrite1(series) },
    {
      url: '/api/v1/write',
      headers: { ...snappy, 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request' },
      bytes: remoteWrite2(series),
    },
    { url: '/v1/pprof?node=n1&job=7', headers: BYTES, bytes: pprof(T) },
    { url: `/ingest?name=app&${at}`, headers: BYTES, bytes: Buffer.from('main;solve;exp 3\nmain 1\n') },
    { url: `/ingest?name=app&${at}&format=pprof`, headers: BYTES, bytes: gzipSync(pprof(T)) },
    { url: '/push.v1.PusherService/Push', headers: { 'content-type': 'application/proto' }, bytes: push(T) },
    {
      url: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
      headers: {},
      bytes: metricsProtobuf(metrics),
      grpc: true,
    },
  ]
}

const metricsOf = (T: number): Parameters<typeof metricsProtobuf>[0] => [
  {
    attributes: { 'host.name': 'n1', 'jobsight.interval_ms': 10_000, list: ['a', 'b'] },
    metrics: [
      { name: 'system.memory.usage', gauge: [{ timeMs: T, asInt: 5, attributes: { 'system.memory.state': 'used' } }] },
      ...['vda', 'vdb'].map(device => ({
        name: 'system.disk.io',
        sum: {
          points: [
            {
              startMs: T - 10_000,
              timeMs: T,
              asInt: 5,
              attributes: { 'system.device': device, 'disk.io.direction': 'read' } as Attrs,
            },
          ],
          temporality: 1,
          monotonic: true,
        },
      })),
      {
        name: 'foreign',
        sum: { points: [{ startMs: 5, timeMs: T, asDouble: 5, attributes: { n: 1.5, b: true } }], temporality: 2 },
      },
      { name: 'latency', histogram: { points: [{ startMs: 5, timeMs: T, count: 5, sum: 7 }], temporality: 1 } },
      { name: 'process.memory.usage', gauge: [{ timeMs: T, asInt: 5, attributes: { 'process.pid': 7 } }] },
    ],
  },
]

const profilesOf = (T: number): Parameters<typeof profilesProtobuf>[0] => [
  {
    resource: { 'host.name': 'n1', 'process.pid': 42, 'process.executable.name': 'x' },
    sampleType: ['samples', 'count'],
    periodType: ['cpu', 'nanoseconds'],
    period: 50_000_000,
    timeMs: T,
    durationMs: 5000,
    samples: [
      {
        stack: 'main@m;solve@m;@libm.so.6+0x1234',
        attributes: { 'thread.name': 't', 'jobsight.sample.count': 3 },
        values: [3],
      },
      { stack: 'main@m;solve@m', attributes: { 'thread.name': 't' }, timestampsMs: [T, T + 1] },
      { stack: 'main@m', values: [3] },
    ],
  },
]

const jobs = (T: number): Uint8Array => {
  const job = {
    cluster: 'c1',
    id: '7',
    scheduler: 'slurm',
    state: 'running',
    user: 'ann',
    startMs: T - 60_000,
    updatedMs: T,
  }
  return Buffer.from(JSON.stringify({ jobs: [job], nodes: [{ cluster: 'c1', node: 'n1', cores: 4, updatedMs: T }] }))
}

const lines = (T: number): Uint8Array =>
  Buffer.from(`cpu,cpu=cpu-total,host=n1 usage_user=20.5,usage_idle=70 ${T}
mem,host=n1 total=1000i,available=600i ${T}
net,host=n1,interface=eth0 bytes_recv=1000i,err_in=0u ${T}
x\\ y,host=n1,a=b\\,c text="one \\"two\\"\nthree",ok=true,v=-1e-3 ${T}
`)

function pprof(T: number): Uint8Array {
  const stringTable = new StringTable()
  const text = (value: string) => stringTable.dedup(value)
  return new Profile({
    stringTable,
    sampleType: [
      { type: text('samples'), unit: text('count') },
      { type: text('cpu'), unit: text('nanoseconds') },
    ],
    timeNanos: BigInt(T) * 1_000_000n,
    durationNanos: 10_000_000_000n,
    mapping: [{ id: 9, memoryStart: 0x1000, memoryLimit: 0x9000, filename: text('/opt/app/solver') }],
    function: [{ id: 70, name: text('main'), filename: text('main.c') }],
    location: [
      { id: 12, mappingId: 9, address: 0x1100, line: [{ functionId: 70, line: 3 }] },
      { id: 7, mappingId: 9, address: 0x1300 },
    ],
    sample: [{ locationId: [7, 12], value: [3, 30_000_000], label: [{ key: text('pid'), num: 17 }] }],
  }).encode()
}

function push(T: number): Uint8Array {
  const writer = new PbfWriter()
  writer.writeMessage(
    1,
    (_, series) => {
      series.writeMessage(
        1,
        (_label, w) => {
          w.writeStringField(1, 'hostname')
          w.writeStringField(2, 'n1')
        },
        undefined,
      )
      series.writeMessage(2, (bytes: Uint8Array, w: PbfWriter) => w.writeBytesField(1, bytes), pprof(T))
    },
    undefined,
  )
  return writer.finish().slice()
}
