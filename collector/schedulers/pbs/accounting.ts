/**
 * PBS_HOME/server_priv/accounting/YYYYMMDD, a record a line:
 *
 *   11/23/2026 14:40:42;E;12.pbs01;user=alice group=physics account="proj-0042" … end=1795444842 Exit_status=271 …
 *
 * Times inside the record are epoch seconds. Quoting is not escaped (account="acct "with", odd"), so a value ends where the
 * next ` name=` begins. E has ended, D was deleted (an E follows if it ran), R goes back into the queue.
 */
import type { PolledJob } from '../contract.ts'
import type { Attributes } from './attributes.ts'
import { endOf, jobOf } from './job.ts'

/** Date, type, id, and text with any more semicolons. */
const LINE = /^[^;]*;([A-Za-z]);([^;]*);(.*)$/s

/** Remembers what was deleted: its E record does not say so. */
export class AccountingReader {
  readonly #deleted = new Map<string, number>()

  /** The job that this line ends, if it does. */
  parse(line: string): PolledJob | undefined {
    const [, type, id = '', text = ''] = LINE.exec(line) ?? []
    if (type === 'D') this.#remember(id)
    if (type !== 'E' || !/^\d+/.test(id)) return undefined
    const job = parseRecord(text)
    const state = endOf(job, this.#deleted.delete(id))
    return jobOf(id, job, new Map(), state)
  }

  /** Deleted while it waited: there is no E record. */
  wasDeleted(id: string): boolean {
    return this.#deleted.has(id)
  }

  #remember(id: string): void {
    this.#deleted.set(id, 1)
    const oldest = this.#deleted.keys().next()
    if (this.#deleted.size > 100_000 && !oldest.done) this.#deleted.delete(oldest.value)
  }
}

/** `a=1 Resource_List.mem=100mb` -> {a: 1, Resource_List: {mem: 100mb}} */
export function parseRecord(text: string): Attributes {
  const record: Attributes = {}
  for (const field of text.split(/ (?=[A-Za-z_][\w.]*=)/)) {
    const equals = field.indexOf('=')
    if (equals < 0) continue
    const [name = '', resource] = field.slice(0, equals).split('.')
    const value = field
      .slice(equals + 1)
      .trim()
      .replace(/^(["'])(.*)\1$/s, '$2')
    if (resource === undefined) record[name] = value
    else record[name] = { ...(typeof record[name] === 'object' ? record[name] : {}), [resource]: value }
  }
  return record
}
