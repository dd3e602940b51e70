/**
 * Operators between two values. Series of two vectors are matched by their labels, all or those named:
 *
 *   node_used{node="n1"} / node_total{node="n1"}                      one to one
 *   cpu{node, core} * on (node) group_left (job) job_node{node, job}  many to one, the one's labels come along
 */
import { badRequest } from '../errors.ts'
import type { Binary } from './ast.ts'
import type { Value } from './evaluate.ts'
import { arithmetic, compares, isComparison } from './maths.ts'
import {
  exceptLabels,
  isEmpty,
  keyOf,
  type Labels,
  type Line,
  NAME,
  onlyLabels,
  requireDistinct,
  withoutName,
} from './vector.ts'

type Compute = (left: number, right: number) => number | undefined

/** What an operator gives; undefined: the pair is filtered out. `kept`: the value of a comparison that holds. */
function computeOf({ op, bool }: Binary, kept: 'left' | 'right'): Compute {
  if (!isComparison(op)) return (a, b) => arithmetic(op, a, b)
  if (bool) return (a, b) => (compares(op, a, b) ? 1 : 0)
  return (a, b) => (compares(op, a, b) ? (kept === 'left' ? a : b) : undefined)
}

export function binary(expr: Binary, left: Value, right: Value, steps: number): Value {
  if (left.kind === 'string' || right.kind === 'string') throw badRequest(`${expr.op} does not take strings`)
  if (left.kind === 'scalar' && right.kind === 'scalar') return scalars(expr, left.values, right.values)
  if (left.kind === 'vector' && right.kind === 'vector') {
    const isSet = expr.op === 'and' || expr.op === 'or' || expr.op === 'unless'
    const lines = isSet ? sets(expr, left.lines, right.lines) : matched(expr, left.lines, right.lines, steps)
    return { kind: 'vector', lines: lines.filter(line => !isEmpty(line)) }
  }
  if (!isComparison(expr.op) && arithmetic(expr.op, 1, 1) === undefined) {
    throw badRequest(`${expr.op} works between two vectors only`)
  }
  const lines =
    left.kind === 'vector'
      ? withScalar(expr, left.lines, right.kind === 'scalar' ? right.values : [], true)
      : withScalar(expr, right.kind === 'vector' ? right.lines : [], left.values, false)
  return { kind: 'vector', lines: requireDistinct(lines.filter(line => !isEmpty(line))) }
}

function scalars(expr: Binary, left: readonly number[], right: readonly number[]): Value {
  if (isComparison(expr.op) && !expr.bool) throw badRequest('comparisons between scalars must use the bool modifier')
  const compute = computeOf(expr, 'left')
  return { kind: 'scalar', values: left.map((a, i) => compute(a, right[i] ?? Number.NaN) ?? Number.NaN) }
}

/** `first`: the vector stands left of the numbers. */
function withScalar(expr: Binary, lines: readonly Line[], numbers: readonly number[], first: boolean): Line[] {
  const compute = computeOf(expr, first ? 'left' : 'right')
  const keepsName = isComparison(expr.op) && !expr.bool
  return lines.map(({ labels, values }) => ({
    labels: keepsName ? labels : withoutName(labels),
    values: values.map((value, i) => {
      if (value === undefined) return undefined
      const number = numbers[i] ?? Number.NaN
      return first ? compute(value, number) : compute(number, value)
    }),
  }))
}

const signatureOf =
  ({ on, labels }: Binary['matching']) =>
  (line: Line): string =>
    keyOf(on ? onlyLabels(line.labels, labels) : exceptLabels(line.labels, labels))

function bySignature(lines: readonly Line[], signature: (line: Line) => string): Map<string, Line[]> {
  const groups = new Map<string, Line[]>()
  for (const line of lines) {
    const key = signature(line)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [line])
    else group.push(line)
  }
  return groups
}

/** and: left where right has something; unless: where it has nothing; or: left, and of right what left has not. */
function sets({ op, matching }: Binary, left: readonly Line[], right: readonly Line[]): Line[] {
  const signature = signatureOf(matching)
  const [lefts, rights] = [bySignature(left, signature), bySignature(right, signature)]
  const has = (lines: readonly Line[] | undefined, i: number): boolean =>
    lines?.some(line => line.values[i] !== undefined) ?? false
  const keep = (line: Line, others: Map<string, Line[]>, wanted: boolean): Line => {
    const other = others.get(signature(line))
    return {
      labels: line.labels,
      values: line.values.map((value, i) => (has(other, i) === wanted ? value : undefined)),
    }
  }
  if (op !== 'or') return left.map(line => keep(line, rights, op === 'and'))
  return requireDistinct([...left, ...right.map(line => keep(line, lefts, false))])
}

function matched(expr: Binary, left: readonly Line[], right: readonly Line[], steps: number): Line[] {
  const { matching } = expr
  const swapped = matching.group === 'right'
  const [many, ones] = swapped ? [right, left] : [left, right]
  const signature = signatureOf(matching)
  const oneBy = bySignature(ones, signature)
  const compute = computeOf(expr, 'left')
  const taken = matching.group === 'one' ? new Map<string, Set<number>>() : undefined
  const lines = many.flatMap(line => {
    const key = signature(line)
    return (oneBy.get(key) ?? []).map(one => ({
      labels: resultLabels(expr, line.labels, one.labels),
      values: pairUp(
        line,
        one,
        steps,
        (a, b) => (swapped ? compute(b, a) : compute(a, b)),
        i => takeOnce(taken, key, i),
      ),
    }))
  })
  requireOnes(oneBy)
  return requireDistinct(lines)
}

function pairUp(
  many: Line,
  one: Line,
  steps: number,
  compute: Compute,
  take: (step: number) => void,
): (number | undefined)[] {
  return Array.from({ length: steps }, (_, i) => {
    const [a, b] = [many.values[i], one.values[i]]
    if (a === undefined || b === undefined) return undefined
    take(i)
    return compute(a, b)
  })
}

function takeOnce(taken: Map<string, Set<number>> | undefined, key: string, step: number): void {
  if (taken === undefined) return
  const steps = taken.get(key) ?? new Set()
  if (steps.has(step)) {
    throw badRequest('multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)')
  }
  taken.set(key, steps.add(step))
}

/** Two series of the `one` side that match the same and are there at the same time leave open which is meant. */
function requireOnes(oneBy: ReadonlyMap<string, Line[]>): void {
  for (const lines of oneBy.values()) {
    if (lines.length < 2) continue
    const count = lines[0]?.values.length ?? 0
    for (let i = 0; i < count; i++) {
      if (lines.filter(line => line.values[i] !== undefined).length > 1) {
        throw badRequest(
          'found duplicate series for the match group on one side of the operation: name more labels in on(…)',
        )
      }
    }
  }
}

function resultLabels({ op, bool, matching }: Binary, many: Labels, one: Labels): Labels {
  const kept = isComparison(op) && !bool ? many : withoutName(many)
  if (matching.group === 'one') {
    if (matching.on) return onlyLabels(kept, matching.labels)
    return new Map([...kept].filter(([label]) => label === NAME || !matching.labels.includes(label)))
  }
  const labels = new Map(kept)
  for (const label of matching.include) {
    const value = one.get(label)
    if (value === undefined) labels.delete(label)
    else labels.set(label, value)
  }
  return labels
}
