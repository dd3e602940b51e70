/**
 * /proc/diskstats: bytes, operations, time with I/O in flight, of each whole disk.
 * https://docs.kernel.org/admin-guide/iostats.html
 *
 *   254 0 vda 129902 29713 7495858 52755 16779 47944 6177432 19310 0 14192 72586 …
 *             reads  merged sectors ms   writes merged sectors ms    | ms with I/O in flight
 *
 * A sector is 512 bytes here whatever the disk says. Partitions are left out, their disk has their I/O. Device-mapper and
 * md devices are shown, but their I/O is also the I/O of the disks they lie on, so the node's total does not count them.
 */
import { readdirSync } from 'node:fs'
import { rateOf } from '../counter.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

const SECTOR_BYTES = 512

export interface DiskCounters {
  reads: number
  readSectors: number
  readMs: number
  writes: number
  writtenSectors: number
  writeMs: number
  /** Time with at least one I/O in flight; undefined before Linux 2.6 gave it. */
  busyMs: number
}

/** Counters by device name, partitions and all. Lines with fewer columns (Linux < 2.6.25 partitions) are left out. */
export function parseDiskstats(text: string): ReadonlyMap<string, DiskCounters> {
  const disks = new Map<string, DiskCounters>()
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/)
    const [reads, , readSectors, readMs, writes, , writtenSectors, writeMs, , busyMs] = words.slice(3, 13).map(Number)
    const name = words[2]
    if (name === undefined || busyMs === undefined || Number.isNaN(busyMs)) continue
    if (reads === undefined || readSectors === undefined || readMs === undefined) continue
    if (writes === undefined || writtenSectors === undefined || writeMs === undefined) continue
    disks.set(name, { reads, readSectors, readMs, writes, writtenSectors, writeMs, busyMs })
  }
  if (disks.size === 0 && text.trim() !== '') throw new SourceError('/proc/diskstats has no line of a disk')
  return disks
}

/** 'disk' is counted in the node's total, 'layer' lies on disks, 'no' is not shown. */
export type DiskKind = 'disk' | 'layer' | 'no'

const HIDDEN = /^(loop|ram|zram|fd|sr)\d+/
/** One path of a multipath NVMe namespace: nvme0c1n1 carries I/O of nvme0n1. Old kernels count it only here. */
const NVME_PATH = /^(nvme\d+)c\d+(n\d+)$/
const LAYER = /^(dm-|md|bcache|drbd)\d/

/** `whole`: what /sys/block lists, so everything but partitions; undefined where there is no sysfs. */
export function kindOf(
  name: string,
  disks: ReadonlyMap<string, DiskCounters>,
  whole: ReadonlySet<string> | undefined,
): DiskKind {
  if (HIDDEN.test(name) || !isUsed(disks.get(name))) return 'no'
  if (whole ? !whole.has(name) : PARTITION.test(name)) return 'no'
  if (LAYER.test(name)) return 'layer'
  return NVME_PATH.test(name) && isUsed(disks.get(name.replace(NVME_PATH, '$1$2'))) ? 'layer' : 'disk'
}

/** A disk that is there was read at least for its partition table; sixteen nbd devices wait for somebody to use them. */
const isUsed = (counters: DiskCounters | undefined) => counters !== undefined && counters.reads + counters.writes > 0

/** Names partitions have, for a machine without sysfs. */
const PARTITION = /^((sd|hd|vd|xvd)[a-z]+\d+|(nvme\d+n\d+|mmcblk\d+|md\d+)p\d+)$/

function readWholeDisks(roots: Roots): ReadonlySet<string> | undefined {
  try {
    return new Set(readdirSync(`${roots.sys}/block`))
  } catch {
    return undefined
  }
}

interface Rates {
  name: string
  kind: DiskKind
  values: ReadonlyMap<string, number | undefined>
}

function ratesOf(before: DiskCounters | undefined, now: DiskCounters, seconds: number): Rates['values'] {
  const of = (key: keyof DiskCounters, factor = 1) => {
    const rate = rateOf(before?.[key], now[key], seconds)
    return rate === undefined ? undefined : rate * factor
  }
  const busy = of('busyMs', 1e-3)
  return new Map([
    ['read_bytes', of('readSectors', SECTOR_BYTES)],
    ['read_operations', of('reads')],
    ['read_queue', of('readMs', 1e-3)],
    ['write_bytes', of('writtenSectors', SECTOR_BYTES)],
    ['write_operations', of('writes')],
    ['write_queue', of('writeMs', 1e-3)],
    ['utilization', busy === undefined ? undefined : Math.min(1, busy)],
  ])
}

const SUMMED = new Set(['read_bytes', 'read_operations', 'write_bytes', 'write_operations'])

/** A total with an unknown part is unknown (NaN, and left out), not the sum of the rest. */
function readingsOf(disks: readonly Rates[]): Reading[] {
  const readings: Reading[] = []
  const node = new Map<string, number>()
  for (const { name, kind, values } of disks) {
    for (const [column, value] of values) {
      if (value !== undefined) readings.push({ entity: 'disk', column, instance: name, value })
      if (kind !== 'disk') continue
      const part = value ?? Number.NaN
      if (SUMMED.has(column)) node.set(`disk_${column}`, (node.get(`disk_${column}`) ?? 0) + part)
      if (column === 'utilization') node.set('disk_utilization', Math.max(node.get('disk_utilization') ?? 0, part))
    }
  }
  for (const [column, value] of node) {
    if (!Number.isNaN(value)) readings.push({ entity: 'node', column, instance: '', value })
  }
  return readings
}

export function openDisk({ files, roots }: SourceOptions): Source | Absent {
  const file = files.find('proc/diskstats')
  if (!file) return { absent: 'no /proc/diskstats' }
  const kinds = new Map<string, DiskKind>()
  let before: { disks: ReadonlyMap<string, DiskCounters>; monotonicMs: number } | undefined
  return {
    name: 'disk',
    read(tick: Tick) {
      const disks = parseDiskstats(file.read(tick))
      const last = before
      if (disks.size === 0 && last && last.disks.size > 0) throw new SourceError('/proc/diskstats is empty now')
      before = { disks, monotonicMs: tick.monotonicMs }
      if ([...disks].some(([name, counters]) => kinds.has(name) !== isUsed(counters))) {
        const whole = readWholeDisks(roots)
        kinds.clear()
        for (const [name, counters] of disks) if (isUsed(counters)) kinds.set(name, kindOf(name, disks, whole))
      }
      if (!last) return []
      const seconds = (tick.monotonicMs - last.monotonicMs) / 1000
      return readingsOf(
        [...disks].flatMap(([name, now]) => {
          const kind = kinds.get(name) ?? 'no'
          return kind === 'no' ? [] : [{ name, kind, values: ratesOf(last.disks.get(name), now, seconds) }]
        }),
      )
    },
  }
}
