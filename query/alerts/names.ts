/** Names by which rules, receivers and silences speak of each other: one that is misspelt would do nothing, in silence. Pure. */
import { hint } from '../errors.ts'
import type { Problem } from './check.ts'
import type { Receiver } from './receiver.ts'
import type { Rule } from './rule.ts'

/** What there is. */
export interface Names {
  rules: readonly string[]
  receivers: readonly string[]
  labels: readonly string[]
}

/** Labels that alerts have of themselves; rules add their own. */
const LABELS = [
  ...['rule', 'cluster', 'node', 'instance', 'job', 'jobs', 'user', 'account', 'queue', 'name'],
  ...['pid', 'start', 'process', 'rank', 'function', 'own', 'median', 'burst'],
]

export const namesOf = (rules: Iterable<Rule>, receivers: readonly Receiver[]): Names => {
  const all = [...rules]
  return {
    rules: all.map(rule => rule.name),
    receivers: receivers.map(receiver => receiver.name),
    labels: [...new Set([...LABELS, ...all.flatMap(rule => Object.keys(rule.labels ?? {}))])],
  }
}

const unknown = (path: Problem['path'], noun: string, name: string, known: readonly string[]): Problem[] =>
  known.includes(name) ? [] : [{ path, message: `${noun} ${name} is not known.${hint(name, known, noun)}` }]

export const checkRuleNames = ({ notify = [], inhibitedBy = [] }: Rule, { receivers, rules }: Names): Problem[] => [
  ...notify.flatMap((name, i) => unknown(['notify', i], 'receiver', name, receivers)),
  ...inhibitedBy.flatMap((name, i) => unknown(['inhibitedBy', i], 'rule', name, rules)),
]

export const checkReceiverNames = ({ match = {}, groupBy = [] }: Receiver, names: Names): Problem[] => [
  ...checkMatch(match, names),
  ...groupBy.flatMap((name, i) => unknown(['groupBy', i], 'label', name, names.labels)),
]

/** `rule: job-*` stands for all that begin so; only a whole name can be misspelt. */
export function checkMatch(match: Readonly<Record<string, string>>, { labels, rules }: Names): Problem[] {
  return Object.entries(match).flatMap(([name, value]): Problem[] => {
    const path = ['match', name]
    if (name === 'severity' && !labels.includes(name))
      return [{ path, message: 'the severity is no label: write minSeverity beside match, or name rules: rule: job-*' }]
    if (name === 'rule' && !value.includes('*')) return unknown(path, 'rule', value, rules)
    return unknown(path, 'label', name, labels)
  })
}
