/**
 * What the collector of a node costs: CPU seconds a minute and an hour at 10 s and at 1 s, resident memory, values and bytes
 * sent, with the processes of the machine and with a thousand more.
 *
 *   npm run build && node test/bench/collector.mjs [--processes 1000] [--seconds 60] [--main dist/main.js]
 *       [--node-exporter FILE]     prometheus-node-exporter, measured in the same run: absolute figures depend on what else runs
 *
 * Measured is the whole program as it runs on a node, `jobsight collect` with stacks off: sources, SDK, outbox, gzip, HTTP
 * and Node itself; CPU by schedstat of all its threads plus its ended children. All four run at the same time.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'

const { values: given } = parseArgs({
  options: {
    processes: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    'node-exporter': { type: 'string' },
    main: { type: 'string', default: fileURLToPath(new URL('../../dist/main.js', import.meta.url)) },
  },
})
const seconds = Number(given.seconds)
const WARM_UP_MS = 60_000

/**
 * CPU seconds a minute of others, quoted: measured on 2026-11-23 with the packages of Debian 12 on a virtual machine with
 * 2 cores (EPYC Zen 4, Linux 6.18), 1000 sleeping processes more, each with its process table on. +-30 %.
 */
const QUOTED = [
  { name: 'node_exporter 1.5 --collector.processes', 1000: 3.765, 10000: 0.483 },
  { name: 'netdata 1.37.1', 1000: 4.698, 10000: 0.685 },
  { name: 'collectd 5.12', 1000: 3.334, 10000: 0.346 },
  { name: 'PCP 6.0.3 pmcd + pmlogger', 1000: 1.468, 10000: 0.181 },
]
const QUOTED_WITHOUT_PROCESSES = { name: 'node_exporter 1.5, no process table', 1000: 0.634, 10000: 0.068 }

const say = line => process.stdout.write(`${line}\n`)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Nanoseconds on a CPU of all threads, and clock ticks (10 ms) of ended children. */
function readCpuSeconds(pid) {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0])
  }
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return nanoseconds / 1e9 + (Number(fields[13]) + Number(fields[14])) / 100
}

const readMemoryMiB = (pid, field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024

/** Takes what a collector sends and counts it. */
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
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { got, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}

async function startCollector(intervalMs, table) {
  const sink = await openSink()
  const top = table ? '20' : '0'
  const spool = mkdtempSync(join(tmpdir(), 'jobsight-bench-'))
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
        JOBSIGHT_COLLECTOR_SPOOL_PATH: join(spool, 'spool'),
        JOBSIGHT_COLLECTOR_PROCESSES_TOP_BY_CPU: top,
        JOBSIGHT_COLLECTOR_PROCESSES_TOP_BY_MEMORY: top,
      },
    },
  )
  return { name: 'jobsight', intervalMs, table, sink, child, spool }
}

/** node_exporter with its process table, scraped each interval over a new connection, packed, as Prometheus does. */
async function startNodeExporter(intervalMs) {
  const port = 19_100 + intervalMs / 1000
  const got = { requests: 0, packed: 0, bytes: 0 }
  const child = spawn(
    given['node-exporter'],
    [`--web.listen-address=127.0.0.1:${port}`, '--collector.processes', '--log.level=error'],
    { stdio: ['ignore', 'ignore', 'ignore'] },
  )
  const timer = setInterval(() => {
    get({ port, path: '/metrics', agent: false, headers: { 'accept-encoding': 'gzip' } }, response => {
      const parts = []
      response.on('data', part => parts.push(part))
      response.on('end', () => {
        const body = Buffer.concat(parts)
        got.requests++
        got.packed += body.length
        got.bytes += gunzipSync(body).length
      })
    }).on('error', () => {})
  }, intervalMs)
  const sink = { got, close: () => clearInterval(timer) }
  return { name: 'node_exporter', intervalMs, table: true, sink, child, spool: undefined }
}

async function measure(collectors) {
  const before = collectors.map(({ child, sink }) => ({
    cpu: readCpuSeconds(child.pid),
    ...sink.got,
    atMs: performance.now(),
  }))
  await pause(seconds * 1000)
  return collectors.map(({ name, child, sink, intervalMs, table }, i) => {
    const { cpu, requests, packed, bytes, atMs } = before[i]
    const minutes = (performance.now() - atMs) / 60_000
    const ticks = sink.got.requests - requests
    return {
      name,
      intervalMs,
      table,
      cpuSecondsAMinute: (readCpuSeconds(child.pid) - cpu) / minutes,
      bytes: (sink.got.bytes - bytes) / ticks,
      packed: (sink.got.packed - packed) / ticks,
      rss: readMemoryMiB(child.pid, 'VmRSS'),
      peak: readMemoryMiB(child.pid, 'VmHWM'),
    }
  })
}

function print(rows, processes) {
  say(`\n${processes} processes, load ${loadavg()[0].toFixed(2)}, window ${seconds} s`)
  say('              interval  process table  CPU s/min  CPU s/h   RSS MiB  peak   bytes/tick  gzip/tick')
  for (const row of rows) {
    say(
      [
        row.name.padEnd(13),
        `${row.intervalMs / 1000} s`.padEnd(9),
        (row.table ? 'yes' : 'no').padEnd(14),
        row.cpuSecondsAMinute.toFixed(3).padStart(9),
        (row.cpuSecondsAMinute * 60).toFixed(1).padStart(8),
        row.rss.toFixed(0).padStart(9),
        row.peak.toFixed(0).padStart(5),
        row.bytes.toFixed(0).padStart(12),
        row.packed.toFixed(0).padStart(10),
      ].join(' '),
    )
  }
}

function printRatios(rows) {
  say('\nquoted figures of others over ours (more than 1: ours is cheaper)')
  for (const { name, intervalMs, table, cpuSecondsAMinute } of rows) {
    if (name !== 'jobsight') continue
    for (const other of table ? QUOTED : [QUOTED_WITHOUT_PROCESSES]) {
      const ratio = other[intervalMs] / cpuSecondsAMinute
      say(
        `${`${intervalMs / 1000} s`.padEnd(5)} ${other.name.padEnd(42)} ${other[intervalMs].toFixed(3)}  ${ratio.toFixed(1)}x`,
      )
    }
  }
}

const countProcesses = () => readdirSync('/proc').filter(name => /^\d+$/.test(name)).length

const collectors = []
const sleeps = []
try {
  say(`${cpus().length} x ${cpus()[0]?.model}, node ${process.version}`)
  for (const intervalMs of [10_000, 1000])
    for (const table of [false, true]) collectors.push(await startCollector(intervalMs, table))
  if (given['node-exporter'])
    for (const intervalMs of [10_000, 1000]) collectors.push(await startNodeExporter(intervalMs))
  await pause(WARM_UP_MS)
  print(await measure(collectors), countProcesses())
  for (let i = 0; i < Number(given.processes); i++) sleeps.push(spawn('sleep', ['3600'], { stdio: 'ignore' }))
  await pause(WARM_UP_MS)
  const rows = await measure(collectors)
  print(rows, countProcesses())
  printRatios(rows)
} finally {
  for (const child of [...sleeps, ...collectors.map(({ child }) => child)]) child.kill('SIGKILL')
  for (const { sink, spool } of collectors) {
    sink.close()
    if (spool) rmSync(spool, { recursive: true, force: true })
  }
}
