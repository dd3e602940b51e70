/**
 * The Scheduler contract. One collector of a cluster, the poller, asks the scheduler; nobody else does.
 *
 *   openX()     finds the commands of a scheduler, or says why there is none here (scheduler.ts tries them in order).
 *   poll()      everything the scheduler lists now. It throws SchedulerError where the scheduler did not answer or did
 *               not make sense: an outage never looks like an empty queue.
 *   finished()  runs that its accounting says ended in a span of time, those that are `missing` at least;
 *               undefined where it keeps none.
 *
 * Records are those of ingest/records.ts without `cluster` (the poller's) and `updatedMs` (the time of the poll).
 */
import type { Logger } from 'pino'
import type { Job, Node } from '../../ingest/records.ts'

export type PolledJob = Omit<Job, 'cluster' | 'updatedMs'>
export type PolledNode = Omit<Node, 'cluster' | 'updatedMs'>

export interface Poll {
  jobs: PolledJob[]
  nodes: PolledNode[]
}

export const SCHEDULER_KINDS = ['slurm', 'pbs', 'gridengine'] as const
export type SchedulerKind = (typeof SCHEDULER_KINDS)[number]

export interface Scheduler {
  readonly kind: SchedulerKind
  /** As the scheduler tells it: 22.05.8. */
  readonly version: string
  poll(): Promise<Poll>
  finished?(sinceMs: number, untilMs: number, missing: readonly PolledJob[]): Promise<PolledJob[] | undefined>
  /** Ends the commands that run. */
  close(): void
}

export interface SchedulerOptions {
  kind: SchedulerKind | 'auto' | 'none'
  log: Logger
  /** Environment of the scheduler's commands (PATH, SLURM_CONF, SGE_ROOT …), from whoever reads the environment. */
  env: Readonly<Record<string, string | undefined>>
  /** A command without an answer by then is ended, an outage. A hung qmaster would hold qstat for 121 s. */
  timeoutMs: number
  /** Slurm: the form that is read. auto: JSON where there is one, else text. */
  format?: 'auto' | 'json' | 'text'
  /** PBS, Grid Engine: where the accounting lies, if not in the usual place. */
  accountingPath?: string
}

export interface Absent {
  absent: string
}

export type OpenScheduler = (options: SchedulerOptions) => Promise<Scheduler | Absent>

/** unreadable: no answer, or nonsense · timeout: no answer in time · denied: it hides its jobs from this user. */
export type SchedulerErrorCode = 'unreadable' | 'timeout' | 'denied'

export class SchedulerError extends Error {
  override name = 'SchedulerError'
  readonly code: SchedulerErrorCode
  constructor(code: SchedulerErrorCode, why: string) {
    super(`scheduler unreadable: ${why}`)
    this.code = code
  }
}

/** Names one run of a job, as the store does: a requeued job keeps its id and is submitted anew. */
export function runKey(job: Pick<Job, 'id' | 'submitMs'>): string {
  return `${job.id} ${job.submitMs ?? 0}`
}

/** First label of a host name; an address stays whole. `node01.lab.example` -> `node01` */
export function shortName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? host : (host.split('.', 1)[0] ?? host)
}
