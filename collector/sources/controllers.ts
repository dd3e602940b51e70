/**
 * Memory bandwidth as the memory controllers of each CPU package count it: everything that goes to memory, of cores and of
 * devices. From the first of these that there is:
 *
 *   uncore_imc_N                cas_count_read, cas_count_write    Intel servers, a controller or a channel each; 64 bytes a count
 *   uncore_imc_free_running_N   data_read, data_write; read, write Intel clients and some servers: counters that always run
 *   amd_umc_N                   CAS commands, reads and writes     AMD Zen 4 and later, Linux 6.8
 *   amd_df                      DRAM channels                      AMD Zen to Zen 3; reads and writes in one
 *   nvidia_scf_pmu_N            cmem_rd_data, cmem_wr_total_bytes  NVIDIA Grace, a socket each; beats of 32 bytes
 *   ali_drw_ADDRESS             hif_rd, hif_wr, hif_rmw            Alibaba Yitian 710, a half channel each; 64 bytes
 *   hisi_scclN_ddrcN            flux_rd, flux_wr                   HiSilicon Kunpeng 920, a channel each; 32 bytes
 *
 * What a count stands for is in the .scale and .unit beside an event where the kernel has them. Numbers of events without an
 * alias in sysfs are those of the kernel's tools/perf/pmu-events (amdzen1 to amdzen5). Yitian: admin-guide/perf/alibaba_pmu.
 */
import { join } from 'node:path'
import {
  type CountedEvent,
  type Counting,
  type OpenCounting,
  openCounting,
  openGrowth,
  refusalOf,
} from '../counting.ts'
import { readText } from '../hwmon.ts'
import { SourceError } from '../kernelfile.ts'
import { encodeEvent, type Pmu, parseScale, readPackages, readPmus } from '../pmu.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'
import { countsByResctrl } from './bandwidth.ts'

type Direction = 'read' | 'write' | 'both'

interface Wanted {
  direction: Direction
  /** Of an alias in sysfs, or the terms themselves. */
  name: RegExp | string
  /** Where no .scale says it. */
  bytes: number
}

interface Way {
  words: string
  pmu: RegExp
  /** Of /proc/cpuinfo, where the same PMU counts something else in other CPUs. */
  cpu?: (cpuinfo: string) => boolean
  events: readonly Wanted[]
}

const CHANNELS = [0x007, 0x107].flatMap(event => [0x38, 0x47, 0x87, 0xc7].map(umask => ({ event, umask })))

const WAYS: readonly Way[] = [
  {
    words: "Intel's memory controllers",
    pmu: /^uncore_imc(_\d+)?$/,
    events: [
      { direction: 'read', name: /^cas_count_read(_sch\d)?$/, bytes: 64 },
      { direction: 'write', name: /^cas_count_write(_sch\d)?$/, bytes: 64 },
    ],
  },
  {
    words: "Intel's free-running memory counters",
    pmu: /^uncore_imc(_free_running)?(_\d+)?$/,
    events: [
      { direction: 'read', name: /^(data_)?reads?$/, bytes: 64 },
      { direction: 'write', name: /^(data_)?writes?$/, bytes: 64 },
    ],
  },
  {
    words: "AMD's memory controllers",
    pmu: /^amd_umc_\d+$/,
    events: [
      { direction: 'read', name: 'event=0x0a,rdwrmask=0x1', bytes: 64 },
      { direction: 'write', name: 'event=0x0a,rdwrmask=0x2', bytes: 64 },
    ],
  },
  {
    words: "AMD's data fabric",
    pmu: /^amd_df$/,
    cpu: isBeforeZen4,
    events: CHANNELS.map(({ event, umask }) => ({
      direction: 'both',
      name: `event=0x${event.toString(16)},umask=0x${umask.toString(16)}`,
      bytes: 64,
    })),
  },
  {
    words: "NVIDIA's coherency fabric",
    pmu: /^nvidia_scf_pmu_\d+$/,
    events: [
      { direction: 'read', name: /^cmem_rd_data$/, bytes: 32 },
      { direction: 'write', name: /^cmem_wr_total_bytes$/, bytes: 1 },
    ],
  },
  {
    words: "Yitian's DDR driveways",
    pmu: /^ali_drw_[0-9a-f]+$/,
    events: [
      { direction: 'read', name: /^hif_rd$/, bytes: 64 },
      { direction: 'write', name: /^hif_(wr|rmw)$/, bytes: 64 },
    ],
  },
  {
    words: "Kunpeng's DDR controllers",
    pmu: /^hisi_sccl\d+_ddrc\d+$/,
    events: [
      { direction: 'read', name: /^flux_rd$/, bytes: 32 },
      { direction: 'write', name: /^flux_wr$/, bytes: 32 },
    ],
  },
]

/** Families 17h and 19h; models of Zen 4 within 19h have other events. */
function isBeforeZen4(cpuinfo: string): boolean {
  const number = (name: string) => Number(new RegExp(`^${name}\\s*: (\\d+)$`, 'm').exec(cpuinfo)?.[1] ?? -1)
  const [family, model] = [number('cpu family'), number('model')]
  return family === 0x17 || (family === 0x19 && (model < 0x10 || (model >= 0x20 && model < 0x60)))
}

export interface Traffic extends CountedEvent {
  socket: string
  direction: Direction
  /** Bytes of a count. */
  bytes: number
}

/** Terms of an event and the bytes of a count; an alias can stand for several events of the same direction. */
function termsOf(pmu: Pmu, { name, bytes }: Wanted): { terms: string; bytes: number }[] {
  if (typeof name === 'string') return [{ terms: name, bytes }]
  return pmu.events
    .filter(event => name.test(event))
    .flatMap(event => {
      const text = (suffix: string) => readText(join(pmu.directory, 'events', `${event}${suffix}`))
      const terms = text('')
      return terms === undefined ? [] : [{ terms, bytes: parseScale(text('.scale'), text('.unit')) ?? bytes }]
    })
}

function trafficOf(pmu: Pmu, way: Way, packages: ReadonlyMap<number, string>): Traffic[] {
  return way.events.flatMap(wanted =>
    termsOf(pmu, wanted).flatMap(({ terms, bytes }) => {
      const words = encodeEvent(terms, pmu.formats)
      return pmu.cpus.map(cpu => ({
        ...words,
        type: pmu.type,
        cpu,
        socket: packages.get(cpu) ?? '0',
        direction: wanted.direction,
        bytes,
      }))
    }),
  )
}

export function findTraffic(roots: Roots): { words: string; events: Traffic[] } | undefined {
  const packages = readPackages(roots)
  const cpuinfo = readText(join(roots.proc, 'cpuinfo'))?.split('\n\n')[0] ?? ''
  for (const way of WAYS) {
    if (way.cpu && !way.cpu(cpuinfo)) continue
    const events = readPmus(roots, way.pmu).flatMap(pmu => trafficOf(pmu, way, packages))
    if (events.length > 0) return { words: way.words, events }
  }
  return undefined
}

const NO_CONTROLLERS =
  'the kernel shows no counters of memory controllers (modprobe intel_uncore or amd_uncore); virtual machines have none'

export function openControllers(options: SourceOptions, open: OpenCounting = openCounting): Source | Absent {
  const found = findTraffic(options.roots)
  if (!found) return { absent: NO_CONTROLLERS }
  const counting = open(found.events)
  if ('absent' in counting) return counting
  const refused = counting.errors.find(errno => errno !== 0)
  if (refused === undefined) return new Controllers(found, counting, !countsByResctrl(options))
  counting.close()
  return { absent: refusalOf(refused) }
}

class Controllers implements Source {
  readonly name = 'memory controllers'
  private readonly words: string
  private readonly events: readonly Traffic[]
  private readonly counting: Counting
  /** Nothing else tells the bandwidth of the node. */
  private readonly isAlone: boolean
  private readonly growth: ReturnType<typeof openGrowth>

  constructor({ words, events }: { words: string; events: readonly Traffic[] }, counting: Counting, isAlone: boolean) {
    this.words = words
    this.events = events
    this.counting = counting
    this.growth = openGrowth(counting)
    this.isAlone = isAlone
  }

  read({ monotonicMs }: Tick): Reading[] {
    const looked = this.growth(monotonicMs)
    if (looked === undefined) return []
    const { grown, seconds } = looked
    // a sum over controllers without one of them is not what went to memory
    if (grown.some(Number.isNaN)) throw new SourceError(`${this.words} stopped counting on a CPU: is it offline?`)
    return readingsOf(this.events, grown, seconds, this.isAlone)
  }

  detail(): string {
    return this.words
  }

  close(): void {
    this.counting.close()
  }
}

function readingsOf(events: readonly Traffic[], grown: readonly number[], seconds: number, isAlone: boolean) {
  const sums = new Map<string, { socket: string; column: string; value: number }>()
  let total = 0
  events.forEach(({ socket, direction, bytes }, i) => {
    const rate = ((grown[i] ?? 0) * bytes) / seconds
    total += rate
    if (direction === 'both') return
    const column = `memory_${direction}_bytes`
    const key = `${socket} ${column}`
    const sum = sums.get(key) ?? { socket, column, value: 0 }
    sum.value += rate
    sums.set(key, sum)
  })
  const readings = [...sums.values()].map(
    ({ socket, column, value }): Reading => ({ entity: 'socket', column, instance: socket, value }),
  )
  if (isAlone) readings.push({ entity: 'node', column: 'memory_bandwidth_total', instance: '', value: total })
  return readings
}
