/** Answers about a simulated cluster that came in as OTLP bytes through the real ingest. What was planted must be found. */
import { beforeAll, describe, expect, it } from 'vitest'
import { demoStory, type Story, startSimulation } from '../../collector/simulate.ts'
import type { Clusters, Flame, Functions, Heatmap, JobDetail, Jobs, Nodes, Processes, Series } from '../../query/api.ts'
import { HOUR, MINUTE, openIngestedPlace, type Place, quiet } from './place.ts'

const untilMs = Math.floor(Date.now() / MINUTE) * MINUTE - MINUTE
const options = { nodes: 16, hours: 0.5, untilMs, seed: 7, perCore: false }
let place: Place
let stories: Story[]

beforeAll(async () => {
  const opened = await openIngestedPlace()
  place = opened.place
  place.clock.now = untilMs + 5000
  const send = async (door: 'metrics' | 'profiles' | 'jobs', body: Uint8Array) => {
    const receipt = await opened.ingest.receive(door, body)
    if (receipt.status === 200) return { ok: true } as const
    return {
      ok: false,
      permanent: receipt.status === 400,
      message: receipt.message ?? `status ${receipt.status}`,
    } as const
  }
  const simulation = startSimulation(options, { send, log: quiet })
  const counters = await simulation.history
  expect(counters.refused).toBe(0)
  await simulation.stop()
  // Minutes that are added up in memory go to the store now and not when their timer says.
  await opened.ingest.close()
  stories = demoStory(options)
})

const story = (kind: Story['kind']): Story => {
  const found = stories.find(s => s.kind === kind)
  if (!found) throw new Error(`no ${kind} is planted: ${stories.map(s => s.kind)}`)
  return found
}

describe('a simulated cluster', () => {
  it('is said to be simulated, and is up', async () => {
    const { clusters } = await place.ask<Clusters>('/clusters')
    expect(clusters).toHaveLength(1)
    expect(clusters[0]).toMatchObject({ cluster: 'demo', simulated: true, nodes: 16 })
    expect(clusters[0]?.nodesUp).toBeGreaterThan(12)
    expect(clusters[0]?.jobsRunning).toBeGreaterThan(3)
  })

  it('its hottest nodes say what burns them', async () => {
    const { nodes } = await place.ask<Nodes>('/nodes', { metrics: 'cpu_busy' })
    expect(nodes).toHaveLength(16)
    const [hottest] = nodes
    expect(hottest?.values.cpu_busy).toBeGreaterThan(0.9)
    expect(hottest?.jobs.length).toBeGreaterThan(0)
    expect(hottest?.topProcess?.cores).toBeGreaterThan(0.5)
    expect(hottest?.topFunction?.share).toBeGreaterThan(0)
  })

  it('the straggler is found, with its evidence', async () => {
    const { job, node } = story('straggler')
    const detail = await place.ask<JobDetail>(`/jobs/${job}`)
    expect(detail.findings.filter(f => f.node === node)).toHaveLength(1)
    expect(detail.findings.find(f => f.node === node)?.text).toMatch(/they wait for it$/)
    expect(detail.coverage).toBeGreaterThan(0.9)
  })

  it('the idle job, the one core, the memory hog and the disk are found', async () => {
    const texts = async (kind: Story['kind']) =>
      (await place.ask<JobDetail>(`/jobs/${story(kind).job}`)).findings.map(f => f.text).join('\n')
    expect(await texts('idle')).toMatch(/it does nothing/)
    expect(await texts('single_core')).toMatch(/it uses one core of 64/)
    expect(await texts('memory_hog')).toMatch(/killed for memory/)
    expect(await texts('io_bound')).toMatch(/wait for I\/O/)
  })

  it('healthy jobs are left in peace', async () => {
    const { findings } = await place.ask<JobDetail>(`/jobs/${story('healthy_mpi').job}`)
    expect(findings).toEqual([])
  })

  it('the sums of one job agree in every view', async () => {
    const { job } = story('healthy_mpi')
    const down = await place.ask<Flame>(`/jobs/${job}/flame`)
    const up = await place.ask<Flame>(`/jobs/${job}/flame`, { direction: 'bottomup', nodes: 100 })
    const table = await place.ask<Functions>(`/jobs/${job}/functions`)
    const detail = await place.ask<JobDetail>(`/jobs/${job}`)
    expect(up.seconds).toBe(down.seconds)
    expect(table.seconds).toBe(down.seconds)
    expect(detail.sampledSeconds).toBeCloseTo(down.seconds, 6)
    expect(down.seconds / (detail.coreSecondsAllocated ?? 0)).toBeGreaterThan(0.5)
    const { processes, other } = await place.ask<Processes>(`/jobs/${job}/processes`, { limit: 5 })
    const cores = processes.reduce((sum, p) => sum + (p.cpuUser ?? 0) + (p.cpuSystem ?? 0), 0) + other.cpu
    const span = (detail.to - detail.from) / 1000
    expect((cores * span) / (detail.coreSecondsUsed ?? 0)).toBeGreaterThan(0.9)
    expect(processes.every(p => p.sampled && p.job === job)).toBe(true)
  })

  it('functions of a long window come from the minutes and are those of the stacks', async () => {
    const scopes: Record<string, string>[] = [
      {},
      { job: story('straggler').job ?? '' },
      { node: story('straggler').node ?? '' },
      { user: 'liwei' },
    ]
    for (const scope of scopes) {
      const to = untilMs
      // 7 hours are asked of the minutes, one of the stacks; there are samples in the last half hour only.
      const long = await place.ask<Functions>('/functions', { ...scope, from: to - 7 * HOUR, to, limit: 1000 })
      const short = await place.ask<Functions>('/functions', { ...scope, from: to - HOUR, to, limit: 1000 })
      expect(long.seconds).toBeGreaterThan(0)
      expect(long.seconds).toBeCloseTo(short.seconds, 6)
      expect(long.functions).toEqual(short.functions)
      const { from: _, to: end, ...coverage } = long.coverage
      expect(coverage).toEqual({ ...coverage, ...short.coverage, from: undefined, to: undefined })
      // It may be five minutes wider.
      expect(end).toBeGreaterThanOrEqual(to)
      expect(end).toBeLessThanOrEqual(to + 5 * MINUTE)
    }
  })

  it('a heat map and its band agree', async () => {
    const window = { from: untilMs - 20 * MINUTE, to: untilMs - 10 * MINUTE, buckets: 10 }
    const map = await place.ask<Heatmap>('/heatmap', { ...window, metric: 'memory_used' })
    const band = await place.ask<Series>('/series', { ...window, metrics: 'memory_used', band: true })
    expect(map.bucketMs).toBe(band.bucketMs)
    const highest = map.rows[0]?.map((_, t) => Math.max(...map.rows.map(row => row[t] ?? 0)))
    band.series[2]?.values.forEach((value, t) => {
      expect((value ?? 0) / (highest?.[t] ?? 1)).toBeCloseTo(1, 5)
    })
  })

  it('jobs know what they did', async () => {
    const { jobs } = await place.ask<Jobs>('/jobs', { state: 'running' })
    expect(jobs.length).toBeGreaterThan(3)
    for (const job of jobs) expect(job.cpuEfficiency, `${job.id} ${job.name}`).not.toBeNull()
    const straggler = jobs.find(job => job.id === story('straggler').job)
    expect(straggler?.topFunction).toBeTruthy()
  })
})
