import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openBandwidth, parseMonitor } from '../../collector/sources/bandwidth.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

const cpuinfo = (vendor: string, flags = 'fpu cqm_llc cqm_occup_llc cqm_mbm_total cqm_mbm_local') => ({
  'proc/cpuinfo': `processor\t: 0\nvendor_id\t: ${vendor}\nflags\t\t: ${flags}\n\nprocessor\t: 1\nvendor_id\t: ${vendor}\n`,
})
type Count = number | string
/** Files of a group as docs.kernel.org/filesystems/resctrl.html draws them. */
const group = (
  path: string,
  caches: Readonly<Record<string, readonly [total: Count, local: Count, occupancy?: Count]>>,
) =>
  Object.fromEntries(
    Object.entries(caches).flatMap(([cache, [total, local, occupancy = 1000]]) => {
      const top = `sys/fs/resctrl/${path}mon_data/mon_L3_${cache}`
      return [
        [`${top}/mbm_total_bytes`, `${total}\n`],
        [`${top}/mbm_local_bytes`, `${local}\n`],
        [`${top}/llc_occupancy`, `${occupancy}\n`],
      ]
    }),
  )
const cacheSize = (cpu: number, id: number) => ({
  [`sys/devices/system/cpu/cpu${cpu}/cache/index3/id`]: `${id}\n`,
  [`sys/devices/system/cpu/cpu${cpu}/cache/index3/size`]: '32768K\n',
})
const write = (machine: Machine, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) machine.write(path, text)
}

describe('resctrl', () => {
  it('sums control groups, and no monitoring group, which is in them', () => {
    const at = (t: number) => ({
      ...group('', { '00': [t * 100, t * 60], '01': [t * 10, t * 10] }),
      ...group('mon_groups/job1/', { '00': [t * 90, t * 50], '01': [0, 0] }),
      ...group('batch/', { '00': [t * 1000, t * 600, 500], '01': [t * 20, t * 5] }),
      ...group('batch/mon_groups/job2/', { '00': [t * 900, t * 500], '01': [0, 0] }),
      'sys/fs/resctrl/info/L3_MON/mon_features': 'llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n',
      'sys/fs/resctrl/tasks': '1\n2\n',
    })
    const machine = makeMachine({ ...cpuinfo('GenuineIntel'), ...at(1), ...cacheSize(0, 0), ...cacheSize(1, 1) })
    const bandwidth = opened(openBandwidth(machine.options))
    expect(table(bandwidth.read(machine.tick()))).toEqual({
      'cache 0 occupancy': 1500,
      'cache 1 occupancy': 2000,
      'cache 0 size': 32 << 20,
      'cache 1 size': 32 << 20,
    })
    write(machine, at(3))
    expect(table(bandwidth.read(machine.tick(2000)))).toMatchObject({
      'cache 0 memory_bandwidth_total': 1100,
      'cache 0 memory_bandwidth_local': 660,
      'cache 1 memory_bandwidth_total': 30,
      'cache 1 memory_bandwidth_local': 15,
      'node memory_bandwidth_total': 1130,
      'node memory_bandwidth_local': 675,
      'node memory_bandwidth_remote': 455,
    })
  })

  it('tells nothing of remote memory on AMD, where total is more than local and remote', () => {
    const at = (t: number) => group('', { '00': [t * 100, t * 60], '03': [t * 100, t * 60] })
    const machine = makeMachine({ ...cpuinfo('AuthenticAMD'), ...at(0) })
    const bandwidth = opened(openBandwidth(machine.options))
    bandwidth.read(machine.tick())
    write(machine, at(1))
    const told = table(bandwidth.read(machine.tick()))
    expect(told).toMatchObject({ 'cache 3 memory_bandwidth_total': 100, 'node memory_bandwidth_total': 200 })
    expect(told).not.toHaveProperty('node memory_bandwidth_remote')
  })

  it('leaves out, and never makes 0, what the hardware has no number for', () => {
    for (const word of ['Unavailable', 'Unassigned', 'Error']) {
      const at = (t: number, total: Count) => group('', { '00': [total, t * 5], '01': [t * 10, t * 10] })
      const machine = makeMachine({ ...cpuinfo('GenuineIntel'), ...at(0, 0) })
      const bandwidth = opened(openBandwidth(machine.options))
      bandwidth.read(machine.tick())
      write(machine, at(1, word))
      const told = table(bandwidth.read(machine.tick()))
      expect(Object.keys(told).filter(key => key.endsWith('_total'))).toEqual(['cache 1 memory_bandwidth_total'])
      expect(told).toHaveProperty('node memory_bandwidth_local', 15)
      expect(bandwidth.detail?.()).toBe(`some counters are ${word.toLowerCase()}`)
      write(machine, at(2, 900))
      expect(table(bandwidth.read(machine.tick()))).not.toHaveProperty('node memory_bandwidth_total')
      write(machine, at(3, 950))
      expect(table(bandwidth.read(machine.tick()))).toHaveProperty('node memory_bandwidth_total', 60)
    }
  })

  it('does not know the sum in the tick in which a group appears; one that goes is no fall', () => {
    const machine = makeMachine({ ...cpuinfo('GenuineIntel'), ...group('', { '00': [0, 0] }) })
    const bandwidth = opened(openBandwidth(machine.options))
    bandwidth.read(machine.tick())
    write(machine, { ...group('', { '00': [100, 100] }), ...group('batch/', { '00': [7e9, 7e9] }) })
    expect(table(bandwidth.read(machine.tick()))).not.toHaveProperty('node memory_bandwidth_total')
    write(machine, { ...group('', { '00': [200, 200] }), ...group('batch/', { '00': [7e9 + 50, 7e9] }) })
    expect(table(bandwidth.read(machine.tick()))).toHaveProperty('node memory_bandwidth_total', 150)
    rmSync(join(machine.options.roots.sys, 'fs/resctrl/batch'), { recursive: true })
    write(machine, group('', { '00': [300, 300] }))
    expect(table(bandwidth.read(machine.tick()))).toHaveProperty('node memory_bandwidth_total', 100)
  })

  it('takes the cache as a whole where it is divided (sub-NUMA clusters)', () => {
    const sub = (t: number) => ({
      'sys/fs/resctrl/mon_data/mon_L3_00/mon_sub_L3_00/mbm_total_bytes': `${t * 5}\n`,
      'sys/fs/resctrl/mon_data/mon_L3_00/mon_sub_L3_01/mbm_total_bytes': `${t * 7}\n`,
      ...group('', { '00': [t * 12, t * 12] }),
    })
    const machine = makeMachine({ ...cpuinfo('GenuineIntel'), ...sub(0) })
    const bandwidth = opened(openBandwidth(machine.options))
    bandwidth.read(machine.tick())
    write(machine, sub(10))
    expect(table(bandwidth.read(machine.tick()))).toHaveProperty('node memory_bandwidth_total', 120)
  })

  it('counts a file that is not what it should be', () => {
    const machine = makeMachine({ ...cpuinfo('GenuineIntel'), ...group('', { '00': [0, 0], '01': [0, 0] }) })
    const bandwidth = opened(openBandwidth(machine.options))
    bandwidth.read(machine.tick())
    write(machine, group('', { '00': ['12 bytes', 1], '01': [7, 1] }))
    const { told, problem } = partsOf(bandwidth, machine.tick())
    expect(problem).toBe('/sys/fs/resctrl/mon_data/mon_L3_00/mbm_total_bytes is no number')
    expect(told).toMatchObject({ 'cache 1 memory_bandwidth_total': 7, 'node memory_bandwidth_local': 2 })
  })

  it('asks many caches and groups every 10 s at most', () => {
    const caches = Object.fromEntries(
      Array.from({ length: 80 }, (_, i) => [String(i).padStart(2, '0'), [0, 0] as const]),
    )
    const machine = makeMachine({ ...cpuinfo('AuthenticAMD'), ...group('', caches) })
    const bandwidth = opened(openBandwidth(machine.options))
    const told = Array.from({ length: 21 }, () => bandwidth.read(machine.tick()).length > 0)
    expect(told.filter(Boolean)).toHaveLength(3)
  })

  it('is absent with what to do', () => {
    const vm = makeMachine(cpuinfo('AuthenticAMD', 'fpu hypervisor'))
    expect(openBandwidth(vm.options)).toEqual({ absent: expect.stringContaining('no cqm_mbm_total') })
    const unmounted = makeMachine(cpuinfo('GenuineIntel'))
    mkdirSync(join(unmounted.options.roots.sys, 'fs/resctrl'), { recursive: true })
    expect(openBandwidth(unmounted.options)).toEqual({ absent: expect.stringContaining('mount -t resctrl') })
    const old = makeMachine(cpuinfo('GenuineIntel'))
    expect(openBandwidth(old.options)).toEqual({ absent: expect.stringContaining('CONFIG_X86_CPU_RESCTRL') })
    const cat = makeMachine({ ...cpuinfo('GenuineIntel', 'cat_l3'), 'sys/fs/resctrl/schemata': 'L3:0=ff\n' })
    expect(openBandwidth(cat.options)).toEqual({ absent: expect.stringContaining('resctrl is mounted, but') })
  })

  it('reads words and numbers', () => {
    expect([parseMonitor('12\n'), parseMonitor('Unavailable\n'), parseMonitor(''), parseMonitor('-')]).toEqual([
      12,
      'Unavailable',
      'no number',
      'no number',
    ])
  })
})
