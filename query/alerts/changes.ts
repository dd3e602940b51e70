/** Who wants to know that alerts of a cluster changed: what fires or waits, who looks after it, what is silenced. */
import { type Active, alertId } from './alert.ts'
import type { Silence } from './plan.ts'

export type OnAlerts = (listener: (cluster: string) => void) => () => void

export interface Situation {
  active: readonly Active[]
  acknowledged: Iterable<string>
  silences: Iterable<Silence>
  nowMs: number
}

/** Remembers what was told last. Values move all the time and are no change. */
export class Changes {
  readonly #listeners = new Set<(cluster: string) => void>()
  #marks = new Map<string, string>()

  listen: OnAlerts = listener => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(situation: Situation): void {
    const before = this.#marks
    this.#marks = marksOf(situation)
    for (const cluster of new Set([...before.keys(), ...this.#marks.keys()])) {
      if (before.get(cluster) === this.#marks.get(cluster)) continue
      for (const listener of this.#listeners) listener(cluster)
    }
  }
}

/** Cluster -> a text that is another one after each change. */
function marksOf({ active, acknowledged, silences, nowMs }: Situation): Map<string, string> {
  const acks = new Set(acknowledged)
  const inForce = [...silences].filter(s => s.fromMs <= nowMs && s.untilMs > nowMs).map(s => s.id)
  const marks = new Map<string, string>()
  for (const { rule, key, series, alert } of active) {
    const id = alertId(rule.name, key)
    const { cluster = '' } = alert.labels
    marks.set(cluster, `${marks.get(cluster) ?? inForce.join()}\n${id} ${series.phase} ${acks.has(id)}`)
  }
  return marks
}
