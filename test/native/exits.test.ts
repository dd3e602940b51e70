/** A storm of processes too short for any sweep, and what the process table makes of it, against what the kernel counted. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Exits, openExits } from '../../collector/exits.ts'
import { openKernelFiles } from '../../collector/kernelfile.ts'
import { openProcesses, type ProcessReading } from '../../collector/processes.ts'
import type { Source } from '../../collector/source.ts'
import { readBoot } from '../../collector/starttime.ts'
import { openUsers } from '../../collector/users.ts'

const roots = { proc: '/proc', sys: '/sys' }
const source = fileURLToPath(new URL('programs/forks.c', import.meta.url))
const TOP = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(top => existsSync(`${top}/cgroup.controllers`))
const GROUP = `${TOP}/jobsight-forks-${process.pid}`
let place = ''

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'jobsight-exits-'))
  execFileSync('gcc', ['-O2', '-o', join(place, 'forks'), source])
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

function openOrSkip(context: { skip(why: string): void }): Exits & Source {
  const exits = openExits()
  if ('absent' in exits) {
    context.skip(exits.absent)
    throw new Error('skipped')
  }
  onTestFinished(() => exits.close?.())
  return exits
}

function openTable(exits: Exits | undefined) {
  const files = openKernelFiles(roots)
  const charge = () => ({ job: '', step: '', rank: undefined, evidence: 'none' as const })
  const many = { topByCpu: 10_000, topByMemory: 0 }
  const given = { roots, files, boot: readBoot(roots), charge, users: openUsers(), ...many }
  const table = openProcesses({ ...given, ...(exits ? { exits } : {}) })
  if ('absent' in table) throw new Error(table.absent)
  onTestFinished(() => {
    table.close()
    files.close()
  })
  let before = performance.now()
  return () => {
    const tick = { timeMs: Date.now(), intervalMs: 250, monotonicMs: performance.now() }
    const seconds = (tick.monotonicMs - before) / 1000
    before = tick.monotonicMs
    return table.read(tick).processes.map(row => ({ row, seconds: seconds * cores(row) }))
  }
}

const cores = ({ cpuUser, cpuSystem }: ProcessReading) => (cpuUser ?? 0) + (cpuSystem ?? 0)

/** In a control group of its own where one can be made: its CPU time is the judge then, else what the program says itself. */
function startStorm(...args: (string | number)[]) {
  let group = false
  try {
    mkdirSync(GROUP)
    group = true
    onTestFinished(() => rmdirSync(GROUP))
  } catch {
    // not root, or no version 2: wait4(2) is the judge
  }
  const enter = group ? `echo $$ > ${GROUP}/cgroup.procs; ` : ''
  const child = spawn('sh', ['-c', `${enter}exec ${join(place, 'forks')} ${args.join(' ')}`])
  const usage = () => Number(/^usage_usec (\d+)/m.exec(readFileSync(`${GROUP}/cpu.stat`, 'utf8'))?.[1]) / 1e6
  return { pid: child.pid ?? 0, ended: said(child), usage: group ? usage : undefined }
}

function said(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', chunk => {
    text += chunk
  })
  return new Promise((resolve, reject) => child.on('error', reject).on('close', () => resolve(text)))
}

async function weather(exits: Exits | undefined, ...storm: (string | number)[]) {
  const read = openTable(exits)
  read()
  const { pid, ended, usage } = startStorm(...storm)
  const rows: ReturnType<typeof read> = []
  let over = false
  let sweeps = 1
  const done = ended.finally(() => {
    over = true
  })
  while (!over) {
    await new Promise(resolve => setTimeout(resolve, 250))
    rows.push(...read())
    sweeps++
  }
  rows.push(...read())
  const [children = 0, self = 0] = (await done).trim().split(' ').map(Number)
  // by name too: those of the last part, when the storm itself has ended, are told as children of whom it was a child of
  const isOurs = ({ pid: own, parentPid, name }: ProcessReading) =>
    own === pid || parentPid === pid || name === 'forks' || name === 'tenth'
  const ours = rows.filter(({ row }) => isOurs(row))
  const named = (name: string) => ours.filter(({ row }) => row.name === name).map(({ seconds }) => seconds)
  const sum = (all: readonly number[]) => all.reduce((total, one) => total + one, 0)
  return {
    sweeps,
    charged: sum(ours.map(({ seconds }) => seconds)),
    used: usage?.() ?? (children + self) / 1e6,
    tenth: sum(named('tenth')),
    counted: sum(ours.map(({ row, seconds }) => ((row.ended ?? 0) * seconds) / Math.max(1e-9, cores(row)))),
  }
}

describe('a fork storm', () => {
  it.for([
    ['one after the other', 1500, 1000, 1],
    ['two at a time', 1500, 1000, 2],
    ['of almost nothing', 2500, 100, 1],
    ['of such as live for some ticks of the kernel', 150, 15_000, 3],
  ] as const)('is charged to within 5 %%: %s', async ([, count, us, together], context) => {
    const { charged, used } = await weather(openOrSkip(context), count, us, together)
    expect(used).toBeGreaterThan(0.3)
    expect(charged / used).toBeGreaterThan(0.95)
    expect(charged / used).toBeLessThan(1.05)
  })

  it('is told by name and number', async context => {
    const { tenth, used, counted, sweeps } = await weather(openOrSkip(context), 1500, 1000)
    // 1500 and, in each third, one more; but a child and its child that a sweep met alive are rows of their own
    expect(counted).toBeGreaterThan(1999 - 2 * sweeps)
    expect(counted).toBeLessThan(2001)
    expect(tenth / used).toBeGreaterThan(0.05)
    expect(tenth / used).toBeLessThan(0.15)
  })

  it('is charged without records too, as ended children of its parent', async () => {
    const { charged, used } = await weather(undefined, 1500, 1000)
    // cutime is told in whole ticks of sampled time, and lacks what the kernel does to take a child down after it was waited for
    expect(charged / used).toBeGreaterThan(0.85)
    expect(charged / used).toBeLessThan(1.05)
  })
})

describe('what processes wait for', () => {
  it('is told by the kernel: two that share a CPU wait half of the time', async context => {
    const exits = openOrSkip(context)
    const cpu = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
    const loops = [1, 2].map(() =>
      spawn('/usr/bin/taskset', ['-c', cpu, 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }),
    )
    onTestFinished(() => {
      for (const loop of loops) loop.kill('SIGKILL')
    })
    const pids = Uint32Array.from(loops, loop => loop.pid ?? 0)
    await new Promise(resolve => setTimeout(resolve, 300))
    const waited = () => {
      const delays = exits.delays(pids)
      return ((delays[0] ?? 0) + (delays[2] ?? 0)) / 1e9
    }
    const [before, startMs] = [waited(), performance.now()]
    await new Promise(resolve => setTimeout(resolve, 1000))
    const share = (waited() - before) / ((performance.now() - startMs) / 1000)
    // others may want that CPU too, and then both wait longer
    expect(share).toBeGreaterThan(0.85)
    expect(share).toBeLessThan(2.05)
  })

  it('is told of each by its place, of more than one message holds, and of none that is gone', context => {
    const exits = openOrSkip(context)
    const gone = 2 ** 22 - 1
    const pids = Uint32Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? gone : process.pid))
    const isTold = (_: unknown, i: number) => !Number.isNaN(exits.delays(pids)[2 * i])
    expect(Array.from(pids, isTold)).toEqual(Array.from(pids, pid => pid !== gone))
    expect(exits.delays(Uint32Array.of(gone))).toEqual(Float64Array.of(Number.NaN, Number.NaN))
  })
})
