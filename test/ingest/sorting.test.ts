/** Stores that an older Jobsight made are sorted by hour at their first start. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore, type Store } from '../../ingest/store.ts'
import { sortTables } from '../../ingest/tables/sorting.ts'
import { freshPath, quiet, rows } from './place.ts'

/** As they were sorted before there were hours. */
const OLDER: Readonly<Record<string, string>> = {
  node_points: 'cluster, node, time',
  disk_points: 'cluster, node, instance, time',
  node_points_5m: 'cluster, node, time',
  processes: 'cluster, node, time, pid',
  samples: 'cluster, job, event, node, pid, start_ms, time, stack_id',
  function_minutes: 'cluster, job, event, node, pid, start_ms, minute, function_id',
}
const DAY = Date.UTC(2026, 10, 20) / 1000

async function made(store: Store, table: string): Promise<{ ddl: string; key: string }> {
  const [row] = await rows<{ ddl: string; key: string }>(
    store,
    `SELECT create_table_query AS ddl, sorting_key AS key FROM system.tables WHERE database = currentDatabase() AND name = '${table}'`,
  )
  return row ?? { ddl: '', key: '' }
}

const held = async (store: Store, table: string): Promise<unknown> =>
  (await rows(store, `SELECT count() AS n, groupBitXor(cityHash64(* EXCEPT period)) AS hash FROM ${table}`))[0]

/** A store of two days, as an older Jobsight would have left it. */
async function olderStore(path: string): Promise<Map<string, unknown>> {
  const store = await openStore({ path }, { log: quiet })
  for (const [table, key] of Object.entries(OLDER)) {
    const { ddl } = await made(store, table)
    await store.command(`DROP TABLE ${table}`)
    await store.command(
      ddl.replace(/(PRIMARY KEY \([^\n]*\) )?ORDER BY \([^\n]*?\) (?=TTL|SETTINGS)/, `ORDER BY (${key}) `),
    )
    expect((await made(store, table)).key).toBe(key)
  }
  for (const view of ['function_hours_of_minutes', 'functions_5m_of_minutes']) await store.command(`DROP VIEW ${view}`)
  await store.command('DROP TABLE function_hours')
  await store.command('ALTER TABLE function_minutes DROP COLUMN sample_count, DROP COLUMN period')
  await store.command('ALTER TABLE samples DROP COLUMN sample_count, DROP COLUMN period')
  await store.command('DELETE FROM schema_version WHERE version IN (50, 77)')
  const time = `toDateTime(${DAY} + 40 * number, 'UTC')`
  await store.command(`INSERT INTO node_points (cluster, node, time, interval_ms, cpu_busy)
    SELECT 'c', concat('n', toString(number % 5)), ${time}, 10000, number FROM numbers(4000)`)
  await store.command(`INSERT INTO disk_points (cluster, node, instance, time, interval_ms, read_bytes)
    SELECT 'c', 'n', concat('sd', toString(number % 3)), ${time}, 10000, number FROM numbers(100)`)
  await store.command(`INSERT INTO node_points_5m (cluster, node, time, rows, cpu_busy_sum, cpu_busy_count)
    SELECT 'c', 'n', toDateTime(${DAY} + 300 * number, 'UTC'), 30, number, 30 FROM numbers(500)`)
  await store.command(`INSERT INTO processes (cluster, node, time, interval_ms, pid, job, cpu_user)
    SELECT 'c', 'n', ${time}, 10000, number % 7, '1', 1 FROM numbers(2000)`)
  await store.command(`INSERT INTO samples (cluster, job, event, node, pid, time, stack_id, value, count)
    SELECT 'c', '1', 'cpu', 'n', number % 7, ${time}, number, 5, 1 FROM numbers(2000)`)
  await store.command(`INSERT INTO function_minutes (cluster, job, event, node, pid, minute, function_id, self, total, self_count)
    SELECT 'c', ['1', ''][1 + number % 2], 'cpu', 'n', number % 7, toDateTime(${DAY} + 60 * (1 + intDiv(number, 4)), 'UTC'), number % 4, 5, 9, 1
    FROM numbers(8000)`)
  const before = new Map<string, unknown>()
  for (const table of [...Object.keys(OLDER), 'job_usage']) before.set(table, await held(store, table))
  await store.close()
  return before
}

/** Its functions an hour are those of its minutes, and what is written, of a process not written of before, is added up once. */
async function expectFed(store: Store, pid: number): Promise<void> {
  const sums = (table: string, time: string, count: string) =>
    rows(
      store,
      `SELECT job, ${time} AS end, function_id, sum(self) AS a, sum(total) AS b, sum(${count}) AS c
        FROM ${table} GROUP BY job, end, function_id ORDER BY job, end, function_id`,
    )
  const ofMinutes = () =>
    sums('function_minutes', 'toDateTime(intDiv(toUnixTimestamp(minute) + 3599, 3600) * 3600)', 'sample_count')
  expect((await ofMinutes()).length).toBeGreaterThan(100)
  expect(await sums('function_hours', 'toDateTime(hour)', 'self_count')).toEqual(await ofMinutes())
  const [{ seen } = { seen: '' }] = await rows<{ seen: string }>(store, 'SELECT sum(seen) AS seen FROM job_usage')
  await store.command(`INSERT INTO function_minutes (cluster, job, event, node, pid, minute, function_id, self, total, period, self_count)
    VALUES ('c', '1', 'cpu', 'n', ${pid}, ${DAY + 3600}, 3, 100, 100, 0, 1), ('c', '1', 'cpu', 'n', ${pid}, ${DAY + 3600}, 3, 100, 100, 25, 0)`)
  await store.command(
    `INSERT INTO processes (cluster, node, time, interval_ms, pid, job, cpu_user) VALUES ('c', 'n', ${DAY}, 10000, ${pid}, '1', 1)`,
  )
  expect(await sums('function_hours', 'toDateTime(hour)', 'self_count')).toEqual(await ofMinutes())
  expect(await rows(store, 'SELECT sum(seen) AS seen FROM job_usage')).toEqual([{ seen: String(Number(seen) + 1) }])
}

describe('a store that was sorted by node first', () => {
  it('is sorted by hour, with all that is in it, also after a start that was killed half way', async () => {
    const path = freshPath()
    const before = await olderStore(path)
    let store = await openStore({ path }, { log: quiet })
    for (const table of Object.keys(OLDER)) {
      expect((await made(store, table)).key).toMatch(/to(StartOfHour|Date)\(/)
      expect([table, await held(store, table)]).toEqual([table, before.get(table)])
    }
    // In the process that sorted them, too.
    await expectFed(store, 101)
    for (const table of before.keys()) before.set(table, await held(store, table))
    // What a killed start leaves: a part of a table under another name.
    const { ddl } = await made(store, 'samples')
    await store.command(ddl.replace('samples', 'samples_sorting'))
    await store.command('INSERT INTO samples_sorting SELECT * FROM samples LIMIT 100')
    await store.close()

    store = await openStore({ path }, { log: quiet })
    onTestFinished(() => store.close())
    expect(await rows(store, "SELECT name FROM system.tables WHERE name LIKE '%_sorting'")).toEqual([])
    for (const [table, rowsBefore] of before) expect([table, await held(store, table)]).toEqual([table, rowsBefore])
    await expectFed(store, 102)
  })

  it('stays as it is on a full disk and on a cluster, and says so', async () => {
    const said: string[] = []
    const commands: string[] = []
    const log = Object.assign(Object.create(quiet), { warn: (_: unknown, text: string) => void said.push(text) })
    const table = (name: string, engine: string) => ({
      name,
      engine,
      sorting_key: 'cluster, node, time, pid',
      primary_key: 'cluster, node, time, pid',
      made: '',
    })
    await sortTables(
      {
        command: async sql => void commands.push(sql),
        read: async sql => {
          if (sql.includes('system.disks')) return [{ free: 1e9 }]
          if (sql.includes('partition_id')) return [{ id: '20261120', bytes: 2e9 }]
          return [table('processes', 'MergeTree'), table('processes_local', 'ReplicatedMergeTree')]
        },
      },
      log,
    )
    expect(commands).toEqual([])
    expect(said).toEqual([
      'store: processes stays in the order of an older Jobsight, and questions of an hour are slower: sorting it needs 3 GB free. Free them and start again',
      'store: this table is sorted as an older Jobsight made it: questions of an hour are slower',
    ])
  })
})
