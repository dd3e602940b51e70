import { expect, it } from 'vitest'
import { type Attrs, type Metric, metricsProtobuf } from './otlp.ts'
import { freshIngest, rows } from './place.ts'

const T = Math.floor(Date.now() / 60_000) * 60_000 - 300_000
const gauge = (name: string, value: number, attributes: Attrs = {}): Metric => ({
  name,
  gauge: [{ timeMs: T, asDouble: value, attributes }],
})
const gpu = (address: string, power: number, used: number): Metric[] => [
  gauge('hw.power', power, { 'hw.type': 'gpu', 'hw.id': address }),
  gauge('hw.gpu.memory.usage', used, { 'hw.id': address }),
]

async function nodeOf(metrics: Metric[]): Promise<Record<string, unknown> | undefined> {
  const { ingest, store } = await freshIngest()
  const attributes = { 'host.name': 'n1', 'jobsight.interval_ms': 10_000 }
  expect(await ingest.receive('metrics', metricsProtobuf([{ attributes, metrics }]))).toMatchObject({ status: 200 })
  const [node] = await rows(store, 'SELECT * FROM node_points')
  return node
}

it('makes the power of a node of what is measured of it', async () => {
  const node = await nodeOf([
    gauge('hw.power', 150, { 'hw.type': 'cpu', 'hw.id': '0' }),
    gauge('hw.power', 90, { 'hw.type': 'cpu', 'hw.id': '1' }),
    gauge('hw.power', 20, { 'hw.type': 'memory', 'hw.id': '0' }),
    ...gpu('0000:65:00.0', 400, 1),
    gauge('hw.temperature', 48, { 'hw.type': 'cpu', 'hw.id': '0' }),
    gauge('hw.temperature', 62.5, { 'hw.type': 'cpu', 'hw.id': '1' }),
  ])
  expect(node).toMatchObject({
    power_cpu_watts: '2400',
    power_memory_watts: '200',
    power_gpu_watts: '4000',
    power_parts_watts: '6600',
    power_watts: null, // nothing measured the whole
    cpu_temperature: '625',
  })
})

it('counts a GPU that is divided once: its instances use what it uses', async () => {
  const node = await nodeOf([
    ...gpu('0000:65:00.0', 400, 1000),
    ...gpu('0000:66:00.0', 300, 600),
    gauge('hw.gpu.memory.usage', 500, { 'hw.id': '0000:66:00.0/1' }),
    gauge('hw.gpu.memory.usage', 100, { 'hw.id': '0000:66:00.0/2' }),
  ])
  expect(node).toMatchObject({ gpu_memory_used: '1600', power_gpu_watts: '7000' })
})

it('does not add a port of the fast network to the interfaces: IP over it has one of its own', async () => {
  const receive = (name: string, value: number) =>
    gauge('system.network.io', value, { 'network.io.direction': 'receive', 'network.interface.name': name })
  const node = await nodeOf([
    receive('eth0', 100),
    receive('ib0', 50),
    receive('mlx5_0/1', 9000),
    receive('cxi0/1', 9000),
  ])
  expect(node).toMatchObject({ network_receive_bytes: '150', fabric_receive_bytes: null })
})

it('takes file systems as stock senders tell them, and the fullest for the node', async () => {
  const usage = (mountpoint: string, state: string, value: number) =>
    gauge('system.filesystem.usage', value, { device: '/dev/sda1', mode: 'rw', mountpoint, type: 'xfs', state })
  const { ingest, store } = await freshIngest()
  const metrics = [
    usage('/', 'used', 10),
    usage('/', 'free', 30),
    usage('/home', 'used', 7),
    gauge('system.filesystem.utilization', 0.25, { mountpoint: '/' }),
    gauge('system.filesystem.utilization', 0.75, { mountpoint: '/home' }),
  ]
  await ingest.receive('metrics', metricsProtobuf([{ attributes: { 'host.name': 'n1' }, metrics }]))
  const columns = 'instance, used_bytes, available_bytes'
  expect(await rows(store, `SELECT ${columns} FROM filesystem_points ORDER BY instance`)).toEqual([
    { instance: '/', used_bytes: '10', available_bytes: '30' },
    { instance: '/home', used_bytes: '7', available_bytes: null },
  ])
  expect(await rows(store, 'SELECT filesystem_utilization FROM node_points')).toEqual([
    { filesystem_utilization: 7500 },
  ])
})
