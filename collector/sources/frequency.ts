/**
 * Clock of the CPUs, mean. https://docs.kernel.org/admin-guide/pm/cpufreq.html
 *
 *   /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq    2596132      kHz
 *
 * Kernels from 4.13 to 5.17 count cycles for 10 ms to answer, each time: there a few CPUs are asked, once a minute.
 */
import { join } from 'node:path'
import { listed, parseNumber, readText } from '../hwmon.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'

const MOST_CPUS = 64
const SLOW_MS = 3
const SLOW_CPUS = 4
const SLOW_EVERY_MS = 60_000

/** So many of them, spread evenly. */
export const spread = <T>(all: readonly T[], most: number): T[] =>
  all.filter((_, i) => Math.floor((i * most) / all.length) !== Math.floor(((i - 1) * most) / all.length) || i === 0)

export function openFrequency({ roots, files }: SourceOptions, now = () => performance.now()): Source | Absent {
  const top = join(roots.sys, 'devices/system/cpu')
  const cpus = listed(top)
    .filter(entry => /^cpu\d+$/.test(entry))
    .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)))
  const startMs = now()
  const [first] = cpus.filter(cpu => readText(join(top, cpu, 'cpufreq/scaling_cur_freq')) !== undefined).slice(0, 1)
  if (first === undefined) {
    return { absent: 'the kernel does not set the clock (no cpufreq): virtual machines, or the firmware does it' }
  }
  const isSlow = now() - startMs > SLOW_MS
  const paths = spread(cpus, isSlow ? SLOW_CPUS : MOST_CPUS).map(
    cpu => `sys/devices/system/cpu/${cpu}/cpufreq/scaling_cur_freq`,
  )
  const limits = cpus.flatMap(cpu => parseNumber(readText(join(top, cpu, 'cpufreq/cpuinfo_max_freq'))) ?? [])
  let readMs = Number.NEGATIVE_INFINITY
  return {
    name: 'frequency',
    read(tick: Tick) {
      if (isSlow && tick.monotonicMs - readMs < SLOW_EVERY_MS - 500) return []
      readMs = tick.monotonicMs
      // a CPU that is offline has no clock
      const clocks = paths.flatMap(path => {
        try {
          return parseNumber(files.find(path)?.read(tick)) ?? []
        } catch {
          return []
        }
      })
      const sound = clocks.filter(kilohertz => kilohertz > 0)
      if (sound.length === 0) throw new SourceError('no CPU tells its clock')
      const mean = sound.reduce((sum, kilohertz) => sum + kilohertz, 0) / sound.length
      const of = (column: string, kilohertz: number) =>
        ({ entity: 'node', column, instance: '', value: kilohertz * 1000 }) as const
      return limits.length > 0
        ? [of('cpu_frequency', mean), of('cpu_frequency_max', Math.max(...limits))]
        : [of('cpu_frequency', mean)]
    },
  }
}
