/**
 * What the cores' own counters tell, opt-in by collector.counters, since a core has few of them and other tools may want them:
 *
 *   ipc     cycles, instructions                        a group: both of the same time
 *   cache   references to the last level cache, misses  a group
 *   flops   floating point operations                   Intel since Skylake-SP: eight events by width, each times its lanes;
 *                                                       AMD since Zen 2: one event that counts operations itself
 *
 * Generic events are numbered by the kernel (perf_event_open(2)), those of flops by the makers' manuals, as in the kernel's
 * tools/perf/pmu-events: fp_arith_inst_retired 0xc7, fp_ret_sse_avx_ops.all 0x03/0x0f.
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
import { readPackages } from '../pmu.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

type Column = 'cycles' | 'instructions' | 'llc_references' | 'llc_misses' | 'flops'

interface Wanted {
  column: Column
  type: number
  config: bigint
  /** What a count is worth: the lanes of a vector. */
  times: number
  follows: boolean
}

const TYPE_HARDWARE = 0
const TYPE_RAW = 4

const generic = (column: Column, config: bigint, follows: boolean): Wanted => ({
  column,
  type: TYPE_HARDWARE,
  config,
  times: 1,
  follows,
})
const operations = (config: bigint, times: number): Wanted => ({
  column: 'flops',
  type: TYPE_RAW,
  config,
  times,
  follows: false,
})

/** umask -> lanes: scalar double, scalar single, then packed ones of 128, 256 and 512 bit, double and single. */
const INTEL_LANES: readonly (readonly [umask: bigint, lanes: number])[] = [
  [0x01n, 1],
  [0x02n, 1],
  [0x04n, 2],
  [0x08n, 4],
  [0x10n, 4],
  [0x20n, 8],
  [0x40n, 8],
  [0x80n, 16],
]

function flopsOf(cpuinfo: string): Wanted[] | undefined {
  const family = Number(/^cpu family\s*: (\d+)$/m.exec(cpuinfo)?.[1])
  if (/AuthenticAMD/.test(cpuinfo) && family >= 0x17) return [operations(0x0f03n, 1)]
  // without AVX-512 the two widest count nothing, and hybrid or older cores count otherwise
  if (/GenuineIntel/.test(cpuinfo) && /\bavx512f\b/.test(cpuinfo))
    return INTEL_LANES.map(([umask, lanes]) => operations((umask << 8n) | 0xc7n, lanes))
  return undefined
}

/** Events of the groups, `ipc,cache`; the words of what this CPU cannot count. */
export function wantedOf(groups: string, cpuinfo: string): { wanted: Wanted[]; lacking: string[] } {
  const of: Readonly<Record<string, Wanted[] | undefined>> = {
    ipc: [generic('cycles', 0n, false), generic('instructions', 1n, true)],
    cache: [generic('llc_references', 2n, false), generic('llc_misses', 3n, true)],
    flops: flopsOf(cpuinfo),
  }
  const names = groups.split(',').filter(name => name !== '')
  return {
    wanted: names.flatMap(name => of[name] ?? []),
    lacking: names.filter(name => of[name] === undefined),
  }
}

interface Placed extends CountedEvent {
  socket: string
  column: Column
  times: number
}

const OFF =
  'switched off: --set collector.counters=ipc,cache,flops counts instructions, cache misses and floating point operations'

export function openCounters(options: SourceOptions, open: OpenCounting = openCounting): Source | Absent {
  const groups = options.counters ?? ''
  if (groups === '') return { absent: OFF }
  const cpuinfo = readText(join(options.roots.proc, 'cpuinfo'))?.split('\n\n')[0] ?? ''
  const { wanted, lacking } = wantedOf(groups, cpuinfo)
  if (wanted.length === 0) return { absent: `how this CPU counts ${lacking.join(', ')} is not known` }
  const events = [...readPackages(options.roots)].flatMap(([cpu, socket]) =>
    wanted.map(
      ({ column, type, config, times, follows }): Placed => ({
        ...{ socket, column, times, type, config, cpu, follows },
        config1: 0n,
        config2: 0n,
      }),
    ),
  )
  const counting = open(events)
  if ('absent' in counting) return counting
  const refused = counting.errors.find(errno => errno !== 0)
  if (refused === undefined) return new Counters(events, counting, lacking)
  counting.close()
  return { absent: refusalOf(refused) }
}

class Counters implements Source {
  readonly name = 'counters'
  private readonly events: readonly Placed[]
  private readonly counting: Counting
  private readonly lacking: readonly string[]
  private readonly growth: ReturnType<typeof openGrowth>

  constructor(events: readonly Placed[], counting: Counting, lacking: readonly string[]) {
    this.events = events
    this.counting = counting
    this.growth = openGrowth(counting)
    this.lacking = lacking
  }

  read({ monotonicMs }: Tick): Reading[] {
    const looked = this.growth(monotonicMs)
    if (looked === undefined) return []
    const { grown, seconds } = looked
    // another tool may hold the counters for good: then there is nothing, rather than a part of it
    if (grown.some(Number.isNaN)) throw new SourceError('an event was never on the hardware: does another tool count?')
    return this.readingsOf(grown, seconds)
  }

  private readingsOf(grown: readonly number[], seconds: number): Reading[] {
    const sockets = new Map<string, Map<Column, number>>()
    this.events.forEach(({ socket, column, times }, i) => {
      const columns = sockets.get(socket) ?? new Map<Column, number>()
      columns.set(column, (columns.get(column) ?? 0) + ((grown[i] ?? 0) * times) / seconds)
      sockets.set(socket, columns)
    })
    const readings = [...sockets].flatMap(([instance, columns]): Reading[] => [
      ...[...columns].map(([column, value]): Reading => ({ entity: 'socket', column, instance, value })),
      ...ipcOf('socket', instance, [columns]),
    ])
    return [...readings, ...ipcOf('node', '', [...sockets.values()])]
  }

  detail(): string | undefined {
    return this.lacking.length === 0 ? undefined : `how this CPU counts ${this.lacking.join(', ')} is not known`
  }

  close(): void {
    this.counting.close()
  }
}

/** A ratio of sums, not a mean of ratios: a core that sleeps weighs nothing. */
function ipcOf(entity: 'socket' | 'node', instance: string, parts: readonly ReadonlyMap<Column, number>[]): Reading[] {
  const sum = (column: Column) => parts.reduce((all, part) => all + (part.get(column) ?? 0), 0)
  const cycles = sum('cycles')
  if (cycles === 0) return []
  const column = entity === 'node' ? 'cpu_ipc' : 'ipc'
  return [{ entity, column, instance, value: sum('instructions') / cycles }]
}
