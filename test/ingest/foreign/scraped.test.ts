import { readFileSync } from 'node:fs'
import { cpus, hostname } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { query } from '../../../query/index.ts'
import { hasPrometheus, startNodeExporter, startPrometheus } from '../../testbeds/prometheus.ts'
import { openDoors, quiet, rows } from '../place.ts'

const doors = openDoors()

async function until<T>(read: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 400; tries++) {
    const found = await read()
    if (found !== undefined) return found
    await wait(100)
  }
  throw new Error('it did not come')
}

describe.skipIf(!hasPrometheus)('a machine that only node_exporter and Prometheus watch', () => {
  it('has a node page like any other', async () => {
    const { ingest, store } = doors
    const app = Fastify()
    onTestFinished(() => app.close())
    await app.register(ingest.plugin)
    await app.register(query, { store, ingest, log: quiet })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const exporter = await startNodeExporter()
    onTestFinished(() => exporter.stop())
    // Small requests, so that every scrape is cut into several.
    const queue = { max_samples_per_send: 50, batch_send_deadline: '100ms', max_shards: 2 }
    const prometheus = await startPrometheus({
      global: { scrape_interval: '1s' },
      scrape_configs: [{ job_name: 'node', static_configs: [{ targets: [exporter.address] }] }],
      remote_write: [{ url: `${url}/api/v1/write`, queue_config: queue }],
    })
    onTestFinished(() => prometheus.stop())

    const name = hostname().split('.')[0] ?? ''
    const whole = await until(async () => {
      const found = await rows<{ cores: string; n: string }>(
        store,
        `SELECT max(cpu_count) AS cores, count(cpu_busy) AS n FROM node_points WHERE node = '${name}'`,
      )
      return Number(found[0]?.n) >= 3 ? found[0] : undefined
    })
    // A scrape came in some thirty requests: no node row counted only the cores of one of them.
    expect(Number(whole.cores)).toBe(cpus().length)
    expect(
      await rows(
        store,
        'SELECT count() AS n FROM node_points WHERE cpu_count IS NOT NULL AND cpu_count != (SELECT max(cpu_count) FROM node_points)',
      ),
    ).toEqual([{ n: '0' }])

    // The exporter is scraped at 127.0.0.1, and still there is one node, under its name.
    const { nodes } = (await app.inject({ url: '/api/v1/nodes' })).json()
    expect(nodes.map((n: { node: string; state: string }) => [n.node, n.state])).toEqual([[name, 'up']])
    const { values } = nodes[0]
    const totalKiB = Number(/MemTotal:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1])
    expect(values.memory_total).toBe(totalKiB * 1024)
    expect(values.memory_used).toBeGreaterThan(0.01 * values.memory_total)
    expect(values.memory_used).toBeLessThan(values.memory_total)
    expect(values.cpu_busy).toBeGreaterThan(0)
    for (const column of [
      'load_1m',
      'context_switches',
      'processes_running',
      'memory_cached',
      'network_receive_bytes',
    ]) {
      expect([column, typeof values[column]]).toEqual([column, 'number'])
    }
    const metrics = 'cpu_busy,memory_used,core.cpu_user,disk.read_bytes,interface.receive_bytes,filesystem.used_bytes'
    const series = (await app.inject({ url: `/api/v1/series?node=${name}&metrics=${metrics}` })).json()
    const drawn = new Set(series.series.map((s: { metric: string }) => s.metric))
    for (const metric of ['cpu_busy', 'memory_used', 'core.cpu_user', 'interface.receive_bytes'])
      expect(drawn).toContain(metric)

    // What the catalogue does not know keeps its name, and counters keep counting.
    const [up] = await rows<{ kind: string; labels: Record<string, string> }>(
      store,
      `SELECT kind, attributes AS labels FROM series WHERE name = 'node_sockstat_sockets_used' AND node = '${name}'`,
    )
    expect(up).toMatchObject({ kind: 'gauge', labels: { job: 'node' } })
    expect(
      await rows(store, "SELECT DISTINCT kind FROM series WHERE name = 'promhttp_metric_handler_requests_total'"),
    ).toEqual([{ kind: 'counter' }])
    const refused = await fetch(`http://${prometheus.address}/metrics`).then(answer => answer.text())
    expect(refused).toMatch(/prometheus_remote_storage_samples_failed_total\{[^}]*\} 0\n/)
    expect(ingest.counters()).toMatchObject({ rejectedPoints: 0, failedRows: 0 })
  })
})
