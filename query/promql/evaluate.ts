/**
 * An expression over the steps of a query -> one value a series and step. All steps at once: samples are read once for the
 * whole window, and windows only move forward over them.
 */
import { badRequest } from '../errors.ts'
import { aggregate } from './aggregate.ts'
import type { At, Expr, Matcher, Selector } from './ast.ts'
import { binary } from './binary.ts'
import { callFunction } from './functions.ts'
import { overSteps, RANGE_FUNCTIONS } from './ranges.ts'
import { isEmpty, type Line, requireDistinct, type Samples, withoutName } from './vector.ts'

export type Value =
  | { kind: 'scalar'; values: number[] }
  | { kind: 'vector'; lines: Line[] }
  | { kind: 'string'; value: string }

/** Samples of (from, to], ms; of those up to `newestBeforeMs` at least the newest of a series. */
export type ReadSamples = (
  matchers: readonly Matcher[],
  window: { fromMs: number; toMs: number; newestBeforeMs?: number },
) => Promise<Samples[]>

/** How long a sample is the newest value, as in Prometheus. */
export const LOOKBACK_MS = 300_000
const MOST_STEPS = 11_000
/** Default step of a subquery that names none. */
const SUBQUERY_STEP_MS = 60_000

export class Evaluator {
  readonly steps: readonly number[]
  readonly #read: ReadSamples
  readonly #asked: { from: number; to: number }

  /** `asked`: what start() and end() are; the last step may lie before the end. */
  constructor(read: ReadSamples, steps: readonly number[], asked = { from: steps[0] ?? 0, to: steps.at(-1) ?? 0 }) {
    this.#read = read
    this.steps = steps
    this.#asked = asked
    if (steps.length > MOST_STEPS) {
      throw badRequest(`exceeded maximum resolution of ${MOST_STEPS} points per timeseries: choose a longer step`)
    }
  }

  async evaluate(expr: Expr): Promise<Value> {
    switch (expr.kind) {
      case 'number':
        return { kind: 'scalar', values: this.steps.map(() => expr.value) }
      case 'string':
        return { kind: 'string', value: expr.value }
      case 'selector':
        return { kind: 'vector', lines: await this.#instant(expr) }
      case 'unary':
        return negated(await this.evaluate(expr.of), expr.minus)
      case 'binary':
        return binary(expr, await this.evaluate(expr.left), await this.evaluate(expr.right), this.steps.length)
      case 'aggregate': {
        const parameter = expr.parameter && (await this.evaluate(expr.parameter))
        return {
          kind: 'vector',
          lines: aggregate(expr, this.vectorOf(await this.evaluate(expr.of), expr.op), parameter),
        }
      }
      case 'call':
        return callFunction(this, expr)
      default:
        throw badRequest('a range such as metric[5m] is an argument of rate() and the like, not a result')
    }
  }

  vectorOf(value: Value, of: string): Line[] {
    if (value.kind !== 'vector') throw badRequest(`${of}() needs an instant vector`)
    return value.lines
  }

  scalarOf(value: Value | undefined, of: string): number[] {
    if (value?.kind !== 'scalar') throw badRequest(`${of}() needs a number`)
    return value.values
  }

  /** rate() and the like over a range or subquery. `parameter` is one value a step. */
  async overRange(name: string, of: Expr | undefined, parameter: readonly number[]): Promise<Line[]> {
    const found = await this.rangeOf(of, name)
    const over = RANGE_FUNCTIONS[name]
    if (over === undefined) throw badRequest(`unknown function ${name}`)
    const keepsName = name === 'last_over_time' || name === 'first_over_time'
    const lines = found.series.map(samples => ({
      labels: keepsName ? samples.labels : withoutName(samples.labels),
      values: overSteps(samples, this.steps, found.rangeMs, found.timeOf, (window, step) =>
        over(window, parameter[step] ?? Number.NaN),
      ),
    }))
    return requireDistinct(lines.filter(line => !isEmpty(line)))
  }

  /** The samples behind a range or subquery, and when its windows end. */
  async rangeOf(
    of: Expr | undefined,
    name: string,
  ): Promise<{ series: Samples[]; rangeMs: number; timeOf: (step: number) => number }> {
    if (of?.kind === 'range') {
      const timeOf = this.#timeOf(of.of)
      return { series: await this.samples(of.of, of.rangeMs), rangeMs: of.rangeMs, timeOf }
    }
    if (of?.kind === 'subquery') {
      const timeOf = this.#timeOf(of)
      const stepMs = of.stepMs ?? SUBQUERY_STEP_MS
      const [from, to] = this.#span(timeOf)
      const first = Math.floor((from - of.rangeMs) / stepMs) * stepMs + stepMs
      const count = Math.max(0, Math.floor((to - first) / stepMs) + 1)
      const steps = Array.from({ length: Math.min(count, MOST_STEPS + 1) }, (_, i) => first + i * stepMs)
      const inner = await new Evaluator(this.#read, steps, this.#asked).evaluate(of.of)
      return { series: seriesOf(inner, steps), rangeMs: of.rangeMs, timeOf }
    }
    throw badRequest(`${name}() needs a range: ${name}(metric[5m])`)
  }

  samples(selector: Selector, backMs: number): Promise<Samples[]> {
    const [from, toMs] = this.#span(this.#timeOf(selector))
    return this.#read(selector.matchers, { fromMs: from - backMs, toMs })
  }

  /** When the samples were taken that a selector shows. */
  async timestamps(selector: Selector): Promise<Line[]> {
    return this.#newest(selector, (window, i) => (window[i] ?? 0) / 1000, true)
  }

  #instant(selector: Selector): Promise<Line[]> {
    return this.#newest(selector, (window, i) => window[i], false)
  }

  async #newest(
    selector: Selector,
    read: (list: ArrayLike<number>, at: number) => number | undefined,
    ofTimes: boolean,
  ): Promise<Line[]> {
    const timeOf = this.#timeOf(selector)
    const [newestBeforeMs, toMs] = this.#span(timeOf)
    const found = await this.#read(selector.matchers, { fromMs: newestBeforeMs - LOOKBACK_MS, toMs, newestBeforeMs })
    const lines = found.map(samples => ({
      labels: ofTimes ? withoutName(samples.labels) : samples.labels,
      values: overSteps(samples, this.steps, LOOKBACK_MS, timeOf, w =>
        w.endMs > (samples.endMs ?? Number.POSITIVE_INFINITY) ? undefined : read(ofTimes ? w.times : w.values, w.last),
      ),
    }))
    return lines.filter(line => !isEmpty(line))
  }

  #timeOf({ at, offsetMs }: { at: At | undefined; offsetMs: number }): (step: number) => number {
    const fixed = at === 'start' ? this.#asked.from : at === 'end' ? this.#asked.to : at
    return fixed === undefined ? step => step - offsetMs : () => fixed - offsetMs
  }

  #span(timeOf: (step: number) => number): [from: number, to: number] {
    return [timeOf(this.steps[0] ?? 0), timeOf(this.steps.at(-1) ?? 0)]
  }
}

function seriesOf(value: Value, steps: readonly number[]): Samples[] {
  if (value.kind === 'string') throw badRequest('a string has no range')
  const lines = value.kind === 'vector' ? value.lines : [{ labels: new Map(), values: value.values }]
  return lines.map(({ labels, values }) => {
    const there = steps.flatMap((time, i) => (values[i] === undefined ? [] : [{ time, value: values[i] }]))
    return { labels, times: there.map(s => s.time), values: there.map(s => s.value) }
  })
}

function negated(value: Value, minus: boolean): Value {
  if (value.kind === 'string') throw badRequest('a string has no sign')
  if (!minus) return value
  if (value.kind === 'scalar') return { kind: 'scalar', values: value.values.map(v => -v) }
  const lines = value.lines.map(({ labels, values }) => ({
    labels: withoutName(labels),
    values: values.map(v => (v === undefined ? undefined : -v)),
  }))
  return { kind: 'vector', lines: requireDistinct(lines) }
}
