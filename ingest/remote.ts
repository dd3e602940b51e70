/** A ClickHouse server over HTTP. Blocks go as RowBinary in the body of the request, apart from the statement. */
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { StoreConfig } from './config.ts'
import { databaseError, StoreError } from './errors.ts'
import { type Engine, ONCE_SETTINGS, QUERY_SETTINGS, type Question } from './store.ts'

/** A block is acknowledged when all its shards have it; a question inside of a question sees all of its table. */
const CLUSTER_SETTINGS = {
  insert_distributed_sync: 1,
  distributed_product_mode: 'global',
  insert_distributed_one_random_shard: 0,
} as const

type RemoteConfig = StoreConfig & { url: string }

export async function openRemote(config: RemoteConfig, database: string): Promise<Engine> {
  const login = {
    url: config.url,
    username: config.user ?? 'default',
    password: config.password ?? '',
    application: 'jobsight',
    // Its errors are thrown too, and said once by who catches them.
    log: { level: ClickHouseLogLevel.OFF },
  }
  const first = createClient(login)
  const on = config.cluster === undefined ? '' : ` ON CLUSTER ${config.cluster}`
  await refused(first.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}${on}` })).finally(() => first.close())
  const client = createClient({
    ...login,
    database,
    max_open_connections: 16,
    clickhouse_settings: config.cluster === undefined ? {} : CLUSTER_SETTINGS,
  })
  const ask = askOf(client)
  const version = await ask({ query: 'SELECT version() AS v', query_params: {} }, 'JSONEachRow', { name: 'version' })
  return {
    kind: 'remote',
    ...(config.path === undefined ? {} : { journalPath: join(config.path, 'journal') }),
    version: String((JSON.parse(version) as { v: string }).v),
    ask,
    insert: (...block) => refused(insert(client, block)),
    async command(sql) {
      const settings = { wait_end_of_query: 1, insert_deduplicate: 0 } as const
      await refused(client.command({ query: sql, clickhouse_settings: settings }))
    },
    close: () => client.close(),
  }
}

const refused = <T>(asked: Promise<T>): Promise<T> =>
  asked.catch((error: unknown) => Promise.reject(databaseError(error)))

type Client = ReturnType<typeof createClient>

const askOf =
  (client: Client): Engine['ask'] =>
  (question, format, options) =>
    answerText(
      client,
      question,
      format,
      {
        ...QUERY_SETTINGS,
        max_execution_time: options.maxSeconds ?? QUERY_SETTINGS.max_execution_time,
        log_comment: options.name,
        // The server stops when the reader leaves, and an error half way is an error, not the end of the text.
        cancel_http_readonly_queries_on_client_close: 1,
        wait_end_of_query: 1,
      },
      options.signal,
    )

async function insert(client: Client, [table, columns, rowBinary, token]: Parameters<Engine['insert']>): Promise<void> {
  const { stream } = await client.exec({
    query: `INSERT INTO ${table} (${columns.join(', ')}) FORMAT RowBinary`,
    values: Readable.from([Buffer.from(rowBinary.buffer, rowBinary.byteOffset, rowBinary.byteLength)], {
      objectMode: false,
    }),
    clickhouse_settings: {
      max_partitions_per_insert_block: '0',
      async_insert: 0,
      wait_end_of_query: 1,
      ...(token === undefined ? { insert_deduplicate: 0 } : { ...ONCE_SETTINGS, insert_deduplication_token: token }),
    },
  })
  for await (const _ of stream) void _
}

/** The question must not end in a FORMAT of its own. */
async function answerText(
  client: Client,
  question: Question,
  format: string,
  settings: Record<string, string | number>,
  signal?: AbortSignal,
): Promise<string> {
  try {
    const { stream } = await client.exec({
      query: `${question.query}\nFORMAT ${format}`,
      query_params: question.query_params,
      clickhouse_settings: settings,
      ...(signal === undefined ? {} : { abort_signal: signal }),
    })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    if (signal?.aborted) throw new StoreError('aborted', 'the reader left while the query ran', { cause: error })
    throw databaseError(error)
  }
}
