/**
 * Power of the whole node, from the first of these that there is:
 *
 *   /sys/cray/pm_counters/energy      '26459 J 1662992301394713 us'    HPE Cray: joules, and when they were counted
 *   hwmon power_meter                 power1_average in microwatts      ACPI, by the board's controller
 *   ipmitool dcmi power reading       'Instantaneous power reading: 214 Watts'    asked once a minute, beside the tick
 *   powercap psys                     energy_uj                         what Intel's board designs lead through the CPU
 *
 * https://docs.kernel.org/hwmon/acpi_power_meter.html https://man.archlinux.org/man/ipmitool.1
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openBeside } from '../beside.ts'
import { readChips, readSlowly, readText } from '../hwmon.ts'
import { SourceError } from '../kernelfile.ts'
import { openCommands } from '../programs.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'
import { EnergyCounter, findPsys } from './power.ts'

export interface CrayCounter {
  value: number
  /** Clock of the board's controller, in microseconds; older systems have none. */
  timeUs: number | undefined
}

export function parseCrayCounter(text: string, unit: 'J' | 'W'): CrayCounter {
  const found = /^(\d+) ([JW])(?: (\d+)(?: us)?)?\s*$/.exec(text)
  if (found?.[2] !== unit) throw new SourceError(`a pm_counters file that is not in ${unit}: ${text.slice(0, 80)}`)
  return { value: Number(found[1]), timeUs: found[3] === undefined ? undefined : Number(found[3]) }
}

/** Undefined where the board's controller measures nothing: it is off, or says 0. */
export function parseDcmiPower(text: string): number | undefined {
  if (!/^\s*Power reading state is:\s+activated/m.test(text)) return undefined
  const watts = Number(/^\s*Instantaneous power reading:\s+(\d+) Watts/m.exec(text)?.[1])
  return watts > 0 ? watts : undefined
}

/** One way to measure. */
interface Way {
  words: string
  /** It turned out that it cannot tell: the next one is asked. */
  unable?: boolean
  watts(tick: Tick): number | undefined
  close?(): void
}

function openCray({ files }: SourceOptions): Way | undefined {
  const file = files.find('sys/cray/pm_counters/energy')
  if (!file) return undefined
  let before: (CrayCounter & { monotonicMs: number }) | undefined
  return {
    words: 'by /sys/cray/pm_counters',
    watts(tick) {
      const last = before
      before = undefined
      before = { ...parseCrayCounter(file.read(tick), 'J'), monotonicMs: tick.monotonicMs }
      if (!last) return undefined
      const counted = before.timeUs !== undefined && last.timeUs !== undefined ? before.timeUs - last.timeUs : undefined
      const seconds = counted === undefined ? (tick.monotonicMs - last.monotonicMs) / 1000 : counted / 1e6
      const joules = before.value - last.value
      return seconds > 0 && joules > 0 ? joules / seconds : undefined
    },
  }
}

const METER_EVERY_MS = 10_000
const METER_WITHIN_MS = 8000

function openMeter({ roots }: SourceOptions): Way | undefined {
  const chip = readChips(roots).find(
    ({ name, directory, files }) =>
      name === 'power_meter' &&
      files.includes('power1_average') &&
      // a meter with a name of its own measures a part, as on NVIDIA Grace
      !/socket/i.test(readText(join(directory, 'power1_oem_info')) ?? ''),
  )
  if (!chip) return undefined
  const path = join(chip.directory, 'power1_average')
  const options = { what: 'the ACPI power meter', everyMs: METER_EVERY_MS, withinMs: METER_WITHIN_MS }
  const looks = openBeside(signal => readSlowly(path, signal), options)
  return {
    words: 'by the ACPI power meter',
    watts(tick) {
      const microwatts = looks.newest(tick)
      return microwatts !== undefined && microwatts > 0 ? microwatts / 1e6 : undefined
    },
    close: () => looks.close(),
  }
}

const IPMI_DEVICES = ['/dev/ipmi0', '/dev/ipmi/0', '/dev/ipmidev/0']
const IPMI_EVERY_MS = 60_000
const IPMI_WITHIN_MS = 20_000
/** A controller that cannot tell is asked again after so many turns. */
const IPMI_AGAIN_TURNS = 60

function openIpmi(options: SourceOptions, devices: readonly string[]): Way | Absent {
  const commands = openCommands(options, IPMI_WITHIN_MS)
  const program = commands.find('ipmitool')
  if (!program) return { absent: 'install ipmitool' }
  if (!devices.some(device => existsSync(device))) return { absent: 'no /dev/ipmi0: modprobe ipmi_si ipmi_devintf' }
  let cannot: string | undefined
  let turns = 0
  const look = async () => {
    if (cannot !== undefined && ++turns % IPMI_AGAIN_TURNS !== 0) return undefined
    const { status, stdout, stderr } = await commands.run([program, 'dcmi', 'power', 'reading'])
    const watts = status === 0 ? parseDcmiPower(stdout.toString('utf8')) : undefined
    const why = stderr.split('\n')[0] || 'it measures no power'
    cannot = watts === undefined ? `ipmitool dcmi power reading: ${why}` : undefined
    return watts
  }
  const looks = openBeside(look, { what: 'ipmitool', everyMs: IPMI_EVERY_MS, withinMs: IPMI_WITHIN_MS + 5000 })
  return {
    get words() {
      return cannot ?? 'by ipmitool, once a minute'
    },
    get unable() {
      return cannot !== undefined
    },
    watts: tick => looks.newest(tick),
    close() {
      looks.close()
      commands.close()
    },
  }
}

function openPsys({ files, roots }: SourceOptions): Way | undefined {
  const domain = findPsys(roots)
  const file = domain && files.find(domain.path)
  if (!domain || !file) return undefined
  const counter = new EnergyCounter(domain, file)
  return { words: 'by RAPL psys', watts: tick => counter.watts(tick) }
}

export function openHostPower(options: SourceOptions, ipmiDevices = IPMI_DEVICES): Source | Absent {
  const ipmi = openIpmi(options, ipmiDevices)
  const ways = [openCray(options), openMeter(options), 'absent' in ipmi ? undefined : ipmi, openPsys(options)].filter(
    way => way !== undefined,
  )
  if (ways.length === 0) {
    const missing = 'absent' in ipmi ? ipmi.absent : ''
    return { absent: `nothing measures the whole node; for what the board's controller measures: ${missing}` }
  }
  return {
    name: 'host power',
    read(tick: Tick) {
      for (const way of ways) {
        const value = way.watts(tick)
        if (value !== undefined) return [{ entity: 'node', column: 'power_watts', instance: '', value }]
        // it may have none only now: two ways measure different things, so they do not stand in for each other
        if (!way.unable) return []
      }
      return []
    },
    detail: () =>
      ways
        .slice(
          0,
          1 +
            Math.max(
              0,
              ways.findIndex(way => !way.unable),
            ),
        )
        .map(way => way.words)
        .join('; '),
    close() {
      for (const way of ways) way.close?.()
    },
  }
}
