/**
 * Grid Engine gives every job on a host a group id of its own, as the last supplementary group of all its processes, daemons
 * included: best evidence there is without control groups. Which id is whose stands in execd's spool directory:
 *
 *   SPOOL/HOST/active_jobs/4.5/addgrpid                65411
 *   SPOOL/HOST/active_jobs/4.5/environment             SGE_TASK_ID=5, or undefined where the job is no array
 *   SPOOL/HOST/active_jobs/1.1/1.node2/addgrpid        a task of a parallel job, on its other hosts the only file
 *
 * The spool directory is where sge_execd works; it can also be told.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import type { Boot } from '../starttime.ts'
import type { Claim } from './claim.ts'
import { machineRoot, ProcessFiles } from './process.ts'

interface Owned {
  claim: Claim
  /** The id was given then; older processes had it from another job. */
  sinceMs: number
}

export interface ActiveJobsOptions {
  proc: string
  boot: Boot
  /** active_jobs directories; absent: those of the sge_execd processes of this machine. */
  directories?: readonly string[]
  /** Processes of that name, where somebody knows them; undefined: nobody does, and /proc is walked. */
  pidsNamed?: ((name: string) => readonly number[] | undefined) | undefined
  refreshMs: number
  now: () => number
}

const EXECD = 'sge_execd'

export class ActiveJobs {
  readonly #options: ActiveJobsOptions
  #owners = new Map<number, Owned>()
  #jobs = new Map<string, Owned>()
  #directories: readonly string[]
  #lookedMs = Number.NEGATIVE_INFINITY
  #searchedMs = Number.NEGATIVE_INFINITY

  constructor(options: ActiveJobsOptions) {
    this.#options = options
    this.#directories = options.directories ?? []
  }

  /** The job that has one of these groups, which are asked for where there are jobs. */
  owner(groups: () => readonly number[], startMs: number): Claim | undefined {
    this.#look()
    if (this.#owners.size === 0) return undefined
    for (const group of groups().toReversed()) {
      const owned = this.#owners.get(group)
      if (owned !== undefined && startMs >= owned.sinceMs) return owned.claim
    }
    return undefined
  }

  /** By `JOB.TASK`: since when it is here, and its id. */
  find(job: string): Owned | undefined {
    this.#look()
    return this.#jobs.get(job)
  }

  /** Whether a Grid Engine runs here at all, so that an unknown job is a past one. */
  get present(): boolean {
    this.#look()
    return this.#directories.length > 0
  }

  #look(): void {
    const nowMs = this.#options.now()
    if (nowMs - this.#lookedMs < this.#options.refreshMs) return
    this.#lookedMs = nowMs
    // Finding execd may take a walk over /proc, which is dear: once in ten looks.
    if (this.#options.directories === undefined && nowMs - this.#searchedMs >= 10 * this.#options.refreshMs) {
      this.#searchedMs = nowMs
      this.#directories = this.#search()
    }
    this.#owners = new Map()
    this.#jobs = new Map()
    for (const directory of this.#directories) this.#read(directory)
  }

  #search(): string[] {
    const { proc, boot, pidsNamed } = this.#options
    const root = machineRoot(proc)
    const pids = pidsNamed?.(EXECD) ?? list(proc).filter(name => /^\d+$/.test(name))
    return pids.flatMap(pid => {
      const process = new ProcessFiles(proc, boot, Number(pid))
      if (process.stat()?.comm !== EXECD) return []
      const directory = process.workingDirectory()
      return directory === '' ? [] : [`${root}${directory}/active_jobs`]
    })
  }

  #read(directory: string): void {
    for (const name of list(directory)) {
      if (!/^\d+\.\d+$/.test(name)) continue
      const job = `${directory}/${name}`
      const claim: Claim = { scheduler: 'gridengine', job: name, step: '', id: idOf(name, text(`${job}/environment`)) }
      this.#own(`${job}/addgrpid`, claim)
      for (const task of list(job)) {
        // `1.node2`: a task of a parallel environment.
        if (/^\d+\../.test(task))
          this.#own(`${job}/${task}/addgrpid`, {
            ...claim,
            step: task,
            id: idOf(name, text(`${job}/${task}/environment`)),
          })
      }
    }
  }

  #own(file: string, claim: Claim): void {
    const group = Number(text(file).trim() || Number.NaN)
    if (!Number.isInteger(group)) return
    const owned = { claim, sinceMs: bornMs(file) - SLACK_MS }
    this.#owners.set(group, owned)
    this.#jobs.set(claim.job, owned)
  }
}

/** Boot time is known to a second only. */
const SLACK_MS = 2000

/** `4.5` of an array is 4.5 to users; `2.1` of a job that is none is 2. */
export function idOf(name: string, environment: string): string {
  const task = /^SGE_TASK_ID=(.*)$/m.exec(environment)?.[1]
  return task === 'undefined' ? name.slice(0, name.indexOf('.')) : name
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

function bornMs(file: string): number {
  try {
    return statSync(file).mtimeMs
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
