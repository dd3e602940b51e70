/**
 * /proc/vmstat: faults, swapping and kills for memory, a second. One `name value` a line, about 200 of them.
 *
 *   pswpin 0
 *   pgfault 98372         every fault, the major ones too
 *   pgmajfault 1893       those that read from disk
 *   oom_kill 0              since Linux 4.13
 */
import { rateOf } from '../counter.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'

const COLUMN_OF_NAME = {
  pgfault: 'page_faults_minor',
  pgmajfault: 'page_faults_major',
  pswpin: 'swap_in',
  pswpout: 'swap_out',
  oom_kill: 'oom_kills',
} as const
const NAMES = new Map(Object.entries(COLUMN_OF_NAME))

/** Counters by column of the catalogue; a counter the kernel does not have is missing. */
export function parseVmstat(text: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>()
  const lines = `\n${text}`
  for (const [name, column] of NAMES) {
    // five lines of 200: looked for, not split
    const at = lines.indexOf(`\n${name} `)
    if (at < 0) continue
    const end = lines.indexOf('\n', at + 1)
    const value = Number(lines.slice(at + name.length + 2, end < 0 ? undefined : end))
    if (!Number.isNaN(value)) counters.set(column, value)
  }
  const minor = (counters.get('page_faults_minor') ?? Number.NaN) - (counters.get('page_faults_major') ?? Number.NaN)
  if (minor >= 0) counters.set('page_faults_minor', minor)
  else counters.delete('page_faults_minor')
  if (counters.size === 0) throw new SourceError('/proc/vmstat has none of the known counters')
  return counters
}

export function openPaging({ files }: SourceOptions): Source | Absent {
  const file = files.find('proc/vmstat')
  if (!file) return { absent: 'no /proc/vmstat' }
  let before: { counters: ReadonlyMap<string, number>; monotonicMs: number } | undefined
  return {
    name: 'paging',
    read(tick: Tick) {
      const counters = parseVmstat(file.read(tick))
      const last = before
      before = { counters, monotonicMs: tick.monotonicMs }
      if (!last) return []
      const seconds = (tick.monotonicMs - last.monotonicMs) / 1000
      return [...counters].flatMap(([column, now]) => {
        const value = rateOf(last.counters.get(column), now, seconds)
        return value === undefined ? [] : [{ entity: 'node', column, instance: '', value }]
      })
    },
  }
}
