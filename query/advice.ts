/**
 * What stands out of a job, in a sentence each with its evidence; a pure decision over what was measured. Nothing is said
 * where too little was seen: a finding that is wrong costs more trust than ten right ones earn.
 */
import type { JobDetail } from './api.ts'
import { median, robustScores } from './robust.ts'

export type Finding = JobDetail['findings'][number]

export interface NodeEvidence {
  node: string
  /** Allocated to the job here. */
  cores: number | null
  /** Mean cores its processes used here. */
  jobCores: number | null
  /** Share of its sampled time here that waited: MPI and synchronisation. */
  waitShare: number | null
  /** Share of the node's time that idled for I/O. */
  iowait: number | null
}

export interface JobEvidence {
  elapsedSeconds: number
  /** 0..1 of its node-seconds that were measured. */
  coverage: number
  cores: number | null
  coreSecondsUsed: number | null
  coreSecondsAllocated: number | null
  /** Part of the used ones that was spent in the kernel. */
  kernelShare: number | null
  memoryBytes: number | null
  memoryPeakBytes: number | null
  outOfMemory: boolean
  nodes: NodeEvidence[]
}

const MIN_COVERAGE = 0.5
const MIN_SECONDS = 60
const OUTLIER = 3.5

export function advise(job: JobEvidence): Finding[] {
  const found = [...memory(job)]
  if (job.coverage >= MIN_COVERAGE && job.elapsedSeconds >= MIN_SECONDS) {
    found.push(...stragglers(job), ...idle(job), ...kernel(job), ...waitsForIo(job))
  }
  const rank = { warning: 0, info: 1 }
  return found.sort((a, b) => rank[a.severity] - rank[b.severity])
}

const warning = (text: string, node: string | null = null): Finding => ({ severity: 'warning', text, node })
const info = (text: string, node: string | null = null): Finding => ({ severity: 'info', text, node })

const percent = (share: number): string => `${share < 0.0995 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`
const cores = (count: number): string =>
  `${count < 10 ? count.toFixed(1) : Math.round(count)} ${count === 1 ? 'core' : 'cores'}`
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)))
  const value = count / 1024 ** power
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`
}

/** A node that keeps the others waiting waits less than they do; where nobody waits, one that computes more or less. */
function stragglers({ nodes }: JobEvidence): Finding[] {
  const waiting = nodes.map(n => n.waitShare)
  const most = median(waiting.filter(v => v !== null)) ?? 0
  const scores = robustScores(waiting)
  const late = nodes.filter((n, i) => (scores[i] ?? 0) < -OUTLIER && n.waitShare !== null && most - n.waitShare > 0.1)
  if (late.length > 0 && late.length <= nodes.length / 4) {
    return late.map(n =>
      warning(
        `${n.node} waits ${percent(n.waitShare ?? 0)} of its CPU time, the other nodes ${percent(most)} (median): they wait for it`,
        n.node,
      ),
    )
  }
  return unequal(nodes)
}

function unequal(nodes: readonly NodeEvidence[]): Finding[] {
  const shares = nodes.map(n => (n.jobCores === null || !n.cores ? null : n.jobCores / n.cores))
  const most = median(shares.filter(v => v !== null))
  if (most === null || most < 0.05) return []
  const scores = robustScores(shares)
  const far = nodes.filter(
    (_, i) => Math.abs(scores[i] ?? 0) > OUTLIER && Math.abs((shares[i] ?? 0) - most) > 0.2 * most,
  )
  if (far.length > nodes.length / 4) return []
  return far.map(n => {
    const share = (n.jobCores ?? 0) / (n.cores ?? 1)
    const how = share < most ? 'less' : 'more'
    return warning(
      `${n.node} computes ${how} than the others: ${percent(share)} of its allocated cores are busy, the median is ${percent(most)}`,
      n.node,
    )
  })
}

/** Allocated and not used, from the strangest case to the plain one. */
function idle(job: JobEvidence): Finding[] {
  const { coreSecondsUsed, coreSecondsAllocated, cores: held, elapsedSeconds } = job
  if (coreSecondsUsed === null || !coreSecondsAllocated || !held) return []
  const efficiency = coreSecondsUsed / coreSecondsAllocated
  const used = efficiency * held
  const asleep = job.nodes.filter(n => n.jobCores !== null && n.cores && n.jobCores < 0.02 * n.cores)
  if (used <= 1.1 && used > 0.5 && held >= 2) {
    return [
      warning(`it uses one core of ${held}: the program may be serial, or OMP_NUM_THREADS or the number of ranks is 1`),
    ]
  }
  if (efficiency < 0.02) {
    return [warning(`it does nothing: ${cores(used)} of ${held} busy on average over ${duration(elapsedSeconds)}`)]
  }
  if (asleep.length > 0 && asleep.length < job.nodes.length) {
    const names = asleep
      .slice(0, 5)
      .map(n => n.node)
      .join(', ')
    const more = asleep.length > 5 ? ` and ${asleep.length - 5} more` : ''
    return [
      warning(
        `${asleep.length} of ${job.nodes.length} nodes do nothing for it: ${names}${more}`,
        asleep[0]?.node ?? null,
      ),
    ]
  }
  if (efficiency < 0.5) {
    return [
      warning(`low CPU efficiency: ${cores(used)} of ${held} busy on average, ${percent(efficiency)} of what it holds`),
    ]
  }
  return []
}

function memory({ memoryBytes, memoryPeakBytes, outOfMemory, elapsedSeconds }: JobEvidence): Finding[] {
  const peak = memoryPeakBytes === null ? '' : `; its processes had ${bytes(memoryPeakBytes)} at the highest tick`
  if (outOfMemory) return [warning(`killed for memory${memoryBytes ? ` (limit ${bytes(memoryBytes)})` : ''}${peak}`)]
  if (!memoryBytes || memoryPeakBytes === null) return []
  const share = memoryPeakBytes / memoryBytes
  if (share > 0.9) {
    return [
      warning(
        `memory near its limit: ${bytes(memoryPeakBytes)} of ${bytes(memoryBytes)} (${percent(share)}) at the highest tick`,
      ),
    ]
  }
  if (share < 0.1 && elapsedSeconds >= 600 && memoryBytes > 4 * 1024 ** 3) {
    return [info(`it asked for ${bytes(memoryBytes)} of memory and had ${bytes(memoryPeakBytes)} at most`)]
  }
  return []
}

function kernel({ kernelShare, coreSecondsUsed }: JobEvidence): Finding[] {
  if (kernelShare === null || kernelShare < 0.3 || (coreSecondsUsed ?? 0) < MIN_SECONDS) return []
  return [
    warning(
      `${percent(kernelShare)} of its CPU time is in the kernel: look at the kernel frames of its flame graph (system calls, page faults, locks)`,
    ),
  ]
}

function waitsForIo({ nodes }: JobEvidence): Finding[] {
  const waits = nodes.map(n => n.iowait).filter(v => v !== null)
  const mean = waits.reduce((sum, v) => sum + v, 0) / Math.max(1, waits.length)
  if (waits.length === 0 || mean < 0.1) return []
  return [
    warning(
      `its nodes wait for I/O: ${percent(mean)} of their time is idle with a task waiting for disk or network storage`,
    ),
  ]
}

const duration = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`
