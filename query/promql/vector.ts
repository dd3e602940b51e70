/** Series over the steps of a query, and the labels they are told apart by. */
import { badRequest } from '../errors.ts'

export type Labels = ReadonlyMap<string, string>

/** One value a step; undefined: there is none. NaN is a value. */
export interface Line {
  labels: Labels
  values: (number | undefined)[]
}

/** What a selector found: times in ms, rising. */
export interface Samples {
  labels: Labels
  times: ArrayLike<number>
  values: ArrayLike<number>
  /** It ended then: the last sample is not shown any longer. */
  endMs?: number | undefined
}

export const NAME = '__name__'

export const withoutName = (labels: Labels): Labels =>
  labels.has(NAME) ? new Map([...labels].filter(([label]) => label !== NAME)) : labels

export const onlyLabels = (labels: Labels, wanted: readonly string[]): Labels =>
  new Map(wanted.flatMap(label => (labels.has(label) ? [[label, labels.get(label) ?? '']] : [])))

export const exceptLabels = (labels: Labels, unwanted: readonly string[]): Labels =>
  new Map([...labels].filter(([label]) => label !== NAME && !unwanted.includes(label)))

/** The same labels in any order give the same key. */
export const keyOf = (labels: Labels): string => JSON.stringify([...labels].sort(([a], [b]) => (a < b ? -1 : 1)))

/** Dropping a name may make two series one: that is an error, as in Prometheus. */
export function requireDistinct(lines: readonly Line[]): Line[] {
  const seen = new Map<string, Line>()
  for (const line of lines) {
    const key = keyOf(line.labels)
    const other = seen.get(key)
    if (other === undefined) {
      seen.set(key, { ...line, values: [...line.values] })
      continue
    }
    line.values.forEach((value, i) => {
      if (value === undefined) return
      if (other.values[i] !== undefined) throw badRequest('vector cannot contain metrics with the same labelset')
      other.values[i] = value
    })
  }
  return [...seen.values()]
}

export const isEmpty = (line: Line): boolean => line.values.every(value => value === undefined)
