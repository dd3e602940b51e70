/**
 * Processes of one tick as OTLP: each process is a resource, with OpenTelemetry's names as far as they go.
 *
 *   ResourceMetrics { resource { host.name, process.pid, … state }, scope_metrics { metrics { process.cpu.utilization … } } }
 *                     ^ the same bytes each tick              ^ a letter                       ^ but for times and values
 *
 * So the bytes of a process are kept, and each tick is a copy of them that is patched, as with the series of the node
 * (otlpbody.ts).
 */
import {
  type Attributes,
  attributesPiece,
  type Body,
  deltaPiece,
  field,
  type Piece,
  pointPiece,
  text,
} from './otlpbody.ts'
import type { ProcessReading } from './processes.ts'

export interface ProcessEncoder {
  /** Appends an ExportMetricsServiceRequest, nothing where there is no process. The body knows the times. */
  write(body: Body, processes: readonly ProcessReading[], seconds: number): void
}

/** What a process sent last. */
interface Kept {
  process: ProcessReading
  /** A bit for each of SERIES that it has. */
  has: number
  /** Places: the letter of its state, then the values that it has. */
  piece: Piece
}

/** What its attributes are made of, but for its pid and its start, which it is known by, and its state. */
const SAME = [
  'name',
  'command',
  'user',
  'parentPid',
  'executable',
  'container',
  'job',
  'step',
  'rank',
  'evidence',
] as const

export function openProcessEncoder(common: Attributes): ProcessEncoder {
  const same = attributesPiece(1, common)
  let kept = new Map<string, Kept>()
  return {
    write(body, processes, seconds) {
      const next = new Map<string, Kept>()
      for (const process of processes) {
        const key = `${process.pid} ${process.startMs}`
        const known = kept.get(key)
        const has = seriesOf(process)
        const isSame = known?.has === has && SAME.every(name => known.process[name] === process[name])
        const piece = isSame ? known.piece : pieceOf(same, attributesOf(process), has)
        next.set(key, { process, has, piece })
        writePiece(body, piece, process, has, seconds)
      }
      kept = next
    },
  }
}

function writePiece(body: Body, { bytes, places }: Piece, process: ProcessReading, has: number, seconds: number): void {
  const at = body.append(bytes)
  body.patchByte(at + (places[0] ?? 0), process.state.charCodeAt(0))
  let place = 1
  SERIES.forEach(({ metric, value }, i) => {
    if ((has & (1 << i)) === 0) return
    body.patch(at + (places[place++] ?? 0), (value(process) ?? 0) * (metric.isSum ? seconds : 1))
  })
}

function attributesOf(process: ProcessReading): Attributes {
  return {
    'process.pid': process.pid,
    'process.creation.time': new Date(process.startMs).toISOString(),
    'process.executable.name': process.name,
    ...(process.command === '' ? {} : { 'process.command_line': process.command }),
    ...(process.user === '' ? {} : { 'process.owner': process.user }),
    ...(process.parentPid === undefined ? {} : { 'process.parent_pid': process.parentPid }),
    ...(process.executable === '' ? {} : { 'process.executable.path': process.executable }),
    ...(process.container === '' ? {} : { 'container.id': process.container }),
    ...(process.job === '' ? {} : { 'jobsight.job.id': process.job }),
    ...(process.step === '' ? {} : { 'jobsight.job.step': process.step }),
    ...(process.rank === undefined ? {} : { 'jobsight.job.rank': process.rank }),
    'jobsight.evidence': process.evidence,
  }
}

interface Wire {
  name: string
  unit: string
  isSum: boolean
}

interface Series {
  metric: Wire
  attributes: Attributes
  value: (process: ProcessReading) => number | undefined
}

const plain = (name: string, unit: string, isSum: boolean, value: Series['value']): Series => ({
  metric: { name, unit, isSum },
  attributes: {},
  value,
})

/** Cores in use, as the semantic conventions have it: 1 is one core. */
const CPU: Wire = { name: 'process.cpu.utilization', unit: '1', isSum: false }
const DISK: Wire = { name: 'process.disk.io', unit: 'By', isSum: true }

/** Those of one metric stand behind each other. */
const SERIES: readonly Series[] = [
  { metric: CPU, attributes: { 'cpu.mode': 'user' }, value: process => process.cpuUser },
  { metric: CPU, attributes: { 'cpu.mode': 'system' }, value: process => process.cpuSystem },
  plain('process.memory.usage', 'By', false, process => process.memoryBytes),
  { metric: DISK, attributes: { 'disk.io.direction': 'read' }, value: process => process.readBytes },
  { metric: DISK, attributes: { 'disk.io.direction': 'write' }, value: process => process.writeBytes },
  plain('process.thread.count', '{thread}', false, process => process.threads),
  plain('jobsight.process.cpu.delay', 's', true, process => process.cpuDelay),
  plain('jobsight.process.disk.delay', 's', true, process => process.diskDelay),
  plain('jobsight.process.numa.node', '1', false, process => process.numaNode),
  plain('jobsight.process.gpu.utilization', '1', false, process => process.gpuUtilization),
  plain('jobsight.process.gpu.memory.usage', 'By', false, process => process.gpuMemoryBytes),
  plain('jobsight.process.ended', '{process}', true, process => process.ended),
]

function seriesOf(process: ProcessReading): number {
  let has = 0
  SERIES.forEach(({ value }, i) => {
    if (value(process) !== undefined) has |= 1 << i
  })
  return has
}

/** ResourceMetrics 1 { resource 1 { attributes 1 }, scope_metrics 2 } */
function pieceOf(common: Piece, attributes: Attributes, has: number): Piece {
  const resource = field(1, [common, attributesPiece(1, attributes), STATE])
  return field(1, [resource, scopePiece(has)])
}

const SCOPES = new Map<number, Piece>()

/** ScopeMetrics { scope 1, metrics 2 } as field 2: the same of all that have the same. */
function scopePiece(has: number): Piece {
  const known = SCOPES.get(has)
  if (known) return known
  const made = field(2, [field(1, [text(1, 'jobsight')]), ...metricPieces(has)])
  SCOPES.set(has, made)
  return made
}

/** Its letter is the last byte. */
const STATE = statePiece()

function statePiece(): Piece {
  const { bytes } = attributesPiece(1, { 'jobsight.process.state': '?' })
  return { bytes, places: [bytes.length - 1] }
}

/** Metric { name 1, unit 3, gauge 5 { points 1 } | sum 7 { points 1, temporality 2, monotonic 3 } } */
function metricPieces(has: number): Piece[] {
  const points = new Map<Wire, Piece[]>()
  for (const [i, { metric, attributes }] of SERIES.entries()) {
    if ((has & (1 << i)) === 0) continue
    const of = points.get(metric) ?? []
    points.set(metric, [...of, pointPiece(attributes)])
  }
  return [...points].map(([{ name, unit, isSum }, all]) => {
    const data = isSum ? field(7, [...all, deltaPiece()]) : field(5, all)
    return field(2, [text(1, name), text(3, unit), data])
  })
}
