import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Source } from '../../collector/source.ts'
import { ALL_FIELDS, openNvidiaSmi, parseSmiLine, pciAddress } from '../../collector/sources/gpunvidia.ts'
import { makeMachine, opened, partsOf, toldIn } from './machine.ts'

const GOOD =
  '0, 00000000:65:00.0, 97, 41, 35112, 81559, 401.22, 700.00, 61, 78, 1755, 1980, 2619, 0x0000000000000004, 0, 0'
/** A100 with MIG on: what the card cannot tell of itself is [N/A]. */
const MIG =
  '1, 00000000:66:00.0, [N/A], [N/A], 1024, 40960, 61.50, 400.00, 33, 45, 1410, 1410, 1593, 0x0000000000000001, [N/A], [N/A]'
const LOST = Array.from(ALL_FIELDS, () => '[GPU is lost]').join(', ')
const GONE = 'Unable to determine the device handle for GPU3: 0000:67:00.0: Unknown Error'

/**
 * A machine with an nvidia-smi that prints what the test writes, again and again; fields in `unknown` it does not know, as
 * a driver before 410 does not. `args` is what it was started with, a line a start.
 */
function makeSmi(lines: readonly string[]) {
  const machine = makeMachine({})
  const bin = join(machine.options.roots.proc, 'bin')
  mkdirSync(bin, { recursive: true })
  const write = (name: string, text: string) => writeFileSync(join(bin, name), text)
  const say = (...now: string[]) => write('lines', now.map(line => `${line}\n`).join(''))
  say(...lines)
  write(
    'nvidia-smi',
    `#!/bin/sh
echo "$*" >> ${bin}/args
for field in $(cat ${bin}/unknown 2>/dev/null); do
  case ",\${1#*=}," in *,$field,*) echo "Field \\"$field\\" is not a valid field to query."; echo; exit 2;; esac
done
while [ -e ${bin}/lines ]; do cat ${bin}/lines; [ -e ${bin}/end ] && exit "$(cat ${bin}/end)"; sleep 0.05; done
sleep 60
`,
  )
  chmodSync(join(bin, 'nvidia-smi'), 0o755)
  const source = opened(openNvidiaSmi({ ...machine.options, env: { PATH: `${bin}:/usr/bin:/bin` } }))
  onTestFinished(() => source.close?.())
  const starts = () => readFileSync(join(bin, 'args'), 'utf8').trim().split('\n')
  return { machine, source, say, write, starts, hush: () => rmSync(join(bin, 'lines')) }
}
const read = (source: Source, machine: ReturnType<typeof makeMachine>, afterMs?: number) =>
  partsOf(source, machine.tick(afterMs))

describe('nvidia-smi', () => {
  it('tells of each card by its PCI address', async () => {
    const { machine, source } = makeSmi([GOOD])
    await toldIn(() =>
      expect(read(source, machine)).toEqual({
        problem: undefined,
        told: {
          'gpu 0000:65:00.0 ordinal': 0,
          'gpu 0000:65:00.0 utilization': 0.97,
          'gpu 0000:65:00.0 memory_busy': 0.41,
          'gpu 0000:65:00.0 memory_used': 35_112 * 2 ** 20,
          'gpu 0000:65:00.0 memory_total': 81_559 * 2 ** 20,
          'gpu 0000:65:00.0 power_watts': 401.22,
          'gpu 0000:65:00.0 power_limit_watts': 700,
          'gpu 0000:65:00.0 temperature': 61,
          'gpu 0000:65:00.0 memory_temperature': 78,
          'gpu 0000:65:00.0 clock_hz': 1.755e9,
          'gpu 0000:65:00.0 clock_limit_hz': 1.98e9,
          'gpu 0000:65:00.0 memory_clock_hz': 2.619e9,
          'gpu 0000:65:00.0 throttled': 1, // by the power cap
          'gpu 0000:65:00.0 ecc_corrected': 0,
          'gpu 0000:65:00.0 ecc_uncorrected': 0,
          'node gpu_count': 1,
        },
      }),
    )
  })

  it('is one program that runs on, and asks several times a tick; the tick has the mean', async () => {
    const { machine, source, starts } = makeSmi([GOOD.replace(', 97,', ', 20,'), GOOD.replace(', 97,', ', 40,')])
    const mean = () =>
      partsOf(source, { ...machine.tick(100), intervalMs: 10_000 }).told['gpu 0000:65:00.0 utilization']
    await toldIn(() => expect(mean()).toBe(0.3))
    for (let tick = 0; tick < 3; tick++) await toldIn(() => expect(mean()).toBe(0.3))
    expect(starts()).toHaveLength(1)
    expect(starts()[0]).toMatch(/^--query-gpu=index,pci\.bus_id,.* --format=csv,noheader,nounits -lms 2500$/)
  })

  it('leaves out what a card does not tell: MIG is on', async () => {
    const { machine, source } = makeSmi([GOOD, MIG])
    await toldIn(() => expect(read(source, machine).told).toHaveProperty('node gpu_count', 2))
    const { told } = read(source, machine)
    expect(told).toMatchObject({ 'gpu 0000:66:00.0 memory_used': 2 ** 30, 'gpu 0000:66:00.0 throttled': 0 })
    expect(told).not.toHaveProperty('gpu 0000:66:00.0 utilization')
    expect(told).not.toHaveProperty('gpu 0000:66:00.0 ecc_corrected')
  })

  it('says which card does not answer, and goes on with the others', async () => {
    for (const trouble of [GONE, LOST]) {
      const { machine, source } = makeSmi([GOOD, trouble])
      await toldIn(() => expect(read(source, machine).told).toHaveProperty('gpu 0000:65:00.0 power_watts'))
      const { told, problem } = read(source, machine)
      expect(problem).toContain(trouble.slice(0, 40))
      expect(told).toHaveProperty('node gpu_count', 1)
    }
  })

  it('forgets a card that is told no more', async () => {
    const { machine, source, say } = makeSmi([GOOD, MIG])
    await toldIn(() => expect(read(source, machine).told).toHaveProperty('node gpu_count', 2))
    say(GOOD)
    await toldIn(() => expect(read(source, machine, 10_000).told).toHaveProperty('node gpu_count', 1))
  })

  it('asks an older driver without the fields that it does not know', async () => {
    const { machine, source, write, starts } = makeSmi([])
    write('unknown', 'temperature.memory clocks_throttle_reasons.active')
    const old = GOOD.split(', ')
      .filter((_, i) => i !== 9 && i !== 13)
      .join(', ')
    write('lines', `${old}\n`)
    await toldIn(() => expect(read(source, machine).told).toHaveProperty('gpu 0000:65:00.0 clock_hz', 1.755e9))
    expect(starts().length).toBe(3)
    expect(read(source, machine).told).not.toHaveProperty('gpu 0000:65:00.0 memory_temperature')
  })

  it('says that the driver is gone, and starts again, ever less often', async () => {
    const why = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    const { machine, source, write, starts } = makeSmi([why])
    write('end', '9')
    await toldIn(() => expect(read(source, machine, 10).problem).toBe(`nvidia-smi: ${why}`))
    for (let second = 0; second < 8; second++) read(source, machine)
    expect(starts()).toHaveLength(1)
    await toldIn(() => {
      read(source, machine, 3000)
      expect(starts().length).toBe(2)
    })
    write('lines', `${GOOD}\n`)
    write('end', '')
    await toldIn(() => expect(read(source, machine, 60_000).told).toHaveProperty('node gpu_count', 1))
  })

  it('takes no GPU for what it is', async () => {
    const { machine, source, write } = makeSmi(['No devices were found'])
    write('end', '6')
    await toldIn(() => {
      read(source, machine, 10)
      expect(source.detail?.()).toBe('nvidia-smi finds no GPU')
    })
    expect(read(source, machine, 10)).toEqual({ told: {}, problem: undefined })
  })

  it('ends one that hangs, and starts another', async () => {
    const { machine, source, hush, say, starts } = makeSmi([GOOD])
    await toldIn(() => expect(read(source, machine).told).toHaveProperty('node gpu_count'))
    hush()
    await toldIn(() => expect(() => source.read(machine.tick(20_000))).toThrow(/has said nothing for \d+ s/))
    say(GOOD)
    await toldIn(() => expect(read(source, machine, 20_000).told).toHaveProperty('node gpu_count'))
    expect(starts().length).toBeGreaterThan(1)
  })

  it('lives with a program that is something else', async () => {
    const { machine, source, write } = makeSmi([])
    write('lines', 'x'.repeat(300_000))
    for (let i = 0; i < 5; i++) {
      expect(read(source, machine).told).toEqual({})
      await new Promise(resolve => setTimeout(resolve, 30))
    }
  })

  it('is absent without a card, and says what to install with one', () => {
    const env = { PATH: '/nonexistent' }
    expect(openNvidiaSmi({ ...makeMachine({}).options, env })).toEqual({ absent: 'no GPU of NVIDIA' })
    const device = (at: string, id: string, kind: string) => ({
      [`sys/bus/pci/devices/${at}/vendor`]: `${id}\n`,
      [`sys/bus/pci/devices/${at}/class`]: `${kind}\n`,
    })
    const machine = makeMachine({
      ...device('0000:65:00.0', '0x10de', '0x030200'),
      ...device('0000:65:00.1', '0x10de', '0x040300'), // its sound
      ...device('0000:00:02.0', '0x8086', '0x030000'),
    })
    expect(openNvidiaSmi({ ...machine.options, env })).toEqual({
      absent: expect.stringMatching(/^1 GPUs .* no nvidia-smi/),
    })
  })

  it('reads lines of every kind', () => {
    expect(pciAddress('00000000:C1:00.0')).toBe('0000:c1:00.0')
    expect(pciAddress('00010000:01:00.0')).toBe('00010000:01:00.0')
    for (const bad of [
      '',
      'x',
      LOST,
      GOOD.replace('00000000:65:00.0', '[Unknown Error]'),
      GOOD.slice(0, 40),
      `${GOOD}, 1`,
    ]) {
      expect(parseSmiLine(bad, ALL_FIELDS)).toBeUndefined()
    }
    expect(parseSmiLine(GOOD.replace('401.22', 'ERR!'), ALL_FIELDS)?.values.has('power_watts')).toBe(false)
  })
})
