/** What the cores did, and what ran or waited for them. */
import { gauge, type Metric, rate } from '../metric.ts'

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

export const CPU_METRICS: readonly Metric[] = [
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
  ...CPU_MODES.map(([mode, meaning]) => cpuMode('core')(mode, meaning)),
]
