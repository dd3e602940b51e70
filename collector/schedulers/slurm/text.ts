/**
 * `squeue -O` and `sinfo -O` in formats of ours, where JSON is missing (20.11, no serializer plugin) or not wanted.
 *
 * Job names hold any byte: newlines, separators, `JobState=FAKE`. So a field ends with a mark that is drawn anew for each
 * poll and that nobody can know when naming a job; what is between two marks is the value, whatever is in it.
 */
import { randomBytes } from 'node:crypto'
import { type PolledJob, SchedulerError } from '../contract.ts'
import { asMs, asNumber } from '../values.ts'
import { jobOf, parseWaitStatus, type SlurmJob } from './job.ts'
import { type SlurmNode, splitStates } from './nodes.ts'

/** A control character first: digits after the colon of a format would be its width. */
export function newMark(): string {
  return `\x1f${randomBytes(9).toString('hex')}\x1f`
}

const JOB_FIELDS = [
  'JobID',
  'ArrayJobID',
  'ArrayTaskID',
  'HetJobID',
  'HetJobOffset',
  'State',
  'Reason',
  'UserName',
  'UserID',
  'Account',
  'Partition',
  'SubmitTime',
  'StartTime',
  'EndTime',
  'TimeLimit',
  'NodeList',
  'NumNodes',
  'NumCPUs',
  'tres-alloc',
  'exit_code',
  'RestartCnt',
  'WorkDir',
  'Command',
  'Name',
] as const

export function squeueArgs(mark: string): string[] {
  return ['-h', '-a', '-t', 'all', '-O', JOB_FIELDS.map(field => `${field}:${mark}`).join(',')]
}

/** Fields end with the mark, records with a newline after it. */
export function parseRows(
  text: string,
  mark: string,
  fields: readonly string[],
  command: string,
): Record<string, string>[] {
  const cells = text.split(mark)
  const rest = cells.pop() ?? ''
  if (rest.trim() !== '' || cells.length % fields.length !== 0)
    throw new SchedulerError(
      'unreadable',
      `\`${command}\` printed ${cells.length} fields, not a multiple of ${fields.length}`,
    )
  const rows: Record<string, string>[] = []
  for (let at = 0; at < cells.length; at += fields.length) {
    const row = fields.map((field, i) => [field, known(cells[at + i] ?? '', i === 0)])
    rows.push(Object.fromEntries(row) as Record<string, string>)
  }
  return rows
}

function known(cell: string, first: boolean): string {
  const value = first ? cell.replace(/^\n/, '') : cell
  return value === 'N/A' || value === '(null)' || value === 'NONE' || value === 'n/a' ? '' : value
}

export function parseSqueue(stdout: Buffer, mark: string): PolledJob[] {
  return parseRows(stdout.toString('utf8'), mark, JOB_FIELDS, 'squeue').flatMap(row => {
    const jobId = asNumber(row.JobID)
    return jobId === undefined ? [] : [jobOf(slurmJob(row, jobId))]
  })
}

/** The fields that squeue and sacct call the same, and squeue's own. */
export function slurmJob(row: Record<string, string>, jobId: number): SlurmJob {
  const task = row.ArrayTaskID ?? ''
  const array = task !== ''
  const het = asNumber(row.HetJobID)
  return {
    jobId,
    arrayJobId: array ? asNumber(row.ArrayJobID) : undefined,
    arrayTaskId: /^\d+$/.test(task) ? Number(task) : undefined,
    arrayTasks: task || undefined,
    hetJobId: het,
    hetOffset: het === undefined ? undefined : asNumber(row.HetJobOffset),
    states: (row.State ?? '').split('+'),
    reason: row.Reason === 'None' ? undefined : row.Reason || undefined,
    name: row.Name || undefined,
    user: row.UserName || undefined,
    uid: asNumber(row.UserID),
    account: row.Account || undefined,
    partition: row.Partition || undefined,
    submitMs: asMs(row.SubmitTime),
    startMs: asMs(row.StartTime),
    endMs: asMs(row.EndTime),
    limitMinutes: parseLimit(row.TimeLimit ?? ''),
    nodes: row.NodeList ?? '',
    nodeCount: asNumber(row.NumNodes),
    cpus: asNumber(row.NumCPUs),
    tres: row['tres-alloc'] ?? '',
    ...parseWaitStatus(asNumber(row.exit_code)),
    restarts: asNumber(row.RestartCnt),
    workDir: row.WorkDir || undefined,
    command: row.Command || undefined,
    perNode: [],
  }
}

/** `30:00`, `2:00:00`, `1-12:00:00` -> minutes; UNLIMITED, Partition_Limit -> undefined */
export function parseLimit(text: string): number | undefined {
  const parts = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$/.exec(text)
  if (parts === null) return undefined
  const [days, hours, minutes, seconds] = parts.slice(1).map(part => Number(part ?? 0))
  return (days ?? 0) * 1440 + (hours ?? 0) * 60 + (minutes ?? 0) + (seconds ?? 0) / 60
}

const NODE_FIELDS = ['NodeList', 'NodeHost', 'NodeAddr', 'StateLong', 'CPUs', 'Partition', 'Reason'] as const

export function sinfoArgs(mark: string): string[] {
  return ['-h', '-a', '-N', '-O', NODE_FIELDS.map(field => `${field}:${mark}`).join(',')]
}

/** One row a node and partition. */
export function parseSinfo(stdout: Buffer, mark: string): SlurmNode[] {
  const nodes = new Map<string, SlurmNode>()
  for (const row of parseRows(stdout.toString('utf8'), mark, NODE_FIELDS, 'sinfo')) {
    const name = row.NodeList ?? ''
    const queue = (row.Partition ?? '').replace(/\*$/, '')
    const seen = nodes.get(name)
    if (seen !== undefined) seen.queues.push(queue)
    else if (name !== '')
      nodes.set(name, {
        name,
        hostName: row.NodeHost || undefined,
        address: row.NodeAddr || undefined,
        states: splitStates(row.StateLong ?? ''),
        reason: row.Reason === 'none' ? undefined : row.Reason || undefined,
        cpus: asNumber(row.CPUs),
        queues: queue === '' ? [] : [queue],
      })
  }
  return [...nodes.values()]
}
