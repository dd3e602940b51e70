/** One job of PBS, from qstat or accounting, as a record. `qstat` runs with TZ=UTC, so its times are. */
import type { Allocation, JobState } from '../../../ingest/records.ts'
import { type PolledJob, shortName } from '../contract.ts'
import { cut, present } from '../values.ts'
import { type Attributes, groupOf, valueIn } from './attributes.ts'

const LIVE: Record<string, JobState> = {
  Q: 'queued',
  W: 'queued',
  T: 'queued',
  H: 'held',
  R: 'running',
  B: 'running',
  S: 'suspended',
  U: 'suspended',
  E: 'completing',
}

/** PBS's own ends, below 0: pbs_ifl's job_exec codes. */
const OWN_ENDS: Record<string, JobState> = {
  '-26': 'out_of_memory',
  '-27': 'out_of_memory',
  '-28': 'timeout',
  '-29': 'timeout',
}

/** F, X and Torque's C have ended; how, say substate (91: deleted) and the exit status. */
function stateOf(job: Attributes): JobState {
  const word = valueIn(job, 'job_state') ?? ''
  const substate = valueIn(job, 'substate')
  if (word === 'R' && substate === '41') return 'starting'
  const live = LIVE[word]
  if (live !== undefined) return live
  return word === 'F' || word === 'X' || word === 'C' ? endOf(job, substate === '91') : 'unknown'
}

export function endOf(job: Attributes, deleted: boolean): JobState {
  const status = valueIn(job, 'Exit_status', 'exit_status')
  const told = `${valueIn(groupOf(job, 'resources_used'), 'diag_messages') ?? ''} ${valueIn(job, 'comment') ?? ''}`
  if (/mem limit exceeded/i.test(told)) return 'out_of_memory'
  const own = OWN_ENDS[status ?? '']
  if (own !== undefined) return own
  if (deleted || status === undefined) return 'cancelled'
  return status === '0' ? 'completed' : 'failed'
}

/** 0..255 exit code; 256 and up: killed by a signal; below 0: PBS's own reasons. */
export function exitOf(status: string | undefined): Pick<PolledJob, 'exitCode' | 'signal'> {
  const number = Number(status ?? Number.NaN)
  if (!Number.isInteger(number) || number < 0) return {}
  return number < 256 ? { exitCode: number } : { signal: number - 256 }
}

const ENDED: ReadonlySet<JobState> = new Set<JobState>(['completed', 'failed', 'cancelled', 'timeout', 'out_of_memory'])

/** `hostOf`: vnode -> short host name. */
export function jobOf(
  id: string,
  job: Attributes,
  hostOf: ReadonlyMap<string, string>,
  state = stateOf(job),
): PolledJob {
  const asked = groupOf(job, 'Resource_List')
  const array = /^(\d+)\[(\d*)\](\..*)?$/.exec(id)
  const held = allocationsOf(job, hostOf)
  const ended = ENDED.has(state)
  const started = timeOf(valueIn(job, 'stime', 'start', 'start_time'))
  return present<PolledJob>({
    id,
    scheduler: 'pbs',
    state,
    schedulerState: valueIn(job, 'job_state'),
    reason: cut(valueIn(job, 'comment'), 1024),
    rawId: id,
    arrayId: array === null ? undefined : `${array[1]}[]${array[3] ?? ''}`,
    arrayTask:
      array === null ? undefined : array[2] || cut(valueIn(job, 'array_indices_remaining', 'array_indices'), 1024),
    name: cut(valueIn(job, 'Job_Name', 'jobname'), 4096),
    user: cut(valueIn(job, 'euser', 'user') ?? valueIn(job, 'Job_Owner')?.split('@')[0], 255),
    account: cut(valueIn(job, 'Account_Name', 'account'), 255),
    queue: valueIn(job, 'queue'),
    submitMs: timeOf(valueIn(job, 'ctime')),
    startMs: state === 'queued' || state === 'held' ? undefined : started,
    endMs: ended ? timeOf(valueIn(job, 'obittime', 'end', 'comp_time', 'mtime')) : undefined,
    timeLimitSeconds: parseDuration(valueIn(asked, 'walltime')),
    nodeCount: held.length > 0 ? held.length : undefined,
    // The array itself holds nothing: its tasks do.
    ...(array?.[2] === '' ? {} : amountsOf(held, asked)),
    ...(ended ? exitOf(valueIn(job, 'Exit_status', 'exit_status')) : {}),
    restarts: restartsOf(valueIn(job, 'run_count')),
    workDir: cut(valueIn(job, 'jobdir'), 4096),
    allocations: held.length > 0 ? held : undefined,
  })
}

/** What is held, else what was asked for. */
function amountsOf(held: readonly Allocation[], asked: Attributes): Partial<PolledJob> {
  const sum = (key: 'cores' | 'gpus' | 'memoryBytes') => sumOf(held.map(share => share[key]))
  return present<Partial<PolledJob>>({
    cores: sum('cores') ?? countOf(valueIn(asked, 'ncpus')),
    gpus: sum('gpus') ?? countOf(valueIn(asked, 'ngpus')),
    memoryBytes: sum('memoryBytes') ?? parseSize(valueIn(asked, 'mem')),
  })
}

function restartsOf(runs: string | undefined): number | undefined {
  const count = countOf(runs)
  return count === undefined ? undefined : Math.max(0, count - 1)
}

function sumOf(numbers: readonly (number | undefined)[]): number | undefined {
  const known = numbers.filter(n => n !== undefined)
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0)
}

/** By exec_vnode where there is one: a chunk over several vnodes shows as `node02/0*0` in exec_host. */
function allocationsOf(job: Attributes, hostOf: ReadonlyMap<string, string>): Allocation[] {
  const vnodes = valueIn(job, 'exec_vnode')
  const shares = vnodes === undefined ? parseExecHost(valueIn(job, 'exec_host') ?? '') : parseExecVnode(vnodes)
  const byHost = new Map<string, Allocation>()
  for (const { node: vnode, ...share } of shares) {
    const node = hostOf.get(vnode) ?? shortName(vnode.replace(/\[\d+\]$/, ''))
    const held = byHost.get(node) ?? { node }
    for (const key of ['cores', 'gpus', 'memoryBytes'] as const)
      if (share[key] !== undefined) held[key] = (held[key] ?? 0) + share[key]
    byHost.set(node, held)
  }
  return [...byHost.values()]
}

/** `(node02[0]:ncpus=1:mem=10240kb)+(node02[0]:ncpus=1+node02[1]:ncpus=3)`: chunks, each on one vnode or more. */
export function parseExecVnode(text: string): Allocation[] {
  return text.split('+').flatMap(part => {
    const [vnode = '', ...resources] = part.replace(/[()]/g, '').split(':')
    if (vnode === '') return []
    const held = new Map(resources.map(r => [r.slice(0, r.indexOf('=')), r.slice(r.indexOf('=') + 1)]))
    const cores = countOf(held.get('ncpus'))
    return [
      present<Allocation>({
        node: vnode,
        cores,
        gpus: countOf(held.get('ngpus')),
        memoryBytes: parseSize(held.get('mem')),
      }),
    ]
  })
}

/** `node01/0*2+node02/1`, Torque's `node01/0-3` and `node01/0+node01/1`: CPUs by slot. */
export function parseExecHost(text: string): Allocation[] {
  return text.split('+').flatMap(part => {
    const parts = /^([^/]+)\/([\d,-]+)(?:\*(\d+))?$/.exec(part)
    if (parts === null) return []
    const slots = (parts[2] ?? '').split(',').map(range => {
      const [from = 0, to = from] = range.split('-').map(Number)
      return to - from + 1
    })
    const cores = parts[3] === undefined ? slots.reduce((a, b) => a + b, 0) : Number(parts[3])
    return [{ node: parts[1] ?? '', cores }]
  })
}

function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

/** 336:00:00, 30:00, 90 -> seconds */
export function parseDuration(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+(:\d+){0,2}$/.test(text)) return undefined
  return text.split(':').reduce((seconds, part) => seconds * 60 + Number(part), 0)
}

const WORD_BYTES = 8

/** 100mb, 24684084kb, 2000mw (words of 8 bytes), 1024: powers of 1024. */
export function parseSize(text: string | undefined): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)([kmgtp]?)([bw]?)$/i.exec(text ?? '')
  if (parts === null) return undefined
  const power = ' kmgtp'.indexOf((parts[2] || ' ').toLowerCase())
  return Number(parts[1]) * 1024 ** power * (parts[3]?.toLowerCase() === 'w' ? WORD_BYTES : 1)
}

/** ctime(3)'s `Mon Nov 23 14:39:21 2026`, in UTC, or seconds since the epoch. */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(`${text} UTC`)
  return ms > 0 ? ms : undefined
}
