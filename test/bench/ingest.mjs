// What ingest costs and how small the store is: 1000 collectors, a request of one tick each, over HTTP.
//
//   npm run build && node test/bench/ingest.mjs [--nodes 1000] [--ticks 60] [--cores 0] [--known] [--direct] [--node-http] [--floors] [--alone] [--ranges] [--keep PATH]
//
// The values are node-metrics.c's (60 series a node: job phases, checkpoints, counters; always the same), sent as OTLP
// protobuf by a second process. 58 of the 60 are in the catalogue; the others land as foreign series, --known leaves them out.
// --cores N adds N cores with 8 modes each. CPU is that of the serving process alone, everything
// included: HTTP, decoding, inserts, rollups, merges. --direct leaves HTTP out: the bodies go in by a call, and the CPU that
// making them takes is not counted (merges that run meanwhile are not either). --node-http leaves the addon's receiver out.
// --floors measures HTTP and the store alone, on the same requests and rows (floors.mjs). --ticks 360 is the hour that facts
// about other stores are told of. --keep leaves the store at PATH. The same values go into VictoriaMetrics and Prometheus after
// that (rivals.mjs), unless --alone. --ranges asks all of them for ranges of it (ranges.mjs).
// A part of a table is many files. On ext4 without a journal each new file looks through those deleted lately, which cost as
// much again as the inserts; TMPDIR=/dev/shm leaves that out.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PbfWriter } from 'pbf'
import { measureHttp, measureInserts, recordInserts } from './floors.mjs'
import { measureRanges } from './ranges.mjs'
import { measureRivals, writeBody } from './rivals.mjs'

const option = (name, value) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? value : Number(process.argv[at + 1])
}
const NODES = option('nodes', 1000)
const TICKS = option('ticks', 60)
const CORES = option('cores', 0)
const DIRECT = process.argv.includes('--direct')
const KNOWN_ONLY = process.argv.includes('--known')
const TICK_MS = 10_000

/** The 60 series in the order of the data set: [OTLP name, attributes, kind, divide by]; '?' marks what the catalogue lacks. */
const each = (n, make) => Array.from({ length: n }, (_, i) => make(i))
const gpus = (name, scale, more = {}) => each(4, i => [name, { 'hw.id': `gpu${i}`, ...more }, 'gauge', scale])
const GPU = { 'hw.type': 'gpu' }
const scratch = more => ({ 'system.filesystem.mountpoint': '/scratch', ...more })
const SERIES = [
  ...['user', 'system', 'iowait', 'idle', 'irq', 'steal'].map(m => [
    'system.cpu.utilization',
    { 'cpu.mode': m },
    'gauge',
    100,
  ]),
  ...gpus('hw.gpu.utilization', 100),
  ...gpus('hw.gpu.memory.usage', 1),
  ...gpus('hw.power', 1, GPU),
  ...gpus('hw.temperature', 1, GPU),
  ...gpus('jobsight.gpu.clock', 1e-6),
  ['system.memory.limit', {}, 'gauge', 1],
  ['system.memory.usage', { 'system.memory.state': 'free' }, 'gauge', 1],
  ['system.linux.memory.available', {}, 'gauge', 1],
  ['system.memory.usage', { 'system.memory.state': 'cached' }, 'gauge', 1],
  ['system.memory.usage', { 'system.memory.state': 'buffers' }, 'gauge', 1],
  ['system.linux.memory.dirty', {}, 'gauge', 1],
  ['?system.linux.memory.active', {}, 'gauge', 1],
  ['system.paging.usage', { 'system.paging.state': 'used' }, 'gauge', 1],
  ...['1m', '5m', '15m'].map(m => [`system.cpu.load_average.${m}`, {}, 'gauge', 1]),
  ...['eth0', 'ib0'].flatMap(d =>
    ['io', 'packet.count'].flatMap(what =>
      ['receive', 'transmit'].map(direction => [
        `system.network.${what}`,
        { 'network.interface.name': d, 'network.io.direction': direction },
        'counter',
        1,
      ]),
    ),
  ),
  ...['io', 'operations'].flatMap(what =>
    ['read', 'write'].map(d => [
      `system.disk.${what}`,
      { 'system.device': 'nvme0n1', 'disk.io.direction': d },
      'counter',
      1,
    ]),
  ),
  ...['read', 'write'].map(d => ['jobsight.filesystem.io', scratch({ 'disk.io.direction': d }), 'counter', 1]),
  ['jobsight.filesystem.operations', scratch({ 'jobsight.filesystem.operation': 'metadata' }), 'counter', 1],
  ['?hw.energy.board', {}, 'counter', 1],
  ['system.cpu.context_switches', {}, 'counter', 1],
  ['system.cpu.interrupts', {}, 'counter', 1],
  ['system.process.created', {}, 'counter', 1],
  ['hw.host.power', {}, 'gauge', 1],
  ['jobsight.temperature.max', {}, 'gauge', 1],
  ['system.filesystem.usage', { 'system.filesystem.mountpoint': '/', 'system.filesystem.state': 'used' }, 'gauge', 1],
  ['system.process.count', { 'process.state': 'running' }, 'gauge', 1],
]
if (SERIES.length !== 60) throw new Error(`${SERIES.length} series`)
const CORE_MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal']
const SENT = SERIES.filter(([name]) => !KNOWN_ONLY || !name.startsWith('?')).length + CORES * CORE_MODES.length

/** Metrics of one name lie together, as an SDK sends them. */
const GROUPS = [
  ...Map.prototype.entries.call(
    SERIES.reduce((groups, [name, attributes, kind, scale], i) => {
      if (KNOWN_ONLY && name.startsWith('?')) return groups
      const list = groups.get(name) ?? groups.set(name, []).get(name)
      list.push({ attributes, kind, scale, i })
      return groups
    }, new Map()),
  ),
].map(([name, points]) => ({ name: name.replace('?', ''), points }))

function body(node, values, before, timeMs) {
  const w = new PbfWriter(new Uint8Array(16_384))
  w.writeMessage(
    1,
    (_, rm) => {
      rm.writeMessage(1, (_r, to) => {
        writeAttribute(to, 1, 'host.name', node)
        writeAttribute(to, 1, 'jobsight.interval_ms', TICK_MS)
      })
      rm.writeMessage(2, (_s, scope) => {
        for (const group of GROUPS) scope.writeMessage(2, writeMetric, { ...group, values, before, timeMs })
        if (CORES > 0) scope.writeMessage(2, writeCores, { values, timeMs })
      })
    },
    null,
  )
  return w.finish()
}

function writeMetric(metric, w) {
  const counter = metric.points[0].kind === 'counter'
  w.writeStringField(1, metric.name)
  w.writeMessage(
    counter ? 7 : 5,
    (_, data) => {
      for (const { attributes, scale, i } of metric.points) {
        const value = counter ? metric.values[i] - metric.before[i] : metric.values[i] / scale
        data.writeMessage(1, writePoint, { attributes, value, timeMs: metric.timeMs })
      }
      if (!counter) return
      data.writeVarintField(2, 1)
      data.writeBooleanField(3, true)
    },
    null,
  )
}

function writeCores({ values, timeMs }, w) {
  w.writeStringField(1, 'system.cpu.utilization')
  w.writeMessage(
    5,
    (_, data) => {
      for (let core = 0; core < CORES; core++) {
        CORE_MODES.forEach((mode, m) => {
          const value =
            m === 0 ? ((values[0] + core * 7) % 100) / 100 : m === 3 ? 1 - ((values[0] + core * 7) % 100) / 100 : 0
          data.writeMessage(1, writePoint, {
            attributes: { 'cpu.logical_number': core, 'cpu.mode': mode },
            value,
            timeMs,
          })
        })
      }
    },
    null,
  )
}

function writePoint({ attributes, value, timeMs }, w) {
  w.writeFixed64Field(2, (timeMs - TICK_MS) * 1e6)
  w.writeFixed64Field(3, timeMs * 1e6)
  w.writeDoubleField(4, value)
  for (const [key, text] of Object.entries(attributes)) writeAttribute(w, 7, key, text)
}

function writeAttribute(w, field, key, value) {
  w.writeMessage(
    field,
    (_, to) => {
      to.writeStringField(1, key)
      to.writeMessage(
        2,
        (_v, v) => (typeof value === 'string' ? v.writeStringField(1, value) : v.writeVarintField(3, value)),
        null,
      )
    },
    null,
  )
}

/** Values by tick, node and series. */
function loadValues() {
  const folder = mkdtempSync(join(tmpdir(), 'jobsight-bench-'))
  const program = join(folder, 'node-metrics')
  const file = join(folder, 'data.f64')
  const source = new URL('node-metrics.c', import.meta.url).pathname
  for (const [command, ...args] of [
    ['cc', '-O2', '-o', program, source, '-lm'],
    [program, NODES, TICKS + 1, 20261123, file],
  ]) {
    const ran = spawnSync(command, args.map(String), { stdio: 'inherit' })
    if (ran.status !== 0) throw new Error(`${command} failed; it needs a C compiler (apt-get install gcc libc6-dev)`)
  }
  const bytes = readFileSync(file)
  rmSync(folder, { recursive: true })
  const all = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)
  return (tick, node) => all.subarray((tick * NODES + node) * 60, (tick * NODES + node + 1) * 60)
}

const nodeName = i => `n${String(i + 1).padStart(4, '0')}`

// ---------------------------------------------------------------------------------------------------------------- sender

const START = option('start', Math.floor(Date.now() / 3_600_000) * 3_600_000 - 2 * 3_600_000)
const bodiesOf = (values, tick) =>
  each(NODES, i => body(nodeName(i), values(tick, i), values(tick - 1, i), START + tick * TICK_MS))

/** Counters as they count. */
function writesOf(values, tick) {
  const kept = SERIES.map((series, i) => ({ series, i })).filter(
    ({ series }) => !KNOWN_ONLY || !series[0].startsWith('?'),
  )
  const series = kept.map(k => k.series)
  return each(NODES, node => {
    const all = values(tick, node)
    return writeBody(
      nodeName(node),
      series,
      kept.map(k => all[k.i]),
      START + tick * TICK_MS,
    )
  })
}

/** All nodes' requests of a tick at once, like aligned collectors; the next tick when all are acknowledged. */
async function send(url) {
  const isWrite = url.endsWith('/write')
  const values = loadValues()
  const agent = new http.Agent({ keepAlive: true, maxSockets: NODES, maxFreeSockets: NODES })
  const bytes = { sent: 0 }
  for (let tick = 1; tick <= TICKS; tick++) {
    const bodies = isWrite ? writesOf(values, tick) : bodiesOf(values, tick)
    await Promise.all(bodies.map(b => post(url, agent, b)))
    bytes.sent += bodies.reduce((sum, b) => sum + b.length, 0)
  }
  agent.destroy()
  print(JSON.stringify(bytes))
}

const post = (url, agent, payload) =>
  new Promise((ok, no) => {
    const headers = { 'content-type': 'application/x-protobuf', 'content-length': payload.length }
    const request = http.request(url, { method: 'POST', agent, headers }, answer => {
      answer.resume()
      answer.on('end', () => (answer.statusCode < 300 ? ok() : no(new Error(`status ${answer.statusCode}`))))
    })
    request.on('error', no)
    request.end(payload)
  })

// ---------------------------------------------------------------------------------------------------------------- server

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
const print = line => process.stdout.write(`${line}\n`)
const say = (what, value) => print(`${what.padEnd(64)} ${value}`)
const perMillion = (seconds, values) => `${((seconds * 1e6) / values).toFixed(3)} CPU s per million values`

async function settle(store) {
  for (let quiet = 0; quiet < 3; ) {
    const [row] = await store.query(
      { query: 'SELECT count() AS n FROM system.merges', query_params: {} },
      { name: 'bench' },
    )
    quiet = Number(row.n) === 0 ? quiet + 1 : 0
    await new Promise(done => setTimeout(done, 300))
  }
}

async function serve() {
  const dist = new URL('../../dist/ingest/', import.meta.url)
  const { openStore } = await import(new URL('store.js', dist))
  const { openIngest } = await import(new URL('index.js', dist))
  const { default: Fastify } = await import('fastify')
  const { pino } = await import('pino')
  const log = pino({ level: 'warn' })
  const kept = process.argv.indexOf('--keep')
  const path = kept < 0 ? mkdtempSync(join(tmpdir(), 'jobsight-bench-store-')) : process.argv[kept + 1]
  const store = await openStore({ path }, { log })
  const { readAddon } = await import(new URL('../collector/addon.js', dist))
  const { parseReceiver } = await import(new URL('receiver.js', dist))
  const receiver = process.argv.includes('--node-http') ? undefined : readAddon(parseReceiver)
  if (receiver !== undefined && 'absent' in receiver) throw new Error(`${receiver.absent}; without it: --node-http`)
  const recorded = process.argv.includes('--floors') ? recordInserts(store) : undefined
  const ingest = await openIngest({ store: recorded?.recording ?? store, log, defaultCluster: 'bench', receiver })
  const app = Fastify()
  await app.register(ingest.plugin)
  const values = NODES * TICKS * SENT
  print(
    `${NODES} nodes, ${TICKS} ticks of ${TICK_MS / 1000} s, ${SENT} values a request, ${(values / 1e6).toFixed(1)} M values`,
  )
  const before = cpuSeconds()
  const from = performance.now()
  const { sent, bytes } = DIRECT ? await give(ingest) : await measureSender(app)
  const wall = (performance.now() - from) / 1000
  const started = DIRECT ? cpuSeconds() - sent : before
  await app.close()
  await ingest.close()
  await settle(store)
  const merged = cpuSeconds() - started
  say('until the last acknowledgement', `${perMillion(sent, values)} (${wall.toFixed(1)} s)`)
  say('with rollups written and merges done', perMillion(merged, values))
  say('values per CPU second', Math.round(values / merged).toLocaleString('en'))
  say('bytes a value on the wire', (bytes / values).toFixed(1))
  say('resident memory', `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
  await printSizes(store, values, ingest.counters().values)
  const asked = process.argv.includes('--ranges')
    ? { from: START, to: START + TICKS * TICK_MS, stepMs: TICK_MS, nodes: NODES }
    : undefined
  if (asked) await measureOwnRanges(store, asked)
  await store.close()
  if (kept < 0) rmSync(path, { recursive: true })
  if (recorded) await printFloors(values, recorded.blocks, receiver)
  if (!process.argv.includes('--alone')) await measureRivals(values, runSender, say, asked)
}

async function printFloors(values, blocks, receiver) {
  const http = await measureHttp({ receiver, send: runSender, cpuSeconds })
  say('HTTP alone, bodies not looked at', perMillion(http, values))
  const { inserted, merged } = await measureInserts(blocks, { settle, cpuSeconds })
  say(`the same ${blocks.length} blocks into an empty store`, perMillion(inserted, values))
  say('the same, merges included', perMillion(merged, values))
}

async function measureOwnRanges(store, asked) {
  const dist = new URL('../../dist/', import.meta.url)
  const { LatestValues } = await import(new URL('ingest/latest.js', dist))
  const { restoreLatest } = await import(new URL('ingest/restore.js', dist))
  const { openControl } = await import(new URL('ingest/control.js', dist))
  const { query } = await import(new URL('query/index.js', dist))
  const { default: Fastify } = await import('fastify')
  const { pino } = await import('pino')
  const log = pino({ level: 'warn' })
  const app = Fastify()
  // What a server that took them in has in memory.
  const latest = new LatestValues()
  await restoreLatest(store, latest, asked.to, log)
  const ingest = { latest, onWritten: () => () => {}, control: openControl('bench', log) }
  await app.register(query, { store, log, ingest })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  await measureRanges({ ...asked, who: 'Jobsight', kind: 'ours', base, cpuSeconds, say })
  await app.close()
}

async function measureSender(app) {
  const before = cpuSeconds()
  const answer = await runSender(`${await app.listen({ port: 0, host: '127.0.0.1' })}/v1/metrics`)
  return { sent: cpuSeconds() - before, bytes: answer.sent }
}

async function give(ingest) {
  const values = loadValues()
  let sent = 0
  let bytes = 0
  for (let tick = 1; tick <= TICKS; tick++) {
    const bodies = bodiesOf(values, tick)
    const before = cpuSeconds()
    const receipts = await Promise.all(bodies.map(b => ingest.receive('metrics', b)))
    const refused = receipts.find(r => r.status !== 200)
    if (refused) throw new Error(`a request was refused: ${refused.status} ${refused.message}`)
    sent += cpuSeconds() - before
    bytes += bodies.reduce((sum, b) => sum + b.length, 0)
  }
  return { sent, bytes }
}

function runSender(url) {
  const child = spawn(
    process.execPath,
    [new URL(import.meta.url).pathname, '--send', url, '--start', START, ...process.argv.slice(2)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let text = ''
  child.stdout.on('data', more => {
    text += more
  })
  return new Promise((ok, no) => {
    child.on('close', code => (code === 0 ? ok(JSON.parse(text)) : no(new Error(`the sender ended with ${code}`))))
  })
}

async function printSizes(store, values, columnValues) {
  const before = cpuSeconds()
  const tables = await store.query(
    {
      query:
        "SELECT DISTINCT table FROM system.parts WHERE active AND database = currentDatabase() AND table != 'schema_version'",
      query_params: {},
    },
    { name: 'bench' },
  )
  for (const { table } of tables) await store.command(`OPTIMIZE TABLE ${table} FINAL`)
  say('OPTIMIZE FINAL of everything', perMillion(cpuSeconds() - before, values))
  const sizes = await store.query(
    {
      query:
        'SELECT table, sum(bytes_on_disk) AS bytes, sum(rows) AS n FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table',
      query_params: {},
    },
    { name: 'bench' },
  )
  let raw = 0
  let rollups = 0
  for (const { table, bytes, n } of sizes) {
    print(`  ${table.padEnd(24)} ${String(n).padStart(9)} rows ${String(bytes).padStart(11)} bytes`)
    if (/_points_(5m|1h)$/.test(table)) rollups += Number(bytes)
    else raw += Number(bytes)
  }
  say('values stored in columns of points (with those made from others)', columnValues.toLocaleString('en'))
  say('bytes at rest a value sent', (raw / values).toFixed(3))
  say('bytes at rest a value sent, rollups included', ((raw + rollups) / values).toFixed(3))
}

const at = process.argv.indexOf('--send')
if (at > 0) await send(process.argv[at + 1])
else await serve()
