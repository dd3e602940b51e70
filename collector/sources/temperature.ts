/**
 * How hot the CPU packages are, whether they were slowed down for it, and the hottest of the other sensors.
 * https://docs.kernel.org/hwmon/coretemp.html https://docs.kernel.org/hwmon/k10temp.html
 *
 *   coretemp   temp1_label 'Package id 0'   temp1_input 48000        a chip a package, and a sensor a core
 *   k10temp    temp1_label 'Tctl'           temp2_label 'Tdie'       a chip a package (first Epyc: one a die); Tctl can have
 *                                                                   an offset, so Tdie where it is there
 *   nvme, drivetemp, jc42, spd5118, mlx5 …                           disks, memory, cards: asked once a minute, beside the tick
 *
 * thermal_throttle/package_throttle_total_time_ms: Linux 5.6, Intel.
 */
import { join } from 'node:path'
import { type Beside, openBeside } from '../beside.ts'
import { rateOf } from '../counter.ts'
import { type Chip, listed, parseNumber, readChips, readSlowly, readText } from '../hwmon.ts'
import { type KernelFile, SourceError, whole } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

export interface Sensor {
  socket: string
  /** Of its temperature, as files are looked for. */
  path: string
  limit: number | undefined
}

/** A sensor that is broken or not connected says 0, 127 or -128. */
const isSound = (degrees: number) => degrees > 0 && degrees < 126

function sensorOf({ path, directory }: Chip, socket: string, number: string): Sensor {
  const limit = parseNumber(readText(join(directory, `temp${number}_crit`)))
  const degrees = limit === undefined ? undefined : limit / 1000
  return {
    socket,
    path: `${path}/temp${number}_input`,
    limit: degrees !== undefined && isSound(degrees) ? degrees : undefined,
  }
}

function labelled({ directory, files }: Chip, wanted: RegExp): { number: string; found: RegExpExecArray }[] {
  return files.flatMap(file => {
    const number = /^temp(\d+)_label$/.exec(file)?.[1]
    const found = number === undefined ? null : wanted.exec(readText(join(directory, file)) ?? '')
    return number === undefined || !found ? [] : [{ number, found }]
  })
}

/** Sensors of the CPU packages. AMD's chips do not say whose they are: they are in the order of the packages. */
export function findSensors(chips: readonly Chip[], sockets: number): Sensor[] {
  const intel = chips
    .filter(chip => chip.name === 'coretemp')
    .flatMap(chip =>
      labelled(chip, /^(?:Package|Physical) id (\d+)$/).map(({ number, found }) =>
        sensorOf(chip, found[1] ?? '', number),
      ),
    )
  const amd = chips.filter(chip => chip.name === 'k10temp' || chip.name === 'zenpower')
  const each = Math.max(1, Math.floor(amd.length / Math.max(1, sockets)))
  return [
    ...intel,
    ...amd.flatMap((chip, i) => {
      const [best] = [/^Tdie$/, /^Tctl$/].flatMap(label => labelled(chip, label))
      return best ? [sensorOf(chip, String(Math.floor(i / each)), best.number)] : []
    }),
  ]
}

const SLOW_CHIP =
  /^(nvme|drivetemp|jc42|spd5118|mlx[45]|mlxsw|bnxt_en|ice|ixgbe|i40e|igb|i350bb|tg3|hfi1|cxi|atlantic|qede)$/
const OTHERS_EVERY_MS = 60_000
const OTHERS_WITHIN_MS = 20_000
const MOST_SENSORS = 64

/** Files of the other sensors; of an NVMe only the composite, which its maker answers for. */
const otherSensors = (chips: readonly Chip[]): string[] =>
  chips
    .filter(chip => SLOW_CHIP.test(chip.name))
    .flatMap(chip => {
      const inputs = chip.files.filter(file => /^temp\d+_input$/.test(file))
      return (chip.name === 'nvme' ? inputs.slice(0, 1) : inputs).map(file => join(chip.directory, file))
    })
    .slice(0, MOST_SENSORS)

async function readHottest(paths: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  let hottest: number | undefined
  for (const path of paths) {
    // a disk that sleeps answers EAGAIN or nothing
    const millidegrees = await readSlowly(path, signal).catch(() => undefined)
    const degrees = (millidegrees ?? 0) / 1000
    if (isSound(degrees)) hottest = Math.max(hottest ?? degrees, degrees)
  }
  return hottest
}

/** package -> a CPU of it. */
function readPackages(roots: Roots): Map<string, string> {
  const packages = new Map<string, string>()
  const top = join(roots.sys, 'devices/system/cpu')
  for (const cpu of listed(top)) {
    if (!/^cpu\d+$/.test(cpu)) continue
    const socket = readText(join(top, cpu, 'topology/physical_package_id'))
    if (socket !== undefined && !packages.has(socket)) packages.set(socket, cpu)
  }
  return packages
}

export function openTemperature({ files, roots }: SourceOptions): Source | Absent {
  const chips = readChips(roots)
  const packages = readPackages(roots)
  const sensors = findSensors(chips, packages.size).flatMap(sensor => {
    const file = files.find(sensor.path)
    return file ? [{ sensor, file }] : []
  })
  const throttles = [...packages].flatMap(([socket, cpu]) => {
    const file = files.find(`sys/devices/system/cpu/${cpu}/thermal_throttle/package_throttle_total_time_ms`)
    return file ? [{ socket, file }] : []
  })
  const others = otherSensors(chips)
  if (sensors.length + throttles.length + others.length === 0) {
    return { absent: 'no sensors: this is a virtual machine, or drivers are missing (modprobe coretemp or k10temp)' }
  }
  return new Temperatures(sensors, throttles, others)
}

class Temperatures implements Source {
  readonly name = 'temperature'
  private readonly sensors: readonly { sensor: Sensor; file: KernelFile }[]
  private readonly throttles: readonly { socket: string; file: KernelFile }[]
  private readonly hottest: Beside<number | undefined> | undefined
  private before: { milliseconds: ReadonlyMap<string, number>; monotonicMs: number } | undefined

  constructor(sensors: Temperatures['sensors'], throttles: Temperatures['throttles'], others: readonly string[]) {
    this.sensors = sensors
    this.throttles = throttles
    const options = { what: 'a temperature sensor', everyMs: OTHERS_EVERY_MS, withinMs: OTHERS_WITHIN_MS }
    this.hottest = others.length > 0 ? openBeside(signal => readHottest(others, signal), options) : undefined
  }

  read(tick: Tick): Reading[] {
    const problems: string[] = []
    const attempt = <T>(read: () => T): T | undefined => {
      try {
        return read()
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error))
        return undefined
      }
    }
    const readings = this.sensors.flatMap(one => attempt(() => readSensor(one, tick)) ?? [])
    readings.push(...(attempt(() => this.readThrottles(tick)) ?? []))
    const hottest = attempt(() => this.hottest?.newest(tick))
    if (hottest !== undefined) {
      readings.push({ entity: 'node', column: 'temperature_max', instance: '', value: hottest })
    }
    return whole(hotterOf(readings), problems)
  }

  private readThrottles(tick: Tick): Reading[] {
    const last = this.before
    this.before = undefined
    const milliseconds = new Map<string, number>()
    for (const { socket, file } of this.throttles) {
      const value = parseNumber(file.read(tick))
      if (value === undefined) throw new SourceError(`${file.path} is no number`)
      milliseconds.set(socket, value)
    }
    this.before = { milliseconds, monotonicMs: tick.monotonicMs }
    return [...milliseconds].flatMap(([instance, now]) => {
      const seconds = (tick.monotonicMs - (last?.monotonicMs ?? tick.monotonicMs)) / 1000
      const rate = rateOf(last?.milliseconds.get(instance), now, seconds)
      if (rate === undefined) return []
      return [{ entity: 'socket', column: 'throttled', instance, value: Math.min(1, rate / 1000) }]
    })
  }

  close(): void {
    this.hottest?.close()
  }
}

function readSensor({ sensor, file }: { sensor: Sensor; file: KernelFile }, tick: Tick): Reading[] {
  const millidegrees = parseNumber(file.read(tick))
  if (millidegrees === undefined || !isSound(millidegrees / 1000)) {
    throw new SourceError(`/${sensor.path} is no temperature: ${file.read(tick).slice(0, 40)}`)
  }
  const of = (column: string, value: number): Reading => ({ entity: 'socket', column, instance: sensor.socket, value })
  const temperature = of('temperature', millidegrees / 1000)
  return sensor.limit === undefined ? [temperature] : [temperature, of('temperature_limit', sensor.limit)]
}

/** A package of several dies is as hot as its hottest. */
function hotterOf(readings: readonly Reading[]): Reading[] {
  const hottest = new Map<string, Reading>()
  for (const reading of readings) {
    const key = `${reading.column} ${reading.instance}`
    if (!(reading.value <= (hottest.get(key)?.value ?? Number.NEGATIVE_INFINITY))) hottest.set(key, reading)
  }
  return [...hottest.values()]
}
