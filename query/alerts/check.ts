/** A rule as it came (YAML, JSON) -> a rule, or what is wrong with it and what to write instead. */
import { Compile } from 'typebox/compile'
import { METRICS } from '../../ingest/metrics.ts'
import { hint } from '../errors.ts'
import { nameOf } from '../points.ts'
import { FIGURES, findFigure, metricOf } from './figures.ts'
import { unitOf } from './message.ts'
import { DURATION, NAME, parseDuration, Rule, readyRule, subjectOf } from './rule.ts'

export interface Problem {
  /** Keys that lead to what is wrong: ['rules', 3, 'above']. */
  path: (string | number)[]
  message: string
}

const Checked = Compile(Rule)

/** Throws nothing: problems are returned, so that a file can tell all of them with their lines. */
export function checkRule(value: unknown): { rule: Rule; problems: [] } | { problems: Problem[] } {
  if (!Checked.Check(value))
    return {
      problems: Checked.Errors(value)
        .filter(told)
        .slice(0, 5)
        .map(error => schemaProblem(error)),
    }
  const rule: Rule = value
  const problems = [
    ...checkSubject(rule),
    ...checkTest(rule),
    ...checkWindow(rule),
    ...checkRatio(rule),
    ...checkMessage(rule),
  ]
  return problems.length > 0 ? { problems } : { rule, problems: [] }
}

/** Of a key that is not known typebox says two things; one will do. */
export const told = ({ keyword }: { keyword: string }): boolean => keyword !== 'boolean'

interface SchemaError {
  keyword: string
  instancePath: string
  message: string
  params: object
}

/** `known`: keys that could have been meant. */
export function schemaProblem(
  { keyword, instancePath, message, params }: SchemaError,
  known = keysAt(instancePath),
): Problem {
  const path = instancePath
    .split('/')
    .slice(1)
    .map(key => (/^\d+$/.test(key) ? Number(key) : key))
  const of = (name: string): string[] => [(params as Record<string, unknown>)[name] ?? []].flat().map(String)
  if (keyword === 'additionalProperties') {
    const [unknown = ''] = of('additionalProperties')
    const offer = known.length > 0 ? hint(unknown, known, 'key') : ''
    return { path: [...path, unknown], message: `there is no key ${unknown}.${offer}` }
  }
  if (keyword === 'required') return { path, message: `${of('requiredProperties').join(', ')} is missing` }
  if (keyword === 'enum') return { path, message: `write one of ${of('allowedValues').join(', ')}` }
  if (keyword === 'type') return { path, message: `${TYPES[of('type')[0] ?? ''] ?? message}${said(path)}` }
  if (keyword === 'pattern') return { path, message: `${PATTERNS[of('pattern')[0] ?? ''] ?? message}${said(path)}` }
  return { path, message: `${message}${said(path)}` }
}

/** What to write where a text of another form is. */
const PATTERNS: Readonly<Record<string, string>> = {
  [DURATION]: 'write a number with ms, s, m, h or d right after it',
  [NAME]: 'write another name',
  '^https?://': 'write an address that begins with http:// or https://',
}

/** What to write where something of another type is. */
const TYPES: Readonly<Record<string, string>> = {
  boolean: 'write true or false',
  number: 'write a number, without a unit: 0.9 for 90 %',
  integer: 'write a whole number',
  string: 'write one text',
  array: 'write a list: [a, b]',
  object: 'write keys below it: { key: value }',
}

const keysAt = (instancePath: string): string[] =>
  Object.keys(instancePath === '' ? Rule.properties : Rule.properties.where.properties)

/** What the schema says of a key. */
function said(path: readonly (string | number)[]): string {
  const properties: Record<string, unknown> = { ...Rule.properties, ...Rule.properties.where.properties }
  const key = path.findLast(part => typeof part === 'string')
  const schema = key === undefined ? undefined : properties[key]
  const description =
    typeof schema === 'object' && schema !== null && 'description' in schema ? schema.description : undefined
  return description === undefined ? '' : ` (${String(description)})`
}

const MOST_WINDOW_MS = 7 * 86_400_000

function checkWindow(rule: Rule): Problem[] {
  const ms = parseDuration(rule.window ?? '5m')
  if (ms >= 1000 && ms <= MOST_WINDOW_MS) return []
  return [wrong('window', `a window is 1s at least and 7d at most, not ${rule.window}`)]
}

/** 90 where 0.9 is meant would never fire. */
function checkRatio(rule: Rule): Problem[] {
  const threshold = rule.above ?? rule.below ?? 0
  if (unitOf(readyRule(rule)) !== 'ratio' || rule.test === 'change' || Math.abs(threshold) < 2) return []
  const key = rule.above === undefined ? 'below' : 'above'
  return [wrong(key, `${subjectOf(rule)} is a share, 1 is all of it: write ${threshold / 100} for ${threshold} %`)]
}

const wrong = (key: keyof Rule, message: string): Problem => ({ path: [key], message })

function checkSubject(rule: Rule): Problem[] {
  const given = (['metric', 'figure', 'function'] as const).filter(key => rule[key] !== undefined)
  if (given.length !== 1) {
    const found = given.length === 0 ? 'nothing is watched' : `${given.join(' and ')} are given`
    return [wrong(given[1] ?? 'name', `${found}: write one of metric, figure or function`)]
  }
  if (rule.metric !== undefined) return checkMetric(rule, rule.metric)
  if (rule.figure !== undefined) return checkFigure(rule, rule.figure)
  if (rule.scope === 'process') return [wrong('scope', 'function shares are of scope cluster, node, job or function')]
  if (rule.test !== undefined && rule.test !== 'value') return [wrong('test', 'a function share takes test: value')]
  return []
}

function checkMetric(rule: Rule, name: string): Problem[] {
  const metric = metricOf(name)
  if (!metric) return [wrong('metric', `metric ${name} is not known.${hint(name, METRICS.map(nameOf), 'metric')}`)]
  if (rule.scope === 'process' || rule.scope === 'function') {
    return [wrong('scope', `metrics are of scope cluster, node or job; figures and functions of ${rule.scope}`)]
  }
  if (rule.share && metric.full === undefined)
    return [wrong('share', `nothing tells what full means for ${name}: leave share out`)]
  if (rule.test === 'absent' && rule.scope !== 'node') return [wrong('scope', 'absence is of scope node')]
  return []
}

function checkFigure(rule: Rule, name: string): Problem[] {
  const known = FIGURES.filter(f => f.scope === rule.scope).map(f => f.name)
  if (!findFigure(rule.scope, name))
    return [wrong('figure', `figure ${name} of scope ${rule.scope} is not known.${hint(name, known, 'figure')}`)]
  if (rule.share) return [wrong('share', 'a figure has no share: leave it out')]
  if (rule.test === 'absent' || rule.test === 'change')
    return [wrong('test', 'a figure takes test: value, or peers where it is of nodes or processes')]
  return []
}

function checkTest(rule: Rule): Problem[] {
  const problems: Problem[] = []
  if (rule.test === 'absent') {
    if (rule.above !== undefined || rule.below !== undefined)
      problems.push(wrong(rule.above === undefined ? 'below' : 'above', 'absence has no threshold: leave it out'))
  } else if ((rule.above === undefined) === (rule.below === undefined)) {
    problems.push(wrong(rule.above === undefined ? 'name' : 'below', 'write either above or below, with a number'))
  }
  if (rule.test === 'peers' && rule.scope !== 'node' && rule.scope !== 'process')
    problems.push(wrong('test', 'peers are the nodes or processes of a job: write scope: node or scope: process'))
  const { above, below, clear } = rule
  if (clear !== undefined && ((above !== undefined && clear > above) || (below !== undefined && clear < below)))
    problems.push(wrong('clear', 'clear lies on the other side of the threshold: above 0.9 clears at 0.85'))
  return problems
}

const PLACEHOLDERS = [
  ...['cluster', 'node', 'instance', 'job', 'user', 'account', 'queue', 'name', 'pid', 'process', 'rank', 'function'],
  ...['own', 'median', 'jobs', 'value', 'worst', 'threshold', 'rule', 'severity', 'window', 'for'],
]

function checkMessage(rule: Rule): Problem[] {
  const known = [...PLACEHOLDERS, ...Object.keys(rule.labels ?? {})]
  const used = [...(rule.message ?? '').matchAll(/\{(\w+)\}/g)].map(found => found[1] ?? '')
  const strange = used.find(name => !known.includes(name))
  return strange === undefined ? [] : [wrong('message', `there is no {${strange}}.${hint(strange, known, 'word')}`)]
}
