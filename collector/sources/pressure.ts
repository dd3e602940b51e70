/**
 * /proc/pressure/{cpu,memory,io}: share of time in which tasks waited for it. https://docs.kernel.org/accounting/psi.html
 *
 *   some avg10=0.17 avg60=0.12 avg300=0.13 total=6604926     total: microseconds in which at least one task waited,
 *   full avg10=0.15 avg60=0.09 avg300=0.13 total=6326939     in which every task waited. For the CPU full means nothing.
 *
 * A kernel booted with psi=0 has the files, and reading them is EOPNOTSUPP.
 */
import { rateOf } from '../counter.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

const RESOURCES = ['cpu', 'memory', 'io'] as const

/** Microseconds waited. */
export interface Pressure {
  some: number | undefined
  full: number | undefined
}

export function parsePressure(text: string): Pressure {
  const totalOf = (kind: string) => {
    const total = new RegExp(`^${kind} .*\\btotal=(\\d+)$`, 'm').exec(text)?.[1]
    return total === undefined ? undefined : Number(total)
  }
  const pressure = { some: totalOf('some'), full: totalOf('full') }
  if (pressure.some === undefined) throw new SourceError(`a pressure file without its total: ${text.slice(0, 80)}`)
  return pressure
}

interface Before {
  pressures: Map<string, Pressure>
  monotonicMs: number
}

export function openPressure({ files }: SourceOptions): Source | Absent {
  const found = RESOURCES.flatMap(resource => {
    const file = files.find(`proc/pressure/${resource}`)
    return file ? [{ resource, file }] : []
  })
  if (found.length === 0) {
    return { absent: 'the kernel keeps no pressure figures; boot it with psi=1 (it needs CONFIG_PSI, Linux 4.20)' }
  }
  let before: Before | undefined
  return {
    name: 'pressure',
    read(tick: Tick) {
      const pressures = new Map(found.map(({ resource, file }) => [resource, parsePressure(file.read(tick))]))
      const last = before
      before = { pressures, monotonicMs: tick.monotonicMs }
      return last ? pressureReadings(last, before) : []
    },
  }
}

function pressureReadings(before: Before, now: Before): Reading[] {
  const seconds = (now.monotonicMs - before.monotonicMs) / 1000
  const readings: Reading[] = []
  for (const [resource, pressure] of now.pressures) {
    for (const kind of resource === 'cpu' ? (['some'] as const) : (['some', 'full'] as const)) {
      const microseconds = rateOf(before.pressures.get(resource)?.[kind], pressure[kind], seconds)
      if (microseconds === undefined) continue
      // the kernel's clock and ours differ by some microseconds, so a full second can read as a little more
      const value = Math.min(1, microseconds / 1e6)
      readings.push({ entity: 'node', column: `pressure_${resource}_${kind}`, instance: '', value })
    }
  }
  return readings
}
