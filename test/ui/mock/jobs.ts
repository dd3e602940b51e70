/** The job half of the mock answers. */
import type * as api from '../../../query/api.ts'
import { type Asked, heatmap, spanOf, treeTop } from './answers.ts'
import { CORES, JOBS, jobSpan, MEMORY, type MockJob, nodeValues, noise, type World } from './world.ts'

const CLUSTER = 'mock'

export function row(world: World, job: MockJob): api.JobRow {
  const span = jobSpan(world, job)
  const queued = job.state === 'queued'
  const efficiency = { cfd: 0.91, md: 0.86, io: 0.28, ml: 0.41, idle: 0.006, hog: 0.31, post: 0.66 }[job.app]
  return {
    id: job.id,
    name: job.name,
    user: job.user,
    account: job.account,
    queue: job.queue,
    state: job.state,
    submit: span.from - 600_000,
    start: queued ? null : span.from,
    end: queued || job.state === 'running' ? null : span.to,
    nodeCount: queued ? 32 : job.nodes.length,
    cores: (queued ? 32 : job.nodes.length) * CORES,
    gpus: job.app === 'ml' ? 8 : 0,
    cpuEfficiency: queued ? null : efficiency,
    memoryEfficiency: queued ? null : job.app === 'hog' ? 0.98 : 0.34,
    topFunction: queued || job.app === 'idle' ? null : (treeTop(job.app)?.function ?? null),
  }
}

export function jobs({ world, query }: Asked): api.Jobs {
  const has = (key: string, value: string) => {
    const asked = query.get(key)
    return asked === null || asked.split(',').some(a => value === a)
  }
  const name = query.get('name') ?? ''
  const found = [...JOBS]
    .reverse()
    .filter(
      j =>
        has('user', j.user) &&
        has('state', j.state) &&
        has('account', j.account) &&
        has('queue', j.queue) &&
        j.name.includes(name) &&
        (query.get('node') === null || j.nodes.includes(query.get('node') ?? '')),
    )
  const first = Number(query.get('cursor') ?? 0)
  const limit = Number(query.get('limit') ?? 50)
  return {
    cluster: CLUSTER,
    jobs: found.slice(first, first + limit).map(j => row(world, j)),
    total: found.length,
    next: first + limit < found.length ? String(first + limit) : null,
    schedulers: [],
  }
}

const FINDINGS: Partial<Record<MockJob['app'], api.JobDetail['findings']>> = {
  md: [
    {
      severity: 'warning',
      text: 'n07 is slower than the others: mean CPU 0.62 against a median of 0.91 of the 16 nodes, 8 robust standard deviations away, for 81 of 84 min.',
      node: 'n07',
    },
    { severity: 'info', text: '15 % of the CPU time is in MPI, half of it in MPI_Alltoall of the FFT.', node: null },
  ],
  hog: [
    { severity: 'warning', text: 'Memory grew to 98 % of the node and still grows, 139 GiB an hour.', node: 'n41' },
  ],
  io: [{ severity: 'warning', text: 'Cores waited for I/O 44 % of the time; disk utilisation is 96 %.', node: null }],
  idle: [{ severity: 'warning', text: 'The job used 0.6 % of its 128 cores over 102 min.', node: null }],
}

export function job({ world, path }: Asked): api.JobDetail | undefined {
  const found = JOBS.find(j => j.id === path[1])
  if (!found) return undefined
  const span = jobSpan(world, found)
  const r = row(world, found)
  const allocated = found.state === 'queued' ? null : (r.cores * (span.to - span.from)) / 1000
  return {
    cluster: CLUSTER,
    job: r,
    record: {
      cluster: CLUSTER,
      id: found.id,
      scheduler: 'slurm',
      state: found.state,
      schedulerState: found.state.toUpperCase(),
      ...(found.state === 'queued' ? { reason: 'Resources' } : {}),
      name: found.name,
      user: found.user,
      account: found.account,
      queue: found.queue,
      timeLimitSeconds: 4 * 3600,
      nodeCount: r.nodeCount,
      cores: r.cores,
      memoryBytes: r.nodeCount * MEMORY * 0.95,
      ...(found.state === 'failed' ? { exitCode: 137, signal: 9 } : {}),
      command: `/home/${found.user}/jobs/${found.app}.sbatch`,
      workDir: `/scratch/${found.user}/${found.name}`,
      allocations: found.nodes.map(n => ({ node: n, cores: CORES })),
      updatedMs: world.end,
    },
    from: span.from,
    to: span.to,
    coreSecondsAllocated: allocated,
    coreSecondsUsed: allocated === null || r.cpuEfficiency === null ? null : allocated * r.cpuEfficiency,
    memoryPeakBytes: allocated === null ? null : r.nodeCount * MEMORY * (r.memoryEfficiency ?? 0),
    sampledSeconds: allocated === null ? 0 : allocated * 0.84,
    gpuUtilization: null,
    energyJoules: null,
    findings: FINDINGS[found.app] ?? [],
  }
}

const middle = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? null

export function jobNodes(asked: Asked): api.JobNodes {
  const found = JOBS.find(j => j.id === asked.path[1])
  const all = heatmap(asked)
  const rows = all.nodes
    .map((node, i) => ({ node, values: all.rows[i] ?? [], mean: all.mean[i] ?? null }))
    .filter(r => found?.nodes.includes(r.node))
  const means = rows.map(r => r.mean).filter(m => m !== null)
  const median = middle([...means]) ?? 0
  const mad = Math.max(1e-3, middle(means.map(m => Math.abs(m - median))) ?? 0)
  const column = (pick: (v: number[]) => number | null) =>
    (all.rows[0] ?? []).map((_, t) => {
      const v = rows.map(r => r.values[t] ?? null).filter(x => x !== null)
      return v.length === 0 ? null : pick(v)
    })
  return {
    cluster: CLUSTER,
    metric: all.metric,
    unit: all.unit,
    from: all.from,
    to: all.to,
    bucketMs: all.bucketMs,
    functionsFrom: all.from,
    nodes: rows.map(r => ({
      node: r.node,
      cores: CORES,
      mean: r.mean,
      score: r.mean === null ? null : (0.6745 * (r.mean - median)) / mad,
      jobCores: (r.mean ?? 0) * CORES * (0.97 + 0.02 * noise(r.node)),
      topFunction: found ? (treeTop(found.app)?.function ?? null) : null,
      values: r.values,
    })),
    band: {
      min: column(v => Math.min(...v)),
      median: column(v => middle(v)),
      max: column(v => Math.max(...v)),
    },
  }
}

export function bands(asked: Asked): api.JobBands {
  const { from, to } = spanOf(asked)
  const inNodes = asked.query.get('node')?.split(',')
  return {
    cluster: CLUSTER,
    jobs: JOBS.map(j => ({ j, span: jobSpan(asked.world, j) }))
      .filter(({ j, span }) => j.state !== 'queued' && span.from < to && span.to > from)
      .filter(({ j }) => inNodes === undefined || j.nodes.some(n => inNodes.includes(n)))
      .map(({ j, span }) => ({
        id: j.id,
        name: j.name,
        user: j.user,
        state: j.state,
        from: Math.max(from, span.from),
        to: Math.min(to, span.to),
        nodes: j.nodes,
      })),
  }
}

export function jobRanks({ world }: Asked): api.JobRanks {
  const ranks = Array.from({ length: 8 }, (_, rank) => ({
    rank,
    node: `n0${1 + (rank >> 1)}`,
    processes: 1,
    seconds: 3600 - 40 * rank,
    samples: 68_400,
    waitShare: rank === 5 ? 0.05 : 0.4,
    topFunction: rank === 5 ? 'assemble_stiffness' : 'opal_progress',
    topShare: 0.4,
  }))
  return {
    cluster: 'mock',
    from: world.end - 3_600_000,
    to: world.end,
    ranks,
    unranked: { seconds: 1, processes: 2 },
  }
}

export function burst({ world, path }: Asked): api.Burst {
  const from = world.end - 600_000
  const part = { node: 'n07', state: 'done' as const, samples: 14_950, lost: 0 }
  return {
    id: path[1] ?? 'm1-0badcafe',
    cluster: 'mock',
    job: '1003',
    rank: 3,
    hz: 499,
    seconds: 30,
    by: 'ann',
    state: 'done',
    from,
    to: from + 40_000,
    samples: part.samples,
    lost: 0,
    parts: [part],
    updatedMs: from + 33_000,
  }
}

export function search({ query, world }: Asked): api.Search {
  const q = (query.get('q') ?? '').toLowerCase()
  const hits: api.Search['hits'] = []
  const add = (kind: api.Search['hits'][number]['kind'], name: string, hint: string) => {
    if (name.toLowerCase().includes(q)) hits.push({ kind, cluster: CLUSTER, name, hint })
  }
  for (const j of JOBS) add('job', j.id, `${j.name} · ${j.user} · ${j.state}`)
  for (const u of new Set(JOBS.map(j => j.user))) add('user', u, 'jobs of this user')
  for (let i = 1; i <= 64; i++) {
    const n = `n${String(i).padStart(2, '0')}`
    add('node', n, `${Math.round(100 * (nodeValues(world, n, world.end)?.cpu_busy ?? 0))} % busy`)
  }
  for (const f of ['MPI_Alltoall', 'do_force', 'inflate', 'clear_page_erms']) add('function', f, 'mock')
  return { hits: hits.slice(0, 20) }
}
