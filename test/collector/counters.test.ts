/** Hardware counters: on trees as the kernel documents them with counts that are given, and the addon on this kernel's own software events. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { describe, expect, it } from 'vitest'
import { type CountedEvent, type Counting, growthOf, openCounting, refusalOf } from '../../collector/counting.ts'
import { findTraffic, openControllers } from '../../collector/sources/controllers.ts'
import { openCounters } from '../../collector/sources/counters.ts'
import { makeMachine, opened, table } from './machine.ts'

const TOP = 'sys/bus/event_source/devices'
const pmu = (name: string, files: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [`${TOP}/${name}/${path}`, `${text}\n`]))

/** Two packages of two CPUs. */
const topology = Object.fromEntries(
  [0, 1, 2, 3].map(cpu => [`sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`, `${cpu >> 1}\n`]),
)
const cpuinfo = (vendor: string, family: number, model: number, flags = 'fpu') => ({
  'proc/cpuinfo': `vendor_id\t: ${vendor}\ncpu family\t: ${family}\nmodel\t\t: ${model}\nflags\t\t: ${flags}\n\n`,
})
const SCALE = { scale: '6.103515625e-5', unit: 'MiB' }
const alias = (name: string, terms: string, { scale, unit } = SCALE) => ({
  [`events/${name}`]: terms,
  [`events/${name}.scale`]: scale,
  [`events/${name}.unit`]: unit,
})
const format = { 'format/event': 'config:0-7', 'format/umask': 'config:8-15' }
const imc = (n: number) =>
  pmu(`uncore_imc_${n}`, {
    type: String(14 + n),
    cpumask: '0,2',
    ...format,
    ...alias('cas_count_read', 'event=0x04,umask=0x03'),
    ...alias('cas_count_write', 'event=0x04,umask=0x0c'),
    'events/clockticks': 'event=0x0',
  })

/** Counts that the test gives; each event ran `share` of the time. */
function given(share = 1) {
  const asked: CountedEvent[] = []
  const counts: number[] = []
  let enabled = 0
  const errors: number[] = []
  const open = (events: readonly CountedEvent[]): Counting => {
    asked.push(...events)
    counts.push(...events.map(() => 0))
    return {
      errors: events.map((_, i) => errors[i] ?? 0),
      read: () => Float64Array.from(counts.flatMap(value => [value, enabled, enabled * share])),
      close: () => {},
    }
  }
  const count = (add: (event: CountedEvent) => number) => {
    enabled += 1e9
    asked.forEach((event, i) => {
      counts[i] = (counts[i] ?? 0) + add(event)
    })
  }
  return { asked, open, count, errors }
}

describe('memory controllers', () => {
  it('of Intel servers: by the aliases of sysfs, each package once, 64 bytes a count', () => {
    const machine = makeMachine({ ...topology, ...imc(0), ...imc(1) })
    const hardware = given()
    const source = opened(openControllers(machine.options, hardware.open))
    expect(hardware.asked.map(({ type, config, cpu }) => [type, config, cpu])).toEqual([
      [14, 0x0304n, 0],
      [14, 0x0304n, 2],
      [14, 0x0c04n, 0],
      [14, 0x0c04n, 2],
      [15, 0x0304n, 0],
      [15, 0x0304n, 2],
      [15, 0x0c04n, 0],
      [15, 0x0c04n, 2],
    ])
    expect(source.read(machine.tick())).toEqual([])
    hardware.count(({ cpu, config }) => (cpu === 0 ? 1000 : 100) * (config === 0x0304n ? 2 : 1))
    expect(table(source.read(machine.tick(2000)))).toEqual({
      'socket 0 memory_read_bytes': (2 * 2000 * 64) / 2,
      'socket 0 memory_write_bytes': (2 * 1000 * 64) / 2,
      'socket 1 memory_read_bytes': (2 * 200 * 64) / 2,
      'socket 1 memory_write_bytes': (2 * 100 * 64) / 2,
      'node memory_bandwidth_total': (2 * 3300 * 64) / 2,
    })
    expect(source.detail?.()).toBe("Intel's memory controllers")
  })

  it('leave the bandwidth of the node to resctrl where it counts', () => {
    const group = { 'sys/fs/resctrl/mon_data/mon_L3_00/mbm_total_bytes': '1\n' }
    const machine = makeMachine({ ...topology, ...imc(0), ...group })
    const hardware = given()
    const source = opened(openControllers(machine.options, hardware.open))
    source.read(machine.tick())
    hardware.count(() => 1)
    expect(Object.keys(table(source.read(machine.tick())))).not.toContain('node memory_bandwidth_total')
  })

  it('of other makers', () => {
    const ways = {
      granite: pmu('uncore_imc_0', {
        ...{ type: '30', cpumask: '0', ...format },
        ...alias('cas_count_read_sch0', 'event=0x05,umask=0xcf'),
        ...alias('cas_count_read_sch1', 'event=0x06,umask=0xcf'),
        ...alias('cas_count_write_sch0', 'event=0x05,umask=0xf0'),
      }),
      client: pmu('uncore_imc_free_running_0', {
        ...{ type: '20', cpumask: '0', ...format },
        ...alias('data_read', 'event=0xff,umask=0x20'),
        ...alias('data_write', 'event=0xff,umask=0x30'),
        ...alias('data_total', 'event=0xff,umask=0x10'),
      }),
      icelake: pmu('uncore_imc_free_running_0', {
        ...{ type: '20', cpumask: '0', ...format },
        ...alias('read', 'event=0xff,umask=0x20'),
        ...alias('write', 'event=0xff,umask=0x30'),
        ...alias('ddrt_read', 'event=0xff,umask=0x30'),
      }),
      zen4: pmu('amd_umc_0', {
        ...{ type: '40', cpumask: '2' },
        ...{ 'format/event': 'config:0-7', 'format/rdwrmask': 'config:8-9' },
      }),
      grace: pmu('nvidia_scf_pmu_0', {
        ...{ type: '50', cpumask: '0', 'format/event': 'config:0-31' },
        ...{ 'events/cmem_rd_data': 'event=0x1a5', 'events/cmem_wr_total_bytes': 'event=0x1a0' },
      }),
      yitian: pmu('ali_drw_40021080', {
        ...{ type: '60', cpumask: '2', 'format/event': 'config:0-7' },
        ...{ 'events/hif_rd': 'event=0x1c', 'events/hif_wr': 'event=0x1d', 'events/hif_rmw': 'event=0x1e' },
        ...{ 'events/hif_rd_or_wr': 'event=0x1b', 'events/hif_hi_pri_rd': 'event=0x1f' },
      }),
      kunpeng: pmu('hisi_sccl3_ddrc0', {
        ...{ type: '70', cpumask: '2', 'format/event': 'config:0-4' },
        ...{ 'events/flux_rd': 'config=0x1', 'events/flux_wr': 'config=0x0', 'events/flux_rcmd': 'config=0x3' },
      }),
    }
    const found = Object.entries(ways).map(([name, files]) => {
      const { roots } = makeMachine({ ...topology, ...files }).options
      const { events = [] } = findTraffic(roots) ?? {}
      return [name, ...events.map(e => `${e.direction} ${e.config.toString(16)} on ${e.cpu}/${e.socket} x${e.bytes}`)]
    })
    expect(found).toEqual([
      ['granite', 'read cf05 on 0/0 x64', 'read cf06 on 0/0 x64', 'write f005 on 0/0 x64'],
      ['client', 'read 20ff on 0/0 x64', 'write 30ff on 0/0 x64'],
      ['icelake', 'read 20ff on 0/0 x64', 'write 30ff on 0/0 x64'],
      ['zen4', 'read 10a on 2/1 x64', 'write 20a on 2/1 x64'],
      ['grace', 'read 1a5 on 0/0 x32', 'write 1a0 on 0/0 x1'],
      ['yitian', 'read 1c on 2/1 x64', 'write 1e on 2/1 x64', 'write 1d on 2/1 x64'],
      ['kunpeng', 'read 1 on 2/1 x32', 'write 0 on 2/1 x32'],
    ])
  })

  it("of AMD's data fabric: both directions in one, and only where the CPU counts so", () => {
    const fabric = pmu('amd_df', {
      ...{ type: '9', cpumask: '0', 'format/event': 'config:0-7,32-35', 'format/umask': 'config:8-15' },
    })
    const zen3 = makeMachine({ ...topology, ...fabric, ...cpuinfo('AuthenticAMD', 25, 1) })
    const hardware = given(0.5)
    const source = opened(openControllers(zen3.options, hardware.open))
    expect(hardware.asked).toHaveLength(8)
    expect(hardware.asked[4]?.config).toBe(0x1_0000_3807n)
    source.read(zen3.tick())
    hardware.count(() => 10)
    // eight events on four counters: each ran half of the time
    expect(table(source.read(zen3.tick()))).toEqual({ 'node memory_bandwidth_total': 8 * 10 * 2 * 64 })
    const zen4 = makeMachine({ ...topology, ...fabric, ...cpuinfo('AuthenticAMD', 25, 17) })
    expect(openControllers(zen4.options, given().open)).toEqual({ absent: expect.stringContaining('amd_uncore') })
  })

  it('are absent with what to do', () => {
    const machine = makeMachine({ ...topology, ...imc(0) })
    const refused = given()
    refused.errors[1] = 13
    expect(openControllers(machine.options, refused.open)).toEqual({ absent: expect.stringContaining('CAP_PERFMON') })
    expect(openControllers(makeMachine({}).options, given().open)).toEqual({
      absent: expect.stringContaining('virtual machines have none'),
    })
    expect([2, 24, 22].map(refusalOf)).toEqual([
      expect.stringContaining('virtual machine'),
      expect.stringContaining('ulimit -n'),
      'perf_event_open fails with errno 22',
    ])
  })

  it('tell nothing where a part stopped counting, and go on when it counts again', () => {
    const machine = makeMachine({ ...topology, ...imc(0) })
    const hardware = given()
    const source = opened(openControllers(machine.options, hardware.open))
    source.read(machine.tick())
    hardware.count(({ cpu }) => (cpu === 2 ? Number.NaN : 5))
    expect(() => source.read(machine.tick())).toThrow('stopped counting on a CPU')
  })
})

describe("the cores' counters", () => {
  it('are off until they are asked for', () => {
    expect(openCounters(makeMachine(topology).options, given().open)).toEqual({
      absent: expect.stringContaining('--set collector.counters='),
    })
  })

  it('give instructions per cycle as a ratio of sums, scaled by the time they ran', () => {
    const machine = makeMachine({ ...topology, ...cpuinfo('GenuineIntel', 6, 85) })
    const hardware = given(0.25)
    const source = opened(openCounters({ ...machine.options, counters: 'ipc,cache' }, hardware.open))
    expect(hardware.asked.slice(0, 4).map(({ type, config, cpu, follows }) => [type, config, cpu, follows])).toEqual([
      [0, 0n, 0, false],
      [0, 1n, 0, true],
      [0, 2n, 0, false],
      [0, 3n, 0, true],
    ])
    source.read(machine.tick())
    // package 0: 100 cycles with 300 instructions and 0 with 0; package 1: 1000 with 500, twice
    const cycles = [100, 0, 1000, 1000]
    const instructions = [300, 0, 500, 500]
    hardware.count(({ cpu, config }) => [cycles[cpu] ?? 0, instructions[cpu] ?? 0, 8, 2][Number(config)] ?? 0)
    expect(table(source.read(machine.tick()))).toEqual({
      'socket 0 cycles': 400,
      'socket 0 instructions': 1200,
      'socket 0 ipc': 3,
      'socket 0 llc_references': 64,
      'socket 0 llc_misses': 16,
      'socket 1 cycles': 8000,
      'socket 1 instructions': 4000,
      'socket 1 ipc': 0.5,
      'socket 1 llc_references': 64,
      'socket 1 llc_misses': 16,
      'node cpu_ipc': 0.619048,
    })
  })

  it('count floating point operations by the width of the vector', () => {
    const machine = makeMachine({ ...topology, ...cpuinfo('GenuineIntel', 6, 85, 'fpu avx512f') })
    const hardware = given()
    const source = opened(openCounters({ ...machine.options, counters: 'flops' }, hardware.open))
    source.read(machine.tick())
    // 512 bit doubles: umask 0x40
    hardware.count(({ cpu, config }) => (cpu === 0 && config === 0x40c7n ? 1000 : 0))
    expect(table(source.read(machine.tick()))).toMatchObject({ 'socket 0 flops': 8000, 'socket 1 flops': 0 })
    const amd = makeMachine({ ...topology, ...cpuinfo('AuthenticAMD', 25, 1) })
    const counted = given()
    openCounters({ ...amd.options, counters: 'flops' }, counted.open)
    expect(counted.asked.map(({ type, config }) => [type, config])).toEqual([0, 1, 2, 3].map(() => [4, 0x0f03n]))
    const arm = makeMachine(topology)
    expect(openCounters({ ...arm.options, counters: 'flops' }, given().open)).toEqual({
      absent: 'how this CPU counts flops is not known',
    })
  })
})

describe('growth', () => {
  it('is absent for what never ran, went backwards or cannot be read', () => {
    const before = Float64Array.of(10, 0, 0, 10, 0, 0, 10, 0, 0, Number.NaN, 0, 0)
    const now = Float64Array.of(30, 100, 50, 10, 100, 0, 5, 100, 100, 10, 100, 100)
    expect(growthOf(before, now)).toEqual([40, Number.NaN, Number.NaN, Number.NaN])
  })
})

describe('the addon on this kernel', () => {
  const SOFTWARE = 1
  const CONTEXT_SWITCHES = 3n
  const switchesOf = (text: string) => Number(/^ctxt (\d+)$/m.exec(text)?.[1])
  const readSwitches = () => switchesOf(readFileSync('/proc/stat', 'utf8'))

  it('counts the context switches that /proc/stat counts', async ctx => {
    const events = cpus().map((_, cpu) => ({
      ...{ type: SOFTWARE, config: CONTEXT_SWITCHES, config1: 0n, config2: 0n },
      cpu,
    }))
    const counting = openCounting(events)
    if ('absent' in counting) return ctx.skip(counting.absent)
    if (counting.errors.some(errno => errno !== 0)) return ctx.skip(refusalOf(counting.errors[0] ?? 0))
    try {
      const [outer, before, inner] = [readSwitches(), counting.read(), readSwitches()]
      // ends when enough was counted, however busy the machine is
      while (readSwitches() - inner < 2000) await new Promise(resolve => setTimeout(resolve, 5))
      const [innerEnd, now, outerEnd] = [readSwitches(), counting.read(), readSwitches()]
      const counted = growthOf(before, now).reduce((sum, grown) => sum + grown, 0)
      // what /proc/stat counted between the inner looks is contained, what it counted between the outer ones contains it
      expect(counted).toBeGreaterThanOrEqual((innerEnd - inner) * 0.98)
      expect(counted).toBeLessThanOrEqual((outerEnd - outer) * 1.02)
    } finally {
      counting.close()
    }
  })
})
