import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, symlinkSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openKernelFiles } from '../../collector/kernelfile.ts'
import { parseCommand, parseIo, parseUid } from '../../collector/processdetails.ts'
import { openProcesses, type ProcessesOptions, type ProcessReading } from '../../collector/processes.ts'
import { findNativeFiles, openTextFiles, type StatFiles, type StatRows } from '../../collector/processfiles.ts'
import { topOf, UNTOLD } from '../../collector/processreadings.ts'
import { parseName, parseProcessStat, STAT, STAT_FIELDS } from '../../collector/processstat.ts'
import { readBoot, startMsOf } from '../../collector/starttime.ts'
import { openUsers } from '../../collector/users.ts'
import { makeMachine } from './machine.ts'
import { kernel, NOBODY, open, statOf } from './processtree.ts'

/** That a comm may be: it ends at the last parenthesis. */
const ODD_NAMES = ['a b', '((', 'x) R 1 (y', ')', '', 'späße']

describe('/proc/PID/stat', () => {
  const parse = (text: string) => {
    const bytes = Buffer.from(text)
    const row = new Float64Array(STAT_FIELDS)
    const ok = parseProcessStat(bytes, bytes.length, row)
    const parsed = Object.fromEntries(Object.entries(STAT).map(([name, place]) => [name, row[place] ?? 0]))
    return { ok, ...parsed, name: parseName(bytes, bytes.length), letter: String.fromCharCode(row[STAT.state] ?? 0) }
  }

  it('finds the fields', () => {
    expect(
      parse(
        statOf({
          ...{ pid: 4711, user: 1520, system: 380, pages: 2048, start: 8_812_345, parent: 4700 },
          ...{ childUser: 90, childSystem: 14, cpu: 5 },
        }),
      ),
    ).toMatchObject({
      ok: true,
      pid: 4711,
      name: 'a.out',
      letter: 'S',
      parentPid: 4700,
      userTicks: 1520,
      systemTicks: 380,
      threads: 3,
      startTicks: 8_812_345,
      residentPages: 2048,
      childUserTicks: 90,
      childSystemTicks: 14,
      cpu: 5,
    })
  })

  it.each([...ODD_NAMES, 'a\nb', 'kworker/u513:27-events_freezable_power_efficient_wq_name64'])(
    'takes the name %j as it is',
    name => {
      expect(parse(statOf({ pid: 1, name, user: 5, pages: 9 }))).toMatchObject({
        ok: true,
        name,
        userTicks: 5,
        residentPages: 9,
      })
    },
  )

  it('reads a real one like the kernel wrote it', () => {
    const text = readFileSync('/proc/self/stat', 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    expect(parse(text)).toMatchObject({
      ok: true,
      parentPid: Number(fields[1]),
      userTicks: Number(fields[11]),
      startTicks: Number(fields[19]),
      residentPages: Number(fields[21]),
    })
  })

  it.each(['', '1', '1 (a', '1 (a) ', '1 (a) S', '1 (a) S 1 2 3', '1 (a) S 1 1 1 x y z', 'no such file'])(
    'refuses %j',
    text => {
      expect(parse(text).ok).toBe(false)
    },
  )
})

const pids = (readings: { processes: ProcessReading[] }) => readings.processes.map(process => process.pid)

describe('process table', () => {
  it('shows the hottest by what they used in this tick, then the largest', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10) })
    const write = (...all: Parameters<typeof statOf>[0][]) => {
      for (const one of all) machine.write(`proc/${one.pid}/stat`, statOf(one))
    }
    //      pid  before  now   pages
    //      1    9000    9000  1        much CPU once, none now
    //      2    0       50    2        hot
    //      3    100     200   3        hottest
    //      4    0       10    4        warm: third, not shown
    //      5    0       0     900      largest
    //      6    0       0     800      large
    //      7    0       0     0        a kernel thread
    const pages = [1, 2, 3, 4, 900, 800, 0]
    write(...[9000, 0, 100, 0, 0, 0, 0].map((user, i) => ({ pid: i + 1, user, pages: pages[i] ?? 0 })))
    const processes = open(machine)
    expect(processes.read(machine.tick())).toEqual({ processes: [], readings: [] })
    write(...[9000, 50, 200, 10, 0, 0, 0].map((user, i) => ({ pid: i + 1, user, pages: pages[i] ?? 0 })))
    machine.write('proc/stat', kernel(160, 10))
    const read = processes.read(machine.tick(2000))
    expect(pids(read)).toEqual([3, 2, 5, 6])
    expect(read.processes[0]).toEqual({
      ...UNTOLD,
      pid: 3,
      startMs: 1_000_000 + 1000,
      parentPid: 1,
      name: 'a.out',
      command: '',
      user: '',
      ...NOBODY,
      cpuUser: 0.5,
      cpuSystem: 0,
      memoryBytes: 3 * 4096,
      readBytes: undefined,
      writeBytes: undefined,
      threads: 3,
      state: 'S',
    })
    expect(read.readings).toEqual([{ entity: 'node', column: 'cpu_unseen', instance: '', value: 0 }])
    expect(processes.count).toBe(7)
  })

  it('charges a process born in the tick with all it has used, and says what nobody was seen to use', () => {
    const machine = makeMachine({ 'proc/stat': kernel(1000, 10), 'proc/1/stat': statOf({ pid: 1, user: 500 }) })
    const processes = open(machine)
    processes.read(machine.tick())
    machine.write('proc/8/stat', statOf({ pid: 8, user: 30, system: 10, start: 900 }))
    // 100 ticks passed busy: 40 in the newborn, 60 in processes that came and went
    machine.write('proc/stat', kernel(1100, 75))
    const read = processes.read(machine.tick())
    expect(read.processes).toMatchObject([{ pid: 8, cpuUser: 0.3, cpuSystem: 0.1 }])
    expect(read.readings).toMatchObject([{ column: 'cpu_unseen', value: 0.6 }])
  })

  it('looks for new processes only when something was forked', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10) })
    const processes = open(machine)
    processes.read(machine.tick())
    machine.write('proc/8/stat', statOf({ pid: 8 }))
    processes.read(machine.tick())
    expect(processes.count).toBe(0)
    machine.write('proc/stat', kernel(0, 11))
    processes.read(machine.tick())
    expect(processes.count).toBe(1)
  })

  it('forgets the dead, and tells a pid that is used again from the one before', () => {
    const machine = makeMachine({
      'proc/stat': kernel(0, 10),
      'proc/8/stat': statOf({ pid: 8, user: 5000, start: 100, pages: 1 }),
      'proc/9/stat': statOf({ pid: 9, user: 1 }),
    })
    const processes = open(machine)
    processes.read(machine.tick())
    rmSync(`${machine.options.roots.proc}/9`, { recursive: true })
    machine.write('proc/8/stat', statOf({ pid: 8, user: 25, start: 777, pages: 1 }))
    machine.write('proc/stat', kernel(25, 11))
    const read = processes.read(machine.tick())
    expect(read.processes).toMatchObject([{ pid: 8, cpuUser: 0.25, startMs: 1_000_000 + 7770 }])
    expect(processes.count).toBe(1)
  })

  it('reads command line, user, I/O and job of those it shows; I/O rates need two looks', () => {
    const machine = makeMachine({
      'proc/stat': kernel(0, 10),
      'proc/8/stat': statOf({ pid: 8, pages: 1, start: 250 }),
      'proc/8/cmdline': 'python3\0-c\0while 1:\n  pass\0',
      'proc/8/status': 'Name:\tpython3\nUid:\t1000\t0\t0\t0\n',
      'proc/8/cgroup': `0::/system.slice/docker-${'0f'.repeat(32)}.scope\n`,
      'proc/8/io': 'rchar: 9\nwchar: 9\nread_bytes: 1000\nwrite_bytes: 0\ncancelled_write_bytes: 0\n',
    })
    symlinkSync('/opt/python/bin/python3.11', `${machine.options.roots.proc}/8/exe`)
    const asked: unknown[] = []
    const processes = open(machine, {
      charge: (...question) => {
        asked.push(question)
        return { job: '4711', step: '0', rank: 3, evidence: 'cgroup' }
      },
    })
    processes.read(machine.tick())
    const shown = {
      command: 'python3 -c while 1:   pass',
      user: 'user1000',
      executable: '/opt/python/bin/python3.11',
      container: '0f'.repeat(32),
      job: '4711',
      step: '0',
      rank: 3,
      evidence: 'cgroup',
    }
    expect(processes.read(machine.tick()).processes).toMatchObject([{ ...shown, readBytes: undefined }])
    machine.write('proc/8/io', 'rchar: 9\nread_bytes: 5000\nwrite_bytes: 1000\n')
    expect(processes.read(machine.tick(2000)).processes).toMatchObject([{ ...shown, readBytes: 2000, writeBytes: 500 }])
    expect(asked).toEqual([
      [8, 1_002_500],
      [8, 1_002_500],
    ])
  })

  it('reads nothing again of one that has not run, which has done nothing', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10), 'proc/8/stat': statOf({ pid: 8, pages: 1 }) })
    const io = (bytes: number) => machine.write('proc/8/io', `read_bytes: ${bytes}\nwrite_bytes: 0\n`)
    let hasRun = true
    const processes = open(machine, {
      openFiles: (...place) => {
        const files = openTextFiles(...place)
        const look = files.look.bind(files)
        files.look = anyway => look(hasRun ? anyway : Int32Array.of())
        return files
      },
    })
    const next = (bytes: number, runs: boolean) => {
      io(bytes)
      hasRun = runs
      return processes.read(machine.tick(1000)).processes.map(process => process.readBytes)
    }
    io(1000)
    processes.read(machine.tick())
    expect(next(1000, true)).toEqual([undefined])
    expect(next(3000, true)).toEqual([2000])
    // as if somebody else had written it
    expect(next(9999, false)).toEqual([0])
    expect(next(4000, true)).toEqual([1000])
  })

  it('reads command line and user again when the name changed', () => {
    const machine = makeMachine({
      'proc/stat': kernel(0, 10),
      'proc/8/stat': statOf({ pid: 8, pages: 1, name: 'sh' }),
      'proc/8/cmdline': 'sh\0',
    })
    const processes = open(machine)
    processes.read(machine.tick())
    expect(processes.read(machine.tick()).processes).toMatchObject([{ name: 'sh', command: 'sh' }])
    machine.write('proc/8/stat', statOf({ pid: 8, pages: 1, name: 'solver' }))
    machine.write('proc/8/cmdline', './solver\0in.dat\0')
    expect(processes.read(machine.tick()).processes).toMatchObject([{ name: 'solver', command: './solver in.dat' }])
  })

  it('says of each what it used in this tick alone, whether it worked before or not', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10) })
    const processes = open(machine, { topByCpu: 10, topByMemory: 10 })
    /** user ticks of 7 and 8 so far */
    const tick = (seven: number, eight: number) => {
      machine.write('proc/7/stat', statOf({ pid: 7, user: seven, pages: 1 }))
      machine.write('proc/8/stat', statOf({ pid: 8, user: eight, pages: 2 }))
      return Object.fromEntries(processes.read(machine.tick()).processes.map(p => [p.pid, p.cpuUser]))
    }
    expect(tick(500, 500)).toEqual({})
    expect(tick(500, 550)).toEqual({ 7: 0, 8: 0.5 })
    expect(tick(500, 550)).toEqual({ 7: 0, 8: 0 })
    expect(tick(600, 551)).toEqual({ 7: 1, 8: 0.01 })
  })

  it('shows none where none are wanted', () => {
    const machine = makeMachine({ 'proc/stat': kernel(0, 10), 'proc/8/stat': statOf({ pid: 8, pages: 1 }) })
    const processes = open(machine, { topByCpu: 0, topByMemory: 0 })
    processes.read(machine.tick())
    expect(processes.read(machine.tick()).processes).toEqual([])
  })
})

describe('this machine', () => {
  const roots = { proc: '/proc', sys: '/sys' }
  function openHere(more: Partial<ProcessesOptions>) {
    const files = openKernelFiles(roots)
    onTestFinished(() => files.close())
    const processes = openProcesses({
      ...{
        roots,
        files,
        boot: readBoot(roots),
        charge: () => NOBODY,
        users: openUsers(),
        topByCpu: 1e4,
        topByMemory: 1e4,
      },
      ...more,
    })
    if ('absent' in processes) throw new Error(processes.absent)
    onTestFinished(() => processes.close())
    return processes
  }
  const tick = () => ({ timeMs: Date.now(), intervalMs: 1000, monotonicMs: performance.now() })
  const ticksOf = (pid: number) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  }

  const openFiles = findNativeFiles()
  const readers: [string, Partial<ProcessesOptions>][] = [
    ['with descriptors kept', {}],
    ['with none to spare', { keepFiles: 0 }],
    ...(openFiles ? [['by the addon', { openFiles }] satisfies [string, Partial<ProcessesOptions>]] : []),
  ]
  if (!openFiles) it('by the addon: it is not built', context => context.skip('the addon is not built'))

  it.each(readers)('agrees with a second reader on the CPU time of a busy loop, %s', async (_, more) => {
    const loop = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' })
    onTestFinished(() => void loop.kill('SIGKILL'))
    const pid = loop.pid ?? 0
    const processes = openHere(more)
    await new Promise(resolve => setTimeout(resolve, 50))
    const first = tick()
    const outer = ticksOf(pid)
    processes.read(first)
    const inner = ticksOf(pid)
    await new Promise(resolve => setTimeout(resolve, 300))
    const second = tick()
    const grown = { atLeast: ticksOf(pid) - inner, atMost: 0 }
    const read = processes.read(second)
    grown.atMost = ticksOf(pid) - outer
    const shown = read.processes.find(process => process.pid === pid)
    const seconds = (second.monotonicMs - first.monotonicMs) / 1000
    const ticks = ((shown?.cpuUser ?? 0) + (shown?.cpuSystem ?? 0)) * seconds * 100
    expect(grown.atMost).toBeGreaterThan(0)
    expect(ticks).toBeGreaterThan(grown.atLeast - 0.001)
    expect(ticks).toBeLessThan(grown.atMost + 0.001)
    expect(shown).toMatchObject({
      name: 'sh',
      command: 'sh -c while :; do :; done',
      threads: 1,
      parentPid: process.pid,
    })
  })

  it.each(readers)('sees a process come, become another and go, %s', async (_, more) => {
    const processes = openHere(more)
    processes.read(tick())
    const sleep = spawn('sh', ['-c', 'read go; exec sleep 60'], { stdio: ['pipe', 'ignore', 'ignore'] })
    await once(sleep, 'spawn')
    const named = () => processes.read(tick()).processes.find(one => one.pid === sleep.pid)?.name
    await expect.poll(named).toBe('sh')
    sleep.stdin.end('\n')
    await expect.poll(named).toBe('sleep')
    sleep.kill('SIGKILL')
    await once(sleep, 'exit')
    expect(pids(processes.read(tick()))).not.toContain(sleep.pid)
  })

  it('gives this process the start that the clock gave it', () => {
    const boot = readBoot(roots)
    const stat = readFileSync('/proc/self/stat', 'latin1')
    const startMs = startMsOf(boot, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]))
    const started = Date.now() - process.uptime() * 1000
    // btime is cut to a second
    expect(Math.abs(startMs - started)).toBeLessThan(2500)
  })
})

describe('the addon reads what the files say', () => {
  const openNative = findNativeFiles()
  if (!openNative) return it.skip('the addon is not built')

  /** All that both tell, as rows that can be compared. */
  const told = ({ numbers, names }: StatRows) =>
    names.map((name, i) => [...numbers.subarray(i * STAT_FIELDS, (i + 1) * STAT_FIELDS), name]).sort(byPid)
  const byPid = ([a]: unknown[], [b]: unknown[]) => Number(a) - Number(b)
  const both = (proc: string, keepFiles: number) => {
    const all = [openNative(proc, keepFiles), openTextFiles(proc, keepFiles)]
    onTestFinished(() => {
      for (const files of all) files.close()
    })
    return (ask: (files: StatFiles) => StatRows) => {
      const [native, text] = all.map(files => told(ask(files)))
      expect(native).toEqual(text)
      return native
    }
  }

  it('where processes come, change, become others and go', () => {
    const captures = [...ODD_NAMES, 'sp\u00e4'.repeat(5), 'kworker/u513:27-events_freezable_power_efficient_wq_na']
    const machine = makeMachine(
      Object.fromEntries(
        captures.map((name, i) => [`proc/${i + 1}/stat`, statOf({ pid: i + 1, name, user: i, pages: 9 })]),
      ),
    )
    machine.write('proc/20/stat', '20 (cut) S 1 2')
    machine.write('proc/sys/kernel/ostype', 'Linux')
    const { proc } = machine.options.roots
    const ask = both(proc, 0)
    expect(ask(files => files.meet(1))).toHaveLength(captures.length)
    expect(ask(files => files.meet(1))).toEqual([])
    // nobody can tell of a table elsewhere who has run
    expect(ask(files => files.look(Int32Array.of(1, 2)))?.map(row => row[0])).toEqual([1, 2])
    machine.write('proc/1/stat', statOf({ pid: 1, name: 'a b', user: 1, pages: 9 }))
    machine.write('proc/2/stat', statOf({ pid: 2, name: 'other', user: 1, pages: 9 }))
    machine.write('proc/3/stat', statOf({ pid: 3, name: 'again', start: 777 }))
    rmSync(`${proc}/4`, { recursive: true })
    machine.write('proc/5/stat', '5 () Z')
    expect(ask(files => files.look(Int32Array.of()))?.map(row => row[0])).toEqual([1, 2, 3, 4, 5])
    expect(ask(files => files.meet(1))?.map(row => row[0])).toEqual([3])
    expect(ask(files => files.readAgain(Int32Array.of(1, 4, 8)))?.map(row => row[0])).toEqual([1, 4, 8])
    rmSync(proc, { recursive: true })
    expect(ask(files => files.look(Int32Array.of()))).toHaveLength(captures.length - 2)
  })

  it('of this machine: whoever rests is as the kernel has it, after any number of looks', async () => {
    const [native, text] = [openNative('/proc', 1000), openTextFiles('/proc', 1000)]
    const crowd = spawn(
      'sh',
      ['-c', 'while :; do :; done & sleep 300 & for i in 1 2 3; do sleep 0.1; done; exec sleep 300'],
      { stdio: 'ignore', detached: true },
    )
    onTestFinished(() => {
      native.close()
      text.close()
      process.kill(-(crowd.pid ?? 0), 'SIGKILL')
    })
    const known = [native, text].map(() => new Map<number, unknown[]>())
    const take = (rows: StatRows, into: Map<number, unknown[]> | undefined) => {
      for (const [pid, ...row] of told(rows))
        if (Number.isNaN(row[STAT.state - 1])) into?.delete(Number(pid))
        else into?.set(Number(pid), [pid, ...row.slice(0, -1)])
    }
    const look = () => {
      for (const [i, files] of [native, text].entries()) {
        take(files.look(Int32Array.of()), known[i])
        take(files.meet(1), known[i])
      }
    }
    const hasChildren = () => {
      look()
      return [...(known[1]?.values() ?? [])].some(row => row[STAT.parentPid] === crowd.pid)
    }
    await expect.poll(hasChildren).toBe(true)
    for (let i = 0; i < 10; i++) {
      await new Promise(resolve => setTimeout(resolve, 100))
      const before = new Map(known[1])
      look()
      const later = new Map(known[1])
      take(text.look(Int32Array.of()), later)
      const atRest = [...later].filter(
        ([pid, row]) => before.get(pid) === known[1]?.get(pid) && row === known[1]?.get(pid),
      )
      expect(atRest.length).toBeGreaterThan(0)
      // what only grows was the same in between too; the rest may come and go in less than a clock tick
      const grows = [STAT.userTicks, STAT.systemTicks, STAT.childUserTicks, STAT.childSystemTicks, STAT.startTicks]
      const grown = (row: unknown[] | undefined) => grows.map(place => row?.[place])
      for (const [pid, row] of atRest) expect([pid, ...grown(known[0]?.get(pid))]).toEqual([pid, ...grown(row)])
      known[1] = later
    }
  })
})

describe('parts', () => {
  it('topOf keeps the largest above 0, first come first among equals', () => {
    expect(topOf([3, 1, 0, 4, -1, Number.NaN, 5, 9, 2, 6], 4, n => n)).toEqual([9, 6, 5, 4])
    expect(topOf(['a1', 'b1', 'c2'], 2, s => Number(s[1]))).toEqual(['c2', 'a1'])
    expect(topOf([1], 0, n => n)).toEqual([])
  })

  it('parseCommand cuts at 1 KiB, makes one line of it', () => {
    expect(parseCommand(Buffer.from('a\0b\tc\0\0d\x1b[0m\0'))).toBe('a b c d [0m')
    expect(parseCommand(Buffer.from('x'.repeat(5000)))).toHaveLength(1024)
    expect(parseCommand(Buffer.from(''))).toBe('')
  })

  it('parseIo and parseUid leave out what is not there', () => {
    expect(parseIo('rchar: 1\n')).toBeUndefined()
    expect(parseUid('Name:\tx\n')).toBeUndefined()
  })

  it('users come from passwd, then from getent once a uid, else they are numbers', async () => {
    const asked: number[] = []
    const machine = makeMachine({
      'sys/passwd': 'root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n# no\nann:x:1000:1::/:/\n',
    })
    let nowMs = 0
    const users = openUsers(
      `${machine.options.roots.sys}/passwd`,
      async uid => {
        asked.push(uid)
        return uid === 5000 ? 'bob' : undefined
      },
      () => nowMs,
    )
    expect([users.nameOf(0), users.nameOf(1000), users.nameOf(5000), users.nameOf(6000)]).toEqual([
      'root',
      'ann',
      '5000',
      '6000',
    ])
    await new Promise(setImmediate)
    expect([users.nameOf(5000), users.nameOf(6000), users.nameOf(6000)]).toEqual(['bob', '6000', '6000'])
    expect(asked).toEqual([5000, 6000])
    nowMs = 2 * 3_600_000
    users.nameOf(6000)
    await new Promise(setImmediate)
    expect(asked).toEqual([5000, 6000, 6000])
  })
})
