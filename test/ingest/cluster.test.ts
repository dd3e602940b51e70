import { Session } from 'chdb'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { openStore } from '../../ingest/store.ts'
import { clusterStatements } from '../../ingest/tables/cluster.ts'
import { openClickHouse } from './clickhouse.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { freshPath, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

describe('a statement on a cluster', () => {
  const of = (sql: string) => clusterStatements(sql, 'hpc', 'db')

  it('makes a replicated table on every server and one that spreads over them', () => {
    expect(
      of(`-- why
CREATE TABLE IF NOT EXISTS jobs (
  a DateTime('UTC') CODEC(Delta, ZSTD(1)), b String
) ENGINE = ReplacingMergeTree(updated_ms) PARTITION BY tuple() ORDER BY (a, b)
TTL a + INTERVAL 1 DAY`),
    ).toEqual([
      `CREATE TABLE IF NOT EXISTS jobs_local ON CLUSTER hpc (
  a DateTime('UTC') CODEC(Delta, ZSTD(1)), b String
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/db/jobs', '{replica}', updated_ms) PARTITION BY tuple() ORDER BY (a, b)
TTL a + INTERVAL 1 DAY`,
      'CREATE TABLE IF NOT EXISTS jobs ON CLUSTER hpc AS jobs_local ENGINE = Distributed(hpc, db, jobs_local, cityHash64(cluster, id))',
    ])
    expect(of('CREATE TABLE IF NOT EXISTS f (x UInt8) ENGINE = SummingMergeTree((a, b)) ORDER BY x')[0]).toContain(
      "ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/db/f', '{replica}', (a, b)) ORDER BY x",
    )
  })

  it('changes what has to change, where it has to', () => {
    expect(of("ALTER TABLE t ADD COLUMN IF NOT EXISTS x Int32 CODEC(Delta, T64('bit'), ZSTD(1))")).toEqual([
      "ALTER TABLE t_local ON CLUSTER hpc ADD COLUMN IF NOT EXISTS x Int32 CODEC(Delta, T64('bit'), ZSTD(1))",
      'ALTER TABLE t ON CLUSTER hpc ADD COLUMN IF NOT EXISTS x Int32',
    ])
    expect(of('ALTER TABLE t_local MODIFY TTL d + toIntervalDay(3)')).toEqual([
      'ALTER TABLE t_local ON CLUSTER hpc MODIFY TTL d + toIntervalDay(3)',
    ])
    expect(
      of('CREATE MATERIALIZED VIEW IF NOT EXISTS v TO u AS SELECT a FROM (SELECT a FROM t WHERE t.a > 1)'),
    ).toEqual([
      'CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER hpc TO u_local AS SELECT a FROM (SELECT a FROM t_local AS t WHERE t.a > 1)',
    ])
    expect(() => of('OPTIMIZE TABLE t')).toThrow('not known for a cluster')
  })
})

describe('a store on a ClickHouse cluster', () => {
  it('says that it needs an address', async () => {
    await expect(openStore({ path: freshPath(), cluster: 'hpc' }, { log: quiet })).rejects.toThrow('needs store.url')
  })

  it('keeps and finds everything through distributed tables, and its DDL is what ClickHouse reads', async () => {
    const server = await openClickHouse('secret', 'hpc')
    onTestFinished(() => server.close())
    const config = { url: server.url, user: 'jobsight', password: 'secret', database: 'watch', cluster: 'hpc' }
    const store = await openStore(config, { log: quiet })
    onTestFinished(() => store.close())
    // As they were sent; the server of this test runs them without ON CLUSTER and replicas, which need a Keeper.
    const ddl = server.requests.map(r => r.sql).filter(sql => /ON CLUSTER/.test(sql))
    expect(ddl.filter(sql => /ENGINE = Replicated\w*MergeTree\('\/clickhouse/.test(sql)).length).toBeGreaterThan(30)
    expect(ddl.filter(sql => / ENGINE = Distributed\(hpc, watch, /.test(sql)).length).toBeGreaterThan(30)

    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 0 } })
    onTestFinished(() => ingest.close())
    const memory = (node: string, value: number) => ({
      attributes: { 'host.name': node },
      metrics: [
        {
          name: 'system.memory.usage',
          gauge: [{ timeMs: T, asInt: value, attributes: { 'system.memory.state': 'used' } }],
        },
        { name: 'foreign', gauge: [{ timeMs: T, asDouble: value }] },
      ],
    })
    expect(await ingest.receive('metrics', metricsProtobuf([memory('n1', 5), memory('n2', 6)]))).toEqual({
      status: 200,
      rejected: 0,
    })
    const profile = {
      resource: { 'host.name': 'n1', 'process.pid': 42 },
      sampleType: ['cpu', 'nanoseconds'] as [string, string],
      timeMs: T,
      durationMs: 5000,
      samples: [{ stack: 'main@m;solve@m', values: [3e9] }],
    }
    expect((await ingest.receive('profiles', profilesProtobuf([profile], '1.10'))).status).toBe(200)
    expect(await rows(store, 'SELECT node, memory_used FROM node_points ORDER BY node')).toEqual([
      { node: 'n1', memory_used: '5' },
      { node: 'n2', memory_used: '6' },
    ])
    expect(
      await rows(
        store,
        "SELECT value FROM series_points WHERE series_id IN (SELECT series_id FROM series WHERE node = 'n2')",
      ),
    ).toEqual([{ value: 6 }])
    expect(await rows(store, 'SELECT count() AS n FROM samples INNER JOIN stacks USING stack_id')).toEqual([{ n: '1' }])
    expect(await rows(store, 'SELECT count() AS n FROM samples_local')).toEqual([{ n: '1' }])

    // Another server behind the same balancer knows what this one took in.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const other = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 0 } })
    onTestFinished(() => other.close())
    expect(other.latest.nodes('c')).toEqual(['n1', 'n2'])
    const told = new Promise<string[]>(done => other.onWritten(points => done(points.map(point => point.node))))
    await ingest.receive('metrics', metricsProtobuf([memory('n3', 7)]))
    vi.advanceTimersByTime(10_000)
    expect(await told).toEqual(['n3'])
    expect(other.latest.nodes('c')).toEqual(['n1', 'n2', 'n3'])
  }, 240_000)

  it('is brought to new columns and another retention like any other', async () => {
    const server = await openClickHouse('secret', 'hpc')
    onTestFinished(() => server.close())
    const config = { url: server.url, password: 'secret', cluster: 'hpc' }
    await (await openStore(config, { log: quiet })).close()
    const session = new Session(server.path)
    await session.queryAsync('ALTER TABLE jobsight.node_points_local DROP COLUMN cpu_user')
    await session.queryAsync('ALTER TABLE jobsight.node_points DROP COLUMN cpu_user')
    session.close()
    const store = await openStore({ ...config, retentionDays: { points: 7 } }, { log: quiet })
    onTestFinished(() => store.close())
    expect(await rows(store, 'SELECT cpu_user FROM node_points')).toEqual([])
    const [table] = await rows<{ ddl: string }>(
      store,
      "SELECT create_table_query AS ddl FROM system.tables WHERE database = 'jobsight' AND name = 'node_points_local'",
    )
    expect(table?.ddl).toContain('toIntervalDay(7)')
  }, 240_000)
})
