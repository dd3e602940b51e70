/**
 * Slurm 20.11 to 26.05: `squeue` and nodes each poll, `sacct` where slurmdbd keeps accounts.
 *
 * JSON is read where there is some, since only it tells what a job holds on each node; else a text format of ours. Which
 * form works is found out at the first poll and kept. squeue lists finished jobs for MinJobAge (300 s) too.
 */
import { Commands, type Ran } from './command.ts'
import {
  type Absent,
  type Poll,
  type PolledJob,
  type Scheduler,
  SchedulerError,
  type SchedulerOptions,
} from './contract.ts'
import { parseSacct, sacctArgs } from './slurm/accounting.ts'
import { parseAnswer, parseJobs } from './slurm/json.ts'
import { nodesOf, parseNodes, type SlurmNode } from './slurm/nodes.ts'
import { newMark, parseSinfo, parseSqueue, sinfoArgs, squeueArgs } from './slurm/text.ts'

export async function openSlurm(options: SchedulerOptions): Promise<Scheduler | Absent> {
  const commands = new Commands(options)
  if (commands.find('squeue') === undefined)
    return { absent: 'no Slurm: squeue is not in PATH; install slurm-client on the node that polls' }
  const { stdout } = await commands.run(['squeue', '--version'])
  const version = stdout.toString('utf8').replace(/^slurm\s+/, '')
  return new Slurm(options, commands, version.trim())
}

const EPOCH = { SLURM_TIME_FORMAT: '%s' }

class Slurm implements Scheduler {
  readonly kind = 'slurm'
  readonly version: string
  readonly #options: SchedulerOptions
  readonly #commands: Commands
  #jobForm: 'json' | 'text'
  #nodeForm: 'sinfo' | 'scontrol' | 'text'
  #accounts = true
  /** Of the last poll, which comes first: the accounts name nodes as the queue does. */
  #nameOf: ReadonlyMap<string, string> = new Map()

  constructor(options: SchedulerOptions, commands: Commands, version: string) {
    this.#options = options
    this.#commands = commands
    this.version = version
    this.#jobForm = options.format === 'text' ? 'text' : 'json'
    this.#nodeForm = options.format === 'text' ? 'text' : 'sinfo'
  }

  async poll(): Promise<Poll> {
    const jobs = await this.#jobs()
    const { records, nameOf } = nodesOf(await this.#nodes())
    this.#nameOf = nameOf
    return { jobs: jobs.map(job => renamed(job, nameOf)), nodes: records }
  }

  async #jobs(): Promise<PolledJob[]> {
    if (this.#jobForm === 'json') {
      const ran = await this.#run(['squeue', '--json'])
      if (!this.#mustFallBack(ran)) return parseJobs(parseAnswer(checked(ran, 'squeue --json'), 'squeue --json'))
      this.#options.log.info({ stderr: ran.stderr }, 'squeue has no JSON here: text is read, without cores a node')
      this.#jobForm = 'text'
    }
    const mark = newMark()
    const ran = await this.#run(['squeue', ...squeueArgs(mark)])
    return parseSqueue(checked(ran, 'squeue'), mark)
  }

  async #nodes(): Promise<SlurmNode[]> {
    if (this.#nodeForm === 'sinfo') {
      const ran = await this.#run(['sinfo', '--json'])
      if (this.#mustFallBack(ran)) this.#nodeForm = 'text'
      else {
        const nodes = parseNodes(parseAnswer(checked(ran, 'sinfo --json'), 'sinfo --json'))
        if (nodes !== undefined) return nodes
        this.#nodeForm = 'scontrol'
      }
    }
    if (this.#nodeForm === 'scontrol') {
      const command = 'scontrol show nodes --json'
      const ran = await this.#run(['scontrol', 'show', 'nodes', '--json'])
      const nodes = this.#mustFallBack(ran) ? undefined : parseNodes(parseAnswer(checked(ran, command), command))
      if (nodes !== undefined) return nodes
      this.#nodeForm = 'text'
    }
    const mark = newMark()
    return parseSinfo(checked(await this.#run(['sinfo', ...sinfoArgs(mark)]), 'sinfo'), mark)
  }

  /** Undefined where no slurmdbd keeps accounts. */
  async finished(sinceMs: number, untilMs: number): Promise<PolledJob[] | undefined> {
    if (!this.#accounts || this.#commands.find('sacct') === undefined) return undefined
    const mark = newMark()
    const ran = await this.#run(['sacct', ...sacctArgs(mark, sinceMs, untilMs)])
    if (ran.status !== 0 && /accounting storage is disabled/i.test(ran.stderr)) {
      this.#accounts = false
      this.#options.log.info('Slurm keeps no accounts here: a job is known from the queue only')
      return undefined
    }
    return parseSacct(checked(ran, 'sacct'), mark).map(job => renamed(job, this.#nameOf))
  }

  close(): void {
    this.#commands.close()
  }

  #run(command: [string, ...string[]]): Promise<Ran> {
    return this.#commands.run(command, EPOCH)
  }

  /** The command does not know --json, or the plugin that writes it is not installed. An outage is neither. */
  #mustFallBack(ran: Ran): boolean {
    if (this.#options.format === 'json' || ran.status === 0) return false
    return /(unrecognized|invalid|unknown) option|serializer|data_parser|openapi|json/i.test(ran.stderr)
  }
}

function checked(ran: Ran, command: string): Buffer {
  if (ran.status === 0) return ran.stdout
  const code = /permission|denied/i.test(ran.stderr) ? 'denied' : 'unreadable'
  throw new SchedulerError(code, `\`${command}\` ended with ${ran.status}: ${ran.stderr.slice(0, 500)}`)
}

/** Slurm's node names -> the names the machines give themselves. */
function renamed(job: PolledJob, nameOf: ReadonlyMap<string, string>): PolledJob {
  if (job.allocations === undefined) return job
  return { ...job, allocations: job.allocations.map(a => ({ ...a, node: nameOf.get(a.node) ?? a.node })) }
}
