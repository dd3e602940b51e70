/** What jobs, processes and functions did over hours, from what the store keeps of five minutes, is what looking at every moment says. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../query/alerts/rule.ts'
import type { RuleTest } from '../../../query/api.ts'
import { drawSamples, type SampleRows } from '../drawn.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from '../place.ts'
import { jobRow, nodePoints, processRows } from './rows.ts'

let place: Place
const CORES = 8
const HOURS = 4

/**
 * Busy cores of each node, a letter for ten minutes: F full, s a quarter, . nothing. Job 1 is idle for a while; of job 2 n5 is slow
 * for an hour.
 *
 *             0     1h    2h    3h    4h
 */
const LOAD: Record<string, string> = {
  n1: 'FFFFFF......FFFFFFFFFFFF',
  n2: 'FFFFFF......FFFFFFFFFFFF',
  n3: 'FFFFFFFFFFFFFFFFFFFFFFFF',
  n4: 'FFFFFFFFFFFFFFFFFFFFFFFF',
  n5: 'FFFFFFFFFFFFFFssssssFFFF',
  n6: 'FFFFFFFFFFFFFFFFFFFFFFFF',
}
const IN_USE: Record<string, number> = { F: 7.8, s: 2, '.': 0.02 }
/** Of the time of each: what waits in MPI. Who computes little keeps the others waiting. */
const WAITS: Record<string, number> = { F: 0.3, s: 0.02, '.': 0.3 }
const jobOf = (node: string): string => (node < 'n3' ? '1' : '2')

beforeAll(async () => {
  place = await openPlace()
  await place.write('jobs', [
    jobRow({ id: '1', user: 'ann', start: -60, nodes: ['n1', 'n2'], cores: 2 * CORES }),
    jobRow({ id: '2', user: 'bob', start: -60, nodes: ['n3', 'n4', 'n5', 'n6'], cores: 4 * CORES }),
  ])
  for (const [node, drawn] of Object.entries(LOAD)) {
    const busyAt = (minute: number) => IN_USE[drawn[Math.floor(minute / 10)] ?? '.'] ?? 0
    const points = nodePoints(node, 0, HOURS * 60, minute => ({ cpu_busy: busyAt(minute) / CORES, cpu_count: CORES }))
    await place.write('node_points', points)
    for (let i = 0; i < drawn.length; i++) {
      const cores = busyAt(i * 10)
      const values = { cpu_user: 0.6 * cores, cpu_system: 0.4 * cores, memory_bytes: 1e9, read_bytes: 1e8 * cores }
      await place.write('processes', processRows(node, jobOf(node), i * 10, i * 10 + 10, values))
    }
  }
  await writeStacks()
  place.clock.now = T0 + HOURS * HOUR
  await place.restore()
}, 120_000)

/** As ingest writes them: samples, functions a minute, what waited. */
async function writeStacks(): Promise<void> {
  const rows: SampleRows = { frames: [], stacks: [], samples: [] }
  const [functions, usage]: [object[], object[]] = [[], []]
  for (const [node, drawn] of Object.entries(LOAD)) {
    for (let minute = 1; minute <= HOURS * 60; minute++) {
      const waits = 60e9 * (WAITS[drawn[Math.floor((minute - 1) / 10)] ?? '.'] ?? 0)
      const [job, timeMs] = [jobOf(node), T0 + minute * MINUTE]
      const sampled = drawSamples(`a a\nm f\n${waits} ${60e9 - waits}`, { job, node, timeMs })
      for (const table of ['frames', 'stacks', 'samples'] as const) rows[table].push(...sampled[table])
      const of = { cluster: 'alpha', job, node, minute: timeMs / 1000 }
      usage.push({ ...of, waiting_ns: waits })
      for (const [name, self, total] of [
        ['a', 0, 60e9],
        ['m', waits, waits],
        ['f', 60e9 - waits, 60e9 - waits],
      ] as const) {
        const frame = sampled.frames.find(f => 'function' in f && f.function === name)
        const id = frame && 'function_id' in frame ? frame.function_id : ''
        functions.push({ ...of, event: 'cpu', pid: 1000, start_ms: 5000, function_id: id, self, total })
      }
    }
  }
  const once = (some: object[]) => [...new Map(some.map(row => [JSON.stringify(row), row])).values()]
  await place.write('frames', once(rows.frames))
  await place.write('stacks', once(rows.stacks))
  await place.write('samples', rows.samples)
  await place.write('function_minutes', functions)
  await place.write('job_usage', usage)
}

async function tried(rule: Rule, fromMinute: number, toMinute: number): Promise<RuleTest> {
  const span = { from: T0 + fromMinute * MINUTE, to: T0 + toMinute * MINUTE }
  const payload = { rule, cluster: 'alpha', ...span }
  const answer = await place.app.inject({ method: 'POST', url: '/api/v1/alerts/test', payload })
  expect(answer.statusCode, answer.body).toBe(200)
  return answer.json<RuleTest>()
}

/** `job node from to`, minutes after T0. */
const told = ({ alerts }: RuleTest) =>
  alerts.map(({ labels, fired, resolved }) => ({
    who: `${labels.job ?? 'all'} ${labels.node ?? ''}`,
    minutes: [fired ?? Number.NaN, resolved ?? Number.NaN].map(ms => (ms - T0) / MINUTE),
  }))

describe('four hours of work of jobs', () => {
  it.each<[Rule, string, number, number]>([
    [
      { name: 'idle', scope: 'job', figure: 'busy_cores_per_node', window: '10m', below: 0.2, clear: 0.4 },
      '1 ',
      70,
      120,
    ],
    [{ name: 'part', scope: 'job', figure: 'cpu_efficiency', window: '10m', below: 0.25 }, '1 ', 68, 122],
    [
      { name: 'slow', scope: 'node', figure: 'job_cpu_share', test: 'peers', window: '10m', below: -3.5, apart: 0.2 },
      '2 n5',
      143,
      207,
    ],
    [{ name: 'uneven', scope: 'job', figure: 'imbalance', window: '10m', above: 0.15 }, '2 ', 149, 201],
  ])('are answered as if looked at: %j', async (rule, who, from, to) => {
    const long = await tried(rule, 10, HOURS * 60)
    expect(long.step).toBe(5 * MINUTE)
    const looked = [...told(await tried(rule, 10, 125)), ...told(await tried(rule, 125, HOURS * 60))]
    for (const [i, one] of told(long).entries()) {
      expect(one.who).toBe(who)
      one.minutes.forEach((minute, edge) => {
        expect(Math.abs(minute - (looked[i]?.minutes[edge] ?? 0)), `${rule.name} ${edge}`).toBeLessThanOrEqual(5)
        expect(Math.abs(minute - (edge === 0 ? from : to)), `${rule.name} ${edge}`).toBeLessThanOrEqual(5)
      })
    }
    expect(long.fired).toBe(1)
    expect(looked).toHaveLength(1)
  })

  const peers = { test: 'peers', window: '10m', below: -3.5 } as const
  it.each<[Rule, string, number, number]>([
    [{ name: 'bytes', scope: 'job', figure: 'read_bytes', window: '10m', below: 5e8 }, '1 ', 67, 123],
    [{ name: 'lazy', scope: 'process', figure: 'cpu', window: '10m', below: 3, where: { job: '2' } }, '2 n5', 148, 202],
    [
      { name: 'reads', scope: 'process', figure: 'read_bytes', below: 3e8, where: { node: 'n5', process: 'a*p' } },
      '2 n5',
      144,
      201,
    ],
    [{ name: 'rank', scope: 'process', figure: 'cpu', ...peers, apart: 0.3 }, '2 n5', 141, 209],
    [{ name: 'straggler', scope: 'node', figure: 'wait_share', ...peers, apart: 0.15 }, '2 n5', 146, 204],
    [{ name: 'waits', scope: 'job', function: 'm', window: '10m', below: 0.25 }, '2 ', 147, 203],
    [{ name: 'all-wait', scope: 'cluster', function: 'm', window: '10m', below: 0.27 }, 'all ', 147, 203],
    [
      { name: 'each', scope: 'function', function: '*', window: '10m', above: 0.75, where: { job: '2', user: 'b*' } },
      '2 ',
      147,
      203,
    ],
  ])('are what was drawn: %j', async (rule, who, from, to) => {
    const long = await tried(rule, 10, HOURS * 60)
    expect(long.step).toBe(5 * MINUTE)
    // All is below main.
    const mine = told({ ...long, alerts: long.alerts.filter(({ labels }) => labels.function !== 'a') })
    expect(mine).toHaveLength(1)
    expect(mine[0]?.who).toBe(who)
    for (const [edge, minute] of [from, to].entries())
      expect(Math.abs(minute - (mine[0]?.minutes[edge] ?? 0)), `${rule.name}: ${mine[0]?.minutes}`).toBeLessThanOrEqual(
        5,
      )
  })

  it('are answered over a connection too, where the body has been read before the store is asked', async () => {
    const url = await place.app.listen({ host: '127.0.0.1', port: 0 })
    const rule: Rule = { name: 'idle', scope: 'job', figure: 'busy_cores_per_node', window: '10m', below: 0.2 }
    const tried = await fetch(`${url}/api/v1/alerts/test`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ rule, cluster: 'alpha', from: T0 + 10 * MINUTE, to: T0 + HOURS * HOUR }),
    })
    expect(await tried.json()).toMatchObject({ fired: 1 })
    // As Grafana asks.
    const time = T0 / 1000 + 600
    const form = new URLSearchParams({ query: 'count(jobsight_node_cpu_busy)', time: String(time) })
    const counted = await fetch(`${url}/prometheus/api/v1/query`, { method: 'POST', body: form })
    expect(await counted.json()).toMatchObject({ status: 'success', data: { result: [{ value: [time, '6'] }] } })
  })

  it('kernel time of listed processes', async () => {
    const rule: Rule = { name: 'kernel', scope: 'job', figure: 'kernel_share', window: '10m', above: 0.3 }
    const { alerts } = await tried(rule, 10, HOURS * 60)
    expect(alerts.map(a => [a.labels.job, Number(a.worst.toFixed(2))]).sort()).toEqual([
      ['1', 0.4],
      ['1', 0.4],
      ['2', 0.4],
    ])
  })
})
