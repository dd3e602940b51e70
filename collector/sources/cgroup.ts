/**
 * What each job uses, by its control group.
 *
 *   memory.current = |-- anon, shared, kernel --|-- active files --|-- inactive files --|
 *   memory_bytes   = |---------------------------------------------|
 *
 * v1 does not charge a job what the kernel writes for it later, so its bytes written are not told, but what it read is.
 * A job that was not there at the last look began since, and its counters with it: none of its time is lost.
 */
import { join } from 'node:path'
import { findJobGroups, type JobGroup, parseCpuList, parseFlat, parseIo } from '../cgroups.ts'
import { rateOf } from '../counter.ts'
import { listed, parseNumber } from '../hwmon.ts'
import { type KernelFile, type KernelFiles, whole } from '../kernelfile.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'
import { parsePressure } from './pressure.ts'

/** A value by column; those in COUNTERS are counters of which the column is the rate. */
type Values = Map<string, number>

const COUNTERS = new Set([
  'cpu_user',
  'cpu_system',
  'read_bytes',
  'write_bytes',
  'oom_kills',
  'pressure_cpu',
  'pressure_memory',
  'pressure_io',
])

/** No limit: v1 writes the largest number of pages. */
const UNLIMITED = 2 ** 60

interface Look {
  /** Text of a file of the group; undefined where it has none. */
  text(file: string): string | undefined
  isLayer(device: string): boolean
  /** A file that is there and does not say what it should. */
  broken(file: string): void
}

const put = (values: Values, column: string, value: number | undefined) => {
  if (value !== undefined && !Number.isNaN(value)) values.set(column, value)
}
/** A value of a file of lines; undefined where there is no such file. */
const flat = ({ text, broken }: Look, file: string, name: string) => {
  const found = text(file)
  if (found === undefined) return undefined
  const value = parseFlat(found).get(name)
  if (value === undefined) broken(file)
  return value
}
const number = ({ text, broken }: Look, file: string) => {
  const found = text(file)
  const value = parseNumber(found)
  if (found !== undefined && value === undefined) broken(file)
  return value
}
/** `max`, or more than there can be, is no limit. */
const limitOf = (look: Look, file: string) => {
  if (look.text(file)?.trim() === 'max') return undefined
  const limit = number(look, file)
  return limit !== undefined && limit < UNLIMITED ? limit : undefined
}
/** A group that did no I/O has an empty file. */
const ioOf = ({ text, isLayer, broken }: Look, file: string) => {
  const found = text(file)
  if (found === undefined) return undefined
  if (found.trim() !== '' && !/^(\d+:\d+|Total) /m.test(found)) {
    broken(file)
    return undefined
  }
  return parseIo(found, isLayer)
}
const cpusOf = ({ text, broken }: Look, files: readonly string[]) => {
  const file = files.find(name => text(name) !== undefined)
  if (file === undefined) return undefined
  const list = text(file) ?? ''
  const count = parseCpuList(list)
  // where none are set it is blank
  if (count === undefined && list.trim() !== '') broken(file)
  return count
}

export function readV2(look: Look): Values {
  const values: Values = new Map()
  put(values, 'cpu_user', (flat(look, 'cpu.stat', 'user_usec') ?? Number.NaN) / 1e6)
  put(values, 'cpu_system', (flat(look, 'cpu.stat', 'system_usec') ?? Number.NaN) / 1e6)
  const current = number(look, 'memory.current')
  const inactive = flat(look, 'memory.stat', 'inactive_file')
  put(values, 'memory_bytes', Math.max(0, (current ?? Number.NaN) - (inactive ?? Number.NaN)))
  put(values, 'memory_limit', limitOf(look, 'memory.max'))
  put(values, 'oom_kills', flat(look, 'memory.events', 'oom_kill'))
  const io = ioOf(look, 'io.stat')
  put(values, 'read_bytes', io?.read)
  put(values, 'write_bytes', io?.write)
  for (const resource of ['cpu', 'memory', 'io'] as const) {
    const text = look.text(`${resource}.pressure`)
    if (text !== undefined) put(values, `pressure_${resource}`, (parsePressure(text).some ?? Number.NaN) / 1e6)
  }
  put(values, 'tasks', number(look, 'pids.current'))
  put(values, 'cpu_limit', cpusOf(look, ['cpuset.cpus.effective']))
  return values
}

/** One controller of v1: of the files of the others there is none. */
export function readV1(look: Look): Values {
  const values: Values = new Map()
  const nanoseconds = (file: string) => (number(look, file) ?? Number.NaN) / 1e9
  for (const [column, file, mode] of [
    ['cpu_user', 'cpuacct.usage_user', 'user'],
    ['cpu_system', 'cpuacct.usage_sys', 'system'],
  ] as const) {
    put(values, column, nanoseconds(file))
    // kernels before 4.6, in hundredths of a second
    if (!values.has(column)) put(values, column, (flat(look, 'cpuacct.stat', mode) ?? Number.NaN) / 100)
  }
  const usage = number(look, 'memory.usage_in_bytes')
  const inactive = flat(look, 'memory.stat', 'total_inactive_file')
  put(values, 'memory_bytes', Math.max(0, (usage ?? Number.NaN) - (inactive ?? Number.NaN)))
  put(values, 'memory_limit', limitOf(look, 'memory.limit_in_bytes'))
  // since Linux 4.13
  put(values, 'oom_kills', parseFlat(look.text('memory.oom_control') ?? '').get('oom_kill'))
  put(values, 'read_bytes', ioOf(look, 'blkio.throttle.io_service_bytes_recursive')?.read)
  put(values, 'tasks', number(look, 'pids.current'))
  put(values, 'cpu_limit', cpusOf(look, ['cpuset.effective_cpus', 'cpuset.cpus']))
  return values
}

export function openCgroup(options: SourceOptions): Source | Absent {
  const entries = listed(join(options.roots.sys, 'fs/cgroup'))
  if (entries.length === 0) return { absent: 'no /sys/fs/cgroup' }
  return new JobGroups(options)
}

const LOOK_EVERY_MS = 1000

/** Of a job; where it has groups of both versions, those of v2 are taken, since the same is in both. */
interface Both {
  v1: Values
  v2: Values
}

class JobGroups implements Source {
  readonly name = 'cgroup'
  private readonly roots: Roots
  private readonly files: KernelFiles
  private groups: readonly JobGroup[] = []
  private lookedMs = Number.NEGATIVE_INFINITY
  private before: { values: ReadonlyMap<string, Values>; monotonicMs: number } | undefined
  private readonly layers = new Map<string, boolean>()
  /** Of each group: the files it has. */
  private readonly opened = new Map<string, Map<string, KernelFile>>()

  constructor({ roots, files }: SourceOptions) {
    this.roots = roots
    this.files = files
  }

  read(tick: Tick): Reading[] {
    if (tick.monotonicMs - this.lookedMs > LOOK_EVERY_MS - 500) this.look(tick)
    const problems: string[] = []
    const jobs = new Map<string, Both>()
    for (const group of this.groups) this.readGroup(group, tick, jobs, problems)
    const values = new Map([...jobs].map(([job, { v1, v2 }]) => [job, new Map([...v1, ...v2])]))
    const last = this.before
    this.before = { values, monotonicMs: tick.monotonicMs }
    const readings = [...values].flatMap(([job, now]) => readingsOf(job, last, now, tick))
    return whole(readings, problems)
  }

  /** A job can have several groups: the controllers of v1, the scopes of a parallel environment. */
  private readGroup({ job, path }: JobGroup, tick: Tick, jobs: Map<string, Both>, problems: string[]): void {
    try {
      const files = this.filesOf(path)
      const broken = new Set<string>()
      const look: Look = {
        text: file => files.get(file)?.read(tick),
        isLayer: device => this.isLayer(device),
        broken: file => broken.add(`${path}/${file} is not what it should be`),
      }
      const version = files.has('cgroup.controllers') ? 'v2' : 'v1'
      const found = version === 'v2' ? readV2(look) : readV1(look)
      problems.push(...broken)
      const both = jobs.get(job) ?? { v1: new Map(), v2: new Map() }
      jobs.set(job, both)
      const values = both[version]
      for (const [column, value] of found) {
        // waiting in one of two scopes is waiting, not twice as much of it
        const isShare = column.startsWith('pressure_')
        const known = values.get(column)
        values.set(column, known === undefined ? value : isShare ? Math.max(known, value) : known + value)
      }
    } catch (error) {
      // a job that ended since the last look takes its files with it
      this.lookedMs = Number.NEGATIVE_INFINITY
      if (listed(join(this.roots.sys, path.slice('sys/'.length))).length === 0) return
      problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  private look(tick: Tick): void {
    this.groups = findJobGroups(this.roots)
    this.lookedMs = tick.monotonicMs
    const there = new Set(this.groups.map(group => group.path))
    for (const [path, files] of this.opened) {
      if (there.has(path)) continue
      for (const file of files.keys()) this.files.drop(`${path}/${file}`)
      this.opened.delete(path)
    }
  }

  private filesOf(path: string): ReadonlyMap<string, KernelFile> {
    const known = this.opened.get(path)
    if (known) return known
    const names = listed(join(this.roots.sys, path.slice('sys/'.length)))
    const files = new Map(names.flatMap(name => this.open(`${path}/${name}`, name)))
    this.opened.set(path, files)
    return files
  }

  private open(path: string, name: string): [string, KernelFile][] {
    const file = READ.has(name) ? this.files.find(path) : undefined
    return file ? [[name, file]] : []
  }

  private isLayer(device: string): boolean {
    const known = this.layers.get(device)
    if (known !== undefined) return known
    const isLayer = listed(join(this.roots.sys, 'dev/block', device, 'slaves')).length > 0
    this.layers.set(device, isLayer)
    return isLayer
  }

  detail(): string | undefined {
    const jobs = new Set(this.groups.map(group => group.job)).size
    return jobs === 0 ? 'no job has a control group now' : `${jobs} jobs have control groups`
  }
}

const READ = new Set(
  `cgroup.controllers cpu.stat cpu.pressure memory.pressure io.pressure memory.current memory.stat memory.max memory.events
  io.stat pids.current cpuset.cpus.effective cpuacct.stat cpuacct.usage_user cpuacct.usage_sys memory.usage_in_bytes
  memory.limit_in_bytes memory.oom_control blkio.throttle.io_service_bytes_recursive cpuset.effective_cpus
  cpuset.cpus`.split(/\s+/),
)

type Before = { values: ReadonlyMap<string, Values>; monotonicMs: number } | undefined

function readingsOf(instance: string, last: Before, now: Values, { monotonicMs }: Tick): Reading[] {
  const then = last?.values.get(instance)
  const seconds = last ? (monotonicMs - last.monotonicMs) / 1000 : 0
  return [...now].flatMap(([column, value]): Reading[] => {
    if (!COUNTERS.has(column)) return [{ entity: 'job', column, instance, value }]
    const rate = rateOf(then ? then.get(column) : 0, value, seconds)
    if (rate === undefined) return []
    return [{ entity: 'job', column, instance, value: column.startsWith('pressure_') ? Math.min(1, rate) : rate }]
  })
}
