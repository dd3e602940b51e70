import { ValueType } from '@opentelemetry/api'
import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { type MeterOptions, openMeter } from '../../collector/meter.ts'
import type { ProcessReading } from '../../collector/processes.ts'
import { UNTOLD } from '../../collector/processreadings.ts'
import type { Self } from '../../collector/self.ts'
import type { Reading } from '../../collector/source.ts'
import { COLUMNS, ENTITIES, type Entity } from '../../ingest/metrics.ts'
import { type DecodedResource, decodeRequest } from './otlp.ts'

const SPAN = { startMs: 1_700_000_000_000, timeMs: 1_700_000_010_000 }
const IDLE = {
  put: 0,
  sent: 0,
  sentBytes: 0,
  retried: 0,
  refused: 0,
  dropped: 0,
  rejected: 0,
  waiting: 0,
  waitingBytes: 0,
}

function open(options: Partial<MeterOptions> = {}, self: Partial<Self> = {}) {
  const meter = openMeter(
    { node: 'n1', cluster: 'lab', intervalMs: 10_000, ...options },
    { readings: () => 3, sourceErrors: () => ({}), skippedTicks: () => 0, outbox: () => IDLE, ...self },
  )
  return async (readings: Reading[] = [], processes: ProcessReading[] = [], span = SPAN) =>
    decodeRequest(meter.encode(span, readings, processes))
}

const reading = (entity: Entity, column: string, value: number, instance = ''): Reading => ({
  entity,
  column,
  instance,
  value,
})
const pointsOf = (resource: DecodedResource | undefined, name: string) =>
  resource?.metrics[name]?.points.map(point => [point.attributes, point.value])

describe('meter', () => {
  it('sends readings under the names, attributes and units of the catalogue', async () => {
    const [node] = await open()([
      reading('node', 'cpu_user', 0.25),
      reading('core', 'cpu_user', 0.5, '17'),
      reading('node', 'memory_used', 4096),
      reading('node', 'load_1m', 1.5),
    ])
    expect(node?.attributes).toEqual({ 'host.name': 'n1', 'jobsight.cluster': 'lab', 'jobsight.interval_ms': 10_000 })
    expect(pointsOf(node, 'system.cpu.utilization')).toEqual([
      [{ 'cpu.mode': 'user' }, 0.25],
      [{ 'cpu.mode': 'user', 'cpu.logical_number': '17' }, 0.5],
    ])
    expect(node?.metrics['system.cpu.utilization']).toMatchObject({ kind: 'gauge', unit: '1' })
    expect(pointsOf(node, 'system.memory.usage')).toEqual([[{ 'system.memory.state': 'used' }, 4096]])
    expect(node?.metrics['system.memory.usage']).toMatchObject({ kind: 'gauge', unit: 'By' })
    expect(pointsOf(node, 'system.cpu.load_average.1m')).toEqual([[{}, 1.5]])
  })

  it('sends a rate as the delta sum it is the rate of', async () => {
    const [node] = await open()([
      reading('disk', 'read_bytes', 512, 'sda'),
      reading('disk', 'utilization', 0.5, 'sda'),
      reading('disk', 'write_queue', 2, 'sda'),
      reading('node', 'forks', 7),
      reading('node', 'pressure_io_some', 0.1),
      reading('node', 'disk_read_bytes', 512),
    ])
    const sums = { kind: 'sum', temporality: 1, monotonic: true }
    expect(node?.metrics['system.disk.io']).toEqual({
      ...sums,
      unit: 'By',
      points: [{ ...SPAN, attributes: { 'disk.io.direction': 'read', 'system.device': 'sda' }, value: 5120 }],
    })
    expect(node?.metrics['system.disk.io_time']).toMatchObject({ ...sums, unit: 's' })
    expect(pointsOf(node, 'system.disk.io_time')).toEqual([[{ 'system.device': 'sda' }, 5]])
    expect(pointsOf(node, 'system.disk.operation_time')?.[0]?.[1]).toBe(20)
    expect(pointsOf(node, 'system.process.created')).toEqual([[{}, 70]])
    expect(pointsOf(node, 'system.linux.pressure.time')).toEqual([[{ resource: 'io', kind: 'some' }, 1]])
    // the node's total is a gauge of its own: summing system.disk.io over devices would count layered disks twice
    expect(pointsOf(node, 'jobsight.disk.io')).toEqual([[{ 'disk.io.direction': 'read' }, 512]])
    expect(node?.metrics['jobsight.disk.io']?.kind).toBe('gauge')
  })

  it('gives every point the time of the tick, its own instruments too', async () => {
    const encode = open({}, { sourceErrors: () => ({ disk: 2 }) })
    await encode()
    const next = { startMs: SPAN.timeMs, timeMs: SPAN.timeMs + 10_000 }
    const [node] = await encode([reading('node', 'cpu_user', 0.25)], [], next)
    const points = Object.values(node?.metrics ?? {}).flatMap(metric => metric.points)
    expect(points.length).toBeGreaterThan(3)
    for (const point of points) expect(point).toMatchObject(next)
  })

  it('can send every column of the catalogue, each to where it comes back as itself', async () => {
    const readings = (Object.keys(ENTITIES) as Entity[]).flatMap(entity =>
      COLUMNS[entity]
        .filter(metric => metric.arrives.length > 0 && !metric.column.startsWith('collector_'))
        .map((metric, i) => reading(entity, metric.column, i + 1, entity === 'node' ? '' : 'x')),
    )
    const [node] = await open()(readings)
    const sent = Object.entries(node?.metrics ?? {}).flatMap(([name, metric]) =>
      metric.points.map(point => JSON.stringify([name, Object.entries(point.attributes).sort()])),
    )
    expect(sent.length).toBeGreaterThanOrEqual(readings.length)
    expect(new Set(sent).size).toBe(sent.length)
  })

  it("is what OpenTelemetry's own serializer makes of the same", async () => {
    const [ours] = await open()([
      reading('core', 'cpu_user', 0.5, '17'),
      reading('core', 'cpu_user', 0.25, '18'),
      reading('disk', 'read_bytes', 512, 'späte "x"'),
      reading('node', 'memory_used', 2 ** 40 + 1),
    ])
    const times = {
      startTime: [SPAN.startMs / 1000, 0] as [number, number],
      endTime: [SPAN.timeMs / 1000, 0] as [number, number],
    }
    const gauge = (name: string, unit: string, points: [Record<string, string>, number][]): MetricData => ({
      descriptor: { name, unit, description: '', valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.DELTA,
      dataPointType: DataPointType.GAUGE,
      dataPoints: points.map(([attributes, value]) => ({ ...times, attributes, value })),
    })
    const { dataPoints, ...sum } = gauge('system.disk.io', 'By', [
      [{ 'disk.io.direction': 'read', 'system.device': 'späte "x"' }, 5120],
    ])
    const core = (number: string) => ({ 'cpu.mode': 'user', 'cpu.logical_number': number })
    const metrics: MetricData[] = [
      gauge('system.cpu.utilization', '1', [
        [core('17'), 0.5],
        [core('18'), 0.25],
      ]),
      {
        ...sum,
        dataPoints: dataPoints.map(p => ({ ...p, value: 5120 })),
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
      },
      gauge('system.memory.usage', 'By', [[{ 'system.memory.state': 'used' }, 2 ** 40 + 1]]),
    ]
    const resource = resourceFromAttributes(ours?.attributes ?? {})
    const bytes = ProtobufMetricsSerializer.serializeRequest({
      resource,
      scopeMetrics: [{ scope: { name: 'jobsight' }, metrics }],
    })
    const [theirs] = decodeRequest(bytes ?? new Uint8Array())
    expect(theirs?.attributes).toEqual(ours?.attributes)
    for (const [name, metric] of Object.entries(theirs?.metrics ?? {}))
      expect([name, ours?.metrics[name]]).toEqual([name, metric])
    expect(Object.keys(theirs?.metrics ?? {})).toHaveLength(3)
  })

  it('sends 256 cores: what large nodes have', async () => {
    const readings = Array.from({ length: 256 * 8 }, (_, i) =>
      reading(
        'core',
        ['cpu_user', 'cpu_nice', 'cpu_system', 'cpu_idle', 'cpu_iowait', 'cpu_irq', 'cpu_softirq', 'cpu_steal'][
          i % 8
        ] ?? '',
        0.1,
        String(i >> 3),
      ),
    )
    const encode = open()
    await encode(readings)
    const [node] = await encode(readings)
    expect(node?.metrics['system.cpu.utilization']?.points).toHaveLength(2048)
  })

  it('leaves out what the catalogue does not know and what is no number', async () => {
    const [node] = await open()([
      reading('node', 'no_such_column', 1),
      reading('node', 'cpu_user', Number.NaN),
      reading('node', 'cpu_system', Number.POSITIVE_INFINITY),
    ])
    expect(Object.keys(node?.metrics ?? {}).filter(name => name.startsWith('system'))).toEqual([])
  })

  it('names no cluster where none is set', async () => {
    const [node] = await open({ cluster: undefined })()
    expect(node?.attributes).not.toHaveProperty('jobsight.cluster')
  })
})

const PROCESS: ProcessReading = {
  ...UNTOLD,
  pid: 4711,
  startMs: 1_699_999_000_120,
  parentPid: 1,
  name: 'solver',
  command: './solver in.dat',
  user: 'ann',
  job: '815',
  step: '0',
  rank: 3,
  evidence: 'cgroup',
  cpuUser: 1.5,
  cpuSystem: 0.25,
  memoryBytes: 1e9,
  readBytes: 100,
  writeBytes: 0,
  threads: 4,
  state: 'R',
}

describe('processes', () => {
  it('are resources of their own', async () => {
    const [, process] = await open()([], [PROCESS])
    expect(process?.attributes).toEqual({
      'host.name': 'n1',
      'jobsight.cluster': 'lab',
      'jobsight.interval_ms': 10_000,
      'process.pid': 4711,
      'process.creation.time': '2023-11-14T21:56:40.120Z',
      'process.executable.name': 'solver',
      'process.command_line': './solver in.dat',
      'process.owner': 'ann',
      'process.parent_pid': 1,
      'jobsight.process.state': 'R',
      'jobsight.job.id': '815',
      'jobsight.job.step': '0',
      'jobsight.job.rank': 3,
      'jobsight.evidence': 'cgroup',
    })
    expect(pointsOf(process, 'process.cpu.utilization')).toEqual([
      [{ 'cpu.mode': 'user' }, 1.5],
      [{ 'cpu.mode': 'system' }, 0.25],
    ])
    expect(pointsOf(process, 'process.memory.usage')).toEqual([[{}, 1e9]])
    expect(process?.metrics['process.disk.io']).toEqual({
      unit: 'By',
      kind: 'sum',
      temporality: 1,
      monotonic: true,
      points: [
        { ...SPAN, attributes: { 'disk.io.direction': 'read' }, value: 1000 },
        { ...SPAN, attributes: { 'disk.io.direction': 'write' }, value: 0 },
      ],
    })
    expect(pointsOf(process, 'process.thread.count')).toEqual([[{}, 4]])
  })

  it('leave out what is not known of them', async () => {
    const unknown = {
      ...PROCESS,
      cpuUser: undefined,
      cpuSystem: undefined,
      readBytes: undefined,
      writeBytes: undefined,
    }
    const nobody = { ...unknown, job: '', step: '', rank: undefined, user: '', command: '', parentPid: undefined }
    const [, process] = await open()([], [{ ...nobody, evidence: 'none' }])
    expect(Object.keys(process?.metrics ?? {})).toEqual(['process.memory.usage', 'process.thread.count'])
    expect(Object.keys(process?.attributes ?? {}).sort()).toEqual([
      'host.name',
      'jobsight.cluster',
      'jobsight.evidence',
      'jobsight.interval_ms',
      'jobsight.process.state',
      'process.creation.time',
      'process.executable.name',
      'process.pid',
    ])
  })

  it('change their state, name and job from tick to tick', async () => {
    const encode = open()
    await encode([], [PROCESS])
    const [, process] = await encode([], [{ ...PROCESS, state: 'S', name: 'späße "x"\n', job: '816' }])
    expect(process?.attributes).toMatchObject({
      'jobsight.process.state': 'S',
      'process.executable.name': 'späße "x"\n',
      'jobsight.job.id': '816',
    })
  })
})

describe('the collector itself', () => {
  it('says what it costs and how much it read', async () => {
    const encode = open()
    await encode()
    const [node] = await encode()
    expect(pointsOf(node, 'jobsight.collector.readings')).toEqual([[{}, 3]])
    expect(node?.metrics['jobsight.collector.memory']?.points[0]?.value).toBeGreaterThan(1e6)
    const cpu = node?.metrics['jobsight.collector.cpu']?.points[0]?.value
    expect(cpu).toBeGreaterThanOrEqual(0)
    expect(cpu).toBeLessThan(64)
  })

  it('says losses once there are some, as deltas; and what waits until nothing waits', async () => {
    let outbox = IDLE
    let disk = 0
    const encode = open({}, { outbox: () => outbox, sourceErrors: () => ({ disk }), skippedTicks: () => disk })
    const losses = async () => {
      const [node] = await encode()
      return Object.fromEntries(
        Object.entries(node?.metrics ?? {})
          .filter(([name]) => !/collector\.(cpu|memory|readings)$/.test(name))
          .map(([name, metric]) => [name, metric.points[0]?.value]),
      )
    }
    expect(await losses()).toEqual({})
    outbox = { ...IDLE, dropped: 5, waiting: 2, waitingBytes: 99 }
    disk = 1
    expect(await losses()).toEqual({
      'jobsight.collector.errors': 1,
      'jobsight.collector.skipped_ticks': 1,
      'jobsight.outbox.dropped': 5,
      'jobsight.outbox.waiting': 2,
      'jobsight.outbox.waiting_bytes': 99,
    })
    outbox = { ...IDLE, dropped: 7 }
    disk = 4
    expect(await losses()).toEqual({
      'jobsight.collector.errors': 3,
      'jobsight.collector.skipped_ticks': 3,
      'jobsight.outbox.dropped': 2,
      'jobsight.outbox.waiting': 0,
      'jobsight.outbox.waiting_bytes': 0,
    })
    expect(await losses()).toMatchObject({ 'jobsight.outbox.dropped': 0 })
  })
})
