/**
 * What the collector of a node costs, beside what one would run in its place, in the same run: CPU seconds a minute at 10 s
 * and at 1 s, resident memory, bytes sent, with a thousand processes present.
 *
 *   npm run build && node test/bench/collector.mjs [--processes 1000] [--seconds 60] [--warm-up 20] [--main dist/main.js] [--alone]
 *
 * Measured is the whole program as it runs on a node, `jobsight collect` with stacks off: sources, encoding, outbox, gzip,
 * HTTP and Node itself; CPU by schedstat of all threads of the process tree plus its ended children. All that have one
 * interval run at the same time; absolute figures depend on what else the machine does, so the ratios are what to look at.
 * It is warm first, twenty minutes at 10 s and five at 1 s: V8 compiles what it runs, and a collector runs for months.
 * The limits are those of the collector's own contract: below 0.15 CPU s a minute at 10 s, 0.8 at 1 s, 80 MiB resident.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { WebSocketServer } from 'ws'
import { RIVALS } from './collectorrivals.mjs'

const { values: given } = parseArgs({
  options: {
    processes: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    /** Minutes at 10 s; a quarter of that at 1 s. */
    'warm-up': { type: 'string', default: '20' },
    /** Without the rivals. */
    alone: { type: 'boolean', default: false },
    main: { type: 'string', default: fileURLToPath(new URL('../../dist/main.js', import.meta.url)) },
  },
})
const seconds = Number(given.seconds)
const warmUpMinutes = intervalMs => Number(given['warm-up']) / (intervalMs < 10_000 ? 4 : 1)
const LIMITS = { 10000: 0.15, 1000: 0.8 }
const LIMIT_MIB = 80

const say = line => process.stdout.write(`${line}\n`)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
const read = path => readFileSync(path, 'latin1')
const fieldsOf = pid => {
  const stat = read(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
const allPids = () => readdirSync('/proc').filter(name => /^\d+$/.test(name))

/** The processes and all that descend from them. */
function treeOf(roots) {
  const parents = new Map()
  for (const pid of allPids()) {
    try {
      parents.set(pid, fieldsOf(pid)[1])
    } catch {
      // gone
    }
  }
  const tree = new Set(roots.map(String))
  for (let size = 0; size !== tree.size; ) {
    size = tree.size
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid)
  }
  return [...tree].filter(pid => parents.has(pid))
}

/** Nanoseconds on a CPU of all threads, and clock ticks (10 ms) of ended children. */
function readCpuSeconds(pid) {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0])
  }
  const fields = fieldsOf(pid)
  return nanoseconds / 1e9 + (Number(fields[13]) + Number(fields[14])) / 100
}

const sumOf = (pids, of) => treeOf(pids).reduce((sum, pid) => sum + of(pid), 0)
const readMemoryMiB = (pid, field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(read(`/proc/${pid}/status`))?.[1]) / 1024

/** As our own server pings its control lines. */
const PING_EVERY_MS = 25_000

/** Takes what a collector sends and counts it; the line back to it is open. */
async function openSink() {
  const got = { requests: 0, packed: 0, bytes: 0 }
  const server = createServer((request, response) => {
    const parts = []
    request.on('data', part => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      if (request.url === '/v1/metrics') {
        got.requests++
        got.packed += body.length
        got.bytes += gunzipSync(body).length
      }
      response.writeHead(200).end()
    })
  })
  // as our own server has it: a connection outlives the 10 s to the next tick
  server.keepAliveTimeout = 72_000
  const control = new WebSocketServer({ server, path: '/v1/control' })
  const pings = setInterval(() => {
    for (const line of control.clients) line.ping()
  }, PING_EVERY_MS)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    clearInterval(pings)
    for (const line of control.clients) line.terminate()
    control.close()
    server.close()
  }
  return { got, url: `http://127.0.0.1:${server.address().port}`, close }
}

async function startOurs(intervalMs, directory, table) {
  const sink = await openSink()
  const top = table ? '20' : '0'
  const child = spawn(
    process.execPath,
    [given.main, 'collect', '--endpoint', sink.url, '--interval', String(intervalMs)],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        JOBSIGHT_LOG: 'error',
        JOBSIGHT_COLLECTOR_STACKS_MODE: 'off',
        JOBSIGHT_COLLECTOR_SCHEDULER_KIND: 'none',
        JOBSIGHT_COLLECTOR_SPOOL_PATH: join(directory, `spool-${intervalMs}-${top}`),
        JOBSIGHT_COLLECTOR_PROCESSES_TOP_BY_CPU: top,
        JOBSIGHT_COLLECTOR_PROCESSES_TOP_BY_MEMORY: top,
      },
    },
  )
  return {
    pids: [child.pid],
    got: sink.got,
    stop() {
      child.kill('SIGKILL')
      sink.close()
    },
  }
}

async function startAll(intervalMs, directory) {
  const started = [
    { name: 'jobsight', ...(await startOurs(intervalMs, directory, true)) },
    { name: 'jobsight, no process table', ...(await startOurs(intervalMs, directory, false)) },
  ]
  for (const { name, needs, debian, start } of given.alone ? [] : RIVALS) {
    if (needs.every(existsSync)) started.push({ name, ...(await start(intervalMs, directory)) })
    else say(`${name} is not installed: apt-get install ${debian}`)
  }
  return started
}

async function measure(started) {
  const before = started.map(({ pids, got }) => ({ cpu: sumOf(pids, readCpuSeconds), ...got, atMs: performance.now() }))
  await pause(seconds * 1000)
  return started.map(({ name, pids, got }, i) => {
    const { cpu, requests, packed, bytes, atMs } = before[i]
    const minutes = (performance.now() - atMs) / 60_000
    const ticks = got ? got.requests - requests : 0
    return {
      name,
      cpuSecondsAMinute: (sumOf(pids, readCpuSeconds) - cpu) / minutes,
      bytes: ticks > 0 ? (got.bytes - bytes) / ticks : undefined,
      packed: ticks > 0 ? (got.packed - packed) / ticks : undefined,
      rss: sumOf(pids, pid => readMemoryMiB(pid, 'VmRSS')),
      peak: sumOf(pids, pid => readMemoryMiB(pid, 'VmHWM')),
    }
  })
}

function print(intervalMs, rows) {
  const [ours] = rows
  const whole = value => (value === undefined ? '' : value.toFixed(0))
  say(
    `\nevery ${intervalMs / 1000} s, ${allPids().length} processes, load ${loadavg()[0].toFixed(2)}, warm for ${warmUpMinutes(intervalMs)} min, window ${seconds} s`,
  )
  say('                            CPU s/min  CPU s/h  to ours   RSS MiB  peak   bytes/tick  gzip/tick')
  for (const row of rows) {
    say(
      [
        row.name.padEnd(27),
        row.cpuSecondsAMinute.toFixed(3).padStart(9),
        (row.cpuSecondsAMinute * 60).toFixed(1).padStart(8),
        `${(row.cpuSecondsAMinute / ours.cpuSecondsAMinute).toFixed(1)}x`.padStart(8),
        row.rss.toFixed(0).padStart(9),
        row.peak.toFixed(0).padStart(5),
        whole(row.bytes).padStart(12),
        whole(row.packed).padStart(10),
      ].join(' '),
    )
  }
  const limit = LIMITS[intervalMs]
  const met = (value, most) => (value < most ? 'met' : 'NOT met')
  say(
    `limit ${limit} CPU s/min: ${met(ours.cpuSecondsAMinute, limit)}; limit ${LIMIT_MIB} MiB: ${met(ours.rss, LIMIT_MIB)}`,
  )
}

const directory = mkdtempSync(join(tmpdir(), 'jobsight-bench-'))
const sleeps = []
let running = []
try {
  say(`${cpus().length} x ${cpus()[0]?.model}, node ${process.version}`)
  for (let i = 0; i < Number(given.processes); i++) sleeps.push(spawn('sleep', ['3600'], { stdio: 'ignore' }))
  for (const intervalMs of [10_000, 1000]) {
    running = await startAll(intervalMs, directory)
    await pause(warmUpMinutes(intervalMs) * 60_000)
    print(intervalMs, await measure(running))
    for (const { stop } of running.splice(0)) stop()
    await pause(2000)
  }
} finally {
  for (const { stop } of running) stop()
  for (const child of sleeps) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}
