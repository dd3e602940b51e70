/**
 * What the sampler and perf(1) say of programs that spend 60 / 30 / 10 % of their time in three functions: npm run bench --
 * accuracy [seconds of CPU time a program, 10] [names of programs, all]
 *
 * Each program runs once, under all three at the same time and rate: two perf record -p of the program (--call-graph fp,
 * --call-graph dwarf,16384), and the addon over the whole node.
 *
 *   split   where its leaf is, in % of samples (of `inlined` no truth is known: its loops are compiled together)
 *   root    samples whose outermost frame is where programs or threads start
 *   named   frames with a name, of the program's own and the kernel's; of interpreters all
 *
 * Needs root (or kernel.perf_event_paranoid <= 0), perf, gcc, gfortran and python3.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'

const { startNative } = await import('../../dist/collector/native.js')
const { PerfScriptParser } = await import('../../dist/collector/formats/perfscript.js')
const { FRAME_KINDS } = await import('../../dist/ingest/records.js')

const [SECONDS = '10', ...NAMES] = process.argv.slice(2)
const HZ = 499
const programs = join(import.meta.dirname, '../native/programs')
const folder = mkdtempSync(join(tmpdir(), 'jobsight-accuracy-'))
const say = line => process.stdout.write(`${line}\n`)
const wait = ms => new Promise(resolve => setTimeout(resolve, ms))

const COMPILERS = { c: 'gcc', f90: 'gfortran' }
const ROOT = /^(_start|__libc_start_\w+|start_thread|clone3?|__clone3?|_dl_start\w*)$/
const NAMELESS = /\+0x[0-9a-f]+$|^\[/
const SPLIT = /(?:^|[:_])(f60|f30|f10|i60|i30|i10)$/

/** The command line of a program of known.json, without its seconds. */
function build(known) {
  const at = word => (word.startsWith('@') ? join(folder, word.slice(1)) : word)
  for (const [source, output, ...flags] of known.build ?? []) {
    const compiler = COMPILERS[source.split('.')[1]]
    execFileSync(compiler, ['-O2', '-o', join(folder, output), join(programs, source), ...flags.map(at)], {
      cwd: folder,
    })
  }
  const [program, ...args] = known.run ?? [join(folder, known.name)]
  return [
    program === 'node' ? process.execPath : program,
    ...args.map(arg => (/^flat\./.test(arg) ? join(programs, arg) : arg)),
  ]
}

/** Starts of the functions of a program that was stripped, from the build that was not. */
function functionsOf(known) {
  if (!known.symbols) return []
  const text = execFileSync('nm', ['--defined-only', join(folder, known.symbols)], { encoding: 'utf8' })
  const functions = [...text.matchAll(/^([0-9a-f]+) [tT] (\w+)$/gm)]
  return functions.map(([, start, name]) => [Number.parseInt(start, 16), name]).sort((a, b) => b[0] - a[0])
}

class Tally {
  samples = 0
  rooted = 0
  frames = 0
  named = 0
  leaves = { 60: 0, 30: 0, 10: 0 }

  constructor(known, functions) {
    this.known = known
    this.functions = functions
  }

  /** `frames`: root first. */
  add(frames, count) {
    if (frames.every(frame => frame.kind === 'kernel' || frame.kind === 'truncated')) return
    this.samples += count
    if (ROOT.test(frames[0].function) || this.isStart(frames[0])) this.rooted += count
    for (const frame of frames.filter(frame => this.hasSymbols(frame))) {
      this.frames += count
      if (!NAMELESS.test(frame.function)) this.named += count
    }
    const leaf = frames.map(frame => SPLIT.exec(this.nameOf(frame))?.[1]).findLast(name => name !== undefined)
    if (leaf) this.leaves[leaf.slice(1)] += count
  }

  nameOf({ function: name, module }) {
    if (module !== this.known.name || this.functions.length === 0) return name
    const address = Number.parseInt(/\+0x([0-9a-f]+)$/.exec(name)?.[1] ?? '0', 16)
    return this.functions.find(([start]) => start <= address)?.[1] ?? name
  }

  /** _start of a program without names; the loader's has none anywhere. */
  isStart(frame) {
    return this.nameOf(frame) === '_start' || /^ld-/.test(frame.module)
  }

  hasSymbols({ kind, module }) {
    if (kind === 'truncated') return false
    if (this.known.run || kind === 'kernel') return true
    return !this.known.symbols && this.known.build.some(([, output]) => output === module)
  }

  drawn() {
    const total = Object.values(this.leaves).reduce((sum, count) => sum + count, 0)
    const split = [60, 30, 10].map(f => (total ? ((100 * this.leaves[f]) / total).toFixed(1).padStart(5) : '    -'))
    const percent = (part, whole) => (whole ? ((100 * part) / whole).toFixed(1) : '-').padStart(6)
    return `${split.join('')} ${percent(this.rooted, this.samples)} ${percent(this.named, this.frames)}`
  }
}

function tallyWindow(window, tally, isOwn) {
  const { strings, frames, stacks, samples, processes } = window
  const frame = at => ({
    function: strings[frames.function[at]],
    module: strings[frames.module[at]],
    kind: FRAME_KINDS[frames.kind[at]],
  })
  for (let i = 0; i < samples.count.length; i++) {
    if (!isOwn(processes[samples.process[i]])) continue
    const [from, to] = [stacks.offsets[samples.stack[i]], stacks.offsets[samples.stack[i] + 1]]
    tally.add(Array.from(stacks.frames.subarray(from, to), frame).reverse(), samples.count[i])
  }
}

function tallyPerf(file, known, tally) {
  const args = ['script', '-i', '-', '--max-stack', '1024', '-F', 'comm,pid,tid,time,period,event,ip,sym,dso']
  if (known.name !== 'inlined') args.push('--no-inline')
  const input = readFileSync(file)
  const ran = spawnSync('perf', args, { input, encoding: 'utf8', maxBuffer: 1 << 30 })
  const parser = new PerfScriptParser(sample => {
    tally.add([...sample.frames].reverse(), 1)
  })
  for (const line of ran.stdout.split('\n')) parser.line(line)
  parser.end()
}

function startPerf(pid, out, mode) {
  const args = ['record', '-q', '-B', '-N', '-o', '-', '-e', 'cpu-clock', '-F', String(HZ), '--call-graph', mode]
  // As a stream: at the end of a file perf 6.1 looks for build ids, and crashes now and then.
  const file = openSync(out, 'w')
  const perf = spawn('perf', [...args, '-p', String(pid)], { stdio: ['ignore', file, 'inherit'] })
  closeSync(file)
  const isOpen = fd => readlinkSync(`/proc/${perf.pid}/fd/${fd}`) === 'anon_inode:[perf_event]'
  return {
    ended: new Promise(resolve => perf.on('exit', resolve)),
    ready: async () => {
      while (perf.exitCode === null && !readdirSync(`/proc/${perf.pid}/fd`).some(fd => tried(() => isOpen(fd))))
        await wait(50)
      await wait(500)
    },
  }
}

function tried(look) {
  try {
    return look()
  } catch {
    return false
  }
}

async function measure(known) {
  const command = build(known)
  const sampler = await startNative({ hz: HZ, windowMs: 1000, includeIdle: false, stackBytes: 16_384 })
  if (sampler.absent) throw new Error(sampler.absent)
  const [fp, dwarf] = ['fp', 'dwarf'].map(mode => join(folder, `${mode}.data`))
  // Held until both recordings look at it.
  const held = ['-c', 'kill -STOP $$; exec "$@"', 'sh', ...command, SECONDS]
  const child = spawn('/bin/sh', held, { stdio: 'ignore' })
  const recordings = [startPerf(child.pid, fp, 'fp'), startPerf(child.pid, dwarf, 'dwarf,16384')]
  for (const recording of recordings) await recording.ready()
  child.kill('SIGCONT')
  await Promise.all([new Promise(resolve => child.on('exit', resolve)), ...recordings.map(r => r.ended)])
  const [end, windows] = [Date.now(), []]
  while (!windows.some(window => window.endMs >= end) && Date.now() < end + 60_000) {
    await wait(200)
    windows.push(...sampler.drain())
  }
  await sampler.stop()
  const functions = functionsOf(known)
  const tallies = [0, 1, 2].map(() => new Tally(known, functions))
  const isOwn = ({ pid, name }) => pid === child.pid || (known.build && name === known.name)
  for (const window of windows) tallyWindow(window, tallies[0], isOwn)
  for (const [index, file] of [fp, dwarf].entries()) tallyPerf(file, known, tallies[index + 1])
  const lost = windows.reduce((sum, window) => sum + window.counters.lost, 0)
  say(
    `${known.name.padEnd(9)} ${String(tallies[0].samples).padStart(7)} ${String(lost).padStart(5)}  ${tallies.map(t => t.drawn()).join('  | ')}`,
  )
}

say(`load average ${loadavg()[0]?.toFixed(1)} on ${cpus().length} CPUs before the start\n`)
say(
  `                        ${['Jobsight', 'perf --call-graph fp', 'perf --call-graph dwarf,16384'].map(name => name.padEnd(31)).join('')}`,
)
say(`program   samples  lost  ${Array(3).fill('split            root  named').join('  | ')}`)
try {
  const all = JSON.parse(readFileSync(join(programs, 'known.json'), 'utf8'))
  for (const known of all.filter(({ name }) => NAMES.length === 0 || NAMES.includes(name))) await measure(known)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
