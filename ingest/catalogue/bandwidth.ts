/** Memory bandwidth, as the CPU counts it at each last level cache, and at its memory controllers. */
import { gauge, type Metric, rate, summed } from '../metric.ts'

const MBM = '/sys/fs/resctrl/mon_data/mon_L3_*/mbm_*_bytes'

type Which = 'total' | 'local'
const WHICH: Readonly<Record<Which, string>> = {
  total: 'all memory; AMD counts what is written back in it too',
  local: "the memory of the cache's own NUMA node",
}

const ofCache = (which: Which): Metric =>
  rate(
    'cache',
    'jobsight.memory.io',
    { 'jobsight.memory.locality': which },
    {
      column: `memory_bandwidth_${which}`,
      unit: 'bytes/s',
      meaning: `bytes a second between this cache and ${WHICH[which]}`,
      source: MBM,
    },
  )

const CONTROLLERS = 'perf events of uncore_imc*, amd_umc_*, amd_df, nvidia_scf_pmu_*'

const ofController = (direction: 'read' | 'write'): Metric =>
  rate(
    'socket',
    'jobsight.memory.controller.io',
    { 'jobsight.memory.direction': direction },
    {
      column: `memory_${direction}_bytes`,
      unit: 'bytes/s',
      onNode: { column: `memory_${direction}_bytes`, how: 'sum' },
      meaning: `bytes a second that the memory controllers of the CPU package ${direction}, for cores and devices`,
      source: CONTROLLERS,
    },
  )

const ofJob = (which: Which): Metric =>
  gauge(
    'job',
    'jobsight.job.memory.bandwidth',
    { 'jobsight.memory.locality': which },
    {
      column: `memory_bandwidth_${which}`,
      unit: 'bytes/s',
      meaning: `bytes a second between caches and ${WHICH[which]}, for the job`,
      source: '/sys/fs/resctrl/mon_groups/jobsight_*, of collector.jobBandwidth',
    },
  )

const ofNode = (which: Which | 'remote', meaning: string): Metric =>
  gauge(
    'node',
    'jobsight.memory.bandwidth',
    { 'jobsight.memory.locality': which },
    { column: `memory_bandwidth_${which}`, unit: 'bytes/s', meaning, source: MBM },
  )

export const BANDWIDTH_METRICS: readonly Metric[] = [
  ofCache('total'),
  ofCache('local'),
  gauge('cache', 'jobsight.cache.usage', undefined, {
    column: 'occupancy',
    unit: 'bytes',
    full: 'size',
    meaning: 'bytes of this last level cache that hold data',
    source: '/sys/fs/resctrl/mon_data/mon_L3_*/llc_occupancy',
  }),
  gauge('cache', 'jobsight.cache.size', undefined, {
    column: 'size',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'size of this last level cache',
    source: '/sys/devices/system/cpu/cpu*/cache/index3/size',
  }),

  ofController('read'),
  ofController('write'),
  summed('memory_read_bytes', 'bytes/s', 1, 'bytes a second read by all memory controllers', CONTROLLERS),
  summed('memory_write_bytes', 'bytes/s', 1, 'bytes a second written by all memory controllers', CONTROLLERS),
  ofJob('total'),
  ofJob('local'),

  ofNode('total', `bytes a second between caches and ${WHICH.total}; without resctrl what the memory controllers move`),
  ofNode('local', 'bytes a second between caches and the memory of their own NUMA node'),
  ofNode('remote', "bytes a second between caches and other NUMA nodes' memory (total less local; Intel only)"),
]
