/**
 * AMD's and Intel's GPUs, by sysfs. https://docs.kernel.org/gpu/amdgpu/thermal.html
 * https://docs.kernel.org/admin-guide/abi-testing-files.html#abi-file-testing-sysfs-driver-intel-xe-hwmon
 *
 *   /sys/class/drm/card1/device/uevent                  PCI_SLOT_NAME=0000:83:00.0     DRIVER=amdgpu
 *                              /gpu_busy_percent        0..100
 *                              /mem_info_vram_used      bytes
 *                              /hwmon/hwmon4/power1_average   microwatts; temp2_label 'junction', temp2_input thousandths
 *                              /ras/umc_err_count       ue: 0  ce: 3
 *                              /gpu_metrics             a table: gpumetrics.ts
 *   Intel (xe, i915)           /hwmon/hwmon5/energy1_input    microjoules
 *                              /tile0/gt0/gtidle/idle_residency_ms    time in which the GPU did nothing
 *
 * Most of these ask the card's firmware. One that hangs takes a second and more for each: a card that was so slow is left
 * out for some minutes, so that the ticks of all others are not held up.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Rates } from '../counter.ts'
import { listed, parseNumber, readText } from '../hwmon.ts'
import { type KernelFiles, SourceError, whole } from '../kernelfile.ts'
import type { Absent, GpuUse, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'
import { GpuClients } from './gpuclients.ts'
import { type GpuMetrics, parseGpuMetrics } from './gpumetrics.ts'

/** A file that is a value of a column, or a counter of which the column is the rate. */
interface Field {
  column: string
  path: string
  /** value = number x times; of an idle counter, 1 - rate. */
  times: number
  kind: 'gauge' | 'rate' | 'idle'
}

export interface Card {
  /** PCI address. */
  instance: string
  fields: readonly Field[]
  /** Where its memory errors are counted. */
  errorsPath: string | undefined
  /** On disk: its bytes are no text. */
  metricsPath: string | undefined
  /** 'suspended': asking would wake it. */
  statusPath: string
}

type Names = readonly (readonly [column: string, file: string, times: number, kind?: Field['kind']])[]

const AMD: Names = [
  ['utilization', 'gpu_busy_percent', 0.01],
  ['memory_busy', 'mem_busy_percent', 0.01],
  ['memory_used', 'mem_info_vram_used', 1],
  ['memory_total', 'mem_info_vram_total', 1],
]
/** Of several for one column the first that is there. */
const AMD_SENSORS: Names = [
  ['power_watts', 'power1_average', 1e-6],
  ['power_watts', 'power1_input', 1e-6],
  ['power_limit_watts', 'power1_cap', 1e-6],
  ['clock_hz', 'freq1_input', 1],
  ['memory_clock_hz', 'freq2_input', 1],
]
const INTEL: Names = [
  ['clock_hz', 'tile0/gt0/freq0/act_freq', 1e6],
  ['clock_limit_hz', 'tile0/gt0/freq0/max_freq', 1e6],
  ['throttled', 'tile0/gt0/freq0/throttle/status', 1],
  ['utilization', 'tile0/gt0/gtidle/idle_residency_ms', 1e-3, 'idle'],
  ['memory_total', 'tile0/physical_vram_size_bytes', 1],
]
const INTEL_OLD: Names = [
  ['clock_hz', 'gt/gt0/rps_act_freq_mhz', 1e6],
  ['clock_limit_hz', 'gt/gt0/rps_max_freq_mhz', 1e6],
  ['throttled', 'gt/gt0/throttle_reason_status', 1],
  ['utilization', 'gt/gt0/rc6_residency_ms', 1e-3, 'idle'],
]
const INTEL_SENSORS: Names = [
  ['power_watts', 'energy1_input', 1e-6, 'rate'],
  ['power_limit_watts', 'power1_max', 1e-6],
  ['temperature', 'temp2_input', 1e-3],
]

export function readCards({ roots, files }: Pick<SourceOptions, 'roots' | 'files'>): Card[] {
  return listed(join(roots.sys, 'class/drm'))
    .filter(entry => /^card\d+$/.test(entry))
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
    .flatMap(entry => readCard(roots, files, entry) ?? [])
}

function readCard(roots: Roots, files: KernelFiles, entry: string): Card | undefined {
  const card = `sys/class/drm/${entry}`
  const device = `${card}/device`
  const uevent = readText(join(roots.sys, 'class/drm', entry, 'device/uevent')) ?? ''
  const instance = /^PCI_SLOT_NAME=(.+)$/m.exec(uevent)?.[1]
  const driver = /^DRIVER=(.+)$/m.exec(uevent)?.[1]
  if (instance === undefined || !/^(amdgpu|xe|i915)$/.test(driver ?? '')) return undefined
  const [sensor] = listed(join(roots.sys, 'class/drm', entry, 'device/hwmon'))
  const fields = new Map<string, Field>()
  const add = (top: string, names: Names) => {
    for (const [column, file, times, kind = 'gauge'] of names) {
      const path = `${top}/${file}`
      if (!fields.has(column) && files.find(path)) fields.set(column, { column, path, times, kind })
    }
  }
  const sensors = sensor === undefined ? undefined : `${device}/hwmon/${sensor}`
  if (driver === 'amdgpu') {
    add(device, AMD)
    if (sensors) add(sensors, [...AMD_SENSORS, ...amdTemperatures(roots, entry, sensor ?? '')])
  } else {
    // those without sensors are parts of the CPU
    if (!sensors) return undefined
    add(device, INTEL)
    add(card, INTEL_OLD)
    add(sensors, INTEL_SENSORS)
  }
  const errors = `${device}/ras/umc_err_count`
  const statusPath = `${device}/power/runtime_status`
  const errorsPath = files.find(errors) ? errors : undefined
  const metricsPath = join(roots.sys, 'class/drm', entry, 'device/gpu_metrics')
  const metrics = driver === 'amdgpu' ? readMetrics(metricsPath) : undefined
  // power of the energy that was used, where it is counted
  if (metrics?.joules !== undefined) fields.delete('power_watts')
  if (fields.size === 0) return undefined
  return { instance, fields: [...fields.values()], errorsPath, statusPath, ...{ metricsPath: metrics && metricsPath } }
}

/** The hottest spot where the card tells it, else the edge; and the memory. */
function amdTemperatures(roots: Roots, entry: string, sensor: string): Names {
  const top = join(roots.sys, 'class/drm', entry, 'device/hwmon', sensor)
  const numberOf = (label: string) =>
    ['1', '2', '3'].find(number => readText(join(top, `temp${number}_label`)) === label)
  const hottest = numberOf('junction') ?? numberOf('edge')
  const memory = numberOf('mem')
  return [
    ...(hottest === undefined ? [] : [['temperature', `temp${hottest}_input`, 1e-3] as const]),
    ...(memory === undefined ? [] : [['memory_temperature', `temp${memory}_input`, 1e-3] as const]),
  ]
}

function readMetrics(path: string): GpuMetrics | undefined {
  try {
    return parseGpuMetrics(readFileSync(path))
  } catch {
    return undefined
  }
}

/** `ue: 0\nce: 3\n` */
export function parseErrors(text: string): { uncorrected: number; corrected: number } {
  const uncorrected = /^ue:\s*(\d+)/m.exec(text)?.[1]
  const corrected = /^ce:\s*(\d+)/m.exec(text)?.[1]
  if (uncorrected === undefined || corrected === undefined) {
    throw new SourceError(`counts of memory errors that are none: ${text.slice(0, 40)}`)
  }
  return { uncorrected: Number(uncorrected), corrected: Number(corrected) }
}

export function openGpu(options: SourceOptions): Source | Absent {
  const cards = readCards(options)
  if (cards.length === 0) return { absent: 'no GPU of AMD or Intel with a driver (amdgpu, xe, i915)' }
  return new Cards(options, cards)
}

const SLOW_MS = 250
const LEFT_OUT_MS = 300_000

class Cards implements Source {
  readonly name = 'gpu'
  private readonly files: KernelFiles
  private readonly cards: readonly Card[]
  private readonly clients: GpuClients
  private monotonicMs = 0
  private readonly rates = new Rates('gpu')
  /** instance -> why, and until when. */
  private readonly leftOut = new Map<string, { why: string; untilMs: number }>()

  constructor({ files, roots }: SourceOptions, cards: readonly Card[]) {
    this.files = files
    this.cards = cards
    this.clients = new GpuClients(roots)
  }

  gpuOf(pid: number): GpuUse | undefined {
    return this.clients.read(pid, this.monotonicMs)
  }

  read(tick: Tick): Reading[] {
    this.monotonicMs = tick.monotonicMs
    const readings: Reading[] = []
    const counters = new Map<string, Map<string, number>>()
    const problems: string[] = []
    let count = 0
    for (const card of this.cards) {
      const slow = this.leftOut.get(card.instance)
      if (slow && tick.monotonicMs < slow.untilMs) {
        problems.push(slow.why)
        continue
      }
      this.leftOut.delete(card.instance)
      const startMs = performance.now()
      const failed = this.readCard(card, tick, readings, counters)
      const tookMs = performance.now() - startMs
      if (failed === undefined) count++
      else problems.push(failed)
      if (tookMs > SLOW_MS) this.leaveOut(card, tick, tookMs)
    }
    readings.push(...this.rates.next(tick, counters).map(busyOf))
    readings.push({ entity: 'node', column: 'gpu_count', instance: '', value: count })
    return whole(readings, problems)
  }

  private leaveOut({ instance }: Card, tick: Tick, tookMs: number): void {
    const why = `${instance} took ${(tookMs / 1000).toFixed(1)} s to answer, it is left out for 5 minutes`
    this.leftOut.set(instance, { why, untilMs: tick.monotonicMs + LEFT_OUT_MS })
  }

  /** Why it cannot be read; what of it can be is kept. */
  private readCard(
    { instance, fields, errorsPath, metricsPath, statusPath }: Card,
    tick: Tick,
    readings: Reading[],
    counters: Map<string, Map<string, number>>,
  ): string | undefined {
    try {
      if (this.files.find(statusPath)?.read(tick).trim() === 'suspended') return undefined
      const counted = new Map<string, number>()
      counters.set(instance, counted)
      for (const { column, path, times, kind } of fields) {
        const value = this.number(path, tick) * times
        if (kind === 'gauge') readings.push({ entity: 'gpu', column, instance, value })
        else counted.set(kind === 'idle' ? IDLE : column, value)
      }
      const errors = errorsPath === undefined ? undefined : parseErrors(this.text(errorsPath, tick))
      if (errors) counted.set('ecc_uncorrected', errors.uncorrected).set('ecc_corrected', errors.corrected)
      return metricsPath === undefined ? undefined : addMetrics(instance, metricsPath, readings, counted)
    } catch (error) {
      return `${instance}: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  private number(path: string, tick: Tick): number {
    const text = this.text(path, tick)
    const value = parseNumber(text)
    if (value === undefined) throw new SourceError(`/${path} is no number: ${text.slice(0, 40)}`)
    return value
  }

  private text(path: string, tick: Tick): string {
    const file = this.files.find(path)
    if (!file) throw new SourceError(`/${path} is gone`)
    return file.read(tick)
  }
}

/** What the table tells; why not, where it cannot be read as at the start. */
function addMetrics(
  instance: string,
  path: string,
  readings: Reading[],
  counted: Map<string, number>,
): string | undefined {
  const metrics = readMetrics(path)
  if (!metrics) return `${instance}: ${path} cannot be read any more`
  const { throttled, joules, linkReadBytes, linkWrittenBytes } = metrics
  if (throttled !== undefined) readings.push({ entity: 'gpu', column: 'throttled', instance, value: throttled })
  if (joules !== undefined) counted.set('power_watts', joules)
  if (linkReadBytes !== undefined) counted.set('link_receive_bytes', linkReadBytes)
  if (linkWrittenBytes !== undefined) counted.set('link_transmit_bytes', linkWrittenBytes)
  return undefined
}

const IDLE = 'idle'

function busyOf(reading: Reading): Reading {
  if (reading.column !== IDLE) return reading
  return { ...reading, column: 'utilization', value: Math.max(0, Math.min(1, 1 - reading.value)) }
}
