/**
 * Jobs of schedulers without an adapter, told by their prologs and epilogs:
 *
 *   jobsight job start 4711 name=relax user=alice queue=long nodes=n[01-04] cores=256
 *   jobsight job update 4711 state=suspended
 *   jobsight job stop 4711 exit=3
 *
 * The receiver keeps the newest record of a job, so what was told before is asked for and told again with the change.
 * Telling the same twice changes nothing.
 */
import { JOB_STATES, type Job, type JobState, LIVE_JOB_STATES } from '../../ingest/records.ts'
import { shortName } from './contract.ts'
import { expandHostlist } from './hostlist.ts'
import { parseMemory } from './slurm/job.ts'
import { asRecord } from './values.ts'

export class ManualJobError extends Error {
  override name = 'ManualJobError'
  readonly code: 'usage' | 'refused'
  constructor(code: 'usage' | 'refused', message: string) {
    super(message)
    this.code = code
  }
}

const ACTIONS = ['start', 'update', 'stop'] as const
type Action = (typeof ACTIONS)[number]

export interface JobChange {
  action: Action
  id: string
  fields: Partial<Job>
}

type Field = (value: string) => Partial<Job> | undefined

const text =
  (key: keyof Job): Field =>
  value =>
    value === '' ? undefined : { [key]: value }
const count =
  (key: keyof Job): Field =>
  value =>
    /^\d+$/.test(value) ? { [key]: Number(value) } : undefined
const moment =
  (key: keyof Job): Field =>
  value => {
    const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value)
    return ms > 0 ? { [key]: ms } : undefined
  }

const FIELDS: Record<string, Field> = {
  name: text('name'),
  user: text('user'),
  account: text('account'),
  queue: text('queue'),
  reason: text('reason'),
  workdir: text('workDir'),
  command: text('command'),
  array: text('arrayId'),
  task: text('arrayTask'),
  cores: count('cores'),
  gpus: count('gpus'),
  limit: count('timeLimitSeconds'),
  exit: count('exitCode'),
  signal: count('signal'),
  submit: moment('submitMs'),
  start: moment('startMs'),
  end: moment('endMs'),
  memory: value => {
    const memoryBytes = parseMemory(value)
    return memoryBytes === undefined ? undefined : { memoryBytes }
  },
  state: value => (isState(value) ? { state: value } : undefined),
  nodes: value => {
    const nodes = value === '' ? [] : expandHostlist(value).map(node => ({ node: shortName(node) }))
    return nodes.length === 0 ? undefined : { allocations: nodes, nodeCount: nodes.length }
  },
}

function isState(value: string): value is JobState {
  return (JOB_STATES as readonly string[]).includes(value)
}

/** `start 4711 name=relax nodes=n[01-04]` */
export function parseJobChange(args: readonly string[]): JobChange {
  const [word = '', id = '', ...assignments] = args
  const action = ACTIONS.find(known => known === word)
  if (action === undefined || id === '' || id.includes('='))
    throw new ManualJobError('usage', 'expected: job start|update|stop ID [key=value …]')
  const fields: Partial<Job> = {}
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=')
    const key = assignment.slice(0, Math.max(0, equals))
    const field = FIELDS[key]
    if (field === undefined)
      throw new ManualJobError(
        'usage',
        `${assignment}: expected key=value, with one of ${Object.keys(FIELDS).join(', ')}`,
      )
    const told = field(assignment.slice(equals + 1))
    if (told === undefined) throw new ManualJobError('usage', `${assignment}: not a value for ${key}`)
    Object.assign(fields, told)
  }
  return { action, id, fields }
}

export interface Teller {
  cluster: string
  /** Where it is told: the node of a job that names none. */
  node: string
  nowMs: number
}

/** The whole record after the change. `before`: what is known of the job. */
export function applyJobChange({ action, id, fields }: JobChange, before: Job | undefined, teller: Teller): Job {
  const { cluster, node, nowMs } = teller
  const again = action === 'start' && before !== undefined && !isLive(before)
  const known: Partial<Job> = again ? withoutEnd(before, nowMs) : (before ?? {})
  const record = { ...known, ...fields, cluster, id, scheduler: 'other', updatedMs: nowMs } as const
  if (action === 'update') return { ...record, state: fields.state ?? known.state ?? 'running' }
  const placed = record.allocations === undefined ? { allocations: [{ node: shortName(node) }], nodeCount: 1 } : {}
  if (action === 'start')
    return { ...record, ...placed, state: fields.state ?? 'running', startMs: record.startMs ?? nowMs }
  return { ...record, state: fields.state ?? endState(fields), endMs: record.endMs ?? nowMs }
}

function isLive(job: Job): boolean {
  return LIVE_JOB_STATES.includes(job.state)
}

/** A job of that number ran before: this is another run. */
function withoutEnd({ endMs, startMs, exitCode, signal, reason, ...job }: Job, nowMs: number): Partial<Job> {
  return { ...job, submitMs: nowMs, restarts: (job.restarts ?? 0) + 1 }
}

function endState({ exitCode, signal }: Partial<Job>): JobState {
  if (exitCode === undefined && signal === undefined) return 'completed'
  return (exitCode ?? 0) === 0 && signal === undefined ? 'completed' : 'failed'
}

export interface TellOptions extends Teller {
  /** Of the server: http://127.0.0.1:9318. */
  endpoint: string
  fetch: typeof globalThis.fetch
  headers?: Record<string, string>
}

/** Reads what is known of the job, and posts it with the change. Returns the record. */
export async function tellJob(args: readonly string[], options: TellOptions): Promise<Job> {
  const change = parseJobChange(args)
  const { endpoint, cluster, headers = {} } = options
  const query = `cluster=${encodeURIComponent(cluster)}`
  const known = await options.fetch(`${endpoint}/api/v1/jobs/${encodeURIComponent(change.id)}?${query}`, { headers })
  const before = known.ok ? asRecord(asRecord(await known.json())?.record) : undefined
  const job = applyJobChange(change, before as Job | undefined, options)
  const response = await options.fetch(`${endpoint}/v1/jobs`, {
    method: 'POST',
    // Whoever tells of the job next reads this first.
    headers: { ...headers, 'content-type': 'application/json', prefer: 'wait' },
    body: JSON.stringify({ jobs: [job] }),
  })
  const answer = await response.text()
  if (!response.ok || /"rejected":\s*"?[1-9]/.test(answer))
    throw new ManualJobError(
      'refused',
      `${endpoint} did not take job ${change.id}: ${response.status} ${answer.slice(0, 500)}`,
    )
  return job
}
