/**
 * A small scheduler: jobs wait until nodes are free and start in their order, a later one only where it leaves enough
 * nodes for the earlier ones. It knows nodes and cores, not what runs on them; the caller starts and ends the work.
 */
import type { Job, Node } from '../../ingest/records.ts'
import { drawFiller, type PlannedJob, planStories, type Span } from './plan.ts'
import { openRandom, type Random } from './random.ts'

export interface Changes {
  started: PlannedJob[]
  ended: PlannedJob[]
  /** Submitted, started or ended: their records go out again. */
  jobs: PlannedJob[]
  nodes: string[]
}

interface Place {
  node: string
  freeCores: number
  down: boolean
  state: string
}

export interface ScheduleOptions {
  nodes: readonly string[]
  coresPerNode: number
  jobs: number
  /** Planted jobs first. */
  stories: boolean
  seed: number
  span: Span
  /** Does not answer from silentMs on; the scheduler says so when its timeout has passed. */
  silent: { node: string; silentMs: number; downMs: number } | undefined
}

/** Unchanged records of nodes are sent again, as a real poller does: a scheduler that says nothing would be unreadable. */
const AGAIN_MS = 600_000

export class Schedule {
  readonly jobs: PlannedJob[]
  private readonly options: ScheduleOptions
  private readonly places: Place[]
  private readonly random: Random
  private submitted = new Set<PlannedJob>()
  private fillers: number
  private nextFillerMs: number
  /** When all nodes were told last. */
  private toldMs = 0

  constructor(options: ScheduleOptions) {
    const { nodes, coresPerNode, jobs, stories: planted, seed, span, silent } = options
    this.options = options
    this.random = openRandom(seed, 'schedule')
    this.places = nodes.map(node => ({
      node,
      freeCores: node === silent?.node ? 0 : coresPerNode,
      down: false,
      state: '',
    }))
    const stories = planted ? planStories(nodes.length, span).slice(0, jobs) : []
    const drawn = Array.from({ length: Math.max(0, jobs - stories.length) }, (_, i) =>
      drawFiller(seed, i, this.submitTime(span, i, jobs - stories.length), nodes.length),
    )
    this.fillers = drawn.length
    this.jobs = [...stories, ...drawn]
    this.nextFillerMs = span.untilMs + this.random.exponential(4 * 60_000)
  }

  /** Fillers of the history come evenly, with some jitter, beginning before it. */
  private submitTime(span: Span, index: number, count: number): number {
    const part = -0.08 + (index + this.random.uniform()) / count
    return Math.round((span.beginMs + Math.min(0.98, part) * (span.untilMs - span.beginMs)) / 1000) * 1000
  }

  advance(timeMs: number): Changes {
    const changes: Changes = { started: [], ended: [], jobs: [], nodes: [] }
    for (const job of this.jobs) {
      if (job.state === 'running' && timeMs >= job.startMs + job.runMs) this.end(job, changes)
    }
    while (timeMs >= this.nextFillerMs) {
      this.jobs.push(drawFiller(this.options.seed, this.fillers++, Math.round(this.nextFillerMs), this.places.length))
      this.nextFillerMs += this.random.exponential(4 * 60_000)
    }
    this.startWhatFits(timeMs, changes)
    for (const job of this.jobs) {
      if (job.submitMs > timeMs || this.submitted.has(job)) continue
      this.submitted.add(job)
      if (!changes.jobs.includes(job)) changes.jobs.push(job)
    }
    this.updatePlaces(timeMs, changes)
    return changes
  }

  private end(job: PlannedJob, changes: Changes): void {
    job.state = job.ending
    for (const place of this.places) {
      if (job.nodes.includes(place.node)) place.freeCores += job.coresPerNode ?? this.options.coresPerNode
    }
    changes.ended.push(job)
    changes.jobs.push(job)
  }

  private startWhatFits(timeMs: number, changes: Changes): void {
    const { coresPerNode } = this.options
    let reserved = 0
    for (const job of this.jobs) {
      if (job.state !== 'queued') continue
      const due = timeMs >= job.earliestMs
      const fitting = this.fitting(job)
      const free = this.places.filter(p => p.freeCores === coresPerNode).length
      const room = job.besides === '' ? free - reserved : fitting.length
      if (due && fitting.length >= job.nodesWanted && room >= job.nodesWanted) {
        this.place(job, fitting.slice(0, job.nodesWanted), timeMs, changes)
        continue
      }
      if (job.kind !== 'queued' && job.kind !== 'filler' && job.besides === '') reserved += job.nodesWanted
      const reason = due ? (fitting.length < job.nodesWanted ? 'Resources' : 'Priority') : ''
      if (due && job.reason !== reason) changes.jobs.push(job)
      job.reason = reason
    }
  }

  private fitting(job: PlannedJob): Place[] {
    const beside = this.jobs.find(j => j.id === job.besides)
    if (beside) {
      return this.places.filter(p => beside.nodes.includes(p.node) && p.freeCores >= (job.coresPerNode ?? 0))
    }
    return this.places.filter(p => p.freeCores === this.options.coresPerNode)
  }

  private place(job: PlannedJob, places: readonly Place[], timeMs: number, changes: Changes): void {
    for (const p of places) p.freeCores -= job.coresPerNode ?? this.options.coresPerNode
    job.nodes = places.map(p => p.node)
    job.state = 'running'
    job.reason = ''
    job.startMs = timeMs
    changes.started.push(job)
    changes.jobs.push(job)
  }

  private updatePlaces(timeMs: number, changes: Changes): void {
    const { silent, coresPerNode } = this.options
    const again = timeMs - this.toldMs >= AGAIN_MS
    if (again) this.toldMs = timeMs
    for (const p of this.places) {
      p.down = p.node === silent?.node && timeMs >= silent.downMs
      const used = p.node === silent?.node ? 0 : coresPerNode - p.freeCores
      const state = p.down ? 'down*' : used === 0 ? 'idle' : used < coresPerNode ? 'mixed' : 'allocated'
      if (again || state !== p.state) changes.nodes.push(p.node)
      p.state = state
    }
  }

  /** The scheduler's record of a node. */
  nodeRecord(cluster: string, node: string, updatedMs: number): Node {
    const place = this.places.find(p => p.node === node)
    return {
      cluster,
      node,
      schedulerState: place?.state ?? 'unknown',
      ...(place?.down ? { schedulerReason: 'Not responding [slurm@2026]' } : {}),
      schedulerCores: this.options.coresPerNode,
      schedulerQueues: ['batch', 'shared'],
      updatedMs,
    }
  }
}

const SLURM_WORDS: Partial<Record<Job['state'], string>> = { queued: 'PENDING', out_of_memory: 'OUT_OF_MEMORY' }

/** A job as the scheduler tells it at `updatedMs`. */
export function jobRecord(
  cluster: string,
  job: PlannedJob,
  memoryBytes: number,
  cores: number,
  updatedMs: number,
): Job {
  const ran = job.startMs > 0
  const ended = ran && job.state !== 'running'
  const perNode = job.coresPerNode ?? cores
  const memory = job.app.memoryBytesPerNode ?? memoryBytes
  return {
    cluster,
    id: job.id,
    scheduler: 'slurm',
    state: job.state,
    schedulerState: SLURM_WORDS[job.state] ?? job.state.toUpperCase(),
    ...(job.reason === '' ? {} : { reason: job.reason }),
    rawId: job.id,
    name: job.name,
    user: job.user,
    uid: job.uid,
    account: job.account,
    queue: job.queue,
    submitMs: job.submitMs,
    ...(ran ? { startMs: job.startMs } : {}),
    ...(ended ? { endMs: Math.round(job.startMs + job.runMs), exitCode: job.exitCode, signal: job.signal } : {}),
    timeLimitSeconds: job.timeLimitMs / 1000,
    nodeCount: job.nodesWanted,
    cores: job.nodesWanted * perNode,
    gpus: 0,
    memoryBytes: job.nodesWanted * memory,
    restarts: 0,
    workDir: `/home/${job.user}/${job.name}`,
    command: `/home/${job.user}/${job.name}/submit.sh`,
    ...(ran ? { allocations: job.nodes.map(node => ({ node, cores: perNode, memoryBytes: memory, gpus: 0 })) } : {}),
    updatedMs,
  }
}
