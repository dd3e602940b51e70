/** Where the time went in the mock cluster: stacks, categories, processes. */
import type * as api from '../../../query/api.ts'
import { functionSums } from '../../../ui/layout/transform.ts'
import { type Asked, axisOf, EXE, mean, series, spanOf } from './answers.ts'
import { flameArrays, treeOf } from './stacks.ts'
import { type App, CORES, JOBS, jobSpan, MEMORY, type MockJob, NODES, nodeValues, noise, type World } from './world.ts'

const CLUSTER = 'mock'

// --- stacks ----------------------------------------------------------------------------------------------------------

/** CPU seconds of each application in the scope. */
export function appSeconds(asked: Asked): Partial<Record<App, number>> {
  const { query, world, path } = asked
  const { from, to } = spanOf(asked)
  const inNodes = query.get('node')?.split(',')
  const inJob = query.get('job') ?? (path[0] === 'jobs' ? path[1] : undefined)
  const seconds: Partial<Record<App, number>> = {}
  for (const job of JOBS) {
    if (job.state === 'queued' || (inJob !== undefined && job.id !== inJob)) continue
    const span = jobSpan(world, job)
    const length = Math.max(0, Math.min(to, span.to) - Math.max(from, span.from)) / 1000
    const on = job.nodes.filter(n => inNodes === undefined || inNodes.includes(n)).length
    const cores = job.app === 'idle' ? 0.4 : query.get('pid') === null ? CORES * 0.85 : 4
    if (on * length > 0) seconds[job.app] = (seconds[job.app] ?? 0) + on * length * cores
  }
  return seconds
}

export function coverage(asked: Asked, samples: number): api.Coverage {
  return {
    ...spanOf(asked),
    samples,
    lost: Math.round(samples * 0.0004),
    throttled: 0,
    samplerCpu: 0.0006,
    unwinding: 'eh_frame',
    truncatedShare: 0.004,
    unnamedShare: 0.011,
    idleSeconds: 900,
  }
}

export function flame(asked: Asked): api.Flame {
  const direction = asked.query.get('direction') === 'bottomup' ? 'bottomup' : 'topdown'
  const tree = treeOf(appSeconds(asked))
  const arrays = flameArrays(tree, direction, asked.query.get('function') ?? undefined)
  return { cluster: CLUSTER, direction, ...arrays, coverage: coverage(asked, tree.samples[0] ?? 0) }
}

export function functions(asked: Asked): api.Functions {
  const tree = treeOf(appSeconds(asked))
  const seconds = tree.total[0] ?? 0
  const search = (asked.query.get('search') ?? '').toLowerCase()
  const by = asked.query.get('sort') === 'total' ? 'total' : 'self'
  const all = functionSums(tree)
    .map(s => ({
      function: tree.strings[s.fn] ?? '',
      module: tree.strings[s.module] ?? '',
      kind: tree.kinds[s.kind] ?? '',
      self: s.self,
      total: s.total,
      selfShare: seconds ? s.self / seconds : 0,
      totalShare: seconds ? s.total / seconds : 0,
      samples: s.samples,
    }))
    .filter(f => `${f.function} ${f.module}`.toLowerCase().includes(search))
    .sort((a, b) => b[by] - a[by])
  const listed = all.slice(0, Number(asked.query.get('limit') ?? 100))
  const rest = all.slice(listed.length)
  return {
    cluster: CLUSTER,
    seconds,
    functions: listed,
    other: { self: rest.reduce((s, f) => s + f.self, 0), count: rest.length },
    coverage: coverage(asked, tree.samples[0] ?? 0),
  }
}

const CATEGORY: [RegExp, string][] = [
  [/^MPI_|opal_|ompi_|uct_/, 'mpi'],
  [/kernel/, 'kernel'],
  [/futex|select|sched_yield/, 'wait'],
  [/write|read/, 'io'],
  [/malloc|memcpy/, 'memory'],
]

export function categories(asked: Asked): api.Categories {
  const tree = treeOf(appSeconds(asked))
  const sums = new Map<string, { seconds: number; samples: number }>()
  for (const s of functionSums(tree)) {
    const name = `${tree.strings[s.fn]} ${tree.strings[s.module]}`
    const category = CATEGORY.find(([is]) => is.test(name))?.[1] ?? 'compute'
    const sum = sums.get(category) ?? { seconds: 0, samples: 0 }
    sums.set(category, { seconds: sum.seconds + s.self, samples: sum.samples + s.samples })
  }
  const axis = axisOf(asked)
  const wave = (i: number) => 1 + 0.3 * Math.sin(i / 9)
  const share = (seconds: number, i: number) => (seconds / axis.count) * wave(i)
  const over = [...sums].map(([category, s]) => ({
    category,
    seconds: Array.from({ length: axis.count }, (_, i) => share(s.seconds, i)),
  }))
  return {
    cluster: CLUSTER,
    over: { from: axis.from, to: axis.to, bucketMs: axis.bucketMs, categories: over },
    categories: [...sums].map(([category, s]) => ({ category, ...s })).sort((a, b) => b.seconds - a.seconds),
  }
}

// --- processes -------------------------------------------------------------------------------------------------------

function rankRows(world: World, job: MockJob, n: string, from: number, to: number): api.ProcessRow[] {
  const { app } = job
  const ranks = app === 'idle' || app === 'hog' || app === 'post' ? 1 : app === 'ml' ? 4 : 16
  const span = jobSpan(world, job)
  const cpu = mean([0.2, 0.5, 0.8].map(k => nodeValues(world, n, from + k * (to - from))?.cpu_user ?? null)) ?? 0
  return Array.from({ length: ranks }, (_, i) => ({
    node: n,
    pid: 4000 + i,
    start: span.from + 2000,
    name: EXE[app],
    command:
      app === 'md' ? 'gmx mdrun -s lyso.tpr -ntomp 4 -pin on -deffnm npt' : `${EXE[app]} -parallel case/${job.name}`,
    user: job.user,
    job: job.id,
    step: '0',
    rank: ranks > 1 ? job.nodes.indexOf(n) * ranks + i : null,
    evidence: 'cgroup',
    first: Math.max(from, span.from),
    last: Math.min(to, span.to),
    cpuUser: ((cpu * CORES) / ranks) * (0.9 + 0.2 * noise(n, i)),
    cpuSystem: 0.05 + 0.1 * noise(i, n),
    memoryBytes: (MEMORY * (app === 'hog' ? 0.95 : 0.3)) / ranks,
    readBytes: app === 'io' ? 5e7 : 1e4,
    writeBytes: app === 'io' ? 1.5e7 : 2e5,
    threads: app === 'idle' ? 1 : 4,
    state: app === 'idle' ? 'S' : 'R',
    executable: `/opt/apps/bin/${EXE[app]}`,
    container: '',
    cpuDelay: 0.01 * noise(n, i),
    diskDelay: null,
    numaNode: i % 2,
    gpuUtilization: app === 'ml' ? 0.9 : null,
    gpuMemoryBytes: app === 'ml' ? 3e10 : null,
    ended: null,
    sampled: app !== 'idle',
  }))
}

export function processes(asked: Asked): api.Processes {
  const { world, query } = asked
  const { from, to } = spanOf(asked)
  const inJob = query.get('job')
  const names = query.get('node')?.split(',') ?? JOBS.find(j => j.id === inJob)?.nodes ?? NODES
  const rows = names.flatMap(n => {
    const jobs = JOBS.filter(j => {
      const span = jobSpan(world, j)
      return j.nodes.includes(n) && span.from < to && span.to > from && (inJob === null || j.id === inJob)
    })
    return jobs.flatMap(j => rankRows(world, j, n, from, to))
  })
  const pid = query.get('pid')
  const by = query.get('sort') ?? 'cpu'
  const key = (r: api.ProcessRow) =>
    (by === 'memory'
      ? r.memoryBytes
      : by === 'read'
        ? r.readBytes
        : by === 'write'
          ? r.writeBytes
          : (r.cpuUser ?? 0) + (r.cpuSystem ?? 0)) ?? 0
  const found = rows.filter(r => pid === null || String(r.pid) === pid).sort((a, b) => key(b) - key(a))
  const listed = found.slice(0, Number(query.get('limit') ?? 20))
  const rest = found.slice(listed.length)
  return {
    cluster: CLUSTER,
    from,
    to,
    processes: listed,
    total: found.length,
    other: { cpu: rest.reduce((s, r) => s + (r.cpuUser ?? 0), 0), count: rest.length },
  }
}

export function process(asked: Asked): api.ProcessDetail | undefined {
  const axis = axisOf(asked)
  const [row] = processes(asked).processes
  if (!row) return undefined
  const wave = (base: number | null, amplitude: number, name: string) =>
    series(axis, ms =>
      base === null || ms < row.start || ms > asked.world.end
        ? null
        : base * (1 - amplitude + 2 * amplitude * noise(name, Math.floor(ms / 20_000))),
    )
  return {
    cluster: CLUSTER,
    from: axis.from,
    to: axis.to,
    bucketMs: axis.bucketMs,
    process: row,
    series: {
      cpuUser: wave(row.cpuUser, 0.08, 'u'),
      cpuSystem: wave(row.cpuSystem, 0.5, 's'),
      memoryBytes: wave(row.memoryBytes, 0.01, 'm'),
      readBytes: wave(row.readBytes, 0.9, 'r'),
      writeBytes: wave(row.writeBytes, 0.9, 'w'),
      threads: wave(row.threads, 0, 't'),
    },
    categories: categories(asked).categories,
  }
}
