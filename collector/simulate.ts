/**
 * A simulated cluster: what its collectors and its scheduler would send, from a seed, in the bytes of the real ones.
 *
 *   for await (const { door, body } of simulate({ nodes: 64, hours: 2, untilMs: Date.now() })) …
 *
 * History is made as fast as it is taken (or `speedup` times as fast as it was), many ticks a request; with `follow` it goes on in real time. All of it is marked
 * jobsight.simulated. demoStory() tells what was planted and where, so that a test (or a guide) can look for it.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Send } from './outbox.ts'
import { Cluster, type ClusterOptions, nodeName, scheduleOf, silentNode, type Traffic } from './simulate/cluster.ts'
import { type PlayCounters, play } from './simulate/play.ts'
import type { Schedule } from './simulate/schedule.ts'
import type { StoryKind } from './simulate/stories.ts'

export interface SimulateOptions {
  cluster?: string
  nodes?: number
  jobs?: number
  /** False: nothing is wrong anywhere, only what is drawn at random from healthy programs runs. */
  stories?: boolean
  hours?: number
  seed?: number
  /** End of the history; follow goes on from here. */
  untilMs: number
  stepMs?: number
  follow?: boolean
  /** How many times as fast as time the history is played; absent: as fast as it is taken. */
  speedup?: number
  processes?: boolean
  stacks?: boolean
  /** The odd nodes send every core too. */
  perCore?: boolean
  /** Power, heat, file systems, fast network … of each node; absent: where there are few nodes. */
  devices?: boolean
  /** Stack windows of the history, and of what follows in real time. */
  windowMs?: number
  liveWindowMs?: number
  /** One metrics request a node and tick, as collectors without a gateway send them. */
  requestPerNode?: boolean
}

export interface SimulateDeps {
  now?: () => number
  /** Ends a simulation that follows. */
  signal?: AbortSignal
}

interface Resolved extends ClusterOptions {
  speedup: number
  follow: boolean
  windowMs: number
  liveWindowMs: number
}

/** Devices make half as much traffic again. */
const FEW_NODES = 128

function resolve(options: SimulateOptions): Resolved {
  const stepMs = options.stepMs ?? 10_000
  const untilMs = Math.floor(options.untilMs / stepMs) * stepMs
  const ticks = Math.max(1, Math.round(((options.hours ?? 2) * 3_600_000) / stepMs))
  return {
    cluster: options.cluster ?? 'demo',
    nodes: options.nodes ?? 64,
    jobs: options.jobs ?? 12,
    stories: options.stories ?? true,
    seed: options.seed ?? 1,
    span: { beginMs: untilMs - ticks * stepMs, untilMs },
    stepMs,
    windowMs: options.windowMs ?? 60_000,
    liveWindowMs: options.liveWindowMs ?? 30_000,
    processes: options.processes ?? true,
    stacks: options.stacks ?? true,
    devices: options.devices ?? (options.nodes ?? 64) <= FEW_NODES,
    requestPerNode: options.requestPerNode ?? false,
    follow: options.follow ?? false,
    speedup: options.speedup ?? Number.POSITIVE_INFINITY,
  }
}

interface Run {
  resolved: Resolved
  cluster: Cluster
}

function openRun(options: SimulateOptions): Run {
  const resolved = resolve(options)
  return { resolved, cluster: new Cluster(resolved, nodesWithCores(options)) }
}

/** The traffic in the order of time. A body stands alone; several may be under way at once. */
export async function* simulate(options: SimulateOptions, deps: SimulateDeps = {}): AsyncGenerator<Traffic> {
  const run = openRun(options)
  yield* history(run, deps)
  if (run.resolved.follow) yield* following(run, deps)
}

async function* history({ resolved, cluster }: Run, deps: SimulateDeps): AsyncGenerator<Traffic> {
  const { span, stepMs, windowMs, speedup } = resolved
  const now = deps.now ?? Date.now
  const startedMs = now()
  yield* cluster.inventory(span.beginMs)
  for (let timeMs = span.beginMs + stepMs; timeMs <= span.untilMs; timeMs += stepMs) {
    const restMs = startedMs + (timeMs - span.beginMs) / speedup - now()
    if (restMs > 0 && !(await slept(restMs, deps.signal))) return
    yield* cluster.tick(timeMs, windowMs)
  }
  yield* cluster.flush(span.untilMs)
}

async function* following({ resolved, cluster }: Run, deps: SimulateDeps): AsyncGenerator<Traffic> {
  const { span, stepMs, liveWindowMs } = resolved
  const now = deps.now ?? Date.now
  for (let timeMs = span.untilMs + stepMs; !deps.signal?.aborted; timeMs += stepMs) {
    const restMs = timeMs - now()
    if (restMs > 0 && !(await slept(restMs, deps.signal))) return
    yield* cluster.tick(timeMs, liveWindowMs)
    yield* cluster.flush(timeMs)
  }
}

export interface Simulation {
  /** Resolves when the history has been taken. */
  history: Promise<PlayCounters>
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>
}

/** Plays the history to `send`, then, with `follow`, goes on in real time until it is stopped. */
export function startSimulation(
  options: SimulateOptions,
  deps: { send: Send; log: Logger; now?: () => number },
): Simulation {
  const ending = new AbortController()
  // Each request that waits to be sent again listens.
  setMaxListeners(0, ending.signal)
  const { send, log, now } = deps
  const { signal } = ending
  const run = openRun(options)
  const clock = now === undefined ? { signal } : { signal, now }
  const written = play(history(run, clock), { send, log, signal })
  const going = written.then(async () => {
    if (run.resolved.follow) await play(following(run, clock), { send, log, signal })
  })
  // A rejection is heard through `history`; stop() only waits.
  going.catch(() => undefined)
  return {
    history: written,
    async stop() {
      ending.abort()
      await going.catch(() => undefined)
    },
  }
}

/** False when the signal ended it. */
async function slept(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await sleep(ms, undefined, signal ? { signal } : {})
    return true
  } catch {
    return false
  }
}

/** A planted fact: what a reader of the page should find, and where. */
export interface Story {
  kind: StoryKind | 'silent_node'
  text: string
  job?: string
  /** Nodes of the job, in rank order; the node itself for silent_node. */
  nodes: string[]
  /** The one node that is different. */
  node?: string
  fromMs: number
  /** Absent: still so at the end of the history. */
  toMs?: number
}

const TEXTS: Record<StoryKind, string> = {
  straggler: 'one node is throttled: the others wait for it in MPI_Allreduce, it computes nearly all the time',
  idle: 'whole nodes are allocated and nobody works on them',
  memory_hog: 'memory grows in steps until the kernel kills the job',
  io_bound: 'sixteen readers share one saturated disk; the cores wait for it',
  single_core: 'one of 64 cores works',
  noisy_victim: 'gets half of its cores once the neighbour starts',
  noisy_neighbour: 'runs 128 threads on 32 allocated cores beside another job',
  healthy_mpi: 'GROMACS as it should be',
  training: 'NumPy training: BLAS threads, and Python above them',
  pipeline: 'many short processes; fails in the end',
  earlier_run: 'the same simulation as the straggler, healthy and completed: compare them',
  queued: 'waits for more nodes than are free',
}

/** What simulate() with the same options plants. Stories that find no room on a small cluster are left out. */
export function demoStory(options: SimulateOptions): Story[] {
  const resolved = resolve(options)
  const stories: Story[] = []
  for (const job of playedSchedule(resolved).jobs) {
    if (job.kind === 'filler' || (job.state === 'queued') !== (job.kind === 'queued')) continue
    const odd = job.throttle ? job.nodes[job.throttle.index] : undefined
    const ended = job.state !== 'running' && job.state !== 'queued'
    stories.push({
      kind: job.kind,
      text: TEXTS[job.kind],
      job: job.id,
      nodes: [...job.nodes],
      ...(odd === undefined ? {} : { node: odd }),
      fromMs: job.state === 'queued' ? job.submitMs : job.startMs + (job.throttle?.afterMs ?? 0),
      ...(ended ? { toMs: job.startMs + job.runMs } : {}),
    })
  }
  const silent = silentNode(resolved)
  if (silent) {
    const { node, silentMs } = silent
    stories.push({ kind: 'silent_node', text: 'stopped answering', nodes: [node], node, fromMs: silentMs })
  }
  return stories
}

/** The schedule as it stands at the end of the history. */
function playedSchedule(resolved: Resolved): Schedule {
  const schedule = scheduleOf(resolved)
  const { span, stepMs } = resolved
  for (let timeMs = span.beginMs; timeMs < span.untilMs; timeMs += stepMs) schedule.advance(timeMs)
  return schedule
}

const WITH_CORES: readonly StoryKind[] = ['straggler', 'single_core', 'noisy_victim', 'io_bound']

/** Every core of every node would be most of the traffic: the odd nodes send theirs, and one beside them. */
function nodesWithCores(options: SimulateOptions): Set<string> {
  if (options.perCore === false) return new Set()
  const chosen = new Set<string>([nodeName(0, options.nodes ?? 64)])
  for (const story of demoStory(options)) {
    const node = story.node ?? story.nodes[0]
    if (node !== undefined && WITH_CORES.some(kind => kind === story.kind)) chosen.add(node)
  }
  return chosen
}

export type { Traffic }
