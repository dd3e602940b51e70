/**
 * Where a metric goes: OTLP name and attributes -> a column of a point, a field of a process, or a series of its own.
 * Pure; the decoders remember the answers.
 *
 * OpenTelemetry's hostmetrics receiver still sends the attribute names of before the semantic conventions settled, so
 * each name here has its old ones: https://opentelemetry.io/docs/specs/semconv/system/system-metrics/
 */
import { type Arrival, COLUMNS, ENTITIES, type Entity, METRICS, type Metric } from './metrics.ts'

export type Attributes = ReadonlyMap<string, string>

export interface ColumnTarget {
  kind: 'column'
  entity: Entity
  instance: string
  /** Index into COLUMNS[entity] and into values of a point. */
  column: number
  metric: Metric
  divideBy: number
  /** The column arrives under more than one metric name. */
  severalNames: boolean
  /** Tells apart what one column is added up from (reads that were merged and reads that were not). */
  key: string
}

export const PROCESS_FIELDS = [
  'cpuUser',
  'cpuSystem',
  'memoryBytes',
  'readBytes',
  'writeBytes',
  'threads',
  'cpuDelay',
  'diskDelay',
  'numaNode',
  'gpuUtilization',
  'gpuMemoryBytes',
  'ended',
] as const
export type ProcessField = (typeof PROCESS_FIELDS)[number]

export interface ProcessTarget {
  kind: 'process'
  field: ProcessField
  /** Of the point; they say which process where the resource does not. */
  attributes: Attributes
  key: string
}

export interface SeriesTarget {
  kind: 'series'
  attributes: Attributes
  key: string
}

/** A process metric that the process table has no place for: left out, counted. */
export interface NoTarget {
  kind: 'none'
}

export type Target = ColumnTarget | ProcessTarget | SeriesTarget | NoTarget

const OLD_NAMES: Readonly<Record<string, string>> = {
  'system.network.packets': 'system.network.packet.count',
  'system.network.dropped': 'system.network.packet.dropped',
  'system.processes.count': 'system.process.count',
  'system.processes.created': 'system.process.created',
  'process.memory.physical_usage': 'process.memory.usage',
  'process.threads': 'process.thread.count',
}

const OLD_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  'cpu.mode': ['system.cpu.state', 'process.cpu.state', 'state'],
  'cpu.logical_number': ['system.cpu.logical_number', 'cpu'],
  'disk.io.direction': ['system.disk.direction', 'direction'],
  'network.io.direction': ['system.network.io.direction', 'direction'],
  'system.memory.state': ['state'],
  'system.paging.state': ['state'],
  'system.filesystem.state': ['state'],
  'system.paging.direction': ['direction'],
  'system.paging.fault.type': ['system.paging.type', 'type'],
  'process.state': ['system.process.status', 'status'],
}

const OLD_VALUES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'cpu.mode': { wait: 'iowait', interrupt: 'irq' },
  'system.memory.state': { buffered: 'buffers' },
  'system.paging.direction': { page_in: 'in', page_out: 'out' },
}

interface Candidate {
  metric: Metric
  column: number
  arrival: Arrival
}

const CANDIDATES = new Map<string, Candidate[]>()
for (const metric of METRICS) {
  for (const arrival of metric.arrives) {
    const candidate = { metric, arrival, column: COLUMNS[metric.entity].indexOf(metric) }
    const known = CANDIDATES.get(arrival.name)
    if (known === undefined) CANDIDATES.set(arrival.name, [candidate])
    else known.push(candidate)
  }
}

export function match(givenName: string, attributes: Attributes): Target {
  const name = OLD_NAMES[givenName] ?? givenName
  if (name.startsWith('process.') || name in PLAIN_FIELDS) return matchProcess(name, attributes)
  for (const candidate of CANDIDATES.get(name) ?? []) {
    const target = matchColumn(candidate, attributes)
    if (target !== undefined) return target
  }
  return { kind: 'series', attributes, key: keyOf(attributes) }
}

function matchColumn({ metric, column, arrival }: Candidate, attributes: Attributes): ColumnTarget | undefined {
  const wanted = Object.entries(arrival.attributes ?? {})
  if (wanted.some(([name, value]) => attribute(attributes, name) !== value)) return undefined
  if (arrival.without !== undefined && attribute(attributes, arrival.without) !== undefined) return undefined
  const instance = instanceOf(metric.entity, attributes)
  if (instance === undefined) return undefined
  return {
    kind: 'column',
    entity: metric.entity,
    instance,
    column,
    metric,
    divideBy: arrival.divideBy ?? 1,
    severalNames: new Set(metric.arrives.map(a => a.name)).size > 1,
    key: keyOf(attributes),
  }
}

/** '' for the node itself; undefined where the entity needs an instance and the point names none. */
function instanceOf(entity: Entity, attributes: Attributes): string | undefined {
  if (entity === 'node') return ''
  for (const name of ENTITIES[entity].instance) {
    const value = attributes.get(name)
    if (value !== undefined && value !== '') return entity === 'core' ? value.replace(/^cpu/, '') : value
  }
  return undefined
}

function matchProcess(name: string, attributes: Attributes): Target {
  const field = processField(name, attributes)
  return field === undefined ? { kind: 'none' } : { kind: 'process', field, attributes, key: keyOf(attributes) }
}

/** Those that are told apart by nothing but their name. */
const PLAIN_FIELDS: Readonly<Record<string, ProcessField>> = {
  'process.memory.usage': 'memoryBytes',
  'process.thread.count': 'threads',
  'jobsight.process.cpu.delay': 'cpuDelay',
  'jobsight.process.disk.delay': 'diskDelay',
  'jobsight.process.numa.node': 'numaNode',
  'jobsight.process.gpu.utilization': 'gpuUtilization',
  'jobsight.process.gpu.memory.usage': 'gpuMemoryBytes',
  'jobsight.process.ended': 'ended',
}

function processField(name: string, attributes: Attributes): ProcessField | undefined {
  switch (name) {
    case 'process.cpu.utilization':
    case 'process.cpu.time': {
      const mode = attribute(attributes, 'cpu.mode')
      return mode === 'user' ? 'cpuUser' : mode === 'system' ? 'cpuSystem' : undefined
    }
    case 'process.disk.io': {
      const direction = attribute(attributes, 'disk.io.direction')
      return direction === 'read' ? 'readBytes' : direction === 'write' ? 'writeBytes' : undefined
    }
    default:
      return PLAIN_FIELDS[name]
  }
}

/** Value of an attribute under its name or an older one, in today's words. */
function attribute(attributes: Attributes, name: string): string | undefined {
  let value = attributes.get(name)
  for (const old of OLD_ATTRIBUTES[name] ?? []) value ??= attributes.get(old)
  return value === undefined ? undefined : (OLD_VALUES[name]?.[value] ?? value)
}

/** The same attributes in any order give the same key, different ones different keys. */
export const keyOf = (attributes: Attributes): string =>
  JSON.stringify([...attributes].sort(([a], [b]) => (a < b ? -1 : 1)))
