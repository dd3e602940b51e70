/**
 * Folded stacks as Pyroscope's older clients push them: root first, `;` between frames, a count or a value at the end.
 *
 *   main;solve;exp 20        format=folded (also groups, collapsed)
 *   main;solve;exp           format=lines: a line is a sample
 */
import { type Dictionary, emptyDictionary } from '../otlp/dictionary.ts'
import type { SampleIn } from '../profilesample.ts'

export interface Folded {
  dictionary: Dictionary
  samples: SampleIn[]
  /** Lines that are no stack with a count. */
  wrong: number
}

export function parseFolded(text: string, counted: boolean): Folded {
  const dictionary = emptyDictionary()
  // Index 0 stands for none.
  dictionary.strings.push('')
  dictionary.functions.push({ name: 0, systemName: 0, file: 0 })
  const locationAt = new Map<string, number>()
  const locationOf = (name: string): number => {
    const known = locationAt.get(name)
    if (known !== undefined) return known
    const index = dictionary.functions.push({ name: dictionary.strings.push(name) - 1, systemName: 0, file: 0 }) - 1
    const lines = [{ function: index, line: 0 }]
    const at = dictionary.locations.push({ mapping: 0, address: 0n, lines, attributes: [] }) - 1
    locationAt.set(name, at)
    return at
  }
  const samples: SampleIn[] = []
  let wrong = 0
  for (const line of text.split('\n')) {
    const whole = line.trim()
    if (whole === '') continue
    const blank = counted ? whole.lastIndexOf(' ') : whole.length
    const value = counted ? Number(whole.slice(blank + 1)) : 1
    if (blank <= 0 || !Number.isFinite(value) || value < 0) {
      wrong++
      continue
    }
    const frames = whole.slice(0, blank).split(';').reverse()
    const stack = dictionary.stacks.push(frames.map(locationOf)) - 1
    samples.push({ stack, attributes: [], values: [value], timestamps: [] })
  }
  return { dictionary, samples, wrong }
}
