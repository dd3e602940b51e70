/**
 * What the list of jobs costs in a store of a million: wall time (p50, p95) and CPU of each question, asked of the API in this
 * process with the store embedded. Jobs are made inside ClickHouse: one every 2.6 s for 30 days, each on 1 to 8 of --nodes
 * nodes and told three times (it waits, runs, is over), in --blocks blocks as time goes, so that the table has the parts of one
 * that grew; the newest --used of them have an hour of what they used, a row a minute and node, and 200 functions an hour.
 *
 *   npm run build && node test/bench/jobs.mjs [--jobs 1000000] [--used 5000] [--nodes 1000] [--runs 20] [--blocks 100]
 *     --questions    also which question to the store took how long
 *     --path DIR     a store that is kept, and is there already the next time
 *     --only TEXT    lines that hold it
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import { pino } from 'pino'

const { values: given } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    used: { type: 'string', default: '5000' },
    nodes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '20' },
    blocks: { type: 'string', default: '100' },
    questions: { type: 'boolean', default: false },
    path: { type: 'string' },
    only: { type: 'string', default: '' },
    dist: { type: 'string', default: resolve(import.meta.dirname, '../../dist') },
  },
})
const [jobs, used, nodes, runs, blocks] = [given.jobs, given.used, given.nodes, given.runs, given.blocks].map(Number)
const load = path => import(pathToFileURL(join(given.dist, path)).href)
const { openStore } = await load('ingest/store.js')
const { openIngest } = await load('ingest/index.js')
const { query } = await load('query/index.js')

const path = given.path ?? mkdtempSync(join(tmpdir(), 'jobsight-jobs-'))
const isNew = !existsSync(join(path, 'clickhouse'))
const log = pino({ level: 'warn' })
const opened = await openStore({ path, memoryBytes: 4 * 2 ** 30 }, { log })
const asked = new Map()
/** The store, and how long its questions took. */
const store = Object.assign(Object.create(opened), {
  query: (question, options) => timed(options.name, opened.query(question, options)),
  queryColumns: (question, options) => timed(options.name, opened.queryColumns(question, options)),
})
async function timed(name, answer) {
  const started = process.hrtime.bigint()
  const rows = await answer
  const all = asked.get(name) ?? []
  asked.set(name, [...all, Number(process.hrtime.bigint() - started) / 1e6])
  return rows
}

const [{ end }] = isNew
  ? [{ end: Math.floor(Date.now() / 3_600_000) * 3_600_000 }]
  : await opened.query(
      { query: 'SELECT toFloat64(max(submit_ms)) + 7200000 AS end FROM jobs', query_params: {} },
      { name: 'end' },
    )
const every = Math.floor((30 * 86_400_000) / jobs)
const submit = n => `(${end - 2 * 3_600_000} - (${jobs - 1} - ${n}) * ${every})`
const nodesOf = n =>
  `arrayMap(i -> concat('node', leftPad(toString((${n} * 8 + i) % ${nodes}), 4, '0')), range(1 + ${n} % 8))`
if (isNew) await fill()

async function fill() {
  const size = Math.ceil(jobs / blocks)
  for (let from = 0; from < jobs; from += size) await insertJobs(from, Math.min(size, jobs - from))
  await opened.command(`INSERT INTO job_usage (cluster, job, minute, node, cpu_seconds, system_seconds, memory_bytes, seen, sampled_ns)
  SELECT 'bench', toString(1000000 + n), toDateTime(intDiv(${submit('n')}, 1000) + 60 + 60 * m, 'UTC'), node, 3000, 60, 200000000000, 120, 3000000000000
  FROM (SELECT ${jobs - used} + intDiv(number, 60) AS n, 1 + number % 60 AS m, arrayJoin(${nodesOf('n')}) AS node FROM numbers(${used * 60}))`)
  await opened.command(`INSERT INTO frames (frame_id, function_id, function, module, kind, seen)
  SELECT number, number, concat('solver::function_', toString(number)), 'app', 'native', today() FROM numbers(2000)`)
  await opened.command(`INSERT INTO function_hours (cluster, job, event, hour, function_id, self)
  SELECT 'bench', toString(1000000 + n), 'cpu', 3600 + toStartOfHour(toDateTime(intDiv(${submit('n')}, 1000), 'UTC')), f, 1000000000 * (1 + cityHash64(n, f) % 1000)
  FROM (SELECT ${jobs - used} + intDiv(number, 200) AS n, number % 2000 AS f FROM numbers(${used * 200}))`)
  await opened.command(`INSERT INTO node_points_1h (cluster, node, time)
  SELECT 'bench', concat('node', leftPad(toString(number % ${nodes}), 4, '0')), toDateTime(${end / 1000} - 3600 * intDiv(number, ${nodes}), 'UTC') FROM numbers(${24 * nodes})`)
  for (let quiet = 0; quiet < 3; await new Promise(done => setTimeout(done, 1000))) {
    const [{ running }] = await opened.query(
      { query: 'SELECT count() AS running FROM system.merges', query_params: {} },
      { name: 'merges' },
    )
    quiet = Number(running) === 0 ? quiet + 1 : 0
  }
}

/** `told` 0: it waits, 1: it runs, 2: it is over. */
async function insertJobs(first, count) {
  await opened.command(`INSERT INTO jobs (cluster, id, raw_id, array_id, name, user, account, queue, state, submit_ms, start_ms, end_ms,
    node_count, cores, gpus, nodes, record, updated_ms) SELECT 'bench' AS cluster, toString(1000000 + n) AS id, id AS raw_id, '' AS array_id,
  concat('run_', toString(n % 977)) AS name, concat('user', toString(cityHash64(n) % 400)) AS user,
  concat('account', toString(cityHash64(n) % 40)) AS account, ['short', 'long', 'gpu', 'debug'][1 + n % 4] AS queue,
  multiIf(told = 0, 'queued', told = 1, 'running', n % 10 < 8, 'completed', ['failed', 'timeout', 'cancelled', 'failed'][1 + n % 4]) AS state,
  ${submit('n')} AS submit_ms, if(told = 0, 0, submit_ms + 60000) AS start_ms, if(told < 2, 0, start_ms + 3600000) AS end_ms, 1 + n % 8 AS node_count,
  64 * node_count AS cores, 0 AS gpus, if(told = 0, [], ${nodesOf('n')}) AS nodes,
  concat('{"cluster":"bench","id":"', id, '","scheduler":"slurm","state":"', state, '","name":"', name, '","user":"', user,
    '","submitMs":', toString(submit_ms), if(told = 0, '', concat(',"startMs":', toString(start_ms))),
    if(told < 2, '', concat(',"endMs":', toString(end_ms))), ',"nodeCount":', toString(node_count), ',"cores":', toString(cores),
    ',"memoryBytes":', toString(node_count * 274877906944), ',"allocations":[',
    arrayStringConcat(arrayMap(n -> concat('{"node":"', n, '","cores":64}'), nodes), ','), '],"updatedMs":', toString(updated_ms), '}') AS record,
  [submit_ms, submit_ms + 60000, submit_ms + 3660000][1 + told] AS updated_ms
  FROM (SELECT ${first} + intDiv(number, 3) AS n, number % 3 AS told FROM numbers(${3 * count}))`)
}

const ingest = await openIngest({ store, log, defaultCluster: 'bench' })
console.log(
  `${jobs.toLocaleString('en')} jobs, ${availableParallelism()} cores, load ${loadavg()
    .map(l => l.toFixed(1))
    .join(' ')}`,
)
/** The nearest rank: of 20 the 95th percentile is the 19th. */
const at = (list, share) => list[Math.max(0, Math.ceil(list.length * share) - 1)] ?? 0
const line = (what, cells) => console.log(`${what.padEnd(44)} ${cells.map(cell => String(cell).padStart(9)).join(' ')}`)

/** Who asks: roles and accounts as the sign-in finds them. */
const who = (user, roles, accounts = []) => ({ user, roles, accounts, via: 'password' })
const admin = who('admin', ['admin'])
let asking = admin
const access = { ways: { password: true, oidc: false }, identify: async () => asking }

async function openApp() {
  const app = fastify()
  await app.register(query, { store, ingest, access, log })
  await app.ready()
  return app
}

async function ask(app, url) {
  const answer = await app.inject(url)
  if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode} ${answer.body.slice(0, 500)}`)
  return answer.json()
}

/** `cold`: a server that has just been started asks it, so nothing is kept. */
async function measure(what, url, cold = false) {
  if (!what.includes(given.only)) return
  asked.clear()
  const wall = []
  let cpu = 0
  let app = await openApp()
  for (let i = 0; i < runs; i++) {
    if (cold) {
      await app.close()
      app = await openApp()
    }
    const [started, before] = [process.hrtime.bigint(), process.cpuUsage()]
    await ask(app, url(i))
    wall.push(Number(process.hrtime.bigint() - started) / 1e6)
    const { user, system } = process.cpuUsage(before)
    cpu += (user + system) / 1000
  }
  await app.close()
  wall.sort((a, b) => a - b)
  line(what, [at(wall, 0.5).toFixed(0), at(wall, 0.95).toFixed(0), (cpu / runs).toFixed(0)])
  if (!given.questions) return
  for (const [name, ms] of asked) {
    ms.sort((a, b) => a - b)
    line(`    ${name}, ${(ms.length / runs).toFixed(1)} times`, [at(ms, 0.5).toFixed(0), at(ms, 0.95).toFixed(0), ''])
  }
}

line('', ['p50 ms', 'p95 ms', 'CPU ms'])
await measure('first page of 50, cold', () => '/api/v1/jobs', true)
await measure('first page of 50, again', () => '/api/v1/jobs')
const first = await openApp()
const { next } = await ask(first, '/api/v1/jobs?limit=1000')
await first.close()
await measure('page 21 of 50, by its cursor, cold', () => `/api/v1/jobs?cursor=${next}`, true)
await measure('of one user', i => `/api/v1/jobs?user=user${i * 7}`)
await measure('failed, of one queue', i => `/api/v1/jobs?state=failed&queue=${['short', 'gpu'][i % 2]}`)
await measure('by name, run_97*', i => `/api/v1/jobs?name=run_9${i % 10}*`)
await measure('that ran on a node', i => `/api/v1/jobs?node=node${String(i * 31).padStart(4, '0')}`)
const span = i => `from=${end - (i + 2) * 86_400_000}&to=${end - (i + 1) * 86_400_000}`
await measure('of one day, 8 nodes and more', i => `/api/v1/jobs?minNodes=8&${span(i)}`)
await measure('one job by its id', i => `/api/v1/jobs/${1_000_000 + jobs - 1 - i * 11}`)

// The same asked by who sees own rows only: 1 of 400 users, and a manager of 2 of 40 accounts.
for (const [what, person] of [
  ['administrator', admin],
  ['a user', who('user7', ['user'])],
  ['a manager', who('user8', ['manager'], ['account3', 'account9'])],
]) {
  asking = person
  await measure(`${what}: first page of 50, cold`, () => '/api/v1/jobs', true)
  await measure(`${what}: search run_97`, () => '/api/v1/search?q=run_97')
  await measure(`${what}: what ran in a day, as bands`, i => `/api/v1/bands?${span(i)}`)
  await measure(`${what}: functions of a day`, () => `/api/v1/functions?${span(-1)}`)
}

await ingest.close()
await opened.close()
if (given.path === undefined) rmSync(path, { recursive: true, force: true })
