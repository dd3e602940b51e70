/** Memory bandwidth, as the CPU counts it at each last level cache. */
import { gauge, type Metric, rate } from '../metric.ts'

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

  ofNode('total', `bytes a second between caches and ${WHICH.total}`),
  ofNode('local', 'bytes a second between caches and the memory of their own NUMA node'),
  ofNode('remote', "bytes a second between caches and other NUMA nodes' memory (total less local; Intel only)"),
]
