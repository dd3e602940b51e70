/**
 * /proc/net/dev: bytes, packets, errors and drops of each interface.
 * https://docs.kernel.org/networking/statistics.html
 *
 *     eth0: 629325194 15393 0 0 0 0 0 0  1139295 9823 0 0 0 0 0 0        16 columns:
 *           bytes packets errs drop fifo frame compressed multicast | bytes packets errs drop fifo colls carrier compressed
 *
 * Traffic of bond0 is also the traffic of the cards in it, that of a bridge or a VLAN that of the card below. So the node's
 * total is the sum over interfaces with hardware of their own; where there are none (a container) over all but these.
 * InfiniBand is seen here only as far as IP runs over it; RDMA passes the kernel by.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { rateOf } from '../counter.ts'
import { parseNumber, readText } from '../hwmon.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

/** The 16 columns as they are. */
export type InterfaceCounters = readonly number[]

const COLUMNS = [
  { column: 'receive_bytes', at: 0, onNode: true },
  { column: 'receive_packets', at: 1, onNode: false },
  { column: 'receive_errors', at: 2, onNode: true },
  { column: 'receive_dropped', at: 3, onNode: true },
  { column: 'transmit_bytes', at: 8, onNode: true },
  { column: 'transmit_packets', at: 9, onNode: false },
  { column: 'transmit_errors', at: 10, onNode: true },
  { column: 'transmit_dropped', at: 11, onNode: true },
] as const

/** The name ends at the last colon: `eth0:1:` is an alias. A large counter may stand right behind it. */
export function parseNetDev(text: string): ReadonlyMap<string, InterfaceCounters> {
  const interfaces = new Map<string, InterfaceCounters>()
  for (const line of text.split('\n')) {
    const colon = line.lastIndexOf(':')
    if (colon < 0) continue
    const counters = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    if (counters.length < 16) continue
    if (counters.some(counter => !(counter >= 0)))
      throw new SourceError(`/proc/net/dev has no numbers: ${line.slice(0, 80)}`)
    interfaces.set(line.slice(0, colon).trim(), counters)
  }
  if (interfaces.size === 0 && !text.startsWith('Inter-')) throw new SourceError('/proc/net/dev has no interface')
  return interfaces
}

/** 'card' has hardware of its own, 'layer' lies on another, 'plain' is neither, 'no' is not shown. */
export type InterfaceKind = 'card' | 'layer' | 'plain' | 'no'

/** The host's end of a container's or a virtual machine's cable: there can be thousands, and they come and go. */
const HIDDEN = /^(veth|cali|lxc|tap|vnet|ifb|dummy|sit\d|ip6tnl|tunl|gre|erspan|teql)/
const LAYER = /^(lo$|bond|team|br-|br\d|virbr|docker|cni|flannel|cilium|ovs|vlan|vxlan|macvlan|ipvlan|tun|wg)|[.:@]/

/** `hasDevice`: /sys/class/net/NAME/device is there, as for every interface that is a card (or a function of one). */
export function kindOf(name: string, hasDevice: boolean): InterfaceKind {
  if (hasDevice) return 'card'
  if (HIDDEN.test(name)) return 'no'
  return LAYER.test(name) ? 'layer' : 'plain'
}

type Rates = { name: string; kind: InterfaceKind; values: (number | undefined)[] }

function readingsOf(interfaces: readonly Rates[]): Reading[] {
  const readings: Reading[] = []
  const counted = interfaces.some(i => i.kind === 'card') ? 'card' : 'plain'
  const node = new Map<string, number>()
  for (const { name, kind, values } of interfaces) {
    COLUMNS.forEach(({ column, onNode }, i) => {
      const value = values[i]
      if (value !== undefined) readings.push({ entity: 'interface', column, instance: name, value })
      // a total with an unknown part is unknown, not the sum of the rest
      if (onNode && kind === counted) node.set(column, (node.get(column) ?? 0) + (value ?? Number.NaN))
    })
  }
  for (const [column, value] of node) {
    if (!Number.isNaN(value)) readings.push({ entity: 'node', column: `network_${column}`, instance: '', value })
  }
  return readings
}

const SPEEDS_EVERY_MS = 300_000

/** Bytes a second that a link can carry. A link that is down says -1 or nothing, and virtual cards may say what they like. */
function readSpeed(roots: Roots, name: string): number | undefined {
  const megabits = parseNumber(readText(join(roots.sys, 'class/net', name, 'speed')))
  return megabits !== undefined && megabits > 0 ? (megabits * 1e6) / 8 : undefined
}

/** Speeds of the cards: a cable can be changed, but asking takes the lock of the network's configuration. */
function openLinks(roots: Roots): (kinds: ReadonlyMap<string, InterfaceKind>, tick: Tick) => Reading[] {
  const speeds = new Map<string, number | undefined>()
  let readMs = Number.NEGATIVE_INFINITY
  return (kinds, { monotonicMs }) => {
    if (monotonicMs - readMs >= SPEEDS_EVERY_MS) {
      speeds.clear()
      readMs = monotonicMs
    }
    return [...kinds].flatMap(([name, kind]): Reading[] => {
      if (kind !== 'card') return []
      if (!speeds.has(name)) speeds.set(name, readSpeed(roots, name))
      const value = speeds.get(name)
      return value === undefined ? [] : [{ entity: 'interface', column: 'link_bytes', instance: name, value }]
    })
  }
}

/** In a container net/dev is the container's own; process 1 of the host's /proc sees the host's. */
const pathsOf = (roots: Roots) => (roots.proc === '/proc' ? ['proc/net/dev'] : ['proc/1/net/dev', 'proc/net/dev'])

export function openNetwork({ files, roots }: SourceOptions): Source | Absent {
  const file = pathsOf(roots)
    .map(path => files.find(path))
    .find(found => found !== undefined)
  if (!file) return { absent: 'no /proc/net/dev' }
  const kinds = new Map<string, InterfaceKind>()
  const links = openLinks(roots)
  let before: { interfaces: ReadonlyMap<string, InterfaceCounters>; monotonicMs: number } | undefined
  return {
    name: 'network',
    read(tick: Tick) {
      const interfaces = parseNetDev(file.read(tick))
      const last = before
      before = { interfaces, monotonicMs: tick.monotonicMs }
      for (const name of interfaces.keys()) {
        if (!kinds.has(name)) kinds.set(name, kindOf(name, existsSync(`${roots.sys}/class/net/${name}/device`)))
      }
      for (const name of kinds.keys()) if (!interfaces.has(name)) kinds.delete(name)
      if (!last) return []
      const seconds = (tick.monotonicMs - last.monotonicMs) / 1000
      const readings = readingsOf(
        [...interfaces].flatMap(([name, now]) => {
          const kind = kinds.get(name) ?? 'no'
          const then = last.interfaces.get(name)
          if (kind === 'no') return []
          return [{ name, kind, values: COLUMNS.map(({ at }) => rateOf(then?.[at], now[at], seconds)) }]
        }),
      )
      return [...readings, ...links(kinds, tick)]
    },
  }
}
