/**
 * What an operator may set of the collector: schema, default and type under one name. main.ts composes file, environment
 * and flags, fills the defaults and names the key that is wrong.
 */
import { type Static, Type } from 'typebox'

const closed = { additionalProperties: false, default: {} }

const ProcessesConfig = Type.Object(
  {
    topByCpu: Type.Integer({
      minimum: 0,
      maximum: 10_000,
      default: 20,
      description: 'processes a tick, hottest first',
    }),
    topByMemory: Type.Integer({ minimum: 0, maximum: 10_000, default: 20, description: 'and the largest ones' }),
  },
  closed,
)

const StacksConfig = Type.Object(
  {
    mode: Type.Enum(['auto', 'addon', 'perf', 'off'], {
      default: 'auto',
      description: 'who samples: the addon, perf(1), the first of these that can (auto), nobody (off)',
    }),
    hz: Type.Integer({
      minimum: 1,
      maximum: 2000,
      default: 19,
      description: 'samples a second and CPU; prime: no lockstep',
    }),
    windowMs: Type.Integer({
      minimum: 1000,
      maximum: 600_000,
      default: 10_000,
      description: 'equal stacks are added over it',
    }),
    includeIdle: Type.Boolean({ default: false, description: 'the idle task too' }),
    stackBytes: Type.Integer({
      minimum: 512,
      maximum: 65_528,
      default: 16_384,
      description: 'of user stack copied with a sample; deeper stacks are cut and said to be',
    }),
  },
  closed,
)
export type StacksConfig = Static<typeof StacksConfig>

const BurstsConfig = Type.Object(
  {
    atOnce: Type.Integer({
      minimum: 0,
      maximum: 16,
      default: 2,
      description: 'closer looks from the page or API that may run at the same time on this node; 0: none',
    }),
    maxHz: Type.Integer({ minimum: 20, maximum: 2000, default: 2000, description: 'highest rate of a closer look' }),
  },
  closed,
)

const SchedulerConfig = Type.Object(
  {
    kind: Type.Enum(['auto', 'slurm', 'pbs', 'gridengine', 'none'], {
      default: 'auto',
      description: 'auto: the one whose commands are found',
    }),
    pollEveryMs: Type.Integer({
      minimum: 1000,
      maximum: 3_600_000,
      default: 15_000,
      description: 'how often it is asked',
    }),
    format: Type.Enum(['auto', 'json', 'text'], {
      default: 'auto',
      description:
        'of Slurm. auto: JSON where there is one; text is half the work, without what a job holds on each node',
    }),
    accountingPath: Type.Optional(
      Type.String({ description: 'PBS: directory, Grid Engine: file of the accounting; absent: the usual place' }),
    ),
  },
  closed,
)
export type SchedulerConfig = Static<typeof SchedulerConfig>

const TlsConfig = Type.Object(
  {
    ca: Type.Optional(
      Type.String({ description: 'PEM file: who signed the server, if no authority that is known anyway' }),
    ),
    cert: Type.Optional(
      Type.String({ description: 'PEM file: the certificate of this node, where the server wants one' }),
    ),
    key: Type.Optional(Type.String({ description: 'PEM file: its key' })),
  },
  closed,
)
export type TlsConfig = Static<typeof TlsConfig>

export const CollectorConfig = Type.Object(
  {
    cluster: Type.Optional(
      Type.String({ minLength: 1, maxLength: 255, description: "absent: the receiver's own default" }),
    ),
    tokenFile: Type.Optional(
      Type.String({
        description: 'file with the token that the server wants, as jobsight token CLUSTER prints it there',
      }),
    ),
    tls: TlsConfig,
    node: Type.Optional(Type.String({ minLength: 1, maxLength: 255, description: 'absent: the short host name' })),
    intervalMs: Type.Integer({
      minimum: 1000,
      maximum: 3_600_000,
      default: 10_000,
      description: 'tick, on the wall clock',
    }),
    roots: Type.Object(
      {
        proc: Type.String({ default: '/proc', description: "in a container: where the host's /proc is mounted" }),
        sys: Type.String({ default: '/sys', description: "in a container: where the host's /sys is mounted" }),
      },
      closed,
    ),
    spool: Type.Object(
      {
        path: Type.Optional(Type.String({ description: 'directory for what could not be sent; absent: memory only' })),
        maxBytes: Type.Integer({
          minimum: 0,
          default: 256 << 20,
          description: 'on disk; beyond it the oldest is dropped',
        }),
        memoryBytes: Type.Integer({
          minimum: 1 << 16,
          default: 16 << 20,
          description: 'in memory, before the disk is used',
        }),
      },
      closed,
    ),
    processes: ProcessesConfig,
    perCore: Type.Boolean({ default: true, description: 'CPU modes of each core too, not only of the node' }),
    jobBandwidth: Type.Boolean({
      default: false,
      description: 'memory bandwidth of each job by a monitoring group of resctrl, which is written for it',
    }),
    counters: Type.String({
      default: '',
      pattern: '^((ipc|cache|flops)(,(ipc|cache|flops))*)?$',
      description:
        'hardware counters of the cores to use: any of ipc,cache,flops; they are then not free for other tools',
    }),
    stacks: StacksConfig,
    bursts: BurstsConfig,
    scheduler: SchedulerConfig,
  },
  closed,
)
export type CollectorConfig = Static<typeof CollectorConfig>
