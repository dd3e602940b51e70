/** sum by (node) (…) and its kin: series with equal labels become one, step by step. */
import { badRequest } from '../errors.ts'
import type { Aggregate } from './ast.ts'
import type { Value } from './evaluate.ts'
import { quantileOf } from './ranges.ts'
import { exceptLabels, isEmpty, keyOf, type Labels, type Line, onlyLabels } from './vector.ts'

type Reduce = (values: readonly number[], parameter: number) => number

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length
const variance = (values: readonly number[]): number => {
  const middle = mean(values)
  return sum(values.map(value => (value - middle) ** 2)) / values.length
}
/** NaN only where there is nothing else. */
const extreme = (values: readonly number[], beats: (a: number, b: number) => boolean): number =>
  values.reduce((best, value) => (Number.isNaN(best) || beats(value, best) ? value : best))

const REDUCES: Readonly<Record<string, Reduce>> = {
  sum,
  avg: mean,
  min: values => extreme(values, (a, b) => a < b),
  max: values => extreme(values, (a, b) => a > b),
  count: values => values.length,
  group: () => 1,
  stddev: values => Math.sqrt(variance(values)),
  stdvar: variance,
  quantile: (values, q) => quantileOf(q, values),
}

interface Group {
  labels: Labels
  lines: Line[]
}

export function aggregate(expr: Aggregate, lines: readonly Line[], parameter: Value | undefined): Line[] {
  const groups = new Map<string, Group>()
  for (const line of lines) {
    const labels = expr.without ? exceptLabels(line.labels, expr.labels) : onlyLabels(line.labels, expr.labels)
    const key = keyOf(labels)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { labels, lines: [line] })
    else group.lines.push(line)
  }
  const found = [...groups.values()].flatMap(group => aggregateGroup(expr, group, parameter))
  return found.filter(line => !isEmpty(line))
}

function aggregateGroup({ op }: Aggregate, group: Group, parameter: Value | undefined): Line[] {
  if (op === 'topk' || op === 'bottomk') return chooseLines(group, numbersOf(parameter, op), op === 'topk')
  if (op === 'count_values') return countValues(group, parameter)
  const reduce = REDUCES[op]
  if (reduce === undefined) throw badRequest(`aggregation ${op} is not known here`)
  const numbers = op === 'quantile' ? numbersOf(parameter, op) : []
  const values = stepsOf(group).map(i => {
    const there = valuesAt(group, i)
    return there.length === 0 ? undefined : reduce(there, numbers[i] ?? Number.NaN)
  })
  return [{ labels: group.labels, values }]
}

function valuesAt({ lines }: Group, step: number): number[] {
  const there: number[] = []
  for (const { values } of lines) {
    const value = values[step]
    if (value !== undefined) there.push(value)
  }
  return there
}

const stepsOf = ({ lines }: Group): number[] => (lines[0]?.values ?? []).map((_, i) => i)

function numbersOf(parameter: Value | undefined, op: string): number[] {
  if (parameter?.kind !== 'scalar') throw badRequest(`${op} needs a number: ${op}(5, metric)`)
  return parameter.values
}

/** The highest (or lowest) k of each step keep their labels and value. */
function chooseLines(group: Group, counts: readonly number[], highest: boolean): Line[] {
  const chosen = group.lines.map(({ labels, values }) => ({
    labels,
    values: values.map((): number | undefined => undefined),
  }))
  for (const i of stepsOf(group)) {
    const there = group.lines.flatMap((line, at) =>
      line.values[i] === undefined ? [] : [{ at, value: line.values[i] }],
    )
    there.sort((a, b) => order(a.value, b.value, highest))
    for (const { at, value } of there.slice(0, Math.max(0, Math.floor(counts[i] ?? 0)))) {
      const line = chosen[at]
      if (line) line.values[i] = value
    }
  }
  return chosen
}

/** NaN is last whichever way. */
const order = (a: number, b: number, highest: boolean): number => {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1
  if (Number.isNaN(b)) return -1
  return highest ? b - a : a - b
}

function countValues(group: Group, parameter: Value | undefined): Line[] {
  if (parameter?.kind !== 'string')
    throw badRequest('count_values needs the name of a label: count_values("value", metric)')
  const lines = new Map<string, Line>()
  for (const i of stepsOf(group)) {
    for (const { values } of group.lines) {
      const value = values[i]
      if (value === undefined) continue
      const text = formatValue(value)
      const line = lines.get(text) ?? {
        labels: new Map([...group.labels, [parameter.value, text]]),
        values: values.map((): number | undefined => undefined),
      }
      lines.set(text, line)
      line.values[i] = (line.values[i] ?? 0) + 1
    }
  }
  return [...lines.values()]
}

/** As Prometheus writes numbers. */
export function formatValue(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
