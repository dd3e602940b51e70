/** NVML, the library of NVIDIA's driver, asked by a thread of the addon (native/src/nvml.rs). */
import { readAddon, reasonOf } from './addon.ts'
import type { Absent } from './source.ts'

/** A GPU or an instance of one (MIG), at one look. What is not told is NaN. */
export interface NvmlGpu {
  uuid: string
  /** 00000000:65:00.0; '' where the GPU is not even named. */
  bus: string
  /** GPU instance and compute instance: 3.0; '' for a whole GPU. */
  instance: string
  /** By which the driver counts it. */
  ordinal: number
  /** Answer of the library (nvmlReturn_t) where the GPU cannot be read at all; 0: it can. */
  error: number
  gauges: Float64Array
  /** Of power in joules. */
  counters: Float64Array
  /** Bytes a second: PCIe in and out, NVLink in and out. */
  rates: Float64Array
  /** Pairs: place in gauges (or, behind them, counters) and why it is not there. */
  absent: readonly number[]
  /** Triples: pid, memory in bytes, share of time. */
  processes: Float64Array
}

export interface NvmlMoment {
  /** Monotonic, from a start of its own. */
  atMs: number
  /** Why there is no GPU at all; 0: none is wrong. */
  error: number
  gpus: readonly NvmlGpu[]
}

export interface Nvml {
  /** Columns of gauges and counters. */
  readonly gauges: readonly string[]
  readonly counters: readonly string[]
  /** What was seen since the last call, oldest first; it never waits for the driver. */
  drain(): NvmlMoment[]
  close(): void
}

interface Addon {
  NativeGpuMonitor: new (
    library: string,
    everyMs: number,
  ) => { gauges(): string[]; counters(): string[]; drain(): NvmlMoment[]; close(): void }
}

function parseAddon(loaded: object): Addon | undefined {
  return 'NativeGpuMonitor' in loaded && typeof loaded.NativeGpuMonitor === 'function' ? (loaded as Addon) : undefined
}

export function openNvml(library: string, everyMs: number): Nvml | Absent {
  const addon = readAddon(parseAddon)
  if ('absent' in addon) return addon
  try {
    const native = new addon.NativeGpuMonitor(library, everyMs)
    return {
      gauges: native.gauges(),
      counters: native.counters(),
      drain: () => native.drain(),
      close: () => native.close(),
    }
  } catch (error) {
    return { absent: reasonOf(error) }
  }
}

/** https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html */
const ANSWERS: Readonly<Record<number, string>> = {
  1: 'the driver is gone: was it unloaded or updated?',
  3: 'this GPU does not have it',
  4: 'it takes root',
  6: 'not found',
  9: "NVIDIA's driver is not loaded: run `nvidia-smi` to see why",
  10: 'it does not answer in time',
  13: 'this driver does not have it',
  15: 'the GPU fell off the bus: drain the node and reset it, or reboot',
  16: 'the GPU must be reset: `nvidia-smi --gpu-reset`, when nobody uses it',
  17: 'the kernel refused',
  18: 'library and driver are of different versions: reboot after an update',
  999: 'an error that the driver does not explain (see the kernel log for NVRM)',
}
export const answerOf = (code: number): string => ANSWERS[code] ?? `NVML answers ${code}`
