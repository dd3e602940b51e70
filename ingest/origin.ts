/** Who sent it: the attributes of an OTLP resource -> cluster, node, and the process where the resource is one. */
import { isIP } from 'node:net'
import { type Attributes, keyOf } from './match.ts'
import type { Place } from './place.ts'
import { EVIDENCE, type Evidence } from './records.ts'
import type { TotalsPlan } from './totals.ts'

export interface Origin {
  cluster: string
  node: string
  /** Tells origins apart as the first part of other keys. */
  key: string
  /** Tick of the sender; 0 where it does not tell. */
  intervalMs: number
  simulated: boolean
  attributes: Attributes
  /** What tells two programs on one node apart, in the attributes of their series. */
  labels: Attributes
  labelsKey: string
  /** It may tell the instances of one tick in several requests. */
  splitsTicks?: boolean
  /** What is added up at its node, of its last tick. */
  totals?: TotalsPlan
  /** The places of its node that it has told of, by entity and instance. */
  places: Map<string, Map<string, Place>>
}

const NODE_ATTRIBUTES = ['host.name', 'k8s.node.name', 'host.id', 'service.instance.id'] as const
const LABELS = ['service.namespace', 'service.name', 'service.instance.id', 'k8s.pod.name', 'container.id'] as const

export function parseOrigin(attributes: Attributes, defaultCluster: string): Origin {
  const cluster = cut(attributes.get('jobsight.cluster') || defaultCluster, 255)
  const named = NODE_ATTRIBUTES.map(name => attributes.get(name)).find(value => value !== undefined && value !== '')
  const node = cut(shortName(named ?? 'unknown'), 255)
  const intervalMs = Number(attributes.get('jobsight.interval_ms') ?? 0)
  const labels = new Map<string, string>()
  for (const name of LABELS) {
    const value = attributes.get(name)
    if (value !== undefined) labels.set(name, value)
  }
  return {
    cluster,
    node,
    key: `${cluster}\0${node}`,
    intervalMs: intervalMs > 0 && intervalMs < 86_400_000 ? Math.round(intervalMs) : 0,
    simulated: attributes.get('jobsight.simulated') === 'true',
    attributes,
    labels,
    labelsKey: keyOf(labels),
    places: new Map(),
  }
}

/** node017.cluster.example -> node017: schedulers and people say the short name. An address stays whole. */
export const shortName = (name: string): string => (isIP(name) !== 0 ? name : (name.split('.')[0] ?? name) || name)

/** Which process, and whose job it is. */
export interface ProcessIdentity {
  pid: number
  startMs: number
  parentPid: number | undefined
  name: string
  command: string
  user: string
  state: string
  executable: string
  container: string
  job: string
  step: string
  rank: number | undefined
  evidence: Evidence
}

/** undefined without a pid. An attribute of the point wins over one of the resource. */
export function parseIdentity(point: Attributes, resource: Attributes): ProcessIdentity | undefined {
  const get = (name: string): string | undefined => point.get(name) ?? resource.get(name)
  const pid = integer(get('process.pid'), 0xffff_ffff)
  if (pid === undefined) return undefined
  const startMs = Date.parse(get('process.creation.time') ?? '')
  const job = cut(get('jobsight.job.id') ?? '', 255)
  const evidence = EVIDENCE.find(e => e === get('jobsight.evidence'))
  return {
    pid,
    startMs: Number.isFinite(startMs) && startMs > 0 ? startMs : 0,
    parentPid: integer(get('process.parent_pid'), 0xffff_ffff),
    name: cut(get('process.executable.name') ?? '', 255),
    command: cut(get('process.command_line') ?? get('process.command') ?? '', 1024),
    user: cut(get('process.owner') ?? '', 255),
    state: cut(get('jobsight.process.state') ?? '', 8),
    executable: cut(get('process.executable.path') ?? '', 1024),
    container: cut(get('container.id') ?? '', 255),
    job,
    step: cut(get('jobsight.job.step') ?? '', 255),
    rank: integer(get('jobsight.job.rank'), 0x7fff_ffff),
    evidence: evidence ?? (job === '' ? 'none' : 'sender'),
  }
}

function integer(text: string | undefined, most: number): number | undefined {
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  return Number.isInteger(value) && value >= 0 && value <= most ? value : undefined
}

export const cut = (text: string, length: number): string => (text.length <= length ? text : text.slice(0, length))
