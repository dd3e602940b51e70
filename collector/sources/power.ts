/**
 * Power of the CPU packages and their memory, from the energy they count (RAPL). https://docs.kernel.org/power/powercap/powercap.html
 *
 *   /sys/class/powercap/intel-rapl:0       package-0          counted              AMD's CPUs have these names too
 *   /sys/class/powercap/intel-rapl:0:0     core               part of package-0
 *   /sys/class/powercap/intel-rapl:0:1     dram               beside package-0, counted
 *   /sys/class/powercap/intel-rapl:2       psys               all of the board
 *   /sys/class/powercap/intel-rapl-mmio:0  package-0          the same once more
 *
 *   energy_uj 262143 000000 -> 12 000000 over 2 s with max_energy_range_uj 262143 328850:   (262143.3 - 262143 + 12) J / 2 s
 *
 * A package of several dies counts each. Where there is no RAPL: hwmon's amd_energy, and the ACPI power meters of NVIDIA Grace.
 */
import { join } from 'node:path'
import { type Beside, openBeside } from '../beside.ts'
import { listed, parseNumber, readChips, readSlowly, readText } from '../hwmon.ts'
import { type KernelFile, SourceError, whole } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

export interface Domain {
  socket: string
  column: 'power_watts' | 'memory_power_watts'
  /** Of its energy counter, as files are looked for. */
  path: string
  /** Where the counter begins again; undefined where it never does. */
  rangeMicrojoules: number | undefined
}

interface Zone {
  zone: string
  name: string
}

function readZones(roots: Roots): Zone[] {
  const top = join(roots.sys, 'class/powercap')
  return listed(top).flatMap(zone => {
    const name = /:\d/.test(zone) ? readText(join(top, zone, 'name')) : undefined
    return name === undefined ? [] : [{ zone, name }]
  })
}

/** The zones of one way to read them: by MSR, or by memory where there is no other. */
function onceEach(zones: readonly Zone[]): Zone[] {
  const by = (way: string) => zones.filter(({ zone }) => zone.startsWith(`${way}:`))
  return by('intel-rapl').length > 0 ? by('intel-rapl') : by('intel-rapl-mmio')
}

export function readDomains(roots: Roots): Domain[] {
  const zones = onceEach(readZones(roots))
  const socketOf = (zone: string) =>
    /^package-(\d+)(-die-\d+)?$/.exec(zones.find(one => one.zone === zone)?.name ?? '')?.[1]
  return zones.flatMap(({ zone, name }): Domain[] => {
    const path = `sys/class/powercap/${zone}/energy_uj`
    const range = readText(join(roots.sys, 'class/powercap', zone, 'max_energy_range_uj'))
    const rangeMicrojoules = parseNumber(range)
    const own = socketOf(zone)
    if (own !== undefined) return [{ socket: own, column: 'power_watts', path, rangeMicrojoules }]
    const socket = socketOf(zone.slice(0, zone.lastIndexOf(':')))
    if (name !== 'dram' || socket === undefined) return []
    return [{ socket, column: 'memory_power_watts', path, rangeMicrojoules }]
  })
}

/** The zone of the whole board, where there is one. */
export function findPsys(roots: Roots): Domain | undefined {
  const found = readZones(roots).find(({ name }) => name === 'psys')
  if (!found) return undefined
  const range = readText(join(roots.sys, 'class/powercap', found.zone, 'max_energy_range_uj'))
  const path = `sys/class/powercap/${found.zone}/energy_uj`
  return { socket: '', column: 'power_watts', path, rangeMicrojoules: parseNumber(range) }
}

/** No package draws more, so in less time than range / this its counter begins again once at most. */
const MOST_WATTS = 1000

/**
 * Undefined where it cannot be known: the first look, a counter that fell without a range or may have begun again more than
 * once, and one that stands still (virtual machines have such): what is switched on draws power.
 */
export function wattsOf(
  before: number | undefined,
  now: number,
  seconds: number,
  rangeMicrojoules: number | undefined,
): number | undefined {
  if (before === undefined || !(seconds > 0)) return undefined
  const fell = now < before
  if (fell && rangeMicrojoules === undefined) return undefined
  if (rangeMicrojoules !== undefined && seconds > rangeMicrojoules / 1e6 / MOST_WATTS) return undefined
  const grown = now - before + (fell ? (rangeMicrojoules ?? 0) : 0)
  return grown > 0 ? grown / 1e6 / seconds : undefined
}

/** One energy counter. */
export class EnergyCounter {
  readonly domain: Domain
  private readonly file: KernelFile
  private before: { microjoules: number; monotonicMs: number } | undefined

  constructor(domain: Domain, file: KernelFile) {
    this.domain = domain
    this.file = file
  }

  watts(tick: Tick): number | undefined {
    const last = this.before
    this.before = undefined
    const microjoules = parseNumber(this.file.read(tick))
    if (microjoules === undefined) throw new SourceError(`/${this.domain.path} is no number`)
    this.before = { microjoules, monotonicMs: tick.monotonicMs }
    if (!last) return undefined
    const seconds = (tick.monotonicMs - last.monotonicMs) / 1000
    return wattsOf(last.microjoules, microjoules, seconds, this.domain.rangeMicrojoules)
  }
}

/** hwmon's amd_energy, of which each socket is a sensor `Esocket0`. */
function readAmdEnergy(roots: Roots): Domain[] {
  return readChips(roots)
    .filter(chip => chip.name === 'amd_energy')
    .flatMap(({ path, directory, files }) =>
      files.flatMap((file): Domain[] => {
        const number = /^energy(\d+)_label$/.exec(file)?.[1]
        const socket = /^Esocket(\d+)$/.exec(readText(join(directory, file)) ?? '')?.[1]
        if (number === undefined || socket === undefined) return []
        const counter = `${path}/energy${number}_input`
        return [{ socket, column: 'power_watts', path: counter, rangeMicrojoules: undefined }]
      }),
    )
}

/** ACPI power meters that measure one socket: `Grace Power Socket 0` is the CPU and its memory. socket -> file. */
function readSocketMeters(roots: Roots): Map<string, string> {
  const meters = new Map<string, string>()
  for (const { name, directory, files } of readChips(roots)) {
    if (name !== 'power_meter' || !files.includes('power1_average')) continue
    const socket = /^Grace Power Socket (\d+)$/.exec(readText(join(directory, 'power1_oem_info')) ?? '')?.[1]
    if (socket !== undefined) meters.set(socket, join(directory, 'power1_average'))
  }
  return meters
}

const MAY_READ =
  'the energy counters are for root only: run the collector as root, or give it CAP_DAC_READ_SEARCH (AmbientCapabilities= of its unit)'
const NO_COUNTERS =
  'no energy counters of CPUs: this is a virtual machine, or the kernel lacks a driver (modprobe intel_rapl_msr)'

export function openPower({ files, roots }: SourceOptions): Source | Absent {
  const rapl = readDomains(roots)
  const domains = rapl.length > 0 ? rapl : readAmdEnergy(roots)
  const counters = domains.flatMap(domain => {
    const file = files.find(domain.path)
    return file ? [new EnergyCounter(domain, file)] : []
  })
  const meters = domains.length > 0 ? new Map<string, string>() : readSocketMeters(roots)
  if (counters.length === 0 && meters.size === 0) return { absent: domains.length > 0 ? MAY_READ : NO_COUNTERS }
  return new Packages(counters, meters, readLimits(roots))
}

/** socket -> what it may draw for long, in watts. */
function readLimits(roots: Roots): Map<string, number> {
  const limits = new Map<string, number>()
  for (const { zone, name } of onceEach(readZones(roots))) {
    const socket = /^package-(\d+)/.exec(name)?.[1]
    const limit = parseNumber(readText(join(roots.sys, 'class/powercap', zone, 'constraint_0_power_limit_uw')))
    if (socket !== undefined && limit !== undefined && limit > 0) {
      limits.set(socket, (limits.get(socket) ?? 0) + limit / 1e6)
    }
  }
  return limits
}

const METER_EVERY_MS = 10_000
const METER_WITHIN_MS = 5000

class Packages implements Source {
  readonly name = 'power'
  private readonly counters: readonly EnergyCounter[]
  private readonly limits: ReadonlyMap<string, number>
  private readonly meters: Beside<Map<string, number>> | undefined

  constructor(
    counters: readonly EnergyCounter[],
    meters: ReadonlyMap<string, string>,
    limits: ReadonlyMap<string, number>,
  ) {
    this.counters = counters
    this.limits = limits
    const options = { what: 'the power meter of a socket', everyMs: METER_EVERY_MS, withinMs: METER_WITHIN_MS }
    this.meters = meters.size > 0 ? openBeside(signal => readMeters(meters, signal), options) : undefined
  }

  read(tick: Tick): Reading[] {
    const sums = new Map<string, { socket: string; column: Domain['column']; watts: number }>()
    const problems: string[] = []
    for (const counter of this.counters) {
      const { socket, column } = counter.domain
      const key = `${socket} ${column}`
      const sum = sums.get(key) ?? { socket, column, watts: 0 }
      // a package with a die that cannot be read is not the sum of the others
      sum.watts += attempt(() => counter.watts(tick), problems) ?? Number.NaN
      sums.set(key, sum)
    }
    const readings: Reading[] = []
    const add = (socket: string, column: string, value: number) => {
      if (!Number.isNaN(value)) readings.push({ entity: 'socket', column, instance: socket, value })
    }
    for (const { socket, column, watts } of sums.values()) add(socket, column, watts)
    for (const [socket, watts] of this.limits) add(socket, 'power_limit_watts', watts)
    const metered = attempt(() => this.meters?.newest(tick), problems)
    for (const [socket, watts] of metered ?? []) add(socket, 'power_watts', watts)
    return whole(readings, problems)
  }

  close(): void {
    this.meters?.close()
  }
}

function attempt<T>(read: () => T, problems: string[]): T | undefined {
  try {
    return read()
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error))
    return undefined
  }
}

async function readMeters(meters: ReadonlyMap<string, string>, signal: AbortSignal): Promise<Map<string, number>> {
  const watts = new Map<string, number>()
  for (const [socket, path] of meters) {
    const microwatts = await readSlowly(path, signal)
    if (microwatts !== undefined && microwatts > 0) watts.set(socket, microwatts / 1e6)
  }
  return watts
}
