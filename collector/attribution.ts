/**
 * Which job a process belongs to, by the kernel's own evidence, strongest first; the first that says something wins:
 *
 *   cgroup        path of its control group (root's word)                     Slurm, PBS, Grid Engine, Open Cluster Scheduler
 *   gid           the group id that Grid Engine gave to the job
 *   listpids      what slurmstepd tracks, asked by scontrol on this machine
 *   session       its session was opened by pbs_mom for a job
 *   environment   what it was started with, if the job lives here and is not younger than the process
 *   parent        whose child it is; slurmstepd and sge_shepherd say themselves whose they are
 *
 * The answer is kept for (pid, start): most processes are looked at once. "No job" is looked at again, ever less often,
 * since a process can be put into a control group after its start. Nothing here waits: listpids is asked in the background.
 */
import type { Logger } from 'pino'
import type { Evidence } from '../ingest/records.ts'
import { parseCgroup, parseJobGroup } from './attribution/cgroup.ts'
import type { Claim } from './attribution/claim.ts'
import { claimOf, rankOf } from './attribution/environment.ts'
import { ActiveJobs } from './attribution/gridengine.ts'
import { LearnedIds } from './attribution/learned.ts'
import { MomJobs } from './attribution/pbsmom.ts'
import { ProcessFiles } from './attribution/process.ts'
import { shepherdOf } from './attribution/shepherd.ts'
import { SlurmSteps } from './attribution/slurmsteps.ts'
import type { Charge } from './profiles.ts'
import type { JobHint } from './schedulers/ledger.ts'
import type { Roots } from './source.ts'
import { type Boot, readBoot } from './starttime.ts'

export interface Attribution {
  /** `cgroup`: its path where the sampler has it, for processes that are gone. `startMs` 0: gone before anyone could look. */
  charge(pid: number, startMs: number, cgroup?: string): Charge
  /** Control group that holds all processes of a job here, where there is one; `ids`: what it may be called. */
  groupOf(ids: readonly string[]): string | undefined
  counters(): Record<string, number>
  close(): void
}

/** The evidence that can be looked for, in order. */
export const SEARCHED = ['cgroup', 'gid', 'listpids', 'session', 'environment', 'parent'] as const
export type Searched = (typeof SEARCHED)[number]

export interface AttributionOptions {
  roots: Pick<Roots, 'proc'>
  log: Logger
  /** What the scheduler's list says of a job, where a poller runs in this collector. */
  schedulerHints?: (rawId: string) => JobHint | undefined
  /** Environment for scontrol; absent: listpids is never asked. */
  env?: Readonly<Record<string, string | undefined>>
  /** Which evidence to look for: a site may not want to believe environments. */
  evidence?: readonly Searched[]
  /** Grid Engine's active_jobs directories, where they cannot be found by execd. */
  activeJobs?: readonly string[]
  /** Processes of that name, where the process table knows them. */
  pidsNamed?: (name: string) => readonly number[] | undefined
  boot?: Boot
  now?: () => number
  /** How old what was read of the machine's jobs may be. */
  refreshMs?: number
  maxProcesses?: number
}

interface Known {
  startMs: number
  claim: Claim | undefined
  evidence: Evidence
  /** Looked at again from then on; Infinity where it cannot change. */
  againMs: number
  waitMs: number
  /** Answers of listpids that it was decided with. */
  answers: number
}

const NONE: Charge = { job: '', step: '', evidence: 'none' }
/** Boot time is known to a second only, and so are Slurm's start times. */
const SLACK_MS = 2000
const MAX_DEPTH = 32
const MAX_WAIT_MS = 300_000

export function openAttribution(options: AttributionOptions): Attribution {
  return new ProcAttribution(options)
}

class ProcAttribution implements Attribution {
  readonly #proc: string
  readonly #boot: Boot
  readonly #now: () => number
  readonly #hint: (rawId: string) => JobHint | undefined
  readonly #order: readonly Searched[]
  readonly #refreshMs: number
  readonly #maxProcesses: number
  readonly #steps: SlurmSteps
  readonly #active: ActiveJobs
  readonly #mom: MomJobs
  readonly #known = new Map<number, Known>()
  /** Those looked at for one answer: parents and leaders of sessions are asked for again and again. */
  readonly #open = new Map<number, ProcessFiles>()
  readonly #learned = new LearnedIds()
  readonly #counts = new Map<Evidence, number>()
  #looks = 0
  #evicted = 0

  constructor(options: AttributionOptions) {
    const { proc } = options.roots
    this.#proc = proc
    this.#boot = options.boot ?? readBoot(options.roots)
    this.#now = options.now ?? Date.now
    this.#hint = options.schedulerHints ?? (() => undefined)
    this.#order = SEARCHED.filter(evidence => options.evidence?.includes(evidence) ?? true)
    this.#refreshMs = options.refreshMs ?? 10_000
    this.#maxProcesses = options.maxProcesses ?? 32_768
    const looked = { proc, refreshMs: this.#refreshMs, now: this.#now }
    this.#steps = new SlurmSteps({ ...looked, log: options.log, ...(options.env ? { env: options.env } : {}) })
    this.#active = new ActiveJobs({
      ...{ ...looked, boot: this.#boot, pidsNamed: options.pidsNamed },
      ...directoriesOf(options),
    })
    this.#mom = new MomJobs(proc)
  }

  charge(pid: number, startMs: number, cgroup = ''): Charge {
    this.#open.clear()
    const told = cgroup === '' || !this.#order.includes('cgroup') ? undefined : parseCgroup(cgroup)
    const { claim, evidence } =
      startMs === 0
        ? { claim: told, evidence: told ? ('cgroup' as const) : ('none' as const) }
        : this.#find(pid, startMs, told)
    this.#counts.set(evidence, (this.#counts.get(evidence) ?? 0) + 1)
    if (claim === undefined) return NONE
    const { step, rank } = claim
    return { job: this.#idOf(claim), step, ...(rank === undefined ? {} : { rank }), evidence }
  }

  groupOf(ids: readonly string[]): string | undefined {
    const groups = new Set<string | undefined>()
    this.#open.clear()
    for (const [pid, { claim, evidence, startMs }] of this.#known) {
      if (claim === undefined || !ids.includes(this.#idOf(claim)) || this.#files(pid).stat()?.startMs !== startMs)
        continue
      groups.add(evidence === 'cgroup' ? parseJobGroup(this.#files(pid).cgroup()) : undefined)
    }
    const [only] = groups
    return groups.size === 1 ? only : undefined
  }

  counters(): Record<string, number> {
    const charged = [...this.#counts].map(([evidence, count]) => [`charged_${evidence}`, count])
    const { failures } = this.#steps
    const known = this.#known.size
    return {
      known,
      looks: this.#looks,
      evicted: this.#evicted,
      listpids_failures: failures,
      ...Object.fromEntries(charged),
    }
  }

  close(): void {
    this.#steps.close()
  }

  /** From memory, or anew. */
  #find(pid: number, startMs: number, told: Claim | undefined, depth = 0): Known {
    const known = this.#known.get(pid)
    if (known?.startMs === startMs && !this.#isStale(pid, known)) return known
    const found = this.#look(this.#files(pid), startMs, told, depth)
    const same = known?.startMs === startMs ? known : undefined
    const waitMs = found.claim === undefined ? Math.min((same?.waitMs ?? this.#refreshMs / 2) * 2, MAX_WAIT_MS) : 0
    const nowMs = this.#now()
    // What has just started may still become what it will be: exec(2) gives it the environment of its rank.
    const young = nowMs - startMs < SLACK_MS ? nowMs + SLACK_MS : Number.POSITIVE_INFINITY
    const againMs = found.claim === undefined ? nowMs + waitMs : young
    const entry = { startMs, ...found, againMs, waitMs, answers: this.#steps.answers }
    this.#keep(pid, entry)
    return entry
  }

  #isStale(pid: number, known: Known): boolean {
    const { claim, evidence, answers } = known
    if (this.#now() >= known.againMs) return true
    if (evidence === 'cgroup' || evidence === 'gid' || evidence === 'listpids') return false
    if (this.#order.includes('listpids') && this.#steps.listsSince(pid, answers)) return true
    return claim !== undefined && !this.#isAlive(claim, known.startMs)
  }

  #keep(pid: number, entry: Known): void {
    this.#known.delete(pid)
    this.#known.set(pid, entry)
    if (this.#known.size <= this.#maxProcesses) return
    const oldest = this.#known.keys().next()
    if (!oldest.done && this.#known.delete(oldest.value)) this.#evicted++
  }

  #look(
    files: ProcessFiles,
    startMs: number,
    told: Claim | undefined,
    depth: number,
  ): Pick<Known, 'claim' | 'evidence'> {
    this.#looks++
    for (const evidence of this.#order) {
      const claim = this.#search(evidence, files, startMs, told, depth)
      if (claim === undefined) continue
      if (evidence === 'cgroup' || evidence === 'listpids') this.#learned.learn(claim, files, pid => this.#files(pid))
      const rank = claim.rank ?? rankOf(files.variables(), claim)
      return { claim: rank === undefined ? claim : { ...claim, rank }, evidence }
    }
    return { claim: undefined, evidence: 'none' }
  }

  #search(
    by: Searched,
    files: ProcessFiles,
    startMs: number,
    told: Claim | undefined,
    depth: number,
  ): Claim | undefined {
    switch (by) {
      case 'cgroup':
        return told ?? parseCgroup(files.cgroup())
      case 'gid':
        return this.#active.owner(() => files.identity()?.groups ?? [], startMs)
      case 'listpids':
        return this.#steps.listed(files.pid, startMs)
      case 'session':
        return this.#bySession(files, startMs)
      case 'environment': {
        const claim = claimOf(files.variables())
        return claim !== undefined && this.#isAlive(claim, startMs) && this.#isOwners(claim, files) ? claim : undefined
      }
      case 'parent':
        return shepherdOf(files) ?? this.#byParent(files, startMs, depth)
    }
  }

  /** pbs_mom opens a session for each task, and its leader's environment is MoM's work. */
  #bySession(files: ProcessFiles, startMs: number): Claim | undefined {
    const session = files.stat()?.session ?? 0
    if (session <= 1) return undefined
    const leader = session === files.pid ? files : this.#files(session)
    const stat = leader.stat()
    if (stat === undefined || stat.startMs > startMs) return undefined
    if (this.#files(stat.parentPid).stat()?.comm !== 'pbs_mom') return undefined
    const claim = claimOf(leader.variables())
    if (claim?.scheduler !== 'pbs' || !this.#isAlive(claim, startMs)) return undefined
    return claim
  }

  #byParent(files: ProcessFiles, startMs: number, depth: number): Claim | undefined {
    const pid = files.stat()?.parentPid ?? 0
    if (pid <= 1 || depth >= MAX_DEPTH) return undefined
    const stat = this.#files(pid).stat()
    if (stat === undefined || stat.startMs > startMs) return undefined
    const claim = this.#find(pid, stat.startMs, undefined, depth + 1).claim
    if (claim === undefined || !this.#isAlive(claim, startMs)) return undefined
    const { rank, ...inherited } = claim
    return inherited
  }

  #files(pid: number): ProcessFiles {
    const files = this.#open.get(pid) ?? new ProcessFiles(this.#proc, this.#boot, pid)
    this.#open.set(pid, files)
    return files
  }

  /** Whether the job runs here, and ran when the process started: environments outlive their jobs, and numbers come again. */
  #isAlive(claim: Claim, startMs: number): boolean {
    const hint = this.#hint(claim.job)
    if (hint !== undefined && (!hint.live || startMs < hint.startMs - SLACK_MS)) return false
    const sinceMs = this.#sinceMs(claim)
    return sinceMs === undefined || startMs >= sinceMs - SLACK_MS
  }

  /** Anybody can write the number of somebody else's job into an environment. */
  #isOwners(claim: Claim, files: ProcessFiles): boolean {
    const owner = this.#hint(claim.job)?.uid
    const uid = files.identity()?.uid
    return owner === undefined || uid === undefined || uid === 0 || uid === owner
  }

  /** Since when the job is on this machine: Infinity where it is not, undefined where that cannot be told. */
  #sinceMs({ scheduler, job }: Claim): number | undefined {
    if (scheduler === 'slurm') return this.#steps.sinceMs(job) ?? Number.POSITIVE_INFINITY
    if (scheduler === 'pbs') return this.#mom.sinceMs(job)
    if (scheduler !== 'gridengine' || !this.#active.present) return undefined
    return this.#active.find(job)?.sinceMs ?? Number.POSITIVE_INFINITY
  }

  /** Control groups name an array task by a number of its own: the scheduler's list, else its processes, know what users call it. */
  #idOf(claim: Claim): string {
    const told = this.#hint(claim.job)?.id ?? claim.id ?? this.#learned.idOf(claim)
    if (told !== undefined || claim.scheduler !== 'gridengine') return told ?? claim.job
    return this.#active.find(claim.job)?.claim.id ?? claim.job
  }
}

function directoriesOf(options: AttributionOptions): { directories?: readonly string[] } {
  return options.activeJobs === undefined ? {} : { directories: options.activeJobs }
}
