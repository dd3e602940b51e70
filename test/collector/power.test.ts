import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openPower, wattsOf } from '../../collector/sources/power.ts'
import { type Machine, makeMachine, opened, partsOf, table, toldIn } from './machine.ts'

const RANGE = 262_143_328_850
type Zone = [zone: string, name: string, microjoules: number, range?: number]

/** /sys/class/powercap as docs.kernel.org/power/powercap/powercap.html draws it; all zones lie in the class directory. */
const powercap = (...zones: Zone[]) =>
  Object.fromEntries(
    zones.flatMap(([zone, name, microjoules, range = RANGE]) => {
      const top = `sys/class/powercap/${zone}`
      return [
        [`${top}/name`, `${name}\n`],
        [`${top}/energy_uj`, `${microjoules}\n`],
        [`${top}/max_energy_range_uj`, `${range}\n`],
        [`${top}/constraint_0_name`, 'long_term\n'],
        [`${top}/constraint_0_power_limit_uw`, name.startsWith('package') ? '225000000\n' : ''],
      ]
    }),
  )

const twoSockets = (seconds: number): Zone[] => [
  ['intel-rapl:0', 'package-0', 1e9 + 150e6 * seconds],
  ['intel-rapl:0:0', 'core', 5e8 + 120e6 * seconds],
  ['intel-rapl:0:1', 'dram', 1e8 + 20e6 * seconds, 65_532_610_987],
  ['intel-rapl:1', 'package-1', 2e9 + 90e6 * seconds],
  ['intel-rapl:1:0', 'dram', 2e8 + 15e6 * seconds, 65_532_610_987],
  ['intel-rapl:2', 'psys', 9e9 + 400e6 * seconds],
  ['intel-rapl-mmio:0', 'package-0', 1e9 + 150e6 * seconds],
]

const write = (machine: Machine, zones: readonly Zone[]) => {
  for (const [path, text] of Object.entries(powercap(...zones))) machine.write(path, text)
}

describe('RAPL', () => {
  it('gives watts of each package and its memory: no core, no board, nothing twice', () => {
    const machine = makeMachine({ 'sys/class/powercap/intel-rapl/enabled': '1\n', ...powercap(...twoSockets(0)) })
    const power = opened(openPower(machine.options))
    expect(table(power.read(machine.tick()))).toEqual({
      'socket 0 power_limit_watts': 225,
      'socket 1 power_limit_watts': 225,
    })
    write(machine, twoSockets(2))
    expect(table(power.read(machine.tick(2000)))).toEqual({
      'socket 0 power_watts': 150,
      'socket 0 memory_power_watts': 20,
      'socket 1 power_watts': 90,
      'socket 1 memory_power_watts': 15,
      'socket 0 power_limit_watts': 225,
      'socket 1 power_limit_watts': 225,
    })
  })

  it('goes on where a counter begins again', () => {
    const machine = makeMachine(powercap(['intel-rapl:0', 'package-0', RANGE - 30e6]))
    const power = opened(openPower(machine.options))
    power.read(machine.tick())
    write(machine, [['intel-rapl:0', 'package-0', 70e6]])
    expect(table(power.read(machine.tick(1000)))).toMatchObject({ 'socket 0 power_watts': 100 })
  })

  it('adds the dies of a package up, and does not without one of them', () => {
    const dies = (t: number): Zone[] => [
      ['intel-rapl:0', 'package-0-die-0', 1e6 + 50e6 * t],
      ['intel-rapl:1', 'package-0-die-1', 1e6 + 60e6 * t],
      ['intel-rapl:2', 'package-1-die-0', 1e6 + 70e6 * t],
    ]
    const machine = makeMachine(powercap(...dies(0)))
    const power = opened(openPower(machine.options))
    power.read(machine.tick())
    write(machine, dies(1))
    const whole = { 'socket 0 power_watts': 110, 'socket 1 power_watts': 70 }
    expect(table(power.read(machine.tick()))).toMatchObject(whole)
    write(machine, dies(2))
    machine.write('sys/class/powercap/intel-rapl:1/energy_uj', 'no number')
    const { told, problem } = partsOf(power, machine.tick())
    expect(told).not.toHaveProperty('socket 0 power_watts')
    expect(told).toMatchObject({ 'socket 1 power_watts': 70 })
    expect(problem).toBe('/sys/class/powercap/intel-rapl:1/energy_uj is no number')
  })

  it('reads by memory where that is the only way', () => {
    const machine = makeMachine(powercap(['intel-rapl-mmio:0', 'package-0', 0]))
    const power = opened(openPower(machine.options))
    power.read(machine.tick())
    write(machine, [['intel-rapl-mmio:0', 'package-0', 35e6]])
    expect(table(power.read(machine.tick()))).toMatchObject({ 'socket 0 power_watts': 35 })
  })

  it('knows what it cannot know', () => {
    expect(wattsOf(undefined, 5e6, 1, RANGE)).toBeUndefined()
    expect(wattsOf(5e6, 4e6, 1, undefined)).toBeUndefined()
    expect(wattsOf(5e6, 5e6, 1, RANGE)).toBeUndefined() // stands still: a virtual machine's
    expect(wattsOf(5e6, 6e6, 0, RANGE)).toBeUndefined()
    // a range of 65 kJ can have gone by twice in 5 minutes
    expect(wattsOf(5e6, 6e6, 300, 65_532_610_987)).toBeUndefined()
    expect(wattsOf(5e6, 6e6, 60, 65_532_610_987)).toBeCloseTo(1 / 60)
  })

  it('counts a zone that cannot be read, and begins anew when it can', () => {
    const machine = makeMachine(powercap(['intel-rapl:0', 'package-0', 0]))
    const power = opened(openPower(machine.options))
    power.read(machine.tick())
    machine.write('sys/class/powercap/intel-rapl:0/energy_uj', '')
    expect(partsOf(power, machine.tick()).told).not.toHaveProperty('socket 0 power_watts')
    write(machine, [['intel-rapl:0', 'package-0', 900e6]])
    expect(partsOf(power, machine.tick()).told).not.toHaveProperty('socket 0 power_watts')
    write(machine, [['intel-rapl:0', 'package-0', 980e6]])
    expect(partsOf(power, machine.tick()).told).toMatchObject({ 'socket 0 power_watts': 80 })
  })

  it('is absent with what to do', () => {
    expect(openPower(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('modprobe intel_rapl_msr') })
    const forRoot = makeMachine(powercap(['intel-rapl:0', 'package-0', 0]))
    rmSync(join(forRoot.options.roots.sys, 'class/powercap/intel-rapl:0/energy_uj'))
    expect(openPower(forRoot.options)).toEqual({ absent: expect.stringContaining('CAP_DAC_READ_SEARCH') })
  })
})

describe('without RAPL', () => {
  it("reads the sockets of hwmon's amd_energy", () => {
    const top = 'sys/class/hwmon/hwmon2'
    const machine = makeMachine({
      [`${top}/name`]: 'amd_energy\n',
      [`${top}/energy1_label`]: 'Ecore000\n',
      [`${top}/energy1_input`]: '1\n',
      [`${top}/energy65_label`]: 'Esocket0\n',
      [`${top}/energy65_input`]: '1000000\n',
    })
    const power = opened(openPower(machine.options))
    power.read(machine.tick())
    machine.write(`${top}/energy65_input`, '171000000\n')
    expect(table(power.read(machine.tick()))).toEqual({ 'socket 0 power_watts': 170 })
  })

  it('reads the power meters of NVIDIA Grace: the socket, not its parts nor the GPU beside it', async () => {
    const meters = ['Module Power Socket 0', 'Grace Power Socket 0', 'CPU Power Socket 0', 'SysIO Power Socket 0']
    const files = meters.flatMap((label, i) => [
      [`sys/class/hwmon/hwmon${i}/name`, 'power_meter\n'],
      [`sys/class/hwmon/hwmon${i}/device/power1_oem_info`, `${label}\n`],
      [`sys/class/hwmon/hwmon${i}/device/power1_average`, `${(i + 1) * 100_000_000}\n`],
    ])
    const machine = makeMachine(Object.fromEntries(files))
    const power = opened(openPower(machine.options))
    await toldIn(() => expect(table(power.read(machine.tick()))).toEqual({ 'socket 0 power_watts': 200 }))
    power.close?.()
  })
})
