/**
 * Systems without /proc (a laptop with macOS): what systeminformation can tell, on the same columns. One source reads ahead,
 * beside the tick, since systeminformation starts programs and cannot be waited for; the tick takes what came last.
 */
import { cpus, freemem, loadavg, totalmem } from 'node:os'
import { rateOf } from '../counter.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

interface Modes {
  user: number
  nice: number
  sys: number
  idle: number
  irq: number
}

/** Milliseconds of each mode of each core, by node:os; without iowait, softirq and steal, which these systems do not have. */
export function cpuReadings(before: readonly Modes[], now: readonly Modes[], perCore: boolean): Reading[] {
  const readings: Reading[] = []
  const sum: Modes = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 }
  now.forEach((modes, core) => {
    const then = before[core]
    if (!then) return
    const grown = difference(then, modes)
    for (const mode of MODES) sum[mode] += grown[mode]
    if (perCore) readings.push(...sharesOf(grown, 'core', String(core)))
  })
  return [...sharesOf(sum, 'node', ''), ...busyOf(sum), ...readings]
}

const MODES = ['user', 'nice', 'sys', 'idle', 'irq'] as const

function difference(then: Modes, now: Modes): Modes {
  const of = (mode: (typeof MODES)[number]) => Math.max(0, now[mode] - then[mode])
  return { user: of('user'), nice: of('nice'), sys: of('sys'), idle: of('idle'), irq: of('irq') }
}

const totalOf = (modes: Modes) => MODES.reduce((sum, mode) => sum + modes[mode], 0)

function sharesOf(modes: Modes, entity: 'node' | 'core', instance: string): Reading[] {
  const total = totalOf(modes)
  if (total === 0) return []
  return MODES.map(mode => ({
    entity,
    column: mode === 'sys' ? 'cpu_system' : `cpu_${mode}`,
    instance,
    value: modes[mode] / total,
  }))
}

function busyOf(modes: Modes): Reading[] {
  const total = totalOf(modes)
  return total === 0 ? [] : [{ entity: 'node', column: 'cpu_busy', instance: '', value: 1 - modes.idle / total }]
}

export function openPortableCpu({ perCore }: SourceOptions): Source {
  let before: Modes[] = []
  return {
    name: 'cpu',
    read() {
      const now = cpus().map(core => core.times)
      const last = before
      before = now
      const count: Reading = { entity: 'node', column: 'cpu_count', instance: '', value: now.length }
      return [count, ...(last.length > 0 ? cpuReadings(last, now, perCore) : [])]
    },
  }
}

export function openPortableLoad(): Source | Absent {
  if (process.platform === 'win32') return { absent: 'Windows keeps no load average' }
  return {
    name: 'load',
    read() {
      const [one = 0, five = 0, fifteen = 0] = loadavg()
      return [
        { entity: 'node', column: 'load_1m', instance: '', value: one },
        { entity: 'node', column: 'load_5m', instance: '', value: five },
        { entity: 'node', column: 'load_15m', instance: '', value: fifteen },
      ]
    },
  }
}

/** What systeminformation's answers have in common with what we need. */
export interface Latest {
  memory: { total: number; available: number; free: number; swaptotal: number; swapused: number } | undefined
  disk: { rIO: number; wIO: number } | undefined
  bytes: { rx: number; wx: number } | undefined
  interfaces: readonly { iface: string; rx_bytes: number; tx_bytes: number; rx_errors: number; tx_errors: number }[]
  /** When it was asked for. */
  monotonicMs: number
}

/** Never waits: starts the next look when the one before has ended, and hands out what is there. */
export function openLookAhead<T>(look: () => Promise<T>): () => T | undefined {
  let latest: T | undefined
  let looking = false
  return () => {
    if (!looking) {
      looking = true
      look()
        .then(found => {
          latest = found
        })
        .catch(() => {
          latest = undefined
        })
        .finally(() => {
          looking = false
        })
    }
    return latest
  }
}

export async function openPortableDevices(): Promise<Source> {
  const si = await import('systeminformation')
  const latest = openLookAhead<Latest>(async () => {
    const monotonicMs = performance.now()
    const [memory, disk, bytes, interfaces] = await Promise.all([
      si.mem(),
      si.disksIO().catch(() => undefined),
      si.fsStats().catch(() => undefined),
      si.networkStats('*').catch(() => []),
    ])
    return { memory, disk: disk ?? undefined, bytes: bytes ?? undefined, interfaces, monotonicMs }
  })
  let before: Latest | undefined
  return {
    name: 'devices',
    read(_: Tick) {
      const now = latest()
      const last = before
      before = now
      return now ? deviceReadings(last, now) : []
    },
  }
}

export function deviceReadings(before: Latest | undefined, now: Latest): Reading[] {
  const readings: Reading[] = []
  const add = (column: string, value: number | undefined) => {
    if (value !== undefined && Number.isFinite(value)) readings.push({ entity: 'node', column, instance: '', value })
  }
  const { memory } = now
  if (memory) {
    add('memory_total', totalmem())
    add('memory_used', memory.total - memory.available)
    add('memory_available', memory.available)
    add('memory_free', freemem())
    add('swap_total', memory.swaptotal)
    add('swap_used', memory.swapused)
  }
  if (!before || before.monotonicMs >= now.monotonicMs) return readings
  const seconds = (now.monotonicMs - before.monotonicMs) / 1000
  add('disk_read_operations', rateOf(before.disk?.rIO, now.disk?.rIO, seconds))
  add('disk_write_operations', rateOf(before.disk?.wIO, now.disk?.wIO, seconds))
  add('disk_read_bytes', rateOf(before.bytes?.rx, now.bytes?.rx, seconds))
  add('disk_write_bytes', rateOf(before.bytes?.wx, now.bytes?.wx, seconds))
  return [...readings, ...interfaceReadings(before, now, seconds)]
}

function interfaceReadings(before: Latest, now: Latest, seconds: number): Reading[] {
  const readings: Reading[] = []
  for (const card of now.interfaces) {
    // the node's total is made by summing them, and loopback is no traffic
    if (/^lo\d*$/.test(card.iface)) continue
    const then = before.interfaces.find(one => one.iface === card.iface)
    const values = {
      receive_bytes: rateOf(then?.rx_bytes, card.rx_bytes, seconds),
      transmit_bytes: rateOf(then?.tx_bytes, card.tx_bytes, seconds),
      receive_errors: rateOf(then?.rx_errors, card.rx_errors, seconds),
      transmit_errors: rateOf(then?.tx_errors, card.tx_errors, seconds),
    }
    for (const [column, value] of Object.entries(values)) {
      if (value !== undefined) readings.push({ entity: 'interface', column, instance: card.iface, value })
    }
  }
  return readings
}
