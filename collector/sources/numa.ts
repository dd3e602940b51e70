/**
 * Memory of each NUMA node, and where pages were put. https://docs.kernel.org/admin-guide/numastat.html
 *
 *   /sys/devices/system/node/node0/meminfo     Node 0 MemTotal:       15034144 kB
 *   /sys/devices/system/node/node0/numastat    other_node 0           pages, since boot
 *
 *   |------------------------- MemTotal -------------------------|     used = MemTotal - MemFree - cached
 *   |-------- used --------|----- cached ------|---- MemFree ----|     cached = FilePages - Shmem + SReclaimable
 *
 * Shared memory is among FilePages, and nobody can take it back.
 */
import { join } from 'node:path'
import { Rates } from '../counter.ts'
import { listed } from '../hwmon.ts'
import { type KernelFile, SourceError, whole } from '../kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

/** Bytes by the kernel's names. */
export function parseNodeMeminfo(text: string): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>()
  for (const [, name, kibibytes] of text.matchAll(/^Node \d+ (\S+): +(\d+) kB$/gm)) {
    bytes.set(name ?? '', Number(kibibytes) * 1024)
  }
  if (!bytes.has('MemTotal') || !bytes.has('MemFree'))
    throw new SourceError('a meminfo of a NUMA node without MemTotal')
  return bytes
}

export function memoryReadings(instance: string, bytes: ReadonlyMap<string, number>): Reading[] {
  const of = (name: string) => bytes.get(name) ?? Number.NaN
  const cached = of('FilePages') - of('Shmem') + (bytes.get('SReclaimable') ?? 0)
  const values = {
    memory_total: of('MemTotal'),
    memory_free: of('MemFree'),
    memory_cached: Math.max(0, cached),
    memory_used: Math.max(0, of('MemTotal') - of('MemFree') - cached),
  }
  return Object.entries(values).flatMap(([column, value]) =>
    Number.isNaN(value) ? [] : [{ entity: 'numa', column, instance, value }],
  )
}

const COLUMNS: Readonly<Record<string, string>> = { numa_miss: 'misses', other_node: 'other', local_node: 'local' }

export function parseNumastat(text: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>()
  for (const [, name = '', pages] of text.matchAll(/^(\w+) (\d+)$/gm)) {
    const column = COLUMNS[name]
    if (column !== undefined) counters.set(column, Number(pages))
  }
  if (counters.size === 0) throw new SourceError('a numastat without a known counter')
  return counters
}

interface Node {
  instance: string
  meminfo: KernelFile
  numastat: KernelFile | undefined
}

export function openNuma({ roots, files }: SourceOptions): Source | Absent {
  const nodes = listed(join(roots.sys, 'devices/system/node'))
    .filter(entry => /^node\d+$/.test(entry))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .flatMap((entry): Node[] => {
      const meminfo = files.find(`sys/devices/system/node/${entry}/meminfo`)
      const numastat = files.find(`sys/devices/system/node/${entry}/numastat`)
      return meminfo ? [{ instance: entry.slice(4), meminfo, numastat }] : []
    })
  if (nodes.length === 0) return { absent: 'the kernel is built without CONFIG_NUMA' }
  if (nodes.length === 1) return { absent: 'one NUMA node: what there is to tell, memory tells' }
  const rates = new Rates('numa')
  return {
    name: 'numa',
    read(tick: Tick) {
      const readings: Reading[] = []
      const counters = new Map<string, ReadonlyMap<string, number>>()
      const problems: string[] = []
      for (const { instance, meminfo, numastat } of nodes) {
        try {
          readings.push(...memoryReadings(instance, parseNodeMeminfo(meminfo.read(tick))))
          if (numastat) counters.set(instance, parseNumastat(numastat.read(tick)))
        } catch (error) {
          problems.push(`NUMA node ${instance}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
      readings.push(...rates.next(tick, counters))
      return whole(readings, problems)
    },
  }
}
