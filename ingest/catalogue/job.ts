/** What a job uses on one node, by its control group: all of its processes, also those that lived between two ticks. */
import { gauge, type Metric, rate } from '../metric.ts'

const CPU = 'cgroup v2: cpu.stat; v1: cpuacct.usage_user, usage_sys'
const MEMORY =
  'cgroup v2: memory.current, memory.stat, memory.max; v1: memory.usage_in_bytes, memory.stat, limit_in_bytes'

const cpu = (mode: 'user' | 'system', meaning: string): Metric =>
  rate(
    'job',
    'jobsight.job.cpu.time',
    { 'cpu.mode': mode },
    { column: `cpu_${mode}`, unit: '1', scale: 1000, full: 'cpu_limit', meaning, source: CPU },
  )

const pressure = (resource: 'cpu' | 'memory' | 'io'): Metric =>
  rate(
    'job',
    'jobsight.job.pressure.time',
    { resource },
    {
      column: `pressure_${resource}`,
      unit: 'ratio',
      full: 1,
      meaning: `share of time in which at least one task of the job waited for ${resource}`,
      source: `cgroup v2: ${resource}.pressure`,
    },
  )

const io = (direction: 'read' | 'write'): Metric =>
  rate(
    'job',
    'jobsight.job.disk.io',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      meaning: `bytes the job ${direction === 'read' ? 'read from' : 'wrote to'} disks of the node a second`,
      source:
        direction === 'read'
          ? 'cgroup v2: io.stat; v1: blkio.throttle.io_service_bytes_recursive'
          : 'cgroup v2: io.stat',
    },
  )

export const JOB_METRICS: readonly Metric[] = [
  cpu('user', 'cores used in user code'),
  cpu('system', 'cores used in the kernel'),
  gauge('job', 'jobsight.job.cpu.limit', undefined, {
    column: 'cpu_limit',
    unit: '1',
    overTime: 'last',
    meaning: 'CPUs that the job may run on',
    source: 'cpuset.cpus.effective, cpuset.cpus',
  }),
  gauge('job', 'jobsight.job.memory.usage', undefined, {
    column: 'memory_bytes',
    unit: 'bytes',
    full: 'memory_limit',
    meaning: 'memory of the job; not the cache of files that it could give back at once',
    source: MEMORY,
  }),
  gauge('job', 'jobsight.job.memory.limit', undefined, {
    column: 'memory_limit',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'memory that the job may use',
    source: MEMORY,
  }),
  io('read'),
  io('write'),
  ...(['cpu', 'memory', 'io'] as const).map(pressure),
  rate('job', 'jobsight.job.oom_kills', undefined, {
    column: 'oom_kills',
    unit: '1/s',
    scale: 10_000,
    meaning: 'processes of the job killed for memory, a second',
    source: 'cgroup v2: memory.events; v1: memory.oom_control',
  }),
  gauge('job', 'jobsight.job.power', undefined, {
    column: 'power_watts',
    unit: 'W',
    scale: 10,
    meaning:
      'power of the CPUs and their memory that falls to the job: all of it where it has all CPUs of the node, else the share of its CPU time in that of the node',
    source: 'RAPL x (cpu_user + cpu_system) of the job / of the node',
  }),
  gauge('job', 'jobsight.job.tasks', undefined, {
    column: 'tasks',
    unit: '1',
    meaning: 'threads of the job',
    source: 'pids.current',
  }),
]
