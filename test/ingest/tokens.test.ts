/** A kill between a block's token and its part, as it lies on disk afterwards. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { RowWriter } from '../../ingest/rowbinary.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { freshPath, quiet, rows } from './place.ts'

const T = Date.UTC(2026, 10, 28, 12)

async function insert(store: Store, node: string, token: string): Promise<void> {
  const writer = new RowWriter()
  writer.string('c')
  writer.string(node)
  writer.dateTime(T)
  writer.endRow()
  await store.insert('node_points', ['cluster', 'node', 'time'], writer.bytes, writer.rows, token)
}

const nodes = async (store: Store): Promise<string[]> =>
  (await rows<{ node: string }>(store, 'SELECT toString(node) AS node FROM node_points ORDER BY node')).map(r => r.node)

/** Of the only table that has parts of this day and a log of tokens with them. */
function partsOfPoints(path: string): string[] {
  const store = join(path, 'clickhouse', 'store')
  const tables = readdirSync(store).flatMap(folder => readdirSync(join(store, folder)).map(t => join(store, folder, t)))
  return tables.flatMap(table =>
    existsSync(join(table, 'deduplication_logs'))
      ? readdirSync(table).flatMap(name => (/^20261128_\d+_\d+_\d+$/.test(name) ? [join(table, name)] : []))
      : [],
  )
}

it('a block whose token was noted and whose part is not there is stored by its second insert, one that is there is not', async () => {
  const path = freshPath()
  const first = await openStore({ path }, { log: quiet })
  await first.command('SYSTEM STOP MERGES')
  for (const [node, token] of [
    ['n1', 'segment-1'],
    ['n2', 'segment-2'],
  ] as const)
    await insert(first, node, token)
  expect(await nodes(first)).toEqual(['n1', 'n2'])
  await first.close()
  const parts = partsOfPoints(path).filter(part => /_2_2_0$/.test(part))
  expect(parts).toHaveLength(1)
  for (const part of parts) rmSync(part, { recursive: true })

  const next = await openStore({ path }, { log: quiet })
  expect(await nodes(next)).toEqual(['n1'])
  await insert(next, 'n1', 'segment-1')
  await insert(next, 'n2', 'segment-2')
  expect(await nodes(next)).toEqual(['n1', 'n2'])
  await insert(next, 'n2', 'segment-2')
  await next.command('OPTIMIZE TABLE node_points FINAL')
  expect(await nodes(next)).toEqual(['n1', 'n2'])
  await next.close()

  // What was merged is in a larger part, and known still.
  const last = await openStore({ path }, { log: quiet })
  await insert(last, 'n1', 'segment-1')
  await insert(last, 'n2', 'segment-2')
  expect(await nodes(last)).toEqual(['n1', 'n2'])
  await last.close()
})

it('a kill between a block and what the store adds up of it: the second insert of the block fills that in, and the third adds nothing', async () => {
  const store = await openStore({ path: freshPath() }, { log: quiet })
  const view = 'function_hours_of_minutes'
  const [made] = await rows<{ sql: string }>(
    store,
    `SELECT create_table_query AS sql FROM system.tables WHERE database = currentDatabase() AND name = '${view}'`,
  )
  const insertFunctions = async (): Promise<void> => {
    const writer = new RowWriter()
    for (const functionId of [1n, 2n]) {
      writer.string('c')
      writer.string('7')
      writer.string('cpu')
      writer.dateTime(T)
      writer.u64(functionId)
      writer.i64(7)
      writer.endRow()
    }
    const columns = ['cluster', 'job', 'event', 'minute', 'function_id', 'self']
    await store.insert('function_minutes', columns, writer.bytes, writer.rows, 'segment-1')
  }
  const sums = async (): Promise<number[]> => {
    const tables = ['function_minutes', 'functions_5m', 'function_hours']
    const found = await Promise.all(tables.map(table => rows(store, `SELECT sum(self) AS self FROM ${table}`)))
    return found.map(([row]) => Number(row?.self))
  }
  await store.command(`DROP VIEW ${view}`)
  await insertFunctions()
  expect(await sums()).toEqual([14, 14, 0])
  await store.command(made?.sql ?? '')
  await insertFunctions()
  expect(await sums()).toEqual([14, 14, 14])
  await insertFunctions()
  expect(await sums()).toEqual([14, 14, 14])
  await store.close()
})
