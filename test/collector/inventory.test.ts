import { pino } from 'pino'
import { Value } from 'typebox/value'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Found, parseInventory, readInventory, startInventory } from '../../collector/inventory.ts'
import { Node } from '../../ingest/records.ts'

/** A GPU node as systeminformation 5.33 describes one, cut to what is read. */
const FOUND: Found = {
  cpu: { manufacturer: 'AMD', brand: 'EPYC 9654', cores: 384, physicalCores: 192, processors: 2 },
  os: { distro: 'Rocky Linux', release: '9.4', kernel: '5.14.0-427.el9.x86_64', arch: 'x64', fqdn: 'n1.lab' },
  memory: { total: 1_622_000_000_000 },
  blockDevices: [
    { name: 'nvme0n1', type: 'disk', size: 3_840_755_982_336, model: '' },
    { name: 'nvme0n1p1', type: 'part', size: 1_000_000, model: '' },
    { name: 'zram0', type: 'disk', size: 0, model: '' },
  ],
  diskLayout: [{ device: '/dev/nvme0n1', name: 'SAMSUNG MZQL23T8HCLS', size: 3_840_755_982_336 }],
  interfaces: [
    { iface: 'lo', internal: true, virtual: false, speed: null },
    { iface: 'eno1', internal: false, virtual: false, speed: 25_000 },
    { iface: 'ib0', internal: false, virtual: false, speed: -1 },
  ],
  graphics: [
    { vendor: 'ASPEED Technology, Inc.', model: 'ASPEED Graphics Family', vram: 16, busAddress: 'c3:00.0' },
    {
      vendor: 'NVIDIA Corporation',
      model: 'NVIDIA H100 80GB HBM3',
      vram: null,
      memoryTotal: 81_559,
      busAddress: '1b:00.0',
    },
    {
      vendor: 'NVIDIA Corporation',
      model: 'NVIDIA H100 80GB HBM3',
      vram: null,
      memoryTotal: 81_559,
      busAddress: '43:00.0',
    },
  ],
  numaNodes: 8,
}

describe('parseInventory', () => {
  it('tells a GPU node as it is', () => {
    expect(parseInventory(FOUND)).toEqual({
      os: 'Rocky Linux 9.4',
      kernel: '5.14.0-427.el9.x86_64',
      arch: 'x64',
      cpuModel: 'AMD EPYC 9654',
      sockets: 2,
      cores: 192,
      threads: 384,
      numaNodes: 8,
      memoryBytes: 1_622_000_000_000,
      disks: [{ name: 'nvme0n1', bytes: 3_840_755_982_336, model: 'SAMSUNG MZQL23T8HCLS' }],
      interfaces: [{ name: 'eno1', bitsPerSecond: 25e9 }, { name: 'ib0' }],
      gpus: [
        { id: '1b:00.0', model: 'NVIDIA H100 80GB HBM3', memoryBytes: 81_559 * 2 ** 20 },
        { id: '43:00.0', model: 'NVIDIA H100 80GB HBM3', memoryBytes: 81_559 * 2 ** 20 },
      ],
    })
  })

  it('leaves out what is unknown', () => {
    expect(Object.keys(parseInventory({}))).toEqual(['kernel'])
    expect(parseInventory({ graphics: [], interfaces: [] })).toMatchObject({ gpus: [], interfaces: [] })
  })
})

describe('startInventory', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const options = { cluster: 'lab', node: 'n1', intervalMs: 10_000, bootMs: 5000, version: '0.1.0', everyMs: 3_600_000 }
  function start(read: () => Promise<Found>) {
    const sent: unknown[] = []
    const sources = { cpu: 'ok', pressure: 'boot it with psi=1' }
    const inventory = startInventory(options, {
      read,
      sources: () => sources,
      put: body => sent.push(JSON.parse(Buffer.from(body).toString()).nodes[0]),
      now: () => 1_700_000_000_000,
      log: pino({ level: 'silent' }),
    })
    onTestFinished(() => inventory.stop())
    return { inventory, sent, sources }
  }

  it('sends a Node that fits the schema: at start, each hour, and a minute after something changed', async () => {
    const { inventory, sent, sources } = start(async () => FOUND)
    await vi.advanceTimersByTimeAsync(0)
    expect(sent).toHaveLength(1)
    expect(Value.Check(Node, sent[0])).toBe(true)
    expect(sent[0]).toMatchObject({
      cluster: 'lab',
      node: 'n1',
      cores: 192,
      bootMs: 5000,
      collectorVersion: '0.1.0',
      intervalMs: 10_000,
      sources,
      updatedMs: 1_700_000_000_000,
    })
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(sent).toHaveLength(2)
    sources.cpu = 'no /proc/stat'
    inventory.update()
    inventory.update()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(sent).toHaveLength(3)
    expect(sent[2]).toMatchObject({ cores: 192, sources: { cpu: 'no /proc/stat' } })
  })

  it('tells of the sources where the hardware cannot be read', async () => {
    const { sent } = start(() => Promise.reject(new Error('no lscpu')))
    await vi.advanceTimersByTimeAsync(0)
    expect(sent).toMatchObject([{ node: 'n1', sources: { cpu: 'ok' } }])
  })
})

it('reads this machine', async () => {
  const node = parseInventory(await readInventory({ proc: '/proc', sys: '/sys' }))
  expect(node).toMatchObject({ kernel: expect.any(String), numaNodes: expect.any(Number) })
  expect(node.threads).toBeGreaterThan(0)
  expect(node.memoryBytes).toBeGreaterThan(1e6)
  expect(Value.Check(Node, { cluster: 'c', node: 'n', updatedMs: 1, ...node })).toBe(true)
})
