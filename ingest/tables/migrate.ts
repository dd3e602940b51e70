/**
 * Brings a store to this program's tables. Numbered .sql files run once each, in order, forward only; the tables of points
 * follow the catalogue; retention follows the configuration.
 *
 * Every statement may run twice (IF NOT EXISTS, ADD COLUMN IF NOT EXISTS): a start that was killed half way is repeated.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { RetentionDays } from '../config.ts'
import { StoreError } from '../errors.ts'
import type { Entity } from '../metrics.ts'
import { sharedTable } from './cluster.ts'
import {
  type Column,
  createPoints,
  createRollup,
  ENTITY_NAMES,
  LARGER_BLOCKS,
  NO_STATISTICS,
  pointColumns,
  pointsTable,
  REMEMBER_TOKENS,
  ROLLUPS,
  rollupColumns,
  rollupTable,
} from './points.ts'
import { sortTables } from './sorting.ts'

export interface Database {
  command(sql: string): Promise<void>
  /** Rows of a question without parameters. */
  read(sql: string): Promise<Record<string, unknown>[]>
}

export interface Migration {
  version: number
  name: string
  statements: string[]
}

export type Retention = Required<RetentionDays>

export const DEFAULT_RETENTION: Retention = {
  points: 30,
  rollups: 400,
  processes: 30,
  samples: 30,
  stacks: 400,
  jobs: 800,
}

/** Which retention each table of the .sql files follows. */
export const RETENTION_OF: Readonly<Record<string, keyof Retention>> = {
  processes: 'processes',
  processes_5m: 'processes',
  jobs: 'jobs',
  nodes: 'jobs',
  frames: 'stacks',
  stacks: 'stacks',
  samples: 'samples',
  bursts: 'samples',
  function_minutes: 'rollups',
  job_usage: 'rollups',
  function_hours: 'rollups',
  functions_5m: 'rollups',
  series: 'points',
  series_points: 'points',
  alerts: 'jobs',
  ...Object.fromEntries(ENTITY_NAMES.map(e => [pointsTable(e), 'points'])),
  ...Object.fromEntries(ENTITY_NAMES.flatMap(e => ROLLUPS.map(r => [rollupTable(e, r), 'rollups']))),
}

/** 001_base.sql -> {version: 1, name: 'base', statements}. One statement ends at a line that is only ';'. */
export function readMigrations(folder: string): Migration[] {
  return readdirSync(folder)
    .filter(file => /^\d{3}_.*\.sql$/.test(file))
    .sort()
    .map(file => ({
      version: Number(file.slice(0, 3)),
      name: file.slice(4, -4),
      statements: readFileSync(join(folder, file), 'utf8')
        .split(/^;\s*$/m)
        .filter(statement => statement.replace(/^--.*$/gm, '').trim() !== ''),
    }))
}

export async function migrate(
  db: Database,
  migrations: readonly Migration[],
  retention: Retention,
  log: Logger,
): Promise<void> {
  await db.command(
    'CREATE TABLE IF NOT EXISTS schema_version (version UInt32, name String, applied DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY version',
  )
  const applied = new Set((await db.read('SELECT version FROM schema_version')).map(row => Number(row.version)))
  const has = Math.max(0, ...applied)
  const newest = migrations.at(-1)?.version ?? 0
  if (has > newest) {
    throw new StoreError(
      'newer',
      `The store is at version ${has}, this Jobsight knows versions up to ${newest}: start the newer Jobsight that wrote it, or give another data directory`,
    )
  }
  for (const migration of migrations.filter(m => !applied.has(m.version))) {
    for (const statement of migration.statements) await db.command(await withOrder(db, withDays(statement, retention)))
    await db.command(`INSERT INTO schema_version (version, name) VALUES (${migration.version}, '${migration.name}')`)
    log.info({ version: migration.version, name: migration.name }, 'store: tables brought to version')
  }
  const columns = await readColumns(db)
  const everywhere = await settingsKnown(db)
  for (const entity of ENTITY_NAMES) await growPoints(db, columns, entity, retention, everywhere, log)
  await sortTables(db, log)
  await applyRetention(db, retention, log)
  await addSettings(db, everywhere)
}

/** Read by many rows at a time. */
const LARGE: ReadonlySet<unknown> = new Set([
  ...ENTITY_NAMES.flatMap(e => [pointsTable(e), ...ROLLUPS.map(r => rollupTable(e, r))]),
  'samples',
  'function_minutes',
])

/** Of those that every table is to have: a server from before 25.10 gathers no statistics and does not know the setting. */
async function settingsKnown(db: Database): Promise<string[]> {
  const rows = await db.read("SELECT name FROM system.merge_tree_settings WHERE name = 'auto_statistics_types'")
  return rows.length > 0 ? [NO_STATISTICS] : []
}

/** Of tables that were made before there were these settings. Replicated ones remember tokens anyway, and keep their blocks. */
async function addSettings(db: Database, everywhere: readonly string[]): Promise<void> {
  const tables = await db.read(
    `SELECT name, engine, create_table_query AS made FROM system.tables
      WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`,
  )
  for (const { name, engine, made } of tables) {
    const ofLarge = LARGE.has(name) ? [LARGER_BLOCKS] : []
    const alone = String(engine).startsWith('Replicated') ? [] : [REMEMBER_TOKENS, ...ofLarge]
    const missing = [...alone, ...everywhere].filter(setting => !String(made).includes(setting))
    if (missing.length > 0) await db.command(`ALTER TABLE ${String(name)} MODIFY SETTING ${missing.join(', ')}`)
  }
}

export const withDays = (statement: string, retention: Retention): string =>
  statement.replace(/\{days:(\w+)\}/g, (_, name: string) => {
    const days = Object.entries(retention).find(([key]) => key === name)?.[1]
    if (days === undefined) throw new StoreError('config', `no retention is called ${name}`)
    return String(days)
  })

/** `{order:TABLE.COLUMN}`: what the table is sorted by now, which an older Jobsight may have chosen otherwise, and then by the column. */
async function withOrder(db: Database, statement: string): Promise<string> {
  const [asked, table = '', column = ''] = /\{order:(\w+)\.(\w+)\}/.exec(statement) ?? []
  if (asked === undefined) return statement
  const [row] = await db.read(
    `SELECT sorting_key AS keys FROM system.tables
      WHERE database = currentDatabase() AND name IN ('${table}', '${table}_local') AND engine LIKE '%MergeTree'`,
  )
  const keys = String(row?.keys ?? '').split(', ')
  return statement.replace(asked, [...keys.filter(key => key !== column), column].join(', '))
}

/** Creates an entity's tables or adds the columns that the catalogue has and they lack. */
async function growPoints(
  db: Database,
  has: Columns,
  entity: Entity,
  retention: Retention,
  settings: readonly string[],
  log: Logger,
): Promise<void> {
  const grow = async (table: string, ddl: string, wanted: readonly Column[]) => {
    const columns = has.get(table)
    if (columns === undefined) await db.command([ddl, ...settings].join(', '))
    else await addColumns(db, table, columns, wanted, log)
  }
  await grow(pointsTable(entity), createPoints(entity, retention.points), pointColumns(entity))
  for (const rollup of ROLLUPS) {
    const ddl = createRollup(entity, rollup, retention.rollups)
    await grow(rollupTable(entity, rollup), ddl, rollupColumns(entity))
  }
}

async function addColumns(
  db: Database,
  table: string,
  has: ReadonlySet<string>,
  wanted: readonly Column[],
  log: Logger,
): Promise<void> {
  const missing = wanted.filter(c => !has.has(c.name))
  if (missing.length === 0) return
  await db.command(
    `ALTER TABLE ${table} ${missing.map(c => `ADD COLUMN IF NOT EXISTS ${c.name} ${c.type} ${c.codec}`).join(', ')}`,
  )
  log.info({ table, columns: missing.map(c => c.name) }, 'store: columns added for metrics new in the catalogue')
}

/** table -> its columns, of all tables there are. */
type Columns = ReadonlyMap<string, ReadonlySet<string>>

async function readColumns(db: Database): Promise<Columns> {
  const rows = await db.read(
    'SELECT table, groupArray(name) AS names FROM system.columns WHERE database = currentDatabase() GROUP BY table',
  )
  return new Map(rows.map(r => [String(r.table), new Set(Array.isArray(r.names) ? r.names.map(String) : [])]))
}

/** Where the configured days differ from the table's, its TTL is changed; old parts fall with the next merge. */
async function applyRetention(db: Database, retention: Retention, log: Logger): Promise<void> {
  const rows = await db.read(
    'SELECT name, create_table_query AS ddl FROM system.tables WHERE database = currentDatabase()',
  )
  for (const row of rows) {
    const table = String(row.name)
    const key = RETENTION_OF[sharedTable(table)]
    const found = /\bTTL (.+) \+ toIntervalDay\((\d+)\)/.exec(String(row.ddl))
    if (key === undefined || found === null || Number(found[2]) === retention[key]) continue
    await db.command(
      `ALTER TABLE ${table} MODIFY TTL ${found[1]} + toIntervalDay(${retention[key]}) SETTINGS materialize_ttl_after_modify = 0`,
    )
    log.info({ table, days: retention[key], before: Number(found[2]) }, 'store: retention changed')
  }
}
