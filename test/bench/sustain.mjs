// What a cluster costs the server for as long as it runs: simulated nodes send metrics, processes and profiles of their cores
// every 10 s, each in requests of its own, over a connection of its own, numbered, gzipped; the server is a process of its own,
// and its alone are the figures.
//
//   npm run build && node test/bench/sustain.mjs [--nodes 1000] [--minutes 5] [--ticks 3] [--seed 1] [--profile DIR]
//
// Making the traffic costs more than taking it in, and the machine has to bear both: so many --ticks of it are made before, and
// sent again and again with the times of now in them. So the bytes that the store grows by are fewer than those of a real cluster.
// Printed every half minute: cores that the server used since the line before, its resident memory, bytes of its data
// directory; at the end which threads it went to. Where a tick is not taken before the next is due, the line says how late it was.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'

const option = (name, value) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? value : Number(process.argv[at + 1])
}
const NODES = option('nodes', 1000)
const MINUTES = option('minutes', 5)
const KINDS = option('ticks', 3)
const TICK_MS = 10_000
const LINE_MS = 30_000
const dist = new URL('../../dist/', import.meta.url)
const { simulate } = await import(new URL('collector/simulate.js', dist))
const { httpSend } = await import(new URL('collector/outbox.js', dist))
const log = pino({ level: 'warn' })
const path = mkdtempSync(join(tmpdir(), 'jobsight-sustain-'))

const profileAt = process.argv.indexOf('--profile') + 1
const profiling = profileAt > 0 ? ['--cpu-prof', `--cpu-prof-dir=${process.argv[profileAt]}`] : []
const server = spawn(
  process.execPath,
  [
    ...profiling,
    new URL('main.js', dist).pathname,
    'serve',
    '--data',
    path,
    '--listen',
    '127.0.0.1:0',
    '--cluster',
    'demo',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
const url = await new Promise((ok, no) => {
  let text = ''
  server.stdout.on('data', more => {
    text += more
    const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text)
    if (found) ok(found[0])
  })
  server.on('exit', code => no(new Error(`the server ended with ${code}: ${text}`)))
})

const cpuSeconds = () => {
  const stat = readFileSync(`/proc/${server.pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
const residentBytes = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
const storedBytes = () => Number(spawnSync('du', ['-sb', path], { encoding: 'utf8' }).stdout.split('\t')[0])

/** CPU seconds by what a thread is called; of those that live. */
const threadSeconds = () => {
  const by = new Map()
  for (const task of readdirSync(`/proc/${server.pid}/task`)) {
    try {
      const stat = readFileSync(`/proc/${server.pid}/task/${task}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const name = Number(task) === server.pid ? 'javascript' : stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
      by.set(name, (by.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / 100)
    } catch {
      // It has ended.
    }
  }
  return by
}

/** Where the times of its tick are in a body: its begin and its end, fixed64 in ns. */
function timesIn(body, timeMs) {
  const found = []
  for (const back of [TICK_MS, 0]) {
    const bytes = nanoseconds(timeMs - back)
    for (let at = body.indexOf(bytes); at >= 0; at = body.indexOf(bytes, at + 8)) found.push({ at, back })
  }
  if (found.length === 0) throw new Error('a simulated request without the time of its tick')
  return found
}

function nanoseconds(ms) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(ms) * 1_000_000n)
  return bytes
}

const atTick = ms => Math.floor(ms / TICK_MS) * TICK_MS
const madeUntilMs = atTick(Date.now())
const sendOnce = httpSend(url, log)
/** [{ door, body, times }] of each tick. */
const made = new Map()
for await (const { door, body, timeMs } of simulate({
  ...{ cluster: 'demo', nodes: NODES, seed: option('seed', 1), hours: KINDS / 360, untilMs: madeUntilMs },
  ...{ stepMs: TICK_MS, windowMs: TICK_MS, devices: true, requestPerNode: true },
})) {
  if (door === 'jobs') {
    const sent = await sendOnce(door, body)
    if (!sent.ok) throw new Error(sent.message)
    continue
  }
  const bytes = Buffer.from(body)
  const tick = made.get(timeMs) ?? made.set(timeMs, []).get(timeMs)
  tick.push({ door, body: bytes, times: timesIn(bytes, timeMs) })
}
const kinds = [...made.values()]

/** One a node: a connection of its own. Its batches are numbered. */
const senders = Array.from({ length: NODES }, (_, i) => ({
  send: httpSend(url, log),
  name: `simulated${i}`,
  number: 0,
}))
let requests = 0
let lateMs = 0
let refused = 0

async function sendTick(tick, timeMs) {
  const doors = new Map()
  await Promise.all(
    tick.map(async ({ door, body, times }) => {
      const i = doors.get(door) ?? 0
      doors.set(door, i + 1)
      // Collectors are spread over their tick, by their names.
      await new Promise(done => setTimeout(done, (((i * 7919) % NODES) / NODES) * 0.8 * TICK_MS))
      for (const { at, back } of times) body.set(nanoseconds(timeMs - back), at)
      const sender = senders[i % NODES]
      const sent = await sender.send(door, body, `${sender.name}-${++sender.number}`)
      requests++
      if (!sent.ok && refused++ === 0) console.log(`a request was refused: ${sent.message}`)
    }),
  )
  lateMs = Math.max(lateMs, Date.now() - (timeMs + TICK_MS))
}

let stopped = false
async function play() {
  for (let timeMs = atTick(Date.now()), n = 0; !stopped; timeMs += TICK_MS, n++) {
    await new Promise(done => setTimeout(done, Math.max(0, timeMs - Date.now())))
    await sendTick(kinds[n % kinds.length], timeMs)
  }
}
const playing = play()
const bytes = kinds.flat().reduce((sum, r) => sum + r.body.length, 0) / kinds.length
console.log(
  `${NODES} nodes at 10 s for ${MINUTES} minutes: ${(kinds.flat().length / kinds.length).toFixed(0)} requests, ${(bytes / 2 ** 20).toFixed(1)} MiB a tick before gzip`,
)

const lines = []
const startedMs = Date.now()
const threadsBefore = threadSeconds()
let before = { seconds: cpuSeconds(), atMs: startedMs, requests }
while (Date.now() - startedMs < MINUTES * 60_000) {
  await new Promise(done => setTimeout(done, LINE_MS))
  const now = { seconds: cpuSeconds(), atMs: Date.now(), requests }
  const cores = ((now.seconds - before.seconds) * 1000) / (now.atMs - before.atMs)
  const line = { atMs: now.atMs, cores, resident: residentBytes(), stored: storedBytes() }
  lines.push(line)
  console.log(
    `${((now.atMs - startedMs) / 60_000).toFixed(1).padStart(5)} min  ${cores.toFixed(2)} cores  ${(line.resident / 2 ** 20).toFixed(0).padStart(5)} MiB resident  ` +
      `${(line.stored / 2 ** 20).toFixed(1).padStart(7)} MiB stored  ${now.requests - before.requests} requests, ${lateMs > 0 ? `a tick ${lateMs} ms late` : 'in time'}`,
  )
  before = now
  lateMs = 0
}
stopped = true
await playing
if (refused > 0) console.log(`${refused} requests were refused`)

const cores = lines.reduce((sum, line) => sum + line.cores, 0) / lines.length
const mostMiB = Math.max(...lines.map(l => l.resident)) / 2 ** 20
console.log(`mean ${cores.toFixed(2)} cores, at most ${mostMiB.toFixed(0)} MiB resident`)
const spent = [...threadSeconds()].map(([name, seconds]) => [name, seconds - (threadsBefore.get(name) ?? 0)])
const told = spent.sort((a, b) => b[1] - a[1]).filter(([, seconds]) => seconds > 0.5)
console.log(`CPU s by thread: ${told.map(([name, seconds]) => `${name} ${seconds.toFixed(1)}`).join(', ')}`)
const perNode = cores / NODES
console.log(`10,000 nodes by the same share: ${(perNode * 10_000).toFixed(1)} cores`)
server.kill('SIGTERM')
await new Promise(done => server.on('exit', done))
rmSync(path, { recursive: true, force: true })
process.exit()
