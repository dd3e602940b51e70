/**
 * The same tables on a ClickHouse cluster: each becomes a replicated table on every server, NAME_local, and a distributed one
 * under its own name, which all that reads and writes goes through.
 *
 *   CREATE TABLE IF NOT EXISTS samples (…) ENGINE = MergeTree …
 *     -> CREATE TABLE IF NOT EXISTS samples_local ON CLUSTER hpc (…) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/…', '{replica}') …
 *     -> CREATE TABLE IF NOT EXISTS samples ON CLUSTER hpc AS samples_local ENGINE = Distributed(hpc, jobsight, samples_local, …)
 *
 * Rows are spread such that what is merged or read together lies together: points by node, stacks of a job by job, so that
 * replacing and adding up work within a shard. {shard} and {replica} are the servers' own macros.
 * https://clickhouse.com/docs/engines/table-engines/special/distributed
 */
import { StoreError } from '../errors.ts'
import type { Database } from './migrate.ts'

const SHARD_BY: readonly [RegExp, string][] = [
  [/_points(_\w+)?$|^processes(_5m)?$|^nodes$/, 'cityHash64(cluster, node)'],
  [/^samples$|^function_minutes$/, "cityHash64(cluster, if(job = '', node, job))"],
  [/^job_usage$|^function_hours$|^functions_5m$/, 'cityHash64(cluster, job)'],
  [/^jobs$|^bursts$/, 'cityHash64(cluster, id)'],
  [/^frames$/, 'frame_id'],
  [/^stacks$/, 'stack_id'],
  [/^series$/, 'series_id'],
]

/** series_points has no node: its series are spread by their id. */
const shardBy = (table: string): string =>
  table === 'series_points' ? 'series_id' : (SHARD_BY.find(([names]) => names.test(table))?.[1] ?? 'rand()')

/** samples_local -> samples */
export const sharedTable = (table: string): string => table.replace(/_local$/, '')
const localTable = (table: string): string => `${sharedTable(table)}_local`

const CREATE =
  /^\s*CREATE TABLE IF NOT EXISTS (\w+)\s*(\([\s\S]*\))\s*ENGINE = (\w*MergeTree)(?:\(((?:[^()]|\([^()]*\))*)\))?([\s\S]*)$/
const ALTER = /^\s*ALTER TABLE (\w+)\s+([\s\S]*)$/
const VIEW = /^\s*(CREATE OR REPLACE VIEW|DROP VIEW IF EXISTS|DROP TABLE IF EXISTS) (\w+)([\s\S]*)$/
const MATERIALIZED = /^\s*CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\s+([\s\S]*)$/
const TRUNCATE = /^\s*TRUNCATE TABLE (\w+)\s*$/
const DELETE = /^\s*DELETE FROM (\w+) ([\s\S]*)$/

/** One statement of a single server as those of a cluster, in order. Throws StoreError for one it does not know. */
export function clusterStatements(statement: string, cluster: string, database: string): string[] {
  const sql = statement.replace(/^--.*$/gm, '').trim()
  const on = `ON CLUSTER ${cluster}`
  const created = CREATE.exec(sql)
  if (created !== null) {
    const [, table = '', columns = '', engine = '', given, rest = ''] = created
    const path = `'/clickhouse/tables/{shard}/${database}/${table}', '{replica}'`
    const parameters = given === undefined ? path : `${path}, ${given}`
    return [
      `CREATE TABLE IF NOT EXISTS ${localTable(table)} ${on} ${columns} ENGINE = Replicated${engine}(${parameters})${rest}`,
      `CREATE TABLE IF NOT EXISTS ${table} ${on} AS ${localTable(table)} ENGINE = Distributed(${cluster}, ${database}, ${localTable(table)}, ${shardBy(table)})`,
    ]
  }
  const altered = ALTER.exec(sql)
  if (altered !== null) return alterStatements(altered[1] ?? '', altered[2] ?? '', on)
  const deleted = DELETE.exec(sql)
  if (deleted !== null) return [`DELETE FROM ${localTable(deleted[1] ?? '')} ${on} ${deleted[2]}`]
  const emptied = TRUNCATE.exec(sql)
  if (emptied !== null) return [`TRUNCATE TABLE ${localTable(emptied[1] ?? '')} ${on}`]
  const fed = MATERIALIZED.exec(sql)
  if (fed !== null) return [fedView(fed[1] ?? '', fed[2] ?? '', fed[3] ?? '', on)]
  const view = VIEW.exec(sql)
  if (view !== null) {
    const [, verb = '', name = '', rest = ''] = view
    const dropped = `${verb} ${name} ${on}${rest}`
    return verb === 'DROP TABLE IF EXISTS' ? [dropped, `${verb} ${localTable(name)} ${on}${rest}`] : [dropped]
  }
  // Over a distributed table its columns are known by an alias only.
  if (/^\s*INSERT INTO /.test(sql)) return [sql.replace(/\bFROM (\w+)/g, 'FROM $1 AS $1')]
  throw new StoreError('config', `this statement is not known for a cluster of ClickHouse servers: ${sql.slice(0, 80)}`)
}

/** Fed where the rows arrive, into the same server's part: questions add the parts up. */
function fedView(name: string, to: string, select: string, on: string): string {
  const local = select.replace(/\bFROM (\w+)/g, (_, table: string) => `FROM ${localTable(table)} AS ${table}`)
  return `CREATE MATERIALIZED VIEW IF NOT EXISTS ${name} ${on} TO ${localTable(to)} AS ${local}`
}

/** Columns are both tables', all else is the local one's. */
function alterStatements(table: string, change: string, on: string): string[] {
  const local = `ALTER TABLE ${localTable(table)} ${on} ${change}`
  if (!change.startsWith('ADD COLUMN') && !change.startsWith('DROP COLUMN')) return [local]
  const plain = change.replace(/ CODEC\((?:[^()]|\([^()]*\))*\)/g, '').replace(/,\s*MODIFY ORDER BY [\s\S]*$/, '')
  return [local, `ALTER TABLE ${table} ${on} ${plain}`]
}

/** A database whose tables are made on all servers of a cluster. */
export const onCluster = (db: Database, cluster: string, database: string): Database => ({
  command: async sql => {
    for (const statement of clusterStatements(sql, cluster, database)) await db.command(statement)
  },
  read: db.read,
})
