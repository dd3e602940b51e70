import { describe, expect, it } from 'vitest'
import { openCpu, parseStat, sharesOf } from '../../collector/sources/cpu.ts'
import { captured, makeMachine, opened, table } from './machine.ts'

/** columns: user nice system idle iowait irq softirq steal guest guest_nice */
const STAT = `cpu  200 0 100 700 0 0 0 0 0 0
cpu0 100 0 50 350 0 0 0 0 0 0
cpu1 100 0 50 350 0 0 0 0 0 0
intr 1000 3 0 997
ctxt 5000
btime 1795455812
processes 300
procs_running 3
procs_blocked 1
softirq 77 1 2
`

describe('/proc/stat', () => {
  it('gives shares of each mode, for the node and each core, and rates by the real time passed', () => {
    const machine = makeMachine({ 'proc/stat': STAT })
    const cpu = opened(openCpu(machine.options))
    expect(table(cpu.read(machine.tick()))).toEqual({
      'node cpu_count': 2,
      'node processes_running': 3,
      'node processes_blocked': 1,
    })
    //  core 0: +100 ticks: 50 user, 50 idle      core 1: +100: 20 nice, 10 iowait, 30 steal, 40 idle
    machine.write(
      'proc/stat',
      `cpu  250 20 100 790 10 0 0 30 0 0
cpu0 150 0 50 400 0 0 0 0 0 0
cpu1 100 20 50 390 10 0 0 30 0 0
intr 2000 3 0 1997
ctxt 9000
btime 1795455812
processes 310
procs_running 1
procs_blocked 0
`,
    )
    const readings = table(cpu.read(machine.tick(2000)))
    expect(readings).toMatchObject({
      'node cpu_user': 0.25,
      'node cpu_nice': 0.1,
      'node cpu_system': 0,
      'node cpu_idle': 0.45,
      'node cpu_iowait': 0.05,
      'node cpu_steal': 0.15,
      'node cpu_busy': 0.5,
      'node cpu_count': 2,
      'node context_switches': 2000,
      'node interrupts': 500,
      'node forks': 5,
      'node processes_running': 1,
      'core 0 cpu_user': 0.5,
      'core 0 cpu_idle': 0.5,
      'core 1 cpu_nice': 0.2,
      'core 1 cpu_iowait': 0.1,
      'core 1 cpu_steal': 0.3,
      'core 1 cpu_idle': 0.4,
    })
    expect(Object.keys(readings).filter(key => key.startsWith('core'))).toHaveLength(16)
  })

  it('does not add guest time, which user contains already', () => {
    const before = parseStat('cpu  0 0 0 0 0 0 0 0 0 0\n')
    const now = parseStat('cpu  80 0 0 20 0 0 0 0 80 0\n')
    expect(sharesOf(before.total, now.total)?.[0]).toBe(0.8)
  })

  it('agrees with what the captured machine did: a busy loop of 4 s in 5 s on two cores', () => {
    const before = parseStat(captured('vm-2-cores', 'before/stat'))
    const after = parseStat(captured('vm-2-cores', 'after/stat'))
    const grown = after.total.map((ticks, mode) => ticks - (before.total[mode] ?? 0))
    expect(grown).toEqual([404, 1, 27, 563, 4, 0, 0, 0])
    expect(sharesOf(before.total, after.total)?.[0]).toBeCloseTo(404 / 999)
    expect(after.cores.size).toBe(2)
    expect(after.forks).toBeGreaterThan(before.forks ?? Number.POSITIVE_INFINITY)
  })

  it('leaves a core out for the tick in which it comes back, and out altogether while it is offline', () => {
    const lines = (...cores: string[]) => `cpu  ${cores.length}00 0 0 0 0 0 0 0 0 0\n${cores.join('\n')}\n`
    const machine = makeMachine({ 'proc/stat': lines('cpu0 100 0 0 0 0 0 0 0 0 0', 'cpu1 900 0 0 9000 0 0 0 0 0 0') })
    const cpu = opened(openCpu(machine.options))
    const cores = () =>
      Object.keys(table(cpu.read(machine.tick())))
        .filter(key => key.endsWith('cpu_user') && key.startsWith('core'))
        .map(key => key.slice(5, -9))
    cpu.read(machine.tick())
    machine.write('proc/stat', lines('cpu0 200 0 0 0 0 0 0 0 0 0'))
    expect(cores()).toEqual(['0'])
    machine.write('proc/stat', lines('cpu0 300 0 0 0 0 0 0 0 0 0', 'cpu1 0 0 0 7 0 0 0 0 0 0'))
    expect(cores()).toEqual(['0'])
    machine.write('proc/stat', lines('cpu0 400 0 0 0 0 0 0 0 0 0', 'cpu1 50 0 0 57 0 0 0 0 0 0'))
    expect(cores()).toEqual(['0', '1'])
    // counters of cpu1 fell between two ticks that both saw it
    machine.write('proc/stat', lines('cpu0 500 0 0 0 0 0 0 0 0 0', 'cpu1 3 0 0 0 0 0 0 0 0 0'))
    expect(cores()).toEqual(['0'])
  })

  it('takes a small step back of iowait for 0, as the kernel says it happens', () => {
    expect(sharesOf([10, 0, 0, 100, 50], [20, 0, 0, 190, 48])).toEqual([0.1, 0, 0, 0.9, 0])
  })

  it('gives nothing at all where a counter was reset', () => {
    expect(sharesOf([10, 0, 5, 100, 0], [11, 0, 0, 200, 0])).toBeUndefined()
    expect(sharesOf([10, 0, 5, 9000, 0], [11, 0, 6, 200, 0])).toBeUndefined()
  })

  it('reads 256 cores, of which 64..127 are offline, and an interrupt line of 4000 columns', () => {
    const online = [...Array(256).keys()].filter(core => core < 64 || core > 127)
    const text = (ticks: number) =>
      [
        `cpu  ${ticks * online.length} 0 0 ${ticks * online.length} 0 0 0 0 0 0`,
        ...online.map(core => `cpu${core} ${ticks} 0 0 ${ticks} 0 0 0 0 0 0`),
        `intr ${ticks}${' 123456'.repeat(4000)}`,
        'ctxt 1',
        'processes 1',
        '',
      ].join('\n')
    const machine = makeMachine({ 'proc/stat': text(1000) })
    const cpu = opened(openCpu(machine.options))
    cpu.read(machine.tick())
    machine.write('proc/stat', text(1100))
    const readings = table(cpu.read(machine.tick()))
    expect(readings).toMatchObject({
      'node cpu_count': 192,
      'node cpu_user': 0.5,
      'node interrupts': 100,
      'core 255 cpu_user': 0.5,
      'core 63 cpu_idle': 0.5,
    })
    expect(Object.keys(readings).filter(key => key.startsWith('core'))).toHaveLength(192 * 8)
    expect(readings).not.toHaveProperty('core 64 cpu_user')
  })

  it('leaves the cores out where they are not wanted', () => {
    const machine = makeMachine({ 'proc/stat': captured('vm-2-cores', 'before/stat') })
    const cpu = opened(openCpu({ ...machine.options, perCore: false }))
    cpu.read(machine.tick())
    machine.write('proc/stat', captured('vm-2-cores', 'after/stat'))
    expect(cpu.read(machine.tick()).every(r => r.entity === 'node')).toBe(true)
  })

  it.each([
    ['empty', ''],
    ['cut in the first line', 'cpu  123 4'],
    ['something else', 'Permission denied\n'],
    ['not numbers', 'cpu  a b c d e f g h i j\n'],
    ['bytes', '\0\xff\0cpu\0\0'],
  ])('refuses a file that is %s', (_, text) => {
    expect(() => parseStat(text)).toThrow(/cpu line/)
  })

  it('says why it is absent', () => {
    const machine = makeMachine({})
    expect(openCpu(machine.options)).toEqual({ absent: 'no /proc/stat' })
  })
})
