import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openPortableProcesses } from '../../collector/processesportable.ts'
import {
  cpuReadings,
  deviceReadings,
  type Latest,
  openPortableCpu,
  openPortableDevices,
  openPortableLoad,
} from '../../collector/sources/portable.ts'
import { makeMachine, opened, table } from './machine.ts'

const NOBODY = { job: '', step: '', evidence: 'none' } as const

describe('systems without /proc', () => {
  it('share the CPU time of node:os over its modes', () => {
    const before = [
      { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 },
      { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 },
    ]
    const now = [
      { user: 50, nice: 0, sys: 50, idle: 0, irq: 0 },
      { user: 0, nice: 0, sys: 0, idle: 100, irq: 0 },
    ]
    expect(table(cpuReadings(before, now, true))).toMatchObject({
      'node cpu_user': 0.25,
      'node cpu_system': 0.25,
      'node cpu_idle': 0.5,
      'node cpu_busy': 0.5,
      'core 0 cpu_system': 0.5,
      'core 1 cpu_idle': 1,
    })
    expect(cpuReadings(now, now, true)).toEqual([])
  })

  const at = (monotonicMs: number, bytes: number): Latest => ({
    memory: { total: 1000, available: 600, free: 100, swaptotal: 10, swapused: 4 },
    disk: { rIO: bytes / 10, wIO: 0 },
    bytes: { rx: bytes, wx: 0 },
    interfaces: [
      { iface: 'lo0', rx_bytes: bytes, tx_bytes: bytes, rx_errors: 0, tx_errors: 0 },
      { iface: 'en0', rx_bytes: bytes, tx_bytes: 0, rx_errors: 0, tx_errors: 0 },
    ],
    monotonicMs,
  })

  it('give memory as it is and traffic as rates between two looks', () => {
    expect(table(deviceReadings(undefined, at(0, 0)))).toMatchObject({ 'node memory_used': 400, 'node swap_used': 4 })
    const readings = table(deviceReadings(at(0, 100), at(2000, 500)))
    expect(readings).toMatchObject({
      'node disk_read_bytes': 200,
      'node disk_read_operations': 20,
      'interface en0 receive_bytes': 200,
    })
    expect(readings).not.toHaveProperty('interface lo0 receive_bytes')
    // the same look twice, since the next had not ended: nothing is known of the time in between
    expect(table(deviceReadings(at(0, 100), at(0, 100)))).not.toHaveProperty('node disk_read_bytes')
  })

  it('leave out what such a system does not tell', () => {
    const none = { memory: undefined, disk: undefined, bytes: undefined, interfaces: [] }
    expect(deviceReadings({ ...none, monotonicMs: 0 }, { ...none, monotonicMs: 1000 })).toEqual([])
  })

  it('are read by systeminformation, node:os and pidusage, here as there', async () => {
    const machine = makeMachine({})
    const cpu = opened(openPortableCpu(machine.options))
    cpu.read(machine.tick())
    expect(table(opened(openPortableLoad()).read(machine.tick()))).toHaveProperty('node load_1m')
    const devices = await openPortableDevices()
    await vi.waitFor(() => expect(table(devices.read(machine.tick()))['node memory_total']).toBeGreaterThan(1e6), {
      timeout: 20_000,
      interval: 200,
    })
    expect(table(cpu.read(machine.tick()))).toHaveProperty('node cpu_busy')
  })

  it('show their top processes', async () => {
    const processes = await openPortableProcesses({ topByCpu: 3, topByMemory: 2, charge: () => NOBODY })
    onTestFinished(() => processes.close())
    const tick = { timeMs: 0, intervalMs: 1000, monotonicMs: 0 }
    await vi.waitFor(() => expect(processes.read(tick).processes.length).toBeGreaterThan(1), {
      timeout: 30_000,
      interval: 200,
    })
    const { processes: shown } = processes.read(tick)
    expect(shown.length).toBeLessThanOrEqual(5)
    const [first] = shown
    expect(first?.startMs).toBeGreaterThan(1e12)
    // The busiest may be a thread of the kernel, which has no memory of its own; the largest has.
    expect(Math.max(...shown.map(process => process.memoryBytes ?? 0))).toBeGreaterThan(0)
    expect(processes.count).toBeGreaterThan(2)
  })
})
