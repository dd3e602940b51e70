/**
 * The column values of one node at one tick, in one flat array:
 *
 *   [ node columns | nvme0n1 columns | nvme1n1 columns | eth0 columns | ib0 columns | core 0 columns | core 1 … | devices ]
 *
 * NaN where a column is not there. The order is a Layout; the encoder turns each finite value into a data point.
 */
import { COLUMNS, type Entity, type Metric } from '../../ingest/metrics.ts'
import { DEVICE_ROWS, fillDevices } from './devices.ts'
import { fillGpus, gpuAddress } from './gpus.ts'
import type { Hardware } from './host.ts'
import { clamp, GIB, type Load, MIB, type SimulatedProcess } from './model.ts'
import { MODES, type Mode, Modes } from './modes.ts'
import type { Drift, Random } from './random.ts'

export interface Row {
  entity: Entity
  instance: string
  /** Of its first column in the flat array. */
  offset: number
}

export interface Layout {
  rows: readonly Row[]
  length: number
}

const DISKS = ['nvme0n1', 'nvme1n1']
const INTERFACES = ['eth0', 'ib0']

export function layoutOf(hardware: Hardware): Layout {
  const cores = hardware.perCore ? Array.from({ length: hardware.cores }, (_, i) => String(i)) : []
  const rows: Row[] = []
  let length = 0
  const add = (entity: Entity, instance: string): void => {
    rows.push({ entity, instance, offset: length })
    length += COLUMNS[entity].length
  }
  add('node', '')
  for (const d of DISKS) add('disk', d)
  for (const i of INTERFACES) add('interface', i)
  for (const c of cores) add('core', c)
  if (hardware.devices) for (const [entity, instance] of DEVICE_ROWS) add(entity, instance)
  for (let i = 0; i < hardware.gpus; i++) add('gpu', gpuAddress(i))
  return { rows, length }
}

/** The metric of a position of the flat array. */
export function metricAt(row: Row, column: number): Metric | undefined {
  return COLUMNS[row.entity][column]
}

/** entity -> column -> its place in a row. */
const INDEX: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map(
  Object.entries(COLUMNS).map(([entity, metrics]) => [entity, new Map(metrics.map((m, i) => [m.column, i]))]),
)

/** Interrupts of all kinds take what the jobs leave, so that the modes never pass the cores there are. */
const INTERRUPT_CORES = 0.24

export class NodeValues {
  readonly flat: Float64Array
  readonly layout: Layout
  readonly modes: Modes
  private readonly rows: ReadonlyMap<string, Row>
  private readonly nodeRow: Row
  private readonly coreRows: readonly Row[]
  private readonly hardware: Hardware
  private readonly random: Random
  private readonly loads = [0, 0, 0]
  private cached: number
  private buffers: number
  private swapUsed = 0

  constructor(hardware: Hardware, layout: Layout, random: Random) {
    this.hardware = hardware
    this.layout = layout
    this.random = random
    this.flat = new Float64Array(layout.length).fill(Number.NaN)
    this.modes = new Modes(hardware.cores)
    this.rows = new Map(layout.rows.map(row => [`${row.entity} ${row.instance}`, row]))
    this.nodeRow = this.row('node', '')
    this.coreRows = layout.rows.filter(r => r.entity === 'core')
    this.cached = (4 + 30 * random.uniform()) * GIB
    this.buffers = (60 + 300 * random.uniform()) * MIB
  }

  fill(load: Load, processes: readonly SimulatedProcess[], drift: Drift, stepMs: number): void {
    this.fillCpu(load, drift, stepMs)
    this.fillMemory(load, processes, drift, stepMs)
    if (this.hardware.pressure) this.fillPressure(load, drift)
    this.fillDisks(load, drift)
    this.fillInterfaces(load, drift)
    this.fillCores(drift)
    if (this.hardware.devices) this.fillDevices(load, processes, drift)
  }

  private fillDevices(load: Load, processes: readonly SimulatedProcess[], drift: Drift): void {
    const of = (column: string): number => this.get('node', '', column)
    const counted = {
      busy: of('cpu_busy'),
      cores: this.hardware.cores,
      memoryTotal: of('memory_total'),
      memoryUsed: of('memory_used'),
      memoryCached: of('memory_cached') + of('memory_buffers'),
    }
    const put = (entity: Entity, instance: string, column: string, value: number): void =>
      this.set(this.row(entity, instance), column, value)
    fillDevices(put, counted, load, processes, drift)
    if (this.hardware.gpus === 0) return
    const watts = fillGpus(put, this.hardware.gpus, counted.busy, drift)
    put('node', '', 'power_watts', of('power_watts') + watts)
  }

  private row(entity: Entity, instance: string): Row {
    const row = this.rows.get(`${entity} ${instance}`)
    if (!row) throw new Error(`the layout has no ${entity} ${instance}`)
    return row
  }

  private set(row: Row, column: string, value: number): void {
    const at = INDEX.get(row.entity)?.get(column)
    if (at === undefined) throw new Error(`the catalogue has no column ${row.entity}.${column}`)
    this.flat[row.offset + at] = value
  }

  private get(entity: Entity, instance: string, column: string): number {
    return this.flat[this.row(entity, instance).offset + (INDEX.get(entity)?.get(column) ?? 0)] ?? 0
  }

  private sum(entity: Entity, instances: readonly string[], column: string): number {
    return instances.reduce((sum, instance) => sum + this.get(entity, instance, column), 0)
  }

  private node(column: string, value: number): void {
    this.set(this.nodeRow, column, value)
  }

  private fillCpu(load: Load, drift: Drift, stepMs: number): void {
    const { modes, hardware } = this
    const cores = hardware.cores
    modes.add('system', 0.04 + 0.01 * Math.abs(drift.at(10)))
    const fabric = load.fabricInBytesPerSecond + load.fabricOutBytesPerSecond
    modes.add('irq', INTERRUPT_CORES * clamp(0.05 + fabric / 3e10, 0, 0.3))
    modes.add('softirq', INTERRUPT_CORES * clamp(0.08 + fabric / 1e10 + 0.01 * Math.abs(drift.at(11)), 0, 0.7))
    modes.add('nice', load.nice)
    const busy = MODES.reduce((sum, m) => sum + (m === 'idle' || m === 'iowait' ? 0 : modes.get(m)), 0)
    const over = Math.max(0, busy - cores)
    modes.add('user', -over)
    const idle = Math.max(0, cores - busy + over - modes.get('iowait'))
    modes.add('iowait', cores - (busy - over) - idle - modes.get('iowait'))
    modes.add('idle', idle)
    for (const mode of MODES) this.node(`cpu_${mode}`, modes.get(mode) / cores)
    this.node('cpu_busy', (busy - over) / cores)
    this.node('cpu_count', cores)
    const running = load.runnable + load.blocked
    this.loads.forEach((value, i) => {
      const minutes = i === 0 ? 1 : i === 1 ? 5 : 15
      this.loads[i] = value + (running - value) * (1 - Math.exp(-stepMs / 60_000 / minutes))
      this.node(`load_${minutes}m`, this.loads[i] ?? 0)
    })
    this.node('processes_running', 1 + Math.round(load.runnable * (1 + 0.01 * drift.at(12))))
    this.node('processes_blocked', Math.round(load.blocked))
    this.node('forks', 0.6 + 0.3 * Math.abs(drift.at(13)) + load.forksPerSecond)
    this.node('context_switches', Math.round((1100 + load.contextSwitchesPerSecond) * (1 + 0.03 * drift.at(14))))
    this.node('interrupts', Math.round((1900 + 260 * (busy - over)) * (1 + 0.02 * drift.at(15))))
    this.node('collector_cpu', 0.006 + 0.0006 * drift.at(9))
    this.node('collector_memory', 74 * MIB)
    this.node('cpu_unseen', 0.002 * load.forksPerSecond)
    this.node('stacks_samples', 19 * (busy - over))
    this.node('stacks_lost', load.pressureCpu > 0.5 ? 0.4 : 0)
    this.node('stacks_throttled', 0)
    this.node('stacks_cpu', 0.0005 * (busy - over))
  }

  private fillMemory(load: Load, processes: readonly SimulatedProcess[], drift: Drift, stepMs: number): void {
    const total = this.hardware.memoryBytes
    const page = (bytes: number): number => Math.floor(bytes / 4096) * 4096
    const resident = processes.reduce((sum, p) => sum + p.memoryBytes, 0)
    const used = page(Math.min(2.4 * GIB + 20 * MIB * drift.at(16) + resident, total * 0.995))
    const seconds = stepMs / 1000
    const room = Math.max(0, total - used - this.buffers - 600 * MIB)
    this.cached = clamp(this.cached + (load.cachedBytesPerSecond + 3e4) * seconds, 0, room)
    this.buffers = clamp(this.buffers + 4096 * Math.round(8 * this.random.gauss()), MIB, 0.01 * total)
    const cached = page(this.cached)
    const buffers = page(Math.min(this.buffers, total - used - cached))
    const swapping = load.pressureMemoryFull * 4.2e7
    const out = this.swapUsed < 7.9 * GIB ? swapping : 0
    this.swapUsed = Math.min(8 * GIB, this.swapUsed + (out - (swapping > 0 ? 0 : 2e5)) * seconds)
    this.swapUsed = Math.max(0, this.swapUsed)
    this.node('memory_total', total)
    this.node('memory_used', used)
    this.node('memory_cached', cached)
    this.node('memory_buffers', buffers)
    this.node('memory_free', total - used - cached - buffers)
    this.node('memory_available', total - used)
    this.node('memory_dirty', page(load.dirtyBytes + 2e5 * Math.abs(drift.at(17))))
    this.node('swap_total', 8 * GIB)
    this.node('swap_used', page(this.swapUsed))
    this.node('page_faults_major', load.majorFaultsPerSecond * (1 + 0.1 * drift.at(18)))
    this.node('page_faults_minor', 240 + 900 * load.forksPerSecond)
    this.node('swap_in', (swapping * 0.3) / 4096)
    this.node('swap_out', out / 4096)
    this.node('oom_kills', load.oomKills / seconds)
  }

  private fillPressure(load: Load, drift: Drift): void {
    const small = (scale: number, channel: number): number => scale * Math.abs(drift.at(channel))
    const ioSome = clamp(load.pressureIo + small(0.0008, 19), 0, 1)
    const memorySome = clamp(load.pressureMemory + small(0.0001, 20), 0, 1)
    this.node('pressure_cpu_some', clamp(load.pressureCpu + small(0.006, 21), 0, 1))
    this.node('pressure_memory_some', memorySome)
    this.node('pressure_memory_full', Math.min(memorySome, load.pressureMemoryFull))
    this.node('pressure_io_some', ioSome)
    this.node('pressure_io_full', Math.min(ioSome, load.pressureIoFull))
  }

  private fillDisks(load: Load, drift: Drift): void {
    const logs = 4096 * Math.floor(this.random.uniform() * 30)
    const read = this.random.uniform() < 0.05 ? 4096 * Math.floor(this.random.uniform() * 90) : 0
    this.fillDisk('nvme0n1', read, logs, 480e6, 16_384)
    const noise = Math.max(0, 1 + 0.01 * drift.at(22))
    const { scratchReadBytesPerSecond, scratchWriteBytesPerSecond } = load
    this.fillDisk('nvme1n1', scratchReadBytesPerSecond * noise, scratchWriteBytesPerSecond * noise, 3.62e9, 131_072)
    for (const column of ['read_bytes', 'write_bytes', 'read_operations', 'write_operations']) {
      this.node(`disk_${column}`, this.sum('disk', DISKS, column))
    }
    this.node('disk_utilization', Math.max(...DISKS.map(d => this.get('disk', d, 'utilization'))))
  }

  private fillDisk(disk: string, read: number, write: number, fullBytesPerSecond: number, request: number): void {
    const row = this.row('disk', disk)
    const set = (column: string, value: number): void => this.set(row, column, value)
    const utilization = clamp((read + write) / fullBytesPerSecond, 0, 1)
    const secondsEach = 8e-5 * (1 + 9 * utilization ** 4)
    set('read_bytes', Math.round(read))
    set('write_bytes', Math.round(write))
    set('read_operations', read / request)
    set('write_operations', write / request)
    set('read_queue', (read / request) * secondsEach)
    set('write_queue', (write / request) * secondsEach * 1.4)
    set('utilization', utilization)
  }

  private fillInterfaces(load: Load, drift: Drift): void {
    const chatter = 2.4e4 * (1 + 0.4 * Math.abs(drift.at(23))) * (this.random.uniform() < 0.05 ? 9 : 1)
    this.fillInterface(
      'eth0',
      chatter + load.ethernetInBytesPerSecond,
      chatter * 0.7 + load.ethernetOutBytesPerSecond,
      700,
    )
    this.fillInterface('ib0', 900 + load.fabricInBytesPerSecond, 850 + load.fabricOutBytesPerSecond, 2048)
    for (const what of ['bytes', 'errors', 'dropped']) {
      for (const way of ['receive', 'transmit']) {
        this.node(`network_${way}_${what}`, this.sum('interface', INTERFACES, `${way}_${what}`))
      }
    }
  }

  private fillInterface(name: string, received: number, sent: number, packet: number): void {
    const row = this.row('interface', name)
    const set = (column: string, value: number): void => this.set(row, column, value)
    set('receive_bytes', Math.round(received))
    set('transmit_bytes', Math.round(sent))
    set('receive_packets', Math.ceil(received / packet))
    set('transmit_packets', Math.ceil(sent / packet))
    set('receive_errors', 0)
    set('transmit_errors', 0)
    set('receive_dropped', name === 'eth0' && this.random.uniform() < 0.02 ? 0.1 : 0)
    set('transmit_dropped', 0)
  }

  /** Each core wanders a little around its share; what it gains in user time it loses in idle time. */
  private fillCores(drift: Drift): void {
    if (!this.hardware.perCore) return
    const { modes, hardware } = this
    const rest = (mode: Mode): number => modes.get(mode) / hardware.cores
    const places = modes.perCore
    const sum = (of: Float64Array): number => of.reduce((a, b) => a + b, 0)
    const scale = (mode: 'user' | 'system' | 'iowait'): number => (modes.get(mode) - sum(places[mode])) / hardware.cores
    const extra = { user: scale('user'), system: scale('system'), iowait: scale('iowait') }
    this.coreRows.forEach((core, c) => {
      const fixed = rest('irq') + rest('softirq') + rest('nice') + rest('steal')
      const system = Math.max(0, (places.system[c] ?? 0) + extra.system)
      const iowait = Math.max(0, (places.iowait[c] ?? 0) + extra.iowait)
      const room = Math.max(0, 1 - fixed - system - iowait)
      const user = clamp((places.user[c] ?? 0) + extra.user, 0, room)
      const swing = 0.3 * Math.min(user, room - user) * clamp(this.random.gauss() + 0.2 * drift.at(c % 8), -1, 1)
      this.set(core, 'cpu_user', user + swing)
      this.set(core, 'cpu_system', system)
      this.set(core, 'cpu_iowait', iowait)
      for (const mode of ['nice', 'irq', 'softirq', 'steal'] as const) this.set(core, `cpu_${mode}`, rest(mode))
      this.set(core, 'cpu_idle', room - user - swing)
    })
  }
}
