/** Records -> rows of RowBinary: for each table its columns, in the order in which they are written. */
import type { Row, SeriesValue } from './gather.ts'
import type { FoldedSample, ProcessWindow } from './profilegather.ts'
import type { Process } from './records.ts'
import type { RowWriter } from './rowbinary.ts'
import type { KnownFrame, KnownStack } from './stackbook.ts'
import { storedColumns } from './stored.ts'
import { perEntity } from './tables/points.ts'

const STORED = perEntity(storedColumns)

/** The answer is how many values there are; one too large for its column is left out. */
export function writePoint(writer: RowWriter, row: Row, arena: Float64Array, used: readonly number[]): number {
  const { entity, cluster, node, instance } = row.place
  writer.string(cluster)
  writer.string(node)
  if (entity !== 'node') writer.string(instance)
  writer.dateTime(row.timeMs)
  writer.u32(Math.min(0xffff_ffff, Math.max(0, row.intervalMs)))
  const values = writer.nullableInts(arena, row.offset, STORED[entity], used)
  writer.endRow()
  return values
}

export const PROCESS_COLUMNS = [
  'cluster',
  'node',
  'time',
  'interval_ms',
  'pid',
  'start_ms',
  'parent_pid',
  'name',
  'command',
  'user',
  'job',
  'step',
  'rank',
  'evidence',
  'cpu_user',
  'cpu_system',
  'memory_bytes',
  'read_bytes',
  'write_bytes',
  'threads',
  'state',
  'executable',
  'container',
  'cpu_delay',
  'disk_delay',
  'numa_node',
  'gpu_utilization',
  'gpu_memory_bytes',
  'ended',
] as const

export function writeProcess(writer: RowWriter, p: Process): void {
  writer.string(p.cluster)
  writer.string(p.node)
  writer.dateTime(p.timeMs)
  writer.u32(p.intervalMs)
  writer.u32(p.pid)
  writer.i64(p.startMs)
  writer.nullable(p.parentPid, v => writer.u32(v))
  writer.string(p.name)
  writer.string(p.command)
  writer.string(p.user)
  writer.string(p.job)
  writer.string(p.step)
  writer.nullable(p.rank, v => writer.i32(v))
  writer.string(p.evidence)
  writer.nullableF32(p.cpuUser)
  writer.nullableF32(p.cpuSystem)
  writer.nullableI64(rounded(p.memoryBytes))
  writer.nullableI64(rounded(p.readBytes))
  writer.nullableI64(rounded(p.writeBytes))
  writer.nullable(rounded(p.threads), v => writer.u32(Math.min(0xffff_ffff, Math.max(0, v))))
  writer.string(p.state)
  writer.string(p.executable)
  writer.string(p.container)
  writer.nullableF32(p.cpuDelay)
  writer.nullableF32(p.diskDelay)
  writer.nullable(rounded(p.numaNode), v => writer.u16(Math.min(0xffff, Math.max(0, v))))
  writer.nullableF32(p.gpuUtilization)
  writer.nullableI64(rounded(p.gpuMemoryBytes))
  writer.nullableF32(p.ended)
  writer.endRow()
}

const rounded = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.round(value))

export const SERIES_COLUMNS = ['series_id', 'cluster', 'node', 'name', 'unit', 'kind', 'attributes', 'seen'] as const

export function writeSeries(writer: RowWriter, id: bigint, s: SeriesValue, nowMs: number): void {
  writer.u64(id)
  writer.string(s.origin.cluster)
  writer.string(s.origin.node)
  writer.string(s.name)
  writer.string(s.unit)
  writer.string(s.kind)
  writer.map([...s.origin.labels, ...s.attributes], value => writer.string(value))
  writer.date(nowMs)
  writer.endRow()
}

export const SERIES_POINT_COLUMNS = ['series_id', 'time', 'value'] as const

export function writeSeriesPoint(writer: RowWriter, id: bigint, s: SeriesValue): void {
  writer.u64(id)
  writer.dateTime64(s.timeMs)
  writer.f64(s.value)
  writer.endRow()
}

export const FRAME_COLUMNS = ['frame_id', 'function_id', 'function', 'module', 'file', 'line', 'kind', 'seen'] as const

export function writeFrame(writer: RowWriter, frame: KnownFrame, nowMs: number): void {
  writer.u64(frame.id)
  writer.u64(frame.functionId)
  writer.string(frame.function)
  writer.string(frame.module)
  writer.string(frame.file)
  writer.u32(frame.line)
  writer.string(frame.kind)
  writer.date(nowMs)
  writer.endRow()
}

export const STACK_COLUMNS = ['stack_id', 'category', 'frames', 'seen'] as const

export function writeStack(writer: RowWriter, stack: KnownStack, frames: readonly bigint[], nowMs: number): void {
  writer.u64(stack.id)
  writer.string(stack.category)
  writer.array(frames, id => writer.u64(id))
  writer.date(nowMs)
  writer.endRow()
}

export const SAMPLE_COLUMNS = [
  'cluster',
  'job',
  'event',
  'node',
  'pid',
  'start_ms',
  'time',
  'window_ms',
  'process',
  'thread',
  'evidence',
  'step',
  'rank',
  'burst',
  'stack_id',
  'value',
  'period',
  'count',
] as const

/** A count that the value tells with the period takes no room: the store divides them (sample_count). */
function writeCount(writer: RowWriter, value: number, count: number, periodNs: number): void {
  const period = count * periodNs === value ? periodNs : 0
  writer.u32(period)
  writer.u32(period > 0 ? 0 : Math.min(0xffff_ffff, count))
}

export function writeSample(writer: RowWriter, { window, thread, stack, value, count }: FoldedSample): void {
  const { head } = window
  writer.string(head.cluster)
  writer.string(head.job)
  writer.string(head.event)
  writer.string(head.node)
  writer.u32(head.pid)
  writer.i64(head.startMs)
  writer.dateTime(head.timeMs)
  writer.u32(head.windowMs)
  writer.string(head.process)
  writer.string(thread)
  writer.string(head.evidence)
  writer.string(head.step)
  writer.nullable(head.rank, v => writer.i32(v))
  writer.string(head.burst)
  writer.u64(stack.id)
  writer.i64(value)
  writeCount(writer, value, count, window.periodNs)
  writer.endRow()
}

export const FUNCTION_MINUTE_COLUMNS = [
  'cluster',
  'job',
  'event',
  'node',
  'pid',
  'start_ms',
  'minute',
  'function_id',
  'self',
  'total',
  'period',
  'self_count',
] as const

export function writeFunctionMinutes(writer: RowWriter, { head, periodNs, minuteMs, functions }: ProcessWindow): void {
  for (const m of functions.values()) {
    writer.string(head.cluster)
    writer.string(head.job)
    writer.string(head.event)
    writer.string(head.node)
    writer.u32(head.pid)
    writer.i64(head.startMs)
    writer.dateTime(minuteMs)
    writer.u64(m.functionId)
    writer.i64(m.self)
    writer.i64(m.total)
    writeCount(writer, m.self, m.selfCount, periodNs)
    writer.endRow()
  }
}

export const JOB_WAITING_COLUMNS = ['cluster', 'job', 'minute', 'node', 'waiting_ns'] as const

/** A row a job, node and minute: of jobs the continuous profile alone, none that waited is 0. */
export function writeJobWaiting(writer: RowWriter, windows: readonly ProcessWindow[]): void {
  const rows = new Map<string, { of: ProcessWindow; ns: number }>()
  for (const window of windows) {
    const { cluster, job, node, event, burst } = window.head
    if (job === '' || event !== 'cpu' || burst !== '') continue
    const key = `${window.minuteMs}\0${cluster}\0${node}\0${job}`
    const row = rows.get(key)
    if (row) row.ns += window.waitingNs
    else rows.set(key, { of: window, ns: window.waitingNs })
  }
  for (const { of, ns } of rows.values()) {
    writer.string(of.head.cluster)
    writer.string(of.head.job)
    writer.dateTime(of.minuteMs)
    writer.string(of.head.node)
    writer.nullableI64(ns)
    writer.endRow()
  }
}
