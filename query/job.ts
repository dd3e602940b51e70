/** GET /jobs/:id: what a job asked, what it used, what stands out. */
import { advise, type Finding, type NodeEvidence } from './advice.ts'
import type { JobDetail } from './api.ts'
import type { Desk } from './desk.ts'
import { allocatedSeconds, jobRow } from './jobs.ts'
import { type JobDevices, type NodeTotals, readDevices, readNodeMeasures, readWaits } from './jobuse.ts'
import type { KnownJob } from './known.ts'
import { resolveJobScope, spanOf, type Target } from './scope.ts'
import type { Usage } from './usage.ts'

export async function readJob(desk: Desk, id: string, asked: string | undefined): Promise<JobDetail> {
  const { asker } = desk
  const target = await resolveJobScope(asker, desk.known, { ...(asked && { cluster: asked }), job: id })
  const { cluster, job } = target
  const started = job.record.startMs !== undefined
  const [[usage], first, measured] = await Promise.all([
    desk.usage(asker, cluster, [job]),
    desk.known.first(asker, cluster),
    started ? readMeasured(desk, target, job) : undefined,
  ])
  const allocated = allocatedSeconds(job, first, asker.nowMs)
  return {
    cluster,
    job: jobRow(job, usage, first, asker.nowMs),
    record: job.record,
    ...spanOf(job, asker.nowMs),
    coreSecondsAllocated: allocated,
    coreSecondsUsed: usage?.coreSeconds ?? null,
    memoryPeakBytes: usage?.memoryPeakBytes ?? null,
    sampledSeconds: usage?.sampledSeconds ?? 0,
    gpuUtilization: measured?.gpuUtilization ?? null,
    energyJoules: measured?.energyJoules ?? null,
    coverage: measured?.coverage ?? null,
    findings: measured ? findingsOf(job, usage, allocated, measured, target) : [],
  }
}

interface Measured extends JobDevices {
  coverage: number
  kernelShare: number | null
  nodes: NodeEvidence[]
}

async function readMeasured(desk: Desk, target: Target, job: KnownJob): Promise<Measured> {
  const { asker } = desk
  const totals = desk.totals(asker, target, job)
  const [use, measures, waits, devices] = await Promise.all([
    totals,
    readNodeMeasures(asker, target),
    totals.then(use => readWaits(asker, target, use)),
    readDevices(asker, target, job),
  ])
  const sum = (of: (totals: NodeTotals) => number) => [...use.values()].reduce((all, totals) => all + of(totals), 0)
  const processSeconds = sum(totals => totals.processSeconds)
  const kernelShare = processSeconds > 0 ? sum(totals => totals.kernelSeconds) / processSeconds : null
  const names = job.nodes.length > 0 ? job.nodes : [...use.keys()]
  const allocated = new Map((job.record.allocations ?? []).map(a => [a.node, a.cores ?? null]))
  const evenly = job.record.cores && names.length > 0 ? job.record.cores / names.length : null
  const seconds = (target.to - target.from) / 1000
  const seen = names.reduce((sum, node) => sum + Math.min(seconds, measures.get(node)?.seconds ?? 0), 0)
  const nodes = names.map(node => {
    const there = measures.get(node)?.seconds ?? 0
    const used = use.get(node)?.coreSeconds ?? (there > 0 ? 0 : null)
    return {
      node,
      cores: allocated.get(node) ?? evenly,
      jobCores: used === null ? null : used / seconds,
      waitShare: waits.get(node) ?? null,
      iowait: measures.get(node)?.iowait ?? null,
    }
  })
  return { ...devices, coverage: names.length === 0 ? 0 : seen / (names.length * seconds), kernelShare, nodes }
}

function findingsOf(
  job: KnownJob,
  usage: Usage | undefined,
  allocated: number | null,
  { coverage, kernelShare, nodes }: Measured,
  target: Target,
): Finding[] {
  return advise({
    elapsedSeconds: (target.to - target.from) / 1000,
    coverage,
    cores: job.record.cores ?? null,
    coreSecondsUsed: usage?.coreSeconds ?? null,
    coreSecondsAllocated: allocated,
    kernelShare,
    memoryBytes: job.record.memoryBytes ?? null,
    memoryPeakBytes: usage?.memoryPeakBytes ?? null,
    outOfMemory: job.record.state === 'out_of_memory',
    nodes,
  })
}
