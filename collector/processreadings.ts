/** The processes that are shown, the hottest and the largest, as they are sent. */
import { join } from 'node:path'
import { listed, readText } from './hwmon.ts'
import type { KernelFile } from './kernelfile.ts'
import { type Delays, type Details, openDetails } from './processdetails.ts'
import type { EndedGroup, Settled } from './processendings.ts'
import type { ProcessesOptions, ProcessReading } from './processes.ts'
import type { Known, ProcessTable } from './processtable.ts'
import type { Roots, Tick } from './source.ts'

/** What is told of a process beside what it is: nothing, where nothing can be read of it. */
export const UNTOLD = {
  ...{ executable: '', container: '', memoryBytes: undefined, threads: undefined, cpuDelay: undefined },
  ...{ diskDelay: undefined, numaNode: undefined, gpuUtilization: undefined, gpuMemoryBytes: undefined },
  ...{ readBytes: undefined, writeBytes: undefined, ended: undefined },
} as const

/** As proc(5) has it: X is dead. */
const ENDED = 'X'

const hotness = ({ userGrown, systemGrown }: Pick<Known, 'userGrown' | 'systemGrown'>) => userGrown + systemGrown

export class ProcessReadings {
  private readonly options: ProcessesOptions
  private readonly details: Details
  private readonly numaNodes: ReadonlyMap<number, number>
  /** 1: the kernel counts what tasks wait for. */
  private readonly delays: KernelFile | undefined
  /** Those that live, of the last tick. */
  shown: readonly Known[] = []

  constructor(options: ProcessesOptions) {
    this.options = options
    this.details = openDetails(options.roots, options.users)
    this.numaNodes = readNumaNodes(options.roots)
    this.delays = options.files.find('proc/sys/kernel/task_delayacct')
  }

  forget(pid: number): void {
    this.details.forget(pid)
  }

  close(): void {
    this.details.close()
  }

  /** Who did nothing is not hot, who has no memory not large. */
  read(table: ProcessTable, ended: Omit<Settled, 'grown'>, tick: Tick, seconds: number): ProcessReading[] {
    const heirs = new Map(ended.last.map(({ process, heir }) => [process, heir]))
    const hot = topOf([...table.stirred(), ...heirs.keys(), ...ended.groups], this.options.topByCpu, hotness)
    const large = topOf(table.all(), this.options.topByMemory, p => p.memoryBytes)
    const top = [...new Set([...hot, ...large])]
    const shown = top.filter(one => 'pid' in one)
    this.shown = shown.filter(process => !heirs.has(process))
    this.details.keepOnly(shown)
    const stirred = table.stirred()
    const moved = this.shown.filter(process => stirred.has(process) || !this.details.known(process))
    const delays = this.readDelays(moved, tick)
    return top.map(one => {
      if (!('pid' in one)) return this.readingOfGroup(one, seconds)
      if (heirs.has(one)) return this.lastReadingOf(one, heirs.get(one), seconds)
      return this.readingOf(one, delays.get(one), seconds)
    })
  }

  /** Written out, since forty a tick put together by spreading cost as much as their reading. */
  private readingOf(process: Known, delays: Delays | undefined, seconds: number): ProcessReading {
    const { pid, startMs } = process
    const shown = this.details.read(process, delays, seconds)
    const charge = this.options.charge(pid, startMs)
    const gpu = this.options.gpuOf?.(pid)
    return {
      pid,
      startMs,
      parentPid: process.parentPid,
      name: process.name,
      command: shown.command,
      user: shown.user,
      executable: shown.executable,
      container: shown.container,
      job: charge.job,
      step: charge.step,
      rank: charge.rank,
      evidence: charge.evidence,
      cpuUser: this.coresOf(process.userGrown, seconds),
      cpuSystem: this.coresOf(process.systemGrown, seconds),
      memoryBytes: process.memoryBytes,
      readBytes: shown.readBytes,
      writeBytes: shown.writeBytes,
      threads: process.threads,
      state: String.fromCharCode(process.state),
      cpuDelay: shown.cpuDelay,
      diskDelay: shown.diskDelay,
      numaNode: this.numaNodes.get(process.cpu),
      gpuUtilization: gpu?.gpuUtilization,
      gpuMemoryBytes: gpu?.gpuMemoryBytes,
      ended: undefined,
    }
  }

  /** Of one that has ended: what is known of it from when it lived. Its pid may be another's by now. */
  private lastReadingOf(process: Known, heir: Known | undefined, seconds: number): ProcessReading {
    const { pid, startMs, parentPid, name } = process
    const known = this.details.known(process)
    return {
      ...UNTOLD,
      ...{ pid, startMs, parentPid, name, command: '', user: '' },
      ...known,
      ...(known ? { rank: undefined, ...this.options.charge(pid, startMs) } : this.chargeOf(heir)),
      cpuUser: this.coresOf(process.userGrown, seconds),
      cpuSystem: this.coresOf(process.systemGrown, seconds),
      memoryBytes: process.memoryBytes,
      state: ENDED,
    }
  }

  private readingOfGroup(group: EndedGroup, seconds: number): ProcessReading {
    const { heir, name, uid, count, readBytes, writeBytes } = group
    return {
      ...UNTOLD,
      ...{ pid: groupPid(group), startMs: heir?.startMs ?? 0, parentPid: heir?.pid, name },
      ...{ command: '', user: uid === undefined ? '' : this.options.users.nameOf(uid) },
      ...this.chargeOf(heir),
      cpuUser: this.coresOf(group.userGrown, seconds),
      cpuSystem: this.coresOf(group.systemGrown, seconds),
      readBytes: readBytes === undefined ? undefined : readBytes / seconds,
      writeBytes: writeBytes === undefined ? undefined : writeBytes / seconds,
      state: ENDED,
      ended: count / seconds,
    }
  }

  private coresOf(ticks: number, seconds: number): number | undefined {
    return ticks >= 0 && seconds > 0 ? ticks / this.options.boot.ticksPerSecond / seconds : undefined
  }

  /** Those that are gone belong to whom the one belongs who waited for them. */
  private chargeOf(heir: Known | undefined): Pick<ProcessReading, 'job' | 'step' | 'rank' | 'evidence'> {
    const { job, step, evidence } = heir
      ? this.options.charge(heir.pid, heir.startMs)
      : { job: '', step: '', evidence: 'none' as const }
    return { job, step, rank: undefined, evidence: job === '' ? evidence : 'parent' }
  }

  /** What the threads of each have waited for so far. For a disk only where the kernel counts that. */
  private readDelays(processes: readonly Known[], tick: Tick): Map<Known, Delays> {
    const told = this.options.exits?.delays(Uint32Array.from(processes, ({ pid }) => pid))
    const isDiskTold = this.delays?.read(tick).trim() === '1'
    const secondsAt = (at: number) => {
      const ns = told?.[at] ?? Number.NaN
      return Number.isNaN(ns) ? undefined : ns / 1e9
    }
    return new Map(
      processes.map((process, i) => [
        process,
        { cpuDelay: secondsAt(2 * i), diskDelay: isDiskTold ? secondsAt(2 * i + 1) : undefined },
      ]),
    )
  }
}

const BEYOND_PIDS = 0x8000_0000

/**
 * A number for the key of a group, the same in each tick: of parent, user and name by FNV-1a, above all numbers of processes
 * (PID_MAX_LIMIT is 2^22).
 */
function groupPid({ heir, name, uid }: EndedGroup): number {
  let hash = 0x811c_9dc5
  for (const letter of `${heir?.pid} ${uid} ${name}`) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x0100_0193)
  return (hash | BEYOND_PIDS) >>> 0
}

/** CPU -> NUMA node. Empty where there is but one: then there is nothing to tell. */
function readNumaNodes(roots: Roots): Map<number, number> {
  const top = join(roots.sys, 'devices/system/node')
  const nodes = listed(top).filter(entry => /^node\d+$/.test(entry))
  if (nodes.length < 2) return new Map()
  return new Map(
    nodes.flatMap(node =>
      cpusOf(readText(join(top, node, 'cpulist')) ?? '').map(cpu => [cpu, Number(node.slice(4))] as const),
    ),
  )
}

/** `0-3,8` -> 0 1 2 3 8 */
function cpusOf(text: string): number[] {
  return text.split(',').flatMap(range => {
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(range.trim()) ?? []
    if (from === undefined) return []
    return Array.from({ length: Number(to ?? from) - Number(from) + 1 }, (_, i) => Number(from) + i)
  })
}

/**
 * The `count` largest values above 0, largest first. One pass over all processes each tick, by forEach: an iterator makes an
 * object a step, until it is compiled.
 */
export function topOf<T>(all: readonly T[], count: number, measure: (one: T) => number): T[] {
  const top: { one: T; value: number }[] = []
  all.forEach(one => {
    const value = measure(one)
    if (!(value > 0) || count === 0) return
    if (top.length === count && value <= (top[count - 1]?.value ?? 0)) return
    let at = top.length
    while (at > 0 && (top[at - 1]?.value ?? 0) < value) at--
    top.splice(at, 0, { one, value })
    if (top.length > count) top.pop()
  })
  return top.map(({ one }) => one)
}
