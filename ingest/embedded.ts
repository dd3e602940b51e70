/**
 * chDB in this process. What chDB 3.4 asks for:
 *
 *  - One connection runs one statement at a time, and each that runs holds a thread of libuv's pool, which has four unless
 *    UV_THREADPOOL_SIZE says more. So there is one connection for inserts, `questionsAtOnce` for questions, and a thread is
 *    left for files. Slow questions (pace.ts) leave one of these connections to the others.
 *  - Its own way to bind parameters lets one bound statement run in the whole process. SET param_… binds for a connection.
 *  - A running statement cannot be interrupted through its own call; it is killed by KILL QUERY over the other connection.
 *  - Inline data is not safe (see store.ts): a block goes to a file in the data directory and in by file().
 *
 *   <path>/holder.json   who holds it
 *   <path>/clickhouse/   chDB's own
 *   <path>/insert/       blocks on their way in; emptied at start, since the journal or their sender has them still
 *   <path>/journal/      see journal.ts
 */
import { mkdirSync, rmSync, writeFile as writeFileByCallback } from 'node:fs'
import { rm } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { drainPending, Session } from 'chdb'
import type { Logger } from 'pino'
import type { StoreConfig } from './config.ts'
import { databaseError, StoreError } from './errors.ts'
import { openHolder } from './holder.ts'
import { type Lane, openLane } from './lane.ts'
import { openPace } from './pace.ts'
import { parameterSettings, quoted } from './parameters.ts'
import { type Engine, ONCE_SETTINGS, QUERY_SETTINGS } from './store.ts'
import { takeBackTokens } from './tokens.ts'

type EmbeddedConfig = StoreConfig & { path: string }

export async function openEmbedded(config: EmbeddedConfig, database: string, log: Logger): Promise<Engine> {
  const path = resolve(config.path)
  if (/[*?{}[\]']/.test(path)) {
    throw new StoreError(
      'config',
      `store.path ${path} holds one of * ? { } [ ] ', which ClickHouse takes for a pattern`,
    )
  }
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const release = openHolder(path)
  const sessions: Session[] = []
  try {
    rmSync(join(path, 'insert'), { recursive: true, force: true })
    mkdirSync(join(path, 'insert'), { mode: 0o700 })
    const lost = takeBackTokens(join(path, 'clickhouse'))
    if (lost > 0)
      log.info(
        { blocks: lost },
        'store: a kill came before some blocks were stored; their senders or the journal have them',
      )
    const memoryBytes = config.memoryBytes ?? defaultMemoryBytes()
    const session = openSession(join(path, 'clickhouse'), memoryBytes)
    sessions.push(session)
    await session.queryAsync(`CREATE DATABASE IF NOT EXISTS ${database}`)
    await session.queryAsync(`USE ${database}`)
    await session.queryAsync(`SET ${settingsText(INSERT_SETTINGS)}`)
    const readers = await Promise.all(
      Array.from({ length: config.questionsAtOnce ?? FEWEST_READERS }, () =>
        openReader(join(path, 'clickhouse'), database, memoryBytes, sessions),
      ),
    )
    const version = (await session.queryAsync('SELECT version()', { format: 'TSVRaw' })).text().trim()
    log.info({ path, memoryBytes, version }, 'store: opened')
    return new Embedded(path, version, session, readers, release)
  } catch (error) {
    for (const opened of sessions) opened.close()
    await drainPending()
    release()
    throw error
  }
}

/** With the connection for inserts three of the four threads. */
const FEWEST_READERS = 2

/** In one piece. That of fs/promises writes 512 KiB a turn of the event loop, and a busy loop lets a block wait for seconds. */
const writeFile = promisify(writeFileByCallback)

async function openReader(path: string, database: string, memoryBytes: number, opened: Session[]): Promise<Session> {
  const session = new Session(path)
  opened.push(session)
  await session.queryAsync(`USE ${database}`)
  const limit = { max_memory_usage: Math.floor(memoryBytes / 3) }
  await session.queryAsync(`SET ${settingsText({ ...QUERY_SETTINGS, ...limit })}`)
  return session
}

/** A block is one part, however many days it holds: ingest bounds the times it takes. */
const INSERT_SETTINGS = {
  max_partitions_per_insert_block: 0,
  max_threads: 1,
  max_insert_threads: 1,
  // Only blocks with a token: that two have the same rows does not make them one.
  insert_deduplicate: 0,
}

const settingsText = (settings: Record<string, string | number>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ')

const defaultMemoryBytes = (): number => Math.floor(Math.min(4 * 2 ** 30, Math.max(2 ** 30, totalmem() / 4)))

/**
 * The caches must fit the bound they count against (chDB's defaults are 5 GiB of marks). Metrics about itself once a minute
 * instead of once a second: nobody reads them.
 */
function openSession(path: string, memoryBytes: number): Session {
  try {
    return new Session(path, {
      connectionArgs: [
        `--max_server_memory_usage=${memoryBytes}`,
        `--mark_cache_size=${Math.floor(memoryBytes / 8)}`,
        `--index_mark_cache_size=${Math.floor(memoryBytes / 32)}`,
        '--uncompressed_cache_size=0',
        '--asynchronous_metrics_update_period_s=60',
      ],
    })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    if (/per process/i.test(text)) {
      throw new StoreError('held', `this process has another data directory open, close that store first (${text})`)
    }
    if (!/lock file|data directory/i.test(text)) throw databaseError(error)
    throw new StoreError(
      'held',
      `${path} is in use by another chDB: stop that process (fuser ${path}/status) (${text})`,
    )
  }
}

class Embedded implements Engine {
  readonly kind = 'embedded'
  readonly version: string
  readonly journalPath: string
  readonly #path: string
  readonly #writer: Session
  /** Those that no question runs on. */
  readonly #idle: Session[]
  readonly #release: () => void
  readonly #writes = openLane(1)
  readonly #reads: Lane
  /** Those of them that are slow. */
  readonly #slow: Lane
  readonly #pace = openPace()
  readonly #types = new Map<string, Promise<Map<string, string>>>()
  #blocks = 0
  #asked = 0
  #closing: Promise<void> | undefined

  constructor(path: string, version: string, writer: Session, readers: Session[], release: () => void) {
    this.#path = path
    this.journalPath = join(path, 'journal')
    this.version = version
    this.#writer = writer
    this.#idle = readers
    this.#reads = openLane(readers.length)
    this.#slow = openLane(readers.length - 1)
    this.#release = release
  }

  insert: Engine['insert'] = async (table, columns, rowBinary, token) => {
    const types = await this.#typesOf(table)
    const structure = columns.map(c => `${c} ${types.get(c) ?? missing(table, c)}`).join(', ')
    const file = join(this.#path, 'insert', `${table}-${++this.#blocks}.bin`)
    try {
      await writeFile(file, rowBinary).catch((error: unknown) => {
        throw new StoreError('database', `no block can be written in ${this.#path}: ${error}`, { cause: error })
      })
      const once =
        token === undefined
          ? ''
          : `SETTINGS ${settingsText(ONCE_SETTINGS)}, insert_deduplication_token = ${quoted(token)}`
      await this.command(
        `INSERT INTO ${table} (${columns.join(', ')}) ${once} SELECT * FROM file('${file}', 'RowBinary', ${quoted(structure)})`,
      )
    } finally {
      await rm(file, { force: true })
    }
  }

  ask: Engine['ask'] = (question, format, options) => {
    const asked = () => this.#reads.run(() => this.#ask(question, format, options), options.signal)
    return this.#pace.isSlow(options.name) ? this.#slow.run(asked, options.signal) : asked()
  }

  async #ask(...[question, format, options]: Parameters<Engine['ask']>): Promise<string> {
    const comment = `${options.name}#${++this.#asked}`
    const limit = options.maxSeconds ?? QUERY_SETTINGS.max_execution_time
    const set = [`log_comment = ${quoted(comment)}`, `max_execution_time = ${limit}`, ...parameterSettings(question)]
    const reader = this.#idle.pop()
    if (reader === undefined) throw new StoreError('closed', 'the store is closed')
    const ended = this.#pace.start(options.name)
    const asked = reader.queryAsync(`SET ${set.join(', ')}; ${question.query}`, { format })
    let killing: Promise<void> | undefined
    const kill = (): void => {
      killing = this.#kill(comment, asked)
    }
    options.signal?.addEventListener('abort', kill, { once: true })
    let failed = true
    try {
      const answer = (await asked).text()
      failed = false
      return answer
    } catch (error) {
      throw databaseError(error)
    } finally {
      ended()
      options.signal?.removeEventListener('abort', kill)
      // The next question starts under this one's log_comment, until its own SET: a late kill would cut its answer.
      await killing
      if (failed) await this.#empty(reader)
      this.#idle.push(reader)
    }
  }

  /** A question that failed half way leaves the rows it had written in the connection: the next answer would begin with them. */
  async #empty(reader: Session): Promise<void> {
    await reader.queryAsync('SELECT 1 FORMAT Null').catch(() => {})
  }

  command = (sql: string): Promise<void> =>
    this.#writes.run(async () => {
      try {
        await this.#writer.queryAsync(sql)
      } catch (error) {
        throw databaseError(error)
      }
    })

  close = (): Promise<void> => {
    this.#closing ??= this.#shut()
    return this.#closing
  }

  async #shut(): Promise<void> {
    await this.#slow.close()
    await Promise.all([this.#reads.close(), this.#writes.close()])
    for (const reader of this.#idle.splice(0)) reader.close()
    this.#writer.close()
    await drainPending()
    this.#release()
  }

  /** A question is listed in system.processes only once it runs, so the kill is repeated until it has ended. */
  async #kill(comment: string, asked: Promise<unknown>): Promise<void> {
    let ended = false
    const end = (): void => {
      ended = true
    }
    const ending = asked.then(end, end)
    for (let attempt = 0; attempt < 20 && !ended; attempt++) {
      await this.command(`KILL QUERY WHERE Settings['log_comment'] = '${comment}' ASYNC`).catch(end)
      await Promise.race([ending, wait(50)])
    }
  }

  /** Column name -> type, in which a block for this table must be written. */
  #typesOf(table: string): Promise<Map<string, string>> {
    const known = this.#types.get(table)
    if (known !== undefined) return known
    const types = this.#readTypes(table)
    types.catch(() => this.#types.delete(table))
    this.#types.set(table, types)
    return types
  }

  /** Over the connection for inserts: they never wait for a question. */
  async #readTypes(table: string): Promise<Map<string, string>> {
    const text = await this.#writes.run(async () => {
      const question = `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = ${quoted(table)}`
      return (await this.#writer.queryAsync(question, { format: 'JSONEachRow' })).text()
    })
    const rows = text.split('\n').filter(line => line !== '')
    if (rows.length === 0) throw new StoreError('misfit', `there is no table ${table}`)
    return new Map(
      rows.map(line => {
        const row = JSON.parse(line) as { name: string; type: string }
        return [row.name, row.type]
      }),
    )
  }
}

function missing(table: string, column: string): never {
  throw new StoreError('misfit', `table ${table} has no column ${column}`)
}
