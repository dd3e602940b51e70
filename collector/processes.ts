/**
 * The process table, each tick: a look at all of them (processfiles.ts), what those used that are gone (processendings.ts), and the rest
 * (command line, user, I/O, job) of the few that are shown, the hottest and the largest (processreadings.ts).
 *
 * /proc is listed only when something was forked since the last sweep. A process not seen before was born since then, so all
 * of its CPU time belongs to this tick:
 *
 *   tick      1        2        3
 *   pid 10    ####     ######   ######       known: growth of its ticks since the tick before
 *   pid 11          ###|####    ##           seen first at 2: all it has so far
 *   pid 12              |#|                  lived and died between two sweeps: never seen
 *
 * What pid 12 used, and the last piece of those that died, is found out when the sweep is over: processendings.ts. What is in
 * the node's time and in nobody's all the same is the reading cpu_unseen.
 */
import type { Evidence, Process } from '../ingest/records.ts'
import { rateOf } from './counter.ts'
import type { Exits } from './exits.ts'
import type { KernelFile, KernelFiles } from './kernelfile.ts'
import { Endings, type Settled } from './processendings.ts'
import type { OpenStatFiles } from './processfiles.ts'
import { ProcessReadings } from './processreadings.ts'
import { ProcessTable } from './processtable.ts'
import type { Absent, GpuUse, Reading, Roots, Tick } from './source.ts'
import type { Boot } from './starttime.ts'
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
  /** Those that had that name at the last sweep; undefined before the first. */
  pidsNamed?(name: string): number[] | undefined
  close(): void
}

export interface ProcessesOptions {
  roots: Roots
  files: KernelFiles
  boot: Boot
  topByCpu: number
  topByMemory: number
  charge: Charge
  users: Users
  /** Who has ended; absent: it is told under the name of nobody. */
  exits?: Exits
  /** What a process does on GPUs. */
  gpuOf?: (pid: number) => GpuUse | undefined
  /** Descriptors to keep at most; absent: half of what this process may open. */
  keepFiles?: number
  /** The addon's; absent: all stat files at each tick. */
  openFiles?: OpenStatFiles | undefined
}

export function openProcesses(options: ProcessesOptions): Processes | Absent {
  const stat = options.files.find('proc/stat')
  if (!stat) return { absent: 'no /proc/stat' }
  return new Sweep(options, stat)
}

interface Totals {
  /** user + nice + system of all CPUs, in clock ticks. */
  busyTicks: number
  /** Since boot. */
  forks: number
  monotonicMs: number
}

class Sweep implements Processes {
  private readonly options: ProcessesOptions
  private readonly stat: KernelFile
  private readonly table: ProcessTable
  private readonly readings: ProcessReadings
  private readonly endings: Endings
  private before: Totals | undefined

  constructor(options: ProcessesOptions, stat: KernelFile) {
    this.options = options
    this.stat = stat
    this.readings = new ProcessReadings(options)
    this.table = new ProcessTable({
      proc: options.roots.proc,
      boot: options.boot,
      keepFiles: options.keepFiles,
      openFiles: options.openFiles,
      onChange: pid => this.readings.forget(pid),
    })
    const { exits, boot } = options
    this.endings = new Endings({ table: this.table, exits, ticksPerSecond: boot.ticksPerSecond })
  }

  get count(): number {
    return this.table.size
  }

  pidsNamed(name: string): number[] | undefined {
    if (this.before === undefined) return undefined
    return this.table.all().flatMap(process => (process.name === name ? [process.pid] : []))
  }

  read(tick: Tick): { processes: ProcessReading[]; readings: Reading[] } {
    const now = { ...parseTotals(this.stat.read(tick)), monotonicMs: tick.monotonicMs }
    const before = this.before
    this.before = now
    if (before === undefined) {
      this.table.meetAll()
      this.endings.begin()
      return { processes: [], readings: [] }
    }
    const seconds = (now.monotonicMs - before.monotonicMs) / 1000
    const { grown, ...ended } = this.sweep(before, now)
    return {
      processes: this.readings.read(this.table, ended, tick, seconds),
      readings: this.unseen(rateOf(before.busyTicks, now.busyTicks, seconds), grown / seconds),
    }
  }

  /** `grown`: ticks that all processes grew by, as far as they were seen. */
  private sweep(before: Totals, now: Totals): Settled {
    let grown = this.table.look(this.readings.shown)
    // after the known ones: a pid that is used again is known no more, and new
    if (before.forks !== now.forks) grown += this.table.meetBorn(now.forks - before.forks)
    const ended = this.endings.read()
    return { ...ended, grown: grown + ended.grown }
  }

  /** The two come from different clocks of the kernel, so the smaller can come out as the larger by a hair. */
  private unseen(ticksOfAll: number | undefined, ticksOfKnown: number): Reading[] {
    if (ticksOfAll === undefined) return []
    const value = Math.max(0, ticksOfAll - ticksOfKnown) / this.options.boot.ticksPerSecond
    return [{ entity: 'node', column: 'cpu_unseen', instance: '', value }]
  }

  close(): void {
    this.table.close()
    this.readings.close()
  }
}

function parseTotals(stat: string): { busyTicks: number; forks: number } {
  const [, user, nice, system] = /^cpu +(\d+) (\d+) (\d+)/.exec(stat)?.map(Number) ?? []
  const at = stat.indexOf('\nprocesses ')
  return {
    busyTicks: (user ?? Number.NaN) + (nice ?? 0) + (system ?? 0),
    forks: at < 0 ? Number.NaN : Number.parseInt(stat.slice(at + 11, at + 31), 10),
  }
}
