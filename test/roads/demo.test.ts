/** A small simulated cluster through the real ingest into the real store, asked through the API: what was planted is found. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sent } from '../../collector/outbox.ts'
import type { PlayCounters } from '../../collector/simulate/play.ts'
import { demoStory, type Story, startSimulation } from '../../collector/simulate.ts'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import type {
  Categories,
  Clusters,
  Flame,
  Functions,
  Heatmap,
  JobDetail,
  JobNodes,
  Jobs,
  Nodes,
  Processes,
} from '../../query/api.ts'
import { query } from '../../query/index.ts'

const log = pino({ level: 'error' }, pino.destination(2))
const untilMs = Date.UTC(2026, 0, 5, 12)
const options = { untilMs, nodes: 8, hours: 1 / 3 }
const fromMs = untilMs - 1_200_000
const stories = demoStory(options)
const story = (kind: Story['kind']): Story & { job: string } => {
  const found = stories.find(s => s.kind === kind)
  if (!found?.job) throw new Error(`no story ${kind}`)
  return { ...found, job: found.job }
}

let store: Store
let ingest: Ingest
let app: FastifyInstance
let played: PlayCounters
const path = mkdtempSync(join(tmpdir(), 'jobsight-demo-'))

async function ask<T>(route: string, params: Record<string, string | number> = {}): Promise<T> {
  const given = Object.fromEntries(Object.entries(params).map(([k, v]) => [k, String(v)]))
  const answer = await app.inject({ url: `/api/v1${route}`, query: given })
  expect(answer.statusCode, `${route}: ${answer.body.slice(0, 300)}`).toBe(200)
  return answer.json<T>()
}

beforeAll(async () => {
  const days = 3650
  const retentionDays = { points: days, rollups: days, processes: days, samples: days, stacks: days, jobs: days }
  store = await openStore({ path, retentionDays }, { log })
  const now = () => untilMs + 2000
  ingest = await openIngest({ store, log, now, defaultCluster: 'local', config: { flushMs: 200 } })
  app = fastify()
  await app.register(query, { store, ingest, log, now })
  const send = async (door: 'metrics' | 'profiles' | 'jobs', body: Uint8Array): Promise<Sent> => {
    const receipt = await ingest.receive(door, body)
    if (receipt.status === 200 && receipt.rejected === 0) return { ok: true }
    const permanent = receipt.status !== 429 && receipt.status !== 503
    return { ok: false, permanent, message: `${receipt.status} ${receipt.rejected} ${receipt.message}` }
  }
  played = await startSimulation(options, { send, log }).history
  await ingest.flush()
})

afterAll(async () => {
  await app.close()
  await ingest.close()
  await store.close()
  rmSync(path, { recursive: true, force: true })
})

describe('the simulated cluster', () => {
  it('is taken without a refusal, and says that it is simulated', async () => {
    expect(played.refused).toBe(0)
    const { clusters } = await ask<Clusters>('/clusters')
    expect(clusters).toMatchObject([{ cluster: 'demo', simulated: true, nodes: 8, nodesUp: 8, cores: 8 * 64 }])
  })

  it('is whole: every node has a value in every bucket', async () => {
    for (const metric of ['cpu_busy', 'memory_used', 'disk_utilization', 'network_receive_bytes']) {
      const heatmap = await ask<Heatmap>('/heatmap', { metric, from: fromMs, to: untilMs, buckets: 60 })
      expect(heatmap.nodes.length).toBe(8)
      const holes = heatmap.rows.flatMap((row, n) =>
        row.flatMap((v, t) => (v === null ? [`${heatmap.nodes[n]}@${t}`] : [])),
      )
      expect(holes, metric).toEqual([])
    }
  })

  it('shows the newest values, and who makes them', async () => {
    const { nodes } = await ask<Nodes>('/nodes')
    const straggler = nodes.find(n => n.node === story('straggler').node)
    expect(straggler).toMatchObject({ state: 'up', schedulerState: 'allocated', topProcess: { name: 'swirl3d' } })
    expect(straggler?.values.cpu_busy).toBeGreaterThan(0.9)
    expect(straggler?.topFunction?.function).toBe('mg_smooth_redblack_')
  })

  it('functions add up to exact totals', async () => {
    const window = { from: fromMs, to: untilMs }
    const few = await ask<Functions>('/functions', { ...window, limit: 5 })
    const many = await ask<Functions>('/functions', { ...window, limit: 1000 })
    const sum = (f: Functions) => f.functions.reduce((total, g) => total + g.self, 0) + f.other.self
    expect(few.seconds).toBeGreaterThan(10_000)
    expect(many.seconds).toBeCloseTo(few.seconds, 3)
    for (const functions of [few, many]) expect(sum(functions)).toBeCloseTo(functions.seconds, 3)
    const flame = await ask<Flame>('/flame', { ...window, nodes: 200 })
    expect(flame.seconds).toBeCloseTo(few.seconds, 3)
    expect(flame.tree.self.reduce((a, b) => a + b, 0)).toBeCloseTo(flame.seconds, 3)
    const { categories } = await ask<Categories>('/categories', window)
    expect(categories.reduce((total, c) => total + c.seconds, 0)).toBeCloseTo(few.seconds, 3)
  })

  it('samples as many CPU seconds as the processes spent', async () => {
    const { job } = story('straggler')
    const { coreSecondsUsed, sampledSeconds } = await ask<JobDetail>(`/jobs/${job}`)
    expect(sampledSeconds / (coreSecondsUsed ?? 0)).toBeCloseTo(1, 1)
  })
})

describe('what was planted', () => {
  const findings = async (kind: Story['kind']) => (await ask<JobDetail>(`/jobs/${story(kind).job}`)).findings

  it('straggler: the job says which node the others wait for', async () => {
    const { node, job, nodes } = story('straggler')
    const found = await findings('straggler')
    expect(found.filter(f => f.node === node && f.severity === 'warning')).not.toEqual([])
    expect(found.filter(f => f.node !== null && f.node !== node)).toEqual([])
    const compared = await ask<JobNodes>(`/jobs/${job}/nodes`, { metric: 'cpu_system' })
    expect(compared.nodes.map(n => n.node).sort()).toEqual(nodes)
    const functions = async (of: string) => {
      const window = { from: story('straggler').fromMs + 60_000, to: untilMs }
      const answer = await ask<Functions>('/functions', { ...window, job, node: of, limit: 200 })
      return answer.functions.find(f => f.function === 'PMPI_Allreduce')?.totalShare ?? 0
    }
    expect(await functions(node ?? '')).toBeLessThan(0.1)
    expect(await functions(nodes.find(n => n !== node) ?? '')).toBeGreaterThan(0.35)
  })

  it('idle, one core, I/O, out of memory: each has its sentence', async () => {
    const texts = async (kind: Story['kind']) => (await findings(kind)).map(f => f.text).join('\n')
    expect(await texts('idle')).toMatch(/does nothing/)
    expect(await texts('single_core')).toMatch(/one core of 64/)
    expect(await texts('io_bound')).toMatch(/wait for I\/O/)
    expect(await texts('memory_hog')).toMatch(/killed for memory/)
  })

  it('jobs are in their states, and the queued one is queued', async () => {
    const { jobs } = await ask<Jobs>('/jobs', { from: fromMs, to: untilMs })
    const state = (kind: Story['kind']) => jobs.find(j => j.id === story(kind).job)?.state
    expect([state('straggler'), state('memory_hog'), state('queued')]).toEqual(['running', 'out_of_memory', 'queued'])
  })

  it('processes have their job, rank and user', async () => {
    const { job, node } = story('straggler')
    const { processes } = await ask<Processes>('/processes', { node: node ?? '', from: untilMs - 60_000, to: untilMs })
    expect(processes.slice(0, 8)).toMatchObject(
      Array.from({ length: 8 }, () => ({ name: 'swirl3d', job, user: 'amara', evidence: 'cgroup' })),
    )
    expect(new Set(processes.slice(0, 8).map(p => p.rank)).size).toBe(8)
  })
})
