/**
 * Ports of the fast network, whose traffic passes the kernel's interfaces by (RDMA).
 * https://docs.kernel.org/admin-guide/abi-stable-files.html#abi-file-testing-sysfs-class-infiniband
 *
 *   /sys/class/infiniband/mlx5_0/ports/1/state                       4: ACTIVE
 *                                       /rate                        200 Gb/sec (4X HDR)
 *                                       /counters/port_rcv_data      in lanes of 4 bytes; Omni-Path (hfi1) in flits of 8
 *                                       /counters_ext/port_rcv_data_64    64 bit, kernels before 4.5; the other is then 32 bit
 *                                                                    and stops at its end
 *                                       /hw_counters/…               the driver's own: EFA and Pensando count bytes here
 *   /sys/class/cxi/cxi0/device/telemetry/hni_sts_rx_ok_octets        123456@1672531200.123    Slingshot, in bytes
 *
 * mlx5 asks its firmware for each file, so what seldom moves is read every 10 s at most. An instance is card/port.
 */
import { readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Counters, Rates } from '../counter.ts'
import { listed, parseNumber } from '../hwmon.ts'
import { type KernelFiles, SourceError, whole } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

/** What a column is counted from: the sum of these files, each times `bytes`. */
interface Counted {
  column: string
  paths: readonly string[]
  times: number
}

export interface Port {
  instance: string
  often: readonly Counted[]
  seldom: readonly Counted[]
  /** Files of its state and rate; Slingshot has none here. */
  statePath: string | undefined
  ratePath: string | undefined
}

const SATURATED = 2 ** 32 - 1

/** `123`, and Slingshot's `123@1672531200.5` */
export function parseCounter(text: string): number | undefined {
  return parseNumber(text.split('@')[0])
}

/** `200 Gb/sec (4X HDR)` -> bytes a second. */
export function parseRate(text: string): number | undefined {
  const gigabits = Number(/^([\d.]+) Gb\/sec/.exec(text)?.[1])
  return gigabits > 0 ? (gigabits * 1e9) / 8 : undefined
}

/** `4: ACTIVE`; throws where it is no state. */
export function isActive(state: string): boolean {
  if (!/^\d: \w/.test(state)) throw new SourceError(`no state of a port: ${state.slice(0, 40)}`)
  return state.startsWith('4:')
}

/** Ways to count a column, best first; the first whose files are all there is taken. */
type Ways = readonly { files: readonly string[]; times: number }[]

function dataWays(direction: 'rcv' | 'xmit', laneBytes: number): Ways {
  const short = direction === 'rcv' ? 'rx' : 'tx'
  return [
    { files: [`hw_counters/${short}_bytes`], times: 1 },
    { files: [`hw_counters/${short}_rdma_ucast_bytes`, `hw_counters/${short}_rdma_mcast_bytes`], times: 1 },
    { files: [`counters_ext/port_${direction}_data_64`], times: laneBytes },
    { files: [`counters/port_${direction}_data`], times: laneBytes },
  ]
}

function packetWays(direction: 'rcv' | 'xmit'): Ways {
  const short = direction === 'rcv' ? 'rx' : 'tx'
  return [
    { files: [`hw_counters/${short}_pkts`], times: 1 },
    { files: [`counters_ext/port_${direction}_packets_64`], times: 1 },
    { files: [`counters/port_${direction}_packets`], times: 1 },
  ]
}

/** Those of the files that are there are added up. */
const SELDOM: readonly { column: string; files: readonly string[] }[] = [
  { column: 'receive_errors', files: ['counters/port_rcv_errors', 'counters/symbol_error'] },
  { column: 'transmit_errors', files: ['counters/port_xmit_discards'] },
  { column: 'receive_dropped', files: ['hw_counters/rx_drops', 'hw_counters/out_of_buffer'] },
  { column: 'transmit_waits', files: ['counters/port_xmit_wait'] },
  {
    column: 'link_failures',
    files: ['counters/link_downed', 'counters/link_error_recovery', 'counters/local_link_integrity_errors'],
  },
  {
    column: 'retransmissions',
    files: ['out_of_sequence', 'packet_seq_err', 'local_ack_timeout_err', 'retrans_pkts'].map(f => `hw_counters/${f}`),
  },
  { column: 'congestion_notices', files: ['hw_counters/np_cnp_sent', 'hw_counters/rp_cnp_handled'] },
]

function driverOf(roots: Roots, card: string): string {
  try {
    return basename(readlinkSync(join(roots.sys, 'class/infiniband', card, 'device/driver')))
  } catch {
    return card.replace(/_\d+$/, '')
  }
}

/** At the start, before there are ticks. */
function textOf(files: KernelFiles, path: string): string {
  try {
    return files.find(path)?.read({ timeMs: 0, intervalMs: 0, monotonicMs: 0 }) ?? ''
  } catch {
    return ''
  }
}

function readPort(roots: Roots, files: KernelFiles, card: string, port: string): Port {
  const top = `sys/class/infiniband/${card}/ports/${port}`
  const laneBytes = driverOf(roots, card) === 'hfi1' ? 8 : 4
  const has = (file: string) => files.find(`${top}/${file}`) !== undefined
  // a port without a performance manager has the files, and they say 'N/A (no PMA)'
  const counts = (file: string) => parseCounter(textOf(files, `${top}/${file}`)) !== undefined
  const first = (column: string, ways: Ways): Counted[] => {
    const way = ways.find(one => one.files.every(counts))
    return way ? [{ column, paths: way.files.map(file => `${top}/${file}`), times: way.times }] : []
  }
  return {
    instance: `${card}/${port}`,
    often: [
      ...first('receive_bytes', dataWays('rcv', laneBytes)),
      ...first('transmit_bytes', dataWays('xmit', laneBytes)),
      ...first('receive_packets', packetWays('rcv')),
      ...first('transmit_packets', packetWays('xmit')),
    ],
    seldom: SELDOM.flatMap(({ column, files: wanted }) => {
      const there = wanted.filter(counts)
      return there.length > 0 ? [{ column, paths: there.map(file => `${top}/${file}`), times: 1 }] : []
    }),
    statePath: has('state') ? `${top}/state` : undefined,
    ratePath: has('rate') ? `${top}/rate` : undefined,
  }
}

function readSlingshot(files: KernelFiles, card: string): Port {
  const top = `sys/class/cxi/${card}/device/telemetry`
  const of = (column: string, name: string): Counted[] =>
    files.find(`${top}/${name}`) ? [{ column, paths: [`${top}/${name}`], times: 1 }] : []
  return {
    instance: `${card}/1`,
    often: [...of('receive_bytes', 'hni_sts_rx_ok_octets'), ...of('transmit_bytes', 'hni_sts_tx_ok_octets')],
    seldom: of('retransmissions', 'pct_sct_timeouts'),
    statePath: undefined,
    ratePath: undefined,
  }
}

export function readPorts({ roots, files }: Pick<SourceOptions, 'roots' | 'files'>): Port[] {
  const top = join(roots.sys, 'class/infiniband')
  return [
    ...listed(top).flatMap(card => listed(join(top, card, 'ports')).map(port => readPort(roots, files, card, port))),
    ...listed(join(roots.sys, 'class/cxi')).map(card => readSlingshot(files, card)),
  ]
    .filter(port => port.often.length > 0)
    .sort((a, b) => a.instance.localeCompare(b.instance, undefined, { numeric: true }))
}

export function openInfiniband(options: SourceOptions): Source | Absent {
  const ports = readPorts(options)
  if (ports.length > 0) return new Ports(options.files, ports)
  const cards = listed(join(options.roots.sys, 'class/infiniband'))
  return cards.length > 0
    ? { absent: `the driver of ${cards.join(', ')} has no counters in sysfs` }
    : { absent: 'no card of InfiniBand, RoCE, Omni-Path or Slingshot' }
}

const SELDOM_MS = 10_000
const ON_NODE = { receive_bytes: 'fabric_receive_bytes', transmit_bytes: 'fabric_transmit_bytes' }
const ERRORS = new Set(['receive_errors', 'transmit_errors', 'link_failures'])

class Ports implements Source {
  readonly name = 'infiniband'
  private readonly files: KernelFiles
  private readonly ports: readonly Port[]
  private readonly often = new Rates('interface')
  private readonly seldom = new Rates('interface')
  private seldomMs = Number.NEGATIVE_INFINITY

  constructor(files: KernelFiles, ports: readonly Port[]) {
    this.files = files
    this.ports = ports
  }

  read(tick: Tick): Reading[] {
    const problems = new Map<string, string>()
    const active = this.ports.filter(port => this.isActive(port, tick, problems))
    const often = this.often.next(tick, this.count(active, 'often', tick, problems))
    const readings = [...often, ...this.linkReadings(active, tick, problems)]
    const sums = (columns: Readonly<Record<string, string>>) => totals(often, active, columns)
    readings.push(...sums(ON_NODE))
    if (tick.monotonicMs - this.seldomMs > SELDOM_MS - 500) {
      const seldom = this.seldom.next(tick, this.count(active, 'seldom', tick, problems))
      this.seldomMs = tick.monotonicMs
      readings.push(...seldom, ...errorsOf(seldom))
    }
    return whole(
      readings,
      [...problems].map(problem => problem.join(': ')),
    )
  }

  private isActive(port: Port, tick: Tick, problems: Map<string, string>): boolean {
    if (port.statePath === undefined) return true
    return attempt(port, problems, () => isActive(this.text(port.statePath ?? '', tick))) ?? false
  }

  private linkReadings(active: readonly Port[], tick: Tick, problems: Map<string, string>): Reading[] {
    const readings: Reading[] = []
    for (const port of this.ports) {
      const { instance, statePath, ratePath } = port
      const isUp = active.includes(port)
      const add = (column: string, value: number) => readings.push({ entity: 'interface', column, instance, value })
      if (statePath !== undefined && !problems.has(instance)) add('link_up', isUp ? 1 : 0)
      const path = isUp ? ratePath : undefined
      const rate = path === undefined ? undefined : attempt(port, problems, () => this.rate(path, tick))
      if (rate !== undefined) add('link_bytes', rate)
    }
    // a port whose state nobody knows may be active
    if (this.ports.every(port => active.includes(port) || !problems.has(port.instance))) {
      readings.push({ entity: 'node', column: 'fabric_ports_active', instance: '', value: active.length })
    }
    return readings
  }

  private count(
    ports: readonly Port[],
    which: 'often' | 'seldom',
    tick: Tick,
    problems: Map<string, string>,
  ): Counters {
    const counters = new Map<string, ReadonlyMap<string, number>>()
    for (const port of ports) {
      const columns = new Map<string, number>()
      for (const { column, paths, times } of port[which]) {
        const value = attempt(port, problems, () => paths.reduce((sum, path) => sum + this.counter(path, tick), 0))
        if (value !== undefined) columns.set(column, value * times)
      }
      counters.set(port.instance, columns)
    }
    return counters
  }

  private rate(path: string, tick: Tick): number {
    const text = this.text(path, tick)
    const rate = parseRate(text)
    if (rate === undefined) throw new SourceError(`/${path} is no rate: ${text.slice(0, 40)}`)
    return rate
  }

  private counter(path: string, tick: Tick): number {
    const text = this.text(path, tick)
    const value = parseCounter(text)
    if (value === undefined) throw new SourceError(`${basename(path)} is no number: ${text.slice(0, 40)}`)
    // 64-bit counters pass it in no time
    if (value === SATURATED) throw new SourceError(`${basename(path)} has reached its end: clear it with perfquery -R`)
    return value
  }

  private text(path: string, tick: Tick): string {
    const file = this.files.find(path)
    if (!file) throw new SourceError(`/${path} is gone`)
    return file.read(tick)
  }
}

function attempt<T>(port: Port, problems: Map<string, string>, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    problems.set(port.instance, error instanceof Error ? error.message : String(error))
    return undefined
  }
}

/** A total with an unknown part is unknown. */
function totals(readings: readonly Reading[], active: readonly Port[], columns: Readonly<Record<string, string>>) {
  return Object.entries(columns).flatMap(([column, onNode]): Reading[] => {
    const parts = readings.filter(reading => reading.column === column)
    if (parts.length === 0 || parts.length < active.length) return []
    return [{ entity: 'node', column: onNode, instance: '', value: parts.reduce((sum, { value }) => sum + value, 0) }]
  })
}

function errorsOf(readings: readonly Reading[]): Reading[] {
  const parts = readings.filter(reading => ERRORS.has(reading.column))
  if (parts.length === 0) return []
  return [{ entity: 'node', column: 'fabric_errors', instance: '', value: parts.reduce((sum, r) => sum + r.value, 0) }]
}
