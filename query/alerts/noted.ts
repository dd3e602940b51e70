/** Which values of a rule change anything: those that are true, and those of what is pending or fires. Nearly all are neither. */
import { isTrue, type RuleState } from './evaluate.ts'
import type { ReadyRule } from './rule.ts'

/** NaN: nothing was measured. */
export type Noted = (value: number, node: string) => boolean

/** A value that is true, or on a node where something is pending or fires. */
export function notedBy(rule: ReadyRule, { series }: RuleState): Noted {
  const nodes = new Set([...series.values()].map(({ labels }) => labels.node))
  return (value, node) => (!Number.isNaN(value) && isTrue(rule, value, false)) || nodes.has(node)
}

/** Looks at each node alone; all others put values together, or compare them, and need them all. */
export const looksAlone = ({ scope, test }: ReadyRule): boolean =>
  scope === 'node' && (test === 'value' || test === 'change')
