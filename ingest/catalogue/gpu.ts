/**
 * GPUs, by PCI address (0000:65:00.0); a MIG instance is address/instance. Columns are there where the card and the way to
 * read it have them: NVIDIA by NVML or nvidia-smi, AMD and Intel by sysfs.
 */
import { gauge, type Metric, rate, summed, type Unit } from '../metric.ts'

const NVIDIA = 'NVIDIA: NVML, nvidia-smi'
const ALL = `${NVIDIA}; AMD, Intel: /sys/class/drm/card*/device`
const GPM = 'NVIDIA: NVML GPM (Hopper and later)'
const gpu = { 'hw.type': 'gpu' }

const share = (column: string, meaning: string, source: string, more: Partial<Metric> = {}): Metric =>
  gauge('gpu', `jobsight.gpu.${column}`, undefined, { column, unit: 'ratio', full: 1, meaning, source, ...more })

const io = (link: 'pcie' | 'link', direction: 'receive' | 'transmit', meaning: string): Metric =>
  rate(
    'gpu',
    link === 'pcie' ? 'hw.gpu.io' : 'jobsight.gpu.link.io',
    { 'network.io.direction': direction },
    {
      column: `${link}_${direction}_bytes`,
      unit: 'bytes/s',
      meaning,
      source: link === 'link' ? 'NVIDIA: NVML; AMD: gpu_metrics since 1.4' : 'NVIDIA: NVML',
    },
  )

const errors = (type: 'corrected' | 'uncorrected'): Metric =>
  rate(
    'gpu',
    'hw.errors',
    { ...gpu, 'error.type': type },
    {
      column: `ecc_${type}`,
      unit: '1/s',
      scale: 10_000,
      ...(type === 'uncorrected' ? { onNode: { column: 'gpu_ecc_uncorrected', how: 'sum' } as const } : undefined),
      meaning: `memory errors a second that ECC ${type === 'corrected' ? 'has mended' : 'could not mend'}`,
      source: `${NVIDIA}; AMD: ras/umc_err_count`,
    },
  )

const plain = (column: string, unit: Unit, name: string, meaning: string, source: string, more: Partial<Metric> = {}) =>
  gauge('gpu', name, undefined, { column, unit, meaning, source, ...more })

const onNode = (column: string, unit: Unit, scale: number, meaning: string, more: Partial<Metric> = {}): Metric =>
  summed(column, unit, scale, meaning, ALL, more)

export const GPU_METRICS: readonly Metric[] = [
  gauge('gpu', 'hw.gpu.utilization', undefined, {
    column: 'utilization',
    unit: 'ratio',
    full: 1,
    onNode: { column: 'gpu_utilization', how: 'avg' },
    meaning: 'share of time in which a kernel ran; how much of the GPU it used is not told',
    source: `${ALL}; Intel: time not idle`,
  }),
  share('sm_active', 'multiprocessors with work, share of all over time', GPM, {
    onNode: { column: 'gpu_sm_active', how: 'avg' },
  }),
  share('sm_occupancy', 'warps resident, share of what the multiprocessors can hold', GPM),
  share('tensor_active', 'share of time in which tensor cores worked', GPM, {
    onNode: { column: 'gpu_tensor_active', how: 'avg' },
  }),
  share('fp64_active', 'share of time in which 64 bit floating point units worked', GPM),
  share('fp32_active', 'share of time in which 32 bit floating point units worked', GPM),
  share('fp16_active', 'share of time in which 16 bit floating point units worked', GPM),
  share('memory_bandwidth', "share of the memory's bandwidth that is used", GPM, {
    onNode: { column: 'gpu_memory_bandwidth', how: 'avg' },
  }),
  share('memory_busy', 'share of time in which memory was read or written, however much', ALL),
  plain('memory_used', 'bytes', 'hw.gpu.memory.usage', 'memory of the GPU in use', ALL, {
    full: 'memory_total',
    onNode: { column: 'gpu_memory_used', how: 'sum' },
  }),
  plain('memory_total', 'bytes', 'hw.gpu.memory.limit', 'memory of the GPU', ALL, {
    overTime: 'last',
    onNode: { column: 'gpu_memory_total', how: 'sum' },
  }),
  rate('gpu', 'hw.energy', gpu, {
    column: 'power_watts',
    unit: 'W',
    scale: 10,
    arrives: [
      { name: 'hw.energy', attributes: gpu },
      { name: 'hw.power', attributes: gpu },
    ],
    full: 'power_limit_watts',
    onNode: { column: 'power_gpu_watts', how: 'sum' },
    meaning: 'power of the card',
    source: ALL,
  }),
  gauge('gpu', 'hw.power.limit', gpu, {
    column: 'power_limit_watts',
    unit: 'W',
    scale: 10,
    overTime: 'last',
    meaning: 'what the card may draw',
    source: ALL,
  }),
  gauge('gpu', 'hw.temperature', gpu, {
    column: 'temperature',
    unit: 'Cel',
    scale: 10,
    onNode: { column: 'gpu_temperature', how: 'max' },
    meaning: 'temperature of the GPU; AMD: of its hottest spot',
    source: ALL,
  }),
  plain('memory_temperature', 'Cel', 'jobsight.gpu.memory.temperature', "temperature of the card's memory", ALL, {
    scale: 10,
  }),
  plain('clock_hz', 'Hz', 'jobsight.gpu.clock', 'clock of the multiprocessors', ALL, {
    scale: 1e-6,
    full: 'clock_limit_hz',
  }),
  plain('clock_limit_hz', 'Hz', 'jobsight.gpu.clock.limit', 'highest clock of the multiprocessors', ALL, {
    scale: 1e-6,
    overTime: 'last',
  }),
  plain('memory_clock_hz', 'Hz', 'jobsight.gpu.memory.clock', "clock of the card's memory", ALL, { scale: 1e-6 }),
  share('throttled', 'share of time in which heat or power slowed the GPU down', ALL, {
    onNode: { column: 'gpu_throttled', how: 'max' },
  }),
  io('pcie', 'receive', 'bytes into the GPU over PCIe a second'),
  io('pcie', 'transmit', 'bytes out of the GPU over PCIe a second'),
  io('link', 'receive', 'bytes into the GPU over NVLink or XGMI a second'),
  io('link', 'transmit', 'bytes out of the GPU over NVLink or XGMI a second'),
  errors('corrected'),
  errors('uncorrected'),
  plain(
    'xid',
    '1',
    'jobsight.gpu.xid',
    'code of the newest error of the driver (Xid); none where there was none',
    NVIDIA,
    {
      overTime: 'last',
    },
  ),
  plain('ordinal', '1', 'jobsight.gpu.ordinal', 'number by which programs know the GPU', NVIDIA, { overTime: 'last' }),

  gauge('node', 'jobsight.gpu.count', undefined, {
    column: 'gpu_count',
    unit: '1',
    overTime: 'last',
    meaning: 'GPUs that can be read',
    source: ALL,
  }),
  onNode('gpu_utilization', 'ratio', 10_000, 'share of time in which a kernel ran, mean of all GPUs', { full: 1 }),
  onNode('gpu_sm_active', 'ratio', 10_000, 'multiprocessors with work, mean of all GPUs', { full: 1 }),
  onNode('gpu_tensor_active', 'ratio', 10_000, 'share of time in which tensor cores worked, mean of all GPUs', {
    full: 1,
  }),
  onNode('gpu_memory_bandwidth', 'ratio', 10_000, "share of the memory's bandwidth, mean of all GPUs", { full: 1 }),
  onNode('gpu_memory_used', 'bytes', 1, 'memory in use, all GPUs', { full: 'gpu_memory_total' }),
  onNode('gpu_memory_total', 'bytes', 1, 'memory of all GPUs', { overTime: 'last' }),
  onNode('power_gpu_watts', 'W', 10, 'power of all GPUs'),
  onNode('gpu_temperature', 'Cel', 10, 'the hottest GPU'),
  onNode('gpu_throttled', 'ratio', 10_000, 'share of time in which heat or power slowed a GPU down, worst one', {
    full: 1,
  }),
  onNode('gpu_ecc_uncorrected', '1/s', 10_000, 'memory errors a second that ECC could not mend, all GPUs'),
]
