/**
 * What goes through each Lustre mount of this client, counted since it was mounted. https://wiki.lustre.org/Lustre_IO_Monitoring
 *
 *   llite/FSNAME-ADDRESS/stats                    what programs do                    an entry a mount
 *   osc/FSNAME-OST0000-osc-ADDRESS/stats          what went to the object servers     an entry a target
 *
 *       read_bytes   57406355 samples [bytes] 1 4194304 1496254921055 47236230193563213     count, min, max, sum, sum of squares
 *       open         33538615 samples [usecs] 0 36643 3420852446 695595244118               with times since Lustre 2.13
 *       open         33538615 samples [regs]                                                before
 *
 * A counter that is still 0 has no line. The files are in debugfs, which only root can read, with older releases in /proc.
 */
import { readdirSync } from 'node:fs'
import { Rates } from '../counter.ts'
import { SourceError, whole } from '../kernelfile.ts'
import { openMounts, type Shown } from '../mounts.ts'
import type { Absent, Roots, Source, SourceOptions, Tick } from '../source.ts'

export interface LustreCount {
  samples: number
  unit: string
  sum: number | undefined
}

export function parseLustreStats(text: string): ReadonlyMap<string, LustreCount> {
  const counts = new Map<string, LustreCount>()
  if (!/^snapshot_time[ :]/m.test(text)) throw new SourceError('Lustre statistics without their snapshot_time')
  for (const line of text.split('\n')) {
    const found = /^(\w+)\s+(\d+) samples \[(\w+)\](?: \d+ \d+ (\d+))?/.exec(line)
    if (!found) {
      if (line.includes(' samples [')) throw new SourceError(`Lustre statistics: ${line.slice(0, 80)}`)
      continue
    }
    const [, name = '', samples = '', unit = '', sum] = found
    counts.set(name, { samples: Number(samples), unit, sum: sum === undefined ? undefined : Number(sum) })
  }
  return counts
}

/** Calls that end at the metadata server, or would if nothing were cached. Permission checks and seeks do not. */
const METADATA = new Set(
  `open close fsync readdir setattr truncate flock getattr create link unlink symlink mkdir rmdir mknod rename statfs setxattr
  getxattr listxattr removexattr`.split(/\s+/),
)

export function lliteCounters(counts: ReadonlyMap<string, LustreCount>): Map<string, number> {
  const counters = new Map([
    ['read_bytes', counts.get('read_bytes')?.sum ?? 0],
    ['write_bytes', counts.get('write_bytes')?.sum ?? 0],
    ['read_operations', counts.get('read_bytes')?.samples ?? 0],
    ['write_operations', counts.get('write_bytes')?.samples ?? 0],
  ])
  let metadata = 0
  let microseconds = Number.NaN
  for (const [name, { samples, unit, sum }] of counts) {
    const isMetadata = METADATA.has(name)
    if (isMetadata) metadata += samples
    if (unit === 'usecs' && sum !== undefined && (isMetadata || name === 'read' || name === 'write')) {
      microseconds = (Number.isNaN(microseconds) ? 0 : microseconds) + sum
    }
  }
  counters.set('metadata_operations', metadata)
  if (!Number.isNaN(microseconds)) counters.set('queue', microseconds / 1e6)
  return counters
}

/** Where releases have put it, newest first; each below the root of its file system. */
const TOPS = ['sys/kernel/debug/lustre', 'proc/fs/lustre', 'sys/fs/lustre']
/** A file system of thousands of targets would cost more than its server bytes are worth. */
const MOST_TARGETS = 256

interface Client {
  /** scratch-ffff8f2d4a5b0000 */
  name: string
  stats: string
  targets: string[]
}

const FSNAME = /^(.+)-[0-9a-f]+$/

/** Clients whose statistics can be read, and how many there are at all. */
function findClients({ files, roots }: SourceOptions): { clients: Client[]; mounted: number } {
  const mounted = new Set(TOPS.flatMap(top => listed(roots, `${top}/llite`)).filter(name => FSNAME.test(name)))
  const clients: Client[] = []
  for (const name of mounted) {
    const top = TOPS.find(one => files.find(`${one}/llite/${name}/stats`))
    if (top === undefined) continue
    const address = name.slice(name.lastIndexOf('-') + 1)
    const targets = TOPS.flatMap(one => listed(roots, `${one}/osc`).map(target => `${one}/osc/${target}/stats`))
    const own = targets.filter(path => path.endsWith(`-osc-${address}/stats`))
    const readable = own.length <= MOST_TARGETS ? own.filter(path => files.find(path)) : []
    clients.push({ name, stats: `${top}/llite/${name}/stats`, targets: readable })
  }
  return { clients, mounted: mounted.size }
}

function listed(roots: Roots, path: string): string[] {
  const [root, ...rest] = path.split('/')
  try {
    return readdirSync(`${root === 'sys' ? roots.sys : roots.proc}/${rest.join('/')}`)
  } catch {
    return []
  }
}

/** Where it is mounted; a file system that is mounted twice cannot be told apart, and is shown by its own name. */
export function instanceOf(name: string, names: readonly string[], shown: readonly Shown[]): string {
  const fsname = FSNAME.exec(name)?.[1]
  const of = (one: string) => FSNAME.exec(one)?.[1] === fsname
  const paths = shown.filter(
    ({ mount }) => mount.type === 'lustre' && mount.source.replace(/^.*:\//, '').split('/')[0] === fsname,
  )
  return paths.length === 1 && names.filter(of).length === 1 ? (paths[0]?.mount.path ?? name) : `lustre ${name}`
}

const LOOK_EVERY_MS = 60_000
const NEEDS_ROOT = "Lustre's statistics are in debugfs: mount it at /sys/kernel/debug and run the collector as root"

export function openLustre(options: SourceOptions): Source | Absent {
  const mounts = openMounts(options)
  const isThere = TOPS.some(top => listed(options.roots, top).length > 0)
  const isMounted = mounts?.read({ timeMs: 0, intervalMs: 0, monotonicMs: 0 }).some(s => s.mount.type === 'lustre')
  if (!mounts || (!isThere && !isMounted)) return { absent: 'no Lustre client' }
  const { clients, mounted } = findClients(options)
  if (clients.length === 0 && (mounted > 0 || isMounted)) return { absent: NEEDS_ROOT }
  return new LustreClients(options, clients)
}

class LustreClients implements Source {
  readonly name = 'lustre'
  private readonly options: SourceOptions
  private readonly rates = new Rates('filesystem')
  private readonly mounts
  private clients: Client[]
  private lookedMs = Number.NEGATIVE_INFINITY

  constructor(options: SourceOptions, clients: Client[]) {
    this.options = options
    this.clients = clients
    this.mounts = openMounts(options)
  }

  read(tick: Tick) {
    if (tick.monotonicMs - this.lookedMs >= LOOK_EVERY_MS) this.look(tick)
    const shown = this.mounts?.read(tick) ?? []
    const names = this.clients.map(client => client.name)
    const counters = new Map<string, ReadonlyMap<string, number>>()
    const problems: string[] = []
    for (const client of this.clients) {
      try {
        counters.set(instanceOf(client.name, names, shown), this.readClient(client, tick))
      } catch (error) {
        problems.push(`${client.name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    const readings = this.rates.next(tick, counters)
    return whole(readings, problems)
  }

  private readClient(client: Client, tick: Tick): Map<string, number> {
    const counters = lliteCounters(parseLustreStats(this.text(client.stats, tick)))
    if (client.targets.length === 0) return counters
    let [read, write] = [0, 0]
    for (const path of client.targets) {
      const counts = parseLustreStats(this.text(path, tick))
      read += counts.get('read_bytes')?.sum ?? 0
      write += counts.get('write_bytes')?.sum ?? 0
    }
    return counters.set('server_read_bytes', read).set('server_write_bytes', write)
  }

  private text(path: string, tick: Tick): string {
    const file = this.options.files.find(path)
    if (!file) throw new SourceError(`/${path} is gone`)
    return file.read(tick)
  }

  /** Mounts come and go. */
  private look(tick: Tick): void {
    const before = this.clients.flatMap(({ stats, targets }) => [stats, ...targets])
    this.clients = findClients(this.options).clients
    const now = new Set(this.clients.flatMap(({ stats, targets }) => [stats, ...targets]))
    for (const path of before) if (!now.has(path)) this.options.files.drop(path)
    this.lookedMs = tick.monotonicMs
  }

  detail(): string | undefined {
    if (this.clients.length === 0) return 'no Lustre is mounted'
    const without = this.clients.filter(client => client.targets.length === 0)
    return without.length === 0
      ? undefined
      : `the servers' bytes of ${without.map(client => client.name).join(', ')} are left out: over ${MOST_TARGETS} targets, or not readable`
  }
}
