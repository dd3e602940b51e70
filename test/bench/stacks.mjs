/**
 * What stacks by perf(1) cost, in CPU seconds, and what they are worth: npm run bench -- stacks
 *
 * 1 modes    perf record | perf script of four programs by call-graph mode: CPU a sample, share of stacks that reach a root
 * 2 sampler  the collector's own road at 19 and 99 Hz: perf record, perf script, and this process (mend, parse, fold, encode)
 * 3 storm    memory of perf script under short-lived processes, with and without the mended stream
 * 4 parser   lines a CPU second of the importer
 *
 * Needs root (or kernel.perf_event_paranoid <= 0), perf, cc, c++ and python3.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'

const { PerfStream } = await import('../../dist/collector/perfstream.js')
const { perfSampler } = await import('../../dist/collector/perf.js')
const { encodeProfiles } = await import('../../dist/collector/profiles.js')
const { PerfScriptParser } = await import('../../dist/collector/formats/perfscript.js')
const { reachesRoot } = await import('../../dist/collector/formats/perfframe.js')

const folder = mkdtempSync(join(tmpdir(), 'jobsight-bench-'))
const programs = join(import.meta.dirname, '../fixtures/profiles/programs')
const build = (compiler, source, ...flags) => {
  const out = join(folder, `${source.split('.')[0]}-bench`)
  execFileSync(compiler, ['-O2', '-fomit-frame-pointer', ...flags, '-o', out, join(programs, source)])
  return out
}
const split = build('cc', 'split.c')
const names = build('c++', 'names.cpp', '-std=c++17')
const threads = build('cc', 'threads.c', '-pthread')
const NAMES = ['split-bench', 'names-bench', 'threads-bench', 'python3']
const say = line => process.stdout.write(`${line}\n`)
const wait = ms => new Promise(resolve => setTimeout(resolve, ms))

/** The mixed load, for so many seconds. */
function startLoad(seconds) {
  const s = String(seconds)
  const children = [
    spawn(split, [s]),
    spawn(names, [s]),
    spawn(threads, [s]),
    spawn('python3', [join(programs, 'fib.py'), s]),
  ]
  return {
    pids: children.map(child => child.pid).join(','),
    ended: Promise.all(children.map(child => new Promise(resolve => child.on('exit', resolve)))),
  }
}

const cpuSeconds = text => {
  const [minutes, seconds] = text.split(/[ms]/)
  return Number(minutes) * 60 + Number(seconds)
}

/** perf record | perf script of the mixed load for 6 s: its text, and the CPU seconds of both. */
async function recordLoad(mode, hz) {
  const load = startLoad(8)
  await wait(500)
  const text = join(folder, 'modes.txt')
  const fields = 'comm,pid,tid,time,period,event,ip,sym,dso'
  const command = `timeout 6 perf record -N -e cpu-clock:I -F ${hz} -m 512 -p ${load.pids} --call-graph ${mode} -o - 2>/dev/null |
    perf script -i - --no-inline --max-stack 1024 -F ${fields} > ${text} 2>/dev/null; times`
  const { stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' })
  const seconds = stdout
    .trim()
    .split('\n')[1]
    .split(' ')
    .reduce((sum, time) => sum + cpuSeconds(time), 0)
  await load.ended
  return { seconds, ...rootsOf(readFileSync(text, 'utf8')) }
}

function rootsOf(text) {
  const roots = new Map(NAMES.map(name => [name, { all: 0, rooted: 0 }]))
  const parser = new PerfScriptParser(sample => {
    const name = /thread|pool|io:/.test(sample.comm) ? 'threads-bench' : sample.comm
    const of = roots.get(name)
    if (!of) return
    of.all++
    if (reachesRoot(sample.frames)) of.rooted++
  })
  for (const line of text.split('\n')) parser.line(line)
  parser.end()
  const { samples } = parser.counters
  const shares = [...roots.values()].map(r => `${((100 * r.rooted) / r.all).toFixed(1)} %`)
  return { samples, shares, bytes: text.length }
}

async function benchModes() {
  say('mode         start-up CPU s   CPU us/sample   text bytes/sample   root reached: split, names, threads, python')
  for (const mode of ['fp', 'dwarf,8192', 'dwarf,16384', 'dwarf,32768']) {
    const few = await recordLoad(mode, 49)
    const many = await recordLoad(mode, 999)
    const each = (many.seconds - few.seconds) / (many.samples - few.samples)
    say(
      [
        mode.padEnd(12),
        (few.seconds - each * few.samples).toFixed(2).padStart(14),
        (1e6 * each).toFixed(0).padStart(15),
        (many.bytes / many.samples).toFixed(0).padStart(19),
        `  ${many.shares.join('  ')}`,
      ].join(' '),
    )
  }
}

const own = () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  return (userCPUTime + systemCPUTime) / 1e6
}
const log = {
  warn: (...said) => say(said.map(String).join(' ')),
  info: () => {},
  error: (...said) => say(said.join(' ')),
}

async function benchSampler() {
  say(
    '\nHz   samples   lost   perf us/sample   ours us/sample   stacks   rooted   named   OTLP B/sample (deflated)   RSS MB',
  )
  for (const hz of [19, 99]) {
    const started = await perfSampler({
      log,
      proc: '/proc',
      now: Date.now,
      monotonic: () => Number(process.hrtime.bigint()) / 1e6,
    })({
      hz,
      windowMs: 10_000,
      includeIdle: false,
      stackBytes: 16_384,
    })
    if (started.absent) throw new Error(started.absent)
    // Start-up (reading /proc, first symbols) lies before the measured span.
    const load = startLoad(40)
    await wait(8000)
    await started.drain()
    const before = own()
    const sums = {
      samples: 0,
      lost: 0,
      perfNs: 0,
      stacks: 0,
      unfinished: 0,
      frames: 0,
      named: 0,
      bytes: 0,
      deflated: 0,
    }
    const count = windows => {
      for (const window of windows) {
        const { counters } = window
        sums.samples += counters.samples
        sums.lost += counters.lost
        sums.perfNs += counters.ownCpuNs
        sums.unfinished += counters.unfinished
        sums.frames += counters.frames
        sums.named += counters.namedFrames
        sums.stacks += window.stacks.offsets.length - 1
        for (const body of encodeProfiles(window, { node: 'bench', hz }, () => ({
          job: '',
          step: '',
          evidence: 'none',
        }))) {
          sums.bytes += body.length
          sums.bodies = [...(sums.bodies ?? []), body]
        }
      }
    }
    for (let second = 0; second < 30; second++) {
      await wait(1000)
      count(await started.drain())
    }
    const used = own() - before
    const rss = process.memoryUsage.rss()
    await started.stop()
    await load.ended
    for (const body of sums.bodies ?? []) sums.deflated += deflateSync(body).length
    const each = value => (value / sums.samples).toFixed(1)
    const percent = share => `${(100 * share).toFixed(1)} %`
    say(
      [
        String(hz).padEnd(4),
        String(sums.samples).padStart(7),
        String(sums.lost).padStart(6),
        each(sums.perfNs / 1e3).padStart(16),
        each(used * 1e6).padStart(16),
        String(sums.stacks).padStart(8),
        percent(1 - sums.unfinished / sums.samples).padStart(8),
        percent(sums.named / sums.frames).padStart(7),
        `${each(sums.bytes)} (${each(sums.deflated)})`.padStart(26),
        String(Math.round(rss / 2 ** 20)).padStart(8),
      ].join(' '),
    )
  }
}

async function benchStorm() {
  say('\nstorm of /bin/true for 15 s: perf script grows by')
  for (const mended of [true, false]) {
    const record = spawn(
      'perf',
      ['record', '-N', '-a', '-e', 'cpu-clock:I', '-F', '19', '--call-graph', 'dwarf,16384', '-m', '512', '-o', '-'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const script = spawn('perf', ['script', '-i', '-', '--no-inline'], { stdio: ['pipe', 'ignore', 'ignore'] })
    const stream = new PerfStream()
    record.stdout.on('data', chunk => {
      for (const piece of mended ? stream.push(chunk) : [chunk]) script.stdin.write(piece)
    })
    record.stdout.on('end', () => script.stdin.end())
    script.stdin.on('error', () => {})
    const megabytes = () => {
      if (script.exitCode !== null || script.signalCode !== null) throw new Error('perf script crashed: run it again')
      return (Number(readFileSync(`/proc/${script.pid}/statm`, 'latin1').split(' ')[1]) * 4096) / 2 ** 20
    }
    await wait(3000)
    const before = megabytes()
    const storm = 'n=0; end=$((SECONDS + 15)); while [ $SECONDS -lt $end ]; do /bin/true; n=$((n + 1)); done; echo $n'
    const shell = spawn('bash', ['-c', storm], { stdio: ['ignore', 'pipe', 'ignore'] })
    let processes = ''
    shell.stdout.on('data', text => (processes += text))
    await new Promise(resolve => shell.on('exit', resolve))
    await wait(1500)
    const grown = megabytes() - before
    record.kill('SIGTERM')
    await new Promise(resolve => script.on('close', resolve))
    say(
      `  ${mended ? 'mended' : 'as it is'}: ${grown.toFixed(0)} MiB for ${processes.trim()} processes, ${((1024 * grown) / Number(processes)).toFixed(1)} KiB each`,
    )
  }
}

function benchParser() {
  const text = readFileSync(join(import.meta.dirname, '../fixtures/profiles/names.txt'), 'utf8')
  const lines = text.split('\n')
  const before = own()
  let samples = 0
  const parser = new PerfScriptParser(() => samples++)
  for (let round = 0; round < 200; round++) for (const line of lines) parser.line(line)
  const used = own() - before
  say(
    `\nparser: ${((200 * lines.length) / used / 1e6).toFixed(2)} million lines, ${(samples / used / 1e3).toFixed(0)} thousand samples, ${((200 * text.length) / used / 2 ** 20).toFixed(0)} MiB a CPU second`,
  )
}

say(
  `load average ${loadavg()[0]?.toFixed(1)} on ${cpus().length} CPUs before the start: what else runs is sampled, too\n`,
)
try {
  await benchModes()
  await benchSampler()
  await benchStorm()
  benchParser()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
