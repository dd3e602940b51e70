/**
 * Finished jobs from slurmdbd by `sacct`. Exit codes are taken from its text: `sacct --json` of 22.05 says SUCCESS for a job
 * that exited 3. The database mangles names (`"` becomes a backquote), so a name the queue told wins over one from here.
 */
import type { PolledJob } from '../contract.ts'
import { asMs, asNumber } from '../values.ts'
import { jobOf, type SlurmJob } from './job.ts'
import { parseRows, slurmJob } from './text.ts'

const SACCT_FIELDS = [
  'JobIDRaw',
  'JobID',
  'State',
  'ExitCode',
  'User',
  'UID',
  'Account',
  'Partition',
  'Submit',
  'Start',
  'End',
  'TimelimitRaw',
  'NodeList',
  'NNodes',
  'NCPUS',
  'AllocTRES',
  'WorkDir',
  'JobName',
  'Reason',
] as const

const ENDED = 'BOOT_FAIL,CANCELLED,COMPLETED,DEADLINE,FAILED,NODE_FAIL,OUT_OF_MEMORY,PREEMPTED,REQUEUED,REVOKED,TIMEOUT'

/** -D: every run of a requeued job; -X: jobs, not steps. */
export function sacctArgs(mark: string, sinceMs: number, untilMs: number): string[] {
  const seconds = (ms: number) => `uts${Math.floor(ms / 1000)}`
  return [
    ...['-a', '-D', '-X', '-n', '-p', `--delimiter=${mark}`],
    ...['-S', seconds(sinceMs), '-E', seconds(untilMs), '-s', ENDED],
    ...['-o', SACCT_FIELDS.join(',')],
  ]
}

export function parseSacct(stdout: Buffer, mark: string): PolledJob[] {
  return parseRows(stdout.toString('utf8'), mark, SACCT_FIELDS, 'sacct').flatMap(row => {
    const jobId = asNumber(row.JobIDRaw)
    if (jobId === undefined) return []
    const job = accountedJob(row, jobId)
    // In the queue REQUEUED is a job that waits again; here it is the run that was given up.
    return [job.states.includes('REQUEUED') ? jobOf(job, 'requeued') : jobOf(job)]
  })
}

/** Accounting's JobID: 4711, 4711_3, 4711_[2-5%2] (never started), 4711+1. ExitCode: code:signal, after `CANCELLED by 0` too. */
function accountedJob(row: Record<string, string>, jobId: number): SlurmJob {
  const [, head, separator, tail] = /^(\d+)(?:([_+])\[?([^\]]*)\]?)?$/.exec(row.JobID ?? '') ?? []
  const [code, signal] = (row.ExitCode ?? '').split(':').map(Number)
  const task = separator === '_' ? tail : undefined
  return {
    ...slurmJob({ ...row, State: (row.State ?? '').split(' ', 1)[0] ?? '', NodeList: allocated(row.NodeList) }, jobId),
    arrayJobId: task === undefined ? undefined : asNumber(head),
    arrayTaskId: task !== undefined && /^\d+$/.test(task) ? Number(task) : undefined,
    arrayTasks: task,
    hetJobId: separator === '+' ? asNumber(head) : undefined,
    hetOffset: separator === '+' ? asNumber(tail) : undefined,
    name: row.JobName || undefined,
    user: row.User || undefined,
    uid: asNumber(row.UID),
    submitMs: asMs(row.Submit),
    startMs: asMs(row.Start),
    endMs: asMs(row.End),
    limitMinutes: asNumber(row.TimelimitRaw),
    nodeCount: asNumber(row.NNodes),
    cpus: asNumber(row.NCPUS),
    tres: row.AllocTRES ?? '',
    exitCode: code === 0 && signal ? undefined : code,
    // 0:125 is Slurm's way to say out of memory, no signal.
    signal: signal && signal <= 64 ? signal : undefined,
  }
}

function allocated(nodes: string | undefined): string {
  return nodes === undefined || nodes === 'None assigned' ? '' : nodes
}
