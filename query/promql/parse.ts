/**
 * PromQL text -> expression, by Prometheus' own grammar (@prometheus-io/lezer-promql). What the grammar knows and this
 * service does not is refused by name.
 */
import type { SyntaxNode } from '@lezer/common'
import { parser } from '@prometheus-io/lezer-promql'
import { badRequest } from '../errors.ts'
import type { At, Binary, Expr, Matcher, Selector } from './ast.ts'
import { parseNumber, parseString } from './literals.ts'
import { arithmetic } from './maths.ts'

/** Throws QueryError 400. */
export function parsePromql(text: string): Expr {
  if (text.trim() === '') throw badRequest('the query is empty: name a metric, such as jobsight_node_cpu_busy')
  if (text.length > MAX_LENGTH) throw badRequest(`the query is longer than ${MAX_LENGTH} characters`)
  const tree = parser.parse(text)
  tree.iterate({
    enter: node => {
      if (node.type.isError) throw badRequest(`parse error at character ${node.from + 1}: ${near(text, node.from)}`)
    },
  })
  const top = childrenOf(tree.topNode)[0]
  if (top === undefined) throw badRequest('the query is empty: name a metric, such as jobsight_node_cpu_busy')
  return new Parser(text).expr(top, 0)
}

const MAX_LENGTH = 20_000
const DEEPEST = 200

const near = (text: string, at: number): string =>
  at >= text.length ? 'it ends too early' : `unexpected ${JSON.stringify(text.slice(at, at + 20))}`

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (child.name !== 'LineComment') children.push(child)
  }
  return children
}

const OPERATORS = new Set([
  'Pow',
  'Mul',
  'Div',
  'Mod',
  'Atan2',
  'Add',
  'Sub',
  'Eql',
  'Gte',
  'Gtr',
  'Lte',
  'Lss',
  'Neq',
  'And',
  'Or',
  'Unless',
])

class Parser {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  expr(node: SyntaxNode, depth: number): Expr {
    if (depth > DEEPEST) throw badRequest('the query is nested too deeply')
    const children = childrenOf(node)
    const inner = (child: SyntaxNode | undefined): Expr => this.expr(child ?? node, depth + 1)
    switch (node.name) {
      case 'NumberDurationLiteral':
        return { kind: 'number', value: parseNumber(this.#of(node)) }
      case 'StringLiteral':
        return { kind: 'string', value: parseString(this.#of(node)) }
      case 'ParenExpr':
        return inner(children[0])
      case 'UnaryExpr':
        return { kind: 'unary', minus: this.#of(children[0] ?? node) === '-', of: inner(children[1]) }
      case 'VectorSelector':
        return this.#selector(children)
      case 'MatrixSelector': {
        const of = inner(children[0])
        if (of.kind !== 'selector')
          throw badRequest('a range [5m] stands after a selector only; after an expression write [5m:]')
        return { kind: 'range', of, rangeMs: this.#range(children[1]) }
      }
      case 'SubqueryExpr':
        return this.#subquery(inner(children[0]), children)
      case 'OffsetExpr':
        return shifted(inner(children[0]), { offsetMs: this.#duration(children.at(-1)) })
      case 'StepInvariantExpr':
        return shifted(inner(children[0]), { at: this.#at(children.at(-1)) })
      case 'FunctionCall':
        return { kind: 'call', name: this.#of(children[0] ?? node), args: childrenOf(children[1] ?? node).map(inner) }
      case 'AggregateExpr':
        return this.#aggregate(children, inner)
      case 'BinaryExpr':
        return this.#binary(children, inner)
      default:
        throw badRequest(`${this.#of(node).slice(0, 40)}: this part of PromQL is not known here`)
    }
  }

  #of(node: SyntaxNode): string {
    return this.#text.slice(node.from, node.to)
  }

  #selector(children: readonly SyntaxNode[]): Selector {
    const matchers: Matcher[] = []
    for (const child of children) {
      if (child.name === 'Identifier') matchers.push({ label: '__name__', op: '=', value: this.#of(child) })
      else for (const matcher of childrenOf(child)) matchers.push(this.#matcher(matcher))
    }
    // {} or {a!="b"} would be every series there is.
    if (!matchers.some(m => (m.op === '=' && m.value !== '') || (m.op === '=~' && m.label === '__name__'))) {
      throw badRequest('a selector needs a metric name or a label with =: the whole store is too much')
    }
    return { kind: 'selector', matchers, offsetMs: 0, at: undefined }
  }

  #matcher(node: SyntaxNode): Matcher {
    const [label, op, value] = childrenOf(node)
    if (label === undefined || op === undefined || value === undefined) {
      return { label: '__name__', op: '=', value: parseString(this.#of(node)) }
    }
    const name = label.name === 'QuotedLabelName' ? parseString(this.#of(label)) : this.#of(label)
    return { label: name, op: parseMatchOp(this.#of(op)), value: parseString(this.#of(value)) }
  }

  #subquery(of: Expr, children: readonly SyntaxNode[]): Expr {
    const [range, step] = children.slice(1)
    const stepMs = step === undefined ? undefined : this.#range(step)
    return { kind: 'subquery', of, rangeMs: this.#range(range), stepMs, offsetMs: 0, at: undefined }
  }

  #range(node: SyntaxNode | undefined): number {
    const ms = this.#duration(node)
    if (!(ms > 0)) throw badRequest('a range must be longer than 0')
    return ms
  }

  /** 5m, -1h, 2 * 5m; a plain number is seconds. */
  #duration(node: SyntaxNode | undefined): number {
    if (node === undefined) throw badRequest('a duration is missing')
    const children = childrenOf(node)
    if (children.length === 0) return parseNumber(this.#of(node)) * 1000
    if (children.length === 1) return this.#duration(children[0])
    const [first, second, third] = children
    if (first?.name === 'UnaryOp') return (this.#of(first) === '-' ? -1 : 1) * this.#duration(second)
    const value = arithmetic(this.#of(second ?? node), this.#duration(first) / 1000, this.#duration(third) / 1000)
    if (value === undefined) throw badRequest(`${this.#of(node)}: this kind of duration is not known here`)
    return value * 1000
  }

  #at(node: SyntaxNode | undefined): At {
    const text = node === undefined ? '' : this.#of(node)
    if (text.startsWith('start')) return 'start'
    return text.startsWith('end') ? 'end' : parseNumber(text) * 1000
  }

  #aggregate(children: readonly SyntaxNode[], inner: (node: SyntaxNode) => Expr): Expr {
    const find = (name: string) => children.find(child => child.name === name)
    const body = find('FunctionCallBody')
    const args = body === undefined ? [] : childrenOf(body).map(inner)
    const [modifier, grouping] = childrenOfMaybe(find('AggregateModifier'))
    const of = args.at(-1)
    if (of === undefined) throw badRequest('an aggregation needs an expression: sum(metric)')
    return {
      kind: 'aggregate',
      op: this.#of(find('AggregateOp') ?? children[0] ?? raise()).toLowerCase(),
      of,
      parameter: args.length > 1 ? args[0] : undefined,
      without: modifier?.name === 'Without',
      labels: this.#labels(grouping),
    }
  }

  #labels(grouping: SyntaxNode | undefined): string[] {
    return childrenOfMaybe(grouping).map(label =>
      label.name === 'QuotedLabelName' ? parseString(this.#of(label)) : this.#of(label),
    )
  }

  #binary(children: readonly SyntaxNode[], inner: (node: SyntaxNode) => Expr): Binary {
    const operator = children.find(child => OPERATORS.has(child.name))
    const [left, right] = [children[0], children.at(-1)]
    if (operator === undefined || left === undefined || right === undefined) {
      throw badRequest('this operator is not known here: + - * / % ^ atan2, == != > < >= <=, and or unless are')
    }
    if (children.some(child => child.name === 'FillModifier')) throw badRequest('fill() is not known here')
    const clause = childrenOfMaybe(children.find(child => child.name === 'MatchingModifierClause'))
    const groupings = clause.filter(child => child.name === 'GroupingLabels')
    const side = clause.find(child => child.name === 'GroupLeft' || child.name === 'GroupRight')
    return {
      kind: 'binary',
      op: this.#of(operator).toLowerCase(),
      left: inner(left),
      right: inner(right),
      bool: children.some(child => child.name === 'BoolModifier'),
      matching: {
        on: clause[0]?.name === 'On',
        labels: this.#labels(groupings[0]),
        group: side === undefined ? 'one' : side.name === 'GroupLeft' ? 'left' : 'right',
        include: this.#labels(groupings[1]),
      },
    }
  }
}

const childrenOfMaybe = (node: SyntaxNode | undefined): SyntaxNode[] => (node === undefined ? [] : childrenOf(node))
const raise = (): never => {
  throw badRequest('the query is not complete')
}

function parseMatchOp(text: string): Matcher['op'] {
  if (text === '=' || text === '!=' || text === '=~' || text === '!~') return text
  throw badRequest(`${text} is no way to match a label: = != =~ !~ are`)
}

function shifted(expr: Expr, by: { offsetMs: number } | { at: At }): Expr {
  if (expr.kind === 'range') {
    const of = shifted(expr.of, by)
    return of.kind === 'selector' ? { ...expr, of } : expr
  }
  if (expr.kind === 'selector' || expr.kind === 'subquery') return { ...expr, ...by }
  throw badRequest('offset and @ stand after a selector, a range or a subquery only')
}
