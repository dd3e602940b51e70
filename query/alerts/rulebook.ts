/** All rules: those that come with Jobsight, over them those of the file, over them those of the page. */
import type { Logger } from 'pino'
import type { Book } from './book.ts'
import { checkRule } from './check.ts'
import { NO_FILE, type RuleFile, type WatchedFile } from './file.ts'
import { LIBRARY } from './library.ts'
import { type Names, namesOf } from './names.ts'
import { type ReadyRule, type Rule, readyRule } from './rule.ts'

export interface Entry {
  rule: ReadyRule
  origin: 'library' | 'file' | 'page'
  /** Who wrote it on the page, and when. */
  author: string
  updatedMs: number
}

interface Stored {
  rule: Rule
  author: string
  updatedMs: number
}

export interface RuleBookOptions {
  library: boolean
  file: WatchedFile | undefined
  book: Book
  log: Logger
}

export class RuleBook {
  readonly #options: RuleBookOptions
  readonly #library: ReadonlyMap<string, Rule>
  #stored = new Map<string, Stored>()
  #file: RuleFile = NO_FILE
  /** Why the file is not read as it stands; undefined: it is. */
  fileError: string | undefined
  #entries: ReadonlyMap<string, Entry> = new Map()

  /** restore() is to follow, then the file is read: it may name rules of the page. */
  constructor(options: RuleBookOptions) {
    this.#options = options
    this.#library = new Map(options.library ? LIBRARY.map(rule => [rule.name, rule]) : [])
    this.#merge()
  }

  /** Rules of the page that were stored; one that this version does not take any more is said and left out. */
  async restore(): Promise<void> {
    const stored = new Map<string, Stored>()
    for (const { id, record } of await this.#options.book.read('rule')) {
      const known = parseStored(record)
      const checked = checkRule(known.rule)
      if ('rule' in checked) stored.set(id, { ...known, rule: checked.rule })
      else
        this.#options.log.error(
          { rule: id, problems: checked.problems },
          'alerts: a stored rule is not valid any more; write it anew',
        )
    }
    this.#stored = stored
    this.readFile()
  }

  /** Again, if it changed. */
  readFile(): void {
    const written = [...this.#stored.values()].map(({ rule }) => rule)
    const read = this.#options.file?.read(this.#library, written)
    if (read && read.error !== this.fileError && read.error !== undefined)
      this.#options.log.error(
        `alerts: the file of rules is not valid, the rules of before stay in force\n${read.error}`,
      )
    this.fileError = read?.error
    if (read && read.file !== this.#file) {
      this.#file = read.file
      this.#options.log.info(
        { rules: read.file.rules.length, receivers: read.file.receivers.length },
        'alerts: file of rules read',
      )
    }
    this.#merge()
  }

  #merge(): void {
    const entries = new Map<string, Entry>()
    const put = (rule: Rule, origin: Entry['origin'], author = '', updatedMs = 0) =>
      entries.set(rule.name, { rule: readyRule(rule), origin, author, updatedMs })
    for (const rule of this.#library.values()) put(rule, 'library')
    for (const rule of this.#file.rules) put(rule, 'file')
    for (const { rule, author, updatedMs } of this.#stored.values()) put(rule, 'page', author, updatedMs)
    this.#entries = entries
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  get file(): RuleFile {
    return this.#file
  }

  /** What rules and silences can name. */
  names(): Names {
    return namesOf(
      [...this.#entries.values()].map(({ rule }) => rule),
      this.#file.receivers,
    )
  }

  /** Rules that name one of the page, which would be gone without it. */
  namedBy(name: string): string[] {
    if (this.#library.has(name) || this.#file.rules.some(rule => rule.name === name)) return []
    return [...this.#entries.values()].flatMap(({ rule }) => (rule.inhibitedBy?.includes(name) ? [rule.name] : []))
  }

  /** Those that are evaluated. */
  enabled(): ReadyRule[] {
    return [...this.#entries.values()].flatMap(({ rule }) => (rule.enabled === false ? [] : [rule]))
  }

  async save(rule: Rule, author: string, nowMs: number): Promise<void> {
    const stored: Stored = { rule, author, updatedMs: nowMs }
    await this.#options.book.write([{ kind: 'rule', id: rule.name, record: stored }])
    this.#stored.set(rule.name, stored)
    this.#merge()
  }

  /** What the page wrote is taken back; false where it wrote nothing. */
  async drop(name: string): Promise<boolean> {
    if (!this.#stored.has(name)) return false
    await this.#options.book.write([{ kind: 'rule', id: name, record: null }])
    this.#stored.delete(name)
    this.#merge()
    return true
  }
}

/** Written by save(). */
const parseStored = (record: unknown): Stored => record as Stored
