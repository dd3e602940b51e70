import { describe, expect, it } from 'vitest'
import type { EntityPoint } from '../../ingest/latest.ts'
import { COLUMNS, ENTITIES, METRICS } from '../../ingest/metrics.ts'
import type { Store } from '../../ingest/store.ts'
import { pointsTable } from '../../ingest/tables/points.ts'
import { type Attrs, type Metric, metricsJson, metricsProtobuf, type Point, type Resource } from './otlp.ts'
import { freshIngest, freshStore, rows } from './place.ts'

/** The end of a tick, some minutes ago. */
const T = Math.floor(Date.now() / 60_000) * 60_000 - 300_000
const TICK = 10_000
const ENCODINGS = [
  ['protobuf', metricsProtobuf, 'application/x-protobuf'],
  ['JSON', metricsJson, 'application/json'],
] as const

const host = (node: string, metrics: Metric[], more: Attrs = {}): Resource => ({
  attributes: { 'host.name': node, 'jobsight.interval_ms': TICK, ...more },
  metrics,
})
const gauge = (name: string, value: number, attributes: Attrs = {}, timeMs = T): Metric => ({
  name,
  gauge: [{ timeMs, asDouble: value, attributes }],
})
const sum = (name: string, points: Point[], temporality: number, monotonic = true): Metric => ({
  name,
  sum: { points, temporality, monotonic },
})
const DELTA = 1
const CUMULATIVE = 2

for (const [encoding, encode, contentType] of ENCODINGS) {
  describe(`metrics as ${encoding}`, () => {
    it('fill every column of the catalogue by each of its ways to arrive', async () => {
      const { ingest, store } = await freshIngest()
      const expected: { table: string; column: string; time: number; value: number }[] = []
      const metrics: Metric[] = []
      for (const metric of METRICS) {
        metric.arrives.forEach((arrival, way) => {
          const instance = ENTITIES[metric.entity].instance[0]
          const attributes = { ...arrival.attributes, ...(instance === undefined ? {} : { [instance]: 'x1' }) }
          // Each way at its own second: a row would otherwise hide who filled it.
          const timeMs = T + way * 1000
          metrics.push(gauge(arrival.name, 0.5 * (arrival.divideBy ?? 1), attributes, timeMs))
          expected.push({
            table: pointsTable(metric.entity),
            column: metric.column,
            time: timeMs / 1000,
            value: 0.5 * metric.scale,
          })
        })
      }
      expect(await ingest.receive('metrics', encode([host('n1', metrics)]), contentType)).toEqual({
        status: 200,
        rejected: 0,
      })
      for (const { table, column, time, value } of expected) {
        const found = await rows(store, `SELECT ${column} AS v FROM ${table} WHERE toUnixTimestamp(time) = ${time}`)
        expect([table, column, found]).toEqual([
          table,
          column,
          [{ v: found[0]?.v === String(Math.round(value)) ? String(Math.round(value)) : Math.round(value) }],
        ])
      }
      expect(await rows(store, 'SELECT count() AS n FROM series')).toEqual([{ n: '0' }])
    })

    it('are rates for their interval: deltas divided by their own, cumulative sums differenced, gauges as they are', async () => {
      const { ingest, store } = await freshIngest()
      const io = { 'system.device': 'vda', 'disk.io.direction': 'read' }
      const send = async (tick: number, cumulative: number): Promise<void> => {
        const timeMs = T + tick * TICK
        const body = encode([
          host('n1', [
            sum('system.disk.io', [{ startMs: timeMs - TICK, timeMs, asInt: 5000, attributes: io }], DELTA),
            sum(
              'system.network.io',
              [
                {
                  startMs: 1000,
                  timeMs,
                  asInt: cumulative,
                  attributes: { 'network.interface.name': 'eth0', 'network.io.direction': 'receive' },
                },
              ],
              CUMULATIVE,
            ),
            sum(
              'system.memory.usage',
              [{ startMs: 1000, timeMs, asInt: 77, attributes: { 'system.memory.state': 'used' } }],
              CUMULATIVE,
              false,
            ),
          ]),
        ])
        expect(await ingest.receive('metrics', body, contentType)).toMatchObject({ status: 200, rejected: 0 })
      }
      await send(0, 1_000_000)
      await send(1, 1_020_000)
      // It began anew between two ticks, and does not say when.
      await send(2, 5000)
      await send(3, 9000)
      const at = (tick: number): number => (T + tick * TICK) / 1000
      expect(
        await rows(
          store,
          'SELECT toUnixTimestamp(time) AS t, read_bytes AS b, interval_ms AS i FROM disk_points ORDER BY t',
        ),
      ).toEqual([0, 1, 2, 3].map(k => ({ t: at(k), b: '500', i: TICK })))
      expect(
        await rows(store, 'SELECT toUnixTimestamp(time) AS t, receive_bytes AS b FROM interface_points ORDER BY t'),
      ).toEqual([
        { t: at(1), b: '2000' },
        { t: at(3), b: '400' },
      ])
      expect(await rows(store, 'SELECT DISTINCT memory_used AS m FROM node_points')).toEqual([{ m: '77' }])
      expect(ingest.counters()).toMatchObject({ counterResets: 1, latePoints: 0 })
    })

    it('of counters are those of all ticks, though the store did not take one and it was sent again', async () => {
      const store = await freshStore()
      let isFull = false
      const full: Store = {
        ...store,
        insert: (...block) => (isFull ? Promise.reject(new Error('no room')) : store.insert(...block)),
      }
      const { ingest } = await freshIngest({ store: full })
      const direction = { 'network.interface.name': 'eth0', 'network.io.direction': 'receive' }
      const send = async (tick: number): Promise<number> => {
        const point = { startMs: 1000, timeMs: T + tick * TICK, asInt: 10_000 * tick * tick, attributes: direction }
        const body = encode([host('n1', [sum('system.network.io', [point], CUMULATIVE)])])
        return (await ingest.receive('metrics', body, contentType)).status
      }
      expect(await send(0)).toBe(200)
      isFull = true
      expect(await Promise.all([send(1), send(2)])).toEqual([503, 503])
      isFull = false
      for (const tick of [1, 2, 3]) expect(await send(tick)).toBe(200)
      const found = await rows<{ b: string }>(store, 'SELECT receive_bytes AS b FROM interface_points ORDER BY time')
      expect(found.map(row => row.b)).toEqual(['1000', '3000', '5000'])
      expect(ingest.counters().latePoints).toBe(0)
    })

    it('of a tick that comes after some that were missed speak for all of their time', async () => {
      const { ingest, store } = await freshIngest()
      const io = { 'system.device': 'vda', 'disk.io.direction': 'read' }
      const busy = { 'cpu.mode': 'user', 'process.pid': 4711, 'process.executable.name': 'x' }
      for (const [tick, ticks] of [
        [1, 1],
        [4, 3],
      ] as const) {
        const span = { startMs: T + (tick - ticks) * TICK, timeMs: T + tick * TICK }
        const metrics = [
          sum('system.disk.io', [{ ...span, asInt: ticks * 5000, attributes: io }], DELTA),
          { name: 'process.cpu.utilization', gauge: [{ ...span, asDouble: 0.5, attributes: busy }] },
        ]
        await ingest.receive('metrics', encode([host('n1', metrics)]), contentType)
      }
      const spans = [TICK, 3 * TICK].map(interval_ms => ({ interval_ms }))
      expect(await rows(store, 'SELECT read_bytes AS b, interval_ms FROM disk_points ORDER BY time')).toEqual(
        spans.map(span => ({ b: '500', ...span })),
      )
      expect(await rows(store, 'SELECT interval_ms FROM processes ORDER BY time')).toEqual(spans)
    })

    it('of processes become rows of the process table, from the resource or the point, old names too', async () => {
      const { ingest, store } = await freshIngest()
      const start = T - 100_000
      const identity = {
        'process.pid': 4711,
        'process.creation.time': new Date(start).toISOString(),
        'process.executable.name': 'python3',
        'process.command_line': 'python3 -c "while 1: pass"',
        'process.owner': 'alice',
        'process.parent_pid': 4000,
        'process.executable.path': '/usr/bin/python3.11',
        'container.id': '0f'.repeat(32),
        'jobsight.process.state': 'R',
        'jobsight.job.id': '77_3',
        'jobsight.job.step': '0',
        'jobsight.job.rank': 5,
        'jobsight.evidence': 'cgroup',
      }
      const mine = host(
        'n1',
        [
          gauge('process.cpu.utilization', 0.75, { 'cpu.mode': 'user' }),
          gauge('process.cpu.utilization', 0.25, { 'cpu.mode': 'system' }),
          gauge('process.memory.usage', 123456),
          gauge('process.thread.count', 3),
          gauge('jobsight.process.numa.node', 1),
          gauge('jobsight.process.gpu.utilization', 0.5),
          gauge('jobsight.process.gpu.memory.usage', 7e9),
          ...['jobsight.process.cpu.delay', 'jobsight.process.disk.delay', 'jobsight.process.ended'].map((name, i) =>
            sum(name, [{ startMs: T - TICK, timeMs: T, asDouble: (TICK / 1000) * (i + 1) }], DELTA),
          ),
          sum(
            'process.disk.io',
            [{ startMs: T - TICK, timeMs: T, asInt: 40_000, attributes: { 'disk.io.direction': 'write' } }],
            DELTA,
          ),
        ],
        identity,
      )
      const stock = (tick: number): Resource =>
        host('n2', [
          sum(
            'process.cpu.time',
            ['user', 'system'].map((state, i) => ({
              startMs: start,
              timeMs: T + tick * TICK,
              asDouble: 100 + tick * (i + 1),
              attributes: { state, 'process.pid': 99, 'process.executable.name': 'x' },
            })),
            CUMULATIVE,
          ),
        ])
      await ingest.receive('metrics', encode([mine, stock(0)]), contentType)
      await ingest.receive('metrics', encode([stock(1)]), contentType)
      const found = await rows(store, 'SELECT * EXCEPT (time) FROM processes ORDER BY node')
      expect(found).toEqual([
        {
          cluster: 'c1',
          node: 'n1',
          interval_ms: TICK,
          pid: 4711,
          start_ms: String(start),
          parent_pid: 4000,
          name: 'python3',
          command: 'python3 -c "while 1: pass"',
          user: 'alice',
          job: '77_3',
          step: '0',
          rank: 5,
          evidence: 'cgroup',
          cpu_user: 0.75,
          cpu_system: 0.25,
          memory_bytes: '123456',
          read_bytes: null,
          write_bytes: '4000',
          threads: 3,
          state: 'R',
          executable: '/usr/bin/python3.11',
          container: '0f'.repeat(32),
          cpu_delay: 1,
          disk_delay: 2,
          numa_node: 1,
          gpu_utilization: 0.5,
          gpu_memory_bytes: '7000000000',
          ended: 3,
        },
        expect.objectContaining({
          node: 'n2',
          pid: 99,
          start_ms: String(start),
          cpu_user: 0.1,
          cpu_system: 0.2,
          evidence: 'none',
          job: '',
        }),
      ])
      expect(await rows(store, 'SELECT count() AS n FROM series')).toEqual([{ n: '0' }])
    })

    it('that the catalogue does not know become series: told once, a row a value', async () => {
      const { ingest, store } = await freshIngest()
      const resource = (tick: number): Resource =>
        host(
          'n1',
          [
            gauge('lustre.queue', 1.5 + tick, { target: 'OST1', a: 'x' }, T + tick * TICK),
            sum(
              'app.requests',
              [{ startMs: 1, timeMs: T + tick * TICK, asInt: tick * 70, attributes: { b: 2 } }],
              CUMULATIVE,
            ),
            {
              name: 'app.latency',
              unit: 's',
              histogram: {
                temporality: DELTA,
                points: [{ startMs: T + tick * TICK - 1000, timeMs: T + tick * TICK, count: 4, sum: 2.5 }],
              },
            },
          ],
          { 'service.name': 'app' },
        )
      for (const tick of [0, 1, 2]) await ingest.receive('metrics', encode([resource(tick)]), contentType)
      expect(
        await rows(
          store,
          `SELECT name, kind, unit, node, attributes, groupArray(value) AS values FROM series JOIN
             (SELECT * FROM series_points ORDER BY time) AS p USING series_id GROUP BY ALL ORDER BY name`,
        ),
      ).toEqual([
        {
          name: 'app.latency_count',
          kind: 'rate',
          unit: '1',
          node: 'n1',
          attributes: { 'service.name': 'app' },
          values: [4, 4, 4],
        },
        {
          name: 'app.latency_sum',
          kind: 'rate',
          unit: 's',
          node: 'n1',
          attributes: { 'service.name': 'app' },
          values: [2.5, 2.5, 2.5],
        },
        {
          name: 'app.requests',
          kind: 'rate',
          unit: '',
          node: 'n1',
          attributes: { 'service.name': 'app', b: '2' },
          values: [7, 7],
        },
        {
          name: 'lustre.queue',
          kind: 'gauge',
          unit: '',
          node: 'n1',
          attributes: { 'service.name': 'app', target: 'OST1', a: 'x' },
          values: [1.5, 2.5, 3.5],
        },
      ])
      expect(await rows(store, 'SELECT count() AS n FROM series')).toEqual([{ n: '4' }])
    })

    it('with a bad point lose only that point, and say so', async () => {
      const { ingest, store } = await freshIngest()
      const body = encode([
        host('n1', [
          gauge('system.cpu.load_average.1m', 1),
          gauge('system.cpu.load_average.5m', Number.NaN),
          gauge('system.cpu.load_average.15m', 3, {}, T + 10 * 3_600_000),
          gauge('foreign', 3, {}, T - 100 * 86_400_000),
          sum('system.disk.io', [{ timeMs: T, asInt: 5, attributes: { device: 'vda', direction: 'read' } }], DELTA),
          sum(
            'no.temporality',
            [
              { timeMs: T, asInt: 5 },
              { timeMs: T, asInt: 6 },
            ],
            0,
          ),
          { name: 'no.value', gauge: [{ timeMs: T }] },
          { name: 'ended.series', gauge: [{ timeMs: T, flags: 1 }] },
          gauge('', 4),
        ]),
      ])
      const receipt = await ingest.receive('metrics', body, contentType)
      expect(receipt).toMatchObject({ status: 200, rejected: 8 })
      expect(receipt.message).toMatch(
        /^8 refused: .*load_average.5m: the value is not a finite number.*ahead of this machine's clock/,
      )
      expect(await rows(store, 'SELECT load_1m AS a, load_5m AS b, load_15m AS c FROM node_points')).toEqual([
        { a: '100', b: null, c: null },
      ])
    })
  })
}

describe('a node made from its instances', () => {
  const stock = (tick: number): Resource => ({
    attributes: { 'host.name': 'n1.cluster.example' },
    metrics: [
      sum(
        'system.cpu.time',
        ['cpu0', 'cpu1'].flatMap((cpu, c) =>
          [
            ['user', 2 + 2 * c],
            ['system', 1],
            ['idle', 6],
            ['wait', 1],
            ['interrupt', 0],
          ].map(([state, share]) => ({
            startMs: 1000,
            timeMs: T + tick * TICK,
            asDouble: 1000 + tick * Number(share),
            attributes: { cpu, state: String(state) },
          })),
        ),
        CUMULATIVE,
      ),
      sum(
        'system.disk.io',
        ['vda', 'vda1', 'dm-0', 'loop0'].map(device => ({
          startMs: 1000,
          timeMs: T + tick * TICK,
          asInt: tick * 1000,
          attributes: { device, direction: 'read' },
        })),
        CUMULATIVE,
      ),
      sum(
        'system.network.io',
        ['lo', 'eth0', 'eth0.7', 'ib0', 'veth1', 'bond0'].map(device => ({
          startMs: 1000,
          timeMs: T + tick * TICK,
          asInt: tick * 1000,
          attributes: { device, direction: 'transmit' },
        })),
        CUMULATIVE,
      ),
      sum(
        'system.memory.usage',
        ['used', 'free', 'cached', 'buffered', 'slab_reclaimable'].map(state => ({
          timeMs: T + tick * TICK,
          asInt: 1000,
          attributes: { state },
        })),
        CUMULATIVE,
        false,
      ),
    ],
  })

  it('counts no disk, interface or core twice; busy, memory and cores follow', async () => {
    const { ingest, store } = await freshIngest()
    for (const tick of [0, 1]) await ingest.receive('metrics', metricsProtobuf([stock(tick)]))
    expect(
      await rows(
        store,
        `SELECT node, cpu_user, cpu_system, cpu_idle, cpu_iowait, cpu_busy, cpu_count, disk_read_bytes, disk_write_bytes, network_transmit_bytes, memory_total, interval_ms
         FROM node_points WHERE time = fromUnixTimestamp(${(T + TICK) / 1000})`,
      ),
    ).toEqual([
      {
        node: 'n1',
        cpu_user: 3000,
        cpu_system: 1000,
        cpu_idle: 6000,
        cpu_iowait: 1000,
        cpu_busy: 4000,
        cpu_count: '2',
        disk_read_bytes: '100',
        disk_write_bytes: null,
        network_transmit_bytes: '200',
        memory_total: '4000',
        interval_ms: TICK,
      },
    ])
    expect(await rows(store, 'SELECT instance FROM core_points ORDER BY instance')).toEqual([
      { instance: '0' },
      { instance: '1' },
    ])
    expect(await rows(store, 'SELECT uniqExact(instance) AS n FROM disk_points')).toEqual([{ n: '4' }])
  })

  it('keeps what the sender gave for the node itself', async () => {
    const { ingest, store } = await freshIngest()
    const body = metricsProtobuf([
      host('n1', [
        gauge('system.disk.io', 5, { 'system.device': 'vda', 'disk.io.direction': 'read' }),
        gauge('jobsight.disk.io', 7, { 'disk.io.direction': 'read' }),
        gauge('system.cpu.utilization', 0.5, { 'cpu.mode': 'user' }),
        gauge('system.cpu.utilization', 0.1, { 'cpu.mode': 'system' }),
        gauge('jobsight.cpu.busy', 0.9),
        gauge('system.cpu.utilization', 1, { 'cpu.mode': 'user', 'cpu.logical_number': 0 }),
      ]),
    ])
    await ingest.receive('metrics', body)
    expect(await rows(store, 'SELECT disk_read_bytes AS d, cpu_user AS u, cpu_busy AS b FROM node_points')).toEqual([
      { d: '7', u: 5000, b: 9000 },
    ])
  })
})

describe('a value told twice', () => {
  it('under two names counts once; under one name in parts it is added up', async () => {
    const { ingest, store } = await freshIngest()
    const io = (part: string, bytes: number): Point => ({
      startMs: T - TICK,
      timeMs: T,
      asInt: bytes,
      attributes: { 'system.device': 'vda', 'disk.io.direction': 'read', part },
    })
    const core = { 'cpu.mode': 'user', 'cpu.logical_number': 0 }
    const body = metricsProtobuf([
      host('n1', [
        sum('system.disk.io', [io('merged', 10_000), io('other', 5000)], DELTA),
        gauge('system.cpu.utilization', 0.5, core),
        sum('system.cpu.time', [{ startMs: T - TICK, timeMs: T, asDouble: 5, attributes: core }], DELTA),
      ]),
    ])
    expect(await ingest.receive('metrics', body)).toEqual({ status: 200, rejected: 0 })
    expect(await rows(store, 'SELECT read_bytes FROM disk_points')).toEqual([{ read_bytes: '1500' }])
    expect(await rows(store, 'SELECT cpu_user FROM core_points')).toEqual([{ cpu_user: 5000 }])
  })
})

describe('what is remembered', () => {
  it('is bounded: points of more places than that are refused', async () => {
    const { ingest, store } = await freshIngest({ config: { maxPlaces: 3 } })
    const disks = (names: string[]): Metric[] =>
      names.map(name => gauge('system.disk.io', 1, { 'system.device': name, 'disk.io.direction': 'read' }))
    expect(await ingest.receive('metrics', metricsProtobuf([host('n1', disks(['vda']))]))).toMatchObject({
      rejected: 0,
    })
    expect(
      await ingest.receive('metrics', metricsProtobuf([host('n1', disks(['vda', 'vdb', 'vdc', 'vdd']))])),
    ).toMatchObject({
      status: 200,
      rejected: 2,
      message: expect.stringContaining('ingest.maxPlaces'),
    })
    expect(await rows(store, 'SELECT DISTINCT instance FROM disk_points ORDER BY 1')).toEqual([
      { instance: 'vda' },
      { instance: 'vdb' },
    ])
    expect(ingest.counters()).toMatchObject({ knownPlaces: 3, rejectedPoints: 2 })
  })

  it('of counters is bounded: the oldest are forgotten and counted', async () => {
    const { ingest, store } = await freshIngest({ config: { maxSeries: 4 } })
    for (const tick of [0, 1]) {
      const points = Array.from({ length: 10 }, (_, i) => ({
        startMs: 1,
        timeMs: T + tick * TICK,
        asInt: 100 * tick,
        attributes: { i },
      }))
      await ingest.receive('metrics', metricsProtobuf([host('n1', [sum('foreign', points, CUMULATIVE)])]))
    }
    expect(ingest.counters().forgottenCounters).toBeGreaterThan(5)
    expect(await rows(store, 'SELECT count() < 5 AS few FROM series_points')).toEqual([{ few: 1 }])
  })

  it('lasts as long as the store keeps points: what is older is refused', async () => {
    const store = await freshStore({ retentionDays: { points: 3 } })
    const { ingest } = await freshIngest({ store })
    const at = (days: number): Uint8Array =>
      metricsProtobuf([host('n1', [gauge('system.cpu.load_average.1m', 1, {}, T - days * 86_400_000)])])
    expect(await ingest.receive('metrics', at(2))).toMatchObject({ rejected: 0 })
    expect(await ingest.receive('metrics', at(4))).toMatchObject({ rejected: 1 })
  })
})

describe('who sent it', () => {
  it('is cluster and short node name, and an address stays whole', async () => {
    const { ingest, store } = await freshIngest()
    const send = (attributes: Attrs): Promise<unknown> =>
      ingest.receive('metrics', metricsProtobuf([{ attributes, metrics: [gauge('system.cpu.load_average.1m', 1)] }]))
    await send({ 'host.name': 'a.b.c', 'jobsight.cluster': 'other' })
    await send({ 'host.name': '10.0.0.7' })
    await send({ 'k8s.node.name': 'k' })
    await send({ 'service.name': 'nobody', 'jobsight.simulated': true })
    await send({ 'service.name': 'nobody', 'jobsight.simulated': true })
    expect(await rows(store, 'SELECT cluster, node FROM node_points ORDER BY ALL')).toEqual([
      { cluster: 'c1', node: '10.0.0.7' },
      { cluster: 'c1', node: 'k' },
      { cluster: 'c1', node: 'unknown' },
      { cluster: 'c1', node: 'unknown' },
      { cluster: 'other', node: 'a' },
    ])
    const marked = await rows<{ node: string; sender: string; record: string }>(
      store,
      'SELECT node, sender, record FROM nodes',
    )
    expect(marked).toEqual([{ node: 'unknown', sender: 'ingest', record: expect.stringContaining('"simulated":true') }])
  })
})

describe('the newest values', () => {
  it('are there once written, by entity and instance, and again after a restart', async () => {
    const { ingest, store } = await freshIngest()
    const heard: EntityPoint[] = []
    ingest.onWritten(points => heard.push(...points))
    const now = Math.floor(Date.now() / 1000) * 1000 - 60_000
    const body = (timeMs: number, busy: number): Uint8Array =>
      metricsProtobuf([
        host('n1', [
          gauge('jobsight.cpu.busy', busy, {}, timeMs),
          ...['10', '9'].map(cpu =>
            gauge('system.cpu.utilization', busy, { 'cpu.mode': 'user', 'cpu.logical_number': cpu }, timeMs),
          ),
        ]),
      ])
    await ingest.receive('metrics', body(now, 0.25))
    await ingest.receive('metrics', body(now - TICK, 0.75))
    const busy = COLUMNS.node.findIndex(m => m.column === 'cpu_busy')
    const check = (latest: typeof ingest.latest): void => {
      expect(latest.clusters()).toEqual(['c1'])
      expect(latest.nodes('c1')).toEqual(['n1'])
      expect(latest.node('c1', 'n1')).toMatchObject({ timeMs: now, intervalMs: TICK, instance: '' })
      expect(latest.node('c1', 'n1')?.values[busy]).toBe(0.25)
      expect(latest.node('c1', 'n1')?.values[busy + 2]).toBeNaN()
      expect(latest.instances('c1', 'n1', 'core').map(p => [p.instance, p.values[0]])).toEqual([
        ['9', 0.25],
        ['10', 0.25],
      ])
      expect(latest.node('c1', 'nope')).toBeUndefined()
    }
    check(ingest.latest)
    expect(heard.filter(p => p.entity === 'node').map(p => [p.node, p.timeMs, p.values[busy]])).toEqual([
      ['n1', now, 0.25],
      ['n1', now - TICK, 0.75],
    ])
    check((await freshIngest({ store })).ingest.latest)
  })
})
