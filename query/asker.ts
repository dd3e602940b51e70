/** One reader's question on its way: what it may ask, and that it stops when the reader leaves. */
import type { Store } from '../ingest/store.ts'
import { QueryError } from './errors.ts'
import { EVERYTHING, type Reach } from './reach.ts'
import type { Sql } from './sql.ts'

export interface Asker {
  readonly nowMs: number
  readonly signal: AbortSignal | undefined
  /** What the reader may see. A question that reads more is not asked. */
  readonly reach: Reach
  /** Rows as objects. `name` is the question's log_comment on the server. */
  rows<T>(name: string, question: Sql): Promise<T[]>
  /** answer[column][row]; for what is large. */
  columns(name: string, question: Sql): Promise<unknown[][]>
  /** The same with another end than this reader's leave: for an answer that others wait for too. */
  until(signal: AbortSignal | undefined): Asker
  /** The same without a limit: for what is nobody's (since when a cluster is measured), or is limited by whoever asks. */
  unlimited(): Asker
}

/** How long one question to the store may take. */
const MAX_SECONDS = 20

export function openAsker(
  store: Store,
  nowMs: number,
  signal: AbortSignal | undefined,
  reach: Reach = EVERYTHING,
): Asker {
  const options = (name: string) => ({ name, maxSeconds: MAX_SECONDS, ...(signal ? { signal } : {}) })
  return {
    nowMs,
    signal,
    reach,
    until: other => openAsker(store, nowMs, other, reach),
    unlimited: () => openAsker(store, nowMs, signal),
    rows: async <T>(name: string, question: Sql) => {
      const { query, query_params } = checked(question, name, reach)
      return store
        .query<T>({ query, query_params }, options(name))
        .catch((error: unknown) => Promise.reject(refusal(error, name)))
    },
    columns: async (name, question) => {
      const { query, query_params } = checked(question, name, reach)
      return store
        .queryColumns({ query, query_params }, options(name))
        .catch((error: unknown) => Promise.reject(refusal(error, name)))
    },
  }
}

/** Stacks hold ids of frames and a category, nothing that could be read without them. */
const ANYONES = new Set(['stacks', 'numbers'])
const TABLES = /(?:\bFROM|(?<!\bARRAY\s+)\bJOIN)\s+([a-z_]\w*)/gi

/**
 * Throws where a reader who does not see all would read a table that the question does not keep to the reader's own rows:
 * one condition of reach.ts for each table that is named. Texts are our own (sql.ts), so counting them is enough.
 */
function checked(question: Sql, name: string, reach: Reach): Sql {
  if (reach.only === undefined) return question
  const tables = [...question.query.matchAll(TABLES)].map(match => match[1] ?? '').filter(table => !ANYONES.has(table))
  if (tables.length <= question.limits) return question
  throw new Error(
    `the question "${name}" reads ${tables.join(', ')} but keeps ${question.limits} of them to the reader: add ownJobs, ownSamples, ownProcesses or ownPoints of query/reach.ts`,
  )
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/** What the reader is told of a store that failed; the rest is the log's. */
function refusal(error: unknown, name: string): unknown {
  if (codeOf(error) === 'timeout') {
    return new QueryError(
      504,
      'timeout',
      `${name} took longer than ${MAX_SECONDS} s: choose a shorter window (from, to) or fewer nodes`,
    )
  }
  if (codeOf(error) === 'closed') return new QueryError(503, 'closing', 'the server is stopping: ask again in a moment')
  return error
}

/** Columns of an answer as what they are. The store made them from our own column list, so a wrong type is our own error. */
export const numbers = (column: unknown[] | undefined): number[] => (column ?? []).map(numberOf)
export const strings = (column: unknown[] | undefined): string[] => (column ?? []).map(String)

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : Number(value))

/** NULL stays null. */
export const numbersOrNull = (column: unknown[] | undefined): (number | null)[] =>
  (column ?? []).map(value => (value === null || value === undefined ? null : numberOf(value)))

/** A column whose cells are lists. */
export const lists = (column: unknown[] | undefined): unknown[][] =>
  (column ?? []).map(cell => (Array.isArray(cell) ? cell : []))
