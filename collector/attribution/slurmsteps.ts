/**
 * Slurm's steps that live on this machine, seen without asking Slurm: each slurmstepd listens on a socket in slurmd's spool
 * directory, and /proc/net/unix lists the sockets of the machine for everybody:
 *
 *   0000000000465319: 00000002 00000000 00010000 0001 01 117765 /var/spool/slurmd/node1_18.4294967291
 *                                                               spool directory   node   job step (batch)
 *
 * The socket's file is as old as the step: a process that is older has its environment from another job of that number.
 * Which process belongs to which step tells `scontrol listpids`, by those sockets, without the controller.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Logger } from 'pino'
import { Commands } from '../schedulers/command.ts'
import type { Claim } from './claim.ts'
import { machineRoot } from './process.ts'

export interface StepSocket {
  path: string
  node: string
  job: string
  step: string
}

/** Numbers of steps without a number. slurm/slurm.h */
const SPECIAL: Record<string, string> = { '4294967291': 'batch', '4294967292': 'extern', '4294967290': 'interactive' }

/** Fields: Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is a listening socket. */
export function parseStepSockets(text: string): StepSocket[] {
  return [...text.matchAll(/^\S+ \S+ \S+ 00010000 0001 \S+ +\d+ (\/\S*\/([^/\s]+)_(\d+)\.(\d+)(?:\.\d+)?)$/gm)].map(
    ([, path = '', node = '', job = '', step = '']) => ({ path, node, job, step: SPECIAL[step] ?? step }),
  )
}

/**
 * PID      JOBID    STEPID   LOCALID GLOBALID
 * 13390    18       0        0       0
 * 13370    18       batch    -       -
 * -1       1        extern   0       0         (no process of its own)
 */
export function parseListpids(text: string): Map<number, Claim> {
  const claims = new Map<number, Claim>()
  for (const [, pid, job = '', step = '', rank = ''] of text.matchAll(/^(\d+) +(\d+) +(\S+) +\S+ +(\S+)/gm)) {
    const claim: Claim = { scheduler: 'slurm', job, step }
    if (/^\d+$/.test(rank) && /^\d+$/.test(step)) claim.rank = Number(rank)
    claims.set(Number(pid), claim)
  }
  return claims
}

export interface SlurmStepsOptions {
  proc: string
  log: Logger
  /** Absent: listpids is never asked. */
  env?: Readonly<Record<string, string | undefined>>
  /** Sockets and listpids are looked at again after it. */
  refreshMs: number
  now: () => number
}

/** Job -> its nodes of this machine, and when its oldest step began. */
type LiveJobs = Map<string, { nodes: Set<string>; sinceMs: number }>

export class SlurmSteps {
  readonly #options: SlurmStepsOptions
  readonly #commands: Commands | undefined
  readonly #root: string
  #jobs: LiveJobs = new Map()
  #lookedMs = Number.NEGATIVE_INFINITY
  #listed = new Map<number, Claim>()
  #listedMs = Number.NEGATIVE_INFINITY
  #askedMs = Number.NEGATIVE_INFINITY
  #asking = false
  answers = 0
  failures = 0

  constructor(options: SlurmStepsOptions) {
    this.#options = options
    this.#root = machineRoot(options.proc)
    const { env } = options
    const commands = env === undefined ? undefined : new Commands({ env, timeoutMs: 5000 })
    this.#commands = commands?.find('scontrol') === undefined ? undefined : commands
  }

  /** When the job's oldest step here began; undefined where it has none here. */
  sinceMs(job: string): number | undefined {
    return this.#alive().get(job)?.sinceMs
  }

  /** What listpids said of a process; asks anew in the background where that is old. */
  listed(pid: number, startMs: number): Claim | undefined {
    if (this.#commands !== undefined && this.#alive().size > 0) this.#ask()
    // A process that is younger than the answer has somebody else's pid.
    return startMs <= this.#listedMs ? this.#listed.get(pid) : undefined
  }

  /** Whether an answer that came after the `answers`th names the process. */
  listsSince(pid: number, answers: number): boolean {
    return this.answers > answers && this.#listed.has(pid)
  }

  close(): void {
    this.#commands?.close()
  }

  #alive(): LiveJobs {
    const nowMs = this.#options.now()
    if (nowMs - this.#lookedMs < this.#options.refreshMs) return this.#jobs
    this.#lookedMs = nowMs
    this.#jobs = new Map()
    for (const { path, node, job } of parseStepSockets(this.#readSockets())) {
      const sinceMs = this.#bornMs(path)
      const known = this.#jobs.get(job)
      if (known === undefined) this.#jobs.set(job, { nodes: new Set([node]), sinceMs })
      else {
        known.nodes.add(node)
        known.sinceMs = Math.min(known.sinceMs, sinceMs)
      }
    }
    return this.#jobs
  }

  /** Those of process 1 are the machine's, even where we have a network of our own. */
  #readSockets(): string {
    for (const path of ['1/net/unix', 'net/unix']) {
      try {
        return readFileSync(`${this.#options.proc}/${path}`, 'latin1')
      } catch {
        // the other one then
      }
    }
    return ''
  }

  #bornMs(path: string): number {
    try {
      return statSync(this.#root + path).ctimeMs
    } catch {
      return 0
    }
  }

  #ask(): void {
    const { now, refreshMs, log } = this.#options
    if (this.#asking || now() - this.#askedMs < refreshMs) return
    this.#asking = true
    this.#askedMs = now()
    const nodes = new Set([...this.#jobs.values()].flatMap(({ nodes }) => [...nodes]))
    this.#list(nodes)
      .catch((error: unknown) => {
        if (this.failures++ === 0) log.warn({ err: error }, 'scontrol listpids gave no answer')
      })
      .finally(() => {
        this.#asking = false
      })
  }

  async #list(nodes: ReadonlySet<string>): Promise<void> {
    const listed = new Map<number, Claim>()
    const askedMs = this.#options.now()
    for (const node of nodes) {
      const ran = await this.#commands?.run(['scontrol', 'listpids', '*', node])
      for (const [pid, claim] of parseListpids(ran?.stdout.toString('latin1') ?? '')) listed.set(pid, claim)
    }
    this.#listed = listed
    this.#listedMs = askedMs
    this.answers++
  }
}
