import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openHostPower, parseCrayCounter, parseDcmiPower } from '../../collector/sources/hostpower.ts'
import { type Machine, makeMachine, opened, table, toldIn } from './machine.ts'

/** As ipmitool 1.8.18 prints it (lib/ipmi_dcmi.c). */
const dcmi = (watts: number, state = 'activated') => `
    Instantaneous power reading:              ${String(watts).padStart(8)} Watts
    Minimum during sampling period:                  8 Watts
    Maximum during sampling period:                502 Watts
    Average power reading over sample period:      216 Watts
    IPMI timestamp:                           Thu May 11 14:37:28 2017
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   ${state}


`

/** A machine with an ipmitool that prints what the test writes, and a /dev/ipmi0. */
function withIpmitool(files: Record<string, string> = {}) {
  const machine = makeMachine({ 'proc/dev/ipmi0': '', ...files })
  const bin = join(machine.options.roots.proc, 'bin')
  mkdirSync(bin)
  const answer = (text: string, status = 0, error = '') => {
    writeFileSync(join(bin, 'answer'), text)
    writeFileSync(join(bin, 'ipmitool'), `#!/bin/sh\ncat ${bin}/answer\necho '${error}' >&2\nexit ${status}\n`)
    chmodSync(join(bin, 'ipmitool'), 0o755)
  }
  const options: Machine['options'] = { ...machine.options, env: { PATH: `${bin}:/usr/bin:/bin` } }
  return {
    machine,
    answer,
    open: () => opened(openHostPower(options, [join(machine.options.roots.proc, 'dev/ipmi0')])),
  }
}

describe('power of the node', () => {
  it('is what Cray counts, by the clock it counts with', () => {
    const machine = makeMachine({ 'sys/cray/pm_counters/energy': '26459 J 1662992301394713 us\n' })
    const power = opened(openHostPower(machine.options))
    expect(power.read(machine.tick())).toEqual([])
    machine.write('sys/cray/pm_counters/energy', '27459 J 1662992303394713 us\n')
    // our clock says 3 s, the counter was counted over 2
    expect(table(power.read(machine.tick(3000)))).toEqual({ 'node power_watts': 500 })
    expect(power.read(machine.tick())).toEqual([]) // not counted anew
    machine.write('sys/cray/pm_counters/energy', 'junk')
    expect(() => power.read(machine.tick())).toThrow(/not in J: junk/)
    expect(power.detail?.()).toBe('by /sys/cray/pm_counters')
    expect(parseCrayCounter('26459 J\n', 'J')).toEqual({ value: 26_459, timeUs: undefined })
    expect(() => parseCrayCounter('245 W 1662992301394713 us', 'J')).toThrow()
  })

  it('is what an ACPI power meter measures; one of a socket is not the node', async () => {
    const machine = makeMachine({
      'sys/class/hwmon/hwmon0/name': 'power_meter\n',
      'sys/class/hwmon/hwmon0/power1_oem_info': 'Grace Power Socket 0\n',
      'sys/class/hwmon/hwmon0/power1_average': '111000000\n',
      'sys/class/hwmon/hwmon1/name': 'power_meter\n',
      'sys/class/hwmon/hwmon1/device/power1_average': '324000000\n',
    })
    const power = opened(openHostPower(machine.options))
    await toldIn(() => expect(table(power.read(machine.tick()))).toEqual({ 'node power_watts': 324 }))
    power.close?.()
  })

  it("is what the board's controller says to ipmitool, once a minute", async () => {
    const { machine, answer, open } = withIpmitool()
    answer(dcmi(214))
    const power = open()
    await toldIn(() => expect(table(power.read(machine.tick()))).toEqual({ 'node power_watts': 214 }))
    answer(dcmi(230))
    expect(table(power.read(machine.tick(10_000)))).toEqual({ 'node power_watts': 214 })
    await toldIn(() => expect(table(power.read(machine.tick(60_000)))).toEqual({ 'node power_watts': 230 }))
    power.close?.()
  })

  it('is RAPL psys where the controller cannot tell, and says why it cannot', async () => {
    const psys = 'sys/class/powercap/intel-rapl:1/energy_uj'
    const files = { 'sys/class/powercap/intel-rapl:1/name': 'psys\n', [psys]: '1000000\n' }
    const { machine, answer, open } = withIpmitool(files)
    answer('', 1, 'DCMI request failed because: Invalid command (c1)')
    const power = open()
    expect(power.read(machine.tick())).toEqual([])
    let microjoules = 1e6
    await toldIn(() => {
      microjoules += 300e6
      machine.write(psys, String(microjoules))
      expect(table(power.read(machine.tick()))).toEqual({ 'node power_watts': 300 })
    })
    expect(power.detail?.()).toBe(
      'ipmitool dcmi power reading: DCMI request failed because: Invalid command (c1); by RAPL psys',
    )
    power.close?.()
  })

  it('is absent with what to do', () => {
    const { machine } = withIpmitool()
    const none = { ...machine.options, env: { PATH: '/nonexistent' } }
    expect(openHostPower(none)).toEqual({ absent: expect.stringMatching(/measures the whole node.*install ipmitool$/) })
    const bin = join(machine.options.roots.proc, 'bin')
    writeFileSync(join(bin, 'ipmitool'), '#!/bin/sh\n')
    chmodSync(join(bin, 'ipmitool'), 0o755)
    expect(openHostPower({ ...machine.options, env: { PATH: bin } }, ['/nonexistent/ipmi0'])).toEqual({
      absent: expect.stringMatching(/modprobe ipmi_si ipmi_devintf$/),
    })
  })

  it('is nothing where the controller measures nothing', () => {
    expect(parseDcmiPower(dcmi(214))).toBe(214)
    expect(parseDcmiPower(dcmi(214, 'deactivated'))).toBeUndefined()
    expect(parseDcmiPower(dcmi(0))).toBeUndefined()
    expect(parseDcmiPower('DCMI request failed')).toBeUndefined()
  })
})
