/**
 * /proc/meminfo: what the node's memory is used for. https://docs.kernel.org/filesystems/proc.html#meminfo
 *
 *   MemTotal:       24683656 kB         kB is 1024 bytes; used = MemTotal - MemAvailable,
 *   MemAvailable:   23511020 kB         cached = Cached + SReclaimable, as free(1) counts it
 */
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

/** Bytes by the kernel's own names; the counts of huge pages, which have no unit, are left out. */
export function parseMeminfo(text: string): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 0 || !line.endsWith(' kB')) continue
    const value = Number(line.slice(colon + 1, -3))
    if (!Number.isNaN(value)) bytes.set(line.slice(0, colon), value * 1024)
  }
  if (!bytes.has('MemTotal')) throw new SourceError('/proc/meminfo has no MemTotal')
  return bytes
}

/** Undefined as soon as one of them is missing: half a sum is not the sum. */
function sum(
  bytes: ReadonlyMap<string, number>,
  plus: readonly string[],
  minus: readonly string[],
): number | undefined {
  let total = 0
  for (const name of plus) total += bytes.get(name) ?? Number.NaN
  for (const name of minus) total -= bytes.get(name) ?? Number.NaN
  return Number.isNaN(total) ? undefined : Math.max(0, total)
}

const COLUMNS: readonly { column: string; plus: readonly string[]; minus?: readonly string[] }[] = [
  { column: 'memory_total', plus: ['MemTotal'] },
  { column: 'memory_used', plus: ['MemTotal'], minus: ['MemAvailable'] },
  { column: 'memory_free', plus: ['MemFree'] },
  { column: 'memory_cached', plus: ['Cached', 'SReclaimable'] },
  { column: 'memory_buffers', plus: ['Buffers'] },
  { column: 'memory_available', plus: ['MemAvailable'] },
  { column: 'memory_dirty', plus: ['Dirty', 'Writeback'] },
  { column: 'swap_used', plus: ['SwapTotal'], minus: ['SwapFree'] },
  { column: 'swap_total', plus: ['SwapTotal'] },
]

export function memoryReadings(bytes: ReadonlyMap<string, number>): Reading[] {
  return COLUMNS.flatMap(({ column, plus, minus }) => {
    const value = sum(bytes, plus, minus ?? [])
    return value === undefined ? [] : [{ entity: 'node', column, instance: '', value }]
  })
}

export function openMemory({ files }: SourceOptions): Source | Absent {
  const file = files.find('proc/meminfo')
  if (!file) return { absent: 'no /proc/meminfo' }
  return {
    name: 'memory',
    read: (tick: Tick) => memoryReadings(parseMeminfo(file.read(tick))),
  }
}
