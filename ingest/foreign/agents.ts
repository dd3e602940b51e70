/**
 * Names of agents that speak InfluxDB's line protocol in the catalogue's words: telegraf (its input plugins' READMEs:
 * https://github.com/influxdata/telegraf/tree/master/plugins/inputs) and ClusterCockpit's cc-metric-collector
 * (https://github.com/ClusterCockpit/cc-metric-collector/tree/main/collectors).
 */
import { counter, gauge, type Meaning } from './meaning.ts'

type Tags = ReadonlyMap<string, string>
type Rule = (tags: Tags) => readonly Meaning[]

const PERCENT = { scale: 0.01 }
const MS = { scale: 0.001 }
const MIB = { scale: 1 << 20 }
const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'] as const
const fixed =
  (...meanings: readonly Meaning[]): Rule =>
  () =>
    meanings
const none: readonly Meaning[] = []

/** `make` gets the value of a tag; without the tag the field is of something else. */
const of =
  (tag: string, make: (value: string, tags: Tags) => Meaning | undefined): Rule =>
  tags => {
    const value = tags.get(tag)
    const meaning = value === undefined ? undefined : make(value, tags)
    return meaning === undefined ? none : [meaning]
  }

/** telegraf's cpu: percent of the core, or of all under cpu-total. */
const telegrafCpu = (mode: string): Rule =>
  of('cpu', cpu => {
    const core = /^cpu(\d+)$/.exec(cpu)?.[1]
    if (core === undefined && cpu !== 'cpu-total') return undefined
    return gauge(
      'system.cpu.utilization',
      { 'cpu.mode': mode, ...(core === undefined ? {} : { 'cpu.logical_number': core }) },
      PERCENT,
    )
  })
const disk = (name: string, direction?: 'read' | 'write', more: Partial<Meaning> = {}): Rule =>
  of('name', device =>
    counter(name, { 'system.device': device, ...(direction && { 'disk.io.direction': direction }) }, more),
  )
const network = (name: string, direction: 'receive' | 'transmit'): Rule =>
  of('interface', device =>
    // `all` holds the protocols' counters.
    device === 'all'
      ? undefined
      : counter(name, { 'network.interface.name': device, 'network.io.direction': direction }),
  )
const filesystem = (name: string, attributes: Record<string, string> = {}, more: Partial<Meaning> = {}): Rule =>
  of('path', path => gauge(name, { 'system.filesystem.mountpoint': path, ...attributes }, more))
const gpu = (name: string, more: Partial<Meaning> = {}, attributes: Record<string, string> = {}): Rule =>
  of('uuid', uuid => gauge(name, { 'hw.id': uuid, ...attributes }, more))
const GPU = { 'hw.type': 'gpu' }
const pressure: Rule = tags => {
  const [resource, kind] = [tags.get('resource'), tags.get('type')]
  if (resource === undefined || kind === undefined) return none
  return [counter('system.linux.pressure.time', { resource, kind }, { scale: 1e-6 })]
}

/** By measurement and field. */
const TELEGRAF: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  cpu: Object.fromEntries(MODES.map(mode => [`usage_${mode}`, telegrafCpu(mode)])),
  mem: {
    total: fixed(
      gauge('system.memory.limit'),
      gauge('system.memory.usage', { 'system.memory.state': 'used' }, { part: { of: 2, name: 'total' } }),
    ),
    available: fixed(
      gauge('system.linux.memory.available'),
      gauge(
        'system.memory.usage',
        { 'system.memory.state': 'used' },
        { part: { of: 2, name: 'available', minus: true } },
      ),
    ),
    free: fixed(gauge('system.memory.usage', { 'system.memory.state': 'free' })),
    buffered: fixed(gauge('system.memory.usage', { 'system.memory.state': 'buffers' })),
    cached: fixed(gauge('system.memory.usage', { 'system.memory.state': 'cached' })),
    dirty: fixed(gauge('system.linux.memory.dirty', {}, { part: { of: 2, name: 'dirty' } })),
    write_back: fixed(gauge('system.linux.memory.dirty', {}, { part: { of: 2, name: 'writeback' } })),
  },
  swap: {
    total: fixed(gauge('system.paging.limit')),
    used: fixed(gauge('system.paging.usage', { 'system.paging.state': 'used' })),
  },
  system: {
    load1: fixed(gauge('system.cpu.load_average.1m')),
    load5: fixed(gauge('system.cpu.load_average.5m')),
    load15: fixed(gauge('system.cpu.load_average.15m')),
    n_cpus: fixed(gauge('system.cpu.logical.count')),
  },
  kernel: {
    context_switches: fixed(counter('system.cpu.context_switches')),
    interrupts: fixed(counter('system.cpu.interrupts')),
    processes_forked: fixed(counter('system.process.created')),
  },
  kernel_vmstat: {
    pgmajfault: fixed(counter('system.paging.faults', { 'system.paging.fault.type': 'major' })),
    pswpin: fixed(counter('system.paging.operations', { 'system.paging.direction': 'in' })),
    pswpout: fixed(counter('system.paging.operations', { 'system.paging.direction': 'out' })),
    oom_kill: fixed(counter('system.linux.memory.oom_kills')),
  },
  pressure: { total: pressure },
  diskio: {
    reads: disk('system.disk.operations', 'read'),
    writes: disk('system.disk.operations', 'write'),
    read_bytes: disk('system.disk.io', 'read'),
    write_bytes: disk('system.disk.io', 'write'),
    read_time: disk('system.disk.operation_time', 'read', MS),
    write_time: disk('system.disk.operation_time', 'write', MS),
    io_time: disk('system.disk.io_time', undefined, MS),
  },
  net: {
    bytes_recv: network('system.network.io', 'receive'),
    bytes_sent: network('system.network.io', 'transmit'),
    packets_recv: network('system.network.packet.count', 'receive'),
    packets_sent: network('system.network.packet.count', 'transmit'),
    err_in: network('system.network.errors', 'receive'),
    err_out: network('system.network.errors', 'transmit'),
    drop_in: network('system.network.packet.dropped', 'receive'),
    drop_out: network('system.network.packet.dropped', 'transmit'),
  },
  disk: {
    total: filesystem('system.filesystem.limit'),
    used: filesystem('system.filesystem.usage', { 'system.filesystem.state': 'used' }),
    free: filesystem('system.filesystem.usage', { 'system.filesystem.state': 'free' }),
    used_percent: filesystem('system.filesystem.utilization', {}, PERCENT),
    inodes_total: filesystem('jobsight.filesystem.inodes.limit'),
    inodes_used: filesystem('system.filesystem.inodes.usage', { 'system.filesystem.state': 'used' }),
  },
  nvidia_smi: {
    utilization_gpu: gpu('hw.gpu.utilization', PERCENT),
    utilization_memory: gpu('jobsight.gpu.memory_busy', PERCENT),
    memory_used: gpu('hw.gpu.memory.usage', MIB),
    memory_total: gpu('hw.gpu.memory.limit', MIB),
    power_draw: gpu('hw.power', {}, GPU),
    temperature_gpu: gpu('hw.temperature', {}, GPU),
    clocks_current_sm: gpu('jobsight.gpu.clock', { scale: 1e6 }),
    clocks_current_memory: gpu('jobsight.gpu.memory.clock', { scale: 1e6 }),
  },
}

const ofNode =
  (rule: Rule): Rule =>
  tags =>
    tags.get('type') === 'node' ? rule(tags) : none

/** cc-metric-collector's cpustat gives the node's percent as a sum over its cores, and each core's: the latter is certain. */
const ccCpu = (mode: string): Rule =>
  of('type-id', (core, tags) =>
    tags.get('type') === 'hwthread' && tags.get('unit') === 'Percent'
      ? gauge('system.cpu.utilization', { 'cpu.mode': mode, 'cpu.logical_number': core }, PERCENT)
      : undefined,
  )

/** Its memory is in whatever unit /proc/meminfo or its router gave: only where the unit came along as a tag. */
const BYTES: Readonly<Record<string, number>> = {
  Bytes: 1,
  B: 1,
  kB: 1024,
  kByte: 1024,
  KBytes: 1024,
  kBytes: 1024,
  MB: 1e6,
  MBytes: 1e6,
  GB: 1e9,
  GBytes: 1e9,
}
const ccMemory = (...meanings: readonly Meaning[]): Rule =>
  ofNode(tags => {
    const scale = BYTES[tags.get('unit') ?? '']
    return scale === undefined ? none : meanings.map(meaning => ({ ...meaning, scale }))
  })
const ccNetwork = (name: string, direction: 'receive' | 'transmit'): Rule =>
  of('stype-id', device => counter(name, { 'network.interface.name': device, 'network.io.direction': direction }))

/** By measurement; the field is `value`. */
const CLUSTER_COCKPIT: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(MODES.map(mode => [`cpu_${mode}`, ccCpu(mode)])),
  load_one: ofNode(fixed(gauge('system.cpu.load_average.1m'))),
  load_five: ofNode(fixed(gauge('system.cpu.load_average.5m'))),
  load_fifteen: ofNode(fixed(gauge('system.cpu.load_average.15m'))),
  num_cpus: ofNode(fixed(gauge('system.cpu.logical.count'))),
  mem_total: ccMemory(
    gauge('system.memory.limit'),
    gauge('system.memory.usage', { 'system.memory.state': 'used' }, { part: { of: 2, name: 'total' } }),
  ),
  mem_available: ccMemory(
    gauge('system.linux.memory.available'),
    gauge(
      'system.memory.usage',
      { 'system.memory.state': 'used' },
      { part: { of: 2, name: 'available', minus: true } },
    ),
  ),
  mem_free: ccMemory(gauge('system.memory.usage', { 'system.memory.state': 'free' })),
  mem_buffers: ccMemory(gauge('system.memory.usage', { 'system.memory.state': 'buffers' })),
  net_bytes_in: ccNetwork('system.network.io', 'receive'),
  net_bytes_out: ccNetwork('system.network.io', 'transmit'),
  net_pkts_in: ccNetwork('system.network.packet.count', 'receive'),
  net_pkts_out: ccNetwork('system.network.packet.count', 'transmit'),
}

const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

/** Empty for what is not known here. */
export function agentMeanings(measurement: string, field: string, tags: Tags): readonly Meaning[] {
  const fields = own(TELEGRAF, measurement)
  const rule = (fields && own(fields, field)) ?? (field === 'value' ? own(CLUSTER_COCKPIT, measurement) : undefined)
  return rule?.(tags) ?? none
}
