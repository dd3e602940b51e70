/**
 * What the stack sampler costs: npm run bench -- sampler, or node test/bench/sampler.mjs [cost memory rest soak=MINUTES]
 *
 * cost    CPU a sample, all in (capture, unwinding, folding, names, hand-over to JavaScript, OTLP), after a start of 15 s, on a
 *         mixed load at 19, 99 and 999 Hz; at 99 Hz beside perf record -a --call-graph dwarf,16384 | perf script. The kernel's
 *         part is what a spinning program misses of its own time, with samples and without.
 * memory  resident memory before and after 500 processes of 500 different files
 * rest    bytes sent and bytes at rest a core and day, at 19 Hz
 * soak    memory and CPU each half minute, under the mixed load and a storm of short-lived processes
 *
 * Needs root (or kernel.perf_event_paranoid <= 0), perf, gcc and python3.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const { NativeSampler } = createRequire(import.meta.url)('../../native/jobsight.node')
const { encodeProfiles } = await import('../../dist/collector/profiles.js')

const programs = join(import.meta.dirname, '../native/programs')
const folder = mkdtempSync(join(tmpdir(), 'jobsight-sampler-'))
const say = line => process.stdout.write(`${line}\n`)
const wait = ms => new Promise(resolve => setTimeout(resolve, ms))
const nobody = () => ({ job: '', step: '', evidence: 'none' })
const CORES = cpus().length

function build(source, output, ...flags) {
  const out = join(folder, output)
  execFileSync('gcc', ['-O2', '-fomit-frame-pointer', '-o', out, join(programs, source), ...flags])
  return out
}

/** Compiled code, the C library, system calls, OpenMP, Python, JavaScript, short-lived processes. */
function startLoad() {
  const forever = '1000000'
  const commands = [
    [build('flat.c', 'flat'), forever],
    [build('libc.c', 'libc', '-lm'), forever],
    [build('syscalls.c', 'syscalls'), forever],
    [build('team.c', 'team', '-fopenmp'), forever],
    ['python3', join(programs, 'flat.py'), forever],
    [process.execPath, '--perf-basic-prof', join(programs, 'flat.js'), forever],
    [build('storm.c', 'storm'), forever],
  ]
  const children = commands.map(([program, ...args]) => spawn(program, args, { stdio: 'ignore' }))
  return { pids: children.map(child => child.pid), stop: () => children.map(child => child.kill('SIGKILL')) }
}

const ownSeconds = () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  return (userCPUTime + systemCPUTime) / 1e6
}
/** Resident memory that is not JavaScript's: ours, and what Node itself is. */
const residentMb = () => {
  const { rss, heapTotal, external } = process.memoryUsage()
  return (rss - heapTotal - external) / 2 ** 20
}

/** The collector's road for a while: drained each second, encoded, dropped. */
async function drainFor(sampler, seconds, hz, bodies) {
  const sums = { samples: 0, lost: 0, truncated: 0, unfinished: 0, frames: 0, named: 0, addonNs: 0, bytes: 0 }
  for (let second = 0; second < seconds; second++) {
    await wait(1000)
    for (const window of sampler.drain()) {
      const { counters } = window
      sums.samples += counters.samples
      sums.lost += counters.lost
      sums.truncated += counters.truncated
      sums.unfinished += counters.unfinished
      sums.frames += counters.frames
      sums.named += counters.namedFrames
      sums.addonNs += counters.ownCpuNs
      for (const body of encodeProfiles(window, { node: 'bench', hz }, nobody)) {
        sums.bytes += body.length
        bodies?.push(body)
      }
    }
  }
  return sums
}

/** Of these processes and their children: what else runs on the machine is not measured. Without pids: the node. */
function startSampler(hz, pids) {
  const native = new NativeSampler()
  const windows = { windowMs: 10_000, firstWindowMs: 3000 }
  native.openSession({ hz, ...windows, stackBytes: 16_384, includeIdle: false, sideBand: true, burst: '', pids })
  return { drain: () => native.drain(), stop: () => native.close() }
}

/** perf record | perf script of the same processes: CPU seconds and samples. */
async function perfFor(seconds, hz, pids) {
  const text = join(folder, 'perf.txt')
  const command = `timeout -s INT ${seconds} perf record -q -B -N -p ${pids} -e cpu-clock -F ${hz} -m 512 --call-graph dwarf,16384 -o - 2>/dev/null |
    perf script -i - --no-inline -F comm,pid,tid,time,period,event,ip,sym,dso > ${text} 2>/dev/null; times`
  const shell = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  shell.stdout.on('data', chunk => (said += chunk))
  await new Promise(resolve => shell.on('close', resolve))
  const [user, system] = said
    .trim()
    .split('\n')
    .at(-1)
    .split(' ')
    .map(time => {
      const [minutes, rest] = time.split(/[ms]/)
      return Number(minutes) * 60 + Number(rest)
    })
  const samples = readFileSync(text, 'utf8')
    .split('\n')
    .filter(line => /cpu-clock/.test(line)).length
  return { seconds: user + system, samples }
}

async function benchCost() {
  say('Hz    samples  lost  truncated  unfinished  named   addon us/sample  all-in us/sample  at 19 Hz, of a core')
  const load = startLoad()
  for (const hz of [19, 99, 999]) {
    const sampler = startSampler(hz, load.pids)
    await drainFor(sampler, 15, hz)
    const before = ownSeconds()
    const perf = hz === 99 ? perfFor(20, hz, load.pids) : undefined
    const sums = await drainFor(sampler, 30, hz)
    const used = ownSeconds() - before
    sampler.stop()
    const percent = (part, whole) => `${((100 * part) / whole).toFixed(2)} %`
    say(
      [
        String(hz).padEnd(5),
        String(sums.samples).padStart(7),
        String(sums.lost).padStart(5),
        percent(sums.truncated, sums.samples).padStart(10),
        percent(sums.unfinished, sums.samples).padStart(11),
        percent(sums.named, sums.frames).padStart(7),
        (sums.addonNs / 1e3 / sums.samples).toFixed(1).padStart(16),
        ((used * 1e6) / sums.samples).toFixed(1).padStart(17),
        `${((used * 19 * 100) / sums.samples).toFixed(4)} %`.padStart(12),
      ].join(' '),
    )
    if (perf) {
      const { seconds, samples } = await perf
      const each = (seconds * 1e6) / samples
      const ratio = each / ((used * 1e6) / sums.samples)
      say(
        `      perf record -p --call-graph dwarf,16384 | perf script: ${samples} samples, ${each.toFixed(0)} us each: ${ratio.toFixed(0)} times as much`,
      )
    }
  }
  load.stop()
  await benchKernel()
}

/** A program that reads the clock in a loop notices what it was not given: gaps of 3 to 300 us, so no time slices. */
async function benchKernel() {
  const program = build('gaps.c', 'gaps')
  const stolen = () => Number(execFileSync(program, ['2'], { encoding: 'utf8' }))
  const middle = values => values.sort((a, b) => a - b)[1]
  const [without, during] = [[], []]
  for (let round = 0; round < 3; round++) {
    without.push(stolen())
    const sampler = startSampler(1999)
    during.push(stolen())
    sampler.stop()
  }
  const each = (middle(during) - middle(without)) / 1999 / 1000
  say(
    `\nkernel: ${(middle(during) / 1000).toFixed(0)} us of each second missing at 1999 Hz, ${(middle(without) / 1000).toFixed(0)} without: ${each.toFixed(1)} us a sample, at 19 Hz ${((each * 19) / 1e4).toFixed(4)} % of a core`,
  )
}

/** A copy of a program that is another file to everyone: its build id ends in this number. */
function copyAs(bytes, number, path) {
  const copy = Buffer.from(bytes)
  const note = copy.indexOf(Buffer.from('\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0', 'latin1'))
  copy.writeUInt32LE(number, note + 16)
  writeFileSync(path, copy, { mode: 0o755 })
}

async function benchMemory() {
  const sampler = startSampler(99)
  await drainFor(sampler, 12, 99)
  const before = residentMb()
  const bytes = readFileSync(build('flat.c', 'original'))
  let samples = 0
  for (let batch = 0; batch < 50; batch++) {
    const paths = Array.from({ length: 10 }, (_, index) => join(folder, `copy${batch}-${index}`))
    for (const [index, path] of paths.entries()) copyAs(bytes, batch * 10 + index, path)
    const children = paths.map(path => spawn(path, ['0.1'], { stdio: 'ignore' }))
    await Promise.all(children.map(child => new Promise(resolve => child.on('exit', resolve))))
    samples += (await drainFor(sampler, 1, 99)).samples
  }
  await drainFor(sampler, 12, 99)
  say(
    `memory: ${before.toFixed(1)} MB before, ${residentMb().toFixed(1)} MB after 500 processes of 500 files (${samples} samples); Node's own is in both`,
  )
  sampler.stop()
}

async function benchRest() {
  const { openStore } = await import('../../dist/ingest/store.js')
  const { openIngest } = await import('../../dist/ingest/index.js')
  const { pino } = await import('pino')
  const log = pino({ level: 'warn' })
  const load = startLoad()
  const sampler = startSampler(19, load.pids)
  await drainFor(sampler, 15, 19)
  const [seconds, bodies] = [120, []]
  const sums = await drainFor(sampler, seconds, 19, bodies)
  sampler.stop()
  load.stop()
  const sent = bodies.reduce((sum, body) => sum + gzipSync(body).length, 0)
  const day = bytes => `${((bytes * 86_400) / seconds / CORES / 1e6).toFixed(2)} MB`
  say(
    `a core and day at 19 Hz (${sums.samples} samples in ${seconds} s): ${day(sums.bytes)} of OTLP, ${day(sent)} compressed`,
  )
  const store = await openStore({ path: join(folder, 'store') }, { log })
  const ingest = await openIngest({ store, log, defaultCluster: 'bench' })
  for (const body of bodies) await ingest.receive('profiles', body)
  await ingest.close()
  const query =
    "SELECT table, sum(bytes_on_disk) AS bytes, sum(rows) AS n FROM system.parts WHERE active AND database = currentDatabase() AND match(table, 'sample|stack|frame') GROUP BY table ORDER BY bytes DESC"
  const tables = () => store.query({ query, query_params: {} }, { name: 'bench' })
  for (const { table } of await tables()) await store.command(`OPTIMIZE TABLE ${table} FINAL`)
  for (const { table, bytes, n } of await tables())
    say(
      `  at rest ${table.padEnd(24)} ${String(n).padStart(8)} rows ${String(bytes).padStart(9)} bytes  ${day(Number(bytes))}`,
    )
  await store.close()
}

async function benchSoak(minutes) {
  const load = startLoad()
  const sampler = startSampler(99)
  const storm = build('storm.c', 'storm-soak')
  say('minute   samples   lost   all-in us/sample   RSS MB')
  for (let half = 1; half <= minutes * 2; half++) {
    const brief = spawn(storm, ['500', 'exec'], { stdio: 'ignore' })
    const before = ownSeconds()
    const sums = await drainFor(sampler, 30, 99)
    const each = ((ownSeconds() - before) * 1e6) / sums.samples
    brief.kill('SIGKILL')
    say(
      [
        (half / 2).toFixed(1).padStart(6),
        String(sums.samples).padStart(9),
        String(sums.lost).padStart(6),
        each.toFixed(1).padStart(18),
        residentMb().toFixed(1).padStart(8),
      ].join(' '),
    )
  }
  sampler.stop()
  load.stop()
}

const asked = process.argv.slice(2)
const soak = asked.find(word => word.startsWith('soak'))
const wants = part => asked.length === 0 || asked.includes(part)
say(`load average ${loadavg()[0]?.toFixed(1)} on ${CORES} CPUs before the start: what else runs is sampled, too\n`)
try {
  if (wants('cost')) await benchCost()
  if (wants('memory')) await benchMemory()
  if (wants('rest')) await benchRest()
  if (soak) await benchSoak(Number(soak.split('=')[1] ?? 60))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
