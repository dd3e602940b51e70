/** NVML as a driver speaks it: against a libnvidia-ml.so that is built here (programs/nvml.c), by the real types of nvml.h. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Source, Tick } from '../../collector/source.ts'
import { openNvidia, openNvmlSource } from '../../collector/sources/gpunvml.ts'
import { missingAddon } from '../addon.ts'
import { makeMachine, partsOf, toldIn } from '../collector/machine.ts'

const SOURCE = fileURLToPath(new URL('programs/nvml.c', import.meta.url))
let place = ''
let libraries = 0

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'jobsight-nvml-'))
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

/** A driver, and what it says. Each is a library of its own, since one that is loaded keeps its state. */
function makeDriver(knobs: Record<string, number>, ...flags: string[]) {
  const base = join(place, `driver${libraries++}`)
  let said = knobs
  const say = (now: Record<string, number>) => {
    said = { ...said, ...now }
    const lines = Object.entries(said).map(([name, value]) => `${name} ${value}\n`)
    writeFileSync(`${base}.control`, lines.join(''))
  }
  say({})
  const library = `${base}.so`
  const control = `-DCONTROL="${base}.control"`
  execFileSync('gcc', [
    '-O1',
    '-w',
    '-shared',
    '-fPIC',
    '-fvisibility=hidden',
    ...flags,
    control,
    '-o',
    library,
    SOURCE,
  ])
  const inits = () => readFileSync(`${base}.control.log`, 'utf8').split('\n').length - 1
  return { library, say, inits }
}

async function open(library: string, everyMs = 20): Promise<Source> {
  const source = await openNvmlSource(library, everyMs)
  if ('absent' in source) throw new Error(source.absent)
  onTestFinished(() => source.close?.())
  return source
}

const now = (): Tick => ({ timeMs: Date.now(), intervalMs: 1000, monotonicMs: performance.now() })
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
/** What was told until now is of the past. */
async function settle(source: Source): Promise<void> {
  await pause(100)
  partsOf(source, now())
}

const A = 'gpu 0000:65:00.0'
const B = 'gpu 0000:66:00.0'
const GIB = 2 ** 30
const MIB = 2 ** 20

if (missingAddon) it(`NVML: ${missingAddon}`, context => context.skip(missingAddon))

describe.skipIf(missingAddon)('NVML', () => {
  it('tells of each GPU by its PCI address, and of Hopper what its parts do', async () => {
    const { library } = makeDriver({ gpus: 2 })
    const source = await open(library)
    await toldIn(() => {
      const { told, problem } = partsOf(source, now())
      expect(problem).toBeUndefined()
      expect(told).toMatchObject({
        'node gpu_count': 2,
        [`${A} utilization`]: 0.9,
        [`${A} memory_busy`]: 0.4,
        [`${A} memory_used`]: 30 * GIB,
        [`${A} memory_total`]: 80 * GIB,
        [`${A} power_limit_watts`]: 700,
        [`${A} temperature`]: 61,
        [`${A} memory_temperature`]: 78,
        [`${A} clock_hz`]: 1.755e9,
        [`${A} clock_limit_hz`]: 1.98e9,
        [`${A} memory_clock_hz`]: 2.619e9,
        [`${A} throttled`]: 1, // by the power cap
        [`${A} ordinal`]: 0,
        [`${A} sm_active`]: 0.1,
        [`${A} sm_occupancy`]: 0.15,
        [`${A} tensor_active`]: 0.25,
        [`${A} memory_bandwidth`]: 0.5,
        [`${A} fp64_active`]: 0.55,
        [`${A} fp32_active`]: 0.6,
        [`${A} pcie_receive_bytes`]: 2100 * MIB,
        [`${A} pcie_transmit_bytes`]: 2000 * MIB,
        [`${A} link_receive_bytes`]: 6000 * MIB,
        [`${A} link_transmit_bytes`]: 6100 * MIB,
        [`${B} utilization`]: 0.91,
        [`${B} throttled`]: 0, // it is idle
        [`${B} pcie_receive_bytes`]: 7e6, // without GPM by a look, since its counter of 32 bits wraps
        [`${B} pcie_transmit_bytes`]: 3e6,
      })
    })
  })

  it('leaves out what a GPU or the driver does not tell, and says why', async () => {
    const { library } = makeDriver({ gpus: 2, t: 1 })
    const source = await open(library)
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty(`${A} sm_active`))
    const { told } = partsOf(source, now())
    for (const column of ['sm_active', 'tensor_active', 'memory_bandwidth', 'ecc_corrected', 'xid', 'fp16_active'])
      expect(told).not.toHaveProperty(`${B} ${column}`)
    expect(told).not.toHaveProperty(`${A} fp16_active`)
    expect(source.detail?.()).toMatch(/^by NVML; without .*fp16_active.*sm_active.*: this GPU does not have it/)
  })

  it('makes watts of joules, and rates of what is counted', async () => {
    const { library, say } = makeDriver({ gpus: 2, t: 0 })
    const source = await open(library)
    await settle(source)
    const startMs = performance.now()
    say({ t: 5 })
    // 400 J, 20 and 1 errors, 1 and 2 GB each step
    await toldIn(() => {
      const { told } = partsOf(source, now())
      expect(told[`${A} power_watts`]).toBeGreaterThan(0)
    })
    const seconds = (performance.now() - startMs) / 1000
    say({ t: 10 })
    const rates: Record<string, number>[] = []
    await toldIn(() => {
      const { told } = partsOf(source, now())
      rates.push(told)
      expect(told[`${A} power_watts`]).toBeGreaterThan(0)
    })
    const told = rates.at(-1) ?? {}
    const watts = told[`${A} power_watts`] ?? 0
    expect(watts).toBeGreaterThan(2000 / (seconds + 20))
    expect((told[`${A} ecc_corrected`] ?? 0) / watts).toBeCloseTo(100 / 2000, 4)
    expect((told[`${A} ecc_uncorrected`] ?? 0) / watts).toBeCloseTo(5 / 2000, 4)
    expect((told[`${B} link_transmit_bytes`] ?? 0) / watts).toBeCloseTo((5e6 * 1024) / 2000, 0)
    expect((told[`${B} link_receive_bytes`] ?? 0) / watts).toBeCloseTo((10e6 * 1024) / 2000, 0)
  })

  it('tells of the instances of a divided card, and of the card what it knows of itself', async () => {
    const { library } = makeDriver({ gpus: 1, mig: 0 })
    const source = await open(library)
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty(`${A}/7 sm_active`))
    const { told, problem } = partsOf(source, now())
    expect(problem).toBeUndefined()
    expect(told).toMatchObject({
      'node gpu_count': 1,
      [`${A} memory_used`]: 30 * GIB,
      [`${A}/3 memory_used`]: 3 * GIB,
      [`${A}/3 memory_total`]: 20 * GIB,
      [`${A}/3 utilization`]: 0.08,
      [`${A}/7 sm_active`]: 0.17,
      [`${A}/7 memory_bandwidth`]: 0.57,
    })
    expect(told).not.toHaveProperty(`${A} utilization`)
    expect(told).not.toHaveProperty(`${A}/3 power_watts`)
  })

  it('tells who is on the GPUs, of all of them together', async () => {
    const { library, say } = makeDriver({ gpus: 2, processes: 2, t: 1 })
    const source = await open(library, 200)
    await toldIn(() => {
      partsOf(source, now())
      expect(source.gpuOf?.(4000)).toMatchObject({ gpuMemoryBytes: 16 * GIB })
    })
    say({ t: 2 })
    await toldIn(() => {
      partsOf(source, now())
      expect(source.gpuOf?.(4000)?.gpuUtilization).toBeCloseTo(1.4)
    })
    // its memory is not told
    expect(source.gpuOf?.(4001)).toEqual({ gpuMemoryBytes: undefined, gpuUtilization: undefined })
    expect(source.gpuOf?.(1)).toBeUndefined()
    say({ processes: 300 })
    await toldIn(() => {
      partsOf(source, now())
      expect(source.gpuOf?.(4299)).toBeDefined()
    })
  })

  it('tells an error of the driver (Xid) in the tick in which it came', async () => {
    const { library, say } = makeDriver({ gpus: 2 })
    const source = await open(library)
    await settle(source)
    say({ xid: 79 })
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty(`${A} xid`, 79))
    await settle(source)
    expect(partsOf(source, now()).told).not.toHaveProperty(`${A} xid`)
  })

  it('goes on with the others when a GPU falls off the bus, and has it again when it is back', async () => {
    const { library, say, inits } = makeDriver({ gpus: 3 })
    const source = await open(library)
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty('node gpu_count', 3))
    say({ lost: 1 })
    await toldIn(() => {
      const { told, problem } = partsOf(source, now())
      expect(problem).toMatch(/GPU 1: the GPU fell off the bus/)
      expect(told).toHaveProperty('node gpu_count', 2)
      expect(told).toHaveProperty('gpu 0000:67:00.0 utilization')
      expect(told).not.toHaveProperty(`${B} utilization`)
    })
    say({ lost: -1 })
    await toldIn(() => expect(partsOf(source, now())).toMatchObject({ problem: undefined }))
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty('node gpu_count', 3))
    expect(inits()).toBeGreaterThan(0)
  })

  it('says that the driver is gone, and has it again when it is back', async () => {
    const { library, say, inits } = makeDriver({ gpus: 1 })
    const source = await open(library)
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty('node gpu_count', 1))
    say({ gone: 1 })
    await toldIn(() => expect(partsOf(source, now())).toEqual({ told: {}, problem: expect.stringMatching(/driver/) }))
    say({ gone: 0 })
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty('node gpu_count', 1))
    expect(inits()).toBeGreaterThan(1)
  })

  it('reads what a driver of 2017 tells: power of the moment, no parts, no energy', async () => {
    const { library } = makeDriver({ gpus: 2 }, '-DOLD')
    const source = await open(library)
    await toldIn(() =>
      expect(partsOf(source, now()).told).toMatchObject({
        [`${A} power_watts`]: 321.5,
        [`${A} throttled`]: 1,
        [`${A} pcie_receive_bytes`]: 7e6,
        'node gpu_count': 2,
      }),
    )
    expect(partsOf(source, now()).told).not.toHaveProperty(`${A} sm_active`)
    expect(source.gpuOf?.(4000)).toMatchObject({ gpuMemoryBytes: 16 * GIB })
    expect(source.detail?.()).toMatch(/sm_active, .*: this driver does not have it/)
    expect(source.detail?.()).not.toContain('power_watts')
  })

  it('never waits for a driver that hangs, and says so', async () => {
    const { library, say } = makeDriver({ gpus: 1 })
    const source = await open(library)
    await toldIn(() => expect(partsOf(source, now()).told).toHaveProperty('node gpu_count', 1))
    say({ slow: 3000 })
    let longestMs = 0
    await toldIn(() => {
      const startMs = performance.now()
      const { told } = partsOf(source, now())
      longestMs = Math.max(longestMs, performance.now() - startMs)
      // for a moment it is as it was
      expect(told).toEqual({})
    })
    expect(longestMs).toBeLessThan(1500)
    const later = { ...now(), monotonicMs: performance.now() + 40_000 }
    expect(partsOf(source, later).problem).toMatch(/the driver has not answered for \d\d s/)
  })

  it('is absent where there is no driver, and why', async () => {
    const { library } = makeDriver({ gone: 1 })
    expect(await openNvmlSource(library)).toEqual({ absent: expect.stringContaining('driver is not loaded') })
    expect(await openNvmlSource('libnvidia-ml.so.nowhere')).toEqual({ absent: expect.stringContaining('nowhere') })
    if (existsSync('/dev/nvidiactl')) return
    const nothing = await openNvidia({ ...makeMachine({}).options, env: { PATH: '/nonexistent' } })
    expect(nothing).toEqual({ absent: expect.stringMatching(/^no GPU of NVIDIA \(libnvidia-ml\.so\.1/) })
  })
})
