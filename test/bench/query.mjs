/**
 * What the questions of the page cost on one day of a large cluster: wall time (of the first, p50 and p95 of the others), CPU,
 * rows read, bytes answered, one by one and as its screens ask them, all at once. The rows are made inside ClickHouse; asked is
 * the API itself, in this process, with the store embedded. Every window is asked for the first time.
 *
 *   npm run build && node test/bench/query.mjs [--nodes 1000] [--hours 24] [--functions-of 1000] [--keep /var/tmp/jobsight-bench] [--runs 20] [--as-it-is] [--only 'heat map']
 *
 * --as-it-is asks a store that is kept without completing it. --functions-of 175 makes functions a minute of the last 175 nodes
 * alone, and asks of jobs on these: those of 1000 nodes take most of the time that the day takes to be made.
 *
 *   job 1xxx    8 nodes, 4 hours          750 of them on 1000 nodes in a day
 *   job 9000    the last eighth of the nodes, the whole day
 *
 * A node has 56 metrics every 10 s, 10 processes every 10 s, 128 folded stacks and 240 functions a minute.
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
    nodes: { type: 'string', default: '1000' },
    hours: { type: 'string', default: '24' },
    runs: { type: 'string', default: '20' },
    keep: { type: 'string' },
    'as-it-is': { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    'functions-of': { type: 'string' },
    dist: { type: 'string', default: resolve(import.meta.dirname, '../../dist') },
  },
})
const load = path => import(pathToFileURL(join(given.dist, path)).href)
const { openStore } = await load('ingest/store.js')
const { METRICS } = await load('ingest/metrics.js')
const { rollupColumns, rollupSelect, rollupKey } = await load('ingest/tables/points.js')
const { LatestValues } = await load('ingest/latest.js')
const { restoreLatest } = await load('ingest/restore.js')
const { openControl } = await load('ingest/control.js')
const { query } = await load('query/index.js')

const nodes = Number(given.nodes)
const hours = Number(given.hours)
const runs = Number(given.runs)
const functionsOf = Math.min(nodes, Number(given['functions-of'] ?? nodes))
const path = given.keep ?? mkdtempSync(join(tmpdir(), 'jobsight-bench-'))
const log = pino({ level: 'warn' })
const made = existsSync(join(path, 'clickhouse'))
const store = await openStore({ path, memoryBytes: 6 * 2 ** 30 }, { log })

const ask = sql => store.query({ query: sql, query_params: {} }, { name: 'bench', maxSeconds: 3600 })
/** Rows that were kept have their own end. */
const [last] = await ask('SELECT toUnixTimestamp(max(time)) AS seconds FROM node_points')
const end = made ? Number(last.seconds) : Math.floor(Date.now() / 3_600_000) * 3600
const begin = end - hours * 3600
const NODE = "concat('node', leftPad(toString(n), 4, '0'))"
/** The large job has the last nodes; the others change every four hours. */
const large = Math.floor(nodes * 0.875)
const JOB = `if(n >= ${large}, '9000', toString(1000 + intDiv(n, 8) * 6 + intDiv(toUInt32(time) - ${begin} - 1, 14400)))`

/** Smooth in time, different for each node, with noise: about as compressible as real metrics. */
function simulatedValue(metric, i) {
  const wave = `(1 + sin(t / ${200 + 37 * i} + n)) / 2`
  const noise = `(cityHash64(number, ${i}) % 1000) / 1000`
  const share = `(0.8 * ${wave} + 0.1 * ${noise})`
  if (metric.unit === 'ratio') return `toInt32(10000 * ${share})`
  if (metric.column === 'cpu_count') return '64'
  if (metric.column.endsWith('_total')) return '274877906944'
  return metric.unit === 'bytes'
    ? `toInt64(2e11 * ${share}) - toInt64(2e11 * ${share}) % 4096`
    : `toInt64(${metric.scale} * 1e6 * ${share})`
}

/** A store that is kept goes on where its making was cut: a chunk is there when its last row is. */
async function inChunks(what, count, size, insert, begins = 0) {
  const started = process.hrtime.bigint()
  const time = what === 'function_minutes' ? 'minute' : 'time'
  for (let first = begins; first < count; first += size) {
    const some = Math.min(size, count - first)
    const there = await ask(
      `SELECT 1 FROM ${what} WHERE cluster = 'bench' AND node = '${nodeName(first + some - 1)}' AND ${time} >= ${end} LIMIT 1`,
    )
    if (there.length === 0) await insert(first, some)
  }
  console.error(`  ${what}: ${(Number(process.hrtime.bigint() - started) / 1e9).toFixed(0)} s`)
}

async function makePoints() {
  const metrics = METRICS.filter(m => m.entity === 'node')
  const ticks = hours * 360
  await inChunks('node_points', nodes, 25, (first, some) =>
    store.command(`INSERT INTO node_points (cluster, node, time, interval_ms, ${metrics.map(m => m.column).join(', ')})
      SELECT 'bench', ${NODE}, ${begin} + 10 * (t + 1), 10000, ${metrics.map(simulatedValue).join(', ')}
      FROM (SELECT number, intDiv(number, ${ticks}) + ${first} AS n, number % ${ticks} AS t FROM numbers(${some * ticks}))`),
  )
  for (const rollup of ['5m', '1h']) {
    const columns = rollupColumns('node', rollup)
      .map(c => c.name)
      .join(', ')
    await inChunks(`node_points_${rollup}`, nodes, 50, (first, some) =>
      store.command(`INSERT INTO node_points_${rollup} (${columns}) ${rollupSelect('node', rollup)}
        WHERE p.node >= '${nodeName(first)}' AND p.node <= '${nodeName(first + some - 1)}' GROUP BY ${rollupKey('node')}`),
    )
  }
}

const nodeName = n => `node${String(n).padStart(4, '0')}`

async function makeProcesses() {
  const rows = hours * 360 * 10
  await inChunks('processes', nodes, 50, (first, some) =>
    store.command(`INSERT INTO processes (cluster, node, time, interval_ms, pid, start_ms, name, command, user, job, evidence, cpu_user, cpu_system, memory_bytes, read_bytes, write_bytes, threads, state)
      SELECT 'bench', ${NODE}, toDateTime(${begin} + 10 * (1 + intDiv(number % ${rows}, 10))) AS time, 10000, 1000 + number % 10 AS pid,
        1000 * (${begin} + 14400 * intDiv(toUInt32(time) - ${begin} - 1, 14400)), concat('app', toString(number % 3)), concat('/opt/app --rank ', toString(number % 10)),
        concat('user', toString(n % 40)), ${JOB}, 'cgroup', 5 + (cityHash64(number) % 100) / 100, 0.2, 1000000000 + cityHash64(number) % 4096 * 4096, 0, 1000, 8, 'R'
      FROM (SELECT number, intDiv(number, ${rows}) + ${first} AS n FROM numbers(${some * rows}))`),
  )
}

/** Ten programs of a thousand stacks; deeper frames differ more, as in a tree. */
async function makeBodies() {
  await store.command(`INSERT INTO frames (frame_id, function_id, function, module, kind, seen)
    SELECT 1000000000000 + number, 2000000000000 + number, concat('solver::function_', toString(number % 2000)), concat('app', toString(intDiv(number, 2000)), '.so'), 'native', today()
    FROM numbers(20000)`)
  await store.command(`INSERT INTO stacks (stack_id, category, frames, seen)
    SELECT 3000000000000 + number, ['compute', 'compute', 'mpi', 'io'][1 + number % 4],
      arrayReverse(arrayMap(d -> 1000000000000 + intDiv(number, 1000) * 2000 + cityHash64(d, number % toUInt64(1 + d * d / 2)) % 2000, range(1, 9 + number % 24))), today()
    FROM numbers(10000)`)
}

async function makeStacks() {
  const rows = hours * 60 * 128
  await inChunks('samples', nodes, 25, (first, some) =>
    store.command(`INSERT INTO samples (cluster, job, event, node, pid, start_ms, time, window_ms, process, thread, evidence, burst, stack_id, value, count)
      SELECT 'bench', ${JOB}, 'cpu', ${NODE}, 1000 + intDiv(number % 128, 16), 1000 * (${begin} + 14400 * intDiv(toUInt32(time) - ${begin} - 1, 14400)),
        toDateTime(${begin} + 60 * (1 + intDiv(number % ${rows}, 128))) AS time, 60000, concat('app', toString(number % 3)), 'worker', 'cgroup', '',
        3000000000000 + (n % 10) * 1000 + toUInt64(1000 * pow((cityHash64(number) % 10000) / 10000, 3)), 52631578 * (1 + cityHash64(number, 1) % 40), 1 + cityHash64(number, 1) % 40
      FROM (SELECT number, intDiv(number, ${rows}) + ${first} AS n FROM numbers(${some * rows}))`),
  )
}

/** Of the last nodes, which the large job has; of each job and node a quarter of its time waits, as a quarter of the stacks are mpi. */
async function makeFunctions() {
  const minutes = hours * 60 * 240
  const fill = async (first, some) => {
    await store.command(`INSERT INTO function_minutes (cluster, job, event, node, pid, start_ms, minute, function_id, self, total, self_count)
      SELECT 'bench', ${JOB}, 'cpu', ${NODE}, 1000 + intDiv(number % 240, 30), 1000 * (${begin} + 14400 * intDiv(toUInt32(time) - ${begin} - 1, 14400)),
        toDateTime(${begin} + 60 * (1 + intDiv(number % ${minutes}, 240))) AS time, 2000000000000 + (n % 10) * 2000 + cityHash64(number % 30, intDiv(number, 7) % 50) % 2000,
        cityHash64(number) % 1000000000, 3000000000 - cityHash64(number) % 1000000000, 19
      FROM (SELECT number, intDiv(number, ${minutes}) + ${first} AS n FROM numbers(${some * minutes}))`)
    await store.command(`INSERT INTO job_usage (cluster, job, minute, node, waiting_ns)
      SELECT cluster, toString(job) AS job, minute, node, intDiv(sum(self), 4) FROM function_minutes
      WHERE node >= '${nodeName(first)}' AND node <= '${nodeName(first + some - 1)}' GROUP BY cluster, job, minute, node`)
  }
  await inChunks('function_minutes', nodes, 25, fill, nodes - functionsOf)
}

async function makeJobs() {
  const blocks = Math.ceil(large / 8)
  const slots = Math.ceil(hours / 4)
  const rows = []
  const job = (id, first, some, from, to) => {
    const names = Array.from({ length: some }, (_, i) => nodeName(first + i)).filter((_, i) => first + i < nodes)
    const startMs = from * 1000
    const endMs = to * 1000
    const record = {
      cluster: 'bench',
      id,
      scheduler: 'slurm',
      state: 'completed',
      user: `user${first % 40}`,
      submitMs: startMs,
      startMs,
      endMs,
      nodeCount: names.length,
      cores: 64 * names.length,
      memoryBytes: names.length * 2 ** 38,
      updatedMs: endMs,
    }
    rows.push({
      cluster: 'bench',
      id,
      user: record.user,
      state: 'completed',
      submit_ms: startMs,
      start_ms: startMs,
      end_ms: endMs,
      node_count: names.length,
      cores: record.cores,
      nodes: names,
      record: JSON.stringify(record),
      updated_ms: endMs,
    })
  }
  for (let b = 0; b < blocks; b++) {
    for (let s = 0; s < slots; s++)
      job(
        String(1000 + b * 6 + s),
        b * 8,
        Math.min(8, large - b * 8),
        begin + s * 14400,
        Math.min(end, begin + (s + 1) * 14400),
      )
  }
  job('9000', large, nodes - large, begin, end)
  await store.command(`INSERT INTO jobs FORMAT JSONEachRow ${rows.map(row => JSON.stringify(row)).join(' ')}`)
}

console.error(`${made ? 'completing' : 'making'} ${hours} h of ${nodes} nodes in ${path}`)
if (!made) {
  await makeJobs()
  await makeBodies()
}
if (!given['as-it-is']) {
  await makePoints()
  await makeProcesses()
  await makeStacks()
  await makeFunctions()
}
const tables = await ask(
  'SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table HAVING rows > 1000 ORDER BY bytes DESC',
)
console.log(
  `${nodes} nodes, ${hours} h, ${availableParallelism()} cores, load ${loadavg()
    .map(l => l.toFixed(1))
    .join(' ')}`,
)
for (const t of tables)
  console.log(
    `  ${t.table.padEnd(20)} ${Number(t.rows).toLocaleString('en').padStart(15)} rows ${(Number(t.bytes) / 2 ** 20).toFixed(0).padStart(7)} MiB`,
  )

const latest = new LatestValues()
await restoreLatest(store, latest, end * 1000, log)
const app = fastify()
await app.register(query, {
  store,
  ingest: { latest, onWritten: () => () => {}, control: openControl('bench', log) },
  log,
  now: () => end * 1000,
})
await app.ready()

const selectedRows = async () =>
  Number((await ask("SELECT value FROM system.events WHERE event = 'SelectedRows'"))[0]?.value ?? 0)
const at = (list, share) => list[Math.min(list.length - 1, Math.floor(list.length * share))] ?? 0

/** `urls` of run i: one, or all that a screen asks at once; it is there when the last is answered. */
async function measure(what, urls, limitMs) {
  if (!what.includes(given.only)) return
  const wall = []
  let bytes = 0
  const before = await selectedRows()
  const cpu = process.cpuUsage()
  for (let i = 0; i <= runs; i++) {
    const started = process.hrtime.bigint()
    const answers = await Promise.all([urls(i)].flat().map(url => app.inject(url)))
    wall.push(Number(process.hrtime.bigint() - started) / 1e6)
    const failed = answers.find(answer => answer.statusCode !== 200)
    if (failed) throw new Error(`${what}: ${failed.statusCode} ${failed.body.slice(0, 500)}`)
    bytes = answers.reduce((sum, answer) => sum + answer.rawPayload.length, 0)
  }
  const { user, system } = process.cpuUsage(cpu)
  const rows = ((await selectedRows()) - before) / (runs + 1)
  const [first, ...others] = wall
  others.sort((a, b) => a - b)
  const columns = [
    first.toFixed(0),
    at(others, 0.5).toFixed(0),
    at(others, 0.95).toFixed(0),
    ((user + system) / 1000 / (runs + 1)).toFixed(0),
    Math.round(rows).toLocaleString('en'),
    (bytes / 1024).toFixed(0),
  ]
  const limit = limitMs === undefined ? '' : `  limit ${limitMs} ms: ${at(others, 0.95) < limitMs ? 'met' : 'NOT met'}`
  console.log(`${what.padEnd(46)} ${columns.map((c, i) => c.padStart(WIDTHS[i])).join(' ')}${limit}`)
}
const WIDTHS = [8, 8, 8, 9, 14, 9]

/** A new window each time, so that no answer is a kept one. */
const window = (i, span) => `from=${1000 * (end - span - 60 * i)}&to=${1000 * (end - 60 * i)}`
const some = i => nodeName((i * 131) % nodes)
/** Another job each time, of those whose functions there are. */
const firstBlock = Math.ceil((nodes - functionsOf) / 8)
const blocks = Math.max(1, Math.floor(large / 8) - firstBlock)
const slots = Math.ceil(hours / 4)
const slot = i => Math.floor(i / blocks) % slots
const small = i => 1000 + (firstBlock + ((i * 7) % blocks)) * 6 + slot(i)
const span = i => `from=${1000 * (begin + 14400 * slot(i))}&to=${1000 * (begin + 14400 * (slot(i) + 1))}`
console.log(
  `${''.padEnd(46)} ${['first ms', 'p50 ms', 'p95 ms', 'CPU ms', 'rows read', 'KiB'].map((c, i) => c.padStart(WIDTHS[i])).join(' ')}`,
)
const day = hours * 3600 - 3600
const TWELVE = `cpu_user,cpu_system,cpu_iowait,load_1m,memory_used,memory_cached,disk_read_bytes,disk_write_bytes,network_receive_bytes,network_transmit_bytes,pressure_cpu_some,pressure_memory_some`
/** What a node's page draws at first, of every kind of instance too. */
const PANELS = `cpu_user,cpu_system,cpu_nice,cpu_irq,cpu_softirq,cpu_steal,cpu_iowait,processes_running,load_1m,processes_blocked,memory_used,memory_cached,swap_used,pressure_cpu_some,pressure_memory_some,pressure_io_some,disk.read_bytes,disk.write_bytes,interface.receive_bytes,interface.transmit_bytes,filesystem.utilization,gpu.utilization,socket.memory_read_bytes`
await measure('heat map, all nodes, day', i => `/api/v1/heatmap?metric=cpu_busy&buckets=300&${window(i, day)}`, 300)
await measure(
  'heat map, all nodes, last hour',
  i => `/api/v1/heatmap?metric=memory_used&buckets=360&${window(i, 3600)}`,
  300,
)
const nodePage = (i, time) => [
  `/api/v1/nodes/${some(i)}?${time}`,
  `/api/v1/series?node=${some(i)}&metrics=${PANELS}&buckets=600&${time}`,
  `/api/v1/bands?node=${some(i)}&${time}`,
  `/api/v1/alerts/history?node=${some(i)}&${time}`,
  `/api/v1/processes?node=${some(i)}&limit=15&${time}`,
]
await measure('node page, last hour', i => nodePage(i, window(i, 3600)), 300)
await measure('node page, day', i => nodePage(i, window(i, day)), 300)
await measure(
  'node series, 12 metrics, day',
  i => `/api/v1/series?node=${some(i)}&metrics=${TWELVE}&buckets=600&${window(i, day)}`,
)
await measure(
  'node series, 12 metrics, last hour',
  i => `/api/v1/series?node=${some(i)}&metrics=${TWELVE}&buckets=600&${window(i, 3600)}`,
)
await measure('top processes, node, last hour', i => `/api/v1/processes?node=${some(i)}&${window(i, 3600)}`)
await measure('top processes, cluster, 10 min', i => `/api/v1/processes?${window(i, 600)}`)
/** Its stacks come beside it: see below. */
const jobPage = (id, time) => [
  `/api/v1/jobs/${id}`,
  `/api/v1/jobs/${id}/nodes?metric=cpu_busy&buckets=300&${time}`,
  `/api/v1/alerts/history?job=${id}&${time}`,
  `/api/v1/processes?job=${id}&limit=40&${time}`,
]
await measure('job page, 8 nodes x 4 h', i => jobPage(small(i), span(i)), 300)
await measure('job page, 1/8 of the nodes, day', i => jobPage('9000', window(i, day)))
await measure('job, 8 nodes x 4 h', i => `/api/v1/jobs/${small(i + runs + 1)}`)
await measure('ranks, job of 8 nodes x 4 h', i => `/api/v1/jobs/${small(i)}/ranks`)
await measure('functions, job of 8 nodes x 4 h', i => `/api/v1/jobs/${small(i)}/functions`, 500)
await measure('functions, job of 1/8 of the nodes, day', i => `/api/v1/jobs/9000/functions?${window(i, day)}`, 500)
await measure('flame graph, job of 8 nodes x 4 h', i => `/api/v1/jobs/${small(i)}/flame?${span(i)}`)
await measure('functions, job of 1/8 of the nodes, hour', i => `/api/v1/jobs/9000/functions?${window(i, 3600)}`, 500)
// Of other windows than the functions': their profile is kept.
await measure(
  'flame graph, job of 1/8 of the nodes, hour',
  i => `/api/v1/jobs/9000/flame?${window(i + runs + 1, 3600)}`,
  1000,
)
await measure('flame graph, job of 1/8 of the nodes, day', i => `/api/v1/jobs/9000/flame?${window(i, day)}`)
await measure('the same again, kept', () => `/api/v1/jobs/9000/flame?direction=bottomup&${window(0, day)}`)
await measure('flame graph, node, last hour', i => `/api/v1/flame?node=${some(i)}&${window(i, 3600)}`)
await measure('nodes, newest values', () => '/api/v1/nodes?metrics=cpu_busy,memory_used')
await measure('jobs, a page of 50', () => '/api/v1/jobs')

await app.close()
await store.close()
if (given.keep === undefined) rmSync(path, { recursive: true, force: true })
