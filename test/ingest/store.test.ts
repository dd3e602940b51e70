import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { METRICS } from '../../ingest/metrics.ts'
import { RowWriter } from '../../ingest/rowbinary.ts'
import { openStore, StoreError } from '../../ingest/store.ts'
import { DEFAULT_RETENTION, migrate, readMigrations } from '../../ingest/tables/migrate.ts'
import {
  LARGER_BLOCKS,
  NO_STATISTICS,
  pointsTable,
  REMEMBER_TOKENS,
  ROLLUPS,
  rollupTable,
} from '../../ingest/tables/points.ts'
import { freshPath, freshStore, quiet, rows } from './place.ts'

const NASTY = [
  'plain',
  'it\'s "quoted" `and` \\ backslashed',
  'blank line\n\nINSERT INTO jobs (cluster) VALUES (1)\n\n;DROP TABLE jobs',
  'nul \u0000 nul',
  '\n\n',
  '\ud800 lone',
  'ünï © 漢字 🙂',
  'x'.repeat(70_000),
]
const wellFormed = (text: string): string => Buffer.from(text).toString()

describe('the store', () => {
  it("has a table of points with a column a metric, and its rollups, by chDB's own parser", async () => {
    const store = await freshStore()
    const found = await rows<{ table: string; name: string; type: string; codec: string }>(
      store,
      'SELECT table, name, type, compression_codec AS codec FROM system.columns WHERE database = currentDatabase()',
    )
    const has = new Map(found.map(c => [`${c.table}.${c.name}`, c]))
    for (const metric of METRICS) {
      expect(has.get(`${pointsTable(metric.entity)}.${metric.column}`)?.type).toMatch(/^Nullable\(Int(32|64)\)$/)
      expect(has.get(`${pointsTable(metric.entity)}.${metric.column}`)?.codec).toContain("T64('bit')")
      for (const rollup of ROLLUPS) {
        for (const what of ['sum', 'count', 'max']) {
          expect(has.has(`${rollupTable(metric.entity, rollup)}.${metric.column}_${what}`)).toBe(true)
        }
      }
    }
    expect(has.has('node_points.instance')).toBe(false)
    expect(has.has('disk_points.instance')).toBe(true)
  })

  it('has no system log tables: nobody reads them and they fill the disk', async () => {
    const store = await freshStore()
    await rows(store, 'SELECT count() FROM numbers(1000)')
    expect(
      await rows(store, "SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log%'"),
    ).toEqual([])
  })

  it('takes a TTL from retentionDays, also when that changes, for every table', async () => {
    const path = freshPath()
    const days = async (retentionDays: { points: number }): Promise<Record<string, number>> => {
      const store = await openStore({ path, retentionDays }, { log: quiet })
      const ddl = await rows<{ name: string; ddl: string }>(
        store,
        "SELECT name, create_table_query AS ddl FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
      )
      await store.close()
      return Object.fromEntries(ddl.map(t => [t.name, Number(/toIntervalDay\((\d+)\)/.exec(t.ddl)?.[1])]))
    }
    const before = await days({ points: 5 })
    expect(before).toMatchObject({ node_points: 5, series_points: 5, jobs: 800, node_points_5m: 400 })
    expect(Object.entries(before).filter(([, d]) => Number.isNaN(d))).toEqual([['schema_version', Number.NaN]])
    expect(await days({ points: 7 })).toMatchObject({ node_points: 7, disk_points: 7, jobs: 800 })
  })

  it('adds the columns that an older store lacks', async () => {
    const path = freshPath()
    const older = await openStore({ path }, { log: quiet })
    for (const rollup of ROLLUPS) {
      for (const what of ['sum', 'count', 'max']) {
        await older.command(`ALTER TABLE ${rollupTable('node', rollup)} DROP COLUMN cpu_busy_${what}`)
      }
    }
    await older.command('ALTER TABLE node_points DROP COLUMN cpu_busy')
    await older.close()

    const store = await openStore({ path }, { log: quiet })
    try {
      const writer = new RowWriter()
      writer.string('c')
      writer.string('n1')
      writer.dateTime(Date.now())
      writer.u8(0)
      writer.i32(5000)
      writer.endRow()
      await store.insert('node_points', ['cluster', 'node', 'time', 'cpu_busy'], writer.bytes, 1)
      expect(await rows(store, 'SELECT cpu_busy FROM node_points')).toEqual([{ cpu_busy: 5000 }])
      for (const rollup of ROLLUPS) {
        expect(await rows(store, `SELECT cpu_busy_max FROM ${rollupTable('node', rollup)}`)).toEqual([])
      }
    } finally {
      await store.close()
    }
  })

  it('sorts the jobs that an older store has', async () => {
    const path = freshPath()
    const older = await openStore({ path }, { log: quiet })
    for (const index of ['by_sorted', 'by_start', 'by_end']) await older.command(`ALTER TABLE jobs DROP INDEX ${index}`)
    await older.command('ALTER TABLE jobs DROP COLUMN sorted_ms, DROP COLUMN expanded')
    await older.command('DELETE FROM schema_version WHERE version = 55')
    // Of today: rows that are older than what is kept go with the first merge.
    await older.command(`INSERT INTO jobs (cluster, id, array_id, state, submit_ms, start_ms, updated_ms) SELECT *, ${Date.now()} FROM VALUES(
      'cluster String, id String, array_id String, state String, submit_ms Int64, start_ms Int64',
      ('c', '1', '', 'completed', 1000, 3000), ('c', '2', '', 'running', 0, 2000), ('c', '3', '3', 'completed', 4000, 0))`)
    await older.close()

    const store = await openStore({ path }, { log: quiet })
    onTestFinished(() => store.close())
    const answer = await rows(store, 'SELECT id, toFloat64(sorted_ms) AS ms, expanded FROM jobs FINAL ORDER BY ms')
    expect(answer).toEqual([
      { id: '1', ms: 1000, expanded: false },
      { id: '2', ms: 2000, expanded: false },
      { id: '3', ms: 4000, expanded: true },
    ])
  })

  it('adds up the last day of what an older store has, once', async () => {
    const path = freshPath()
    const older = await openStore({ path }, { log: quiet })
    for (const view of ['processes_5m_of_processes', 'functions_5m_of_minutes'])
      await older.command(`DROP VIEW ${view}`)
    for (const table of ['processes_5m', 'functions_5m']) await older.command(`DROP TABLE ${table}`)
    await older.command('DELETE FROM schema_version WHERE version IN (60, 76)')
    const at = Math.floor(Date.now() / 300_000) * 300 - 600
    await older.command(`INSERT INTO processes (cluster, node, time, interval_ms, pid, start_ms, name, user, job, cpu_user, read_bytes, memory_bytes)
      SELECT 'c', 'n1', ${at} + 10 * number, 10000, 7, 1000, 'app', 'ann', '4', 0.5, 100, 1000 + number FROM numbers(31)`)
    await older.command(`INSERT INTO function_minutes (cluster, job, event, node, pid, minute, function_id, self, total)
      SELECT 'c', '4', 'cpu', 'n1', number, ${at} + 60, 9, 10, 20 FROM numbers(3)`)
    await older.close()

    const store = await openStore({ path }, { log: quiet })
    onTestFinished(() => store.close())
    const cells = `SELECT toInt32(toUnixTimestamp(time) - ${at}) AS ending, pid, job, name, toFloat64(sum(ticks)) AS seen, sum(cpu_seconds) AS cpu,
      sum(read_bytes) AS bytes, toFloat64(max(memory_max)) AS memory FROM processes_5m GROUP BY time, pid, job, name ORDER BY time`
    const of = { pid: 7, job: '4', name: 'app' }
    expect(await rows(store, cells)).toEqual([
      { ending: 0, ...of, seen: 1, cpu: 5, bytes: 1000, memory: 1000 },
      { ending: 300, ...of, seen: 30, cpu: 150, bytes: 30_000, memory: 1030 },
    ])
    // What comes now is added by the store itself.
    await store.command(`INSERT INTO processes (cluster, node, time, interval_ms, pid, start_ms, name, user, job, cpu_user)
      SELECT 'c', 'n1', ${at} + 300, 10000, 7, 1000, 'app', 'ann', '4', 0.5`)
    expect((await rows<{ seen: number }>(store, cells))[1]?.seen).toBe(31)
    const whole = `SELECT toInt32(toUnixTimestamp(max(last)) - ${at}) AS last, toFloat64(sum(user_ms)) AS told, toFloat64(sum(read_ms)) AS unread FROM processes_5m`
    expect(await rows(store, whole)).toEqual([{ last: 300, told: 10_000, unread: 0 }])
    expect(
      await rows(
        store,
        'SELECT job, toFloat64(sum(self)) AS self, toFloat64(sum(total)) AS total FROM functions_5m GROUP BY job',
      ),
    ).toEqual([{ job: '4', self: 30, total: 60 }])
  })

  it('gives tables that were made before it the settings of today', async () => {
    const path = freshPath()
    const older = await openStore({ path }, { log: quiet })
    const ddl = async (of: typeof older): Promise<unknown> =>
      (
        await rows<{ ddl: string }>(
          of,
          "SELECT create_table_query AS ddl FROM system.tables WHERE name = 'disk_points'",
        )
      )[0]?.ddl
    const settings = [REMEMBER_TOKENS, LARGER_BLOCKS, NO_STATISTICS]
    await older.command(`ALTER TABLE disk_points RESET SETTING ${settings.map(s => s.split(' ')[0]).join(', ')}`)
    for (const setting of settings) expect(await ddl(older)).not.toContain(setting)
    await older.close()

    const store = await openStore({ path }, { log: quiet })
    onTestFinished(() => store.close())
    for (const setting of settings) expect(await ddl(store)).toContain(setting)
  })

  it('refuses a store that a newer Jobsight wrote', async () => {
    const path = freshPath()
    const store = await openStore({ path }, { log: quiet })
    await store.command("INSERT INTO schema_version (version, name) VALUES (999, 'future')")
    await store.close()
    await expect(openStore({ path }, { log: quiet })).rejects.toThrow(/version 999.*start the newer Jobsight/)
  })

  it('has a number of its own for each migration', () => {
    const versions = readMigrations('ingest/tables').map(migration => migration.version)
    expect(versions.length).toBeGreaterThan(1)
    expect(new Set(versions).size).toBe(versions.length)
  })

  it('catches up on a migration that came in before one the store has', async () => {
    const later = { version: 21, name: 'later', statements: [] }
    const commands: string[] = []
    await migrate(
      {
        command: async sql => void commands.push(sql),
        read: async sql => (sql.includes('schema_version') ? [{ version: 1 }, { version: 21 }] : []),
      },
      [{ version: 20, name: 'between', statements: ['SELECT 20'] }, later],
      DEFAULT_RETENTION,
      quiet,
    ).catch(() => {})
    expect(commands).toContain('SELECT 20')
  })

  it('starts again after a start that was killed half way through its tables', async () => {
    const path = freshPath()
    const store = await openStore({ path }, { log: quiet })
    await store.command('DROP TABLE samples')
    await store.command('TRUNCATE TABLE schema_version')
    await store.close()
    const again = await openStore({ path }, { log: quiet })
    expect(await rows(again, 'SELECT count() AS n FROM samples')).toEqual([{ n: '0' }])
    await again.close()
  })
})

describe('one process a data directory', () => {
  it('says who holds it, in this process', async () => {
    const path = freshPath()
    const store = await openStore({ path }, { log: quiet })
    await expect(openStore({ path }, { log: quiet })).rejects.toThrow(
      new RegExp(`held by process ${process.pid} on .*: stop it \\(kill ${process.pid}\\)`),
    )
    await store.close()
    await (await openStore({ path }, { log: quiet })).close()
  })

  it('says who holds it, in another process, and goes on where the holder died', async () => {
    const path = freshPath()
    const other = spawn('sleep', ['1000'])
    const holder = { pid: other.pid, host: (await import('node:os')).hostname(), startedMs: Date.now(), ticks: '' }
    writeFileSync(join(path, 'holder.json'), JSON.stringify(holder))
    const refused = await openStore({ path }, { log: quiet }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(StoreError)
    expect(refused).toMatchObject({ code: 'held', message: expect.stringContaining(`process ${other.pid} `) })

    const dead = new Promise(resolve => other.on('exit', resolve))
    other.kill('SIGKILL')
    await dead
    await (await openStore({ path }, { log: quiet })).close()
  })

  it('is not fooled by a pid that another program has now', async () => {
    const path = freshPath()
    const holder = { pid: process.pid, host: (await import('node:os')).hostname(), startedMs: 1, ticks: '1' }
    writeFileSync(join(path, 'holder.json'), JSON.stringify(holder))
    await (await openStore({ path }, { log: quiet })).close()
  })
})

describe('insert', () => {
  it('brings any text through unchanged: blank lines, quotes, NUL and SQL are only bytes', async () => {
    const store = await freshStore()
    const writer = new RowWriter(8)
    NASTY.forEach((text, i) => {
      writer.u64(BigInt(i))
      writer.string(text)
      writer.string(text)
      writer.map([[text, text]], value => writer.string(value))
      writer.date(Date.now())
      writer.endRow()
    })
    await store.insert('series', ['series_id', 'name', 'unit', 'attributes', 'seen'], writer.bytes, writer.rows)
    const back = await rows<{ name: string; unit: string; attributes: Record<string, string> }>(
      store,
      'SELECT name, unit, attributes FROM series ORDER BY series_id',
    )
    expect(back.map(r => r.name)).toEqual(NASTY.map(wellFormed))
    expect(back.map(r => r.unit)).toEqual(NASTY.map(wellFormed))
    expect(back.map(r => Object.entries(r.attributes)[0])).toEqual(NASTY.map(t => [wellFormed(t), wellFormed(t)]))
    expect(await rows(store, 'SELECT count() AS n FROM jobs')).toEqual([{ n: '0' }])
  })

  it('brings any text through as a parameter too', async () => {
    const store = await freshStore()
    for (const text of NASTY.slice(0, -1)) {
      const [row] = await store.query<{ s: string; a: string[] }>(
        { query: 'SELECT {s:String} AS s, {a:Array(String)} AS a', query_params: { s: text, a: [text, 'b'] } },
        { name: 'test' },
      )
      expect(row).toEqual({ s: wellFormed(text), a: [wellFormed(text), 'b'] })
    }
  })

  it('is refused as a whole where a block does not fit the columns', async () => {
    const store = await freshStore()
    await expect(store.insert('series', ['series_id', 'name'], new Uint8Array([1, 2, 3]), 1)).rejects.toThrow(/Code: /)
    await expect(store.insert('series', ['nope'], new Uint8Array([1]), 1)).rejects.toThrow('no column nope')
    await expect(store.insert('nope', ['a'], new Uint8Array([1]), 1)).rejects.toThrow('there is no table nope')
    expect(await rows(store, 'SELECT count() AS n FROM series')).toEqual([{ n: '0' }])
  })
})

describe('query', () => {
  it('takes parameters of more than 256 KiB: what a manager of many may see', async () => {
    const store = await freshStore()
    const ids = Array.from({ length: 40_000 }, (_, i) => 1_000_000 + i)
    const question = { query: 'SELECT length({ids:Array(UInt32)}) AS n', query_params: { ids } }
    expect(await store.query(question, { name: 'test' })).toEqual([{ n: '40000' }])
  })

  it('keeps all digits of 64-bit integers, and gives columns where asked', async () => {
    const store = await freshStore()
    expect(await rows(store, 'SELECT toUInt64(18446744073709551615) AS u')).toEqual([{ u: '18446744073709551615' }])
    expect(
      await store.queryColumns(
        { query: 'SELECT number, toString(number) FROM numbers({n:UInt8})', query_params: { n: 3 } },
        { name: 'test' },
      ),
    ).toEqual([
      ['0', '1', '2'],
      ['0', '1', '2'],
    ])
  })

  const FOREVER = 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = {k:UInt8}'

  it('is killed when its reader leaves, and one that waits behind it is never started', async () => {
    const store = await freshStore()
    const running = new AbortController()
    const waiting = new AbortController()
    const ask = (k: number, signal: AbortSignal) =>
      store.query({ query: FOREVER, query_params: { k } }, { name: `question ${k}`, signal })
    const first = ask(1, running.signal)
    const second = ask(2, running.signal)
    const third = ask(3, waiting.signal)
    waiting.abort()
    await expect(third).rejects.toMatchObject({
      code: 'aborted',
      message: expect.stringContaining('before the query started'),
    })
    running.abort()
    const ended = await Promise.allSettled([first, second])
    expect(ended).toMatchObject(Array(2).fill({ status: 'rejected', reason: { code: 'aborted' } }))
    expect(await rows(store, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  it('that fails half way leaves none of its rows to the next answer', async () => {
    const store = await freshStore()
    const text = 'SELECT number, throwIf(number = 900000) AS thrown FROM numbers(1000000)'
    const fails = () => store.query({ query: text, query_params: {} }, { name: 'fails' })
    for (let at = 0; at < 4; at++) await expect(fails()).rejects.toThrow(/throwIf|Value passed/)
    const answers = Array.from({ length: 4 }, () => rows(store, 'SELECT 1 AS one'))
    expect((await Promise.all(answers)).map(answer => answer.length)).toEqual([1, 1, 1, 1])
  })

  it('runs beside another, each with its own parameters', async () => {
    const store = await freshStore()
    const stop = new AbortController()
    const slow = store.query({ query: FOREVER, query_params: { k: 1 } }, { name: 'slow', signal: stop.signal })
    slow.catch(() => {})
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        store.query<{ s: string; n: number; a: string[]; f: number }>(
          {
            query: 'SELECT {s:String} AS s, {n:UInt32} AS n, {a:Array(String)} AS a, {f:Float64} AS f',
            query_params: { s: `it's ${i}\n\\`, n: i, a: [`a${i}`, "b'"], f: i / 3 },
          },
          { name: 'fast' },
        ),
      ),
    )
    answers.forEach(([row], i) => {
      expect(row).toEqual({ s: `it's ${i}\n\\`, n: i, a: [`a${i}`, "b'"], f: i / 3 })
    })
    stop.abort()
    await expect(slow).rejects.toMatchObject({ code: 'aborted' })
    // What an earlier question was given is not this one's.
    await expect(store.query({ query: 'SELECT {s:String}', query_params: {} }, { name: 'test' })).rejects.toThrow(
      'no value for {s}',
    )
  })

  it('that is slow leaves a connection to the others', async () => {
    const store = await freshStore()
    const stop = new AbortController()
    const slow = (k: number) =>
      store.query({ query: FOREVER, query_params: { k } }, { name: 'slow', signal: stop.signal })
    await store.query({ query: 'SELECT sleep(1.5)', query_params: {} }, { name: 'slow' })
    const asked = [slow(1), slow(2), slow(3), slow(4)]
    expect(await rows(store, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    stop.abort()
    for (const ended of await Promise.allSettled(asked)) expect(ended).toMatchObject({ reason: { code: 'aborted' } })
    expect(await rows(store, 'SELECT 2 AS two')).toEqual([{ two: 2 }])
  })

  it('may name as much as a reader of thousands of jobs has', async () => {
    const store = await freshStore()
    const jobs = Array.from({ length: 100_000 }, (_, i) => `job ${i}`)
    const question = { query: 'SELECT length({jobs:Array(String)}) AS jobs', query_params: { jobs } }
    expect(await store.query(question, { name: 'test' })).toEqual([{ jobs: '100000' }])
  })

  it('ends at its time limit', async () => {
    const store = await freshStore()
    const asked = store.query({ query: FOREVER, query_params: { k: 1 } }, { name: 'slow', maxSeconds: 1 })
    await expect(asked).rejects.toMatchObject({ code: 'timeout' })
  })

  it('never holds up an insert', async () => {
    const store = await freshStore()
    const stop = new AbortController()
    const asked = store.query({ query: FOREVER, query_params: { k: 1 } }, { name: 'slow', signal: stop.signal })
    const order: string[] = []
    const ended = asked.catch(() => order.push('query'))
    const writer = new RowWriter()
    writer.string('c')
    writer.i64(Date.now())
    writer.endRow()
    await store.insert('jobs', ['cluster', 'updated_ms'], writer.bytes, 1)
    order.push('insert')
    stop.abort()
    await ended
    expect(order).toEqual(['insert', 'query'])
  })

  it('is refused once the store is closed', async () => {
    const path = freshPath()
    const store = await openStore({ path }, { log: quiet })
    await store.close()
    await expect(rows(store, 'SELECT 1')).rejects.toMatchObject({ code: 'closed' })
  })
})
