/**
 * The schema of every answer (and of the scope that every question has); the only file ui/ may import from outside itself.
 *
 * Times are ms since the epoch, UTC. null is "not there"; it is never drawn as 0. CPU time is in seconds.
 * All routes live under /api/v1. An error is {error: {code, message}}; the message says what to do next.
 */
import { type Static, Type } from 'typebox'
import { BURST_LIMITS, Burst, Job, Node } from '../ingest/records.ts'

export { Burst } from '../ingest/records.ts'
export * from './alerts/api.ts'

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
const Values = Type.Array(Nullable(Type.Number()))

/** What a question is about. All given parts must hold; lists are comma-separated. Absent from/to: a job's own span, else the last hour. */
export const Scope = Type.Object({
  cluster: Type.Optional(Type.String({ description: 'absent: the only one, else the one heard from last' })),
  job: Type.Optional(Type.String()),
  node: Type.Optional(Type.String({ description: 'node1,node2' })),
  pid: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  start: Type.Optional(
    Type.Number({ minimum: 0, maximum: 4e12, description: 'start of the process, ms; tells a reused pid apart' }),
  ),
  user: Type.Optional(Type.String()),
  rank: Type.Optional(Type.Integer({ minimum: 0, description: 'of an MPI job; ranks are told at /jobs/{id}/ranks' })),
  from: Type.Optional(Type.Number({ minimum: 0, maximum: 4e12 })),
  to: Type.Optional(Type.Number({ minimum: 1, maximum: 4e12 })),
  burst: Type.Optional(Type.String({ description: 'a burst profile; absent: the continuous one' })),
})
export type Scope = Static<typeof Scope>

/** How much of the truth an answer covers. */
export const Coverage = Type.Object({
  from: Type.Number(),
  to: Type.Number(),
  samples: Type.Number({ description: 'samples behind the answer' }),
  lost: Type.Number({ description: "samples lost on the scope's nodes in the window" }),
  throttled: Type.Number({ description: "times the kernel throttled sampling on the scope's nodes in the window" }),
  samplerCpu: Type.Union([Type.Number(), Type.Null()], {
    description: 'cores that the sampler itself used, mean over nodes and time; null where nobody told it',
  }),
  unwinding: Type.Union([Type.Literal('eh_frame'), Type.Literal('perf'), Type.Literal('')], {
    description: "how stacks were unwound: by the programs' own .eh_frame, or by perf(1); '' where nobody told it",
  }),
  truncatedShare: Type.Number({ description: '0..1 of the value: stack cut before its root' }),
  unnamedShare: Type.Number({ description: '0..1 of the value: leaf function without a name' }),
  idleSeconds: Type.Number({ description: 'left out unless idle=true' }),
})
export type Coverage = Static<typeof Coverage>

/** GET /clusters */
export const Clusters = Type.Object({
  clusters: Type.Array(
    Type.Object({
      cluster: Type.String(),
      simulated: Type.Boolean({ description: 'written by jobsight demo' }),
      nodes: Type.Number(),
      nodesUp: Type.Number({ description: 'heard from within 3 of their intervals' }),
      nodesBusy: Type.Number({ description: 'up, and more than 10 % of the cores busy' }),
      cores: Type.Number(),
      coresBusy: Type.Number(),
      coresAllocated: Type.Number(),
      memoryBytes: Type.Number(),
      memoryUsedBytes: Type.Number(),
      jobsRunning: Type.Number(),
      jobsQueued: Type.Number(),
      lastSeen: Nullable(Type.Number()),
    }),
  ),
})
export type Clusters = Static<typeof Clusters>

/** GET /catalogue: every metric that can be asked for, and whether the cluster has any of it. */
export const Catalogue = Type.Object({
  metrics: Type.Array(
    Type.Object({
      entity: Type.String(),
      column: Type.String(),
      unit: Type.String(),
      meaning: Type.String(),
      source: Type.String(),
      full: Nullable(Type.Union([Type.Number(), Type.String()])),
      there: Type.Optional(Type.Boolean({ description: 'the cluster told it in the last hours' })),
    }),
  ),
})
export type Catalogue = Static<typeof Catalogue>

/** GET /nodes?cluster: the newest values of every node, hottest first. */
export const NodeSummary = Type.Object({
  node: Type.String(),
  state: Type.Union([Type.Literal('up'), Type.Literal('silent')]),
  schedulerState: Nullable(Type.String()),
  lastSeen: Nullable(Type.Number()),
  cores: Nullable(Type.Number()),
  values: Type.Record(Type.String(), Nullable(Type.Number()), {
    description: 'newest value of each column of entity node',
  }),
  jobs: Type.Array(Type.Object({ id: Type.String(), user: Nullable(Type.String()) })),
  topProcess: Nullable(
    Type.Object({
      pid: Type.Number(),
      start: Type.Number(),
      name: Type.String(),
      user: Type.String(),
      cores: Type.Number(),
    }),
  ),
  topFunction: Nullable(Type.Object({ function: Type.String(), module: Type.String(), share: Type.Number() })),
})
export type NodeSummary = Static<typeof NodeSummary>
export const Nodes = Type.Object({ cluster: Type.String(), nodes: Type.Array(NodeSummary) })
export type Nodes = Static<typeof Nodes>

/** GET /nodes/:node */
export const NodeDetail = Type.Object({
  ...NodeSummary.properties,
  record: Nullable(Type.Partial(Node)),
  /** entity -> the instances it has in the window: disk -> [vda, vdb]. */
  instances: Type.Record(Type.String(), Type.Array(Type.String())),
})
export type NodeDetail = Static<typeof NodeDetail>

/** GET /heatmap?metric&from&to&buckets[&entity=node][&order=hottest|name|job]: nodes down, time across. `rows[n][t]`. */
export const Heatmap = Type.Object({
  cluster: Type.String(),
  metric: Type.String(),
  unit: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  bucketMs: Type.Number(),
  nodes: Type.Array(Type.String()),
  mean: Values,
  full: Type.Optional(
    Type.Array(Nullable(Type.Number()), { description: 'what full means for each node, in the unit of the values' }),
  ),
  rows: Type.Array(Values),
})
export type Heatmap = Static<typeof Heatmap>

/**
 * GET /series?metrics=cpu_user,disk.read_bytes&node=…&from&to&buckets: many metrics on one time axis.
 * A metric is a column of entity node, or entity.column for each instance (core.cpu_user). With `band=true` the scope's
 * nodes are merged into min, median and max instead of one series a node.
 */
export const Series = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  bucketMs: Type.Number({ description: 'bucket i ends at from + (i+1) x bucketMs' }),
  series: Type.Array(
    Type.Object({
      metric: Type.String(),
      unit: Type.String(),
      node: Type.String({ description: "'' in a band" }),
      instance: Type.String(),
      band: Nullable(Type.Union([Type.Literal('min'), Type.Literal('median'), Type.Literal('max')])),
      full: Nullable(Type.Number({ description: 'what full means, in the unit of the values' })),
      values: Values,
    }),
  ),
})
export type Series = Static<typeof Series>

/** GET /processes?scope&sort=cpu|memory|read|write&limit: top processes of the window. */
export const ProcessRow = Type.Object({
  node: Type.String(),
  pid: Type.Number(),
  start: Type.Number(),
  name: Type.String(),
  command: Type.String(),
  user: Type.String(),
  job: Type.String(),
  step: Type.String(),
  rank: Nullable(Type.Number()),
  evidence: Type.String(),
  first: Type.Number({ description: 'first and last tick it was seen in, within the window' }),
  last: Type.Number(),
  cpuUser: Nullable(Type.Number({ description: 'mean cores over the window (CPU seconds / window), user code' })),
  cpuSystem: Nullable(Type.Number()),
  memoryBytes: Nullable(Type.Number({ description: 'highest in the window' })),
  readBytes: Nullable(Type.Number({ description: 'bytes a second, mean over the time seen' })),
  writeBytes: Nullable(Type.Number()),
  threads: Nullable(Type.Number()),
  state: Type.String({ description: 'as in proc(5); X: it has ended' }),
  executable: Type.String(),
  container: Type.String(),
  cpuDelay: Nullable(Type.Number({ description: 'seconds a second, all threads: ready to run, but without a CPU' })),
  diskDelay: Nullable(Type.Number({ description: 'seconds a second, all threads: waiting for a disk' })),
  numaNode: Nullable(Type.Number({ description: 'where its main thread ran last' })),
  gpuUtilization: Nullable(Type.Number({ description: 'GPUs in use, mean over the time seen' })),
  gpuMemoryBytes: Nullable(Type.Number({ description: 'highest in the window' })),
  ended: Nullable(
    Type.Number({
      description:
        'so many processes came and went: the row is the sum of those of one parent, user and name; 0: not known how many; null: one process',
    }),
  ),
  sampled: Type.Boolean({ description: 'stacks of it exist in the window' }),
})
export type ProcessRow = Static<typeof ProcessRow>
export const Processes = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  processes: Type.Array(ProcessRow),
  total: Type.Number({ description: 'distinct processes in the scope; more than are listed' }),
  other: Type.Object({ cpu: Type.Number({ description: 'mean cores of those not listed' }), count: Type.Number() }),
})
export type Processes = Static<typeof Processes>

/** GET /process?node&pid&start&from&to&buckets: one process over time. */
export const ProcessDetail = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  bucketMs: Type.Number(),
  process: ProcessRow,
  series: Type.Record(Type.String(), Values, {
    description: 'cpuUser, cpuSystem, memoryBytes, readBytes, writeBytes, threads, cpuDelay, diskDelay, gpuUtilization',
  }),
  categories: Type.Array(Type.Object({ category: Type.String(), seconds: Type.Number(), samples: Type.Number() })),
})
export type ProcessDetail = Static<typeof ProcessDetail>

/**
 * GET /flame?scope&direction=topdown|bottomup&nodes=4000[&function=…]: a tree as flat arrays, in preorder, node 0 the root.
 * top-down: from main, inclusive. bottom-up: hot functions first, under each who calls it.
 * Pruned children of a node become one child of kind 'other', so that the totals stay exact.
 */
export const Flame = Type.Object({
  cluster: Type.String(),
  direction: Type.Union([Type.Literal('topdown'), Type.Literal('bottomup')]),
  strings: Type.Array(Type.String()),
  kinds: Type.Array(Type.String()),
  tree: Type.Object({
    parent: Type.Array(Type.Number({ description: '-1 for the root' })),
    function: Type.Array(Type.Number({ description: 'into strings' })),
    module: Type.Array(Type.Number({ description: 'into strings' })),
    kind: Type.Array(Type.Number({ description: 'into kinds' })),
    self: Type.Array(Type.Number({ description: 'CPU seconds' })),
    total: Type.Array(Type.Number({ description: 'CPU seconds' })),
    samples: Type.Array(Type.Number({ description: 'behind total' })),
    category: Type.Optional(
      Type.Array(Type.Number({ description: 'into categories: what the largest part of total was doing' })),
    ),
  }),
  categories: Type.Optional(Type.Array(Type.String())),
  seconds: Type.Number({ description: 'CPU seconds of the whole scope; equals total of the root' }),
  wholeSeconds: Type.Optional(
    Type.Number({ description: 'the same without `function`: what a share of the whole is taken of' }),
  ),
  coverage: Coverage,
})
export type Flame = Static<typeof Flame>

/** GET /functions?scope&sort=self|total&limit&search: the function table. Shares are of `seconds`. */
export const Functions = Type.Object({
  cluster: Type.String(),
  seconds: Type.Number(),
  functions: Type.Array(
    Type.Object({
      function: Type.String(),
      module: Type.String(),
      kind: Type.String(),
      self: Type.Number({ description: 'CPU seconds' }),
      total: Type.Number(),
      selfShare: Type.Number({ description: '0..1' }),
      totalShare: Type.Number(),
      samples: Type.Number({ description: 'behind self' }),
    }),
  ),
  other: Type.Object({ self: Type.Number(), count: Type.Number({ description: 'functions not listed' }) }),
  coverage: Coverage,
})
export type Functions = Static<typeof Functions>

/** GET /categories?scope[&buckets]: CPU seconds by what the stack was doing; with buckets also over time. */
export const Categories = Type.Object({
  cluster: Type.String(),
  categories: Type.Array(Type.Object({ category: Type.String(), seconds: Type.Number(), samples: Type.Number() })),
  over: Type.Optional(
    Type.Object({
      from: Type.Number(),
      to: Type.Number(),
      bucketMs: Type.Number(),
      categories: Type.Array(Type.Object({ category: Type.String(), seconds: Values }), {
        description: 'CPU seconds in each bucket; divided by its length they are mean cores',
      }),
    }),
  ),
})
export type Categories = Static<typeof Categories>

/** GET /stacks?scope&format=folded|speedscope|pprof: a file with every stack, unpruned, for other tools. */
export const Stacks = Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary' })
export type Stacks = Static<typeof Stacks>

/** A row of the job list. */
export const JobRow = Type.Object({
  id: Type.String(),
  name: Type.String(),
  user: Type.String(),
  account: Type.String(),
  queue: Type.String(),
  state: Type.String(),
  submit: Nullable(Type.Number()),
  start: Nullable(Type.Number()),
  end: Nullable(Type.Number()),
  nodeCount: Type.Number(),
  cores: Type.Number(),
  gpus: Type.Number(),
  /** Share of the allocated core time that was used; null while nothing was measured. */
  cpuEfficiency: Nullable(Type.Number()),
  /** Mean cores used, as a sparkline over the job's life. */
  memoryEfficiency: Nullable(Type.Number()),
  topFunction: Nullable(Type.String()),
})
export type JobRow = Static<typeof JobRow>

const Weights = Type.Object({
  self: Type.Array(Type.Number({ description: 'CPU seconds' })),
  total: Type.Array(Type.Number({ description: 'CPU seconds' })),
  samples: Type.Array(Type.Number({ description: 'behind total' })),
})
const FunctionSide = Type.Object({
  self: Type.Number({ description: 'CPU seconds' }),
  total: Type.Number({ description: 'CPU seconds' }),
  samples: Type.Number({ description: 'behind self' }),
})
const ComparedSide = Type.Object({
  job: Nullable(JobRow),
  nodes: Type.Array(Type.String(), { description: 'that were named' }),
  rank: Nullable(Type.Number()),
  seconds: Type.Number({ description: 'CPU seconds of the samples; the total of the root of the tree' }),
  coreSeconds: Nullable(
    Type.Number({
      description: 'core time that it had while it was measured: allocated to the job, or all cores of the nodes',
    }),
  ),
  coverage: Coverage,
})

/**
 * GET /compare?scope&otherJob|otherNode|otherRank|otherFrom&otherTo: this scope (a) beside another (b). One tree holds the
 * stacks of both; a box that only one of them has is 0 in the other.
 */
export const Comparison = Type.Object({
  cluster: Type.String(),
  a: ComparedSide,
  b: ComparedSide,
  metrics: Type.Array(
    Type.Object({
      metric: Type.String(),
      unit: Type.String(),
      a: Nullable(Type.Number({ description: 'mean over its nodes and time' })),
      b: Nullable(Type.Number()),
    }),
  ),
  categories: Type.Array(
    Type.Object({ category: Type.String(), a: Type.Number({ description: 'CPU seconds' }), b: Type.Number() }),
  ),
  strings: Type.Array(Type.String()),
  kinds: Type.Array(Type.String()),
  tree: Type.Object({
    parent: Type.Array(Type.Number({ description: '-1 for the root; preorder, like Flame' })),
    function: Type.Array(Type.Number({ description: 'into strings' })),
    module: Type.Array(Type.Number({ description: 'into strings' })),
    kind: Type.Array(Type.Number({ description: 'into kinds' })),
    a: Weights,
    b: Weights,
  }),
  functions: Type.Array(
    Type.Object({
      function: Type.String(),
      module: Type.String(),
      kind: Type.String(),
      a: FunctionSide,
      b: FunctionSide,
    }),
    { description: 'those whose shares of own time differ most' },
  ),
  functionsLeftOut: Type.Number(),
})
export type Comparison = Static<typeof Comparison>

/** GET /jobs?cluster&user&account&queue&state=running,queued&name&node&from&to&limit&cursor: newest first. */
export const Jobs = Type.Object({
  cluster: Type.String(),
  jobs: Type.Array(JobRow),
  total: Type.Number(),
  next: Nullable(Type.String({ description: 'cursor of the next page' })),
  schedulers: Type.Array(
    Type.Object({
      node: Type.String({ description: 'whose collector asks it' }),
      unreadable: Nullable(Type.String({ description: 'why it is not known what runs and waits; null: it answers' })),
      waits: Nullable(Type.String({ description: 'who asks in its place until falling silent; null: it asks itself' })),
    }),
  ),
})
export type Jobs = Static<typeof Jobs>

/** GET /jobs/:id */
export const JobDetail = Type.Object({
  cluster: Type.String(),
  job: JobRow,
  record: Job,
  from: Type.Number({ description: 'window that measurements of it are asked for' }),
  to: Type.Number(),
  coreSecondsAllocated: Nullable(Type.Number()),
  coreSecondsUsed: Nullable(Type.Number()),
  memoryPeakBytes: Nullable(Type.Number()),
  sampledSeconds: Type.Number(),
  gpuUtilization: Nullable(
    Type.Number({
      description: '0..1, mean of the GPUs that it holds, while it ran; null: it asked for none, or not known',
    }),
  ),
  energyJoules: Nullable(Type.Number({ description: 'of CPUs and their memory, what fell to the job' })),
  coverage: Type.Optional(
    Nullable(Type.Number({ description: '0..1 of its node-seconds that were measured; below 0.5 nothing is found' })),
  ),
  /** What stands out, worst first, each with its evidence. */
  findings: Type.Array(
    Type.Object({
      severity: Type.Union([Type.Literal('info'), Type.Literal('warning')]),
      text: Type.String(),
      node: Nullable(Type.String()),
    }),
  ),
})
export type JobDetail = Static<typeof JobDetail>

/** GET /jobs/:id/nodes?metric&from&to&buckets: every node of the job against the others. */
export const JobNodes = Type.Object({
  cluster: Type.String(),
  metric: Type.String(),
  unit: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  bucketMs: Type.Number(),
  functionsFrom: Type.Number({ description: 'topFunction is of the samples since then: of a large job the last part' }),
  nodes: Type.Array(
    Type.Object({
      node: Type.String(),
      cores: Nullable(Type.Number({ description: 'allocated to the job here' })),
      mean: Nullable(Type.Number()),
      /** Distance of the mean from the median of the nodes in robust standard deviations (0.6745 d / MAD). */
      score: Nullable(Type.Number()),
      jobCores: Nullable(Type.Number({ description: 'mean cores its processes used on this node' })),
      topFunction: Nullable(Type.String()),
      values: Values,
    }),
  ),
  band: Type.Object({ min: Values, median: Values, max: Values }),
})
export type JobNodes = Static<typeof JobNodes>

/** GET /jobs/:id/ranks: the ranks of a parallel job against each other, by their samples. */
export const JobRanks = Type.Object({
  cluster: Type.String(),
  from: Type.Number(),
  to: Type.Number(),
  ranks: Type.Array(
    Type.Object({
      rank: Type.Number(),
      node: Type.String({ description: 'where most of its time was' }),
      processes: Type.Number(),
      seconds: Type.Number({ description: 'CPU seconds' }),
      samples: Type.Number({ description: 'behind seconds' }),
      waitShare: Type.Number({ description: '0..1 of seconds that waited for others: MPI, locks' }),
      topFunction: Nullable(Type.String()),
      topShare: Type.Number({ description: '0..1 of seconds in it' }),
    }),
    { description: 'by rank' },
  ),
  unranked: Type.Object(
    { seconds: Type.Number(), processes: Type.Number() },
    { description: 'of processes of the job that are of no rank: shells, launchers, daemons' },
  ),
})
export type JobRanks = Static<typeof JobRanks>

/** GET /bands?cluster&node&from&to: the jobs that ran on the scope's nodes, for lanes over the time axis. */
export const JobBands = Type.Object({
  cluster: Type.String(),
  jobs: Type.Array(
    Type.Object({
      id: Type.String(),
      name: Type.String(),
      user: Type.String(),
      state: Type.String(),
      from: Type.Number(),
      to: Type.Number(),
      nodes: Type.Array(Type.String()),
    }),
  ),
})
export type JobBands = Static<typeof JobBands>

/** GET /search?q: nodes, jobs, users, functions whose name holds q; what '/' in the page asks. */
export const Search = Type.Object({
  hits: Type.Array(
    Type.Object({
      kind: Type.Union([Type.Literal('node'), Type.Literal('job'), Type.Literal('user'), Type.Literal('function')]),
      cluster: Type.String(),
      name: Type.String(),
      hint: Type.String(),
    }),
  ),
})
export type Search = Static<typeof Search>

/** POST /bursts: what is looked at (a job, one rank of it, a process of a node, or nodes), how closely and how long. */
export const BurstAsk = Type.Object(
  {
    cluster: Scope.properties.cluster,
    job: Scope.properties.job,
    node: Scope.properties.node,
    pid: Scope.properties.pid,
    start: Scope.properties.start,
    rank: Type.Optional(Type.Integer({ minimum: 0, description: 'of the job' })),
    hz: Type.Optional(
      Type.Integer({
        minimum: BURST_LIMITS.minHz,
        maximum: BURST_LIMITS.maxHz,
        default: 499,
        description: 'samples a second and CPU',
      }),
    ),
    seconds: Type.Optional(
      Type.Number({ minimum: BURST_LIMITS.minSeconds, maximum: BURST_LIMITS.maxSeconds, default: 30 }),
    ),
  },
  { additionalProperties: false, examples: [{ job: '4711', rank: 3, hz: 997, seconds: 30 }] },
)
export type BurstAsk = Static<typeof BurstAsk>

/** GET /bursts: closer looks, newest first. POST /bursts and GET /bursts/:id answer one Burst. */
export const Bursts = Type.Object({ cluster: Type.String(), bursts: Type.Array(Burst) })
export type Bursts = Static<typeof Bursts>

/**
 * WebSocket /live. The browser sends LiveAsk; the server answers each write that touches it with LivePoints.
 * A slow reader loses frames, never the server its memory: `dropped` counts them. With `bursts` the cluster's bursts are told
 * too, as LiveBurst, each time one changes; with `alerts` how many fire, as LiveAlerts, at once and after each change of theirs.
 */
export const LiveAsk = Type.Object({
  cluster: Type.String(),
  nodes: Type.Optional(Type.Array(Type.String(), { description: 'absent: all' })),
  metrics: Type.Array(Type.String(), { description: 'columns of entity node' }),
  bursts: Type.Optional(Type.Boolean()),
  alerts: Type.Optional(Type.Boolean()),
})
export type LiveAsk = Static<typeof LiveAsk>
export const LivePoints = Type.Object({
  cluster: Type.String(),
  time: Type.Number(),
  nodes: Type.Array(Type.String()),
  /** values[m][n] */
  values: Type.Array(Values),
  dropped: Type.Number(),
})
export type LivePoints = Static<typeof LivePoints>
export const LiveBurst = Type.Object({ burst: Burst })
export type LiveBurst = Static<typeof LiveBurst>
/** Of those that the reader may see; as /alerts counts them. */
export const LiveAlerts = Type.Object({
  alerts: Type.Object({ cluster: Type.String(), firing: Type.Number(), critical: Type.Number() }),
})
export type LiveAlerts = Static<typeof LiveAlerts>

/** GET /session: who is signed in. POST /session {user, password} signs in, DELETE /session out. */
export const SessionAnswer = Type.Object({
  user: Nullable(Type.String({ description: "null: nobody; '' where nobody needs to be" })),
  roles: Type.Array(Type.String({ description: 'admin, support, manager, user' })),
  accounts: Type.Array(Type.String({ description: 'that a manager answers for' })),
  via: Nullable(Type.String({ description: 'open: everyone may see all; password, oidc, proxy, jwt, token' })),
  until: Nullable(Type.Number({ description: 'when one has to sign in again' })),
  ways: Type.Object({ password: Type.Boolean(), oidc: Type.Boolean() }),
})
export type SessionAnswer = Static<typeof SessionAnswer>

export const ErrorAnswer = Type.Object({ error: Type.Object({ code: Type.String(), message: Type.String() }) })
export type ErrorAnswer = Static<typeof ErrorAnswer>
