/** Memory, swap and page faults of a node, and what its tasks waited for. */
import { gauge, type Metric, rate } from '../metric.ts'

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

export const MEMORY_METRICS: readonly Metric[] = [
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
]
