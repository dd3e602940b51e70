/**
 * /proc/loadavg: mean number of tasks that run, wait to run or wait for I/O, over 1, 5 and 15 minutes.
 *
 *   0.85 0.88 0.40 1/112 13700
 */
import { SourceError } from '../kernelfile.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'

export function parseLoad(text: string): readonly [number, number, number] {
  const [one, five, fifteen] = text.split(' ').slice(0, 3).map(Number)
  if (!(one !== undefined && five !== undefined && fifteen !== undefined && one + five + fifteen >= 0)) {
    throw new SourceError(`/proc/loadavg is not three numbers: ${text.slice(0, 80)}`)
  }
  return [one, five, fifteen]
}

export function openLoad({ files }: SourceOptions): Source | Absent {
  const file = files.find('proc/loadavg')
  if (!file) return { absent: 'no /proc/loadavg' }
  return {
    name: 'load',
    read(tick: Tick) {
      const [one, five, fifteen] = parseLoad(file.read(tick))
      return [
        { entity: 'node', column: 'load_1m', instance: '', value: one },
        { entity: 'node', column: 'load_5m', instance: '', value: five },
        { entity: 'node', column: 'load_15m', instance: '', value: fifteen },
      ]
    },
  }
}
