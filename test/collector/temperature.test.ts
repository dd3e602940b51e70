import { describe, expect, it } from 'vitest'
import { openTemperature } from '../../collector/sources/temperature.ts'
import { makeMachine, opened, partsOf, table, toldIn } from './machine.ts'

/** chip('coretemp', 0, ['Package id 0', 48000, 100000], ['Core 0', 51000]) */
const chip = (name: string, number: number, ...sensors: [label: string, input: number | string, crit?: number][]) => {
  const top = `sys/class/hwmon/hwmon${number}`
  const files: Record<string, string> = { [`${top}/name`]: `${name}\n` }
  sensors.forEach(([label, input, crit], i) => {
    if (label !== '') files[`${top}/temp${i + 1}_label`] = `${label}\n`
    files[`${top}/temp${i + 1}_input`] = `${input}\n`
    if (crit !== undefined) files[`${top}/temp${i + 1}_crit`] = `${crit}\n`
  })
  return files
}
const packages = (...sockets: number[]) =>
  Object.fromEntries(
    sockets.map((socket, cpu) => [`sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`, `${socket}\n`]),
  )

describe('temperature', () => {
  it('is that of the package, not of its cores', () => {
    const machine = makeMachine({
      ...chip('coretemp', 3, ['Package id 0', 48_000, 100_000], ['Core 0', 51_000, 100_000]),
      ...chip('coretemp', 10, ['Package id 1', 62_500, 100_000]),
      ...packages(0, 0, 1, 1),
    })
    const temperature = opened(openTemperature(machine.options))
    expect(table(temperature.read(machine.tick()))).toEqual({
      'socket 0 temperature': 48,
      'socket 0 temperature_limit': 100,
      'socket 1 temperature': 62.5,
      'socket 1 temperature_limit': 100,
    })
  })

  it("gives AMD's chips to the packages in order: one each, or one a die", () => {
    const one = makeMachine({
      ...chip('k10temp', 1, ['Tctl', 70_000], ['Tdie', 43_000], ['Tccd1', 44_000]),
      ...chip('k10temp', 2, ['Tctl', 55_000]),
      ...packages(0, 1),
    })
    const both = { 'socket 0 temperature': 43, 'socket 1 temperature': 55 }
    expect(table(opened(openTemperature(one.options)).read(one.tick()))).toEqual(both)
    const dies = [40_000, 50_000, 45_000, 41_000, 60_000, 61_000, 59_000, 58_000]
    const naples = makeMachine({
      ...Object.assign({}, ...dies.map((degrees, i) => chip('k10temp', i, ['Tctl', degrees]))),
      ...packages(0, 1),
    })
    expect(table(opened(openTemperature(naples.options)).read(naples.tick()))).toEqual({
      'socket 0 temperature': 50,
      'socket 1 temperature': 61,
    })
  })

  it('has the hottest of disks, memory and cards once a minute; what is not connected or asleep does not count', async () => {
    const machine = makeMachine({
      ...chip('nvme', 0, ['Composite', 41_850], ['Sensor 1', 90_000]),
      ...chip('spd5118', 1, ['', 44_000]),
      ...chip('jc42', 2, ['', 127_000]),
      ...chip('mlx5', 3, ['asic', 56_000]),
      ...chip('drivetemp', 4, ['', '']),
      ...chip('nct6775', 5, ['SYSTIN', 99_000]), // a board's inputs that lead nowhere
      ...chip('amdgpu', 6, ['edge', 88_000]),
    })
    const temperature = opened(openTemperature(machine.options))
    await toldIn(() => expect(table(temperature.read(machine.tick()))).toEqual({ 'node temperature_max': 56 }))
    temperature.close?.()
  })

  it('has the share of time in which a package was slowed down', () => {
    const path = 'sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_total_time_ms'
    const machine = makeMachine({ ...packages(0, 0), [path]: '1000\n' })
    const temperature = opened(openTemperature(machine.options))
    expect(temperature.read(machine.tick())).toEqual([])
    machine.write(path, '1500\n')
    expect(table(temperature.read(machine.tick(2000)))).toEqual({ 'socket 0 throttled': 0.25 })
  })

  it('counts a sensor that says nonsense, and has the others', () => {
    const machine = makeMachine({
      ...chip('coretemp', 0, ['Package id 0', 48_000]),
      ...chip('coretemp', 1, ['Package id 1', 50_000]),
    })
    const temperature = opened(openTemperature(machine.options))
    for (const nonsense of ['', '-128000', '0', 'N/A', '9'.repeat(30)]) {
      machine.write('sys/class/hwmon/hwmon1/temp1_input', nonsense)
      const { told, problem } = partsOf(temperature, machine.tick())
      expect(told).toEqual({ 'socket 0 temperature': 48 })
      expect(problem).toContain('/sys/class/hwmon/hwmon1/temp1_input is no temperature')
    }
  })

  it('is absent with what to do', () => {
    expect(openTemperature(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('modprobe coretemp') })
  })
})
