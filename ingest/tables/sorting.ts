/**
 * In which order rows lie on disk: those of one hour together, and in it those of one node.
 *
 *   node first   |n1 ------ 23 h ------|n2 ------ 23 h ------|   the last hour of 1000 nodes: a granule of each, all of the day
 *   hour first   |11 h: n1 n2 n3 …|12 h: n1 n2 n3 …|             the last hour of 1000 nodes: that hour
 *
 * A granule of 8192 rows holds 23 hours of one node at 10 s, or an hour of 23 nodes, so a node's hour is one granule in both,
 * and its day 24 in place of 2: a day is read from the rollups, which are sorted by day for the same reason.
 *
 * The index ends before the time: a condition on time then stands for one on its hour. With the time in it, it would be compared with that
 * alone, which tells nothing behind the node (granules of a node's hour: 49 of 316, in place of 2).
 */
import type { Logger } from 'pino'
import { sharedTable } from './cluster.ts'
import type { Database } from './migrate.ts'
import { ENTITY_NAMES, keysOf, pointsOrder, pointsTable, ROLLUPS, rollupOrder, rollupTable } from './points.ts'

/** As ClickHouse tells it in system.tables.sorting_key. Of the others the order has not changed. */
const SORTED_BY: ReadonlyMap<string, string> = new Map([
  ['processes', 'cluster, toStartOfHour(time), node, time, pid'],
  ['samples', 'cluster, job, event, toStartOfHour(time), node, pid, start_ms, time, stack_id'],
  ['function_minutes', 'cluster, job, event, toStartOfHour(minute), node, pid, start_ms, minute, function_id, period'],
  ...ENTITY_NAMES.flatMap((entity): [string, string][] => [
    [pointsTable(entity), pointsOrder(entity)],
    ...ROLLUPS.map((rollup): [string, string] => [rollupTable(entity, rollup), rollupOrder(entity, rollup)]),
  ]),
])

const COPY = '_sorting'

interface Table {
  name: string
  /** As it was made. */
  made: string
  order: string
}

/**
 * Sorts tables that an older Jobsight made. Each is whole until its sorted copy takes its place in one step, so a start that was
 * killed here begins with it again. Where the disk has no room for the copy, and on a cluster, tables stay as they are: right, and slower.
 */
export async function sortTables(db: Database, log: Logger): Promise<void> {
  const rows = await db.read(
    `SELECT name, engine, sorting_key, primary_key, create_table_query AS made FROM system.tables
      WHERE database = currentDatabase() AND engine LIKE '%MergeTree'`,
  )
  for (const row of rows) {
    const name = String(row.name)
    // Of a start that was killed: a part of a table, or one whose copy has taken its place.
    if (name.endsWith(COPY)) await db.command(`DROP TABLE IF EXISTS ${name}`)
    const order = SORTED_BY.get(sharedTable(name))
    if (order === undefined) continue
    if (keysOf(order) === `PRIMARY KEY (${String(row.primary_key)}) ORDER BY (${String(row.sorting_key)})`) continue
    if (String(row.engine).startsWith('Replicated')) {
      log.warn(
        { table: name, order },
        'store: this table is sorted as an older Jobsight made it: questions of an hour are slower',
      )
    } else await sortTable(db, { name, made: String(row.made), order }, log)
  }
}

async function sortTable(db: Database, table: Table, log: Logger): Promise<void> {
  const { name, order } = table
  const copy = `${name}${COPY}`
  const parts = await db.read(
    `SELECT partition_id AS id, sum(bytes_on_disk) AS bytes FROM system.parts
      WHERE database = currentDatabase() AND table = '${name}' AND active GROUP BY partition_id ORDER BY partition_id`,
  )
  const bytes = parts.reduce((sum, part) => sum + Number(part.bytes), 0)
  const free = await freeBytes(db, name)
  if (free < bytes * ROOM) {
    const needed = Math.ceil((bytes * ROOM) / 1e9)
    log.warn(
      { table: name, bytes, free },
      `store: ${name} stays in the order of an older Jobsight, and questions of an hour are slower: sorting it needs ${needed} GB free. Free them and start again`,
    )
    return
  }
  await db.command(copyStatement(table, copy))
  for (const [i, { id }] of parts.entries()) {
    await db.command(
      `INSERT INTO ${copy} SELECT * FROM ${name} WHERE _partition_id = '${String(id)}' SETTINGS ${SMALL_BLOCKS}`,
    )
    log.info({ table: name, partition: id, done: i + 1, of: parts.length }, 'store: sorting a table by hour')
  }
  await db.command(`EXCHANGE TABLES ${name} AND ${copy}`)
  await db.command(`DROP TABLE ${copy}`)
  if (parts.length > 0) log.info({ table: name, bytes, order }, 'store: table sorted')
}

/** Parts of the copy are merged while more of them are made. */
const ROOM = 1.5
/** A block is sorted in memory: 58 columns of a million rows are half a GiB. */
const SMALL_BLOCKS = 'min_insert_block_size_bytes = 134217728'

async function freeBytes(db: Database, table: string): Promise<number> {
  const [row] = await db.read(
    `SELECT min(unreserved_space) AS free FROM system.disks WHERE name IN (
      SELECT disk_name FROM system.parts WHERE database = currentDatabase() AND table = '${table}' AND active)`,
  )
  return Number(row?.free ?? 0)
}

/** The same columns, codecs, retention and settings; only name and order are others. */
function copyStatement({ name, made, order }: Table, copy: string): string {
  const [head = '', tail = ''] = made.split(/ ORDER BY \([^\n]*?\) (?=TTL |SETTINGS )/)
  const columns = head.slice(head.indexOf('(')).replace(/ PRIMARY KEY \([^\n]*\)$/, '')
  if (tail === '' || columns === head) throw new Error(`the table ${name} was made in a way that is not known: ${made}`)
  return `CREATE TABLE IF NOT EXISTS ${copy} ${columns} ${keysOf(order)} ${tail}`
}
