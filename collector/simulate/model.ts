/**
 * What the simulation is made of. One direction, once a tick:
 *
 *   schedule (jobs start and end) -> host (a node) -> share (what one job does on it) -> processes + load
 *                                                  -> column values -> OTLP metrics
 *                                     processes' seconds by group, over a window -> stacks -> OTLP profiles
 *
 * A share says what its processes do (cores, memory, which group of call tree); the host adds up what the kernel
 * would count. So modes sum to 1 and a node's CPU is the sum of its processes', not because noise was kept small but by
 * construction.
 */
import type { Job } from '../../ingest/records.ts'
import type { Drift, Random } from './random.ts'
import type { Mix, Tree } from './trees.ts'

export const GIB = 1024 ** 3
export const MIB = 1024 ** 2
export const MINUTE = 60_000

export interface SimulatedProcess {
  pid: number
  startMs: number
  parentPid: number
  name: string
  command: string
  user: string
  job: string
  step: string
  rank: number | undefined
  threads: number
  state: 'R' | 'S' | 'D'
  /** Cores over the tick. */
  userCores: number
  systemCores: number
  memoryBytes: number
  readBytesPerSecond: number
  writeBytesPerSecond: number
  tree: Tree
  /** CPU seconds by group of the tree since the stack window began. */
  seconds: Float64Array
}

/** What the kernel of a node would count in a tick, beside what its processes say. Cores unless a unit is named. */
export interface Load {
  iowait: number
  nice: number
  /** Page cache: bytes a second read into or written through it. */
  cachedBytesPerSecond: number
  dirtyBytes: number
  /** The local scratch disk. */
  scratchReadBytesPerSecond: number
  scratchWriteBytesPerSecond: number
  /** The fast network (MPI, parallel file system) and the slow one. */
  fabricInBytesPerSecond: number
  fabricOutBytesPerSecond: number
  ethernetInBytesPerSecond: number
  ethernetOutBytesPerSecond: number
  contextSwitchesPerSecond: number
  forksPerSecond: number
  runnable: number
  blocked: number
  /** Shares of time, 0..1. */
  pressureCpu: number
  pressureMemory: number
  pressureMemoryFull: number
  pressureIo: number
  pressureIoFull: number
  /** Of the clock, 1 where nothing slows it down. */
  speed: number
  majorFaultsPerSecond: number
  oomKills: number
}

export interface Given {
  timeMs: number
  stepMs: number
  /** Since the job started; 0 for daemons. */
  ageMs: number
  /** Another job on this node runs more threads than it was given cores. */
  crowding: boolean
  /** Slow noise of the node. */
  drift: Drift
  random: Random
}

/** What a job does on one of its nodes. */
export interface Share {
  /** Alive in this tick. */
  readonly processes: readonly SimulatedProcess[]
  /** Cores the work spreads over: one for a serial program, else what the job was given. */
  readonly spread: number
  /** Runs more threads than it was given cores: what else is on the node suffers. */
  readonly crowds?: boolean
  tick(given: Given, load: Load): void
}

export type NewProcess = Pick<SimulatedProcess, 'name' | 'command' | 'tree'> &
  Partial<Pick<SimulatedProcess, 'step' | 'rank' | 'threads' | 'state' | 'parentPid' | 'startMs'>> & {
    /** A kernel thread that works for the job, yet belongs to none. */
    kernel?: boolean
  }

export interface ShareStart {
  job: SimulatedJob
  /** Position of this node among the job's. */
  index: number
  cores: number
  memoryBytes: number
  random: Random
  spawn(process: NewProcess): SimulatedProcess
}

export interface App {
  name: string
  command: string
  /** What its jobs ask of a node; undefined: all of it. */
  memoryBytesPerNode: number | undefined
  start(given: ShareStart): Share
}

export interface SimulatedJob {
  id: string
  name: string
  user: string
  uid: number
  account: string
  queue: string
  app: App
  nodesWanted: number
  /** Cores on each of its nodes; undefined: whole nodes. */
  coresPerNode: number | undefined
  submitMs: number
  /** Not before; then as soon as nodes are free. */
  earliestMs: number
  runMs: number
  timeLimitMs: number
  ending: Job['state']
  exitCode: number
  signal: number
  /** Shares its nodes with this job; both must fit. */
  besides: string
  /** Set when it is started. */
  startMs: number
  nodes: readonly string[]
  state: Job['state']
  reason: string
  /** Age at which one of its nodes (by index) begins to throttle, and how fast it then is. */
  throttle: { index: number; afterMs: number; speed: number } | undefined
}

/** The process spends `cores` in this tick, split as the mix says. */
export function spend(process: SimulatedProcess, cores: number, mix: Mix, stepMs: number): void {
  const { shares, kernel } = mix
  process.systemCores = cores * kernel
  process.userCores = cores - process.systemCores
  const seconds = (cores * stepMs) / 1000
  for (let g = 0; g < shares.length; g++) {
    process.seconds[g] = (process.seconds[g] ?? 0) + seconds * (shares[g] ?? 0)
  }
  process.state = cores > 0.5 ? 'R' : process.state === 'R' ? 'S' : process.state
}

export const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(x, high))
