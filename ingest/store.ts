/**
 * The store: a ClickHouse server, or chDB (ClickHouse itself) in this process, behind one interface.
 *
 * Rows go in as RowBinary blocks only, never as text beside a statement: chDB takes what follows a blank line of inline
 * data for the next statement, so a process name could be SQL. Questions go in as a constant text with parameters.
 */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { StoreConfig } from './config.ts'
import { StoreError } from './errors.ts'
import { onCluster } from './tables/cluster.ts'
import { DEFAULT_RETENTION, migrate, type Retention, readMigrations } from './tables/migrate.ts'
import { showViews } from './tables/views.ts'

export { StoreError } from './errors.ts'

export interface Question {
  query: string
  query_params: Record<string, unknown>
}

export interface QueryOptions {
  /** Goes to log_comment, so that system.processes and a server's query_log say which question it was. */
  name: string
  /** Aborted while it waits: never started. Aborted while it runs: killed. */
  signal?: AbortSignal
  /** Time limit; 30 when absent. */
  maxSeconds?: number
}

export interface Store {
  readonly kind: 'embedded' | 'remote'
  readonly database: string
  /** Of ClickHouse. */
  readonly version: string
  /** Other processes write to it too. */
  readonly shared?: boolean
  /** How long it keeps what; older records are not worth sending. */
  readonly retentionDays?: Retention
  /** What it may hold on disk, where that was said, and where that disk is, if it is ours. */
  readonly maxBytes?: number
  readonly dataPath?: string
  /** A directory of this process alone, where rows wait for the database; absent: nowhere to put them. */
  readonly journalPath?: string
  /** A RowBinary block into a table. Resolves when the database has it. A block with the same token goes in once. */
  insert(table: string, columns: readonly string[], rowBinary: Uint8Array, rows: number, token?: string): Promise<void>
  /** Rows as objects; 64-bit integers as strings unless cast. */
  query<T>(question: Question, options: QueryOptions): Promise<T[]>
  /** Columns instead of rows, for large answers: answer[column][row]. */
  queryColumns(question: Question, options: QueryOptions): Promise<unknown[][]>
  /** A statement without an answer. Never build it from foreign text. */
  command(sql: string): Promise<void>
  close(): Promise<void>
}

/** What embedded.ts and remote.ts give; the answer is the text of the format asked for. */
export interface Engine {
  readonly kind: 'embedded' | 'remote'
  readonly version: string
  readonly journalPath?: string
  insert(table: string, columns: readonly string[], rowBinary: Uint8Array, token?: string): Promise<void>
  ask(question: Question, format: 'JSONEachRow' | 'JSONCompactColumns', options: QueryOptions): Promise<string>
  command(sql: string): Promise<void>
  close(): Promise<void>
}

/** Settings of an insert with a token: tables that views fill look at the token as well, which older servers have to be told. */
export const ONCE_SETTINGS = { insert_deduplicate: 1, deduplicate_blocks_in_dependent_materialized_views: 1 } as const

/** Settings of every question: 64-bit integers keep their digits, one question cannot take all memory. */
export const QUERY_SETTINGS = {
  output_format_json_quote_64bit_integers: 1,
  max_result_bytes: '268435456',
  // What a manager of many may see goes into the question: 256 KiB of text are soon passed.
  max_query_size: '16777216',
  max_execution_time: 30,
  // Each question has other constants, so ClickHouse would compile its expressions anew for it: of a job's page half of all CPU.
  compile_expressions: 0,
  compile_aggregate_expressions: 0,
  compile_sort_description: 0,
  // There are none, and to look whether one fits costs half of the planning where a table has hundreds of columns.
  optimize_use_projections: 0,
} as const

export async function openStore(config: StoreConfig, deps: { log: Logger }): Promise<Store> {
  const database = config.database ?? 'jobsight'
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(database)) {
    throw new StoreError('config', `store.database: ${JSON.stringify(database)} is not a name of letters, digits and _`)
  }
  const retentionDays = { ...DEFAULT_RETENTION, ...config.retentionDays }
  const engine = await openEngine(config, database, deps.log)
  const db = { command: engine.command, read: (sql: string) => read(engine, sql) }
  try {
    const tables = config.cluster === undefined ? db : onCluster(db, config.cluster, database)
    await migrate(tables, readMigrations(join(import.meta.dirname, 'tables')), retentionDays, deps.log)
    if (engine.kind === 'remote') await showViews(tables)
  } catch (error) {
    await engine.close()
    throw error
  }
  return {
    kind: engine.kind,
    database,
    version: engine.version,
    shared: config.cluster !== undefined,
    retentionDays,
    ...(config.maxBytes === undefined ? {} : { maxBytes: config.maxBytes }),
    ...(config.path === undefined ? {} : { dataPath: config.path }),
    ...(engine.journalPath === undefined ? {} : { journalPath: engine.journalPath }),
    insert: (table, columns, rowBinary, rows, token) =>
      rows === 0 ? Promise.resolve() : engine.insert(table, columns, rowBinary, token),
    query: async <T>(question: Question, options: QueryOptions) =>
      parseRows<T>(await engine.ask(question, 'JSONEachRow', options)),
    queryColumns: async (question, options) => parseColumns(await engine.ask(question, 'JSONCompactColumns', options)),
    command: engine.command,
    close: engine.close,
  }
}

async function openEngine(config: StoreConfig, database: string, log: Logger): Promise<Engine> {
  if (config.url !== undefined) {
    const { openRemote } = await import('./remote.ts')
    return openRemote({ ...config, url: config.url }, database)
  }
  if (config.cluster !== undefined) {
    throw new StoreError('config', 'store.cluster needs store.url: the address of a ClickHouse server of that cluster')
  }
  if (config.path === undefined) {
    throw new StoreError('config', 'the store has neither path nor url: set store.path to a directory')
  }
  const { openEmbedded } = await import('./embedded.ts')
  return openEmbedded({ ...config, path: config.path }, database, log)
}

/** What a start needs to know: a machine that is busy when it boots is no reason not to start. */
const START_SECONDS = 600

const read = async (engine: Engine, query: string): Promise<Record<string, unknown>[]> =>
  parseRows(
    await engine.ask({ query, query_params: {} }, 'JSONEachRow', { name: 'migrate', maxSeconds: START_SECONDS }),
  )

/** The caller says what a row is; the database made it from the caller's own column list. */
function parseRows<T>(text: string): T[] {
  const rows: T[] = []
  for (let from = 0; from < text.length; ) {
    let to = text.indexOf('\n', from)
    if (to < 0) to = text.length
    if (to > from) rows.push(JSON.parse(text.slice(from, to)) as T)
    from = to + 1
  }
  return rows
}

const parseColumns = (text: string): unknown[][] => (text.trim() === '' ? [] : (JSON.parse(text) as unknown[][]))
