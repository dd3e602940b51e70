// The same values by Prometheus remote write into VictoriaMetrics and Prometheus: what their process costs and keeps.
//
// A request is a node and tick, as ours is; counters go as they count. Missing ones are named: apt-get install
// victoria-metrics prometheus.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PbfWriter } from 'pbf'
import { measureRanges } from './ranges.mjs'

const RIVALS = [
  {
    name: 'VictoriaMetrics',
    program: '/usr/bin/victoria-metrics',
    args: (path, address) => [
      `-storageDataPath=${path}`,
      `-httpListenAddr=${address}`,
      '-retentionPeriod=100y',
      '-loggerLevel=ERROR',
    ],
    ready: '/health',
    settle: url => fetch(`${url}/internal/force_merge`),
    kept: path => path,
  },
  {
    name: 'Prometheus',
    program: '/usr/bin/prometheus',
    args: (path, address) => [
      `--config.file=${join(path, 'none.yml')}`,
      `--storage.tsdb.path=${path}`,
      `--web.listen-address=${address}`,
      '--web.enable-remote-write-receiver',
      '--web.enable-admin-api',
      // More than the collectors: it leaves the 513th without an answer by default, until the sender gives up.
      '--web.max-connections=8192',
      '--log.level=error',
    ],
    ready: '/-/ready',
    settle: url => fetch(`${url}/api/v1/admin/tsdb/snapshot`, { method: 'POST' }),
    kept: path => join(path, 'snapshots'),
  },
]

/** `send` gets the address to write to and resolves when all is acknowledged; `say` prints a line; `asked` is what is asked then. */
export async function measureRivals(values, send, say, asked) {
  for (const rival of RIVALS) {
    if (!existsSync(rival.program)) {
      say(rival.name, `not installed: apt-get install ${rival.program.slice('/usr/bin/'.length)}`)
      continue
    }
    const path = mkdtempSync(join(tmpdir(), 'jobsight-rival-'))
    writeFileSync(join(path, 'none.yml'), '')
    const address = `127.0.0.1:${await freePort()}`
    const server = spawn(rival.program, rival.args(path, address), { stdio: ['ignore', 'ignore', 'inherit'] })
    try {
      await until(async () => (await fetch(`http://${address}${rival.ready}`)).ok)
      const before = cpuSecondsOf(server.pid)
      await send(`http://${address}/api/v1/write`)
      const acknowledged = cpuSecondsOf(server.pid) - before
      await quiet(server.pid)
      const all = cpuSecondsOf(server.pid) - before
      await rival.settle(`http://${address}`)
      await quiet(server.pid)
      const of = seconds => ((seconds * 1e6) / values).toFixed(3)
      say(
        `${rival.name}, remote write`,
        `${of(acknowledged)}, with what it does after: ${of(all)} CPU s per million values`,
      )
      say(`${rival.name}, bytes at rest a value`, (bytesOf(rival.kept(path)) / values).toFixed(3))
      if (asked === undefined) continue
      const base = `http://${address}/api/v1`
      const cpuSeconds = () => cpuSecondsOf(server.pid)
      await measureRanges({ ...asked, who: rival.name, kind: 'theirs', base, cpuSeconds, say })
    } finally {
      server.kill('SIGKILL')
      rmSync(path, { recursive: true, force: true })
    }
  }
}

/** WriteRequest 1 timeseries · 1 labels {1 name, 2 value}, 2 samples {1 value, 2 timestamp}; snappy of literals only. */
export function writeBody(node, series, values, timeMs) {
  const w = new PbfWriter(new Uint8Array(16_384))
  series.forEach(([name, attributes], i) => {
    const labels = [['__name__', name.replace(/\W/g, '_')], ...Object.entries(attributes), ['node', node]]
    w.writeMessage(
      1,
      (_, to) => {
        for (const [key, value] of labels) {
          to.writeMessage(
            1,
            (_l, label) => {
              label.writeStringField(1, key.replace(/\W/g, '_'))
              label.writeStringField(2, String(value))
            },
            null,
          )
        }
        to.writeMessage(
          2,
          (_s, sample) => {
            sample.writeDoubleField(1, values[i])
            sample.writeVarintField(2, timeMs)
          },
          null,
        )
      },
      null,
    )
  })
  return literalSnappy(w.finish())
}

/** https://github.com/google/snappy/blob/main/format_description.txt: length, then literals of at most 65536 bytes. */
function literalSnappy(bytes) {
  const head = []
  for (let rest = bytes.length; ; rest >>>= 7) {
    head.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  const parts = [Buffer.from(head)]
  for (let at = 0; at < bytes.length; at += 65_536) {
    const part = bytes.subarray(at, at + 65_536)
    parts.push(Buffer.from([61 << 2, (part.length - 1) & 255, (part.length - 1) >> 8]), part)
  }
  return Buffer.concat(parts)
}

/** utime and stime of /proc/PID/stat, of all its threads, in ticks of 10 ms. */
function cpuSecondsOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Until three seconds in a row cost next to nothing. */
async function quiet(pid) {
  for (let calm = 0, tries = 0; calm < 3 && tries < 60; tries++) {
    const before = cpuSecondsOf(pid)
    await new Promise(done => setTimeout(done, 1000))
    calm = cpuSecondsOf(pid) - before < 0.05 ? calm + 1 : 0
  }
}

const bytesOf = path => Number(spawnSync('du', ['-sb', path], { encoding: 'utf8' }).stdout.split('\t')[0])

function freePort() {
  return new Promise(done => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

async function until(isReady) {
  for (let tries = 0; tries < 300; tries++) {
    if (await isReady().catch(() => false)) return
    await new Promise(done => setTimeout(done, 200))
  }
  throw new Error('a rival did not start within a minute')
}
