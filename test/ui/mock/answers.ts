/** Answers of the mock server, typed by query/api.ts. */
import type * as api from '../../../query/api.ts'
import { functionSums } from '../../../ui/layout/transform.ts'
import { treeOf } from './stacks.ts'
import { type App, CORES, HOUR, JOBS, jobAt, jobSpan, MEMORY, NODES, nodeValues, noise, type World } from './world.ts'

export interface Asked {
  world: World
  /** Path after /api/v1/, split. */
  path: string[]
  query: URLSearchParams
}

const CLUSTER = 'mock'
const UNITS: Record<string, string> = {
  load: '1',
  memory: 'bytes',
  disk: 'bytes/s',
  network: 'bytes/s',
  processes: '1',
}
const unitOf = (metric: string) => {
  if (/utilization|pressure|cpu_(?!count)/.test(metric)) return 'ratio'
  return UNITS[metric.split(/[_.]/)[0] ?? ''] ?? '1'
}

export function spanOf({ world, query, path }: Asked): { from: number; to: number } {
  const job = JOBS.find(j => j.id === (query.get('job') ?? (path[0] === 'jobs' ? path[1] : undefined)))
  const own = job ? jobSpan(world, job) : { from: world.end - HOUR, to: world.end }
  return { from: Number(query.get('from') ?? own.from), to: Number(query.get('to') ?? own.to) }
}

export function axisOf(asked: Asked) {
  const { from, to } = spanOf(asked)
  const wanted = (to - from) / Number(asked.query.get('buckets') ?? 300)
  const bucketMs = Math.max(10_000, Math.ceil(wanted / 10_000) * 10_000)
  const start = Math.floor(from / bucketMs) * bucketMs
  const count = Math.max(1, Math.ceil((to - start) / bucketMs))
  return { from: start, to: start + count * bucketMs, bucketMs, count }
}

export const series = (axis: ReturnType<typeof axisOf>, value: (ms: number) => number | null) =>
  Array.from({ length: axis.count }, (_, i) => value(axis.from + (i + 0.5) * axis.bucketMs))

export const mean = (values: (number | null)[]) => {
  const known = values.filter(v => v !== null)
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length
}

const running = () => JOBS.filter(j => j.state === 'running')
const summary = (world: World, node: string): api.NodeSummary => {
  const silent = node === 'n63'
  const job = jobAt(world, node, world.end)
  const values = nodeValues(world, node, silent ? world.end - HOUR / 2 : world.end) ?? {}
  const top = job && job.app !== 'idle' ? treeTop(job.app) : null
  return {
    node,
    state: silent ? 'silent' : 'up',
    schedulerState: node === 'n60' ? 'drained' : job ? 'allocated' : 'idle',
    lastSeen: silent ? world.end - HOUR / 3 : world.end,
    cores: CORES,
    values,
    jobs: job ? [{ id: job.id, user: job.user }] : [],
    topProcess: job
      ? {
          pid: 4000,
          start: jobSpan(world, job).from + 2000,
          name: EXE[job.app],
          user: job.user,
          cores: (values.cpu_user ?? 0) * CORES,
        }
      : null,
    topFunction: top,
  }
}
export function treeTop(app: App) {
  const tree = treeOf({ [app]: 100 })
  const [first] = functionSums(tree)
  if (!first) return null
  return { function: tree.strings[first.fn] ?? '', module: tree.strings[first.module] ?? '', share: first.self / 100 }
}
export const EXE: Record<App, string> = {
  md: 'gmx',
  cfd: 'simpleFoam',
  io: 'regrid',
  ml: 'python3.11',
  idle: 'bash',
  hog: 'spades',
  post: 'python3.11',
}

export function clusters({ world }: Asked): api.Clusters {
  return {
    clusters: [
      {
        cluster: CLUSTER,
        simulated: true,
        nodes: 64,
        nodesUp: 63,
        nodesBusy: 45,
        cores: 64 * CORES,
        coresBusy: NODES.reduce((s, n) => s + CORES * (nodeValues(world, n, world.end)?.cpu_busy ?? 0), 0),
        coresAllocated: running().reduce((s, j) => s + j.nodes.length * CORES, 0),
        memoryBytes: 64 * MEMORY,
        memoryUsedBytes: NODES.reduce((s, n) => s + (nodeValues(world, n, world.end)?.memory_used ?? 0), 0),
        jobsRunning: running().length,
        jobsQueued: 2,
        lastSeen: world.end,
      },
    ],
  }
}

export function catalogue({ world }: Asked): api.Catalogue {
  const columns = Object.keys(nodeValues(world, 'n01', world.end) ?? {})
  return {
    metrics: columns.map(column => ({
      entity: 'node',
      column,
      unit: unitOf(column),
      meaning: column.replaceAll('_', ' '),
      source: '/proc',
      full: unitOf(column) === 'ratio' ? 1 : null,
    })),
  }
}

export const nodes = ({ world }: Asked): api.Nodes => ({
  cluster: CLUSTER,
  nodes: NODES.map(n => summary(world, n)).sort((a, b) => (b.values.cpu_busy ?? 0) - (a.values.cpu_busy ?? 0)),
})

export function node({ world, path }: Asked): api.NodeDetail {
  const name = path[1] ?? ''
  return {
    ...summary(world, name),
    record: {
      os: 'Rocky Linux 9.4',
      kernel: '5.14.0-427.el9.x86_64',
      arch: 'x86_64',
      cpuModel: 'AMD EPYC 7543 32-Core Processor',
      sockets: 2,
      cores: 64,
      threads: 64,
      numaNodes: 8,
      memoryBytes: MEMORY,
      disks: [{ name: 'nvme0n1', bytes: 1.92e12 }],
      interfaces: [{ name: 'ib0', bitsPerSecond: 1e11 }],
      gpus: [],
      bootMs: world.end - 40 * 24 * HOUR,
      intervalMs: 10_000,
      sources: {
        cpu: 'ok',
        memory: 'ok',
        pressure: name === 'n64' ? 'no /proc/pressure: boot with psi=1 to have it' : 'ok',
      },
    },
    instances: {
      disk: ['nvme0n1', 'sda'],
      interface: ['ib0', 'eth0'],
      core: Array.from({ length: CORES }, (_, i) => String(i)),
    },
  }
}

export function heatmap(asked: Asked): api.Heatmap {
  const { world, query } = asked
  const axis = axisOf(asked)
  const metric = query.get('metric') ?? 'cpu_busy'
  const rows = NODES.map(n => ({ n, values: series(axis, ms => nodeValues(world, n, ms)?.[metric] ?? null) })).map(
    r => ({
      ...r,
      mean: mean(r.values),
      job: jobAt(world, r.n, axis.to - axis.bucketMs)?.id ?? '~',
    }),
  )
  const order = query.get('order') ?? 'hottest'
  if (order === 'hottest') rows.sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1))
  if (order === 'job') rows.sort((a, b) => a.job.localeCompare(b.job) || a.n.localeCompare(b.n))
  return {
    cluster: CLUSTER,
    metric,
    unit: unitOf(metric),
    from: axis.from,
    to: axis.to,
    bucketMs: axis.bucketMs,
    nodes: rows.map(r => r.n),
    mean: rows.map(r => r.mean),
    rows: rows.map(r => r.values),
  }
}

function instanceValue(world: World, n: string, metric: string, instance: string, ms: number): number | null {
  const all = nodeValues(world, n, ms)
  if (!all) return null
  const [entity = '', column = ''] = metric.split('.')
  const share = instance === 'nvme0n1' || instance === 'ib0' ? 0.97 : 0.03
  if (entity === 'core') {
    const busy = (all.cpu_busy ?? 0) * (0.8 + 0.4 * noise(n, instance, Math.floor(ms / 60_000)))
    const idle = Math.max(0, 1 - busy - (all.cpu_iowait ?? 0))
    return column === 'cpu_idle' ? idle : column === 'cpu_iowait' ? (all.cpu_iowait ?? 0) : busy
  }
  const value = all[`${entity === 'interface' ? 'network' : 'disk'}_${column}`]
  return value === null || value === undefined ? null : column === 'utilization' ? value * share : value * share
}

const INSTANCES: Record<string, string[]> = {
  disk: ['nvme0n1', 'sda'],
  interface: ['ib0', 'eth0'],
  core: Array.from({ length: CORES }, (_, i) => String(i)),
}

export function seriesAnswer(asked: Asked): api.Series {
  const { world, query } = asked
  const axis = axisOf(asked)
  const names = query.get('node')?.split(',') ?? NODES
  const out: api.Series['series'] = []
  for (const metric of (query.get('metrics') ?? '').split(','))
    for (const n of names) {
      const entity = metric.includes('.') ? (metric.split('.')[0] ?? '') : ''
      for (const instance of entity === '' ? [''] : (INSTANCES[entity] ?? []))
        out.push({
          metric,
          unit: unitOf(entity === 'interface' ? 'network' : entity === 'core' ? 'cpu_x' : metric.replace('.', '_')),
          node: n,
          instance,
          band: null,
          full:
            unitOf(metric) === 'ratio'
              ? 1
              : /memory/.test(metric)
                ? MEMORY
                : /load|running/.test(metric)
                  ? CORES
                  : null,
          values: series(axis, ms =>
            entity === ''
              ? (nodeValues(world, n, ms)?.[metric] ?? null)
              : instanceValue(world, n, metric, instance, ms),
          ),
        })
    }
  return { cluster: CLUSTER, from: axis.from, to: axis.to, bucketMs: axis.bucketMs, series: out }
}
