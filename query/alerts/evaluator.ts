/**
 * The evaluator: every `everyMs` all rules over all clusters, what changed into the store, what is to be told into the outbox.
 *
 *   read ─ evaluate ─ transitions ─┬─ one insert: states, told, deliveries ─ try to deliver
 *                                  └─ history
 *
 * The insert comes before the first try, so that what is told is known to have been told after a crash, and what was not
 * delivered is delivered then. What could not be written is written with the next round; until then nothing is delivered.
 */
import type { Logger } from 'pino'
import type { Desk } from '../desk.ts'
import { type Active, alertId, alertOf } from './alert.ts'
import type { AlertRow, Book, Change } from './book.ts'
import { Changes, type OnAlerts } from './changes.ts'
import type { AlertsConfig } from './config.ts'
import type { Series } from './evaluate.ts'
import { Evidence, type Fired } from './evidence.ts'
import type { Lease } from './lease.ts'
import type { Outbox } from './outbox.ts'
import { planNotices, type Silence, type Told } from './plan.ts'
import { changesOf, clustersHeard, type Outcome, Rounds, rowOf, rowsOf, type StoredSeries } from './round.ts'
import type { RuleBook } from './rulebook.ts'

export interface EvaluatorDeps {
  config: AlertsConfig
  rules: RuleBook
  book: Book
  outbox: Outbox
  lease: Lease
  log: Logger
  now: () => number
  openDesk: () => Desk
}

export interface Ack {
  author: string
  comment: string
  atMs: number
}

const TIDY_MS = 86_400_000
/** How old the remembered clock may be: after a restart the gap is told too long by this. */
const CLOCK_MS = 60_000

export class Evaluator {
  readonly #deps: EvaluatorDeps
  readonly #rounds: Rounds
  readonly evidence: Evidence
  readonly #changes = new Changes()
  /** Called when alerts of a cluster changed, also where another server evaluates. */
  readonly onChange: OnAlerts = this.#changes.listen
  #holding = false
  #told = new Map<string, Told>()
  #silences = new Map<string, Silence>()
  #acks = new Map<string, Ack>()
  /** What is not written yet. */
  #unwritten: Change[] = []
  #unwrittenRows: AlertRow[] = []
  #clockMs = 0
  #tidiedMs = 0
  #running: Promise<void> | undefined
  #delivering: Promise<void> | undefined
  readonly counters = { rounds: 0, failed: 0, overlapped: 0, tookMs: 0, evaluatedMs: 0 }

  constructor(deps: EvaluatorDeps) {
    this.#deps = deps
    this.evidence = new Evidence(deps.log)
    this.#rounds = new Rounds({ everyMs: deps.config.everyMs, listeningMs: deps.now() })
  }

  /** One round; while the last one runs there is no other. Never throws: what failed is logged and counted. */
  tick(): Promise<void> {
    if (this.#running) {
      this.counters.overlapped++
      return this.#running
    }
    this.#running = this.#round()
      .catch(error => {
        this.counters.failed++
        this.#deps.log.error({ err: error }, 'alerts: a round failed; the next one begins where it left off')
      })
      .finally(() => {
        this.#running = undefined
        this.#tellChanges()
      })
    return this.#running
  }

  async #round(): Promise<void> {
    const { config, lease, now } = this.#deps
    const startedMs = now()
    if (!(await lease.hold(startedMs))) {
      // Another server evaluates; this one shows what that one knows.
      this.#holding = false
      await this.#restore()
      return
    }
    if (!this.#holding) await this.#takeOver()
    this.#deps.rules.readFile()
    const atMs = Math.floor((startedMs - config.delayMs) / 1000) * 1000
    const outcomes = await this.#evaluate(atMs)
    this.#unwritten.push(...(await this.evidence.collect(this.#deps.openDesk(), this.#fired(outcomes))))
    this.#unwrittenRows.push(...outcomes.flatMap(rowsOf).map(row => this.#withBurst(row)))
    this.#unwritten.push(...outcomes.flatMap(changesOf), ...this.#endedAcks(outcomes))
    this.#plan(startedMs)
    if (atMs - this.#clockMs >= CLOCK_MS || this.#unwritten.length > 0) {
      this.#clockMs = atMs
      this.#unwritten.push({ kind: 'clock', id: 'evaluated', record: { atMs } })
    }
    await this.#write()
    this.#deliver(startedMs)
    await this.#tidy(startedMs)
    this.counters.rounds++
    this.counters.evaluatedMs = atMs
    this.counters.tookMs = now() - startedMs
  }

  async #evaluate(atMs: number): Promise<Outcome[]> {
    const { openDesk, rules, log } = this.#deps
    const desk = openDesk()
    const enabled = rules.enabled()
    const outcomes: Outcome[] = []
    for (const cluster of await clustersHeard(desk)) {
      try {
        outcomes.push(...(await this.#rounds.run(desk, cluster, enabled, atMs)))
      } catch (error) {
        this.counters.failed++
        log.warn({ err: error, cluster }, 'alerts: a cluster could not be evaluated; asked again in the next round')
      }
    }
    return outcomes
  }

  #plan(nowMs: number): void {
    const { rules, outbox } = this.#deps
    const plan = planNotices(
      {
        alerts: this.#activeIn(series => series.phase === 'firing').map(a => a.alert),
        rules: new Map([...rules.entries].map(([name, entry]) => [name, entry.rule])),
        receivers: rules.file.receivers,
        owners: rules.file.owners,
        silences: [...this.#silences.values()],
        acknowledged: new Set(this.#acks.keys()),
        told: this.#told,
        underWay: outbox.underWay(),
      },
      nowMs,
    )
    for (const [key, told] of plan.told) {
      if (told) this.#told.set(key, told)
      else this.#told.delete(key)
      this.#unwritten.push({ kind: 'told', id: key, record: told ?? null })
    }
    this.#unwritten.push(...outbox.changesFor(plan.notices, nowMs))
  }

  async #write(): Promise<void> {
    const { book } = this.#deps
    const [changes, rows] = [this.#unwritten, this.#unwrittenRows]
    await book.write(changes)
    this.#unwritten = this.#unwritten.slice(changes.length)
    await book.writeAlerts(rows)
    this.#unwrittenRows = this.#unwrittenRows.slice(rows.length)
  }

  /** Beside the rounds: a receiver that does not answer holds up nobody. */
  #deliver(nowMs: number): void {
    const { outbox, rules, log } = this.#deps
    if (this.#delivering) return
    this.#delivering = outbox
      .deliver(new Map(rules.file.receivers.map(r => [r.name, r])), nowMs)
      .catch(error => log.error({ err: error }, 'alerts: deliveries could not be written; they are tried again'))
      .finally(() => {
        this.#delivering = undefined
      })
  }

  async #takeOver(): Promise<void> {
    const { book } = this.#deps
    const states = await this.#restore()
    // A crash between the two inserts left the history without them; the same row again is no second one.
    await book.writeAlerts(states.filter(held => held.series.phase === 'firing').map(held => rowOf(held, 0, '')))
    this.#holding = true
  }

  async #restore(): Promise<StoredSeries[]> {
    const { book, rules, outbox } = this.#deps
    await rules.restore()
    await outbox.restore()
    const [clock] = await book.read('clock')
    const evaluatedMs = clock ? parse<{ atMs: number }>(clock.record).atMs : 0
    this.#rounds.clear()
    const states = (await book.read('state')).map(row => parse<StoredSeries>(row.record))
    const ruled = states.map(held => ({ ...held, rule: rules.entries.get(held.rule.name)?.rule ?? held.rule }))
    this.#rounds.restore(ruled, evaluatedMs)
    this.#told = new Map((await book.read('told')).map(row => [row.id, parse<Told>(row.record)]))
    this.#silences = new Map((await book.read('silence')).map(row => [row.id, parse<Silence>(row.record)]))
    this.#acks = new Map((await book.read('ack')).map(row => [row.id, parse<Ack>(row.record)]))
    await this.evidence.restore(book)
    this.#clockMs = evaluatedMs
    return states
  }

  #fired = (outcomes: readonly Outcome[]): Fired[] =>
    outcomes.flatMap(({ rule, transitions }) =>
      transitions.flatMap(({ key, to, series }) =>
        to === 'firing' ? [{ id: alertId(rule.name, key), rule, labels: series.labels }] : [],
      ),
    )

  /** The label `burst` leads to the stacks of the moment. */
  #withBurst(row: AlertRow): AlertRow {
    const burst = this.evidence.burstOf(alertId(row.rule, row.series))
    return burst === undefined ? row : { ...row, labels: { ...row.labels, burst } }
  }

  /** An alert that ended needs no one to look after it. */
  #endedAcks(outcomes: readonly Outcome[]): Change[] {
    return outcomes.flatMap(({ rule, transitions }) =>
      transitions.flatMap(({ key, to }): Change[] => {
        const id = alertId(rule.name, key)
        if (to !== 'resolved') return []
        return [
          ...this.evidence.forget(id),
          ...(this.#acks.delete(id) ? [{ kind: 'ack', id, record: null } as const] : []),
        ]
      }),
    )
  }

  async #tidy(nowMs: number): Promise<void> {
    if (nowMs - this.#tidiedMs < TIDY_MS) return
    this.#tidiedMs = nowMs
    const over = [...this.#silences.values()].filter(s => s.untilMs < nowMs - TIDY_MS)
    for (const { id } of over) this.#silences.delete(id)
    await this.#deps.book.write(over.map(({ id }) => ({ kind: 'silence', id, record: null })))
    await this.#deps.book.tidy()
  }

  /** All that is pending or fires, of all clusters, as it was evaluated last. */
  active(): Active[] {
    return this.#activeIn(() => true)
  }

  #activeIn(wanted: (series: Series) => boolean): Active[] {
    const base = this.#deps.config.pageUrl ?? ''
    const activeOf = (held: StoredSeries): Active => {
      const { rule, key, series } = held
      return { rule, key, series, alert: alertOf(held, base, this.evidence.burstOf(alertId(rule.name, key))) }
    }
    return [...this.#rounds.held].flatMap(({ cluster, rule, state }) =>
      [...state.series].flatMap(([key, series]) => (wanted(series) ? [activeOf({ cluster, rule, key, series })] : [])),
    )
  }

  #tellChanges(): void {
    const [acknowledged, silences] = [this.#acks.keys(), this.#silences.values()]
    this.#changes.tell({ active: this.active(), acknowledged, silences, nowMs: this.#deps.now() })
  }

  /** Why the rule could not be read in the last round, of any cluster. */
  error(rule: string): string | undefined {
    return [...this.#rounds.errors].find(([at]) => at.endsWith(`\0${rule}`))?.[1]
  }

  get silences(): ReadonlyMap<string, Silence> {
    return this.#silences
  }

  ackOf(id: string): Ack | undefined {
    return this.#acks.get(id)
  }

  async silence(silence: Silence): Promise<void> {
    await this.#deps.book.write([{ kind: 'silence', id: silence.id, record: silence }])
    this.#silences.set(silence.id, silence)
    this.#tellChanges()
  }

  /** null: not looked after any more. */
  async acknowledge(id: string, ack: Ack | null): Promise<void> {
    await this.#deps.book.write([{ kind: 'ack', id, record: ack }])
    if (ack) this.#acks.set(id, ack)
    else this.#acks.delete(id)
    this.#tellChanges()
  }

  async close(): Promise<void> {
    await this.#running
    await this.#delivering
    if (this.#holding && this.counters.evaluatedMs > 0) {
      await this.#deps.book.write([{ kind: 'clock', id: 'evaluated', record: { atMs: this.counters.evaluatedMs } }])
    }
    await this.#deps.lease.release()
  }
}

/** Written by this file. */
const parse = <T>(record: unknown): T => record as T
