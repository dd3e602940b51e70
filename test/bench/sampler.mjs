/**
 * What the stack sampler costs: npm run bench -- sampler, or node test/bench/sampler.mjs [cost memory rest soak=MINUTES]
 *
 * cost    CPU a sample of the whole node, all in and by stage (rings: capture, unwinding, folding; names; JavaScript: hand-over
 *         and OTLP), after a start of 15 s and as many windows encoded as an hour has, on a mixed load at 19, 99 and 999 Hz; then
 *         perf record -a --call-graph dwarf,16384 | perf script at 99 Hz on the same load, neither sampling the other. The
 *         kernel's part is what a spinning program misses of its own time, with samples that nobody reads and without.
 * memory  resident memory before and after 500 processes of 500 different files
 * rest    bytes sent and bytes at rest a core and day, at 19 Hz: samples, their rollups, and what is told once
 * soak    memory and CPU each half minute, under the mixed load and a storm of short-lived processes
 *
 * Needs root (or kernel.perf_event_paranoid <= 0), perf, gcc and python3.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const { NativeSampler, NativeEncoder } = createRequire(import.meta.url)('../../native/jobsight.node')
const { encodeProfiles } = await import('../../dist/collector/profiles.js')
const { openEncoder, windowOf } = await import('../../dist/collector/nativewindow.js')
const encoder = openEncoder(NativeEncoder)

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

const nothing = () => ({ windows: 0, samples: 0, lost: 0, truncated: 0, unfinished: 0, frames: 0, named: 0, bytes: 0 })

/** The collector's road: windows that have ended are encoded, and dropped. */
function drainInto(sums, sampler, hz, keep) {
  for (const window of sampler.drain()) {
    const { counters } = window
    keep?.(window)
    sums.windows++
    sums.endMs = window.endMs
    sums.samples += counters.samples
    sums.lost += counters.lost
    sums.truncated += counters.truncated
    sums.unfinished += counters.unfinished
    sums.frames += counters.frames
    sums.named += counters.namedFrames
    for (const body of encodeProfiles(window, { node: 'bench', hz }, nobody)) {
      sums.bytes += body.length
    }
  }
}

/** For a while, each second. */
async function drainFor(sampler, seconds, hz, keep) {
  const sums = nothing()
  for (let second = 0; second < seconds; second++) {
    await wait(1000)
    drainInto(sums, sampler, hz, keep)
  }
  return sums
}

/** So many windows of ten seconds, each a moment after its end, as collector/stacks.ts does it. */
async function drainWindows(sampler, count, hz) {
  const sums = nothing()
  while (sums.windows < count) {
    await wait(Math.max(1000, (sums.endMs ?? 0) + 10_300 - Date.now()))
    drainInto(sums, sampler, hz)
  }
  return sums
}

/**
 * The steady state of JavaScript: an hour has 360 windows, and V8 compiles only what ran often. Two windows after the start
 * encoding costs ten times as much. What the sampler finishes meanwhile is dropped.
 */
function rehearse(sampler, windows, hz) {
  const endMs = Date.now() + 4000
  for (let window = 0; window < 360 && Date.now() < endMs; window++)
    for (const body of encodeProfiles(windows[window % windows.length], { node: 'bench', hz }, nobody)) body.at(-1)
  sampler.drain()
}

/** Of these processes and their children: what else runs on the machine is not measured. Without pids: the node. */
function startSampler(hz, pids, windows = { windowMs: 10_000, firstWindowMs: 3000 }) {
  const native = new NativeSampler()
  native.openSession({ hz, ...windows, stackBytes: 16_384, includeIdle: false, sideBand: true, burst: '', pids })
  return { drain: () => native.drain().map(window => windowOf(window, encoder)), stop: () => native.close() }
}

/** CPU seconds of our threads, by stage. */
function readStages() {
  const stages = { rings: 0, names: 0, javascript: 0 }
  for (const thread of readdirSync('/proc/self/task')) {
    const read = file => readFileSync(`/proc/self/task/${thread}/${file}`, 'utf8').trim()
    const stage = { 'jobsight-stacks': 'rings', 'jobsight-names': 'names' }[read('comm')] ?? 'javascript'
    stages[stage] += Number(read('schedstat').split(' ')[0]) / 1e9
  }
  return stages
}

/** perf record | perf script of the node: CPU seconds and samples. */
async function perfFor(seconds, hz) {
  const text = join(folder, 'perf.txt')
  const command = `timeout -s INT ${seconds} perf record -q -B -N -a -e cpu-clock -F ${hz} -m 512 --call-graph dwarf,16384 -o - 2>/dev/null |
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
  say(
    'Hz    samples  lost  truncated  unfinished    named      rings   names  JavaScript  all in, us/sample  at this rate, of a core',
  )
  const load = startLoad()
  const ours = {}
  for (const hz of [19, 99, 999]) {
    const sampler = startSampler(hz)
    const windows = []
    await drainFor(sampler, 15, hz, window => windows.push(window))
    rehearse(sampler, windows, hz)
    await drainWindows(sampler, 1, hz)
    const before = readStages()
    // At a low rate few samples share what a window costs: a minute of them.
    const sums = await drainWindows(sampler, hz < 99 ? 6 : 3, hz)
    const stages = Object.entries(readStages()).map(([stage, seconds]) => seconds - before[stage])
    const used = stages.reduce((sum, seconds) => sum + seconds)
    sampler.stop()
    ours[hz] = (used * 1e6) / sums.samples
    const each = seconds => ((seconds * 1e6) / sums.samples).toFixed(1)
    const percent = (part, whole) => `${((100 * part) / whole).toFixed(2)} %`
    say(
      [
        String(hz).padEnd(5),
        String(sums.samples).padStart(7),
        String(sums.lost).padStart(5),
        percent(sums.truncated, sums.samples).padStart(10),
        percent(sums.unfinished, sums.samples).padStart(11),
        percent(sums.named, sums.frames).padStart(7),
        ...stages.map((seconds, stage) => each(seconds).padStart([10, 7, 11][stage])),
        each(used).padStart(18),
        `${((used * hz * 100) / sums.samples).toFixed(4)} %`.padStart(24),
      ].join(' '),
    )
    if (hz === 99) {
      const { seconds, samples } = await perfFor(20, hz)
      const ratio = seconds / samples / (used / sums.samples)
      const rival = ((seconds * 1e6) / samples).toFixed(0)
      say(
        `      perf record -a --call-graph dwarf,16384 | perf script: ${samples} samples, ${rival} us each: ${ratio.toFixed(0)} times as much`,
      )
    }
  }
  load.stop()
  await benchKernel(ours)
}

/** Odd: the middle one counts, for other guests of the machine take time, too. */
const KERNEL_ROUNDS = 9

/**
 * The kernel's part of a sample, us: a program that reads the clock in a loop notices what it was not given, gaps of 3 to 300 us, so no
 * time slices. The samples are taken by a program that does not read them: reading is what `rings` holds. Without a copy of the
 * stack it is the timer's interrupt and what a virtual machine adds to it.
 */
async function benchKernel(ours) {
  const [gaps, ticks] = [build('gaps.c', 'gaps'), build('ticks.c', 'ticks')]
  const stolen = { nothing: [], bare: [], copying: [] }
  for (let round = 0; round < KERNEL_ROUNDS; round++) {
    stolen.nothing.push(missing(gaps))
    for (const [kind, bytes] of Object.entries({ bare: '0', copying: '16384' })) {
      const sampling = spawn(ticks, ['1999', bytes], { stdio: ['ignore', 'ignore', 'inherit'] })
      await wait(300)
      if (sampling.exitCode !== null) throw new Error('ticks.c cannot sample: its message is above')
      stolen[kind].push(missing(gaps))
      sampling.kill('SIGKILL')
    }
  }
  const middle = values => values.sort((a, b) => a - b)[(KERNEL_ROUNDS - 1) / 2]
  const each = kind => (middle(stolen[kind]) - middle(stolen.nothing)) / 1999 / 1000
  const kernel = each('copying')
  say(`\nkernel: ${kernel.toFixed(1)} us a sample, ${each('bare').toFixed(1)} without a copy of the stack`)
  for (const hz of [999, 99])
    say(`at ${hz} Hz: ours ${ours[hz].toFixed(1)} + ${kernel.toFixed(1)} us a sample (limit 5)`)
  const percent = us => ((us * 19) / 1e4).toFixed(4)
  const all = ours[19] + kernel
  say(`at 19 Hz: ${percent(ours[19])} % + ${percent(kernel)} % = ${percent(all)} % of a core (limit 0.1 %)`)
}

/** Nanoseconds of each second that a spinning program is not given. */
function missing(gaps) {
  return Number(execFileSync(gaps, ['1'], { encoding: 'utf8' }))
}

/** A copy of a program that is another file to everyone: its build id ends in this number. */
function copyAs(bytes, number, path) {
  const copy = Buffer.from(bytes)
  const note = copy.indexOf(Buffer.from('\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0', 'latin1'))
  copy.writeUInt32LE(number, note + 16)
  writeFileSync(path, copy, { mode: 0o755 })
}

async function benchMemory() {
  const node = residentMb()
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
    `memory: ${node.toFixed(1)} MB without the sampler, ${before.toFixed(1)} MB with it, ${residentMb().toFixed(1)} MB after 500 processes of 500 files (${samples} samples): the sampler's ${(residentMb() - node).toFixed(1)} MB (limit 60)`,
  )
  sampler.stop()
}

/** Two minutes at 999 Hz are 1.75 hours at 19 Hz: as many samples in as many windows, of which none is like another. */
const STRETCH = 999 / 19

async function benchRest() {
  const { openStore } = await import('../../dist/ingest/store.js')
  const { openIngest } = await import('../../dist/ingest/index.js')
  const { pino } = await import('pino')
  const log = pino({ level: 'warn' })
  const load = startLoad()
  const sampler = startSampler(999, load.pids, { windowMs: Math.round(10_000 / STRETCH), firstWindowMs: 1000 })
  await drainFor(sampler, 10, 999)
  const [seconds, windows] = [120, []]
  const { samples } = await drainFor(sampler, seconds, 999, window => windows.push(columnsOf(window)))
  sampler.stop()
  load.stop()
  const store = await openStore({ path: join(folder, 'store') }, { log })
  const ingest = await openIngest({ store, log, defaultCluster: 'bench' })
  const [endMs, sent] = [Date.now(), { plain: 0, packed: 0 }]
  for (const window of windows)
    for (const body of encodeProfiles(stretched(window, endMs), { node: 'bench', hz: 19 }, nobody)) {
      sent.plain += body.length
      sent.packed += gzipSync(body).length
      await ingest.receive('profiles', body)
    }
  await ingest.close()
  const hours = (seconds * STRETCH) / 3600
  const day = bytes => `${((bytes * 24) / hours / CORES / 1e6).toFixed(2)} MB`
  say(
    `a core and day at 19 Hz: ${day(sent.plain)} of OTLP, ${day(sent.packed)} compressed; at rest, of ${samples} samples in ${hours.toFixed(2)} h:`,
  )
  await sayRest(store, day)
  await store.close()
}

/** A window that the addon does not encode itself. */
function columnsOf(window) {
  const { startMs, endMs, event, burst, strings, processes, frames, stacks, samples, counters } = window
  return { startMs, endMs, event, burst, strings, processes, frames, stacks, samples, counters }
}

function stretched(window, endMs) {
  const at = ms => endMs - (endMs - ms) * STRETCH
  // As the software clock counts: whole periods of 1/19 s.
  const periodNs = Float64Array.from(window.samples.count, count => count * Math.floor(1e9 / 19))
  return { ...window, startMs: at(window.startMs), endMs: at(window.endMs), samples: { ...window.samples, periodNs } }
}

/** What grows with time a core and day; what grows with new code as it is. */
async function sayRest(store, day) {
  const ask = query => store.query({ query, query_params: {} }, { name: 'bench' })
  const parts = "active AND database = currentDatabase() AND match(table, '^(samples|stacks|frames|functions?_|job_)')"
  for (const { table } of await ask(`SELECT DISTINCT table FROM system.parts WHERE ${parts}`))
    await store.command(`OPTIMIZE TABLE ${table} FINAL`)
  let total = 0
  for (const { table, bytes, n } of await ask(
    `SELECT table, sum(bytes_on_disk) AS bytes, sum(rows) AS n FROM system.parts WHERE ${parts} GROUP BY table ORDER BY bytes DESC`,
  )) {
    const grows = !/^(stacks|frames)$/.test(table)
    if (grows) total += Number(bytes)
    say(
      `  ${table.padEnd(18)} ${String(n).padStart(8)} rows ${String(bytes).padStart(9)} bytes  ${grows ? day(Number(bytes)) : 'once'}`,
    )
  }
  say(`  together ${day(total)} (limit 2 MB)`)
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
