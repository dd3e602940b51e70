/** The processes that are known, and by how much each has grown since the tick before. */
import { readFileSync } from 'node:fs'
import { type OpenStatFiles, openTextFiles, type StatFiles, type StatRows } from './processfiles.ts'
import { STAT, STAT_FIELDS } from './processstat.ts'
import { type Boot, startMsOf } from './starttime.ts'

export interface Known {
  readonly pid: number
  readonly startMs: number
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
  /** Growth in this tick; NaN when it was met at the first look, when nobody knows since when the ticks are. */
  userGrown: number
  systemGrown: number
}

export interface TableOptions {
  proc: string
  boot: Boot
  /** At most so many descriptors are kept; absent: half of what this process may open. */
  keepFiles: number | undefined
  /** Absent: all stat files at each look. */
  openFiles: OpenStatFiles | undefined
  /** Another name: what was read of it beside stat is of the past. */
  onChange: (pid: number) => void
}

export class ProcessTable {
  private readonly options: TableOptions
  private readonly files: StatFiles
  private readonly byPid = new Map<number, Known>()
  /** Of the same; undefined when one came or went. */
  private list: Known[] | undefined
  private stirring = new Set<Known>()
  private ended: Known[] = []

  constructor(options: TableOptions) {
    this.options = options
    this.files = (options.openFiles ?? openTextFiles)(options.proc, options.keepFiles ?? readFileLimit() >> 1)
  }

  get size(): number {
    return this.byPid.size
  }

  /** As they are now: one that is forgotten later stays in what was handed out. */
  all(): readonly Known[] {
    this.list ??= [...this.byPid.values()]
    return this.list
  }

  /** Those that may have grown in this tick, or whose children may have: nobody else has. Of those shown: that may have run. */
  stirred(): ReadonlySet<Known> {
    return this.stirring
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

  /** Begins a tick. Ticks that all have grown by. `shown`: whose memory and state must be right. */
  look(shown: readonly Known[]): number {
    for (const process of this.stirring) setGrowth(process, 0, 0)
    this.stirring = new Set()
    return this.takeRows(this.files.look(Int32Array.from(shown, ({ pid }) => pid)))
  }

  /** Reads some once more in the same tick. Ticks that they have grown by meanwhile. */
  readAgain(processes: readonly Known[]): number {
    if (processes.length === 0) return 0
    return this.takeRows(this.files.readAgain(Int32Array.from(processes, ({ pid }) => pid)))
  }

  /** All there are; what they have used is nobody's growth. */
  meetAll(): void {
    this.meetNew(0, false)
  }

  /** Those born since the look before, so all that they have used is growth. Ticks of it. */
  meetBorn(forked: number): number {
    return this.meetNew(forked, true)
  }

  private meetNew(forked: number, isBorn: boolean): number {
    const { numbers, names } = this.files.meet(forked)
    let grown = 0
    for (const [i, name] of names.entries()) {
      const process = this.meet(numbers.subarray(i * STAT_FIELDS, (i + 1) * STAT_FIELDS), name ?? '')
      if (isBorn) setGrowth(process, process.userTicks, process.systemTicks)
      if (isBorn) grown += process.userTicks + process.systemTicks
    }
    return grown
  }

  private takeRows({ numbers, names }: StatRows): number {
    let grown = 0
    for (const [i, name] of names.entries()) {
      const row = numbers.subarray(i * STAT_FIELDS, (i + 1) * STAT_FIELDS)
      const process = this.byPid.get(row[STAT.pid] ?? 0)
      if (!process) continue
      if (Number.isNaN(row[STAT.state])) this.end(process)
      else grown += this.grow(process, row, name)
    }
    return grown
  }

  private grow(process: Known, row: Float64Array, name: string | null): number {
    const { userTicks, systemTicks } = process
    update(process, row, this.options.boot.pageBytes)
    const userGrown = process.userTicks - userTicks
    const systemGrown = process.systemTicks - systemTicks
    process.userGrown += userGrown
    process.systemGrown += systemGrown
    this.stirring.add(process)
    if (name !== null) {
      process.name = name
      this.options.onChange(process.pid)
    }
    return userGrown + systemGrown
  }

  private meet(row: Float64Array, name: string): Known {
    const { boot, onChange } = this.options
    const pid = row[STAT.pid] ?? 0
    const process: Known = {
      pid,
      startMs: startMsOf(boot, row[STAT.startTicks] ?? 0),
      name,
      state: 0,
      parentPid: 0,
      threads: 0,
      memoryBytes: 0,
      cpu: 0,
      userTicks: 0,
      systemTicks: 0,
      childUserTicks: 0,
      childSystemTicks: 0,
      settledUserTicks: 0,
      settledSystemTicks: 0,
      userGrown: Number.NaN,
      systemGrown: Number.NaN,
    }
    update(process, row, boot.pageBytes)
    this.byPid.set(pid, process)
    this.list = undefined
    this.stirring.add(process)
    onChange(pid)
    return process
  }

  private end(process: Known): void {
    this.ended.push(process)
    this.byPid.delete(process.pid)
    this.stirring.delete(process)
    this.list = undefined
  }

  close(): void {
    this.files.close()
  }
}

function update(process: Known, row: Float64Array, pageBytes: number): void {
  const number = (place: number) => row[place] ?? Number.NaN
  process.state = number(STAT.state)
  process.parentPid = number(STAT.parentPid)
  process.userTicks = number(STAT.userTicks)
  process.systemTicks = number(STAT.systemTicks)
  process.childUserTicks = number(STAT.childUserTicks)
  process.childSystemTicks = number(STAT.childSystemTicks)
  process.threads = number(STAT.threads)
  process.memoryBytes = number(STAT.residentPages) * pageBytes
  process.cpu = number(STAT.cpu)
}

function setGrowth(process: Known, userGrown: number, systemGrown: number): void {
  process.userGrown = userGrown
  process.systemGrown = systemGrown
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
