/**
 * The tables of points, made from the catalogue: one row an entity instance and tick, one column a metric.
 *
 *   node_points      cluster node          time interval_ms cpu_user cpu_system memory_used …
 *   disk_points      cluster node instance time interval_ms read_bytes …
 *
 *   node_points_5m   cluster node time rows cpu_user_sum cpu_user_count cpu_user_max …   and _1h
 *
 * Rollups are fed by ingest (rollups.ts), not by materialized views: a view adds its 200 columns to every insert, which
 * measured 110 ms of CPU for each block of points; a row each five minutes costs a fiftieth of that. A rollup of minutes with
 * minima was as large as the ticks themselves (1.57 bytes a value beside 1.40), and a screen has no room for it:
 * what is shown finer than five minutes is read from the ticks.
 *
 * A value is stored as round(value x scale): scaled integers with Delta and T64 before ZSTD measured smallest, 0.92 bytes
 * a value against 1.54 for Float64 and ZSTD.
 *
 * `time` is the end of what a row covers, in a point and in a rollup alike: the row 12:05:00 of _5m holds the points of
 * (12:00:00, 12:05:00]. So one condition, time > from AND time <= to, asks any of them.
 */
import { COLUMNS, ENTITIES, type Entity, type Metric } from '../metrics.ts'

export interface Column {
  name: string
  type: string
  codec: string
}

/** Tokens of so many inserts a table: those of a journal that is read again are among the newest. */
export const REMEMBER_TOKENS = 'non_replicated_deduplication_window = 1000'

/**
 * Four granules a compressed block: 4 % smaller than the 64 KiB of one (a column that nobody fills is a few bytes a block), and
 * twelve columns of a node are not read slower for it. With 1 MiB they are. Of samples and their functions 7-9 %.
 */
export const LARGER_BLOCKS = 'min_compress_block_size = 262144'

/**
 * From 26.4 on ClickHouse counts the different values of every column at each merge, for plans of joins and conditions off the
 * index, which no question here has. Without: an hour of 1000 nodes 1.171 -> 1.139 bytes a value with rollups, 6 % less CPU; two hours
 * of a core's samples and functions 13 % less.
 */
export const NO_STATISTICS = "auto_statistics_types = ''"

export const ROLLUPS = ['5m', '1h'] as const
export type Rollup = (typeof ROLLUPS)[number]

export const ENTITY_NAMES = Object.keys(ENTITIES) as Entity[]

/** The same for every entity; a new entity fails to compile here until it is in. */
export const perEntity = <T>(make: (entity: Entity) => T): Readonly<Record<Entity, T>> => ({
  node: make('node'),
  core: make('core'),
  disk: make('disk'),
  interface: make('interface'),
  filesystem: make('filesystem'),
  socket: make('socket'),
  gpu: make('gpu'),
  job: make('job'),
  numa: make('numa'),
  cache: make('cache'),
})

export const pointsTable = (entity: Entity): string => `${entity}_points`
export const rollupTable = (entity: Entity, rollup: Rollup): string => `${entity}_points_${rollup}`
export const ROLLUP_SECONDS: Readonly<Record<Rollup, number>> = { '5m': 300, '1h': 3600 }

/** ClickHouse type of a stored value. A ratio fits 32 bits with room for what a strange sender may call a ratio. */
export const storedType = (metric: Metric): 'Int32' | 'Int64' => (metric.unit === 'ratio' ? 'Int32' : 'Int64')

const metricCodec = (metric: Metric): string =>
  metric.unit === 'bytes' ? "CODEC(Delta, GCD, T64('bit'), ZSTD(1))" : "CODEC(Delta, T64('bit'), ZSTD(1))"

const keyColumns = (entity: Entity): Column[] => [
  { name: 'cluster', type: 'LowCardinality(String)', codec: '' },
  { name: 'node', type: 'LowCardinality(String)', codec: '' },
  ...(entity === 'node' ? [] : [{ name: 'instance', type: 'LowCardinality(String)', codec: '' }]),
]

/** Columns of the raw table. */
export const pointColumns = (entity: Entity): Column[] => [
  ...keyColumns(entity),
  { name: 'time', type: "DateTime('UTC')", codec: 'CODEC(Delta, ZSTD(1))' },
  { name: 'interval_ms', type: 'UInt32', codec: 'CODEC(T64, ZSTD(1))' },
  ...COLUMNS[entity].map(m => ({ name: m.column, type: `Nullable(${storedType(m)})`, codec: metricCodec(m) })),
]

/**
 * Columns of a rollup: how many points, and of each metric the sum and count (the mean is their quotient) and max of the
 * stored integers. Several rows may hold parts of one bucket until they are merged: add up, never take one for all.
 */
export const rollupColumns = (entity: Entity): Column[] => [
  ...keyColumns(entity),
  { name: 'time', type: "DateTime('UTC')", codec: 'CODEC(Delta, ZSTD(1))' },
  { name: 'rows', type: 'SimpleAggregateFunction(sum, UInt64)', codec: 'CODEC(T64, ZSTD(1))' },
  ...COLUMNS[entity].flatMap(m => [
    {
      name: `${m.column}_sum`,
      type: 'SimpleAggregateFunction(sum, Nullable(Int64))',
      codec: "CODEC(Delta, T64('bit'), ZSTD(1))",
    },
    { name: `${m.column}_count`, type: 'SimpleAggregateFunction(sum, UInt64)', codec: 'CODEC(T64, ZSTD(1))' },
    {
      name: `${m.column}_max`,
      type: `SimpleAggregateFunction(max, Nullable(${storedType(m)}))`,
      codec: metricCodec(m),
    },
  ]),
]

const ddlColumn = (c: Column): string => `  ${c.name} ${c.type}${c.codec === '' ? '' : ` ${c.codec}`}`
const key = (entity: Entity): string => [...keyColumns(entity).map(c => c.name), 'time'].join(', ')

/** In which order rows lie, and of it what the index holds: see sorting.ts. */
export const keysOf = (order: string): string => {
  const primary = order.includes('(') ? order.replace(/, (time|minute)\b.*$/, '') : order
  return `PRIMARY KEY (${primary}) ORDER BY (${order})`
}
const sortedBy = (span: string, entity: Entity): string => key(entity).replace('cluster,', `cluster, ${span},`)
export const pointsOrder = (entity: Entity): string => sortedBy('toStartOfHour(time)', entity)
export const rollupOrder = (entity: Entity, rollup: Rollup): string =>
  rollup === '5m' ? sortedBy('toDate(time)', entity) : key(entity)

export const createPoints = (entity: Entity, days: number): string => `
CREATE TABLE IF NOT EXISTS ${pointsTable(entity)} (
${pointColumns(entity).map(ddlColumn).join(',\n')}
) ENGINE = MergeTree PARTITION BY toDate(time) ${keysOf(pointsOrder(entity))}
TTL toDate(time) + INTERVAL ${days} DAY SETTINGS ttl_only_drop_parts = 1, ${REMEMBER_TOKENS}, ${LARGER_BLOCKS}`

/** Partitions longer than a day: a rollup has few rows, and many columns make many small files. */
export const createRollup = (entity: Entity, rollup: Rollup, days: number): string => `
CREATE TABLE IF NOT EXISTS ${rollupTable(entity, rollup)} (
${rollupColumns(entity).map(ddlColumn).join(',\n')}
) ENGINE = AggregatingMergeTree PARTITION BY ${rollup === '5m' ? 'toMonday(time)' : 'toStartOfMonth(time)'} ${keysOf(rollupOrder(entity, rollup))}
TTL toDate(time) + INTERVAL ${days} DAY SETTINGS ttl_only_drop_parts = 1, ${REMEMBER_TOKENS}, ${LARGER_BLOCKS}`

/** How a rollup is made from what is finer: the statement that mends it after a crash, and what tests hold it against. */
export const rollupSelect = (entity: Entity, rollup: Rollup): string => {
  const seconds = ROLLUP_SECONDS[rollup]
  const fromPoints = rollup === '5m'
  const of = (name: string, what: 'sum' | 'count' | 'max'): string =>
    fromPoints ? `${what}(p.${name})` : `${what === 'count' ? 'sum' : what}(p.${name}_${what})`
  return `SELECT ${[
    ...keyColumns(entity).map(c => c.name),
    `toDateTime(intDiv(toUnixTimestamp(p.time) - 1, ${seconds}) * ${seconds} + ${seconds}, 'UTC') AS time`,
    fromPoints ? 'count() AS rows' : 'sum(p.rows) AS rows',
    ...COLUMNS[entity].flatMap(m =>
      (['sum', 'count', 'max'] as const).map(what => `${of(m.column, what)} AS ${m.column}_${what}`),
    ),
  ].join(',\n  ')}
FROM ${fromPoints ? pointsTable(entity) : rollupTable(entity, '5m')} AS p`
}

export const rollupKey = key
