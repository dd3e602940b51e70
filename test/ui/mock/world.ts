/**
 * A cluster that never was: 64 nodes, 12 jobs, two hours. Every value is a function of (node, time), so that any question has
 * one answer and two runs draw the same pictures.
 *
 *   1003  md on 16 nodes, one straggler (n07: half speed)      1007  waits for disks       1009  does nothing
 *   1005  takes all memory of its node                         n63   silent for 20 min     n64   no pressure files
 */
export const HOUR = 3_600_000
export const CORES = 64
export const MEMORY = 256 * 2 ** 30
export const NODES = Array.from({ length: 64 }, (_, i) => `n${String(i + 1).padStart(2, '0')}`)

export type App = 'cfd' | 'md' | 'io' | 'ml' | 'idle' | 'hog' | 'post'

export interface MockJob {
  id: string
  name: string
  user: string
  account: string
  queue: string
  state: 'running' | 'completed' | 'failed' | 'queued'
  app: App
  nodes: string[]
  /** Hours before the end of the world. */
  fromHours: number
  toHours: number
}

const nodes = (first: number, count: number) => NODES.slice(first - 1, first - 1 + count)

export const JOBS: readonly MockJob[] = [
  ['1001', 'wing-les-fine', 'ann', 'aero', 'batch', 'running', 'cfd', nodes(17, 12), 1.8, 0],
  ['1002', 'wing-les-coarse', 'ann', 'aero', 'batch', 'completed', 'cfd', nodes(29, 4), 2, 0.9],
  ['1003', 'lysozyme-npt', 'bob', 'bio', 'batch', 'running', 'md', nodes(1, 16), 1.4, 0],
  ['1004', 'resnet-sweep', 'chen', 'ml', 'gpu', 'running', 'ml', nodes(33, 4), 1.1, 0],
  ['1005', 'assembly-k127', 'dora', 'bio', 'bigmem', 'running', 'hog', nodes(41, 1), 1.6, 0],
  ['1006', 'post 1002', 'ann', 'aero', 'short', 'failed', 'post', nodes(29, 1), 0.85, 0.7],
  ['1007', 'era5-regrid', 'eve', 'climate', 'batch', 'running', 'io', nodes(45, 6), 1.2, 0],
  ['1008', 'lysozyme-nvt', 'bob', 'bio', 'batch', 'completed', 'md', nodes(51, 4), 2, 1.3],
  ['1009', 'interactive', 'fred', 'misc', 'short', 'running', 'idle', nodes(55, 2), 1.7, 0],
  ['1010_4', 'sweep[4]', 'chen', 'ml', 'batch', 'running', 'post', nodes(57, 1), 0.3, 0],
  ['1011', 'wing-les-huge', 'ann', 'aero', 'batch', 'queued', 'cfd', [], 0.2, 0],
  ['1012', 'lysozyme-long', 'bob', 'bio', 'batch', 'queued', 'md', [], 0.1, 0],
].map(([id, name, user, account, queue, state, app, on, fromHours, toHours]) => ({
  id,
  name,
  user,
  account,
  queue,
  state,
  app,
  nodes: on,
  fromHours,
  toHours,
})) as MockJob[]

export interface World {
  readonly end: number
}

export const jobSpan = (world: World, job: MockJob) => ({
  from: world.end - job.fromHours * HOUR,
  to: world.end - job.toHours * HOUR,
})

export function jobAt(world: World, node: string, ms: number): MockJob | undefined {
  return JOBS.find(j => {
    const { from, to } = jobSpan(world, j)
    return j.nodes.includes(node) && from < ms && ms <= to && j.state !== 'queued'
  })
}

/** 0..1, the same for the same words. */
export function noise(...words: (string | number)[]): number {
  let h = 2166136261
  for (const c of words.join('|')) h = Math.imul(h ^ c.charCodeAt(0), 16777619)
  h = Math.imul(h ^ (h >>> 15), 2246822519)
  return ((h ^ (h >>> 13)) >>> 0) / 4294967296
}

/** Known at all: n63 went silent 20 minutes before the end. */
const known = (world: World, node: string, ms: number) =>
  ms <= world.end && ms > world.end - 2 * HOUR && !(node === 'n63' && ms > world.end - HOUR / 3)

const BUSY: Readonly<
  Record<App, (t: number, n: number, node: string) => [user: number, system: number, wait: number]>
> = {
  cfd: (t, n) => [0.9 - 0.25 * (Math.sin(t / 300) > 0.93 ? 1 : 0) + 0.04 * n, 0.03, 0.01],
  md: (_t, n, node) => (node === 'n07' ? [0.47 + 0.05 * n, 0.16, 0] : [0.86 + 0.05 * n, 0.05, 0]),
  io: (t, n) => [0.12 + 0.08 * n, 0.1 + 0.06 * Math.sin(t / 120), 0.45 + 0.2 * Math.sin(t / 200)],
  ml: (t, n) => [0.35 + 0.2 * Math.sin(t / 400) + 0.05 * n, 0.08, 0.02],
  idle: (_t, n) => [0.004 + 0.004 * n, 0.003, 0],
  hog: (_t, n) => [0.22 + 0.05 * n, 0.09, 0.02],
  post: (_t, n) => [0.5 + 0.3 * n, 0.05, 0.05],
}

export type Metrics = Record<string, number | null>

/** Every metric of entity node at one moment, or null where nothing was heard. */
export function nodeValues(world: World, node: string, ms: number): Metrics | null {
  if (!known(world, node, ms)) return null
  const job = jobAt(world, node, ms)
  const t = Math.floor(ms / 1000)
  const n = noise(node, Math.floor(t / 10))
  const [user, system, wait] = job ? BUSY[job.app](t, n, node) : [0.003 + 0.004 * n, 0.002, 0]
  const age = job ? (ms - jobSpan(world, job).from) / HOUR : 0
  const used = job?.app === 'hog' ? Math.min(0.985, 0.2 + age * 0.55) : job ? 0.3 + 0.1 * noise(node, 'm') : 0.03
  const reads = job?.app === 'io' ? 9e8 * (0.6 + 0.4 * n) : job?.app === 'ml' ? 2e8 * n : 2e5 * n
  const net = job && job.nodes.length > 1 && job.app !== 'idle' ? 1.1e9 * (0.7 + 0.3 * n) : 4e4 * n
  const cpu = { user, system, wait, net }
  return {
    ...cpuValues(cpu),
    ...restValues({ used, reads, net: net * (node === 'n07' ? 0.5 : 1), wait, user, app: job?.app, node }),
  }
}

function cpuValues({ user, system, wait, net }: { user: number; system: number; wait: number; net: number }): Metrics {
  return {
    cpu_user: user,
    cpu_system: system,
    cpu_iowait: wait,
    cpu_nice: 0,
    cpu_irq: 0.001,
    cpu_softirq: net > 1e8 ? 0.012 : 0.001,
    cpu_steal: 0,
    cpu_idle: Math.max(0, 1 - user - system - wait - 0.013),
    cpu_busy: Math.min(1, user + system + 0.013),
    cpu_count: CORES,
    load_1m: CORES * (user + system + wait) * 1.02,
    load_5m: CORES * (user + system + wait),
    load_15m: CORES * (user + system + wait) * 0.97,
    processes_running: Math.round(CORES * (user + system)),
    processes_blocked: Math.round(CORES * wait * 0.4),
    context_switches: 2e4 + 9e4 * system,
  }
}

interface Rest {
  used: number
  reads: number
  net: number
  wait: number
  user: number
  app: App | undefined
  node: string
}

function restValues({ used, reads, net, wait, user, app, node }: Rest): Metrics {
  const p = (x: number) => (node === 'n64' ? null : Math.min(1, Math.max(0, x)))
  return {
    memory_total: MEMORY,
    memory_used: MEMORY * used,
    memory_cached: MEMORY * Math.min(1 - used, app === 'io' ? 0.5 : 0.08),
    memory_available: MEMORY * (1 - used),
    swap_used: 0,
    swap_total: 0,
    pressure_cpu_some: p((user - 0.9) * 2 + (node === 'n07' ? 0.3 : 0)),
    pressure_memory_some: p((used - 0.8) * 2),
    pressure_memory_full: p((used - 0.85) * 1.6),
    pressure_io_some: p(wait * 1.3),
    pressure_io_full: p(wait * 0.9),
    disk_read_bytes: reads,
    disk_write_bytes: reads * 0.3 + 1e5,
    disk_utilization: app === 'io' ? 0.96 : Math.min(0.9, reads / 1e9),
    network_receive_bytes: net,
    network_transmit_bytes: net * 0.97,
  }
}
