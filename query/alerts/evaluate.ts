/**
 * evaluate(): one rule, what was measured at one moment, and what the rule knew before -> what it knows now, and what
 * changed. Pure; the only clock is `atMs`, the end of the windows that were read.
 *
 *             true          true for `for`            false
 *   inactive ──────▶ pending ──────────────▶ firing ──────────▶ resolved (= inactive)
 *                      │ false                 ▲ │ false, and `keepFor` is not over
 *                      ▼                       └─┘
 *                   inactive
 *
 * A value is true, false or unknown, and unknown is not false:
 *
 *   - Late data. Windows end `delay` before the clock, so that what is on its way is in; what comes later still leaves a
 *     window empty. An empty window is unknown: a pending alert waits, a firing one keeps firing. Only when nothing was
 *     known for staleMs (a node taken away, a renamed one) is it resolved, and said to be gone.
 *   - Gaps. Between two evaluations that are further apart than gapMs (the server was down, the machine slept) nobody
 *     looked, so a pending alert starts anew: `for` is time that was seen to be true. A firing one goes on firing.
 *   - The clock steps back: a moment that was evaluated is not evaluated again, nothing changes until time has caught up.
 *   - Restart: the state is read back from the store, so it is only a gap; what fires is not told as new.
 *   - A job that ended is known to be over: its alerts are resolved at once, not after staleMs.
 *   - A deleted or disabled rule: endAll() resolves what it had.
 *
 * `clear` gives the two thresholds that a noisy value needs; `keepFor` the time.
 */
import type { ReadyRule } from './rule.ts'

export type Labels = Readonly<Record<string, string>>

/** One subject of a rule and its value at the moment; null: known to be there, but nothing was measured. */
export interface Measure {
  /** Identity: cluster and what the scope names (node, instance, job, pid …). The same subject has the same text. */
  key: string
  labels: Labels
  value: number | null
}

export interface Measured {
  measures: readonly Measure[]
  /** A subject that is not listed is over (jobs); else it is only unknown (nodes that say nothing). */
  complete: boolean
}

export interface Series {
  phase: 'pending' | 'firing'
  /** Since when it is true. */
  sinceMs: number
  /** When it began to fire; 0 while pending. */
  firedMs: number
  /** Last moment that a value was known. */
  knownMs: number
  /** Since when it is false while it is kept firing; 0: it is true. */
  falseMs: number
  value: number
  /** The value furthest beyond the threshold since it became true. */
  worst: number
  labels: Labels
}

export interface RuleState {
  /** Last moment that was evaluated; 0: never. */
  evaluatedMs: number
  series: ReadonlyMap<string, Series>
}

export type Why = 'value' | 'gone' | 'ended' | 'rule'

export interface Transition {
  rule: string
  key: string
  to: 'pending' | 'firing' | 'resolved' | 'inactive'
  atMs: number
  /** As it is after the transition; of a resolved one as it was. */
  series: Series
  /** Of an end: the value is back · nothing was measured any more · the job ended · the rule was taken away. */
  why: Why
}

export interface EvaluateOptions {
  /** Evaluations further apart than this are a gap. */
  gapMs: number
  /** Unknown for so long is gone. */
  staleMs: number
}

export const NEVER: RuleState = { evaluatedMs: 0, series: new Map() }

export interface Evaluated {
  state: RuleState
  transitions: Transition[]
}

export function evaluate(
  rule: ReadyRule,
  { measures, complete }: Measured,
  before: RuleState,
  atMs: number,
  options: EvaluateOptions,
): Evaluated {
  if (atMs <= before.evaluatedMs) return { state: before, transitions: [] }
  const gap = before.evaluatedMs > 0 && atMs - before.evaluatedMs > options.gapMs
  const step: Step = { rule, atMs, gap, staleMs: options.staleMs, transitions: [] }
  const series = new Map<string, Series>()
  const keep = (key: string, next: Series | undefined) => next && series.set(key, next)
  const seen = new Set<string>()
  for (const measure of measures) {
    seen.add(measure.key)
    const was = before.series.get(measure.key)
    if (measure.value === null) keep(measure.key, was && unknown(step, measure.key, was))
    else keep(measure.key, known(step, measure, measure.value, was))
  }
  for (const [key, was] of before.series) {
    if (seen.has(key)) continue
    keep(key, complete ? end(step, key, was, 'ended') : unknown(step, key, was))
  }
  return { state: { evaluatedMs: atMs, series }, transitions: step.transitions }
}

/** Everything that a rule had ends, since the rule does. */
export function endAll(rule: ReadyRule, before: RuleState, atMs: number): Evaluated {
  const step: Step = { rule, atMs, gap: false, staleMs: 0, transitions: [] }
  for (const [key, was] of before.series) end(step, key, was, 'rule')
  return {
    state: { evaluatedMs: Math.max(atMs, before.evaluatedMs), series: new Map() },
    transitions: step.transitions,
  }
}

interface Step {
  rule: ReadyRule
  atMs: number
  gap: boolean
  staleMs: number
  transitions: Transition[]
}

function known(step: Step, { key, labels }: Measure, value: number, was: Series | undefined): Series | undefined {
  const { rule, atMs } = step
  if (!isTrue(rule, value, was?.phase === 'firing')) return was && untrue(step, key, { ...was, labels, value })
  if (!was || (was.phase === 'pending' && step.gap)) return begin(step, key, labels, value)
  const next = { ...was, labels, value, knownMs: atMs, falseMs: 0, worst: worse(rule, was.worst, value) }
  return next.phase === 'pending' ? ripen(step, key, next) : next
}

function begin(step: Step, key: string, labels: Labels, value: number): Series {
  const { atMs } = step
  const series: Series = {
    phase: 'pending',
    sinceMs: atMs,
    firedMs: 0,
    knownMs: atMs,
    falseMs: 0,
    value,
    worst: value,
    labels,
  }
  const next = ripen(step, key, series)
  if (next.phase === 'pending') tell(step, key, 'pending', next, 'value')
  return next
}

/** Pending for long enough. */
function ripen(step: Step, key: string, series: Series): Series {
  if (step.atMs - series.sinceMs < step.rule.forMs) return series
  const fired: Series = { ...series, phase: 'firing', firedMs: step.atMs }
  tell(step, key, 'firing', fired, 'value')
  return fired
}

function untrue(step: Step, key: string, was: Series): Series | undefined {
  const { rule, atMs } = step
  if (was.phase === 'pending') return end(step, key, was, 'value')
  const falseMs = was.falseMs || atMs
  if (atMs - falseMs >= rule.keepForMs) return end(step, key, was, 'value')
  return { ...was, knownMs: atMs, falseMs }
}

function unknown(step: Step, key: string, was: Series): Series | undefined {
  return step.atMs - was.knownMs > step.staleMs ? end(step, key, was, 'gone') : was
}

function end(step: Step, key: string, was: Series, why: Why): undefined {
  tell(step, key, was.phase === 'firing' ? 'resolved' : 'inactive', was, why)
}

function tell(step: Step, key: string, to: Transition['to'], series: Series, why: Why): void {
  step.transitions.push({ rule: step.rule.name, key, to, atMs: step.atMs, series, why })
}

/** Does the value pass the threshold; of a firing one, has it not come back beyond `clear`. */
export function isTrue(rule: ReadyRule, value: number, firing: boolean): boolean {
  if (rule.test === 'absent') return value > 0
  if (rule.above !== undefined) return value > (firing ? (rule.clear ?? rule.above) : rule.above)
  return value < (firing ? (rule.clear ?? rule.below ?? 0) : (rule.below ?? 0))
}

const worse = (rule: ReadyRule, a: number, b: number): number =>
  rule.above !== undefined || rule.test === 'absent' ? Math.max(a, b) : Math.min(a, b)
