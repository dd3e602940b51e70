/**
 * What the devices of a simulated node tell: power and heat, clocks, memory bandwidth, NUMA nodes, file systems, the port of
 * the fast network, TCP. All of it follows from what runs there: a node that is throttled is hot, and slow in its clock.
 *
 *   /work is Lustre: what the processes read and write and the scratch disk does not have, is there
 */
import type { Entity } from '../../ingest/metrics.ts'
import { clamp, type Load, type SimulatedProcess } from './model.ts'
import type { Drift } from './random.ts'

export const PORT = 'mlx5_0/1'
const SOCKETS = ['0', '1']
const FILESYSTEMS = ['/', '/home', '/work']

/** Rows of a node that has these devices. */
export const DEVICE_ROWS: readonly (readonly [Entity, string])[] = [
  ...SOCKETS.map(socket => ['socket', socket] as const),
  ...SOCKETS.map(node => ['numa', node] as const),
  ...FILESYSTEMS.map(path => ['filesystem', path] as const),
  ['interface', PORT],
]

/** What the kernel of the node counts, as NodeValues has it. */
export interface Counted {
  /** 0..1 */
  busy: number
  cores: number
  memoryTotal: number
  memoryUsed: number
  memoryCached: number
}

type Put = (entity: Entity, instance: string, column: string, value: number) => void

const IDLE_WATTS = 92
const FULL_WATTS = 276
const BOARD_WATTS = 148
const FULL_HERTZ = 3.8e9
const LINK_BYTES = 25e9

export function fillDevices(
  put: Put,
  counted: Counted,
  load: Load,
  processes: readonly SimulatedProcess[],
  drift: Drift,
): void {
  fillPower(put, counted, load, drift)
  fillCounters(put, counted, load, drift)
  fillMemory(put, counted, drift)
  fillFilesystems(put, load, processes, drift)
  fillFabric(put, load)
  fillTcp(put, load)
}

function fillPower(put: Put, { busy }: Counted, { speed }: Load, drift: Drift): void {
  const hot = speed < 1
  let watts = 0
  SOCKETS.forEach((socket, s) => {
    const noise = 0.004 * drift.at(s)
    const power = (IDLE_WATTS + (FULL_WATTS - IDLE_WATTS) * busy ** 0.8 * (hot ? 0.72 : 1)) * (1 + noise)
    put('socket', socket, 'power_watts', power)
    put('socket', socket, 'power_limit_watts', 280)
    put('socket', socket, 'temperature', hot && s === 0 ? 95.5 + noise : 33 + 41 * busy + 2 * s + 0.6 * drift.at(s))
    put('socket', socket, 'temperature_limit', 100)
    put('socket', socket, 'throttled', hot && s === 0 ? clamp(1 - speed + 0.02 * drift.at(s), 0, 1) : 0)
    watts += power
  })
  put('node', '', 'power_watts', (watts + BOARD_WATTS) * 1.06)
  put('node', '', 'temperature_max', 44 + 3 * busy + 0.4 * drift.at(2))
  put('node', '', 'cpu_frequency', FULL_HERTZ * (1 - 0.11 * busy) * speed)
  put('node', '', 'cpu_frequency_max', FULL_HERTZ)
}

/** Memory bandwidth at caches and controllers, and what the cores' counters tell; half of it at each socket. */
function fillCounters(put: Put, { busy, cores }: Counted, { speed }: Load, drift: Drift): void {
  const bandwidth = busy * cores * 3.1e9 * speed * (1 + 0.02 * drift.at(3)) + 6e7
  put('node', '', 'memory_bandwidth_total', bandwidth)
  put('node', '', 'memory_bandwidth_local', bandwidth * 0.87)
  const cycles = FULL_HERTZ * (1 - 0.11 * busy) * speed * cores * busy + 1e7
  const ipc = 1.35 + 0.05 * drift.at(3)
  for (const socket of SOCKETS) {
    const set = (column: string, value: number): void => put('socket', socket, column, value / SOCKETS.length)
    set('memory_read_bytes', bandwidth * 0.72)
    set('memory_write_bytes', bandwidth * 0.31)
    set('cycles', cycles)
    set('instructions', cycles * ipc)
    set('llc_references', bandwidth / 20)
    set('llc_misses', bandwidth / 64)
    set('flops', cycles * 0.6)
    put('socket', socket, 'ipc', ipc)
  }
  put('node', '', 'cpu_ipc', ipc)
}

function fillMemory(put: Put, { memoryTotal, memoryUsed, memoryCached, busy }: Counted, drift: Drift): void {
  SOCKETS.forEach((numa, i) => {
    const part = 0.5 + (i === 0 ? 0.01 : -0.01) * (1 + 0.1 * drift.at(4))
    const [used, cached] = [memoryUsed * part, memoryCached * part]
    put('numa', numa, 'memory_total', memoryTotal / 2)
    put('numa', numa, 'memory_used', used)
    put('numa', numa, 'memory_cached', cached)
    put('numa', numa, 'memory_free', Math.max(0, memoryTotal / 2 - used - cached))
    put('numa', numa, 'misses', 0)
    put('numa', numa, 'other', 40 * busy * (1 + 0.2 * drift.at(5)) + 2)
    put('numa', numa, 'local', 9000 * busy * (1 + 0.1 * drift.at(6)) + 300)
  })
  put('node', '', 'hugepages_total', 0)
  put('node', '', 'hugepages_used', 0)
}

function fillFilesystems(put: Put, load: Load, processes: readonly SimulatedProcess[], drift: Drift): void {
  fillSpace(put, '/', 440 * 1e9, 61.4 * 1e9 + 2e6 * drift.at(7), 29_000_000, 1_240_000)
  fillSpace(put, '/home', 50e12, 41.7e12, 2e9, 310e6)
  fillSpace(put, '/work', 2.1e15, 1.47e15, 4e9, 702e6)
  const sum = (of: (p: SimulatedProcess) => number): number => processes.reduce((all, p) => all + of(p), 0)
  const read = Math.max(0, sum(p => p.readBytesPerSecond) - load.scratchReadBytesPerSecond)
  const write = Math.max(0, sum(p => p.writeBytesPerSecond) - load.scratchWriteBytesPerSecond)
  fillTraffic(put, '/work', read, write, 3 + 1.5 * load.forksPerSecond + read / 4e6 + write / 8e6)
  fillTraffic(put, '/home', 900, 400, 1.2 + 0.4 * load.forksPerSecond)
  put('filesystem', '/home', 'retransmissions', 0)
}

function fillSpace(put: Put, path: string, total: number, used: number, inodes: number, inodesUsed: number): void {
  const set = (column: string, value: number): void => put('filesystem', path, column, value)
  set('total_bytes', total)
  set('used_bytes', used)
  set('available_bytes', total - used)
  set('utilization', used / total)
  set('inodes_total', inodes)
  set('inodes_used', inodesUsed)
  set('stuck', 0)
}

function fillTraffic(put: Put, path: string, read: number, write: number, metadata: number): void {
  const set = (column: string, value: number): void => put('filesystem', path, column, value)
  set('read_bytes', read)
  set('write_bytes', write)
  set('server_read_bytes', read * 0.8)
  set('server_write_bytes', write)
  set('read_operations', read / 1e6)
  set('write_operations', write / 1e6)
  set('metadata_operations', metadata)
  set('queue', (read + write) / 1e9 + metadata * 4e-4)
}

function fillFabric(put: Put, load: Load): void {
  const [received, sent] = [900 + load.fabricInBytesPerSecond, 850 + load.fabricOutBytesPerSecond]
  const set = (column: string, value: number): void => put('interface', PORT, column, value)
  set('receive_bytes', received)
  set('transmit_bytes', sent)
  set('receive_packets', received / 2048)
  set('transmit_packets', sent / 2048)
  for (const column of ['receive_errors', 'transmit_errors', 'receive_dropped', 'link_failures', 'retransmissions']) {
    set(column, 0)
  }
  set('congestion_notices', 0)
  set('transmit_waits', sent / 3e5)
  set('link_up', 1)
  set('link_bytes', LINK_BYTES)
  put('node', '', 'fabric_receive_bytes', received)
  put('node', '', 'fabric_transmit_bytes', sent)
  put('node', '', 'fabric_errors', 0)
  put('node', '', 'fabric_ports_active', 1)
}

function fillTcp(put: Put, load: Load): void {
  const sent = 14 + load.ethernetOutBytesPerSecond / 1300
  put('node', '', 'tcp_sent', sent)
  put('node', '', 'tcp_retransmits', sent > 1000 ? sent * 2e-5 : 0)
  put('node', '', 'tcp_resets', 0)
  put('node', '', 'tcp_connections', 38)
  put('node', '', 'udp_errors', 0)
}
