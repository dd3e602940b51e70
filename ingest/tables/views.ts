/**
 * Views with stable names and plain units, for Grafana's ClickHouse data source and for people who write SQL: the tables
 * beneath may change with a migration, these keep their columns. Made on a ClickHouse server only: nobody else can reach chDB.
 *
 *   view_node view_core view_disk …     a row an instance and tick, a column a metric in its unit (ratio 0..1, bytes, watts)
 *   view_node_5m …                      the same over five minutes: mean, and the highest as highest_NAME
 *   view_jobs view_processes view_functions view_series
 */
import { idOf } from '../hash.ts'
import { COLUMNS, type Entity } from '../metrics.ts'
import type { Database } from './migrate.ts'
import { ENTITY_NAMES, pointsTable, rollupTable } from './points.ts'

const keyOf = (entity: Entity): string =>
  entity === 'node' ? 'cluster, node, time' : `cluster, node, instance AS ${entity}, time`

const pointsView = (entity: Entity): string =>
  `SELECT ${[keyOf(entity), 'interval_ms', ...COLUMNS[entity].map(m => `${m.column} / ${m.scale} AS ${m.column}`)].join(', ')}
FROM ${pointsTable(entity)}`

/** Parts of a bucket that are not merged yet are added up. */
const rollupView = (entity: Entity): string => {
  const key = entity === 'node' ? 'cluster, node, time' : 'cluster, node, instance, time'
  const values = COLUMNS[entity].flatMap(m => [
    `sum(t.${m.column}_sum) / nullIf(sum(t.${m.column}_count), 0) / ${m.scale} AS ${m.column}`,
    `max(t.${m.column}_max) / ${m.scale} AS highest_${m.column}`,
  ])
  return `SELECT ${[keyOf(entity), ...values].join(', ')} FROM ${rollupTable(entity, '5m')} AS t GROUP BY ${key}`
}

const time = (ms: string): string => `if(${ms} = 0, NULL, toDateTime(intDiv(${ms}, 1000), 'UTC'))`

const JOBS = `SELECT cluster, id AS job, name, user, account, queue, state, ${time('submit_ms')} AS submitted, ${time('start_ms')} AS started,
  ${time('end_ms')} AS ended, if(start_ms = 0, NULL, (start_ms - submit_ms) / 1000) AS waited_seconds,
  if(start_ms = 0, NULL, (if(end_ms = 0, toUnixTimestamp(now()) * 1000, end_ms) - start_ms) / 1000) AS ran_seconds,
  node_count, cores, gpus, nodes FROM jobs FINAL`

const PROCESSES = `SELECT cluster, node, time, pid, name, command, user, job, step, rank, cpu_user, cpu_system,
  ifNull(cpu_user, 0) + ifNull(cpu_system, 0) AS cpu, memory_bytes, read_bytes, write_bytes, threads, state FROM processes`

/** CPU seconds of each function and minute. */
const FUNCTIONS = `SELECT m.cluster AS cluster, m.job AS job, m.node AS node, m.pid AS pid, m.minute AS time, f.function AS function, f.module AS module,
  m.self / 1e9 AS self_seconds, m.total / 1e9 AS total_seconds
FROM function_minutes AS m
LEFT JOIN (SELECT function_id, any(function) AS function, any(module) AS module FROM frames GROUP BY function_id) AS f ON f.function_id = m.function_id
WHERE m.event = 'cpu'`

const SERIES = `SELECT s.cluster AS cluster, s.node AS node, s.name AS name, s.unit AS unit, s.kind AS kind, s.attributes AS attributes, p.time AS time, p.value AS value
FROM series_points AS p
INNER JOIN (SELECT * FROM series LIMIT 1 BY series_id) AS s ON s.series_id = p.series_id`

/** Name -> what it selects. */
export const VIEWS: ReadonlyMap<string, string> = new Map([
  ...ENTITY_NAMES.flatMap((entity): [string, string][] => [
    [`view_${entity}`, pointsView(entity)],
    [`view_${entity}_5m`, rollupView(entity)],
  ]),
  ['view_jobs', JOBS],
  ['view_processes', PROCESSES],
  ['view_functions', FUNCTIONS],
  ['view_series', SERIES],
])

/** A view is made anew where it is not what this program would make: its comment tells. */
export async function showViews(db: Database): Promise<void> {
  const rows = await db.read(
    "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine = 'View'",
  )
  const has = new Map(rows.map(row => [String(row.name), String(row.comment)]))
  for (const [name, select] of VIEWS) {
    const comment = idOf('view', select).toString(16)
    if (has.get(name) !== comment) await db.command(`CREATE OR REPLACE VIEW ${name} AS ${select} COMMENT '${comment}'`)
  }
}
