/** What an operator may set of the store and of ingest: schema, default and type under one name. */
import { type Static, Type } from 'typebox'

const Days = (value: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 36_500, default: value, description }))

export const RetentionDays = Type.Object(
  {
    points: Days(30, 'metrics of every tick'),
    rollups: Days(400, 'metrics a minute and an hour, functions a minute'),
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
    path: Type.Optional(Type.String({ description: 'data directory of the embedded store' })),
    database: Type.Optional(Type.String({ default: 'jobsight', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    user: Type.Optional(Type.String({ description: 'of the ClickHouse server' })),
    password: Type.Optional(Type.String({ description: 'of the ClickHouse server' })),
    retentionDays: Type.Optional(RetentionDays),
    memoryBytes: Type.Optional(
      Type.Integer({
        minimum: 256 << 20,
        description: 'what the embedded store may use; absent: a quarter of the machine, 1 GiB to 4 GiB',
      }),
    ),
  },
  { additionalProperties: false },
)
export type StoreConfig = Static<typeof StoreConfig>

export const IngestConfig = Type.Object(
  {
    flushMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 60_000, default: 1000, description: 'oldest row that waits for its batch' }),
    ),
    flushRows: Type.Optional(
      Type.Integer({ minimum: 1, default: 100_000, description: 'rows that make a batch full' }),
    ),
    maxBodyBytes: Type.Optional(
      Type.Integer({ minimum: 1024, default: 16 << 20, description: 'of a request as it arrives; above: 413' }),
    ),
    maxInflatedBytes: Type.Optional(
      Type.Integer({ minimum: 1024, default: 64 << 20, description: 'of a request after decompression; above: 413' }),
    ),
    maxQueuedBytes: Type.Optional(
      Type.Integer({ minimum: 1 << 20, default: 256 << 20, description: 'rows that wait for the store; above: 429' }),
    ),
    maxSeries: Type.Optional(
      Type.Integer({
        minimum: 1,
        default: 500_000,
        description: 'cumulative counters whose last value is remembered; above: the oldest is forgotten and counted',
      }),
    ),
    futureMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        default: 3_600_000,
        description: "how far ahead of this machine's clock a record may lie; further: refused",
      }),
    ),
  },
  { additionalProperties: false },
)
export type IngestConfig = Static<typeof IngestConfig>
