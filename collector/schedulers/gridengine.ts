/**
 * Grid Engine in its many houses (SGE, Open Grid Scheduler, Son of Grid Engine, Univa, OCS/GCS): jobs by qstat, hosts by qhost,
 * ends by the accounting file, which is read as it grows. Jobs leave qstat the moment they end.
 */
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
import { parseLine } from './gridengine/accounting.ts'
import { parseHosts } from './gridengine/hosts.ts'
import { type Details, jobsOf, parseDetails, parseRows, type Row } from './gridengine/jobs.ts'
import { Tail } from './tail.ts'

export async function openGridEngine(options: SchedulerOptions): Promise<Scheduler | Absent> {
  const commands = new Commands(options)
  if (commands.find('qstat') === undefined || commands.find('qhost') === undefined)
    return {
      absent: 'no Grid Engine: qstat and qhost are not in PATH; install gridengine-client on the node that polls',
    }
  const { stdout, stderr } = await commands.run(['qstat', '-help'])
  const told = `${stdout.toString('utf8')}${stderr}`
  const version = /^\s*(?:[A-Z]*GE|OCS|GCS|OGS)\S*\s+(?:version\s+)?(\S+)/m.exec(told)?.[1]
  if (version === undefined)
    return { absent: `no Grid Engine: \`qstat -help\` says ${told.trim().slice(0, 80) || 'nothing'}` }
  return new GridEngine(options, commands, version)
}

/** Jobs a `qstat -j`: a command line of numbers. */
const BATCH = 200

class GridEngine implements Scheduler {
  readonly kind = 'gridengine'
  readonly version: string
  readonly #options: SchedulerOptions
  readonly #commands: Commands
  #details = new Map<string, Details>()
  #tail: Tail | undefined

  constructor(options: SchedulerOptions, commands: Commands, version: string) {
    this.#options = options
    this.#commands = commands
    this.version = version
  }

  async poll(): Promise<Poll> {
    // Without -u '*' root sees no jobs.
    const jobs = await this.#commands.run(['qstat', '-u', '*', '-r', '-g', 't', '-xml'])
    const rows = parseRows(checked(jobs, 'qstat'))
    const hosts = parseHosts(checked(await this.#commands.run(['qhost', '-q', '-xml']), 'qhost'))
    await this.#learn(rows)
    return { jobs: jobsOf(rows, this.#details), nodes: hosts }
  }

  /** Asks for what rows do not tell, once a job: when it was submitted, its account. */
  async #learn(rows: readonly Row[]): Promise<void> {
    const numbers = [...new Set(rows.map(row => row.number))]
    const learned = new Map<string, Details>()
    const unknown = numbers.filter(number => {
      const details = this.#details.get(number)
      if (details !== undefined) learned.set(number, details)
      return details === undefined
    })
    for (let at = 0; at < unknown.length; at += BATCH) {
      const ids = unknown.slice(at, at + BATCH).join(',')
      const ran = await this.#commands.run(['qstat', '-j', ids, '-xml'])
      // Rows of jobs that ended meanwhile: not an outage.
      if (ran.status === 0)
        for (const [number, details] of parseDetails(ran.stdout.toString('utf8'))) learned.set(number, details)
    }
    this.#details = learned
  }

  async finished(sinceMs: number): Promise<PolledJob[] | undefined> {
    this.#tail ??= await this.#findAccounting()
    if (this.#tail === undefined) return (await isThere(this.#common())) ? [] : undefined
    const jobs: PolledJob[] = []
    for await (const line of this.#tail.lines()) {
      const job = parseLine(line)
      if (job !== undefined && (job.endMs ?? 0) >= sinceMs) jobs.push(job)
    }
    return jobs
  }

  /** There is none before the first job ended. */
  async #findAccounting(): Promise<Tail | undefined> {
    const usual = ['accounting.jsonl', 'accounting'].map(name => join(this.#common(), name))
    const { accountingPath } = this.#options
    for (const path of accountingPath === undefined ? usual : [accountingPath])
      if (await isThere(path)) return new Tail(path)
    return undefined
  }

  #common(): string {
    const { SGE_ROOT = '/var/lib/gridengine', SGE_CELL = 'default' } = this.#options.env
    return join(SGE_ROOT, SGE_CELL, 'common')
  }

  close(): void {
    this.#commands.close()
  }
}

function checked(ran: Ran, command: string): string {
  if (ran.status === 0) return ran.stdout.toString('utf8')
  throw new SchedulerError('unreadable', `\`${command}\` ended with ${ran.status}: ${ran.stderr.slice(0, 500)}`)
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
