/**
 * `qstat -u '*' -r -g t -xml`: a row a job, array task and queue of a parallel job (MASTER, then a SLAVE for each further slot),
 * and one row for all waiting tasks of an array. It runs with TZ=UTC, so its times are.
 *
 * Grid Engine escapes `<` in a job's name as `%lt;`. https://gridscheduler.sourceforge.net/htmlman/htmlman1/qstat.html
 */
import type { Allocation, JobState } from '../../../ingest/records.ts'
import { type PolledJob, SchedulerError, shortName } from '../contract.ts'
import { cut, present } from '../values.ts'
import { type Element, elementsOf, parseXml, textOf } from '../xml.ts'

/** What only `qstat -j` tells of a job. */
export interface Details {
  submitMs: number | undefined
  uid: number | undefined
  account: string | undefined
  command: string | undefined
}

export interface Row {
  number: string
  /** `5` of an array task, `5,7` or `7-99:2` of all that wait; absent where the job is no array. */
  tasks: string | undefined
  name: string | undefined
  user: string | undefined
  /** As users see it: r, qw, hqw, Eqw, dr, t. */
  state: string
  waiting: boolean
  submitMs: number | undefined
  startMs: number | undefined
  queue: string | undefined
  host: string | undefined
  slots: number
  /** Slots of the whole parallel job. */
  granted: number | undefined
  limitSeconds: number | undefined
}

export function rootOf(text: string, command: string): Element {
  const root = parseXml(text)
  if (root === undefined) throw new SchedulerError('unreadable', `\`${command}\` printed no whole XML`)
  return root
}

export function parseRows(text: string): Row[] {
  const root = rootOf(text, 'qstat -xml')
  if (root.name !== 'job_info') throw new SchedulerError('unreadable', `\`qstat -xml\` printed <${root.name}>`)
  return elementsOf(root, 'job_list').flatMap(row => {
    const number = textOf(row, 'JB_job_number')
    return number === undefined ? [] : [rowOf(row, number)]
  })
}

function rowOf(row: Element, number: string): Row {
  const [queue, host] = (textOf(row, 'queue_name') ?? '').split('@')
  const limit = row.children.find(child => child.name === 'hard_request' && child.attributes.name === 'h_rt')
  const granted = Number(textOf(row, 'granted_pe') ?? Number.NaN)
  return {
    number,
    tasks: textOf(row, 'tasks'),
    name: (textOf(row, 'full_job_name') ?? textOf(row, 'JB_name'))?.replaceAll('%lt;', '<'),
    user: textOf(row, 'JB_owner'),
    state: textOf(row, 'state') ?? '',
    waiting: row.attributes.state === 'pending',
    submitMs: timeOf(textOf(row, 'JB_submission_time')),
    startMs: timeOf(textOf(row, 'JAT_start_time')),
    queue: queue || undefined,
    host: host === undefined ? undefined : shortName(host),
    slots: Number(textOf(row, 'slots') ?? 0),
    granted: Number.isFinite(granted) ? granted : undefined,
    limitSeconds: limit === undefined ? undefined : Number(limit.text) || undefined,
  }
}

/** 2026-11-23T14:59:51 in UTC, or epoch: seconds, milliseconds (Open Grid Scheduler) or microseconds (OCS 9). */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d+$/.test(text)) return Date.parse(`${text.replace(/\.\d+$/, '')}Z`) || undefined
  const number = Number(text)
  if (number === 0) return undefined
  return number > 1e14 ? Math.floor(number / 1000) : number > 1e11 ? number : number * 1000
}

/** Jobs whose time of submission is unknown are left out: they could not be told from another of their number. */
export function jobsOf(rows: readonly Row[], details: ReadonlyMap<string, Details>): PolledJob[] {
  const byJob = new Map<string, Row[]>()
  for (const row of rows) {
    const key = row.waiting ? row.number : `${row.number}.${row.tasks ?? ''}`
    byJob.set(key, [...(byJob.get(key) ?? []), row])
  }
  return [...byJob.values()].flatMap(group => {
    const [first] = group
    const job = first === undefined ? undefined : jobOf(first, group, details.get(first.number))
    return job?.submitMs === undefined ? [] : [job]
  })
}

function jobOf(row: Row, group: readonly Row[], details: Details | undefined): PolledJob {
  const array = row.tasks !== undefined
  const held = row.waiting ? [] : allocationsOf(group, row.granted)
  return present<PolledJob>({
    id: array && !row.waiting ? `${row.number}.${row.tasks}` : row.number,
    scheduler: 'gridengine',
    state: stateOf(row),
    schedulerState: row.state,
    reason: row.state.includes('E') ? 'error state: qstat -explain E tells why, qmod -cj clears it' : undefined,
    rawId: row.waiting && array ? undefined : `${row.number}.${row.tasks ?? 1}`,
    arrayId: array ? row.number : undefined,
    arrayTask: cut(row.tasks, 1024),
    name: cut(row.name, 4096),
    user: cut(row.user, 255),
    uid: details?.uid,
    account: cut(details?.account, 255),
    queue: row.queue,
    submitMs: row.submitMs ?? details?.submitMs,
    startMs: row.waiting ? undefined : row.startMs,
    timeLimitSeconds: row.limitSeconds,
    nodeCount: held.length > 0 ? held.length : undefined,
    cores: row.waiting ? row.slots : (row.granted ?? sum(group.map(r => r.slots))),
    command: cut(details?.command, 4096),
    allocations: held.length > 0 ? held : undefined,
  })
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}

/** A parallel environment with job_is_first_task FALSE has a master that holds no slot. */
function allocationsOf(group: readonly Row[], granted: number | undefined): Allocation[] {
  const slots = sum(group.map(row => row.slots))
  const byHost = new Map<string, number>()
  for (const [i, row] of group.entries()) {
    const idle = i === 0 && granted !== undefined && slots === granted + row.slots
    if (row.host !== undefined) byHost.set(row.host, (byHost.get(row.host) ?? 0) + (idle ? 0 : row.slots))
  }
  return [...byHost].map(([node, cores]) => ({ node, cores }))
}

/** Letters of qstat's states: d deleting, E error, h hold, r running, R restarted, s S T N suspended, t transferring, w waiting. */
function stateOf({ state, waiting }: Row): JobState {
  if (state.includes('d')) return waiting ? 'queued' : 'completing'
  if (waiting) return state.includes('h') || state.includes('E') ? 'held' : 'queued'
  if (/[sSTN]/.test(state)) return 'suspended'
  if (state.includes('t')) return 'starting'
  return state.includes('r') ? 'running' : 'unknown'
}

/** `qstat -j 1,2,3 -xml`. An unknown job has another root element, <unknown_jobs>, beside or instead. */
export function parseDetails(text: string): Map<string, Details> {
  const root = rootOf(text, 'qstat -j -xml')
  const jobs = elementsOf(root, 'djob_info').flatMap(info => elementsOf(info, 'element'))
  return new Map(
    jobs.flatMap(job => {
      const number = textOf(job, 'JB_job_number')
      if (number === undefined) return []
      const uid = Number(textOf(job, 'JB_uid') ?? Number.NaN)
      const details = {
        submitMs: timeOf(textOf(job, 'JB_submission_time')),
        uid: Number.isFinite(uid) ? uid : undefined,
        account: textOf(job, 'JB_account'),
        command: textOf(job, 'JB_script_file'),
      }
      return [[number, details] as const]
    }),
  )
}
