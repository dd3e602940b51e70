/** Functions of PromQL but for those of ranges (ranges.ts) and of one value (maths.ts). */
import { badRequest } from '../errors.ts'
import type { Expr } from './ast.ts'
import type { Evaluator, Value } from './evaluate.ts'
import { CALENDAR, expand, labelPattern, MATHS } from './maths.ts'
import { RANGE_FUNCTIONS } from './ranges.ts'
import { exceptLabels, keyOf, type Labels, type Line, NAME, requireDistinct, withoutName } from './vector.ts'

type Call = Expr & { kind: 'call' }

export async function callFunction(evaluator: Evaluator, call: Call): Promise<Value> {
  const { name, args } = call
  if (Object.hasOwn(RANGE_FUNCTIONS, name)) return ofRange(evaluator, call)
  if (Object.hasOwn(MATHS, name)) return ofMaths(evaluator, call)
  if (Object.hasOwn(CALENDAR, name)) return ofCalendar(evaluator, call)
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined
  if (known === undefined) throw badRequest(`function ${name} is not known here`)
  return known(evaluator, args)
}

const vector = (lines: Line[]): Value => ({ kind: 'vector', lines })

async function ofRange(evaluator: Evaluator, { name, args }: Call): Promise<Value> {
  const parameterAt = name === 'quantile_over_time' ? 0 : name === 'predict_linear' ? 1 : -1
  const parameter = args[parameterAt]
  const numbers = parameterAt < 0 ? [] : evaluator.scalarOf(parameter && (await evaluator.evaluate(parameter)), name)
  return vector(await evaluator.overRange(name, args[parameterAt === 0 ? 1 : 0], numbers))
}

/** Values step by step, without the name. */
const mapped = (lines: readonly Line[], read: (value: number, step: number) => number): Value =>
  vector(
    requireDistinct(
      lines.map(({ labels, values }) => ({
        labels: withoutName(labels),
        values: values.map((value, i) => (value === undefined ? undefined : read(value, i))),
      })),
    ),
  )

async function ofMaths(evaluator: Evaluator, { name, args }: Call): Promise<Value> {
  const [of, ...parameters] = args
  const lines = evaluator.vectorOf(await evaluator.evaluate(of ?? missing(name)), name)
  const numbers = await Promise.all(parameters.map(async p => evaluator.scalarOf(await evaluator.evaluate(p), name)))
  const compute = MATHS[name] ?? missing(name)
  return mapped(lines, (value, i) => compute(value, numbers[0]?.[i] ?? Number.NaN, numbers[1]?.[i] ?? Number.NaN))
}

async function ofCalendar(evaluator: Evaluator, { name, args }: Call): Promise<Value> {
  const compute = CALENDAR[name] ?? missing(name)
  if (args[0] === undefined) {
    return vector([{ labels: new Map(), values: evaluator.steps.map(step => compute(step / 1000)) }])
  }
  return mapped(evaluator.vectorOf(await evaluator.evaluate(args[0]), name), compute)
}

const missing = (name: string): never => {
  throw badRequest(`${name}() has too few arguments`)
}

type Known = (evaluator: Evaluator, args: readonly Expr[]) => Value | Promise<Value>

const vectorArgument = async (evaluator: Evaluator, args: readonly Expr[], name: string): Promise<Line[]> =>
  evaluator.vectorOf(await evaluator.evaluate(args[0] ?? missing(name)), name)

const FUNCTIONS: Readonly<Record<string, Known>> = {
  time: evaluator => ({ kind: 'scalar', values: evaluator.steps.map(step => step / 1000) }),
  pi: evaluator => ({ kind: 'scalar', values: evaluator.steps.map(() => Math.PI) }),
  vector: async (evaluator, args) =>
    vector([
      {
        labels: new Map(),
        values: evaluator.scalarOf(await evaluator.evaluate(args[0] ?? missing('vector')), 'vector'),
      },
    ]),
  scalar: async (evaluator, args) => {
    const lines = await vectorArgument(evaluator, args, 'scalar')
    const values = evaluator.steps.map((_, i) => {
      const there = lines.flatMap(line => line.values[i] ?? [])
      return there.length === 1 ? (there[0] ?? Number.NaN) : Number.NaN
    })
    return { kind: 'scalar', values }
  },
  timestamp: async (evaluator, args) => {
    if (args[0]?.kind === 'selector') return vector(await evaluator.timestamps(args[0]))
    return mapped(await vectorArgument(evaluator, args, 'timestamp'), (_, i) => (evaluator.steps[i] ?? 0) / 1000)
  },
  sort: async (evaluator, args) => vector(sorted(await vectorArgument(evaluator, args, 'sort'), 1)),
  sort_desc: async (evaluator, args) => vector(sorted(await vectorArgument(evaluator, args, 'sort_desc'), -1)),
  absent: async (evaluator, args) => absent(evaluator, await vectorArgument(evaluator, args, 'absent'), args[0]),
  absent_over_time: async (evaluator, args) =>
    absent(evaluator, await evaluator.overRange('present_over_time', args[0], []), args[0]),
  label_replace: labelReplace,
  label_join: labelJoin,
  histogram_quantile: async (evaluator, args) => {
    const [q, of] = args
    const quantiles = evaluator.scalarOf(q && (await evaluator.evaluate(q)), 'histogram_quantile')
    const lines = evaluator.vectorOf(
      await evaluator.evaluate(of ?? missing('histogram_quantile')),
      'histogram_quantile',
    )
    return vector(histogramQuantiles(quantiles, lines))
  },
}

/** By the first step: of an instant query the only one. */
const sorted = (lines: readonly Line[], sign: number): Line[] =>
  [...lines].sort((a, b) => sign * ((a.values[0] ?? Number.NaN) - (b.values[0] ?? Number.NaN)) || 0)

/** 1 where there is nothing, under the labels that the selector asked for by =. */
function absent(evaluator: Evaluator, lines: readonly Line[], of: Expr | undefined): Value {
  const selector = of?.kind === 'range' ? of.of : of
  const asked = selector?.kind === 'selector' ? selector.matchers : []
  const labels = new Map(
    asked.flatMap(m => (m.op === '=' && m.label !== NAME && m.value !== '' ? [[m.label, m.value]] : [])),
  )
  const values = evaluator.steps.map((_, i) => (lines.some(line => line.values[i] !== undefined) ? undefined : 1))
  return vector(values.some(value => value !== undefined) ? [{ labels, values }] : [])
}

function textArguments(args: readonly Expr[], from: number, name: string): string[] {
  return args.slice(from).map(arg => {
    if (arg.kind !== 'string') throw badRequest(`${name}() takes strings after the vector`)
    return arg.value
  })
}

function withLabel(labels: Labels, label: string, value: string): Labels {
  const changed = new Map(labels)
  if (value === '') changed.delete(label)
  else changed.set(label, value)
  return changed
}

async function labelReplace(evaluator: Evaluator, args: readonly Expr[]): Promise<Value> {
  const lines = await vectorArgument(evaluator, args, 'label_replace')
  const [to, replacement, from, pattern] = textArguments(args, 1, 'label_replace')
  if (to === undefined || replacement === undefined || from === undefined || pattern === undefined)
    return missing('label_replace')
  const expression = labelPattern(pattern)
  return vector(
    requireDistinct(
      lines.map(line => {
        const found = expression.exec((line.labels.get(from) ?? '').slice(0, 1000))
        return found === null ? line : { ...line, labels: withLabel(line.labels, to, expand(replacement, found)) }
      }),
    ),
  )
}

async function labelJoin(evaluator: Evaluator, args: readonly Expr[]): Promise<Value> {
  const lines = await vectorArgument(evaluator, args, 'label_join')
  const [to, separator, ...from] = textArguments(args, 1, 'label_join')
  if (to === undefined || separator === undefined) return missing('label_join')
  const joined = (labels: Labels): string => from.map(label => labels.get(label) ?? '').join(separator)
  return vector(
    requireDistinct(lines.map(line => ({ ...line, labels: withLabel(line.labels, to, joined(line.labels)) }))),
  )
}

/** Of classic histograms: NAME_bucket{le="0.5"} counts what is at most 0.5. Between two bounds values are taken as even. */
function histogramQuantiles(quantiles: readonly number[], lines: readonly Line[]): Line[] {
  const groups = new Map<string, { labels: Labels; buckets: { bound: number; line: Line }[] }>()
  for (const line of lines) {
    const bound = Number((line.labels.get('le') ?? 'NaN').replace('Inf', 'Infinity'))
    if (Number.isNaN(bound)) continue
    const labels = exceptLabels(line.labels, ['le'])
    const key = keyOf(labels)
    const group = groups.get(key) ?? { labels, buckets: [] }
    groups.set(key, group)
    group.buckets.push({ bound, line })
  }
  return [...groups.values()].map(({ labels, buckets }) => {
    const rising = buckets.sort((a, b) => a.bound - b.bound)
    const values = quantiles.map((q, i) => {
      const there = rising.flatMap(({ bound, line }) =>
        line.values[i] === undefined ? [] : [{ bound, count: line.values[i] }],
      )
      return there.length === 0 ? undefined : bucketQuantile(q, there)
    })
    return { labels, values }
  })
}

function bucketQuantile(q: number, buckets: { bound: number; count: number }[]): number {
  const last = buckets.at(-1)
  if (last === undefined || last.bound !== Number.POSITIVE_INFINITY || buckets.length < 2 || Number.isNaN(q))
    return Number.NaN
  if (q < 0) return Number.NEGATIVE_INFINITY
  if (q > 1) return Number.POSITIVE_INFINITY
  // Buckets that were read at different moments may seem to shrink.
  let most = 0
  const counts = buckets.map(({ count }) => {
    most = Math.max(most, count)
    return most
  })
  if (most === 0) return Number.NaN
  const rank = q * most
  const at = counts.findIndex(count => count >= rank)
  const bound = buckets[at]?.bound ?? Number.NaN
  const below = buckets[at - 1]
  if (bound === Number.POSITIVE_INFINITY) return below?.bound ?? Number.NaN
  if (below === undefined && bound <= 0) return bound
  const from = below?.bound ?? 0
  const countBelow = at > 0 ? (counts[at - 1] ?? 0) : 0
  return from + (bound - from) * ((rank - countBelow) / ((counts[at] ?? 0) - countBelow))
}
