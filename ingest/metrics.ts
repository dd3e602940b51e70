/**
 * The metric catalogue: name, unit, meaning, how it arrives, how it aggregates over time and over instances.
 *
 * Append only: a column never changes its meaning. openStore() adds the columns that a store does not have yet, so
 * adding a metric is adding an entry here. Values are gauges for their interval: a utilisation 0..1, bytes a second, watts.
 * They are stored as integers (value x scale), which measured smallest (Delta, T64, ZSTD on scaled integers).
 *
 * Kernel files: https://docs.kernel.org/filesystems/proc.html, https://docs.kernel.org/accounting/psi.html.
 * OTLP names are OpenTelemetry's semantic conventions where they exist, system.linux.* / jobsight.* where they do not.
 */
import { BANDWIDTH_METRICS } from './catalogue/bandwidth.ts'
import { COUNTER_METRICS } from './catalogue/counters.ts'
import { FABRIC_METRICS } from './catalogue/fabric.ts'
import { FILESYSTEM_METRICS } from './catalogue/filesystem.ts'
import { GPU_METRICS } from './catalogue/gpu.ts'
import { JOB_METRICS } from './catalogue/job.ts'
import { KERNEL_METRICS } from './catalogue/kernel.ts'
import { POWER_METRICS } from './catalogue/power.ts'
import { type Entity, gauge, type Metric, rate, summed, whole } from './metric.ts'

export { type Arrival, ENTITIES, type Entity, type Metric } from './metric.ts'

const cpuMode =
  (entity: 'node' | 'core') =>
  (mode: string, meaning: string): Metric => ({
    entity,
    column: `cpu_${mode}`,
    unit: 'ratio',
    scale: 10_000,
    kind: 'rate',
    arrives:
      entity === 'node'
        ? [{ name: 'system.cpu.utilization', attributes: { 'cpu.mode': mode }, without: 'cpu.logical_number' }]
        : [
            { name: 'system.cpu.utilization', attributes: { 'cpu.mode': mode } },
            { name: 'system.cpu.time', attributes: { 'cpu.mode': mode } },
            {
              name: 'system.cpu.time',
              attributes: { state: mode === 'iowait' ? 'wait' : mode === 'irq' ? 'interrupt' : mode },
            },
          ],
    overTime: 'avg',
    ...(entity === 'core' ? { onNode: { column: `cpu_${mode}`, how: 'avg' as const } } : {}),
    full: 1,
    meaning: `${meaning}, share of ${entity === 'node' ? 'all cores' : 'the core'}`,
    source: '/proc/stat',
  })

/** /proc/stat modes. guest is contained in user, guest_nice in nice, as the kernel counts them; not sent apart. */
export const CPU_MODES = [
  ['user', 'time in user code'],
  ['nice', 'time in user code at low priority'],
  ['system', 'time in the kernel'],
  ['idle', 'idle time'],
  ['iowait', 'idle while a task of this core waited for I/O'],
  ['irq', 'hardware interrupts'],
  ['softirq', 'software interrupts'],
  ['steal', 'taken by the hypervisor'],
] as const

const memory = (state: string, meaning: string, more: Partial<Metric> = {}): Metric =>
  gauge(
    'node',
    'system.memory.usage',
    { 'system.memory.state': state },
    {
      column: `memory_${state}`,
      unit: 'bytes',
      full: 'memory_total',
      meaning,
      source: '/proc/meminfo',
      ...more,
    },
  )

const pressure = (resource: string, kind: 'some' | 'full'): Metric =>
  rate(
    'node',
    'system.linux.pressure.time',
    { resource, kind },
    {
      column: `pressure_${resource}_${kind}`,
      unit: 'ratio',
      full: 1,
      meaning: `share of time ${kind === 'some' ? 'at least one task' : 'every task'} waited for ${resource}`,
      source: `/proc/pressure/${resource}`,
    },
  )

const diskIo = (direction: 'read' | 'write'): Metric[] => [
  rate(
    'disk',
    'system.disk.io',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      onNode: { column: `disk_${direction}_bytes`, how: 'sum' },
      meaning: `bytes ${direction} a second`,
      source: '/proc/diskstats',
    },
  ),
  rate(
    'disk',
    'system.disk.operations',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_operations`,
      unit: '1/s',
      scale: 10,
      onNode: { column: `disk_${direction}_operations`, how: 'sum' },
      meaning: `${direction}s completed a second`,
      source: '/proc/diskstats',
    },
  ),
  rate(
    'disk',
    'system.disk.operation_time',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_queue`,
      unit: '1',
      scale: 1000,
      meaning: `mean number of ${direction}s in flight (time spent in ${direction}s a second)`,
      source: '/proc/diskstats',
    },
  ),
]

const networkIo = (direction: 'receive' | 'transmit'): Metric[] => [
  rate(
    'interface',
    'system.network.io',
    { 'network.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      full: 'link_bytes',
      onNode: { column: `network_${direction}_bytes`, how: 'sum' },
      meaning: `bytes ${direction === 'receive' ? 'in' : 'out'} a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.packet.count',
    { 'network.io.direction': direction },
    {
      column: `${direction}_packets`,
      unit: '1/s',
      meaning: `packets ${direction === 'receive' ? 'in' : 'out'} a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.errors',
    { 'network.io.direction': direction },
    {
      column: `${direction}_errors`,
      unit: '1/s',
      scale: 1000,
      onNode: { column: `network_${direction}_errors`, how: 'sum' },
      meaning: `${direction} errors a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.packet.dropped',
    { 'network.io.direction': direction },
    {
      column: `${direction}_dropped`,
      unit: '1/s',
      scale: 1000,
      onNode: { column: `network_${direction}_dropped`, how: 'sum' },
      meaning: `packets dropped on ${direction} a second`,
      source: '/proc/net/dev',
    },
  ),
]

export const METRICS: readonly Metric[] = [
  ...CPU_MODES.map(([mode, meaning]) => cpuMode('node')(mode, meaning)),
  {
    entity: 'node',
    column: 'cpu_busy',
    unit: 'ratio',
    scale: 10_000,
    kind: 'gauge',
    overTime: 'avg',
    full: 1,
    arrives: [{ name: 'jobsight.cpu.busy', without: 'cpu.logical_number' }],
    meaning: 'not idle and not iowait, share of all cores; made from the modes where the sender gave only those',
    source: '/proc/stat',
  },
  gauge('node', 'system.cpu.logical.count', undefined, {
    column: 'cpu_count',
    unit: '1',
    overTime: 'last',
    meaning: 'logical CPUs online',
    source: '/proc/stat',
  }),
  gauge('node', 'system.cpu.load_average.1m', undefined, {
    column: 'load_1m',
    unit: '1',
    scale: 100,
    full: 'cpu_count',
    meaning: 'load average over 1 min',
    source: '/proc/loadavg',
  }),
  gauge('node', 'system.cpu.load_average.5m', undefined, {
    column: 'load_5m',
    unit: '1',
    scale: 100,
    full: 'cpu_count',
    meaning: 'load average over 5 min',
    source: '/proc/loadavg',
  }),
  gauge('node', 'system.cpu.load_average.15m', undefined, {
    column: 'load_15m',
    unit: '1',
    scale: 100,
    full: 'cpu_count',
    meaning: 'load average over 15 min',
    source: '/proc/loadavg',
  }),
  gauge(
    'node',
    'system.process.count',
    { 'process.state': 'running' },
    {
      column: 'processes_running',
      unit: '1',
      full: 'cpu_count',
      meaning: 'tasks running or runnable',
      source: '/proc/stat procs_running',
    },
  ),
  gauge(
    'node',
    'system.process.count',
    { 'process.state': 'blocked' },
    { column: 'processes_blocked', unit: '1', meaning: 'tasks blocked on I/O', source: '/proc/stat procs_blocked' },
  ),
  rate('node', 'system.process.created', undefined, {
    column: 'forks',
    unit: '1/s',
    scale: 10,
    meaning: 'forks and clones a second',
    source: '/proc/stat processes',
  }),
  rate('node', 'system.cpu.context_switches', undefined, {
    column: 'context_switches',
    unit: '1/s',
    meaning: 'context switches a second',
    source: '/proc/stat ctxt',
  }),
  rate('node', 'system.cpu.interrupts', undefined, {
    column: 'interrupts',
    unit: '1/s',
    meaning: 'interrupts a second',
    source: '/proc/stat intr',
  }),

  gauge('node', 'system.memory.limit', undefined, {
    column: 'memory_total',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'memory of the node',
    source: '/proc/meminfo MemTotal',
  }),
  memory('used', 'MemTotal - MemAvailable: what programs cannot get back', { overTime: 'avg' }),
  memory('free', 'unused'),
  memory('cached', 'page cache and reclaimable slab'),
  memory('buffers', 'block device buffers'),
  gauge('node', 'system.linux.memory.available', undefined, {
    column: 'memory_available',
    unit: 'bytes',
    full: 'memory_total',
    meaning: 'can be had without swapping',
    source: '/proc/meminfo MemAvailable',
  }),
  gauge('node', 'system.linux.memory.dirty', undefined, {
    column: 'memory_dirty',
    unit: 'bytes',
    full: 'memory_total',
    meaning: 'waits to be written',
    source: '/proc/meminfo Dirty + Writeback',
  }),
  gauge(
    'node',
    'system.paging.usage',
    { 'system.paging.state': 'used' },
    {
      column: 'swap_used',
      unit: 'bytes',
      full: 'swap_total',
      meaning: 'swap in use',
      source: '/proc/meminfo SwapTotal - SwapFree',
    },
  ),
  gauge('node', 'system.paging.limit', undefined, {
    column: 'swap_total',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'swap space',
    source: '/proc/meminfo SwapTotal',
  }),
  rate(
    'node',
    'system.paging.faults',
    { 'system.paging.fault.type': 'major' },
    {
      column: 'page_faults_major',
      unit: '1/s',
      scale: 10,
      meaning: 'page faults that read from disk, a second',
      source: '/proc/vmstat pgmajfault',
    },
  ),
  rate(
    'node',
    'system.paging.operations',
    { 'system.paging.direction': 'in' },
    { column: 'swap_in', unit: '1/s', scale: 10, meaning: 'pages swapped in a second', source: '/proc/vmstat pswpin' },
  ),
  rate(
    'node',
    'system.paging.operations',
    { 'system.paging.direction': 'out' },
    {
      column: 'swap_out',
      unit: '1/s',
      scale: 10,
      meaning: 'pages swapped out a second',
      source: '/proc/vmstat pswpout',
    },
  ),
  rate('node', 'system.linux.memory.oom_kills', undefined, {
    column: 'oom_kills',
    unit: '1/s',
    scale: 10_000,
    meaning: 'processes killed for memory, a second',
    source: '/proc/vmstat oom_kill',
  }),

  ...(['cpu', 'memory', 'io'] as const).flatMap(r =>
    r === 'cpu' ? [pressure(r, 'some')] : [pressure(r, 'some'), pressure(r, 'full')],
  ),

  summed('disk_read_bytes', 'bytes/s', 1, 'bytes read a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.io', 'disk.io.direction', 'read'),
  }),
  summed('disk_write_bytes', 'bytes/s', 1, 'bytes written a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.io', 'disk.io.direction', 'write'),
  }),
  summed('disk_read_operations', '1/s', 10, 'reads a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.operations', 'disk.io.direction', 'read'),
  }),
  summed('disk_write_operations', '1/s', 10, 'writes a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.operations', 'disk.io.direction', 'write'),
  }),
  summed('disk_utilization', 'ratio', 10_000, 'busiest disk: share of time with I/O in flight', '/proc/diskstats', {
    full: 1,
    arrives: [{ name: 'jobsight.disk.utilization' }],
  }),
  summed('network_receive_bytes', 'bytes/s', 1, 'bytes in a second, all interfaces but lo', '/proc/net/dev', {
    arrives: whole('jobsight.network.io', 'network.io.direction', 'receive'),
  }),
  summed('network_transmit_bytes', 'bytes/s', 1, 'bytes out a second, all interfaces but lo', '/proc/net/dev', {
    arrives: whole('jobsight.network.io', 'network.io.direction', 'transmit'),
  }),
  summed('network_receive_errors', '1/s', 1000, 'receive errors a second, all interfaces', '/proc/net/dev', {
    arrives: whole('jobsight.network.errors', 'network.io.direction', 'receive'),
  }),
  summed('network_transmit_errors', '1/s', 1000, 'transmit errors a second, all interfaces', '/proc/net/dev', {
    arrives: whole('jobsight.network.errors', 'network.io.direction', 'transmit'),
  }),
  summed(
    'network_receive_dropped',
    '1/s',
    1000,
    'packets dropped on receive a second, all interfaces',
    '/proc/net/dev',
    { arrives: whole('jobsight.network.dropped', 'network.io.direction', 'receive') },
  ),
  summed(
    'network_transmit_dropped',
    '1/s',
    1000,
    'packets dropped on transmit a second, all interfaces',
    '/proc/net/dev',
    { arrives: whole('jobsight.network.dropped', 'network.io.direction', 'transmit') },
  ),

  gauge('node', 'jobsight.cpu.unseen', undefined, {
    column: 'cpu_unseen',
    unit: '1',
    scale: 1000,
    full: 'cpu_count',
    meaning: 'cores used by processes that lived and died between two sweeps of the process table',
    source: '/proc/stat less the sum over /proc/PID/stat',
  }),
  gauge('node', 'jobsight.collector.cpu', undefined, {
    column: 'collector_cpu',
    unit: '1',
    scale: 10_000,
    full: 'cpu_count',
    meaning: 'cores used by the process the collector runs in (with `jobsight start`: store and page too)',
    source: 'getrusage of the collector',
  }),
  gauge('node', 'jobsight.collector.memory', undefined, {
    column: 'collector_memory',
    unit: 'bytes',
    full: 'memory_total',
    meaning: 'resident memory of the process the collector runs in (with `jobsight start`: store and page too)',
    source: '/proc/self/statm',
  }),

  rate('node', 'jobsight.stacks.samples', undefined, {
    column: 'stacks_samples',
    unit: '1/s',
    scale: 10,
    meaning: 'stack samples taken a second',
    source: 'stack sampler',
  }),
  rate('node', 'jobsight.stacks.lost', undefined, {
    column: 'stacks_lost',
    unit: '1/s',
    scale: 10,
    meaning: 'stack samples lost a second, before anyone could read them',
    source: 'stack sampler',
  }),
  rate('node', 'jobsight.stacks.throttled', undefined, {
    column: 'stacks_throttled',
    unit: '1/s',
    scale: 10,
    meaning: 'times a second that the kernel throttled sampling, because its interrupts took too long',
    source: 'stack sampler',
  }),
  gauge('node', 'jobsight.stacks.cpu', undefined, {
    column: 'stacks_cpu',
    unit: '1',
    scale: 1_000_000,
    full: 'cpu_count',
    meaning: "cores used by the stack sampler's own threads",
    source: 'CLOCK_THREAD_CPUTIME_ID of the sampler addon',
  }),

  ...CPU_MODES.map(([mode, meaning]) => cpuMode('core')(mode, meaning)),

  ...diskIo('read'),
  ...diskIo('write'),
  rate('disk', 'system.disk.io_time', undefined, {
    column: 'utilization',
    unit: 'ratio',
    full: 1,
    onNode: { column: 'disk_utilization', how: 'max' },
    meaning: 'share of time with I/O in flight (an SSD at 1 can still take more)',
    source: '/proc/diskstats',
  }),

  ...networkIo('receive'),
  ...networkIo('transmit'),

  ...FABRIC_METRICS,
  ...FILESYSTEM_METRICS,
  ...POWER_METRICS,
  ...GPU_METRICS,
  ...JOB_METRICS,
  ...KERNEL_METRICS,
  ...BANDWIDTH_METRICS,
  ...COUNTER_METRICS,
]

const columnsOf = (entity: Entity): readonly Metric[] => METRICS.filter(m => m.entity === entity)

/** Catalogue by entity, in column order: position i is values[i] of a Point. */
export const COLUMNS: Readonly<Record<Entity, readonly Metric[]>> = {
  node: columnsOf('node'),
  core: columnsOf('core'),
  disk: columnsOf('disk'),
  interface: columnsOf('interface'),
  filesystem: columnsOf('filesystem'),
  socket: columnsOf('socket'),
  gpu: columnsOf('gpu'),
  job: columnsOf('job'),
  numa: columnsOf('numa'),
  cache: columnsOf('cache'),
}

/** A metric by entity and column; undefined for a name that is not in the catalogue. */
export function findMetric(entity: Entity, column: string): Metric | undefined {
  return COLUMNS[entity].find(m => m.column === column)
}
