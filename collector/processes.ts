/**
 * The process table, each tick: a sweep over /proc/PID/stat of all processes, and the rest (command line, user, I/O, job)
 * of the few that are shown, the hottest and the largest.
 *
 * The descriptor of each stat file stays open: read again by pread(2) it costs half of open + read + close, and it never
 * turns into another process when the pid is used again (it fails with ESRCH then). /proc is listed only when something was
 * forked since the last sweep. A process not seen before was born since then, so all of its CPU time belongs to this tick.
 *
 *   tick      1        2        3
 *   pid 10    ####     ######   ######       known: growth of its ticks since the last sweep
 *   pid 11          ###|####    ##           seen first at 2: all it has so far
 *   pid 12              |#|                  lived and died between two sweeps: never seen
 *
 * What pid 12 used is in the node's time and in nobody's: the difference is the reading cpu_unseen. The last piece of a
 * process that died is part of it too.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import type { Evidence, Process } from '../ingest/records.ts'
import { rateOf } from './counter.ts'
import type { KernelFile, KernelFiles } from './kernelfile.ts'
import { type Details, openDetails } from './processdetails.ts'
import { emptyStat, parseName, parseProcessStat } from './processstat.ts'
import type { Absent, Reading, Roots, Tick } from './source.ts'
import { type Boot, startMsOf } from './starttime.ts'
import type { Users } from './users.ts'

/** A Process without what the meter adds. */
export type ProcessReading = Omit<Process, 'cluster' | 'node' | 'timeMs' | 'intervalMs'>

export type Charge = (
  pid: number,
  startMs: number,
  cgroup?: string,
) => { job: string; step: string; rank?: number | undefined; evidence: Evidence }

export interface Processes {
  read(tick: Tick): { processes: ProcessReading[]; readings: Reading[] }
  /** Processes known after the last sweep. */
  readonly count: number
  close(): void
}

interface Known {
  pid: number
  startMs: number
  startTicks: number
  /** -1: no descriptor is kept, since there are too many processes for it. */
  fd: number
  name: string
  nameHash: number
  state: number
  parentPid: number
  threads: number
  memoryBytes: number
  userTicks: number
  systemTicks: number
  /** Growth over the last tick; NaN at the first sweep, when nobody knows since when the ticks are. */
  userGrown: number
  systemGrown: number
}

export interface ProcessesOptions {
  roots: Roots
  files: KernelFiles
  boot: Boot
  topByCpu: number
  topByMemory: number
  charge: Charge
  users: Users
  /** At most so many descriptors are kept; absent: half of what the process may open. */
  keepFiles?: number
}

export function openProcesses(options: ProcessesOptions): Processes | Absent {
  const stat = options.files.find('proc/stat')
  if (!stat) return { absent: 'no /proc/stat' }
  return new Sweep(options, stat)
}

class Sweep implements Processes {
  private readonly options: ProcessesOptions
  private readonly stat: KernelFile
  private readonly known = new Map<number, Known>()
  private readonly details: Details
  private readonly parsed = emptyStat()
  private readonly bytes = Buffer.allocUnsafe(1024)
  private filesLeft: number
  private before: { forks: number; busyTicks: number; monotonicMs: number } | undefined

  constructor(options: ProcessesOptions, stat: KernelFile) {
    this.options = options
    this.stat = stat
    this.filesLeft = options.keepFiles ?? readFileLimit() >> 1
    this.details = openDetails(options.roots, options.users)
  }

  get count(): number {
    return this.known.size
  }

  read(tick: Tick): { processes: ProcessReading[]; readings: Reading[] } {
    const now = { ...parseTotals(this.stat.read(tick)), monotonicMs: tick.monotonicMs }
    const before = this.before
    this.before = now
    let grown = this.sweepKnown()
    if (before?.forks !== now.forks) grown += this.sweepNew(before === undefined)
    if (before === undefined) return { processes: [], readings: [] }
    const seconds = (now.monotonicMs - before.monotonicMs) / 1000
    return {
      processes: this.top().map(process => this.readingOf(process, seconds)),
      readings: this.unseen(rateOf(before.busyTicks, now.busyTicks, seconds), grown / seconds),
    }
  }

  /** The two come from different clocks of the kernel, so the smaller can come out as the larger by a hair. */
  private unseen(ticksOfAll: number | undefined, ticksOfKnown: number): Reading[] {
    if (ticksOfAll === undefined) return []
    const value = Math.max(0, ticksOfAll - ticksOfKnown) / this.options.boot.ticksPerSecond
    return [{ entity: 'node', column: 'cpu_unseen', instance: '', value }]
  }

  /** Ticks that all of them grew by. */
  private sweepKnown(): number {
    let grown = 0
    for (const process of this.known.values()) {
      const length = this.readStat(process)
      const { parsed } = this
      if (length === 0 || !parseProcessStat(this.bytes, length, parsed) || parsed.startTicks !== process.startTicks) {
        this.forget(process)
        continue
      }
      process.userGrown = parsed.userTicks - process.userTicks
      process.systemGrown = parsed.systemTicks - process.systemTicks
      grown += process.userGrown + process.systemGrown
      this.update(process, length)
    }
    return grown
  }

  /** Those not known yet. At the very first sweep nobody knows since when their ticks are. */
  private sweepNew(isFirst: boolean): number {
    let grown = 0
    for (const name of readdirSync(this.options.roots.proc)) {
      const pid = Number(name)
      if (!(pid > 0) || this.known.has(pid)) continue
      const process = this.meet(pid)
      if (process === undefined) continue
      process.userGrown = isFirst ? Number.NaN : process.userTicks
      process.systemGrown = isFirst ? Number.NaN : process.systemTicks
      if (!isFirst) grown += process.userTicks + process.systemTicks
    }
    return grown
  }

  private meet(pid: number): Known | undefined {
    const process: Known = {
      pid,
      ...{
        startMs: 0,
        startTicks: 0,
        fd: -1,
        name: '',
        nameHash: 0,
        state: 0,
        parentPid: 0,
        threads: 0,
        memoryBytes: 0,
      },
      ...{ userTicks: 0, systemTicks: 0, userGrown: 0, systemGrown: 0 },
    }
    if (this.filesLeft > 0) process.fd = this.openStat(pid)
    const length = this.readStat(process)
    if (length === 0 || !parseProcessStat(this.bytes, length, this.parsed)) {
      this.forget(process)
      return undefined
    }
    process.startTicks = this.parsed.startTicks
    process.startMs = startMsOf(this.options.boot, process.startTicks)
    this.known.set(pid, process)
    this.update(process, length)
    return process
  }

  private update(process: Known, length: number): void {
    const { parsed } = this
    process.userTicks = parsed.userTicks
    process.systemTicks = parsed.systemTicks
    process.state = parsed.state
    process.parentPid = parsed.parentPid
    process.threads = parsed.threads
    process.memoryBytes = parsed.residentPages * this.options.boot.pageBytes
    if (parsed.nameHash === process.nameHash) return
    process.nameHash = parsed.nameHash
    process.name = parseName(this.bytes, length)
    this.details.forget(process.pid)
  }

  private openStat(pid: number): number {
    try {
      const fd = openSync(`${this.options.roots.proc}/${pid}/stat`, 'r')
      this.filesLeft--
      return fd
    } catch {
      return -1
    }
  }

  /** 0 when the process is gone. */
  private readStat(process: Known): number {
    try {
      if (process.fd >= 0) return readSync(process.fd, this.bytes, 0, this.bytes.length, 0)
      const fd = openSync(`${this.options.roots.proc}/${process.pid}/stat`, 'r')
      try {
        return readSync(fd, this.bytes, 0, this.bytes.length, 0)
      } finally {
        closeSync(fd)
      }
    } catch {
      return 0
    }
  }

  private forget(process: Known): void {
    if (process.fd >= 0) {
      closeSync(process.fd)
      this.filesLeft++
    }
    this.known.delete(process.pid)
    this.details.forget(process.pid)
  }

  /** The hottest, then the largest that are not among them. Who did nothing is not hot, who has no memory not large. */
  private top(): Known[] {
    const processes = [...this.known.values()]
    const hot = topOf(processes, this.options.topByCpu, p => p.userGrown + p.systemGrown)
    const large = topOf(processes, this.options.topByMemory, p => p.memoryBytes)
    const top = [...new Set([...hot, ...large])]
    this.details.keepOnly(top)
    return top
  }

  private readingOf(process: Known, seconds: number): ProcessReading {
    const { pid, startMs } = process
    const cores = (ticks: number) => (ticks >= 0 ? ticks / this.options.boot.ticksPerSecond / seconds : undefined)
    return {
      pid,
      startMs,
      parentPid: process.parentPid,
      name: process.name,
      ...this.details.read(pid, seconds),
      ...{ rank: undefined, ...this.options.charge(pid, startMs) },
      cpuUser: cores(process.userGrown),
      cpuSystem: cores(process.systemGrown),
      memoryBytes: process.memoryBytes,
      threads: process.threads,
      state: String.fromCharCode(process.state),
    }
  }

  close(): void {
    for (const process of [...this.known.values()]) this.forget(process)
    this.details.close()
  }
}

/** The `count` largest values above 0, largest first. One pass: it runs over all processes each tick. */
export function topOf<T>(all: readonly T[], count: number, measure: (one: T) => number): T[] {
  const top: { one: T; value: number }[] = []
  for (const one of all) {
    const value = measure(one)
    if (!(value > 0) || count === 0) continue
    if (top.length === count && value <= (top[count - 1]?.value ?? 0)) continue
    let at = top.length
    while (at > 0 && (top[at - 1]?.value ?? 0) < value) at--
    top.splice(at, 0, { one, value })
    if (top.length > count) top.pop()
  }
  return top.map(({ one }) => one)
}

/** user + nice + system of all CPUs, and the number of forks since boot. */
function parseTotals(stat: string): { busyTicks: number; forks: number } {
  const [, user, nice, system] = /^cpu +(\d+) (\d+) (\d+)/.exec(stat)?.map(Number) ?? []
  const at = stat.indexOf('\nprocesses ')
  return {
    busyTicks: (user ?? Number.NaN) + (nice ?? 0) + (system ?? 0),
    forks: at < 0 ? Number.NaN : Number.parseInt(stat.slice(at + 11, at + 31), 10),
  }
}

/** Descriptors this process may have; node has raised its soft limit to the hard one. */
function readFileLimit(): number {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return Math.min(Number(soft ?? 1024), 200_000)
  } catch {
    return 0
  }
}
