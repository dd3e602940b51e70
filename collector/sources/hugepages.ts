/**
 * Huge pages that were set aside, of all sizes. https://docs.kernel.org/admin-guide/mm/hugetlbpage.html
 *
 *   /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages    512
 *                                            /free_hugepages  500
 */
import { join } from 'node:path'
import { listed, parseNumber } from '../hwmon.ts'
import { type KernelFile, SourceError } from '../kernelfile.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'

function numberIn(file: KernelFile, tick: Tick): number {
  const number = parseNumber(file.read(tick))
  if (number === undefined) throw new SourceError(`${file.path} is no number`)
  return number
}

export function openHugepages({ roots, files }: SourceOptions): Source | Absent {
  const sizes = listed(join(roots.sys, 'kernel/mm/hugepages')).flatMap(entry => {
    const kibibytes = Number(/^hugepages-(\d+)kB$/.exec(entry)?.[1])
    const all = files.find(`sys/kernel/mm/hugepages/${entry}/nr_hugepages`)
    const free = files.find(`sys/kernel/mm/hugepages/${entry}/free_hugepages`)
    return kibibytes > 0 && all && free ? [{ bytes: kibibytes * 1024, all, free }] : []
  })
  if (sizes.length === 0) return { absent: 'the kernel is built without CONFIG_HUGETLBFS' }
  return {
    name: 'hugepages',
    read(tick: Tick) {
      let total = 0
      let used = 0
      for (const { bytes, all, free } of sizes) {
        const pages = numberIn(all, tick)
        total += pages * bytes
        used += Math.max(0, pages - numberIn(free, tick)) * bytes
      }
      return [
        { entity: 'node', column: 'hugepages_total', instance: '', value: total },
        { entity: 'node', column: 'hugepages_used', instance: '', value: used },
      ]
    },
  }
}
