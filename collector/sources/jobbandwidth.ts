/**
 * Memory bandwidth of each job, by a monitoring group of resctrl a job. https://docs.kernel.org/filesystems/resctrl.html
 *
 *   /sys/fs/resctrl/mon_groups/jobsight_4711/cpus_list    the job's cpuset, where no other job shares a CPU of it: no task is moved
 *                                           /tasks        else its threads; those born later are in it by themselves
 *                                           /mon_data/…   counts
 *
 * Opt-in (collector.jobBandwidth), since it writes: a group takes one of the few monitors of the CPU (RMIDs), and other tools
 * may want them. mkdir fails with ENOSPC where none is free, with EBUSY while one that was freed still has lines in the cache:
 * the job has no values then, and it is tried again. Only groups with our prefix are ever removed: at the end of the job, at
 * our own end, and at the next start what a crash left.
 */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findJobGroups } from '../cgroups.ts'
import { rateOf } from '../counter.ts'
import { listed, readText } from '../hwmon.ts'
import { type KernelFiles, SourceError, whole } from '../kernelfile.ts'
import { parseCpus } from '../pmu.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'
import { countsByResctrl, parseMonitor } from './bandwidth.ts'

const TOP = 'fs/resctrl/mon_groups'
const PREFIX = 'jobsight_'
const LOOK_EVERY_MS = 5000
const COUNTED = [
  ['mbm_total_bytes', 'memory_bandwidth_total'],
  ['mbm_local_bytes', 'memory_bandwidth_local'],
] as const

/** What is written to resctrl; in tests a kernel made of files. */
export interface GroupFiles {
  make(path: string): void
  remove(path: string): void
  write(path: string, text: string): void
}

const KERNEL: GroupFiles = {
  make: path => mkdirSync(path),
  remove: path => rmdirSync(path),
  write: (path, text) => writeFileSync(path, text),
}

/** What a job runs on: its CPUs, where they are its own, else its threads. */
export interface Extent {
  cpus: readonly number[]
  /** Directories of its control groups. */
  directories: readonly string[]
}

export function readExtents(roots: Roots): Map<string, Extent> {
  const found = new Map<string, { cpus: Set<number>; directories: string[] }>()
  for (const { job, path } of findJobGroups(roots)) {
    const directory = join(roots.sys, path.slice('sys/'.length))
    const extent = found.get(job) ?? { cpus: new Set<number>(), directories: [] }
    const names = ['cpuset.cpus.effective', 'cpuset.effective_cpus', 'cpuset.cpus']
    const text = names.map(name => readText(join(directory, name))).find(words => words !== undefined && words !== '')
    for (const cpu of parseCpus(text ?? '')) extent.cpus.add(cpu)
    extent.directories.push(directory)
    found.set(job, extent)
  }
  const shared = sharedCpus([...found.values()].map(({ cpus }) => cpus))
  return new Map(
    [...found].map(([job, { cpus, directories }]) => {
      const own = [...cpus].some(cpu => shared.has(cpu)) ? [] : [...cpus].sort((a, b) => a - b)
      return [job, { cpus: own, directories }]
    }),
  )
}

function sharedCpus(sets: readonly ReadonlySet<number>[]): Set<number> {
  const seen = new Set<number>()
  const shared = new Set<number>()
  for (const cpus of sets) for (const cpu of cpus) (seen.has(cpu) ? shared : seen).add(cpu)
  return shared
}

/** Threads of a control group and those below it. */
function readThreads(directory: string, depth = 0): string[] {
  if (depth > 6) return []
  const entries = listed(directory)
  const file = ['cgroup.threads', 'tasks'].find(name => entries.includes(name))
  const own = file === undefined ? [] : (readText(join(directory, file)) ?? '').split('\n').filter(tid => tid !== '')
  const below = entries.filter(entry => /^(step_|user$|task_|slurm$)/.test(entry))
  return [...own, ...below.flatMap(entry => readThreads(join(directory, entry), depth + 1))]
}

interface Group {
  name: string
  /** `0,1,2` or 'tasks'. */
  by: string
  /** Threads that were written. */
  threads: Set<string>
}

const OFF =
  'switched off, since it takes monitors (RMIDs) that other tools may want: --set collector.jobBandwidth=true counts each job'

export function openJobBandwidth(options: SourceOptions, files: GroupFiles = KERNEL): Source | Absent {
  if (!options.jobBandwidth) return { absent: OFF }
  if (!countsByResctrl(options)) return { absent: 'resctrl counts no memory bandwidth here: see bandwidth' }
  return new JobBandwidth(options, files)
}

class JobBandwidth implements Source {
  readonly name = 'job bandwidth'
  private readonly roots: Roots
  private readonly files: KernelFiles
  private readonly groupFiles: GroupFiles
  private readonly top: string
  private readonly groups = new Map<string, Group>()
  private readonly lacking = new Map<string, string>()
  private lookedMs = Number.NEGATIVE_INFINITY
  private before: { counted: ReadonlyMap<string, number>; monotonicMs: number } | undefined

  constructor({ roots, files }: SourceOptions, groupFiles: GroupFiles) {
    this.roots = roots
    this.files = files
    this.groupFiles = groupFiles
    this.top = join(roots.sys, TOP)
    this.removeLeft()
  }

  read(tick: Tick): Reading[] {
    if (tick.monotonicMs - this.lookedMs > LOOK_EVERY_MS - 500) {
      this.lookedMs = tick.monotonicMs
      this.follow(readExtents(this.roots))
    }
    const last = this.before
    const counted = new Map<string, number>()
    const problems: string[] = []
    const readings = [...this.groups].flatMap(([job, { name }]) =>
      COUNTED.flatMap(([file, column]) => this.readColumn(job, name, file, column, { tick, last, counted, problems })),
    )
    this.before = { counted, monotonicMs: tick.monotonicMs }
    return whole(readings, problems)
  }

  /** The sum over caches; none where one of them has no number. */
  private readColumn(job: string, name: string, file: string, column: string, at: Look): Reading[] {
    const { tick, last, counted, problems } = at
    const seconds = (tick.monotonicMs - (last?.monotonicMs ?? tick.monotonicMs)) / 1000
    let value = 0
    for (const cache of listed(join(this.top, name, 'mon_data'))) {
      const path = `sys/${TOP}/${name}/mon_data/${cache}/${file}`
      try {
        const now = parseMonitor(this.files.find(path)?.read(tick) ?? 'Unavailable')
        if (now === 'no number') throw new SourceError(`/${path} is no number`)
        if (typeof now === 'number') counted.set(path, now)
        value += rateOf(last?.counted.get(path), counted.get(path), seconds) ?? Number.NaN
      } catch (error) {
        problems.push(messageOf(error))
        value = Number.NaN
      }
    }
    const isKnown = counted.size > 0 && !Number.isNaN(value) && last !== undefined
    return isKnown ? [{ entity: 'job', column, instance: job, value }] : []
  }

  /** A group for each job that is there, none for those that are not. */
  private follow(extents: ReadonlyMap<string, Extent>): void {
    for (const job of [...this.groups.keys()]) if (!extents.has(job)) this.end(job)
    for (const job of [...this.lacking.keys()]) if (!extents.has(job)) this.lacking.delete(job)
    for (const [job, extent] of extents) {
      const by = extent.cpus.length > 0 ? extent.cpus.join(',') : 'tasks'
      // a job that came shares a CPU of it now, or one that shared is gone
      if (this.groups.get(job)?.by !== by) this.end(job)
      try {
        const group = this.groups.get(job) ?? this.start(job, by)
        if (by === 'tasks') this.addThreads(group, extent)
        this.lacking.delete(job)
      } catch (error) {
        this.lacking.set(job, whyNone(error))
      }
    }
  }

  private start(job: string, by: string): Group {
    const name = PREFIX + job.replace(/[^\w.-]/g, '_')
    this.groupFiles.make(join(this.top, name))
    const group = { name, by, threads: new Set<string>() }
    this.groups.set(job, group)
    try {
      if (by !== 'tasks') this.groupFiles.write(join(this.top, name, 'cpus_list'), `${by}\n`)
    } catch (error) {
      this.end(job)
      throw error
    }
    return group
  }

  /** Each thread once: those that it starts later are born into the group. */
  private addThreads({ name, threads }: Group, { directories }: Extent): void {
    for (const tid of new Set(directories.flatMap(directory => readThreads(directory)))) {
      if (threads.has(tid)) continue
      threads.add(tid)
      try {
        this.groupFiles.write(join(this.top, name, 'tasks'), tid)
      } catch (error) {
        // it ended since it was listed
        if (codeOf(error) !== 'ESRCH') throw error
      }
    }
  }

  private end(job: string): void {
    const group = this.groups.get(job)
    if (!group) return
    this.groups.delete(job)
    this.remove(group.name)
  }

  private remove(name: string): void {
    for (const cache of listed(join(this.top, name, 'mon_data'))) {
      for (const [file] of COUNTED) this.files.drop(`sys/${TOP}/${name}/mon_data/${cache}/${file}`)
    }
    try {
      this.groupFiles.remove(join(this.top, name))
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.lacking.set(name, `${name} cannot be removed: ${messageOf(error)}`)
    }
  }

  /** What a collector that was killed has left. */
  private removeLeft(): void {
    for (const name of listed(this.top)) if (name.startsWith(PREFIX)) this.remove(name)
  }

  detail(): string {
    const why = [...new Set(this.lacking.values())]
    const counted = `${this.groups.size} jobs are counted`
    return why.length === 0 ? counted : `${counted}, ${this.lacking.size} are not: ${why.join('; ')}`
  }

  close(): void {
    for (const job of [...this.groups.keys()]) this.end(job)
  }
}

interface Look {
  tick: Tick
  last: JobBandwidth['before']
  counted: Map<string, number>
  problems: string[]
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)

function whyNone(error: unknown): string {
  const code = codeOf(error)
  if (code === 'ENOSPC') return 'the CPU has no more monitors (RMIDs)'
  if (code === 'EBUSY') return 'a monitor that was freed is not ready yet'
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'resctrl may not be written: run as root'
  return messageOf(error)
}
