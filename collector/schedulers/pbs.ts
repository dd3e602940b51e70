/**
 * OpenPBS and PBS Pro: `qstat -t -f` in JSON as it is, or dsv where that is cut; `pbsnodes -av`; the accounting files where
 * they can be read (on the server, by root), else the history of single jobs. Torque: the same commands in XML.
 *
 * qstat is never given several ids: some releases print the first only, and say nothing.
 */
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Commands, type Ran } from './command.ts'
import {
  type Absent,
  type Poll,
  type PolledJob,
  type Scheduler,
  SchedulerError,
  type SchedulerOptions,
} from './contract.ts'
import { AccountingReader } from './pbs/accounting.ts'
import { type Attributes, groupOf, parseAttributes, parseDsv, valueIn } from './pbs/attributes.ts'
import { jobOf } from './pbs/job.ts'
import { nodesOf } from './pbs/nodes.ts'
import { parseTorqueJobs, parseTorqueNodes } from './pbs/torque.ts'
import { Tail } from './tail.ts'

export async function openPbs(options: SchedulerOptions): Promise<Scheduler | Absent> {
  const commands = new Commands(options)
  if (commands.find('qstat') === undefined || commands.find('pbsnodes') === undefined)
    return { absent: 'no PBS: qstat and pbsnodes are not in PATH; install the client commands on the node that polls' }
  const { stdout, stderr } = await commands.run(['qstat', '--version'])
  const told = `${stdout.toString('utf8')}${stderr}`
  const pbs = /pbs_version\s*=\s*(\S+)/.exec(told)?.[1]
  const torque = /^Version:\s*(\S+)/m.exec(told)?.[1]
  if (pbs === undefined && torque === undefined)
    return { absent: `no PBS: \`qstat --version\` says ${told.trim().slice(0, 80) || 'nothing'}` }
  return new Pbs(options, commands, pbs ?? torque ?? '', pbs === undefined)
}

const MAX_SINGLE = 20
const DAY_MS = 86_400_000

class Pbs implements Scheduler {
  readonly kind = 'pbs'
  readonly version: string
  readonly #options: SchedulerOptions
  readonly #commands: Commands
  readonly #torque: boolean
  readonly #accounting = new AccountingReader()
  readonly #tails = new Map<string, Tail>()
  #hostOf: ReadonlyMap<string, string> = new Map()

  constructor(options: SchedulerOptions, commands: Commands, version: string, torque: boolean) {
    this.#options = options
    this.#commands = commands
    this.version = version
    this.#torque = torque
  }

  async poll(): Promise<Poll> {
    const { records, hostOf } = nodesOf(await this.#nodes())
    this.#hostOf = hostOf
    const jobs = Object.entries(await this.#jobs())
    return {
      nodes: records,
      jobs: jobs.flatMap(([id, job]) => (typeof job === 'string' ? [] : [jobOf(id, job, hostOf)])),
    }
  }

  async #nodes(): Promise<Attributes> {
    if (this.#torque) return parseTorqueNodes(checked(await this.#commands.run(['pbsnodes', '-x']), 'pbsnodes -x'))
    const command = 'pbsnodes -av -F json'
    const answer = parseAttributes(checked(await this.#commands.run(['pbsnodes', '-av', '-F', 'json']), command))
    if (answer?.nodes === undefined) throw new SchedulerError('unreadable', `\`${command}\` is not whole`)
    return groupOf(answer, 'nodes')
  }

  /** No jobs: the answer has no "Jobs", and still says which server gave it. */
  async #jobs(): Promise<Attributes> {
    if (this.#torque) return parseTorqueJobs(checked(await this.#commands.run(['qstat', '-t', '-x']), 'qstat -t -x'))
    const command = 'qstat -t -f -F json'
    const answer = parseAttributes(checked(await this.#commands.run(['qstat', '-t', '-f', '-F', 'json']), command))
    if (answer !== undefined && valueIn(answer, 'pbs_server') !== undefined) return groupOf(answer, 'Jobs')
    this.#options.log.info(`\`${command}\` is not whole: dsv is read instead`)
    return parseDsv(checked(await this.#commands.run(['qstat', '-t', '-f', '-F', 'dsv']), 'qstat -t -f -F dsv'))
  }

  async finished(sinceMs: number, untilMs: number, missing: readonly PolledJob[]): Promise<PolledJob[] | undefined> {
    const jobs = await this.#accounted(sinceMs, untilMs)
    if (jobs !== undefined) {
      const deleted = missing.filter(job => job.startMs === undefined && this.#accounting.wasDeleted(job.id))
      return [...jobs, ...deleted.map(job => ({ ...job, state: 'cancelled' as const, endMs: untilMs }))]
    }
    return this.#torque ? undefined : this.#history(missing)
  }

  /** Undefined where the files cannot be read. */
  async #accounted(sinceMs: number, untilMs: number): Promise<PolledJob[] | undefined> {
    const directory = this.#options.accountingPath ?? join(this.#home(), 'server_priv', 'accounting')
    if (!(await stat(directory).catch(() => undefined))?.isDirectory()) return undefined
    const jobs: PolledJob[] = []
    // Files are of the server's local day, which begins up to 14 hours before or after UTC's.
    for (let ms = sinceMs - DAY_MS; ms <= untilMs + DAY_MS; ms += DAY_MS) {
      const path = join(directory, new Date(ms).toISOString().slice(0, 10).replaceAll('-', ''))
      for (const job of await this.#read(path)) if ((job.endMs ?? 0) >= sinceMs) jobs.push(job)
    }
    return jobs
  }

  async #read(path: string): Promise<PolledJob[]> {
    const tail = this.#tails.get(path) ?? new Tail(path)
    const jobs: PolledJob[] = []
    try {
      for await (const line of tail.lines()) {
        const job = this.#accounting.parse(line)
        if (job !== undefined) jobs.push(this.#onHosts(job))
      }
      this.#tails.set(path, tail)
    } catch (error) {
      // A day without jobs has no file.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    return jobs
  }

  #onHosts(job: PolledJob): PolledJob {
    const allocations = job.allocations?.map(a => ({ ...a, node: this.#hostOf.get(a.node) ?? a.node }))
    return allocations === undefined ? job : { ...job, allocations }
  }

  /** One by one, and not many. Undefined where the server keeps no history (job_history_enable). */
  async #history(missing: readonly PolledJob[]): Promise<PolledJob[] | undefined> {
    const jobs: PolledJob[] = []
    for (const { id } of missing.slice(0, MAX_SINGLE)) {
      const ran = await this.#commands.run(['qstat', '-x', '-f', '-F', 'json', id])
      if (/history/i.test(ran.stderr)) return undefined
      const found = groupOf(parseAttributes(ran.stdout.toString('utf8')) ?? {}, 'Jobs')
      const job = groupOf(found, id)
      if (valueIn(job, 'job_state') === 'F') jobs.push(jobOf(id, job, this.#hostOf))
    }
    return jobs
  }

  #home(): string {
    const { PBS_HOME, PBS_CONF_FILE } = this.#options.env
    if (PBS_HOME !== undefined) return PBS_HOME
    try {
      return /^PBS_HOME=(\S+)/m.exec(readFileSync(PBS_CONF_FILE ?? '/etc/pbs.conf', 'utf8'))?.[1] ?? '/var/spool/pbs'
    } catch {
      return '/var/spool/pbs'
    }
  }

  close(): void {
    this.#commands.close()
  }
}

function checked(ran: Ran, command: string): string {
  if (ran.status === 0) return ran.stdout.toString('utf8')
  throw new SchedulerError('unreadable', `\`${command}\` ended with ${ran.status}: ${ran.stderr.slice(0, 500)}`)
}
