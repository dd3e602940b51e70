/**
 * Timelines as text: a column is an evaluation, 10 s after the last one.
 *
 *   value   0 0 9 9 9 . 9 0     what was measured; . nothing (unknown)
 *   state     . . p p F F F .   . inactive, p pending, F firing
 *
 * Marks stand in a line of their own: R restart before this evaluation, | a pause of ten minutes before it, < the clock is
 * set back by a minute before it, x the rule is taken away.
 */
import {
  endAll,
  evaluate,
  NEVER,
  type RuleState,
  type Series,
  type Transition,
} from '../../../query/alerts/evaluate.ts'
import { measure } from '../../../query/alerts/measure.ts'
import { type Rule, readyRule } from '../../../query/alerts/rule.ts'

export const STEP = 10_000
const START = Date.UTC(2026, 0, 5, 10)
const OPTIONS = { gapMs: 120_000, staleMs: 60_000 }

export interface Drawn {
  states: string
  /** What was told, in order: `firing@40` seconds after the first evaluation. */
  told: string[]
  state: RuleState
}

export function play(rule: Rule, values: string, marks = '', complete = false): Drawn {
  const ready = readyRule(rule)
  const labels = { cluster: 'alpha', node: 'n1' }
  const told: string[] = []
  const states: string[] = []
  let state = NEVER
  let at = START - STEP
  const cells = values.split(' ')
  cells.forEach((cell, i) => {
    const mark = marks.split(' ')[i] ?? '.'
    at += mark === '|' ? 600_000 : mark === '<' ? -60_000 : STEP
    if (mark === 'R') state = restarted(state)
    const value = cell === '.' ? undefined : Number(cell)
    const measures = value === undefined ? [] : [measure(labels, value)]
    const done = mark === 'x' ? endAll(ready, state, at) : evaluate(ready, { measures, complete }, state, at, OPTIONS)
    state = done.state
    told.push(...done.transitions.map(t => tellOf(t)))
    states.push(letter([...state.series.values()][0]))
  })
  return { states: states.join(' '), told, state }
}

const letter = (series: Series | undefined): string => (series ? (series.phase === 'firing' ? 'F' : 'p') : '.')
const tellOf = ({ to, atMs, why }: Transition): string =>
  `${to}@${(atMs - START) / 1000}${why === 'value' ? '' : ` ${why}`}`

/** Through the text that the store keeps. */
const restarted = (state: RuleState): RuleState => ({
  evaluatedMs: state.evaluatedMs,
  series: new Map(JSON.parse(JSON.stringify([...state.series])) as [string, Series][]),
})
