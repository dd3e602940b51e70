import { describe, expect, it } from 'vitest'
import { openPressure, parsePressure } from '../../collector/sources/pressure.ts'
import { captured, makeMachine, opened, table } from './machine.ts'

const psi = (some: number, full: number) =>
  `some avg10=0.17 avg60=0.12 avg300=0.13 total=${some}\nfull avg10=0.15 avg60=0.09 avg300=0.13 total=${full}\n`

describe('/proc/pressure', () => {
  it('gives the share of time waited, of the real time passed', () => {
    const machine = makeMachine({
      'proc/pressure/cpu': psi(1_000_000, 0),
      'proc/pressure/memory': psi(0, 0),
      'proc/pressure/io': psi(5_000_000, 4_000_000),
    })
    const pressure = opened(openPressure(machine.options))
    expect(pressure.read(machine.tick())).toEqual([])
    machine.write('proc/pressure/cpu', psi(1_500_000, 0))
    machine.write('proc/pressure/io', psi(7_000_100, 4_200_000))
    expect(table(pressure.read(machine.tick(2000)))).toEqual({
      'node pressure_cpu_some': 0.25,
      'node pressure_memory_some': 0,
      'node pressure_memory_full': 0,
      'node pressure_io_some': 1, // 2.0001 s of waiting in 2 s: two clocks
      'node pressure_io_full': 0.1,
    })
  })

  it('leaves out a total that fell', () => {
    const machine = makeMachine({ 'proc/pressure/cpu': psi(900, 0) })
    const pressure = opened(openPressure(machine.options))
    pressure.read(machine.tick())
    machine.write('proc/pressure/cpu', psi(100, 0))
    expect(pressure.read(machine.tick())).toEqual([])
  })

  it('reads the captured files; old kernels have no full line for the CPU', () => {
    expect(parsePressure(captured('vm-2-cores', 'before/pressure/io')).full).toBeGreaterThan(0)
    expect(parsePressure('some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n')).toEqual({ some: 12, full: undefined })
  })

  it('is absent, and says what to do, where the kernel has no figures', () => {
    const machine = makeMachine({ 'proc/stat': '' })
    expect(openPressure(machine.options)).toEqual({ absent: expect.stringContaining('psi=1') })
  })

  it('is absent where the files are there but cannot be read, as with psi=0 (EOPNOTSUPP)', () => {
    // a directory can be opened, and reading it fails: EISDIR
    const machine = makeMachine({ 'proc/pressure/cpu/x': '', 'proc/pressure/io/x': '', 'proc/pressure/memory/x': '' })
    expect(openPressure(machine.options)).toEqual({ absent: expect.stringContaining('psi=1') })
  })

  it('refuses a file that is cut short', () => {
    expect(() => parsePressure('some avg10=0.17 avg60=0.12')).toThrow(/without its total/)
  })
})
