/** Alerts of a server: rules, evaluator, outbox, as the routes and the composition root see them. */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Store } from '../../ingest/store.ts'
import type { Desk } from '../desk.ts'
import { openBook } from './book.ts'
import type { AlertsConfig } from './config.ts'
import { Evaluator } from './evaluator.ts'
import { watchRuleFile } from './file.ts'
import { ALONE, openLease } from './lease.ts'
import { type Outbox, openOutbox } from './outbox.ts'
import { RuleBook } from './rulebook.ts'
import { openSend } from './send.ts'

export interface AlertDesk {
  readonly config: AlertsConfig
  readonly rules: RuleBook
  readonly evaluator: Evaluator
  readonly outbox: Outbox
  newId(): string
}

export interface AlertsDeps {
  store: Store
  config: AlertsConfig
  log: Logger
  now: () => number
  openDesk: () => Desk
}

export function openAlerts({ store, config, log, now, openDesk }: AlertsDeps): AlertDesk {
  const book = openBook(store, now)
  const file = config.file === undefined ? undefined : watchRuleFile(config.file)
  const rules = new RuleBook({ library: config.library, file, book, log })
  // Where rules are evaluated each round reads it.
  if (!config.enabled) rules.readFile()
  const outbox = openOutbox(book, openSend({ now, pageUrl: config.pageUrl ?? '' }), log)
  const lease = store.kind === 'embedded' ? ALONE : openLease(book, config.everyMs)
  const evaluator = new Evaluator({ config, rules, book, outbox, lease, log, now, openDesk })
  return { config, rules, evaluator, outbox, newId: randomUUID }
}

/** Rounds, until stopped; the last one is waited for. */
export function startAlerts({ config, evaluator }: AlertDesk): () => Promise<void> {
  if (!config.enabled) return async () => {}
  const timer = setInterval(() => void evaluator.tick(), config.everyMs)
  timer.unref()
  void evaluator.tick()
  return async () => {
    clearInterval(timer)
    await evaluator.close()
  }
}
