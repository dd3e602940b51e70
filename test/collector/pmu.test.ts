import { describe, expect, it } from 'vitest'
import { encodeEvent, parseCpus, parseFormat, parseScale, readPackages, readPmus } from '../../collector/pmu.ts'
import { makeMachine } from './machine.ts'

const formats = (texts: Record<string, string>) =>
  new Map(
    Object.entries(texts).flatMap(([term, text]) => {
      const format = parseFormat(text)
      return format ? [[term, format] as const] : []
    }),
  )

describe('events of sysfs', () => {
  it('go where their formats say', () => {
    const intel = formats({ event: 'config:0-7', umask: 'config:8-15', edge: 'config:18', thresh: 'config:24-31' })
    expect(encodeEvent('event=0x04,umask=0x0f\n', intel)).toEqual({ config: 0x0f04n, config1: 0n, config2: 0n })
    expect(encodeEvent('event=0xff,edge', intel).config).toBe(0x400ffn)
    const umc = formats({ event: 'config:0-7', rdwrmask: 'config:8-9' })
    expect(encodeEvent('event=0x0a,rdwrmask=0x2', umc).config).toBe(0x20an)
  })

  it('are spread over the ranges of a format, lowest bits first, and over three words', () => {
    const fabric = formats({
      event: 'config:0-7,32-35',
      umask: 'config:8-15',
      filter: 'config1:0-63',
      mask: 'config2:4',
    })
    expect(encodeEvent('event=0x107,umask=0x38', fabric).config).toBe(0x1_0000_3807n)
    expect(encodeEvent('filter=0xffffffffffffffff,mask=1', fabric)).toEqual({
      config: 0n,
      config1: 0xffff_ffff_ffff_ffffn,
      config2: 16n,
    })
    expect(encodeEvent('config=0x10,config1=7', fabric)).toMatchObject({ config: 16n, config1: 7n })
  })

  it('are refused where a term is not known or has no number', () => {
    expect(() => encodeEvent('event=0x04,ldlat=3', formats({ event: 'config:0-7' }))).toThrow('no format ldlat')
    expect(() => encodeEvent('event=?', formats({ event: 'config:0-7' }))).toThrow('event=? has no number')
    expect([
      parseFormat('config3:0-7'),
      parseFormat('config:7-0'),
      parseFormat(''),
      parseFormat('config:0-64'),
    ]).toEqual([undefined, undefined, undefined, undefined])
  })

  it('are counted on the CPUs of a list, and worth what scale and unit say', () => {
    expect([parseCpus('0,18\n'), parseCpus('0-3,8'), parseCpus(''), parseCpus('x-1')]).toEqual([
      [0, 18],
      [0, 1, 2, 3, 8],
      [],
      [],
    ])
    expect(parseScale('6.103515625e-5', 'MiB')).toBe(64)
    expect([parseScale(undefined, 'MiB'), parseScale('2.3e-10', 'Joules'), parseScale('x', 'MiB')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('are found in the order of their numbers, without those that have no type', () => {
    const top = 'sys/bus/event_source/devices'
    const machine = makeMachine({
      [`${top}/uncore_imc_10/type`]: '24\n',
      [`${top}/uncore_imc_2/type`]: '16\n',
      [`${top}/uncore_imc_2/cpumask`]: '0,32\n',
      [`${top}/uncore_imc_2/events/clockticks`]: 'event=0x0\n',
      [`${top}/uncore_imc_2/events/clockticks.unit`]: 'MiB\n',
      [`${top}/uncore_imc_3/cpumask`]: '0\n',
      'sys/devices/system/cpu/cpu0/topology/physical_package_id': '0\n',
      'sys/devices/system/cpu/cpu32/topology/physical_package_id': '1\n',
      'sys/devices/system/cpu/cpufreq/boost': '1\n',
    })
    const pmus = readPmus(machine.options.roots, /^uncore_imc_\d+$/)
    expect(pmus.map(({ name, type, cpus, events }) => ({ name, type, cpus, events }))).toEqual([
      { name: 'uncore_imc_2', type: 16, cpus: [0, 32], events: ['clockticks'] },
      { name: 'uncore_imc_10', type: 24, cpus: [], events: [] },
    ])
    expect(readPackages(machine.options.roots)).toEqual(
      new Map([
        [0, '0'],
        [32, '1'],
      ]),
    )
  })
})
