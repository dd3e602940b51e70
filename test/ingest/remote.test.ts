import { describe, expect, it, onTestFinished } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { type FakeServer, openClickHouse } from './clickhouse.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

async function open(): Promise<{ server: FakeServer; store: Store }> {
  const server = await openClickHouse('secret')
  onTestFinished(() => server.close())
  const config = { url: server.url, user: 'jobsight', password: 'secret', database: 'watch' }
  const store = await openStore(config, { log: quiet })
  onTestFinished(() => store.close())
  return { server, store }
}

describe('a ClickHouse server as the store', () => {
  it('gets tables and rows, and foreign text only as data', async () => {
    const { server, store } = await open()
    expect([store.kind, store.database]).toEqual(['remote', 'watch'])
    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 0 } })
    onTestFinished(() => ingest.close())
    const text = "blank\n\nline '; DROP TABLE jobs"
    const body = metricsProtobuf([
      {
        attributes: { 'host.name': 'n1' },
        metrics: [
          {
            name: 'system.memory.usage',
            gauge: [{ timeMs: T, asInt: 5, attributes: { 'system.memory.state': 'used' } }],
          },
          { name: 'foreign', gauge: [{ timeMs: T, asDouble: 1, attributes: { text } }] },
        ],
      },
    ])
    expect(await ingest.receive('metrics', body)).toEqual({ status: 200, rejected: 0 })
    expect(await rows(store, 'SELECT node, memory_used FROM node_points')).toEqual([{ node: 'n1', memory_used: '5' }])
    expect(await rows(store, "SELECT attributes['text'] AS t FROM series")).toEqual([{ t: text }])
    expect(server.requests.filter(r => r.sql.includes('DROP TABLE jobs'))).toEqual([])
    expect(new Set(server.requests.map(r => r.user))).toEqual(new Set(['jobsight']))
  })

  it('stores a block once whose answer was lost, in the tables that views fill as well', async () => {
    const { server, store } = await open()
    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 0 } })
    onTestFinished(() => ingest.close())
    const profile = {
      resource: { 'host.name': 'n1', 'process.pid': 1 },
      sampleType: ['cpu', 'nanoseconds'] as [string, string],
      timeMs: T,
      durationMs: 1000,
      samples: [{ stack: 'main;leaf', values: [7] }],
    }
    Object.assign(server.lost, { table: 'function_minutes', answers: 2 })
    expect(await ingest.receive('profiles', profilesProtobuf([profile]))).toMatchObject({ status: 200 })
    expect(server.lost.answers).toBe(0)
    for (const table of ['function_minutes', 'functions_5m', 'function_hours']) {
      expect([table, await rows(store, `SELECT sum(self) AS self FROM ${table}`)]).toEqual([table, [{ self: '7' }]])
    }
  })

  it('answers questions with their parameters, names and limits', async () => {
    const { server, store } = await open()
    const question = {
      query: 'SELECT {s:String} AS s, {a:Array(String)} AS a, toUInt64(1) AS u',
      query_params: { s: "it's\n\\", a: ["b'", 'c'] },
    }
    expect(await store.query(question, { name: 'page', maxSeconds: 7 })).toEqual([
      { s: "it's\n\\", a: ["b'", 'c'], u: '1' },
    ])
    expect(await store.queryColumns(question, { name: 'page' })).toEqual([
      ["it's\n\\"],
      [["b'", 'c']],
      [expect.anything()],
    ])
    const asked = server.requests.findLast(r => r.settings.max_execution_time === '7')
    expect(asked?.settings).toMatchObject({
      log_comment: 'page',
      output_format_json_quote_64bit_integers: '1',
      wait_end_of_query: '1',
    })
  })

  it('says what the server says, and that a reader left', async () => {
    const { server, store } = await open()
    await expect(rows(store, 'SELECT nonsense')).rejects.toMatchObject({ code: 'database' })
    await expect(store.insert('series', ['series_id'], new Uint8Array([1]), 1)).rejects.toMatchObject({
      code: 'database',
    })
    const left = new AbortController()
    const asked = store.query({ query: 'SELECT sleep(1)', query_params: {} }, { name: 'test', signal: left.signal })
    setTimeout(() => left.abort(), 50)
    await expect(asked).rejects.toMatchObject({ code: 'aborted' })
    await expect(openStore({ url: server.url, user: 'x', password: 'wrong' }, { log: quiet })).rejects.toThrow(
      'Authentication failed',
    )
  })
})
