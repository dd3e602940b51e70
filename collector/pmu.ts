/**
 * Event sources of perf as sysfs describes them. https://docs.kernel.org/admin-guide/perf/index.html
 * https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-bus-event_source-devices-format and -events
 *
 *   /sys/bus/event_source/devices/uncore_imc_0/type                        14
 *                                             /cpumask                     0,18          count there, once a package
 *                                             /format/umask                config:8-15   where a term goes
 *                                             /events/cas_count_read       event=0x04,umask=0x03
 *                                             /events/cas_count_read.scale 6.103515625e-5
 *                                             /events/cas_count_read.unit  MiB
 */
import { join } from 'node:path'
import { listed, parseNumber, readText } from './hwmon.ts'
import { SourceError } from './kernelfile.ts'
import type { Roots } from './source.ts'

export type Words = Readonly<Record<'config' | 'config1' | 'config2', bigint>>

/** Bits of a config word that a term fills, lowest first. */
export interface Format {
  word: keyof Words
  bits: readonly (readonly [first: number, last: number])[]
}

export interface Pmu {
  name: string
  type: number
  /** Where its events are to be counted; empty: on every CPU. */
  cpus: readonly number[]
  formats: ReadonlyMap<string, Format>
  /** Names of its events. */
  events: readonly string[]
  directory: string
}

/** `config:0-7,32-35` */
export function parseFormat(text: string): Format | undefined {
  const [, word, ranges = ''] = /^(config|config1|config2):([\d,-]+)\s*$/.exec(text.trim()) ?? []
  if (word !== 'config' && word !== 'config1' && word !== 'config2') return undefined
  const bits = ranges.split(',').map(range => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number)
    return [first, last] as const
  })
  return bits.every(([first, last]) => first >= 0 && last >= first && last < 64) ? { word, bits } : undefined
}

/** `event=0x04,umask=0x03` -> words; a term without a value is 1. Throws where a term has no format. */
export function encodeEvent(text: string, formats: ReadonlyMap<string, Format>): Words {
  const words = { config: 0n, config1: 0n, config2: 0n }
  for (const term of text.trim().split(',')) {
    const [name = '', given = '1'] = term.trim().split('=')
    if (!/^(0x[\da-f]+|\d+)$/i.test(given)) throw new SourceError(`perf event ${text}: ${term} has no number`)
    const value = BigInt(given)
    const format = formats.get(name)
    if (format) words[format.word] |= spread(value, format)
    else if (name === 'config' || name === 'config1' || name === 'config2') words[name] |= value
    else throw new SourceError(`perf event ${text}: there is no format ${name}`)
  }
  return words
}

/** The lowest bits of the value go to the first range, the next ones to the second. */
function spread(value: bigint, { bits }: Format): bigint {
  let left = value
  let word = 0n
  for (const [first, last] of bits) {
    const width = BigInt(last - first + 1)
    word |= (left & ((1n << width) - 1n)) << BigInt(first)
    left >>= width
  }
  return word
}

/** `0,18` or `0-3,8`; nothing of a text that is no list. */
export function parseCpus(text: string): number[] {
  const cpus: number[] = []
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? []
    if (first === undefined) return []
    for (let cpu = Number(first); cpu <= Math.min(Number(last), MOST_CPUS); cpu++) cpus.push(cpu)
  }
  return cpus
}
const MOST_CPUS = 65_535

const UNITS: Readonly<Record<string, number>> = { Bytes: 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

/** Bytes that one count stands for; undefined where the files do not say bytes. */
export function parseScale(scale: string | undefined, unit: string | undefined): number | undefined {
  const times = Number(scale ?? Number.NaN)
  const bytes = UNITS[unit ?? '']
  return times > 0 && bytes !== undefined ? times * bytes : undefined
}

const TOP = 'bus/event_source/devices'

/** In the order of their numbers. */
export function readPmus(roots: Pick<Roots, 'sys'>, wanted: RegExp): Pmu[] {
  const top = join(roots.sys, TOP)
  const names = listed(top).filter(name => wanted.test(name))
  return names
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
    .flatMap(name => {
      const directory = join(top, name)
      const type = parseNumber(readText(join(directory, 'type')))
      if (type === undefined) return []
      const formats = listed(join(directory, 'format')).flatMap((term): [string, Format][] => {
        const format = parseFormat(readText(join(directory, 'format', term)) ?? '')
        return format ? [[term, format]] : []
      })
      const events = listed(join(directory, 'events')).filter(event => !event.includes('.'))
      const cpus = parseCpus(readText(join(directory, 'cpumask')) ?? '')
      return [{ name, type, cpus, formats: new Map(formats), events, directory }]
    })
}

/** CPU -> the package it is in, of all CPUs that are online. */
export function readPackages(roots: Pick<Roots, 'sys'>): Map<number, string> {
  const top = join(roots.sys, 'devices/system/cpu')
  const packages = new Map<number, string>()
  for (const entry of listed(top)) {
    const cpu = parseNumber(/^cpu(\d+)$/.exec(entry)?.[1])
    const socket = readText(join(top, entry, 'topology/physical_package_id'))
    if (cpu !== undefined && socket !== undefined) packages.set(cpu, socket)
  }
  return packages
}
