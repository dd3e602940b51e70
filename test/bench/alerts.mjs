/**
 * What alerts cost: one evaluation of 200 rules over 1000 nodes with 250 jobs (limit: 1 s of CPU), and a rule tried on a day of
 * 1000 nodes at 10 s with 3000 jobs (limit: 5 s): of metrics, and of what jobs did. CPU is that of this process, the embedded store included. The rules are those
 * that come with Jobsight and others over the metrics of nodes, so that every window, aggregate and kind of question is among
 * them. Ticks come while rounds are made, as they do on a live server: those of each round are inserted before it, uncounted.
 *
 *   npm run build && node test/bench/alerts.mjs [--nodes 1000] [--rules 200] [--rounds 9] [--keep /var/tmp/jobsight-alerts]
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { pino } from 'pino'

const { values: given } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    rules: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '9' },
    keep: { type: 'string' },
    dist: { type: 'string', default: resolve(import.meta.dirname, '../../dist') },
  },
})
const load = path => import(pathToFileURL(join(given.dist, path)).href)
const { openStore } = await load('ingest/store.js')
const { LatestValues } = await load('ingest/latest.js')
const { restoreLatest } = await load('ingest/restore.js')
const { openControl } = await load('ingest/control.js')
const { COLUMNS } = await load('ingest/metrics.js')
const { openBursts } = await load('query/bursts.js')
const { openRoom } = await load('query/desk.js')
const { EVERYONE } = await load('query/access/who.js')
const { openAlerts } = await load('query/alerts/service.js')
const { backtest } = await load('query/alerts/backtest.js')
const { LIBRARY } = await load('query/alerts/library.js')
const { readyRule } = await load('query/alerts/rule.js')

const nodes = Number(given.nodes)
const log = pino({ level: 'warn' })
const path = given.keep ?? mkdtempSync(join(tmpdir(), 'jobsight-bench-alerts-'))
const made = existsSync(join(path, 'clickhouse'))
const store = await openStore({ path, memoryBytes: 6 * 2 ** 30 }, { log })
const ask = text => store.query({ query: text, query_params: {} }, { name: 'bench' })
/** A store that was kept has its own day, and the ticks of the rounds of before. */
const [kept] = await ask(
  'SELECT (SELECT min(start_ms) FROM jobs) / 1000 AS begin, (SELECT toUnixTimestamp(max(time)) FROM node_points) AS live',
)
const DAY = 86_400
const end = made ? Number(kept.begin) + DAY : Math.floor(Date.now() / 10_000) * 10
/** A job runs so long: four nodes, one job after the other. */
const RUN = 7200

/** A ratio that stays below 0.9 but for one node in a hundred, one hour in six. */
const ratio =
  i => `toInt32(10000 * (0.5 + 0.3 * sin(t / ${300 + 40 * i} + n) + 0.05 * (cityHash64(number, ${i}) % 1000) / 1000
  + if(n % 100 = 7 AND intDiv(t, 3600) % 6 = 0, 0.4, 0)))`
const columns = COLUMNS.node.filter(m => m.unit === 'ratio').slice(0, 24)
const started = Date.now()
/** Ticks of (from, to], seconds. */
const insertPoints = (from, to) =>
  store.command(`INSERT INTO node_points (cluster, node, time, interval_ms, cpu_count, memory_total, memory_used, ${columns.map(c => c.column)})
  SELECT 'bench', concat('n', toString(n)), toDateTime(t, 'UTC'), 10000, 64, 256000000000, 100000000000 + n * 1000000, ${columns.map((_, i) => ratio(i))}
  FROM (SELECT number, number % ${nodes} AS n, ${from} + (intDiv(number, ${nodes}) + 1) * 10 AS t FROM numbers(${(nodes * (to - from)) / 10}))
  SETTINGS max_partitions_per_insert_block = 0`)
const insertProcesses = (from, to) =>
  store.command(`INSERT INTO processes (cluster, node, time, interval_ms, pid, start_ms, name, user, job, evidence, cpu_user, cpu_system, memory_bytes, state)
  SELECT 'bench', concat('n', toString(n)), toDateTime(t, 'UTC'), 10000, p, 1000, 'app', 'ann', toString(intDiv(t - ${end - DAY}, ${RUN}) * 1000 + intDiv(n, 4)), 'cgroup', 0.9, 0.05, 1000000000, 'R'
  FROM (SELECT number, number % 20 AS p, intDiv(number, 20) % ${nodes} AS n, ${from} + (intDiv(number, ${20 * nodes}) + 1) * 10 AS t FROM numbers(${20 * nodes * ((to - from) / 10)}))`)
const live = made ? Number(kept.live) : end - Number(given.rounds) * 20 - 20
async function makeDay() {
  await insertPoints(end - DAY, live - 1800)
  await insertProcesses(live - 3600, live - 1800)
  for (let at = live - 1800; at < live; at += 60) {
    await insertPoints(at, at + 60)
    await insertProcesses(at, at + 60)
  }
  // What the store makes of a day of ticks as they come: five minutes of nodes, and a minute of each job on each node.
  const minuteOf = "toDateTime(t, 'UTC')"
  const jobAt = `toString(intDiv(t - 1 - ${end - DAY}, ${RUN}) * 1000 + intDiv(n, 4))`
  /** Of the 64 cores of a node a fifth waits, on one node in a hundred next to nothing. */
  const sampled = 'toInt64(60 * 64 * 1e9 * 0.9)'
  await store.command(`INSERT INTO job_usage (cluster, job, minute, node, cpu_seconds, system_seconds, memory_bytes, seen, sampled_ns, waiting_ns)
  SELECT 'bench', ${jobAt}, ${minuteOf}, concat('n', toString(n)), 1100 + n % 50, 60, 20000000000, 120, ${sampled}, toInt64(${sampled} * if(n % 100 = 7, 0.01, 0.2))
  FROM (SELECT number % ${nodes} AS n, ${end - DAY} + (intDiv(number, ${nodes}) + 1) * 60 AS t FROM numbers(${(nodes * (DAY - 3600)) / 60}))`)
  /** Twenty processes a node, as old as the job; one in ten of one node in a hundred computes half of what the others do. */
  await store.command(`INSERT INTO processes_5m (cluster, node, time, pid, start_ms, job, name, user, ticks, seconds, cpu_seconds, system_seconds, memory_sum, memory_max, read_bytes, write_bytes, threads)
  SELECT 'bench', concat('n', toString(n)), ${minuteOf}, p, 1000 * toInt64(${end - DAY} + intDiv(t - 1 - ${end - DAY}, ${RUN}) * ${RUN}), ${jobAt}, 'app', 'ann', 30, 300,
    300 * (if(n % 100 = 7 AND p % 10 = 3, 0.45, 0.9) + (cityHash64(number) % 1000) / 20000), 15, 30000000000 + cityHash64(number) % 4096 * 4096, 1000000000 + cityHash64(number) % 4096 * 4096, 3e8 + cityHash64(number) % 1000000, if(n % 100 = 7, 3e11, 3e8), 8
  FROM (SELECT number, number % 20 AS p, intDiv(number, 20) % ${nodes} AS n, ${end - DAY} + (intDiv(number, ${20 * nodes}) + 1) * 300 AS t FROM numbers(${(20 * nodes * (DAY - 3600)) / 300}))
  SETTINGS max_partitions_per_insert_block = 0`)
  /** Two hundred functions a job, ten of them of MPI; of one job in twenty MPI_Waitall is half of all. */
  await store.command(`INSERT INTO frames (frame_id, function_id, function, module, kind, seen)
  SELECT number, number, if(number < 10, ['MPI_Wait', 'MPI_Waitall', 'MPI_Waitany'][1 + number % 3], concat('solve_', toString(number))), 'app', 'native', today() FROM numbers(200)`)
  await store.command(`INSERT INTO functions_5m (cluster, job, time, function_id, self, total, self_count)
  SELECT 'bench', toString(intDiv(t - 1 - ${end - DAY}, ${RUN}) * 1000 + g), ${minuteOf}, f, toInt64(4 * 64 * 270e9 / 200), toInt64(4 * 64 * 270e9 * if(f = 1 AND g % 20 = 0, 0.6, 1 / 200)), 1
  FROM (SELECT number % 200 AS f, intDiv(number, 200) % ${nodes / 4} AS g, ${end - DAY} + (intDiv(number, ${50 * nodes}) + 1) * 300 AS t FROM numbers(${(50 * nodes * DAY) / 300}))
  SETTINGS max_partitions_per_insert_block = 0`)
  const fiveMinutes = `toDateTime(intDiv(toUnixTimestamp(time) + 299, 300) * 300, 'UTC')`
  const partsOf = name => [`sum(${name})`, `count(${name})`, `max(${name})`].join()
  await store.command(`INSERT INTO node_points_5m (cluster, node, time, rows, ${['cpu_busy', 'cpu_count'].flatMap(c => ['sum', 'count', 'max'].map(of => `${c}_${of}`))})
  SELECT cluster, node, ${fiveMinutes} AS five, count(), ${['cpu_busy', 'cpu_count'].map(partsOf)} FROM node_points GROUP BY cluster, node, five`)
  const groupColumns = ['cpu_user', 'cpu_system', 'memory_bytes', 'memory_limit', 'read_bytes', 'write_bytes']
  await store.command(`INSERT INTO job_points_5m (cluster, node, instance, time, rows, ${groupColumns.flatMap(c => ['sum', 'count', 'max'].map(of => `${c}_${of}`))})
  SELECT 'bench', concat('n', toString(n)), ${jobAt}, ${minuteOf}, 30, ${groupColumns.map((_, i) => `${30 * (i + 1)} * (600 + n % 7), 30, ${i + 1} * 700`)}
  FROM (SELECT number % ${nodes} AS n, ${end - DAY} + (intDiv(number, ${nodes}) + 1) * 300 AS t FROM numbers(${(nodes * DAY) / 300}))
  SETTINGS max_partitions_per_insert_block = 0`)
  const jobs = Array.from({ length: (DAY / RUN) * (nodes / 4) }, (_, i) => {
    const [turn, place] = [Math.floor(i / (nodes / 4)), i % (nodes / 4)]
    const names = [0, 1, 2, 3].map(of => `n${place * 4 + of}`)
    const startMs = (end - DAY + turn * RUN) * 1000
    const endMs = startMs + RUN * 1000
    const state = endMs > end * 1000 - 3_600_000 ? 'running' : 'completed'
    const times = { startMs, ...(state === 'running' ? {} : { endMs }) }
    const record = {
      cluster: 'bench',
      id: String(turn * 1000 + place),
      scheduler: 'slurm',
      state,
      user: 'ann',
      ...times,
    }
    const allocations = names.map(node => ({ node, cores: 64 }))
    return JSON.stringify({
      ...{
        cluster: 'bench',
        id: record.id,
        user: 'ann',
        state,
        submit_ms: startMs,
        start_ms: startMs,
        end_ms: times.endMs ?? 0,
      },
      ...{ node_count: 4, cores: 256, nodes: names, updated_ms: startMs },
      record: JSON.stringify({ ...record, cores: 256, updatedMs: startMs, allocations }),
    })
  })
  await store.command(`INSERT INTO jobs FORMAT JSONEachRow ${jobs.join(' ')}`)
}
if (!made) await makeDay()
process.stdout.write(
  `${nodes} nodes, a day at 10 s, made in ${((Date.now() - started) / 1000).toFixed(0)} s · load ${loadavg()[0]?.toFixed(1)}\n`,
)

const clock = { now: live * 1000 }
const now = () => clock.now
const latest = new LatestValues()
await restoreLatest(store, latest, clock.now, log)
const bursts = openBursts({ control: openControl('bench', log), keepBurst: async () => {}, log, now })
const room = openRoom(store, latest, bursts, now)
const openDesk = () => room.desk({ who: EVERYONE, signal: undefined })
const config = { enabled: true, library: true, everyMs: 15_000, delayMs: 0 }
const alerts = openAlerts({ store, config, log, now, openDesk })
const WINDOWS = ['1m', '5m', '10m', '15m']
for (let i = 0; alerts.rules.enabled().length < Number(given.rules); i++) {
  const metric = columns[i % columns.length].column
  const rule = {
    name: `bench-${i}`,
    scope: 'node',
    metric,
    window: WINDOWS[i % 4],
    aggregate: ['avg', 'max', 'min', 'last'][(i >> 2) % 4],
    above: 0.9 + (i % 9) / 100,
  }
  await alerts.rules.save(rule, '', clock.now)
}
/** Parts that were just inserted are merged by and by: that is the price of storing them, not of watching. */
const merged = async () => {
  for (;;) {
    const [row] = await ask('SELECT toFloat64(count()) AS n FROM system.merges')
    if (!row?.n) return
    await setTimeout(50)
  }
}
const cpuOf = async work => {
  const [cpu, wall] = [process.cpuUsage(), performance.now()]
  const value = await work()
  const used = process.cpuUsage(cpu)
  return { cpu: (used.user + used.system) / 1e6, wall: (performance.now() - wall) / 1000, value }
}
const rounds = []
for (let i = 0; i <= Number(given.rounds); i++) {
  // Two ticks in 20 s: a bit more than the 15 s between two rounds bring.
  const from = live + i * 20
  await insertPoints(from, from + 20)
  await insertProcesses(from, from + 20)
  clock.now = (from + 20) * 1000
  await merged()
  await restoreLatest(store, latest, clock.now, log, 60_000)
  rounds.push(await cpuOf(() => alerts.evaluator.tick()))
}
// The first one reads everything cold.
const [cold, ...warm] = rounds
const middle = list => [...list].sort((a, b) => a - b)[list.length >> 1]
const firing = alerts.evaluator.active().filter(a => a.series.phase === 'firing').length
process.stdout.write(
  `${alerts.rules.enabled().length} rules, ${firing} alerts fire: ${middle(warm.map(r => r.cpu)).toFixed(2)} CPU s a round (limit 1), ` +
    `${middle(warm.map(r => r.wall)).toFixed(2)} s of wall time; every fourth round looks at stacks too: ${Math.max(...warm.map(r => r.cpu)).toFixed(2)} at most; the first ${cold.cpu.toFixed(2)}\n`,
)
if (alerts.evaluator.counters.failed > 0) throw new Error('a round failed')

const FROM_LIBRARY = [
  ...['job-idle', 'job-slow-node', 'job-memory-near-limit', 'job-kernel-time', 'job-imbalance', 'job-straggler'],
  ...['job-slow-rank', 'job-mpi-wait', 'job-near-time-limit'],
]
/** Each way in which a past is looked at. */
const LOOKED = [
  { name: 'hot', scope: 'node', metric: columns[0].column, window: '5m', above: 0.9, for: '5m' },
  {
    name: 'uneven',
    scope: 'node',
    metric: columns[1].column,
    window: '10m',
    test: 'peers',
    above: 3.5,
    apart: 0.2,
    where: { minNodes: 3 },
  },
  { name: 'job-hot', scope: 'job', metric: columns[0].column, window: '10m', above: 0.7 },
  { name: 'cluster-hot', scope: 'cluster', metric: columns[0].column, above: 0.7 },
  ...LIBRARY.filter(rule => FROM_LIBRARY.includes(rule.name)),
  { name: 'job-writes', scope: 'job', figure: 'io_bytes', window: '10m', above: 5e9 },
  { name: 'busy-process', scope: 'process', figure: 'cpu', window: '10m', above: 0.96, for: '10m' },
  { name: 'every-process', scope: 'process', figure: 'cpu', window: '5m', above: 0.5, for: '10m' },
  { name: 'memory', scope: 'process', figure: 'memory_bytes', aggregate: 'max', above: 2e9 },
  { name: 'any-function', scope: 'function', function: '*', window: '10m', above: 0.3 },
]
for (const rule of LOOKED) {
  const span = { from: (end - DAY) * 1000, to: end * 1000 }
  const tried = await cpuOf(() => backtest(openDesk(), 'bench', readyRule(rule), span))
  const { steps, episodes } = tried.value
  process.stdout.write(
    `${rule.name} (${rule.test ?? 'value'}) on the day: ${steps} steps, would have fired ${episodes.length} times: ${tried.wall.toFixed(2)} s (limit 5), ${tried.cpu.toFixed(2)} CPU s\n`,
  )
}
await alerts.evaluator.close()
await store.close()
if (given.keep === undefined) rmSync(path, { recursive: true, force: true })
