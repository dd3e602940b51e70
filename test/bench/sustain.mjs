// What a cluster costs the server for as long as it runs: simulated nodes send metrics, processes and profiles of their cores
// every 10 s, each in requests of its own, over HTTP; the server is a process of its own, and its alone are the figures.
//
//   npm run build && node test/bench/sustain.mjs [--nodes 1000] [--minutes 5] [--window 10] [--seed 1] [--profile DIR]
//
// Printed every half minute: cores that the server used since the line before, its resident memory, bytes of its data
// directory; at the end which threads it went to. Stacks are folded over windows of 10 s, as collectors do. The growth between the first and the last of these is what the last lines plan with. The simulator needs about
// as much CPU as the server: where both do not find it, ticks come late, and the line says so.
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
const LINE_MS = 30_000
const dist = new URL('../../dist/', import.meta.url)
const { startSimulation } = await import(new URL('collector/simulate.js', dist))
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

let requests = 0
let lateMs = 0
const send = httpSend(url, log)
const counted = async (door, body, batch) => {
  const from = Date.now()
  const sent = await send(door, body, batch)
  requests++
  lateMs = Math.max(lateMs, Date.now() - from)
  return sent
}
const options = {
  cluster: 'demo',
  nodes: NODES,
  seed: option('seed', 1),
  hours: 1 / 60,
  untilMs: Date.now(),
  stepMs: 10_000,
}
const simulation = startSimulation(
  { ...options, liveWindowMs: 1000 * option('window', 10), devices: true, requestPerNode: true, follow: true },
  { send: counted, log },
)
const history = await simulation.history
console.log(`${NODES} nodes at 10 s for ${MINUTES} minutes, after a first one of ${history.requests} requests`)

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
      `${(line.stored / 2 ** 20).toFixed(1).padStart(7)} MiB stored  ${now.requests - before.requests} requests, the slowest ${lateMs} ms`,
  )
  before = now
  lateMs = 0
}
await simulation.stop()

const first = lines[0]
const last = lines.at(-1)
const cores = lines.reduce((sum, line) => sum + line.cores, 0) / lines.length
const mostMiB = Math.max(...lines.map(l => l.resident)) / 2 ** 20
console.log(`mean ${cores.toFixed(2)} cores, at most ${mostMiB.toFixed(0)} MiB resident`)
const spent = [...threadSeconds()].map(([name, seconds]) => [name, seconds - (threadsBefore.get(name) ?? 0)])
const told = spent.sort((a, b) => b[1] - a[1]).filter(([, seconds]) => seconds > 0.5)
console.log(`CPU s by thread: ${told.map(([name, seconds]) => `${name} ${seconds.toFixed(1)}`).join(', ')}`)
const perNode = cores / NODES
console.log(`10,000 nodes by the same share: ${(perNode * 10_000).toFixed(1)} cores`)
if (MINUTES < 5) console.log('growth is told of five minutes and more: merges make less of it at first')
else {
  const aDay = ((last.stored - first.stored) / (last.atMs - first.atMs)) * 86_400_000
  const gib = nodes => `${((aDay * nodes) / NODES / 2 ** 30).toFixed(1)} GiB`
  console.log(`growth a day, not yet merged: ${gib(1)} a node, ${gib(NODES)} for all, ${gib(10_000)} for 10,000`)
}
server.kill('SIGTERM')
await new Promise(done => server.on('exit', done))
rmSync(path, { recursive: true, force: true })
process.exit()
