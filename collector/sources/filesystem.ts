/**
 * How full each mounted file system is, and whether it answers: statfs(2). https://man7.org/linux/man-pages/man2/statfs.2.html
 *
 *   |---------- used ----------|-- available --|-- reserved for root --|      utilization = used / (used + available), as df
 *   |------------------------------ total -----------------------------|
 *
 * statfs of a file system on a server waits for the server, for hours if it is gone, and nothing can end it: a thread of
 * ours that waits there would hold up the end of the whole program. So stat(1) asks them, all in one call, which is killed
 * when it takes too long; then each is asked alone, and those that do not answer are marked stuck.
 */
import { statfs } from 'node:fs/promises'
import { openBeside } from '../beside.ts'
import { whole } from '../kernelfile.ts'
import { hostPath, type MountKind, type Mounts, mountinfoPath, openMounts, type Shown } from '../mounts.ts'
import { openCommands } from '../programs.ts'
import type { Commands } from '../schedulers/command.ts'
import type { Absent, Reading, Roots, Source, SourceOptions, Tick } from '../source.ts'

export interface Space {
  blockBytes: number
  blocks: number
  free: number
  available: number
  inodes: number
  inodesFree: number
}

const LOCAL_EVERY_MS = 30_000
const NETWORK_EVERY_MS = 60_000
const USUAL_WITHIN_MS = 10_000
/** `%S` is the size of the blocks that are counted; where it differs from the one for transfers (FUSE), it is the right one. */
const FORMAT = '%S %b %f %a %c %d %n'

/** Output of `stat -f -c FORMAT`: a line a path. */
export function parseStatLines(text: string): Map<string, Space> {
  const spaces = new Map<string, Space>()
  for (const line of text.split('\n')) {
    const found = /^(\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (.+)$/.exec(line)
    if (!found) continue
    const [blockBytes = 0, blocks = 0, free = 0, available = 0, inodes = 0, inodesFree = 0] = found
      .slice(1, 7)
      .map(Number)
    spaces.set(found[7] ?? '', { blockBytes, blocks, free, available, inodes, inodesFree })
  }
  return spaces
}

export function spaceReadings(path: string, space: Space): Reading[] {
  const { blockBytes, blocks, free, available, inodes, inodesFree } = space
  const values: [string, number][] = [['stuck', 0]]
  if (blocks > 0 && free <= blocks && available <= free) {
    const used = blocks - free
    values.push(['total_bytes', blocks * blockBytes], ['used_bytes', used * blockBytes])
    values.push(['available_bytes', available * blockBytes])
    if (used + available > 0) values.push(['utilization', used / (used + available)])
  }
  // btrfs makes inodes as it needs them, and says that it has none
  if (inodes > 0 && inodesFree <= inodes) values.push(['inodes_total', inodes], ['inodes_used', inodes - inodesFree])
  return values.map(([column, value]) => ({ entity: 'filesystem', column, instance: path, value }))
}

interface Answers {
  spaces: Map<string, Space>
  /** path -> why it was not told. */
  refused: Map<string, string>
  stuck: ReadonlySet<string>
}

/** File systems of this machine: they answer at once, and one after the other, so that a dying disk holds one thread. */
class LocalMounts {
  paths: readonly string[] = []
  /** Asked now. */
  asking: string | undefined
  private readonly roots: Roots

  constructor(roots: Roots) {
    this.roots = roots
  }

  async look(signal: AbortSignal): Promise<Answers> {
    const answers: Answers = { spaces: new Map(), refused: new Map(), stuck: new Set() }
    for (const path of this.paths) {
      if (signal.aborted) break
      this.asking = path
      try {
        const s = await statfs(hostPath(this.roots, path))
        const { bsize: blockBytes, blocks, bfree: free, bavail: available, files: inodes, ffree: inodesFree } = s
        answers.spaces.set(path, { blockBytes, blocks, free, available, inodes, inodesFree })
      } catch (error) {
        answers.refused.set(path, messageOf(error))
      }
    }
    this.asking = undefined
    return answers
  }
}

/** File systems on servers, by stat(1). */
class NetworkMounts {
  paths: readonly string[] = []
  private readonly roots: Roots
  private readonly commands: Commands
  private readonly program: string
  private readonly withinMs: number
  /** Asked alone, and not asked again before that ends. */
  private readonly asked = new Set<string>()
  private stuck = new Set<string>()

  constructor(roots: Roots, commands: Commands, program: string, withinMs: number) {
    this.roots = roots
    this.commands = commands
    this.program = program
    this.withinMs = withinMs
  }

  async look(): Promise<Answers> {
    const paths = this.paths
    const together = paths.filter(path => !this.stuck.has(path) && !this.asked.has(path))
    const answered = together.length === 0 ? new Map<string, Space>() : await this.ask(together)
    const alone = answered === undefined ? paths : paths.filter(path => !together.includes(path))
    const spaces = new Map(answered)
    const silent = await Promise.all(
      alone.map(async path => {
        const one = await this.askAlone(path)
        for (const [key, space] of one ?? []) spaces.set(key, space)
        return one === undefined ? [path] : []
      }),
    )
    this.stuck = new Set(silent.flat())
    const told = (path: string) => spaces.has(path) || this.stuck.has(path)
    const refused = new Map(paths.filter(path => !told(path)).map(path => [path, 'stat -f tells nothing of it']))
    return { spaces, refused, stuck: this.stuck }
  }

  private async askAlone(path: string): Promise<Map<string, Space> | undefined> {
    if (this.asked.has(path)) return undefined
    this.asked.add(path)
    return this.ask([path], () => this.asked.delete(path))
  }

  /** Undefined where there is no answer in time; then what was started may live on, waiting for the server. */
  private async ask(paths: readonly string[], ended = () => {}): Promise<Map<string, Space> | undefined> {
    const host = new Map(paths.map(path => [hostPath(this.roots, path), path]))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>(resolve => {
      timer = setTimeout(() => resolve(undefined), this.withinMs + 500)
    })
    const ran = this.commands
      .run([this.program, '-f', '-c', FORMAT, '--', ...host.keys()])
      .then(({ stdout }) => parseStatLines(stdout.toString('utf8')))
      .catch(() => undefined)
      .finally(ended)
    const spaces = await Promise.race([ran, late])
    clearTimeout(timer)
    return spaces && new Map([...spaces].map(([path, space]) => [host.get(path) ?? path, space]))
  }
}

export function openFilesystem(options: SourceOptions, withinMs = USUAL_WITHIN_MS): Source | Absent {
  const { roots } = options
  const mounts = openMounts(options)
  if (!mounts) return { absent: `no /${mountinfoPath(roots)}` }
  const commands = openCommands(options, withinMs)
  const program = commands.find('stat')
  const local = new LocalMounts(roots)
  const network = new NetworkMounts(roots, commands, program ?? 'stat', withinMs)
  return new Filesystems(mounts, program !== undefined, { local, network, withinMs, ended: () => commands.close() })
}

interface Parts {
  local: LocalMounts
  network: NetworkMounts
  withinMs: number
  ended: () => void
}

class Filesystems implements Source {
  readonly name = 'filesystem'
  private readonly mounts: Mounts
  private readonly canAskServers: boolean
  private readonly local: LocalMounts
  private readonly network: NetworkMounts
  private readonly ended: () => void
  private readonly localLooks
  private readonly networkLooks
  private shown: readonly Shown[] = []

  constructor(mounts: Mounts, canAskServers: boolean, { local, network, withinMs, ended }: Parts) {
    this.mounts = mounts
    this.canAskServers = canAskServers
    this.local = local
    this.network = network
    this.ended = ended
    this.localLooks = openBeside(signal => local.look(signal), { what: 'statfs', everyMs: LOCAL_EVERY_MS, withinMs })
    // as long as two calls of stat, each of which is ended by its own limit
    const limits = { everyMs: NETWORK_EVERY_MS, withinMs: 2 * withinMs + 5000 }
    this.networkLooks = openBeside(() => network.look(), { what: 'stat -f', ...limits })
  }

  read(tick: Tick): Reading[] {
    this.choose(this.mounts.read(tick))
    const readings: Reading[] = []
    const problems: string[] = []
    const take = (paths: readonly string[], newest: () => Answers | undefined, asking?: () => string | undefined) => {
      if (paths.length === 0) return
      try {
        addAnswers(readings, problems, paths, newest())
      } catch (error) {
        const path = asking?.()
        if (path !== undefined) readings.push(stuckReading(path))
        problems.push(path === undefined ? messageOf(error) : `${path} does not answer: ${messageOf(error)}`)
      }
    }
    take(
      this.local.paths,
      () => this.localLooks.newest(tick),
      () => this.local.asking,
    )
    take(this.network.paths, () => this.networkLooks.newest(tick))
    return whole(readings, problems)
  }

  private choose(shown: readonly Shown[]): void {
    if (shown === this.shown) return
    this.shown = shown
    const pathsOf = (wanted: MountKind) => shown.filter(({ kind }) => kind === wanted).map(({ mount }) => mount.path)
    this.local.paths = pathsOf('local')
    this.network.paths = this.canAskServers ? pathsOf('network') : []
  }

  detail(): string | undefined {
    if (!this.canAskServers) return 'those on servers are left out: stat(1) is not in PATH'
    const uncounted = this.shown.filter(({ kind, mount }) => kind === 'network' && !COUNTED.test(mount.type))
    if (uncounted.length === 0) return undefined
    return `space alone of ${uncounted.map(({ mount }) => `${mount.path} (${mount.type})`).join(', ')}: no client of that kind counts reads and writes where we read`
  }

  close(): void {
    this.localLooks.close()
    this.networkLooks.close()
    this.ended()
  }
}

/** Others tell what goes through them: nfs.ts, lustre.ts, gpfs.ts. BeeGFS counts on its servers only, which a question from every node would load. */
const COUNTED = /^(nfs4?|lustre|gpfs)$/

const stuckReading = (path: string): Reading => ({ entity: 'filesystem', column: 'stuck', instance: path, value: 1 })
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function addAnswers(
  readings: Reading[],
  problems: string[],
  paths: readonly string[],
  answers: Answers | undefined,
): void {
  for (const path of answers ? paths : []) {
    const space = answers?.spaces.get(path)
    const refused = answers?.refused.get(path)
    if (answers?.stuck.has(path)) {
      readings.push(stuckReading(path))
      problems.push(`${path} does not answer`)
    } else if (space) readings.push(...spaceReadings(path, space))
    else if (refused) problems.push(`${path}: ${refused}`)
  }
}
