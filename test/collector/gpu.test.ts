import { describe, expect, it } from 'vitest'
import type { KernelFiles } from '../../collector/kernelfile.ts'
import { openGpu, parseErrors } from '../../collector/sources/gpu.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

const top = (card: number) => `sys/class/drm/card${card}/device`
const uevent = (driver: string, address: string) =>
  `DRIVER=${driver}\nPCI_CLASS=38000\nPCI_ID=1002:740F\nPCI_SLOT_NAME=${address}\nMODALIAS=pci:v00001002\n`

/** A card of AMD as https://docs.kernel.org/gpu/amdgpu/thermal.html and driver-misc.html describe it (MI210). */
const amd = (
  card: number,
  address: string,
  n: number,
  power: 'power1_average' | 'power1_input' = 'power1_average',
) => ({
  [`${top(card)}/uevent`]: uevent('amdgpu', address),
  [`${top(card)}/gpu_busy_percent`]: `${50 + n}\n`,
  [`${top(card)}/mem_busy_percent`]: `${20 + n}\n`,
  [`${top(card)}/mem_info_vram_used`]: `${n * 2 ** 30}\n`,
  [`${top(card)}/mem_info_vram_total`]: `${64 * 2 ** 30}\n`,
  [`${top(card)}/power/runtime_status`]: 'active\n',
  [`${top(card)}/ras/umc_err_count`]: `ue: ${n}\nce: ${n * 10}\n`,
  [`${top(card)}/hwmon/hwmon4/name`]: 'amdgpu\n',
  [`${top(card)}/hwmon/hwmon4/${power}`]: '212000000\n',
  [`${top(card)}/hwmon/hwmon4/power1_cap`]: '300000000\n',
  [`${top(card)}/hwmon/hwmon4/temp1_label`]: 'edge\n',
  [`${top(card)}/hwmon/hwmon4/temp1_input`]: '41000\n',
  [`${top(card)}/hwmon/hwmon4/temp2_label`]: 'junction\n',
  [`${top(card)}/hwmon/hwmon4/temp2_input`]: '55000\n',
  [`${top(card)}/hwmon/hwmon4/temp3_label`]: 'mem\n',
  [`${top(card)}/hwmon/hwmon4/temp3_input`]: '61000\n',
  [`${top(card)}/hwmon/hwmon4/freq1_input`]: '1700000000\n',
  [`${top(card)}/hwmon/hwmon4/freq2_input`]: '1600000000\n',
})

/** A card of Intel by its xe driver (Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon). */
const intel = (n: number) => ({
  [`${top(2)}/uevent`]: uevent('xe', '0000:03:00.0'),
  [`${top(2)}/tile0/gt0/freq0/act_freq`]: '2050\n',
  [`${top(2)}/tile0/gt0/freq0/max_freq`]: '2400\n',
  [`${top(2)}/tile0/gt0/freq0/throttle/status`]: '0\n',
  [`${top(2)}/tile0/gt0/gtidle/idle_residency_ms`]: `${1000 + n * 750}\n`,
  [`${top(2)}/hwmon/hwmon5/name`]: 'xe\n',
  [`${top(2)}/hwmon/hwmon5/energy1_input`]: `${n * 190_000_000}\n`,
  [`${top(2)}/hwmon/hwmon5/power1_max`]: '190000000\n',
})

const writeAll = (machine: Machine, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) machine.write(path, text)
}
const CARD = 'gpu 0000:83:00.0'

describe('GPUs by sysfs', () => {
  it('tells of a card of AMD: use, memory, power, hottest spot, clocks and errors of its memory', () => {
    const machine = makeMachine(amd(1, '0000:83:00.0', 3))
    const gpu = opened(openGpu(machine.options))
    const first = {
      [`${CARD} utilization`]: 0.53,
      [`${CARD} memory_busy`]: 0.23,
      [`${CARD} memory_used`]: 3 * 2 ** 30,
      [`${CARD} memory_total`]: 64 * 2 ** 30,
      [`${CARD} power_watts`]: 212,
      [`${CARD} power_limit_watts`]: 300,
      [`${CARD} temperature`]: 55,
      [`${CARD} memory_temperature`]: 61,
      [`${CARD} clock_hz`]: 1.7e9,
      [`${CARD} memory_clock_hz`]: 1.6e9,
      'node gpu_count': 1,
    }
    expect(table(gpu.read(machine.tick()))).toEqual(first)
    writeAll(machine, amd(1, '0000:83:00.0', 5))
    expect(table(gpu.read(machine.tick(2000)))).toMatchObject({
      [`${CARD} ecc_uncorrected`]: 1,
      [`${CARD} ecc_corrected`]: 10,
      [`${CARD} utilization`]: 0.55,
    })
  })

  it('reads power where newer cards have it', () => {
    const machine = makeMachine(amd(1, '0000:83:00.0', 0, 'power1_input'))
    expect(table(opened(openGpu(machine.options)).read(machine.tick()))).toHaveProperty(`${CARD} power_watts`, 212)
  })

  it('tells of a card of Intel: time not idle, power of the energy it counts', () => {
    const machine = makeMachine(intel(0))
    const gpu = opened(openGpu(machine.options))
    gpu.read(machine.tick())
    writeAll(machine, intel(1))
    expect(table(gpu.read(machine.tick(1000)))).toEqual({
      'gpu 0000:03:00.0 clock_hz': 2.05e9,
      'gpu 0000:03:00.0 clock_limit_hz': 2.4e9,
      'gpu 0000:03:00.0 throttled': 0,
      'gpu 0000:03:00.0 utilization': 0.25,
      'gpu 0000:03:00.0 power_watts': 190,
      'gpu 0000:03:00.0 power_limit_watts': 190,
      'node gpu_count': 1,
    })
  })

  it('does not wake a card that sleeps', () => {
    const machine = makeMachine({ ...amd(1, '0000:83:00.0', 3), [`${top(1)}/power/runtime_status`]: 'suspended\n' })
    expect(table(opened(openGpu(machine.options)).read(machine.tick()))).toEqual({ 'node gpu_count': 1 })
  })

  it('counts a card that fails, keeps what came before the failure, and reads the others', () => {
    const machine = makeMachine({ ...amd(1, '0000:83:00.0', 3), ...amd(2, '0000:84:00.0', 4) })
    const gpu = opened(openGpu(machine.options))
    for (const broken of ['', 'error\n', '-\n']) {
      machine.write(`${top(1)}/mem_info_vram_used`, broken)
      const { told, problem } = partsOf(gpu, machine.tick())
      expect(problem).toContain('0000:83:00.0: /sys/class/drm/card1/device/mem_info_vram_used is no number')
      expect(told).toMatchObject({
        [`${CARD} utilization`]: 0.53,
        'gpu 0000:84:00.0 utilization': 0.54,
        'node gpu_count': 1,
      })
      expect(told).not.toHaveProperty(`${CARD} memory_used`)
    }
  })

  it('leaves out for minutes a card whose firmware hangs', () => {
    const machine = makeMachine({ ...amd(1, '0000:83:00.0', 3), ...amd(2, '0000:84:00.0', 4) })
    let reads = 0
    const { files } = machine.options
    const slow: KernelFiles = {
      ...files,
      find(path) {
        const file = files.find(path)
        if (!file || !path.includes('card1/device/gpu_busy')) return file
        const read: typeof file.read = tick => {
          reads++
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
          return file.read(tick)
        }
        return { path: file.path, read }
      },
    }
    const gpu = opened(openGpu({ ...machine.options, files: slow }))
    expect(partsOf(gpu, machine.tick()).problem).toBeUndefined()
    for (let minute = 0; minute < 4; minute++) {
      const { told, problem } = partsOf(gpu, machine.tick(60_000))
      expect(problem).toMatch(/^0000:83:00\.0 took 0\.\d s to answer/)
      expect(told).toHaveProperty('gpu 0000:84:00.0 utilization')
    }
    expect(reads).toBe(1)
    expect(partsOf(gpu, machine.tick(120_000)).problem).toBeUndefined()
    expect(reads).toBe(2)
  })

  it('is absent where there is no card with a driver; the display of a board and a part of the CPU are none', () => {
    const machine = makeMachine({
      [`${top(0)}/uevent`]: uevent('ast', '0000:02:00.0'),
      [`${top(1)}/uevent`]: uevent('i915', '0000:00:02.0'),
      'sys/class/drm/card1/gt/gt0/rps_act_freq_mhz': '300\n',
      'sys/class/drm/card1-DP-1/status': 'connected\n',
      [`${top(2)}/uevent`]: uevent('nvidia', '0000:65:00.0'),
    })
    expect(openGpu(machine.options)).toEqual({ absent: expect.stringContaining('amdgpu, xe, i915') })
  })

  it('refuses error counts that are not whole', () => {
    expect(parseErrors('ue: 1\nce: 2\n')).toEqual({ uncorrected: 1, corrected: 2 })
    for (const text of ['ue: 1', '', 'query failed']) expect(() => parseErrors(text)).toThrow('that are none')
  })
})
