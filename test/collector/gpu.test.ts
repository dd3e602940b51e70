import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { KernelFiles } from '../../collector/kernelfile.ts'
import { openGpu, parseErrors } from '../../collector/sources/gpu.ts'
import { parseClient } from '../../collector/sources/gpuclients.ts'
import { parseGpuMetrics } from '../../collector/sources/gpumetrics.ts'
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

/** gpu_metrics 1.4 or 1.5 after n steps, by offsets of kgd_pp_interface.h; what is not set is not there. */
function tableOf(content: 4 | 5, n: number): Buffer {
  const bytes = Buffer.alloc(content === 4 ? 288 : 368, 0xff)
  const [energy, throttle, read, written] = content === 4 ? [24, 40, 104, 168] : [88, 104, 176, 240]
  bytes.writeUInt16LE(bytes.length, 0)
  bytes.writeUInt8(1, 2)
  bytes.writeUInt8(content, 3)
  bytes.writeBigUInt64LE(BigInt(1e6 + n * 200 * 65_536), energy)
  bytes.writeUInt32LE(n === 0 ? 0 : 0x10, throttle)
  for (let link = 0; link < 7; link++) {
    bytes.writeBigUInt64LE(BigInt(5000 + n * 10), read + 8 * link)
    bytes.writeBigUInt64LE(BigInt(5000 + n * 20), written + 8 * link)
  }
  return bytes
}
const writeMetrics = (machine: Machine, card: number, bytes: Buffer) =>
  writeFileSync(join(machine.options.roots.sys, `class/drm/card${card}/device/gpu_metrics`), bytes)

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

  it('tells by gpu_metrics of an MI300: watts by the energy, bytes over XGMI, whether it is slowed down', () => {
    const machine = makeMachine(amd(1, '0000:83:00.0', 3))
    writeMetrics(machine, 1, tableOf(5, 0))
    const gpu = opened(openGpu(machine.options))
    expect(table(gpu.read(machine.tick()))).not.toHaveProperty(`${CARD} power_watts`)
    writeMetrics(machine, 1, tableOf(5, 3))
    const told = table(gpu.read(machine.tick(2000)))
    expect(told).toMatchObject({
      [`${CARD} power_watts`]: 300, // 3 x 200 J in 2 s
      [`${CARD} link_receive_bytes`]: (3 * 7 * 10 * 1024) / 2, // one of eight links is not there
      [`${CARD} link_transmit_bytes`]: (3 * 7 * 20 * 1024) / 2,
      [`${CARD} throttled`]: 1,
      [`${CARD} utilization`]: 0.53,
    })
    writeMetrics(machine, 1, Buffer.from('no table'))
    const { told: rest, problem } = partsOf(gpu, machine.tick())
    expect(problem).toMatch(/gpu_metrics cannot be read any more/)
    expect(rest).toHaveProperty(`${CARD} utilization`)
    expect(rest).not.toHaveProperty(`${CARD} throttled`)
  })

  it('tells what processes do on cards', () => {
    const machine = makeMachine(amd(1, '0000:83:00.0', 3))
    const { roots } = machine.options
    const open = (pid: number, fd: number, file: string, fdinfo: string) => {
      machine.write(`proc/${pid}/fdinfo/${fd}`, `pos:\t0\nflags:\t02\n${fdinfo}`)
      mkdirSync(join(roots.proc, String(pid), 'fd'), { recursive: true })
      rmSync(join(roots.proc, String(pid), 'fd', String(fd)), { force: true })
      symlinkSync(file, join(roots.proc, String(pid), 'fd', String(fd)))
    }
    const client = (id: number, gfx: number, dma: number) =>
      `drm-driver:\tamdgpu\ndrm-pdev:\t0000:83:00.0\ndrm-client-id:\t${id}\ndrm-engine-gfx:\t${gfx} ns\ndrm-engine-dma:\t${dma} ns\ndrm-engine-capacity-dma:\t2\ndrm-memory-vram:\t2048 KiB\ndrm-memory-gtt: \t4 KiB\n`
    const gpu = opened(openGpu(machine.options))
    gpu.read(machine.tick())
    open(10, 3, '/dev/dri/renderD128', client(7, 1e9, 0))
    open(10, 4, '/dev/dri/renderD128', client(7, 1e9, 0)) // opened twice, the same client
    open(10, 5, '/dev/dri/card1', client(8, 0, 0))
    open(10, 6, '/tmp/file', client(9, 0, 0))
    expect(gpu.gpuOf?.(10)).toEqual({ gpuUtilization: undefined, gpuMemoryBytes: 2 * 2048 * 1024 })
    for (const fd of [3, 4]) open(10, fd, '/dev/dri/renderD128', client(7, 1.5e9, 1e8))
    open(10, 5, '/dev/dri/card1', client(8, 2e8, 0))
    gpu.read(machine.tick(1000))
    expect(gpu.gpuOf?.(10)?.gpuUtilization).toBeCloseTo(0.7)
    machine.write('sys/class/kfd/kfd/proc/11/vram_21223', '1000\n')
    machine.write('sys/class/kfd/kfd/proc/11/vram_777', '500\n')
    machine.write('sys/class/kfd/kfd/proc/11/sdma_777', '1\n')
    expect(gpu.gpuOf?.(11)).toEqual({ gpuUtilization: undefined, gpuMemoryBytes: 1500 })
    expect(gpu.gpuOf?.(12)).toBeUndefined()
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

  it('reads each layout of gpu_metrics that is known, and no other', () => {
    for (const content of [4, 5] as const) {
      const bytes = tableOf(content, 1)
      expect(parseGpuMetrics(bytes)).toMatchObject({ throttled: 1, linkReadBytes: 7 * 5010 * 1024 })
      for (let length = 0; length < bytes.length; length++)
        expect(parseGpuMetrics(bytes.subarray(0, length))).toBeUndefined()
    }
    const old = (content: number, size: number) => {
      const bytes = Buffer.alloc(size)
      bytes.writeUInt16LE(size, 0)
      bytes.writeUInt8(1, 2)
      bytes.writeUInt8(content, 3)
      bytes.writeUInt32LE(content === 3 ? 0xffff_ffff : 1, 68)
      return parseGpuMetrics(bytes)?.throttled
    }
    expect([old(1, 96), old(2, 104), old(3, 120)]).toEqual([1, 1, 0])
    expect([old(0, 96), old(6, 400), parseGpuMetrics(Buffer.from([4, 0, 2, 3]))]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('reads fdinfo of each driver', () => {
    const xe =
      'drm-driver:\txe\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t42\ndrm-resident-vram0:\t3 MiB\ndrm-total-vram0:\t9 MiB\ndrm-cycles-ccs:\t500\ndrm-total-cycles-ccs:\t2000\ndrm-cycles-rcs:\t7\n'
    expect(parseClient(xe)).toEqual({
      id: '0000:03:00.0 42',
      engines: new Map([['ccs', { busy: 500, of: 2000 }]]),
      memoryBytes: 3 << 20,
    })
    expect(parseClient('pos:\t0\nflags:\t02\n')).toBeUndefined()
    const i915 =
      'drm-driver: i915\ndrm-client-id: 3\ndrm-engine-render: 12 ns\ndrm-resident-local0: 5\ndrm-memory-vram: x\n'
    expect(parseClient(i915)).toMatchObject({
      engines: new Map([['render', { busy: 12, of: undefined }]]),
      memoryBytes: 5,
    })
  })

  it('refuses error counts that are not whole', () => {
    expect(parseErrors('ue: 1\nce: 2\n')).toEqual({ uncorrected: 1, corrected: 2 })
    for (const text of ['ue: 1', '', 'query failed']) expect(() => parseErrors(text)).toThrow('that are none')
  })
})
