/**
 * NVIDIA's GPUs by NVML, and by nvidia-smi where the library or the addon is missing.
 *
 *   looks     x   x   x   x | x   x   x   x |      a thread looks several times a tick
 *   gauge     mean of the looks of the tick          counter: the last look's against that of the tick before
 *
 * A GPU is known by its PCI address and its UUID: where another one has come to the same place its counters begin anew.
 */
import { rateOf } from '../counter.ts'
import { whole } from '../kernelfile.ts'
import { answerOf, type Nvml, type NvmlGpu, type NvmlMoment, openNvml } from '../nvml.ts'
import type { Absent, GpuUse, Reading, Source, SourceOptions, Tick } from '../source.ts'
import { openNvidiaSmi, pciAddress } from './gpunvidia.ts'

const LIBRARY = 'libnvidia-ml.so.1'
const LOOK_EVERY_MS = 1000
/** Without a look for so long the driver hangs. */
const SILENT_MS = 30_000
const LINKS = ['pcie_receive_bytes', 'pcie_transmit_bytes', 'link_receive_bytes', 'link_transmit_bytes'] as const
const NOT_LOADED = 9

export async function openNvidia(options: SourceOptions): Promise<Source | Absent> {
  const nvml = await openNvmlSource(LIBRARY)
  if (!('absent' in nvml)) return nvml
  const smi = openNvidiaSmi(options)
  return 'absent' in smi ? { absent: `${smi.absent} (${nvml.absent})` } : smi
}

/** Absent where the library cannot be loaded, or says at once that there is no driver. */
export async function openNvmlSource(library: string, everyMs = LOOK_EVERY_MS): Promise<Source | Absent> {
  const nvml = openNvml(library, everyMs)
  if ('absent' in nvml) return nvml
  const first = await firstLook(nvml)
  if (first?.error === NOT_LOADED) {
    nvml.close()
    return { absent: answerOf(first.error) }
  }
  return new NvmlSource(nvml, first)
}

/** A driver may take seconds to wake its GPUs; nobody waits longer than that. */
async function firstLook(nvml: Nvml): Promise<NvmlMoment | undefined> {
  for (let wait = 0; wait < 30; wait++) {
    const moment = nvml.drain().at(-1)
    if (moment) return moment
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  return undefined
}

interface Before {
  uuid: string
  atMs: number
  counters: Float64Array
}

class NvmlSource implements Source {
  readonly name = 'nvidia'
  private readonly nvml: Nvml
  private moments: NvmlMoment[]
  private newest: NvmlMoment | undefined
  private heardMs: number | undefined
  /** Of the last tick with a look: a tick as short as a look may see none, and then it is as it was. */
  private last: Reading[] = []
  private readonly before = new Map<string, Before>()
  private uses = new Map<number, GpuUse>()

  constructor(nvml: Nvml, first: NvmlMoment | undefined) {
    this.nvml = nvml
    this.moments = first ? [first] : []
  }

  read(tick: Tick): Reading[] {
    const moments = [...this.moments, ...this.nvml.drain()]
    this.moments = []
    const newest = moments.at(-1)
    if (!newest) return this.readNothing(tick)
    this.heardMs = tick.monotonicMs
    this.newest = newest
    const readings = newest.gpus.flatMap(gpu => (gpu.error === 0 ? this.readingsOf(gpu, newest.atMs, moments) : []))
    const cards = newest.gpus.filter(gpu => gpu.instance === '')
    const count = cards.filter(gpu => gpu.error === 0).length
    if (cards.length > 0) readings.push({ entity: 'node', column: 'gpu_count', instance: '', value: count })
    this.last = readings.filter(({ column }) => column !== 'xid')
    this.uses = usesOf(newest.gpus)
    const problems = newest.gpus.filter(gpu => gpu.error !== 0).map(gpu => `${nameOf(gpu)}: ${answerOf(gpu.error)}`)
    return whole(readings, newest.error === 0 ? problems : [answerOf(newest.error)])
  }

  /** No look was finished since the tick before. */
  private readNothing({ monotonicMs }: Tick): Reading[] {
    this.heardMs ??= monotonicMs
    const silentMs = monotonicMs - this.heardMs
    const problem = this.newest && this.newest.error !== 0 ? answerOf(this.newest.error) : undefined
    if (silentMs > SILENT_MS) {
      this.uses = new Map()
      return whole([], [problem ?? `the driver has not answered for ${Math.round(silentMs / 1000)} s`])
    }
    const isFresh = silentMs < 2.5 * LOOK_EVERY_MS
    return whole(isFresh ? this.last : [], problem === undefined ? [] : [problem])
  }

  private readingsOf(gpu: NvmlGpu, atMs: number, moments: readonly NvmlMoment[]): Reading[] {
    const instance = nameOf(gpu)
    const values = new Map<string, number>()
    const looks = moments.flatMap(moment => moment.gpus.filter(({ uuid }) => uuid === gpu.uuid))
    this.nvml.gauges.forEach((column, at) => {
      const told = looks.map(look => look.gauges[at] ?? Number.NaN)
      const value = column === 'xid' ? told.findLast(xid => !Number.isNaN(xid)) : meanOf(told)
      if (value !== undefined) values.set(column, value)
    })
    LINKS.forEach((column, at) => {
      const value = meanOf(looks.map(look => look.rates[at] ?? Number.NaN))
      if (value !== undefined) values.set(column, value)
    })
    const last = this.before.get(instance)
    const before = last?.uuid === gpu.uuid ? last : undefined
    this.before.set(instance, { uuid: gpu.uuid, atMs, counters: gpu.counters })
    const seconds = (atMs - (before?.atMs ?? atMs)) / 1000
    this.nvml.counters.forEach((column, at) => {
      const value = rateOf(before?.counters[at], gpu.counters[at], seconds)
      if (value !== undefined) values.set(column, value)
    })
    if (gpu.instance === '') values.set('ordinal', gpu.ordinal)
    return [...values].map(([column, value]) => ({ entity: 'gpu', column, instance, value }))
  }

  gpuOf(pid: number): GpuUse | undefined {
    return this.uses.get(pid)
  }

  /** What each kind of GPU here does not tell, and why. */
  detail(): string | undefined {
    const lacks = new Map<string, Set<string>>()
    for (const gpu of this.newest?.gpus ?? []) {
      const { absent } = gpu
      for (let at = 0; at + 1 < absent.length; at += 2) {
        const column = [...this.nvml.gauges, ...this.nvml.counters][absent[at] ?? 0] ?? ''
        if (this.isTold(gpu, column)) continue
        const why = answerOf(absent[at + 1] ?? 0)
        lacks.set(why, (lacks.get(why) ?? new Set()).add(column))
      }
    }
    const words = [...lacks].map(([why, columns]) => `without ${[...columns].join(', ')}: ${why}`)
    return words.length === 0 ? 'by NVML' : `by NVML; ${words.join('; ')}`
  }

  /** Power is told by one of two, and what one GPU lacks another may have. */
  private isTold({ gauges, counters, instance }: NvmlGpu, column: string): boolean {
    if (instance !== '') return true
    const value = (columns: readonly string[], values: Float64Array) => values[columns.indexOf(column)] ?? Number.NaN
    return !(Number.isNaN(value(this.nvml.gauges, gauges)) && Number.isNaN(value(this.nvml.counters, counters)))
  }

  close(): void {
    this.nvml.close()
  }
}

/** 0000:65:00.0, of an instance 0000:65:00.0/3, and /3.1 where a compute instance is not the first. */
function nameOf({ bus, instance, ordinal }: NvmlGpu): string {
  const address = bus === '' ? `GPU ${ordinal}` : pciAddress(bus)
  return instance === '' ? address : `${address}/${instance.replace(/\.0$/, '')}`
}

/** NaN is what was not told. */
function meanOf(values: readonly number[]): number | undefined {
  const told = values.filter(value => !Number.isNaN(value))
  return told.length === 0 ? undefined : told.reduce((sum, value) => sum + value, 0) / told.length
}

/** Of each process over all GPUs. */
function usesOf(gpus: readonly NvmlGpu[]): Map<number, GpuUse> {
  const uses = new Map<number, GpuUse>()
  const plus = (sum: number | undefined, value: number | undefined) =>
    value === undefined || Number.isNaN(value) ? sum : (sum ?? 0) + value
  for (const { processes } of gpus) {
    for (let at = 0; at + 2 < processes.length; at += 3) {
      const pid = processes[at] ?? 0
      const use = uses.get(pid)
      uses.set(pid, {
        gpuMemoryBytes: plus(use?.gpuMemoryBytes, processes[at + 1]),
        gpuUtilization: plus(use?.gpuUtilization, processes[at + 2]),
      })
    }
  }
  return uses
}
