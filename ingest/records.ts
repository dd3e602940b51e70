/**
 * What one Point, Process, StackSample, Job and Node is: the schema and its type under one name, units told here once.
 * The receiver owns the contract, so this file imports nothing of ours and every other part may import it.
 *
 * Times are ms since the epoch, UTC. A value that could not be read is absent (undefined), never 0.
 */
import { type Static, Type } from 'typebox'

export * from './burst.ts'

/** Ways a pid can be charged to a job, strongest first. Stored with each row, so that a reader can judge it. */
export const EVIDENCE = ['cgroup', 'gid', 'listpids', 'session', 'environment', 'parent', 'sender', 'none'] as const
export type Evidence = (typeof EVIDENCE)[number]

/** Life of a job in words all schedulers share; the scheduler's own word is kept beside it in `schedulerState`. */
export const JOB_STATES = [
  'queued',
  'held',
  'starting',
  'running',
  'suspended',
  'completing',
  'completed',
  'failed',
  'cancelled',
  'timeout',
  'out_of_memory',
  'node_fail',
  'preempted',
  'unknown',
  /** This run was given up and the job queued again; the next run is another record. */
  'requeued',
] as const
export type JobState = (typeof JOB_STATES)[number]

/** States in which the job can still run, so its record can still change. */
export const LIVE_JOB_STATES: readonly JobState[] = ['queued', 'held', 'starting', 'running', 'suspended', 'completing']

const Ms = (description: string) => Type.Number({ minimum: 0, description: `${description}; ms since the epoch` })
const Name = (description: string) => Type.String({ minLength: 1, maxLength: 255, description })

/** What a job holds on one node. */
export const Allocation = Type.Object({
  node: Name('short host name'),
  cores: Type.Optional(
    Type.Number({ minimum: 0, description: 'cores (hardware threads where the scheduler counts them)' }),
  ),
  memoryBytes: Type.Optional(Type.Number({ minimum: 0 })),
  gpus: Type.Optional(Type.Number({ minimum: 0 })),
})
export type Allocation = Static<typeof Allocation>

/** One job as its scheduler last described it. Sent again at each change; the newest `updatedMs` wins. */
export const Job = Type.Object({
  cluster: Name('cluster name'),
  id: Name('the id users type: 4711, 4711_3 (array task), 4711+1 (het component), 4711.server'),
  scheduler: Type.Union([
    Type.Literal('slurm'),
    Type.Literal('pbs'),
    Type.Literal('gridengine'),
    Type.Literal('other'),
  ]),
  state: Type.Enum(JOB_STATES),
  schedulerState: Type.Optional(
    Type.String({ maxLength: 255, description: "the scheduler's own word: RUNNING, R, dr" }),
  ),
  reason: Type.Optional(Type.String({ maxLength: 1024 })),
  /** What the kernel's evidence names (cgroup job_4713): for an array task it is not the id that users type. */
  rawId: Type.Optional(Type.String({ maxLength: 255 })),
  /** Slurm 26.05 and newer: what its control groups are named by, in place of rawId. */
  sluid: Type.Optional(Type.String({ maxLength: 32 })),
  arrayId: Type.Optional(Type.String({ maxLength: 255 })),
  arrayTask: Type.Optional(Type.String({ maxLength: 1024, description: 'one index, or the pending rest: 2-5%2' })),
  name: Type.Optional(Type.String({ maxLength: 4096, description: 'any characters' })),
  user: Type.Optional(Type.String({ maxLength: 255 })),
  uid: Type.Optional(Type.Number()),
  account: Type.Optional(Type.String({ maxLength: 255 })),
  queue: Type.Optional(Type.String({ maxLength: 1024, description: 'partition (Slurm), queue (PBS, Grid Engine)' })),
  submitMs: Type.Optional(Ms('submitted')),
  startMs: Type.Optional(Ms('started')),
  endMs: Type.Optional(Ms('ended; for a running job absent, its limit is timeLimitSeconds')),
  timeLimitSeconds: Type.Optional(Type.Number({ minimum: 0 })),
  nodeCount: Type.Optional(Type.Number({ minimum: 0 })),
  cores: Type.Optional(Type.Number({ minimum: 0, description: 'allocated, or asked for while queued' })),
  gpus: Type.Optional(Type.Number({ minimum: 0 })),
  memoryBytes: Type.Optional(Type.Number({ minimum: 0, description: 'allocated over all nodes' })),
  exitCode: Type.Optional(Type.Number({ description: 'exit status 0..255' })),
  signal: Type.Optional(Type.Number({ description: 'signal that ended it' })),
  restarts: Type.Optional(Type.Number({ minimum: 0 })),
  workDir: Type.Optional(Type.String({ maxLength: 4096 })),
  command: Type.Optional(Type.String({ maxLength: 4096 })),
  allocations: Type.Optional(Type.Array(Allocation, { maxItems: 100_000 })),
  updatedMs: Ms('when the scheduler said so'),
})
export type Job = Static<typeof Job>

/** What one node is, and what the scheduler says of it. Fields from the two senders are merged, the newest of each wins. */
export const Node = Type.Object({
  cluster: Name('cluster name'),
  node: Name('short host name'),
  aliases: Type.Optional(
    Type.Array(Type.String({ maxLength: 255 }), { maxItems: 32, description: 'FQDN and other names' }),
  ),
  os: Type.Optional(Type.String({ maxLength: 255 })),
  kernel: Type.Optional(Type.String({ maxLength: 255 })),
  arch: Type.Optional(Type.String({ maxLength: 64 })),
  cpuModel: Type.Optional(Type.String({ maxLength: 255 })),
  sockets: Type.Optional(Type.Number({ minimum: 0 })),
  cores: Type.Optional(Type.Number({ minimum: 0, description: 'physical cores' })),
  threads: Type.Optional(Type.Number({ minimum: 0, description: 'logical CPUs' })),
  numaNodes: Type.Optional(Type.Number({ minimum: 0 })),
  memoryBytes: Type.Optional(Type.Number({ minimum: 0 })),
  disks: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), bytes: Type.Optional(Type.Number()), model: Type.Optional(Type.String()) }),
    ),
  ),
  interfaces: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), bitsPerSecond: Type.Optional(Type.Number()) })),
  ),
  gpus: Type.Optional(
    Type.Array(
      Type.Object({
        id: Type.String(),
        model: Type.Optional(Type.String()),
        memoryBytes: Type.Optional(Type.Number()),
      }),
    ),
  ),
  bootMs: Type.Optional(Ms('booted')),
  collectorVersion: Type.Optional(Type.String({ maxLength: 64 })),
  intervalMs: Type.Optional(Type.Number({ minimum: 0, description: 'tick of its collector' })),
  /** source name -> 'ok' or why it is absent; what the page says in place of a hatched panel. */
  sources: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** The scheduler's view. */
  schedulerState: Type.Optional(
    Type.String({ maxLength: 255, description: 'idle, mixed, allocated, down, drained …' }),
  ),
  schedulerReason: Type.Optional(Type.String({ maxLength: 1024 })),
  schedulerCores: Type.Optional(Type.Number({ minimum: 0 })),
  schedulerQueues: Type.Optional(Type.Array(Type.String({ maxLength: 255 }))),
  simulated: Type.Optional(
    Type.Boolean({ description: 'made by jobsight demo (resource attribute jobsight.simulated)' }),
  ),
  updatedMs: Ms('when it was read'),
})
export type Node = Static<typeof Node>

/** That this collector is the one that asks a cluster's scheduler: refused with 409 while another one is. */
export const PollerClaim = Type.Object({
  cluster: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  scheduler: Type.String({ minLength: 1, maxLength: 64 }),
  node: Name('of its collector'),
  holder: Type.String({ minLength: 1, maxLength: 255, description: 'tells collectors apart' }),
  forMs: Type.Integer({ minimum: 0, maximum: 86_400_000, description: 'how long it holds; 0: given back' }),
})
export type PollerClaim = Static<typeof PollerClaim>

/** Body of POST /v1/jobs: jobs and nodes as a scheduler (or a prolog) tells them. Idempotent. */
export const JobsRequest = Type.Object({
  poller: Type.Optional(PollerClaim),
  jobs: Type.Optional(Type.Array(Type.Unknown(), { description: 'Job records; a bad one is refused alone' })),
  nodes: Type.Optional(Type.Array(Type.Unknown(), { description: 'Node records; a bad one is refused alone' })),
})
export type JobsRequest = Static<typeof JobsRequest>

/**
 * One entity at one tick: `values[i]` belongs to column i of the entity in metrics.ts; NaN where absent.
 * A rate or utilisation is the mean over the interval that ends at `timeMs`.
 */
export interface Point {
  cluster: string
  node: string
  /** core number, disk name, interface name, GPU uuid, …; '' for the node itself. */
  instance: string
  timeMs: number
  intervalMs: number
  values: Float64Array
}

/** One process over one tick. Rates are means over the interval. Key: (cluster, node, pid, startMs). */
export interface Process {
  cluster: string
  node: string
  timeMs: number
  intervalMs: number
  pid: number
  /** Start of the process; 0 when it was gone before anyone could look. */
  startMs: number
  parentPid: number | undefined
  /** comm: at most 15 bytes. */
  name: string
  /** argv joined by blanks, cut at 1 KiB. */
  command: string
  user: string
  job: string
  step: string
  rank: number | undefined
  evidence: Evidence
  /** CPU-seconds a second, i.e. cores: 1 = one core fully used. */
  cpuUser: number | undefined
  cpuSystem: number | undefined
  memoryBytes: number | undefined
  readBytes: number | undefined
  writeBytes: number | undefined
  threads: number | undefined
  /** R S D Z T I as in proc(5); X: it has ended, and this is its last piece. */
  state: string
  /** Path of its program, as the process itself sees it; '' where it may not be read. */
  executable: string
  /** Id of its container, by its control group; '' outside of containers. */
  container: string
  /** Seconds a second of all its threads: ready to run but without a CPU, and waiting for a disk. */
  cpuDelay: number | undefined
  diskDelay: number | undefined
  /** NUMA node of the CPU that its main thread ran on last. */
  numaNode: number | undefined
  /** Share of a GPU's time, summed over its GPUs: 1 = one GPU fully used. */
  gpuUtilization: number | undefined
  gpuMemoryBytes: number | undefined
  /**
   * Processes a second that came and went within the interval: this row is the sum of those of one parent, user and name, and
   * its pid a number above all pids. 0: it is not known how many. Undefined: it is one process.
   */
  ended: number | undefined
}

/** Kinds of frame; the number is what is stored, append only. */
export const FRAME_KINDS = ['native', 'kernel', 'python', 'jit', 'java', 'javascript', 'other', 'truncated'] as const
export type FrameKind = (typeof FRAME_KINDS)[number]

/** What a stack is doing, decided while it is whole; append only. */
export const CATEGORIES = [
  'compute',
  'mpi',
  'wait',
  'io',
  'memory',
  'kernel',
  'gpu',
  'interpreter',
  'idle',
  'unknown',
] as const
export type Category = (typeof CATEGORIES)[number]

export interface Frame {
  /** Name without offset; `module+0xoffset` where there is no name. */
  function: string
  /** Base name or path of the mapped file: libm.so.6, [kernel.kallsyms], python3.11. */
  module: string
  file: string
  line: number
  kind: FrameKind
}

/** Samples of one process that share a stack within one window. */
export interface StackSample {
  cluster: string
  job: string
  node: string
  pid: number
  startMs: number
  /** comm of the process, so that a flame graph can name one that never reached the process table. */
  process: string
  /** Thread (group) name. */
  thread: string
  step: string
  rank: number | undefined
  evidence: Evidence
  /** End of the window it was folded over. */
  timeMs: number
  /** Length of that window. */
  windowMs: number
  /** What was sampled: 'cpu' for on-CPU time; a burst is 'cpu' with `burst` set. */
  event: string
  burst: string
  stackId: bigint
  /** Summed period: nanoseconds of CPU for event 'cpu'. */
  value: number
  /** Samples behind it: what the value can bear. */
  count: number
}
