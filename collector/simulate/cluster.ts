/** All nodes and the scheduler of a simulated cluster; makes one tick of their traffic at a time. */
import type { Node } from '../../ingest/records.ts'
import { Body } from '../otlpbody.ts'
import { encodeProfiles } from '../profiles.ts'
import type { SampledProcess } from '../sampler.ts'
import { type Hardware, Host } from './host.ts'
import { NodeMessage, ProcessMessages, type Sender } from './messages.ts'
import { GIB, type SimulatedProcess } from './model.ts'
import type { PlannedJob, Span } from './plan.ts'
import { openRandom, type Random } from './random.ts'
import { type Changes, jobRecord, Schedule } from './schedule.ts'
import { layoutOf } from './values.ts'
import { HZ, Sampling } from './windows.ts'

export interface Traffic {
  door: 'metrics' | 'profiles' | 'jobs'
  body: Uint8Array
  /** End of the newest tick or window in it. */
  timeMs: number
}

export interface ClusterOptions {
  cluster: string
  nodes: number
  jobs: number
  stories: boolean
  seed: number
  span: Span
  stepMs: number
  processes: boolean
  stacks: boolean
  /** Nodes tell of their devices too. */
  devices: boolean
  /** One metrics request a node and tick, as collectors without a gateway send them; else ticks share requests. */
  requestPerNode: boolean
}

/** What a metrics request grows to before it is sent. */
const REQUEST_BYTES = 1 << 20
const CORES = 64
const GPU_NODE_EVERY = 8
const GPUS_PER_NODE = 4
const NODES_PER_RECORD = 500

export const nodeName = (index: number, nodes: number): string =>
  `n${String(index + 1).padStart(Math.max(3, String(nodes).length), '0')}`

/** The last node stops answering in the second half of the history; small clusters cannot spare one. */
export function silentNode({
  nodes,
  stories,
  span,
}: Pick<ClusterOptions, 'nodes' | 'stories' | 'span'>): { node: string; silentMs: number; downMs: number } | undefined {
  if (nodes < 10 || !stories) return undefined
  const long = span.untilMs - span.beginMs
  const silentMs = span.beginMs + 0.55 * long
  return { node: nodeName(nodes - 1, nodes), silentMs, downMs: silentMs + Math.min(300_000, 0.05 * long) }
}

export function scheduleOf(options: Pick<ClusterOptions, 'nodes' | 'jobs' | 'stories' | 'seed' | 'span'>): Schedule {
  const { nodes, jobs, stories, seed, span } = options
  const names = Array.from({ length: nodes }, (_, i) => nodeName(i, nodes))
  return new Schedule({ nodes: names, coresPerNode: CORES, jobs, stories, seed, span, silent: silentNode(options) })
}

interface Member {
  host: Host
  message: NodeMessage | undefined
  processes: ProcessMessages
  random: Random
}

export class Cluster {
  private readonly options: ClusterOptions
  private readonly members: Member[]
  private readonly byName: Map<string, Host>
  private readonly schedule: Schedule
  private readonly sampling = new Sampling()
  private readonly body = new Body()
  private readonly silent: ReturnType<typeof silentNode>
  private windowStartMs: number
  private readonly sender: Sender

  /** `perCore`: nodes that send every core too. */
  constructor(options: ClusterOptions, perCore: ReadonlySet<string>) {
    const { cluster, nodes, seed, span, stepMs } = options
    this.options = options
    this.sender = { cluster, stepMs }
    this.windowStartMs = span.beginMs
    this.silent = silentNode(options)
    this.schedule = scheduleOf(options)
    const layouts = new Map<string, ReturnType<typeof layoutOf>>()
    this.members = Array.from({ length: nodes }, (_, i) => {
      const node = nodeName(i, nodes)
      const hardware: Hardware = {
        cores: CORES,
        memoryBytes: (i % 16 === 15 ? 512 : 256) * GIB,
        pressure: i % 32 !== 31,
        perCore: perCore.has(node),
        devices: options.devices,
        gpus: options.devices && i % GPU_NODE_EVERY === 1 ? GPUS_PER_NODE : 0,
      }
      const shape = `${hardware.perCore} ${hardware.gpus}`
      const layout = layouts.get(shape) ?? layoutOf(hardware)
      layouts.set(shape, layout)
      const host = new Host(node, hardware, layout, seed, span.beginMs)
      const processes = new ProcessMessages(node, this.sender)
      return { host, message: undefined, processes, random: openRandom(seed, 'samples', node) }
    })
    this.byName = new Map(this.members.map(m => [m.host.node, m.host]))
  }

  /** What nodes say of themselves when their collectors start. */
  *inventory(timeMs: number): Generator<Traffic> {
    const { cluster, stepMs } = this.options
    yield* this.told(
      this.members.map(m => m.host.inventory(cluster, stepMs, timeMs)),
      timeMs,
    )
  }

  /** Everything sent for the interval that ends at `timeMs`; stack windows end at multiples of `windowMs`. */
  *tick(timeMs: number, windowMs: number): Generator<Traffic> {
    const { stepMs, stacks, requestPerNode, processes } = this.options
    yield* this.scheduled(this.schedule.advance(timeMs - stepMs), timeMs)
    for (const member of this.members) {
      if (this.isSilent(member.host, timeMs)) continue
      const { host } = member
      host.tick(timeMs, stepMs)
      member.message ??= new NodeMessage(host.node, this.sender, host.values.layout, host.values.flat)
      member.message.write(this.body, timeMs - stepMs, timeMs, host.values.flat)
      if (processes) member.processes.write(this.body, timeMs - stepMs, timeMs, host.processes)
      if (requestPerNode || this.body.length >= REQUEST_BYTES) yield* this.flush(timeMs)
    }
    if (timeMs % windowMs < stepMs) {
      yield* this.flush(timeMs)
      if (stacks) for (const member of this.members) yield* this.profiles(member, timeMs)
      this.windowStartMs = timeMs
    }
  }

  /** What has been gathered and not yet sent. */
  *flush(timeMs: number): Generator<Traffic> {
    if (this.body.length > 0) yield { door: 'metrics', body: this.body.take(), timeMs }
  }

  private isSilent(host: Host, timeMs: number): boolean {
    return this.silent !== undefined && host.node === this.silent.node && timeMs > this.silent.silentMs
  }

  private *profiles(member: Member, timeMs: number): Generator<Traffic> {
    const { host, random } = member
    if (this.isSilent(host, timeMs)) return
    const gone = host.gone
    host.gone = []
    const all = [...host.processes, ...gone]
    const window = this.sampling.drain(all, this.windowStartMs, timeMs, random)
    if (!window) return
    const byPid = new Map<number, SimulatedProcess>(all.map(p => [p.pid, p]))
    const charge = ({ pid }: SampledProcess) => {
      const p = byPid.get(pid)
      const job = p?.job ?? ''
      return { job, step: p?.step ?? '', rank: p?.rank, evidence: job === '' ? ('none' as const) : ('cgroup' as const) }
    }
    const sender = { node: host.node, cluster: this.options.cluster, simulated: true, hz: HZ }
    for (const body of encodeProfiles(window, sender, charge)) yield { door: 'profiles', body, timeMs }
  }

  private *scheduled(changes: Changes, timeMs: number): Generator<Traffic> {
    for (const job of changes.ended) for (const node of job.nodes) this.byName.get(node)?.end(job)
    for (const job of changes.started) {
      job.nodes.forEach((node, index) => {
        this.byName.get(node)?.start(job, index, job.startMs)
      })
    }
    const { cluster, stepMs } = this.options
    const updatedMs = timeMs - stepMs
    const records = changes.nodes.map(node => this.schedule.nodeRecord(cluster, node, updatedMs))
    yield* this.told(records, timeMs)
    if (changes.jobs.length === 0) return
    const jobs = changes.jobs.map(job => jobRecord(cluster, job, this.memoryOf(job), CORES, updatedMs))
    yield { door: 'jobs', body: json({ jobs }), timeMs }
  }

  private memoryOf(job: PlannedJob): number {
    return this.byName.get(job.nodes[0] ?? '')?.hardware.memoryBytes ?? 256 * GIB
  }

  private *told(nodes: readonly Node[], timeMs: number): Generator<Traffic> {
    for (let i = 0; i < nodes.length; i += NODES_PER_RECORD) {
      yield { door: 'jobs', body: json({ nodes: nodes.slice(i, i + NODES_PER_RECORD) }), timeMs }
    }
  }
}

const encoder = new TextEncoder()
const json = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))
