import { describe, expect, it, onTestFinished } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { openStore } from '../../ingest/store.ts'
import { VIEWS } from '../../ingest/tables/views.ts'
import { openClickHouse } from './clickhouse.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 60_000) * 60_000 - 60_000

describe('views for people and Grafana', () => {
  it('show values in their units, jobs with times, functions with names, and are not made anew', async () => {
    const server = await openClickHouse('secret')
    onTestFinished(() => server.close())
    const config = { url: server.url, password: 'secret' }
    const store = await openStore(config, { log: quiet })
    onTestFinished(() => store.close())
    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c1', config: { flushMs: 0 } })
    onTestFinished(() => ingest.close())
    const gauge = (name: string, asDouble: number, attributes = {}) => ({
      name,
      gauge: [{ timeMs: T, asDouble, attributes }],
    })
    await ingest.receive(
      'metrics',
      metricsProtobuf([
        {
          attributes: { 'host.name': 'n1' },
          metrics: [
            gauge('system.cpu.utilization', 0.25, { 'cpu.mode': 'user' }),
            gauge('system.cpu.load_average.1m', 1.5),
            gauge('hw.power', 250.5, { 'hw.type': 'gpu', 'hw.id': 'GPU-1' }),
            gauge('queue', 7, { name: 'a' }),
          ],
        },
      ]),
    )
    const profile = {
      resource: { 'host.name': 'n1', 'process.pid': 42, 'jobsight.job.id': '7' },
      sampleType: ['cpu', 'nanoseconds'] as [string, string],
      timeMs: T - 5000,
      durationMs: 5000,
      samples: [{ stack: 'main@m;solve@m', values: [3e9] }],
    }
    await ingest.receive('profiles', profilesProtobuf([profile], '1.10'))
    const job = {
      cluster: 'c1',
      id: '7',
      scheduler: 'slurm',
      state: 'running',
      user: 'ann',
      submitMs: T - 90_000,
      startMs: T - 60_000,
      updatedMs: T,
    }
    await ingest.receive('jobs', Buffer.from(JSON.stringify({ jobs: [job] })))

    expect(await rows(store, 'SELECT node, cpu_user, load_1m, memory_used FROM view_node')).toEqual([
      { node: 'n1', cpu_user: 0.25, load_1m: 1.5, memory_used: null },
    ])
    expect(await rows(store, 'SELECT gpu, power_watts FROM view_gpu')).toEqual([{ gpu: 'GPU-1', power_watts: 250.5 }])
    expect(await rows(store, 'SELECT job, user, waited_seconds, ran_seconds > 60 AS ran FROM view_jobs')).toEqual([
      { job: '7', user: 'ann', waited_seconds: 30, ran: 1 },
    ])
    expect(
      await rows(store, 'SELECT function, module, self_seconds, total_seconds FROM view_functions ORDER BY function'),
    ).toEqual([
      { function: 'main', module: 'm', self_seconds: 0, total_seconds: 3 },
      { function: 'solve', module: 'm', self_seconds: 3, total_seconds: 3 },
    ])
    expect(await rows(store, "SELECT node, name, attributes['name'] AS a, value FROM view_series")).toEqual([
      { node: 'n1', name: 'queue', a: 'a', value: 7 },
    ])

    for (const name of VIEWS.keys()) await rows(store, `SELECT * FROM ${name} LIMIT 1`)
    const made = (): number => server.requests.filter(r => /CREATE OR REPLACE VIEW/.test(r.sql)).length
    expect(made()).toBe(VIEWS.size)
    await (await openStore(config, { log: quiet })).close()
    expect(made()).toBe(VIEWS.size)
  }, 240_000)
})
