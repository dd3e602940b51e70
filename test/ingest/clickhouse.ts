/**
 * ClickHouse's HTTP interface, as far as the store uses it, over chDB in this process: same SQL, same parser, no server to
 * install. What @clickhouse/client sends is real; parameters, settings and bodies arrive as a server gets them.
 * https://clickhouse.com/docs/interfaces/http
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drainPending, Session } from 'chdb'

export interface FakeServer {
  url: string
  /** chDB's directory. */
  path: string
  /** Statements and bodies as they came. */
  requests: { sql: string; body: Buffer; settings: Record<string, string>; user: string }[]
  /** The answers to so many next inserts into this table are lost on their way; the rows are stored. */
  lost: { table: string; answers: number }
  close(): Promise<void>
}

/** `cluster`: a cluster of this name with one shard, which is the server itself. */
export async function openClickHouse(password: string, cluster?: string): Promise<FakeServer> {
  const path = mkdtempSync(join(tmpdir(), 'jobsight-clickhouse-'))
  const session = cluster === undefined ? new Session(path) : openOfCluster(path, cluster)
  const requests: FakeServer['requests'] = []
  const lost = { table: '', answers: 0 }
  let lane: Promise<unknown> = Promise.resolve()
  const server = createServer((request, response) => {
    lane = lane
      .then(() => answer(session, path, request, response, password, { requests, lost }))
      .catch(() => response.destroy())
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    path,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    lost,
    async close() {
      await stop(server)
      session.close()
      await drainPending()
      rmSync(path, { recursive: true, force: true })
      rmSync(`${path}.xml`, { force: true })
    },
  }
}

function openOfCluster(path: string, cluster: string): Session {
  const replica = '<replica><host>127.0.0.1</host><port>9000</port></replica>'
  const config = `${path}.xml`
  writeFileSync(
    config,
    `<clickhouse><tcp_port>9000</tcp_port><remote_servers><${cluster}><shard>${replica}</shard></${cluster}></remote_servers></clickhouse>`,
  )
  return new Session(path, { connectionArgs: [`--config-file=${config}`] })
}

/**
 * There is no Keeper here to hold replicas and tell servers of DDL: what was sent is read by ClickHouse's parser as it is, and
 * run without that.
 */
async function withoutKeeper(session: Session, sql: string): Promise<string> {
  if (!/ ON CLUSTER /.test(sql)) return sql
  if (!/^DELETE/.test(sql)) await session.queryAsync(`EXPLAIN AST ${sql}`)
  return sql
    .replace(/ ON CLUSTER \w+/, '')
    .replace(/ENGINE = Replicated(\w+)\('[^']*', '\{replica\}'(?:, )?/, 'ENGINE = $1(')
}

const stop = (server: Server): Promise<void> =>
  new Promise(done => {
    server.close(() => done())
    server.closeAllConnections()
  })

async function answer(
  session: Session,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  password: string,
  { requests, lost }: Pick<FakeServer, 'requests' | 'lost'>,
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  const url = new URL(request.url ?? '/', 'http://x')
  const inUrl = url.searchParams.get('query')
  const sql = inUrl ?? body.toString()
  const [user, given] = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64')
    .toString()
    .split(':')
  const settings = Object.fromEntries(url.searchParams)
  requests.push({ sql, body: inUrl === null ? Buffer.alloc(0) : body, settings, user: user ?? '' })
  try {
    if (given !== password) throw new Error('Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)')
    const database = url.searchParams.get('database')
    if (database !== null) await session.queryAsync(`USE ${database}`)
    const result = await session.queryAsync(
      await statement(session, path, await withoutKeeper(session, sql), body, inUrl !== null, url.searchParams),
    )
    if (lost.answers > 0 && sql.startsWith(`INSERT INTO ${lost.table} `)) {
      lost.answers--
      response.destroy()
    } else response.end(result.bytes())
  } catch (error) {
    response.statusCode = 500
    response.end(error instanceof Error ? error.message : String(error))
  }
}

/** A server reads the body as the data of an INSERT; here it goes by a file. Parameters and settings go by SET. */
async function statement(
  session: Session,
  path: string,
  sql: string,
  body: Buffer,
  hasBody: boolean,
  parameters: URLSearchParams,
): Promise<string> {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, char => `\\${char}`)}'`
  const assigned = (taken: RegExp): string =>
    [...parameters].flatMap(([name, value]) => (taken.test(name) ? [`${name} = ${quoted(value)}`] : [])).join(', ')
  const insert = /^INSERT INTO (\w+) \(([^)]*)\) FORMAT RowBinary$/.exec(sql.trim())
  if (insert !== null && hasBody) {
    const [, table = '', columns = ''] = insert
    const described = await session.queryAsync(`DESCRIBE TABLE ${table}`, { format: 'JSONEachRow' })
    const types = new Map(
      described
        .text()
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as { name: string; type: string })
        .map(c => [c.name, c.type]),
    )
    const structure = columns
      .split(', ')
      .map(c => `${c} ${types.get(c)}`)
      .join(', ')
    const file = join(path, 'block.bin')
    writeFileSync(file, body)
    const once = assigned(/dedup/)
    return `INSERT INTO ${table} (${columns}) SETTINGS ${once} SELECT * FROM file('${file}', 'RowBinary', ${quoted(structure)})`
  }
  const set = assigned(/^(param_|output_format_|max_execution_time$)/)
  return set === '' ? sql : `SET ${set}; ${sql}`
}
