/** One round over a cluster: every rule that is due, read and evaluated. Keeps the state between rounds. */
import type { Desk } from '../desk.ts'
import type { AlertRow, Change } from './book.ts'
import { endAll, evaluate, NEVER, type RuleState, type Series, type Transition } from './evaluate.ts'
import { groupBy } from './groups.ts'
import { messageOf, thresholdOf } from './message.ts'
import { isSlow, readRules } from './reader.ts'
import { Recent } from './recent.ts'
import type { ReadyRule } from './rule.ts'

/** What one rule knows of one cluster. */
export interface Held {
  cluster: string
  /** As it was evaluated last: what a rule that was deleted since had said. */
  rule: ReadyRule
  state: RuleState
}

/** What changed for one rule. */
export interface Outcome {
  cluster: string
  rule: ReadyRule
  transitions: readonly Transition[]
}

export interface RoundOptions {
  everyMs: number
  /** Since when this server listens. */
  listeningMs: number
}

const SLOW_MS = 60_000
const STALE_MS = 300_000
const GAP_MS = 120_000

/** Evaluations and reads of the past may be as far apart as this without a gap. */
export const gapOf = (everyMs: number): number => Math.max(GAP_MS, 4 * everyMs)
export const optionsOf = (rule: ReadyRule, everyMs: number) => ({
  gapMs: gapOf(everyMs),
  staleMs: Math.max(STALE_MS, 2 * rule.windowMs),
})

export class Rounds {
  readonly #options: RoundOptions
  readonly #held = new Map<string, Held>()
  readonly #recent = new Recent()
  /** Rule and cluster -> why it could not be read in the last round. */
  readonly errors = new Map<string, string>()

  constructor(options: RoundOptions) {
    this.#options = options
  }

  get held(): Iterable<Held> {
    return this.#held.values()
  }

  /** What an earlier process knew. `knownMs` begins anew: while nobody looked nothing went stale. */
  restore(states: readonly StoredSeries[], evaluatedMs: number): void {
    for (const [at, all] of groupBy(states, ({ cluster, rule }) => place(cluster, rule.name))) {
      const [{ cluster, rule } = {}] = all
      if (cluster === undefined || rule === undefined) continue
      const series = new Map(
        all.map(s => [s.key, { ...s.series, knownMs: Math.max(s.series.knownMs, evaluatedMs) }] as const),
      )
      this.#held.set(at, { cluster, rule, state: { evaluatedMs, series } })
    }
  }

  clear(): void {
    this.#held.clear()
  }

  async run(desk: Desk, cluster: string, rules: readonly ReadyRule[], atMs: number): Promise<Outcome[]> {
    const due = rules.filter(rule => this.#isDue(cluster, rule, atMs))
    const stateOf = (rule: ReadyRule) => this.#held.get(place(cluster, rule.name))?.state ?? NEVER
    const moment = { atMs, listeningMs: this.#options.listeningMs }
    const readings = await readRules(desk, cluster, due, moment, { recent: this.#recent, stateOf })
    const outcomes: Outcome[] = []
    for (const [rule, measured] of readings) {
      const at = place(cluster, rule.name)
      if (measured instanceof Error) {
        this.errors.set(at, measured.message)
        continue
      }
      this.errors.delete(at)
      const done = evaluate(
        rule,
        measured,
        stateOf(rule),
        atMs,
        optionsOf(rule, isSlow(rule) ? SLOW_MS : this.#options.everyMs),
      )
      this.#held.set(at, { cluster, rule, state: done.state })
      outcomes.push({ cluster, rule, transitions: done.transitions })
    }
    return [...outcomes, ...this.#endMissing(cluster, rules, atMs)]
  }

  #isDue(cluster: string, rule: ReadyRule, atMs: number): boolean {
    const last = this.#held.get(place(cluster, rule.name))?.state.evaluatedMs ?? 0
    return !isSlow(rule) || atMs - last >= SLOW_MS
  }

  /** Rules that were deleted or switched off since. */
  #endMissing(cluster: string, rules: readonly ReadyRule[], atMs: number): Outcome[] {
    const names = new Set(rules.map(rule => rule.name))
    const gone = [...this.#held].filter(([, held]) => held.cluster === cluster && !names.has(held.rule.name))
    return gone.map(([at, held]) => {
      this.#held.delete(at)
      this.errors.delete(at)
      return { cluster, rule: held.rule, transitions: endAll(held.rule, held.state, atMs).transitions }
    })
  }
}

const place = (cluster: string, rule: string): string => `${cluster}\0${rule}`

/** State of a series, as it is written. */
export interface StoredSeries {
  cluster: string
  /** The whole rule: its end can be told when it is gone. */
  rule: ReadyRule
  key: string
  series: Series
}

export const stateId = (rule: string, key: string): string => `${rule}\0${key}`

export const changesOf = ({ cluster, rule, transitions }: Outcome): Change[] =>
  transitions.map(({ key, to, series }) => {
    const stored: StoredSeries = { cluster, rule, key, series }
    return { kind: 'state', id: stateId(rule.name, key), record: to === 'pending' || to === 'firing' ? stored : null }
  })

/** Row of the history of an alert that fires, or did until `resolvedMs`. */
export function rowOf(held: StoredSeries, resolvedMs: number, why: string): AlertRow {
  const { cluster, rule, key, series } = held
  // What it was about, not the value that ended it.
  const spoken = resolvedMs === 0 ? series : { ...series, value: series.worst }
  return {
    cluster,
    rule: rule.name,
    series: key,
    sinceMs: series.sinceMs,
    firedMs: series.firedMs,
    resolvedMs,
    severity: rule.severity,
    value: series.value,
    worst: series.worst,
    threshold: thresholdOf(rule),
    why,
    labels: { ...series.labels, ...rule.labels },
    message: messageOf(rule, spoken),
  }
}

/** Rows of what began to fire and of what ended. */
export const rowsOf = ({ cluster, rule, transitions }: Outcome): AlertRow[] =>
  transitions.flatMap(({ key, to, atMs, series, why }) => {
    if (to !== 'firing' && to !== 'resolved') return []
    return [rowOf({ cluster, rule, key, series }, to === 'firing' ? 0 : atMs, to === 'firing' ? '' : why)]
  })

/** Clusters that nobody heard from for so long are not evaluated: their alerts stay as they are. */
const HEARD_MS = 86_400_000

export async function clustersHeard({ known, asker }: Desk): Promise<string[]> {
  const clusters = await known.clusters(asker)
  return [...clusters].filter(([, ms]) => ms > asker.nowMs - HEARD_MS).map(([cluster]) => cluster)
}
