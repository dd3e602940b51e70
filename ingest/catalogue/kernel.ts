/** What the kernel tells of NUMA nodes, huge pages, clocks and TCP. */
import { gauge, type Metric, rate, summed, type Unit } from '../metric.ts'

const MEMINFO = '/sys/devices/system/node/node*/meminfo'
const NUMASTAT = '/sys/devices/system/node/node*/numastat'
const HUGEPAGES = '/sys/kernel/mm/hugepages'
const SNMP = '/proc/net/snmp'

const memory = (column: string, state: string, meaning: string): Metric =>
  gauge(
    'numa',
    'jobsight.numa.memory.usage',
    { 'system.memory.state': state },
    { column, unit: 'bytes', full: 'memory_total', meaning, source: MEMINFO },
  )

const pages = (column: string, what: string, meaning: string, onNode?: string): Metric =>
  rate(
    'numa',
    'jobsight.numa.pages',
    { 'jobsight.numa.allocation': what },
    {
      column,
      unit: '1/s',
      scale: 10,
      ...(onNode === undefined ? {} : { onNode: { column: onNode, how: 'sum' } }),
      meaning,
      source: NUMASTAT,
    },
  )

const node = (name: string, column: string, unit: Unit, meaning: string, source: string, more: Partial<Metric> = {}) =>
  gauge('node', name, undefined, { column, unit, meaning, source, ...more })
const tcp = (column: string, what: string, meaning: string): Metric =>
  rate(
    'node',
    'jobsight.tcp.segments',
    { 'jobsight.tcp.what': what },
    { column, unit: '1/s', scale: 10, meaning, source: SNMP },
  )

export const KERNEL_METRICS: readonly Metric[] = [
  rate(
    'node',
    'system.paging.faults',
    { 'system.paging.fault.type': 'minor' },
    {
      column: 'page_faults_minor',
      unit: '1/s',
      meaning: 'page faults that read nothing from disk, a second',
      source: '/proc/vmstat pgfault - pgmajfault',
    },
  ),
  gauge('numa', 'jobsight.numa.memory.limit', undefined, {
    column: 'memory_total',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'memory of the NUMA node',
    source: MEMINFO,
  }),
  memory('memory_used', 'used', 'what is neither free nor cache of files'),
  memory('memory_free', 'free', 'unused'),
  memory('memory_cached', 'cached', 'page cache and reclaimable slab'),
  pages('misses', 'miss', 'pages a second put here since the node that was wanted had none', 'numa_misses'),
  pages('other', 'other', 'pages a second put here by programs that ran on another NUMA node', 'numa_other'),
  pages('local', 'local', 'pages a second put here by programs that ran here'),

  summed('numa_misses', '1/s', 10, 'pages a second that were not put on the NUMA node that was wanted', NUMASTAT),
  summed('numa_other', '1/s', 10, 'pages a second put on another NUMA node than the program ran on', NUMASTAT),
  node('jobsight.hugepages.limit', 'hugepages_total', 'bytes', 'memory set aside for huge pages', HUGEPAGES, {
    overTime: 'last',
  }),
  node('jobsight.hugepages.usage', 'hugepages_used', 'bytes', 'huge pages in use', HUGEPAGES, {
    full: 'hugepages_total',
  }),
  node('system.cpu.frequency', 'cpu_frequency', 'Hz', 'clock of the CPUs, mean', 'cpufreq/scaling_cur_freq', {
    scale: 1e-6,
    full: 'cpu_frequency_max',
  }),
  node('jobsight.cpu.frequency.limit', 'cpu_frequency_max', 'Hz', 'highest clock', 'cpufreq/cpuinfo_max_freq', {
    scale: 1e-6,
    overTime: 'last',
  }),
  tcp('tcp_sent', 'sent', 'TCP segments sent a second'),
  tcp('tcp_retransmits', 'retransmitted', 'TCP segments sent again a second'),
  tcp('tcp_resets', 'reset', 'TCP connections cut off a second: by a reset, or refused when they were made'),
  node('jobsight.tcp.connections', 'tcp_connections', '1', 'TCP connections open', SNMP),
  rate('node', 'jobsight.udp.errors', undefined, {
    column: 'udp_errors',
    unit: '1/s',
    scale: 10,
    meaning: 'UDP datagrams lost on receive a second: no room, or broken',
    source: SNMP,
  }),
]
