/** One job of Slurm, however it was read (squeue's JSON or text, sacct), as a record. */
import type { Allocation, JobState } from '../../../ingest/records.ts'
import type { PolledJob } from '../contract.ts'
import { expandHostlist } from '../hostlist.ts'
import { cut, present } from '../values.ts'

export interface SlurmJob {
  /** What cgroups and SLURM_JOB_ID name. */
  jobId: number
  /** 26.05 on: what control groups name instead. */
  sluid?: string | undefined
  arrayJobId: number | undefined
  arrayTaskId: number | undefined
  /** Tasks that have not started, all in this one record: 2-5%2. */
  arrayTasks: string | undefined
  hetJobId: number | undefined
  hetOffset: number | undefined
  /** Base state and flags, any order: RUNNING COMPLETING. */
  states: string[]
  reason: string | undefined
  name: string | undefined
  user: string | undefined
  uid: number | undefined
  account: string | undefined
  partition: string | undefined
  submitMs: number | undefined
  /** For a pending job Slurm's guess, so not used. */
  startMs: number | undefined
  endMs: number | undefined
  limitMinutes: number | undefined
  /** Hostlist expression, '' where nothing is allocated. */
  nodes: string
  nodeCount: number | undefined
  cpus: number | undefined
  /** cpu=2,mem=400M,node=2,gres/gpu=4 */
  tres: string
  exitCode: number | undefined
  signal: number | undefined
  restarts: number | undefined
  workDir: string | undefined
  command: string | undefined
  /** Per node, in the order of `nodes`, where Slurm tells it. */
  perNode: Omit<Allocation, 'node'>[]
}

/** Flags that say more than the base state, first hit wins; the rest (RESIZING, SIGNALING) say nothing to us. */
const FLAGS: readonly (readonly [string, JobState])[] = [
  ['COMPLETING', 'completing'],
  ['STAGE_OUT', 'completing'],
  ['CONFIGURING', 'starting'],
  ['POWER_UP_NODE', 'starting'],
  ['REQUEUE_HOLD', 'held'],
  ['SPECIAL_EXIT', 'held'],
  ['RESV_DEL_HOLD', 'held'],
  ['REQUEUED', 'queued'],
  ['REQUEUE_FED', 'queued'],
  ['REVOKED', 'cancelled'],
  ['STOPPED', 'suspended'],
]

const BASE: Record<string, JobState> = {
  PENDING: 'queued',
  RUNNING: 'running',
  SUSPENDED: 'suspended',
  COMPLETED: 'completed',
  CANCELLED: 'cancelled',
  FAILED: 'failed',
  LAUNCH_FAILED: 'failed',
  TIMEOUT: 'timeout',
  DEADLINE: 'timeout',
  NODE_FAIL: 'node_fail',
  BOOT_FAIL: 'node_fail',
  PREEMPTED: 'preempted',
  OUT_OF_MEMORY: 'out_of_memory',
  // Releases before 23.11 tell one word only, and a flag hides the base state.
  RESIZING: 'running',
  SIGNALING: 'running',
}

/** https://slurm.schedmd.com/job_state_codes.html */
export function jobState(states: readonly string[], reason: string | undefined): JobState {
  const flag = FLAGS.find(([word]) => states.includes(word))
  if (flag !== undefined) return flag[1]
  const base = states.map(word => BASE[word]).find(state => state !== undefined) ?? 'unknown'
  return base === 'queued' && reason !== undefined && /^JobHeld/.test(reason) ? 'held' : base
}

const ENDED: ReadonlySet<JobState> = new Set<JobState>([
  'completed',
  'failed',
  'cancelled',
  'timeout',
  'out_of_memory',
  'node_fail',
  'preempted',
  'requeued',
])

export function jobOf(job: SlurmJob, state = jobState(job.states, job.reason)): PolledJob {
  const ended = ENDED.has(state)
  const ran = job.nodes !== '' && state !== 'queued' && state !== 'held'
  const tres = parseTres(job.tres)
  return present<PolledJob>({
    id: userId(job),
    scheduler: 'slurm',
    state,
    schedulerState: cut(job.states.join('+'), 255),
    reason: cut(job.reason, 1024),
    rawId: String(job.jobId),
    sluid: job.sluid,
    arrayId: job.arrayJobId ? String(job.arrayJobId) : undefined,
    arrayTask: cut(job.arrayTaskId === undefined ? job.arrayTasks : String(job.arrayTaskId), 1024),
    name: cut(job.name, 4096),
    user: cut(job.user, 255),
    uid: job.uid,
    account: cut(job.account, 255),
    queue: cut(job.partition, 1024),
    submitMs: job.submitMs,
    startMs: ran ? job.startMs : undefined,
    endMs: ended ? job.endMs : undefined,
    timeLimitSeconds: job.limitMinutes === undefined ? undefined : job.limitMinutes * 60,
    nodeCount: tres.node ?? job.nodeCount,
    cores: tres.cpu ?? job.cpus,
    gpus: tres.gpus,
    memoryBytes: tres.memoryBytes,
    exitCode: ended && ran ? job.exitCode : undefined,
    signal: ended && ran ? job.signal : undefined,
    restarts: job.restarts,
    workDir: cut(job.workDir, 4096),
    command: cut(job.command, 4096),
    allocations: ran ? allocationsOf(job, tres) : undefined,
  })
}

/** 4711 · 4711_3 (array task) · 4711 (what has not started of an array) · 4711+1 (part of a heterogeneous job) */
function userId(job: SlurmJob): string {
  if (job.arrayJobId && job.arrayTaskId !== undefined) return `${job.arrayJobId}_${job.arrayTaskId}`
  if (job.arrayJobId && job.arrayTasks !== undefined) return String(job.arrayJobId)
  if (job.hetJobId && job.hetOffset !== undefined) return `${job.hetJobId}+${job.hetOffset}`
  return String(job.jobId)
}

function allocationsOf(job: SlurmJob, tres: Tres): Allocation[] {
  const names = expandHostlist(job.nodes)
  if (job.perNode.length === names.length)
    return names.map((node, i) => present<Allocation>({ node, ...job.perNode[i] }))
  const [only] = names
  if (only === undefined || names.length > 1) return names.map(node => ({ node }))
  // Without a word on each node, the totals are the share of one node only if there is only one.
  const { cpu: cores = job.cpus, memoryBytes, gpus } = tres
  return [present<Allocation>({ node: only, cores, memoryBytes, gpus })]
}

interface Tres {
  cpu: number | undefined
  node: number | undefined
  memoryBytes: number | undefined
  gpus: number | undefined
}

/** `cpu=2,mem=400M,node=2,billing=2,gres/gpu=4,gres/gpu:a100=4` (the typed GPUs are counted in the plain entry too) */
export function parseTres(text: string): Tres {
  const entries = new Map(text.split(',').map(part => splitAt(part, part.indexOf('='))))
  const typed = [...entries].filter(([name]) => name.startsWith('gres/gpu:'))
  const plain = entries.get('gres/gpu')
  return {
    cpu: count(entries.get('cpu')),
    node: count(entries.get('node')),
    memoryBytes: parseMemory(entries.get('mem')),
    gpus:
      plain === undefined && typed.length > 0 ? typed.reduce((sum, [, n]) => sum + (count(n) ?? 0), 0) : count(plain),
  }
}

function splitAt(text: string, at: number): [string, string] {
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

const UNITS: Record<string, number> = { K: 1 << 10, M: 1 << 20, G: 1 << 30, T: 2 ** 40, P: 2 ** 50 }

/** 400M, 1.50G, 62500M; Slurm counts in MiB where it names no unit. */
export function parseMemory(text: string | undefined): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)([KMGTP]?)[cn]?$/.exec(text ?? '')
  return parts === null ? undefined : Math.round(Number(parts[1]) * (UNITS[parts[2] || 'M'] ?? Number.NaN))
}

/** GPUs in one node's `gpu:a100:2(IDX:0,3),gpu:h100:1(IDX:7),shard:4(..)`: 3. */
export function parseGres(text: string | undefined): number | undefined {
  const found = [...(text ?? '').matchAll(/(?:^|,)(?:gres\/)?gpu(?::[^:,()]+)?:(\d+)(?=[,(]|$)/g)]
  return found.length === 0 ? undefined : found.reduce((sum, m) => sum + Number(m[1]), 0)
}

/** wait(2) status, as releases before 23.11 give it: 768 is exit 3, 11 is SIGSEGV, 139 is that with a core. */
export function parseWaitStatus(status: number | undefined): Pick<SlurmJob, 'exitCode' | 'signal'> {
  if (status === undefined) return { exitCode: undefined, signal: undefined }
  const signal = status & 0x7f
  return signal === 0 ? { exitCode: (status >> 8) & 0xff, signal: undefined } : { exitCode: undefined, signal }
}
