/**
 * Memory bandwidth by resctrl. https://docs.kernel.org/filesystems/resctrl.html
 *
 *   /sys/fs/resctrl/mon_data/mon_L3_00/mbm_total_bytes           the default group, at cache 0
 *   /sys/fs/resctrl/mon_groups/job1/mon_data/…                   a part of the default group: it is in the numbers above
 *   /sys/fs/resctrl/batch/mon_data/mon_L3_00/mbm_total_bytes     another control group: it is not
 *   /sys/fs/resctrl/batch/mon_groups/job2/mon_data/…             a part of that one
 *
 * So the node is the sum over control groups. A file says Unavailable, Unassigned or Error where the hardware has no number:
 * then the sum has none either. Numbers only grow; the kernel sees to hardware counters that begin again.
 *
 * It is read, never mounted or written: groups belong to who made them. Caches are numbered by the kernel, with gaps.
 */
import { join } from 'node:path'
import { rateOf } from '../counter.ts'
import { listed, parseNumber, readText } from '../hwmon.ts'
import { type KernelFiles, SourceError, whole } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

const TOP = 'fs/resctrl'
const NO_GROUP = new Set(['info', 'mon_groups', 'mon_data'])
const COUNTED = [
  ['mbm_total_bytes', 'memory_bandwidth_total'],
  ['mbm_local_bytes', 'memory_bandwidth_local'],
] as const

/** A number, or why there is none. */
export function parseMonitor(text: string): number | string {
  return parseNumber(text) ?? (/^(Unavailable|Unassigned|Error)\s*$/.exec(text)?.[1] || 'no number')
}

interface Counter {
  path: string
  cache: string
  column: string
}

/** Files of the control groups that there are now; '' is the default group. */
function findCounters(roots: Roots): Counter[] {
  const top = join(roots.sys, TOP)
  const groups = listed(top).filter(entry => !NO_GROUP.has(entry) && listed(join(top, entry, 'mon_data')).length > 0)
  return ['', ...groups].flatMap(group => {
    const data = group === '' ? 'mon_data' : `${group}/mon_data`
    return listed(join(top, data)).flatMap(entry => {
      const number = /^mon_L3_(\d+)$/.exec(entry)?.[1]
      if (number === undefined) return []
      return [...COUNTED, ['llc_occupancy', 'occupancy'] as const].map(([file, column]) => ({
        path: `sys/${TOP}/${data}/${entry}/${file}`,
        cache: String(Number(number)),
        column,
      }))
    })
  })
}

/** `32768K` of the last level cache, by its number. */
function readSizes(roots: Roots): Map<string, number> {
  const sizes = new Map<string, number>()
  const top = join(roots.sys, 'devices/system/cpu')
  for (const cpu of listed(top)) {
    if (!/^cpu\d+$/.test(cpu)) continue
    const id = readText(join(top, cpu, 'cache/index3/id'))
    const kibibytes = /^(\d+)K$/.exec(readText(join(top, cpu, 'cache/index3/size')) ?? '')?.[1]
    if (id !== undefined && kibibytes !== undefined && !sizes.has(id)) sizes.set(id, Number(kibibytes) * 1024)
  }
  return sizes
}

function whyAbsent({ roots }: SourceOptions, cpuinfo: string): string {
  const top = join(roots.sys, TOP)
  if (listed(top).length > 0) return 'resctrl is mounted, but this CPU counts no memory bandwidth'
  if (!/\bcqm_mbm_total\b/.test(cpuinfo)) {
    return 'this CPU counts no memory bandwidth (no cqm_mbm_total in /proc/cpuinfo); virtual machines have none'
  }
  return readText(join(roots.sys, 'fs/resctrl/schemata')) === undefined &&
    listed(join(roots.sys, 'fs')).includes('resctrl')
    ? 'not mounted: mount -t resctrl resctrl /sys/fs/resctrl'
    : 'the CPU counts memory bandwidth, but the kernel is built without CONFIG_X86_CPU_RESCTRL'
}

/** Whether the CPU's own count of memory bandwidth can be read here. */
export const countsByResctrl = ({ roots, files }: Pick<SourceOptions, 'roots' | 'files'>): boolean =>
  findCounters(roots).some(({ path, column }) => column !== 'occupancy' && files.find(path) !== undefined)

export function openBandwidth(options: SourceOptions): Source | Absent {
  const cpuinfo = readText(join(options.roots.proc, 'cpuinfo'))?.split('\n\n')[0] ?? ''
  if (!countsByResctrl(options)) return { absent: whyAbsent(options, cpuinfo) }
  return new Bandwidth(options, /GenuineIntel/.test(cpuinfo), readSizes(options.roots))
}

/** Each file interrupts a CPU at its cache; a machine of many caches and groups is asked less often. */
const MANY = 200
const MANY_EVERY_MS = 10_000

class Bandwidth implements Source {
  readonly name = 'bandwidth'
  private readonly roots: Roots
  private readonly files: KernelFiles
  private readonly isIntel: boolean
  private readonly sizes: ReadonlyMap<string, number>
  private counted = new Map<string, number>()
  private readMs = Number.NEGATIVE_INFINITY
  private why: string | undefined

  constructor({ roots, files }: SourceOptions, isIntel: boolean, sizes: ReadonlyMap<string, number>) {
    this.roots = roots
    this.files = files
    this.isIntel = isIntel
    this.sizes = sizes
  }

  read(tick: Tick): Reading[] {
    if (this.counted.size > MANY && tick.monotonicMs - this.readMs < MANY_EVERY_MS - 500) return []
    const counters = findCounters(this.roots)
    const seconds = (tick.monotonicMs - this.readMs) / 1000
    const counted = new Map<string, number>()
    /** cache and column -> sum over groups; NaN as soon as one is not known. */
    const sums = new Map<string, { cache: string; column: string; value: number }>()
    const missing = new Set<string>()
    const broken: string[] = []
    for (const counter of counters) {
      const key = `${counter.column} ${counter.cache}`
      const sum = sums.get(key) ?? { cache: counter.cache, column: counter.column, value: 0 }
      const now = this.readCounter(counter, tick, broken)
      if (typeof now === 'number') counted.set(counter.path, now)
      else if (now !== undefined) missing.add(now)
      const number = typeof now === 'number' ? now : undefined
      const value = counter.column === 'occupancy' ? number : rateOf(this.counted.get(counter.path), number, seconds)
      sum.value += value ?? Number.NaN
      sums.set(key, sum)
    }
    for (const path of this.counted.keys()) if (!counted.has(path)) this.files.drop(path)
    this.counted = counted
    this.readMs = tick.monotonicMs
    this.why = missing.size > 0 ? `some counters are ${[...missing].join(', ').toLowerCase()}` : undefined
    const readings = this.readingsOf(
      [...sums.values()].filter(({ value }) => !Number.isNaN(value)),
      sums.size,
    )
    return whole(readings, broken)
  }

  /** Undefined where there is no such file: not every CPU counts all. */
  private readCounter({ path }: Counter, tick: Tick, broken: string[]): number | string | undefined {
    try {
      const file = this.files.find(path)
      if (!file) return undefined
      const found = parseMonitor(file.read(tick))
      if (found === 'no number') throw new SourceError(`/${path} is no number`)
      return found
    } catch (error) {
      broken.push(error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  private readingsOf(sums: readonly { cache: string; column: string; value: number }[], all: number): Reading[] {
    const readings = sums.map(
      ({ cache, column, value }): Reading => ({ entity: 'cache', column, instance: cache, value }),
    )
    const caches = all / 3
    const node = new Map<string, number>()
    for (const [, column] of COUNTED) {
      const parts = sums.filter(sum => sum.column === column)
      // a node without one of its caches is not the node
      if (parts.length === caches && caches > 0)
        node.set(
          column,
          parts.reduce((sum, { value }) => sum + value, 0),
        )
    }
    const [total, local] = COUNTED.map(([, column]) => node.get(column))
    if (this.isIntel && total !== undefined && local !== undefined) {
      node.set('memory_bandwidth_remote', Math.max(0, total - local))
    }
    for (const [column, value] of node) readings.push({ entity: 'node', column, instance: '', value })
    for (const cache of new Set(sums.map(sum => sum.cache))) {
      const size = this.sizes.get(cache)
      if (size !== undefined) readings.push({ entity: 'cache', column: 'size', instance: cache, value: size })
    }
    return readings
  }

  detail(): string | undefined {
    return this.why
  }
}
