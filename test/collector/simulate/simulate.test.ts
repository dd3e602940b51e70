import { createHash } from 'node:crypto'
import { Value as Schema } from 'typebox/value'
import { beforeAll, describe, expect, it } from 'vitest'
import { demoStory, type SimulateOptions, type Story, simulate, type Traffic } from '../../../collector/simulate.ts'
import { COLUMNS, CPU_MODES, ENTITIES } from '../../../ingest/metrics.ts'
import { Job, JobsRequest, Node } from '../../../ingest/records.ts'
import { decodeMetrics, decodeProfiles, type MetricPoint, type ProfileSample, type Value } from './decode.ts'

const untilMs = Date.UTC(2026, 10, 23, 14)
const GIB = 1024 ** 3

/** What the simulated nodes do not have. */
const NOT_SIMULATED = /^(gpu|cache|job)\.|^socket\.memory_power|^node\.(gpu_count|memory_bandwidth_remote)/

async function all(options: Partial<SimulateOptions>): Promise<Traffic[]> {
  const traffic: Traffic[] = []
  for await (const t of simulate({ untilMs, ...options })) traffic.push(t)
  return traffic
}

async function digest(options: Partial<SimulateOptions>): Promise<string> {
  const hash = createHash('sha256')
  for (const t of await all(options)) hash.update(t.door).update(String(t.timeMs)).update(t.body)
  return hash.digest('hex')
}

const told = (traffic: readonly Traffic[]) =>
  traffic.flatMap(t => (t.door === 'jobs' ? [JSON.parse(new TextDecoder().decode(t.body))] : []))

describe('the same seed', () => {
  const small = { nodes: 10, hours: 0.1 }
  it('gives the same bytes, another seed others', async () => {
    const [first, again, other] = [await digest(small), await digest(small), await digest({ ...small, seed: 2 })]
    expect(again).toBe(first)
    expect(other).not.toBe(first)
  })
})

it('sped up, is the same, and nothing of it comes before its time', async () => {
  const options = { nodes: 3, hours: 1 / 60, untilMs, windowMs: 20_000 }
  const speedup = 200
  const startedMs = Date.now()
  const early: number[] = []
  const hash = createHash('sha256')
  for await (const { body, timeMs } of simulate({ ...options, speedup })) {
    hash.update(body)
    // The clock is in whole ms; a timer may be one too early.
    if (Date.now() + 2 < startedMs + (timeMs - (untilMs - 60_000)) / speedup) early.push(timeMs)
  }
  expect(early).toEqual([])
  const whole = createHash('sha256')
  for await (const { body } of simulate(options)) whole.update(body)
  expect(hash.digest('hex')).toBe(whole.digest('hex'))
})

describe('eighteen nodes over 24 minutes', () => {
  const options = { nodes: 18, hours: 0.4, untilMs }
  let traffic: Traffic[]
  let stories: Story[]
  let points: MetricPoint[]
  let samples: ProfileSample[]
  /** Points of the node itself at one tick. */
  const nodePoints = (node: string, timeMs: number) =>
    (byNode.get(node) ?? []).filter(p => p.timeMs === timeMs && !('process.pid' in p.resource))
  let byNode: Map<Value, MetricPoint[]>
  const story = (kind: Story['kind']): Story => {
    const found = stories.find(s => s.kind === kind)
    if (!found) throw new Error(`no story ${kind}`)
    return found
  }
  const valueAt = (of: readonly MetricPoint[], name: string, ...attributes: (string | number)[]) =>
    of.find(p => p.name === name && Object.values(p.attributes).join() === attributes.join())?.value ?? Number.NaN

  beforeAll(async () => {
    traffic = await all(options)
    stories = demoStory(options)
    points = traffic.flatMap(t => (t.door === 'metrics' ? decodeMetrics(t.body) : []))
    byNode = new Map()
    for (const p of points) {
      const node = p.resource['host.name'] ?? ''
      const list = byNode.get(node) ?? []
      list.push(p)
      byNode.set(node, list)
    }
    samples = traffic.flatMap(t => (t.door === 'profiles' ? decodeProfiles(t.body) : []))
  })

  it('plants what it says', () => {
    expect(stories.map(s => s.kind)).toEqual(
      expect.arrayContaining([
        'straggler',
        'idle',
        'memory_hog',
        'io_bound',
        'single_core',
        'noisy_neighbour',
        'silent_node',
      ]),
    )
    expect(story('noisy_neighbour').nodes).toEqual(story('noisy_victim').nodes)
    expect(story('straggler').nodes).toContain(story('straggler').node)
  })

  it('is marked as simulated, everywhere', () => {
    const resources = [...points, ...samples].map(p => p.resource)
    expect(resources.filter(r => r['jobsight.simulated'] !== true)).toEqual([])
    expect(new Set(resources.map(r => r['jobsight.cluster']))).toEqual(new Set(['demo']))
  })

  it('sends every column that can arrive, under the name of the catalogue', () => {
    const at = nodePoints('n001', untilMs)
    const wanted = Object.keys(ENTITIES)
      .flatMap(entity => COLUMNS[entity as keyof typeof COLUMNS])
      .filter(m => !NOT_SIMULATED.test(`${m.entity}.${m.column}`))
    const missing = wanted.filter(
      ({ arrives: [arrival] }) =>
        arrival &&
        !at.some(
          p =>
            p.name === arrival.name &&
            Object.entries(arrival.attributes ?? {}).every(([key, value]) => p.attributes[key] === value),
        ),
    )
    expect(missing.map(m => `${m.entity}.${m.column}`)).toEqual([])
  })

  it('shows the throttled node as what it is: hot, and slow in its clock', () => {
    const { node = '', nodes } = story('straggler')
    const other = nodes.find(one => one !== node) ?? ''
    const [slow, healthy] = [nodePoints(node, untilMs), nodePoints(other, untilMs)]
    expect(valueAt(slow, 'system.cpu.frequency')).toBeLessThan(0.8 * valueAt(healthy, 'system.cpu.frequency'))
    expect(valueAt(slow, 'hw.temperature', 'cpu', '0')).toBeGreaterThan(90)
    expect(valueAt(healthy, 'hw.temperature', 'cpu', '0')).toBeLessThan(85)
    expect(valueAt(slow, 'jobsight.cpu.throttled', '0')).toBeGreaterThan(1) // seconds of its 10
  })

  it('ends each interval on the grid and begins it a step before', () => {
    expect(points.filter(p => p.timeMs % 10_000 !== 0 || p.timeMs - p.startMs !== 10_000)).toEqual([])
    expect(points.filter(p => !Number.isFinite(p.value) || p.value < 0)).toEqual([])
    expect(points.filter(p => p.sum && p.temporality !== 1)).toEqual([])
  })

  it('divides each core and each node wholly among the modes', () => {
    for (const timeMs of [untilMs - 900_000, untilMs]) {
      const utilization = points.filter(p => p.name === 'system.cpu.utilization' && p.timeMs === timeMs)
      const sums = new Map<string, number>()
      for (const p of utilization) {
        const key = `${p.resource['host.name']}/${p.attributes['cpu.logical_number'] ?? ''}`
        sums.set(key, (sums.get(key) ?? 0) + p.value)
      }
      expect(sums.size).toBeGreaterThan(64)
      for (const [key, sum] of sums) expect(sum, key).toBeCloseTo(1, 6)
    }
  })

  it('makes a node of its cores', () => {
    const at = nodePoints(story('straggler').node ?? '', untilMs)
    for (const [mode] of CPU_MODES) {
      const modes = at.filter(p => p.name === 'system.cpu.utilization' && p.attributes['cpu.mode'] === mode)
      const cores = modes.filter(p => 'cpu.logical_number' in p.attributes)
      expect(cores.length, mode).toBe(64)
      const mean = cores.reduce((sum, p) => sum + p.value, 0) / 64
      expect(Math.abs(mean - valueAt(at, 'system.cpu.utilization', mode)), mode).toBeLessThan(0.02)
    }
  })

  it('adds memory up to what the node has', () => {
    for (const node of ['n001', story('memory_hog').nodes[0] ?? '', story('io_bound').nodes[0] ?? '']) {
      const at = nodePoints(node, untilMs - 300_000)
      const [used, free, cached, buffers] = ['used', 'free', 'cached', 'buffers'].map(state =>
        valueAt(at, 'system.memory.usage', state),
      )
      expect((used ?? 0) + (free ?? 0) + (cached ?? 0) + (buffers ?? 0)).toBe(valueAt(at, 'system.memory.limit'))
      expect(valueAt(at, 'system.linux.memory.available') + (used ?? 0)).toBe(valueAt(at, 'system.memory.limit'))
    }
  })

  it('spends on processes what the node spends in all', () => {
    for (const { nodes, kind } of stories.filter(s => s.nodes.length > 0 && s.kind !== 'silent_node')) {
      const node = nodes[0] ?? ''
      const cpu = (byNode.get(node) ?? []).filter(
        p => p.timeMs === untilMs - 60_000 && p.name === 'process.cpu.utilization',
      )
      const of = (mode: string) =>
        cpu.filter(p => p.attributes['cpu.mode'] === mode).reduce((sum, p) => sum + p.value, 0) / 64
      const at = nodePoints(node, untilMs - 60_000)
      expect(Math.abs(of('user') - valueAt(at, 'system.cpu.utilization', 'user')), kind).toBeLessThan(0.01)
      expect(Math.abs(of('system') - valueAt(at, 'system.cpu.utilization', 'system')), kind).toBeLessThan(0.01)
    }
  })

  it('samples what processes spend, kernel leaves being system time', () => {
    const node = story('noisy_victim').nodes[0]
    const spent = (byNode.get(node ?? '') ?? []).filter(p => p.name === 'process.cpu.utilization')
    const seconds = (mode: string) =>
      10 * spent.filter(p => p.attributes['cpu.mode'] === mode).reduce((sum, p) => sum + p.value, 0)
    const here = samples.filter(s => s.resource['host.name'] === node)
    const sampled = (kernel: boolean) =>
      here
        .filter(s => (s.modules[0] === '[kernel.kallsyms]') === kernel)
        .reduce((sum, s) => sum + s.nanoseconds / 1e9, 0)
    expect(sampled(false) / seconds('user')).toBeCloseTo(1, 1)
    expect(sampled(true) / seconds('system')).toBeCloseTo(1, 1)
  })

  it('gives each sample of 19 Hz its 1/19 s, in whole nanoseconds as the kernel has it', () => {
    const weight = (s: ProfileSample) => Number(s.attributes['jobsight.sample.count']) * Math.floor(1e9 / 19)
    expect(samples.length).toBeGreaterThan(1000)
    expect(samples.filter(s => s.nanoseconds !== weight(s))).toEqual([])
  })

  it('tells jobs and nodes in records that the schema takes', () => {
    for (const body of told(traffic)) {
      expect(Schema.Check(JobsRequest, body)).toBe(true)
      for (const job of body.jobs ?? []) expect([...Schema.Errors(Job, job)]).toEqual([])
      for (const node of body.nodes ?? []) expect([...Schema.Errors(Node, node)]).toEqual([])
    }
  })

  it('takes jobs through their lives', () => {
    const states = new Map<string, string[]>()
    for (const job of told(traffic).flatMap(t => t.jobs ?? [])) {
      states.set(job.id, [...(states.get(job.id) ?? []), job.state])
      if (job.startMs !== undefined) expect(job.startMs).toBeGreaterThanOrEqual(job.submitMs)
    }
    expect(states.get(story('memory_hog').job ?? '')).toEqual(['queued', 'running', 'out_of_memory'])
    expect(states.get(story('pipeline').job ?? '')).toEqual(['queued', 'running', 'failed'])
    expect(states.get(story('straggler').job ?? '')?.at(-1)).toBe('running')
    expect(states.get(story('queued').job ?? '')?.at(-1)).toBe('queued')
  })

  it('charges a process only on nodes and at times its job had', () => {
    const records = new Map<string, Job>(told(traffic).flatMap(t => (t.jobs ?? []).map((j: Job) => [j.id, j])))
    const strays: MetricPoint[] = []
    for (const p of points) {
      const job = records.get(String(p.resource['jobsight.job.id'] ?? ''))
      if (!job) continue
      const here = job.allocations?.some(a => a.node === p.resource['host.name'])
      if (!here || p.startMs < (job.startMs ?? 0) || p.startMs >= (job.endMs ?? p.timeMs)) strays.push(p)
    }
    expect(strays).toEqual([])
  })

  it('straggler: the others wait in MPI_Allreduce, the straggler computes', () => {
    const { job, nodes, node, fromMs } = story('straggler')
    const waiting = (of: string) => {
      const late = samples.filter(
        s => s.resource['host.name'] === of && s.resource['jobsight.job.id'] === job && s.endMs > fromMs + 60_000,
      )
      const sum = (list: readonly ProfileSample[]) => list.reduce((total, s) => total + s.nanoseconds, 0)
      return sum(late.filter(s => s.frames.includes('PMPI_Allreduce'))) / sum(late)
    }
    for (const other of nodes) {
      if (other === node) expect(waiting(other)).toBeLessThan(0.1)
      else expect(waiting(other)).toBeGreaterThan(0.35)
    }
  })

  it('memory hog: it grows, is killed, and memory is free again', () => {
    const node = story('memory_hog').nodes[0] ?? ''
    const used = (timeMs: number) => valueAt(nodePoints(node, timeMs), 'system.memory.usage', 'used')
    const endMs = Math.ceil((story('memory_hog').toMs ?? 0) / 10_000) * 10_000
    expect(used(endMs - 600_000)).toBeLessThan(used(endMs - 10_000))
    expect(used(endMs - 10_000)).toBeGreaterThan(0.85 * 256 * GIB)
    expect(used(endMs + 20_000)).toBeLessThan(0.2 * used(endMs - 10_000))
    const kills = points.filter(p => p.name === 'system.linux.memory.oom_kills' && p.value > 0)
    expect(kills.map(p => [p.resource['host.name'], p.value])).toEqual([[node, 1]])
  })

  it('idle, single core, I/O: by the numbers of their nodes', () => {
    const busy = (kind: Story['kind']) => valueAt(nodePoints(story(kind).nodes[0] ?? '', untilMs), 'jobsight.cpu.busy')
    expect(busy('idle')).toBeLessThan(0.01)
    expect(busy('single_core') * 64).toBeCloseTo(1, 0)
    const io = nodePoints(story('io_bound').nodes[0] ?? '', untilMs)
    expect(valueAt(io, 'system.cpu.utilization', 'iowait')).toBeGreaterThan(0.1)
    expect(valueAt(io, 'system.disk.io_time', 'nvme1n1')).toBeGreaterThan(8)
  })

  it('noisy neighbour: the victim gets half of its cores from then on', () => {
    const { job, nodes } = story('noisy_victim')
    const { fromMs } = story('noisy_neighbour')
    const cores = (timeMs: number) =>
      (byNode.get(nodes[0] ?? '') ?? [])
        .filter(
          p => p.name === 'process.cpu.utilization' && p.timeMs === timeMs && p.resource['jobsight.job.id'] === job,
        )
        .reduce((sum, p) => sum + p.value, 0)
    expect(nodes.length).toBe(1)
    expect(cores(fromMs + 20_000) / cores(fromMs - 20_000)).toBeLessThan(0.6)
  })

  it('silent node: nothing of it arrives any more, and the scheduler says down', () => {
    const { node, fromMs } = story('silent_node')
    const times = (byNode.get(node ?? '') ?? []).map(p => p.timeMs)
    expect(Math.max(...times)).toBeLessThanOrEqual(fromMs)
    expect(times.length).toBeGreaterThan(100)
    const records = told(traffic)
      .flatMap(t => t.nodes ?? [])
      .filter(n => n.node === node && n.schedulerState)
    expect(records.at(-1)).toMatchObject({ schedulerState: 'down*' })
  })
})

describe('traffic for benches', () => {
  it('is one request a node and tick, metrics alone', async () => {
    const traffic = await all({
      nodes: 20,
      hours: 0.01,
      processes: false,
      stacks: false,
      perCore: false,
      requestPerNode: true,
    })
    const metrics = traffic.filter(t => t.door === 'metrics')
    expect(traffic.filter(t => t.door === 'profiles')).toEqual([])
    expect(metrics.length).toBe(20 * 4 - 2)
    for (const t of metrics) {
      const points = decodeMetrics(t.body)
      expect(new Set(points.map(p => `${p.resource['host.name']} ${p.timeMs}`)).size).toBe(1)
      expect(points.some(p => 'process.pid' in p.resource || 'cpu.logical_number' in p.attributes)).toBe(false)
    }
  })
})

describe('following', () => {
  it('goes on from the history, a tick when its time has come', async () => {
    let nowMs = untilMs
    const stop = new AbortController()
    const seen: number[] = []
    const options = { untilMs, nodes: 8, hours: 0.005, follow: true }
    for await (const t of simulate(options, { now: () => nowMs, signal: stop.signal })) {
      if (t.door !== 'metrics') continue
      seen.push(t.timeMs)
      nowMs = t.timeMs + 10_000
      if (seen.length === 4) stop.abort()
    }
    expect(seen).toEqual([untilMs, untilMs + 10_000, untilMs + 20_000, untilMs + 30_000])
  })

  it('ends while it waits', async () => {
    const stop = new AbortController()
    const options = { untilMs, nodes: 2, hours: 0.005, follow: true, processes: false, stacks: false }
    const done = (async () => {
      for await (const t of simulate(options, { now: () => untilMs, signal: stop.signal }))
        if (t.timeMs === untilMs) stop.abort()
    })()
    await expect(done).resolves.toBeUndefined()
  })
})
