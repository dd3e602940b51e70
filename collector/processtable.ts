/**
 * The processes that are known, each with the descriptor of its stat file: read again by pread(2) it costs half of open + read
 * + close, and it never turns into another process when the pid is used again (it fails with ESRCH then). With the addon all
 * that are due are read by one call.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { emptyStat, type ProcReader, parseName, parseProcessStat, STAT_FIELDS, statFromRow } from './processstat.ts'
import { type Boot, startMsOf } from './starttime.ts'

export interface Known {
  readonly pid: number
  startMs: number
  startTicks: number
  name: string
  /** Character code. */
  state: number
  parentPid: number
  threads: number
  memoryBytes: number
  /** That its main thread ran on last. */
  cpu: number
  userTicks: number
  systemTicks: number
  /** Of children that were waited for; settled: what of it is charged to somebody already. */
  childUserTicks: number
  childSystemTicks: number
  settledUserTicks: number
  settledSystemTicks: number
  /** Growth since the read before, and the time it took; NaN at the first read, when nobody knows since when the ticks are. */
  userGrown: number
  systemGrown: number
  seconds: number
  /** Monotonic time of the last read. */
  readMs: number
  /** Reads in a row without growth. */
  quiet: number
  /** Was among the top of the last tick. */
  shown: boolean
  nameHash: number
  /** -1: none is kept. */
  fd: number
}

/** It ended, and goes when it is waited for: that must be seen when it happens. */
const ZOMBIE = 'Z'.charCodeAt(0)

export interface TableOptions {
  proc: string
  boot: Boot
  /** At most so many descriptors are kept; absent: half of what this process may open. */
  keepFiles: number | undefined
  /** Absent: one by one. */
  reader?: ProcReader | undefined
  /** Another name: what was read of it beside stat is of the past. */
  onChange: (pid: number) => void
}

export class ProcessTable {
  private readonly options: TableOptions
  private readonly byPid = new Map<number, Known>()
  /** Of the same; undefined when one came or went. */
  private list: Known[] | undefined
  private readonly parsed = emptyStat()
  private readonly bytes = Buffer.allocUnsafe(1024)
  /** Of `bytes`, filled by the last read. */
  private length = 0
  /** Of those that are read by one call: descriptors, and what was read. */
  private fds = new Int32Array(0)
  private rows = new Float64Array(0)
  private filesLeft: number
  private ended: Known[] = []

  constructor(options: TableOptions) {
    this.options = options
    this.filesLeft = options.keepFiles ?? readFileLimit() >> 1
  }

  get size(): number {
    return this.byPid.size
  }

  /** As they are now: one that is forgotten later stays in what was handed out. */
  all(): readonly Known[] {
    this.list ??= [...this.byPid.values()]
    return this.list
  }

  find(pid: number): Known | undefined {
    return this.byPid.get(pid)
  }

  /** Those that were found gone since this was last asked. */
  takeEnded(): Known[] {
    const { ended } = this
    this.ended = []
    return ended
  }

  /** One of those, of which nothing could be told yet. */
  endAgain(process: Known): void {
    this.ended.push(process)
  }

  /** Reads one again. Forgets it, and says false, where it is gone. */
  read(process: Known, monotonicMs: number): boolean {
    return this.grow(process, this.readStat(process), monotonicMs)
  }

  /** Reads many again. Ticks that those that live have grown by. */
  readMany(processes: readonly Known[], monotonicMs: number): number {
    const byAddon = this.readRows(processes)
    let grown = 0
    let row = 0
    for (const process of processes) {
      const isRead = byAddon && process.fd >= 0 ? this.takeRow(process, row++) : this.readStat(process)
      if (this.grow(process, isRead, monotonicMs)) grown += process.userGrown + process.systemGrown
    }
    return grown
  }

  /** `isRead`: what it is now is in `parsed`. */
  private grow(process: Known, isRead: boolean, monotonicMs: number): boolean {
    const { parsed } = this
    if (!isRead || parsed.startTicks !== process.startTicks) {
      this.ended.push(process)
      this.forget(process)
      return false
    }
    process.userGrown = parsed.userTicks - process.userTicks
    process.systemGrown = parsed.systemTicks - process.systemTicks
    const children = parsed.childUserTicks - process.childUserTicks + parsed.childSystemTicks - process.childSystemTicks
    const isAtRest = process.userGrown + process.systemGrown + children === 0 && parsed.state !== ZOMBIE
    process.quiet = isAtRest ? process.quiet + 1 : 0
    this.update(process, monotonicMs)
    return true
  }

  /** Reads one once more in the same tick: its growth is that since the tick before. */
  readAgain(process: Known, monotonicMs: number): boolean {
    if (process.readMs !== monotonicMs) return this.read(process, monotonicMs)
    const { userGrown, systemGrown, seconds } = process
    if (!this.read(process, monotonicMs)) return false
    process.userGrown += userGrown
    process.systemGrown += systemGrown
    process.seconds = seconds
    return true
  }

  /** Those in /proc that are not known yet; their growth is not known either. */
  meetNew(monotonicMs: number): Known[] {
    const met: Known[] = []
    for (const pid of this.listPids()) {
      if (this.byPid.has(pid)) continue
      const process = this.meet(pid, monotonicMs)
      if (process) met.push(process)
    }
    return met
  }

  private listPids(): Int32Array | number[] {
    const { proc, reader } = this.options
    return reader
      ? reader.listPids(proc)
      : readdirSync(proc)
          .map(Number)
          .filter(pid => pid > 0)
  }

  private meet(pid: number, monotonicMs: number): Known | undefined {
    const process: Known = {
      ...{ pid, startMs: 0, startTicks: 0, name: '', nameHash: 0, fd: -1, state: 0, parentPid: 0, threads: 0 },
      ...{ memoryBytes: 0, cpu: 0, userTicks: 0, systemTicks: 0, userGrown: Number.NaN, systemGrown: Number.NaN },
      ...{ childUserTicks: 0, childSystemTicks: 0, settledUserTicks: 0, settledSystemTicks: 0 },
      ...{ seconds: 0, readMs: monotonicMs, quiet: 0, shown: false },
    }
    if (this.filesLeft > 0) this.keepFile(process)
    if (!this.readStat(process)) {
      this.forget(process)
      return undefined
    }
    process.startTicks = this.parsed.startTicks
    process.startMs = startMsOf(this.options.boot, process.startTicks)
    this.byPid.set(pid, process)
    this.list = undefined
    this.update(process, monotonicMs)
    return process
  }

  private update(process: Known, monotonicMs: number): void {
    const { parsed } = this
    process.userTicks = parsed.userTicks
    process.systemTicks = parsed.systemTicks
    process.childUserTicks = parsed.childUserTicks
    process.childSystemTicks = parsed.childSystemTicks
    process.state = parsed.state
    process.parentPid = parsed.parentPid
    process.threads = parsed.threads
    process.memoryBytes = parsed.residentPages * this.options.boot.pageBytes
    process.cpu = parsed.cpu
    process.seconds = (monotonicMs - process.readMs) / 1000
    process.readMs = monotonicMs
    if (parsed.nameHash === process.nameHash) return
    process.nameHash = parsed.nameHash
    process.name = parseName(this.bytes, this.length)
    this.options.onChange(process.pid)
  }

  private keepFile(process: Known): void {
    try {
      process.fd = openSync(`${this.options.proc}/${process.pid}/stat`, 'r')
      this.filesLeft--
    } catch {
      // gone already: reading it will say so
    }
  }

  /** Into `parsed`. False when the process is gone. By the addon where that can, since an exception for each that ended is dear. */
  private readStat(process: Known): boolean {
    if (process.fd >= 0 && this.readRows([process])) return this.takeRow(process, 0)
    return this.readText(process)
  }

  /** The same from its text, which is in `bytes` then. */
  private readText(process: Known): boolean {
    try {
      this.length = process.fd >= 0 ? this.readBytes(process.fd) : this.readOnce(process.pid)
      return parseProcessStat(this.bytes, this.length, this.parsed)
    } catch {
      return false
    }
  }

  /** False without the addon. A row for each that has a descriptor. */
  private readRows(processes: readonly Known[]): boolean {
    const { reader } = this.options
    if (!reader) return false
    if (this.fds.length < processes.length) {
      this.fds = new Int32Array(2 * processes.length)
      this.rows = new Float64Array(2 * processes.length * STAT_FIELDS)
    }
    let count = 0
    for (const { fd } of processes) if (fd >= 0) this.fds[count++] = fd
    reader.readProcessStats(this.fds.subarray(0, count), this.rows)
    return true
  }

  /** Into `parsed`, as readStat does. Another name is read from its text. */
  private takeRow(process: Known, row: number): boolean {
    if (!statFromRow(this.rows, row, this.parsed)) return false
    return this.parsed.nameHash === process.nameHash || this.readText(process)
  }

  private readBytes(fd: number): number {
    return readSync(fd, this.bytes, 0, this.bytes.length, 0)
  }

  private readOnce(pid: number): number {
    const fd = openSync(`${this.options.proc}/${pid}/stat`, 'r')
    try {
      return this.readBytes(fd)
    } finally {
      closeSync(fd)
    }
  }

  private forget(process: Known): void {
    if (process.fd >= 0) {
      closeSync(process.fd)
      this.filesLeft++
    }
    this.byPid.delete(process.pid)
    this.list = undefined
  }

  close(): void {
    for (const process of this.all()) this.forget(process)
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
