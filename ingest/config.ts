/** What an operator may set of the store and of ingest: schema, default and type under one name. */
import { type Static, Type } from 'typebox'

/** At most 54 years: a DateTime that ends a TTL ends in 2106, and past it rows would vanish at once. */
const Days = (value: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 20_000, default: value, description }))

export const RetentionDays = Type.Object(
  {
    points: Days(30, 'metrics of every tick'),
    rollups: Days(400, 'metrics in five minutes and in an hour, functions a minute'),
    processes: Days(30, 'top processes of every tick'),
    samples: Days(30, 'stack samples'),
    stacks: Days(400, 'frames and stacks, counted from when they were last seen'),
    jobs: Days(800, 'jobs and nodes, counted from their last change'),
  },
  { additionalProperties: false },
)
export type RetentionDays = Static<typeof RetentionDays>

export const StoreConfig = Type.Object(
  {
    url: Type.Optional(
      Type.String({ description: 'a ClickHouse server, http://host:8123; absent: chDB in this process' }),
    ),
    path: Type.Optional(
      Type.String({
        description:
          'data directory of the embedded store; with url: where rows wait that the server does not have yet',
      }),
    ),
    cluster: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
        description:
          'with url: name of the ClickHouse cluster (system.clusters) that all tables are made on; absent: one server',
      }),
    ),
    database: Type.Optional(Type.String({ default: 'jobsight', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    user: Type.Optional(Type.String({ description: 'of the ClickHouse server' })),
    password: Type.Optional(Type.String({ description: 'of the ClickHouse server' })),
    retentionDays: Type.Optional(RetentionDays),
    maxBytes: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'what it may hold on disk: said at four fifths of it, and a week before it is reached; nothing is deleted for it',
      }),
    ),
    memoryBytes: Type.Optional(
      Type.Integer({
        minimum: 256 << 20,
        description: 'what the embedded store may use; absent: a quarter of the machine, 1 GiB to 4 GiB',
      }),
    ),
    questionsAtOnce: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 64,
        description:
          'that the embedded store answers; absent: two less than the threads that UV_THREADPOOL_SIZE gives, 2 to 8',
      }),
    ),
  },
  { additionalProperties: false },
)
export type StoreConfig = Static<typeof StoreConfig>

export const INGEST_DEFAULTS = {
  flushMs: 1000,
  flushRows: 100_000,
  maxBodyBytes: 16 << 20,
  maxInflatedBytes: 64 << 20,
  maxQueuedBytes: 256 << 20,
  maxSeries: 500_000,
  maxStacks: 200_000,
  maxPlaces: 500_000,
  futureMs: 3_600_000,
} as const

const Count = (name: keyof typeof INGEST_DEFAULTS, minimum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum, default: INGEST_DEFAULTS[name], description }))

export const IngestConfig = Type.Object(
  {
    flushMs: Count(
      'flushMs',
      0,
      'how long the oldest row waits for its batch, in the journal meanwhile; 0: no journal, an acknowledgement waits for the database',
    ),
    flushRows: Count('flushRows', 1, 'rows that make a batch full'),
    maxBodyBytes: Count('maxBodyBytes', 1024, 'of a request as it arrives; above: 413'),
    maxInflatedBytes: Count('maxInflatedBytes', 1024, 'of a request after decompression; above: 413'),
    maxQueuedBytes: Count('maxQueuedBytes', 1 << 20, 'rows that wait for the store; above: 429'),
    maxSeries: Count(
      'maxSeries',
      2,
      'cumulative counters, and foreign series, that are remembered; above: the oldest are forgotten and counted',
    ),
    maxStacks: Count('maxStacks', 2, 'stacks known to be stored; above: the oldest are forgotten, and stored again'),
    maxPlaces: Count('maxPlaces', 1, 'nodes, cores, disks … that are remembered; points of others are refused'),
    futureMs: Count('futureMs', 0, "how far ahead of this machine's clock a record may lie; further: refused"),
  },
  { additionalProperties: false },
)
export type IngestConfig = Static<typeof IngestConfig>
