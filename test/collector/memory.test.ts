import { describe, expect, it } from 'vitest'
import { openLoad, parseLoad } from '../../collector/sources/load.ts'
import { memoryReadings, openMemory, parseMeminfo } from '../../collector/sources/memory.ts'
import { openPaging, parseVmstat } from '../../collector/sources/paging.ts'
import { captured, makeMachine, opened, table } from './machine.ts'

describe('/proc/meminfo', () => {
  it('counts used as what programs cannot get back, cached as free(1) does', () => {
    const text = `MemTotal:       1000 kB
MemFree:         300 kB
MemAvailable:    600 kB
Buffers:          10 kB
Cached:          200 kB
SwapTotal:        50 kB
SwapFree:         20 kB
Dirty:             4 kB
Writeback:         1 kB
SReclaimable:     40 kB
HugePages_Total:       7
Hugepagesize:       2048 kB
`
    const machine = makeMachine({ 'proc/meminfo': text })
    const kib = (n: number) => n * 1024
    expect(table(opened(openMemory(machine.options)).read(machine.tick()))).toEqual({
      'node memory_total': kib(1000),
      'node memory_used': kib(400),
      'node memory_free': kib(300),
      'node memory_cached': kib(240),
      'node memory_buffers': kib(10),
      'node memory_available': kib(600),
      'node memory_dirty': kib(5),
      'node swap_used': kib(30),
      'node swap_total': kib(50),
    })
  })

  it('reads the captured machine', () => {
    const readings = table(memoryReadings(parseMeminfo(captured('vm-2-cores', 'before/meminfo'))))
    expect(readings['node memory_total']).toBe(24_683_656 * 1024)
    expect(readings['node swap_total']).toBe(0)
    expect(Object.keys(readings)).toHaveLength(9)
  })

  it('leaves out what an old kernel does not say, and never makes it 0', () => {
    const readings = table(memoryReadings(parseMeminfo('MemTotal: 100 kB\nMemFree: 50 kB\nCached: 10 kB\n')))
    expect(readings).toEqual({ 'node memory_total': 102_400, 'node memory_free': 51_200 })
  })

  it('refuses what is not meminfo', () => {
    expect(() => parseMeminfo('')).toThrow(/MemTotal/)
    expect(() => parseMeminfo('MemTotal: oops kB\n')).toThrow(/MemTotal/)
  })
})

describe('/proc/vmstat', () => {
  it('gives rates; a counter this kernel lacks stays away', () => {
    const machine = makeMachine({ 'proc/vmstat': 'pgfault 5\npswpin 10\npswpout 0\npgmajfault 100\n' })
    const paging = opened(openPaging(machine.options))
    expect(paging.read(machine.tick())).toEqual([])
    machine.write('proc/vmstat', 'pgfault 5\npswpin 30\npswpout 0\npgmajfault 90\n')
    //                                                 2 s: 20 in, and pgmajfault went backwards
    expect(table(paging.read(machine.tick(2000)))).toEqual({ 'node swap_in': 10, 'node swap_out': 0 })
  })

  it('finds all five in the captured file, and is not led astray by names that contain them', () => {
    expect([...parseVmstat(captured('vm-2-cores', 'after/vmstat')).keys()].sort()).toEqual([
      'oom_kills',
      'page_faults_major',
      'page_faults_minor',
      'swap_in',
      'swap_out',
    ])
    // pgfault counts the major ones too
    expect(parseVmstat('pgfault 50\npgmajfault 20\n').get('page_faults_minor')).toBe(30)
    expect(parseVmstat('xoom_kill 7\noom_kill_x 8\npswpin 1\n')).toEqual(new Map([['swap_in', 1]]))
  })

  it('refuses what is not vmstat', () => {
    expect(() => parseVmstat('')).toThrow(/none of the known/)
  })
})

describe('/proc/loadavg', () => {
  it('gives the three means', () => {
    const machine = makeMachine({ 'proc/loadavg': '0.85 0.88 0.40 1/112 13700\n' })
    expect(table(opened(openLoad(machine.options)).read(machine.tick()))).toEqual({
      'node load_1m': 0.85,
      'node load_5m': 0.88,
      'node load_15m': 0.4,
    })
  })

  it.each(['', '1.0', '1.0 x 2.0 1/1 1'])('refuses %j', text => {
    expect(() => parseLoad(text)).toThrow(/three numbers/)
  })
})
