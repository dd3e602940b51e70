/**
 * Evidence: a rule with `profile: true` takes a closer look (burst) at the job or node of an alert when it fires, so that the
 * stacks of that moment are there when somebody comes. Bounded: so many for each subject and in all, whatever fires; and the
 * bursts themselves refuse what runs already or has nobody to take it.
 */
import type { Logger } from 'pino'
import { startBurst } from '../burstplan.ts'
import type { Desk } from '../desk.ts'
import type { Book, Change } from './book.ts'
import type { Labels } from './evaluate.ts'
import type { ReadyRule } from './rule.ts'

const HZ = 199
const SECONDS = 30
/** One look at a job or node in an hour, six at all of them in ten minutes. */
const EACH_MS = 3_600_000
const ALL_MS = 600_000
const MAX_LOOKS = 6

export interface Fired {
  /** Of the alert. */
  id: string
  rule: ReadyRule
  labels: Labels
}

export class Evidence {
  readonly #log: Logger
  /** Alert -> burst. */
  #bursts = new Map<string, string>()
  #looks: { subject: string; atMs: number }[] = []
  readonly counters = { taken: 0, refused: 0, limited: 0 }

  constructor(log: Logger) {
    this.#log = log
  }

  burstOf(id: string): string | undefined {
    return this.#bursts.get(id)
  }

  async restore(book: Book): Promise<void> {
    this.#bursts = new Map((await book.read('burst')).map(row => [row.id, parseBurst(row.record).burst]))
  }

  /** What to write of what was started. A look that is refused is counted, and no reason to tell nobody. */
  async collect(desk: Desk, fired: readonly Fired[]): Promise<Change[]> {
    const wanted = fired.filter(({ rule, labels }) => rule.profile && (labels.job ?? labels.node) !== undefined)
    const changes = await Promise.all(wanted.map(one => this.#look(desk, one)))
    return changes.flatMap(change => change ?? [])
  }

  /** The alert ended: its burst stays, the link goes into the history with it. */
  forget(id: string): Change[] {
    return this.#bursts.delete(id) ? [{ kind: 'burst', id, record: null }] : []
  }

  async #look(desk: Desk, { id, rule, labels }: Fired): Promise<Change | undefined> {
    const { cluster = '', job, node } = labels
    if (!this.#mayLook(`${cluster} ${job ?? ''} ${node ?? ''}`, desk.asker.nowMs)) return undefined
    try {
      const scope = { cluster, ...(job === undefined ? {} : { job }), ...(node === undefined ? {} : { node }) }
      const burst = await startBurst(desk, { ...scope, hz: HZ, seconds: SECONDS }, `alert ${rule.name}`)
      this.#bursts.set(id, burst.id)
      this.counters.taken++
      return { kind: 'burst', id, record: { burst: burst.id } }
    } catch (error) {
      this.counters.refused++
      this.#log.info({ rule: rule.name, labels, why: String(error) }, 'alerts: no closer look was taken')
      return undefined
    }
  }

  #mayLook(subject: string, nowMs: number): boolean {
    this.#looks = this.#looks.filter(look => nowMs - look.atMs < EACH_MS)
    const lately = this.#looks.filter(look => nowMs - look.atMs < ALL_MS)
    if (lately.length >= MAX_LOOKS || this.#looks.some(look => look.subject === subject)) {
      this.counters.limited++
      return false
    }
    this.#looks.push({ subject, atMs: nowMs })
    return true
  }
}

/** Written by this file. */
const parseBurst = (record: unknown): { burst: string } => record as { burst: string }
