/**
 * Names of Prometheus exporters in the catalogue's words: node_exporter (https://github.com/prometheus/node_exporter, whose
 * names are those of the kernel's files) and NVIDIA's dcgm-exporter (units: dcgm_fields.h).
 */
import { counter, gauge, type Meaning } from './meaning.ts'

type Labels = ReadonlyMap<string, string>
type Rule = (labels: Labels) => Meaning | undefined

const CPU_MODES = new Set(['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'])

const cpu: Rule = labels => {
  const mode = labels.get('mode') ?? ''
  const core = labels.get('cpu')
  // guest and guest_nice have a metric of their own and are contained in user and nice.
  if (core === undefined || !CPU_MODES.has(mode)) return undefined
  return counter('system.cpu.time', { 'cpu.logical_number': core, 'cpu.mode': mode })
}

const ofDevice =
  (name: string, attribute: string, attributes: Record<string, string>, more: Partial<Meaning> = {}): Rule =>
  labels => {
    const device = labels.get('device')
    return device === undefined ? undefined : gauge(name, { [attribute]: device, ...attributes }, more)
  }
const disk = (name: string, direction?: 'read' | 'write'): Rule =>
  ofDevice(name, 'system.device', direction === undefined ? {} : { 'disk.io.direction': direction }, { counter: true })
const network = (name: string, direction: 'receive' | 'transmit'): Rule =>
  ofDevice(name, 'network.interface.name', { 'network.io.direction': direction }, { counter: true })

/** tmpfs and the like are memory, not file systems that fill. */
const NO_FILESYSTEM =
  /^(?:tmpfs|devtmpfs|ramfs|overlay|squashfs|proc|sysfs|cgroup2?|debugfs|tracefs|rootfs|nsfs|mqueue|fuse\.lxcfs)$/

const filesystem =
  (name: string, attributes: Record<string, string>, part?: Meaning['part']): Rule =>
  labels => {
    const mountpoint = labels.get('mountpoint')
    if (mountpoint === undefined || NO_FILESYSTEM.test(labels.get('fstype') ?? '')) return undefined
    return gauge(
      name,
      { 'system.filesystem.mountpoint': mountpoint, ...attributes },
      part === undefined ? {} : { part },
    )
  }

const USED = { 'system.filesystem.state': 'used' }
const memory = (state: string): Record<string, string> => ({ 'system.memory.state': state })

const gpu =
  (name: string, scale: number, attributes: Record<string, string> = {}, more: Partial<Meaning> = {}): Rule =>
  labels => {
    const id = labels.get('UUID')
    // An instance of a divided card has the card's UUID: its figures are not the card's.
    if (id === undefined || (labels.get('GPU_I_ID') ?? '') !== '') return undefined
    return gauge(name, { 'hw.id': id, ...attributes }, { scale, ...more })
  }
const GPU = { 'hw.type': 'gpu' }

/** Several meanings where one number is a part of another metric too. */
const RULES: Readonly<Record<string, readonly (Meaning | Rule)[]>> = {
  node_cpu_seconds_total: [cpu],
  node_load1: [gauge('system.cpu.load_average.1m')],
  node_load5: [gauge('system.cpu.load_average.5m')],
  node_load15: [gauge('system.cpu.load_average.15m')],
  node_procs_running: [gauge('system.process.count', { 'process.state': 'running' })],
  node_procs_blocked: [gauge('system.process.count', { 'process.state': 'blocked' })],
  node_forks_total: [counter('system.process.created')],
  node_context_switches_total: [counter('system.cpu.context_switches')],
  node_intr_total: [counter('system.cpu.interrupts')],

  node_memory_MemTotal_bytes: [
    gauge('system.memory.limit'),
    gauge('system.memory.usage', memory('used'), { part: { of: 2, name: 'total' } }),
  ],
  node_memory_MemAvailable_bytes: [
    gauge('system.linux.memory.available'),
    gauge('system.memory.usage', memory('used'), { part: { of: 2, name: 'available', minus: true } }),
  ],
  node_memory_MemFree_bytes: [gauge('system.memory.usage', memory('free'))],
  node_memory_Buffers_bytes: [gauge('system.memory.usage', memory('buffers'))],
  node_memory_Cached_bytes: [gauge('system.memory.usage', memory('cached'), { part: { of: 2, name: 'cached' } })],
  node_memory_SReclaimable_bytes: [gauge('system.memory.usage', memory('cached'), { part: { of: 2, name: 'slab' } })],
  node_memory_Dirty_bytes: [gauge('system.linux.memory.dirty', {}, { part: { of: 2, name: 'dirty' } })],
  node_memory_Writeback_bytes: [gauge('system.linux.memory.dirty', {}, { part: { of: 2, name: 'writeback' } })],
  node_memory_SwapTotal_bytes: [
    gauge('system.paging.limit'),
    gauge('system.paging.usage', { 'system.paging.state': 'used' }, { part: { of: 2, name: 'total' } }),
  ],
  node_memory_SwapFree_bytes: [
    gauge('system.paging.usage', { 'system.paging.state': 'used' }, { part: { of: 2, name: 'free', minus: true } }),
  ],
  node_vmstat_pgmajfault: [counter('system.paging.faults', { 'system.paging.fault.type': 'major' })],
  node_vmstat_pswpin: [counter('system.paging.operations', { 'system.paging.direction': 'in' })],
  node_vmstat_pswpout: [counter('system.paging.operations', { 'system.paging.direction': 'out' })],
  node_vmstat_oom_kill: [counter('system.linux.memory.oom_kills')],

  node_pressure_cpu_waiting_seconds_total: [counter('system.linux.pressure.time', { resource: 'cpu', kind: 'some' })],
  node_pressure_memory_waiting_seconds_total: [
    counter('system.linux.pressure.time', { resource: 'memory', kind: 'some' }),
  ],
  node_pressure_memory_stalled_seconds_total: [
    counter('system.linux.pressure.time', { resource: 'memory', kind: 'full' }),
  ],
  node_pressure_io_waiting_seconds_total: [counter('system.linux.pressure.time', { resource: 'io', kind: 'some' })],
  node_pressure_io_stalled_seconds_total: [counter('system.linux.pressure.time', { resource: 'io', kind: 'full' })],

  node_disk_read_bytes_total: [disk('system.disk.io', 'read')],
  node_disk_written_bytes_total: [disk('system.disk.io', 'write')],
  node_disk_reads_completed_total: [disk('system.disk.operations', 'read')],
  node_disk_writes_completed_total: [disk('system.disk.operations', 'write')],
  node_disk_read_time_seconds_total: [disk('system.disk.operation_time', 'read')],
  node_disk_write_time_seconds_total: [disk('system.disk.operation_time', 'write')],
  node_disk_io_time_seconds_total: [disk('system.disk.io_time')],

  node_network_receive_bytes_total: [network('system.network.io', 'receive')],
  node_network_transmit_bytes_total: [network('system.network.io', 'transmit')],
  node_network_receive_packets_total: [network('system.network.packet.count', 'receive')],
  node_network_transmit_packets_total: [network('system.network.packet.count', 'transmit')],
  node_network_receive_errs_total: [network('system.network.errors', 'receive')],
  node_network_transmit_errs_total: [network('system.network.errors', 'transmit')],
  node_network_receive_drop_total: [network('system.network.packet.dropped', 'receive')],
  node_network_transmit_drop_total: [network('system.network.packet.dropped', 'transmit')],

  node_filesystem_size_bytes: [
    filesystem('system.filesystem.limit', {}),
    filesystem('system.filesystem.usage', USED, { of: 2, name: 'size' }),
  ],
  node_filesystem_free_bytes: [filesystem('system.filesystem.usage', USED, { of: 2, name: 'free', minus: true })],
  node_filesystem_avail_bytes: [filesystem('system.filesystem.usage', { 'system.filesystem.state': 'free' })],

  node_netstat_Tcp_OutSegs: [counter('jobsight.tcp.segments', { 'jobsight.tcp.what': 'sent' })],
  node_netstat_Tcp_RetransSegs: [counter('jobsight.tcp.segments', { 'jobsight.tcp.what': 'retransmitted' })],
  node_netstat_Tcp_CurrEstab: [gauge('jobsight.tcp.connections')],

  DCGM_FI_DEV_GPU_UTIL: [gpu('hw.gpu.utilization', 0.01)],
  DCGM_FI_PROF_SM_ACTIVE: [gpu('jobsight.gpu.sm_active', 1)],
  DCGM_FI_PROF_SM_OCCUPANCY: [gpu('jobsight.gpu.sm_occupancy', 1)],
  DCGM_FI_PROF_PIPE_TENSOR_ACTIVE: [gpu('jobsight.gpu.tensor_active', 1)],
  DCGM_FI_PROF_PIPE_FP64_ACTIVE: [gpu('jobsight.gpu.fp64_active', 1)],
  DCGM_FI_PROF_PIPE_FP32_ACTIVE: [gpu('jobsight.gpu.fp32_active', 1)],
  DCGM_FI_PROF_PIPE_FP16_ACTIVE: [gpu('jobsight.gpu.fp16_active', 1)],
  DCGM_FI_PROF_DRAM_ACTIVE: [gpu('jobsight.gpu.memory_bandwidth', 1)],
  DCGM_FI_DEV_MEM_COPY_UTIL: [gpu('jobsight.gpu.memory_busy', 0.01)],
  DCGM_FI_DEV_FB_USED: [gpu('hw.gpu.memory.usage', 1 << 20)],
  DCGM_FI_DEV_FB_TOTAL: [gpu('hw.gpu.memory.limit', 1 << 20)],
  DCGM_FI_DEV_POWER_USAGE: [gpu('hw.power', 1, GPU)],
  DCGM_FI_DEV_GPU_TEMP: [gpu('hw.temperature', 1, GPU)],
  DCGM_FI_DEV_MEMORY_TEMP: [gpu('jobsight.gpu.memory.temperature', 1)],
  DCGM_FI_DEV_SM_CLOCK: [gpu('jobsight.gpu.clock', 1e6)],
  DCGM_FI_DEV_MEM_CLOCK: [gpu('jobsight.gpu.memory.clock', 1e6)],
}

/** Empty for a name or labels that are not known here. */
export const exporterMeanings = (name: string, labels: Labels): readonly Meaning[] =>
  (Object.hasOwn(RULES, name) ? (RULES[name] ?? []) : []).flatMap(rule =>
    typeof rule === 'function' ? (rule(labels) ?? []) : [rule],
  )
