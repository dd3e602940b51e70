/**
 * What jobs did on their nodes over a long past: the three witnesses of work.ts from what the store keeps of minutes and of
 * five minutes, in one question each. Bytes are those that processes read and wrote in five minutes, and asked for only where a
 * rule is of them.
 *
 * Of processes without a job nothing is kept a minute: what they used counts as not listed, so the upper bound of a job that has no
 * control group is a little higher than it was live.
 */
import { type Entity, findMetric } from '../../ingest/metrics.ts'
import { rowsOf } from '../points.ts'
import { within } from '../scope.ts'
import { column, sql } from '../sql.ts'
import { type Cells, cellsIn, type PastReading, readCells } from './cells.ts'
import type { Measured } from './evaluate.ts'
import { measuresOf } from './measure.ts'
import type { Noted } from './noted.ts'
import { ofWork } from './reader.ts'
import type { ReadyRule } from './rule.ts'
import type { Scene } from './scene.ts'
import { OF_GROUPS, OF_NODES, workOf } from './work.ts'

/** What a rule would have measured at a moment. */
export type PastLook = (then: Scene, noted: Noted) => Measured

const OF_BYTES = ['read_bytes', 'write_bytes', 'io_bytes']

export async function readPastWork(reading: PastReading, rule: ReadyRule): Promise<PastLook> {
  const [processes, groups, nodes] = await Promise.all([
    OF_BYTES.includes(rule.figure ?? '') ? readBytes(reading) : readUsage(reading),
    readPoints(reading, 'job', OF_GROUPS),
    readPoints(reading, 'node', OF_NODES),
  ])
  const lookedMs = cellsIn(rule.windowMs, reading.cellMs) * reading.cellMs
  return (then, noted) => {
    const at = (cells: Cells) => cells.at(then.atMs, rule.windowMs)
    const work = workOf({ processes: at(processes), groups: at(groups), nodes: at(nodes) }, lookedMs)
    const [[, measured] = [rule, NOTHING]] = ofWork([rule], then, work, (one, raws) =>
      measuresOf(one, raws, then, noted),
    )
    return measured
  }
}
const NOTHING: Measured = { measures: [], complete: false }

const readUsage = (reading: PastReading): Promise<Cells> =>
  readCells(reading, 'alerts: past work of processes', {
    rows: sql`(SELECT *, minute AS time FROM job_usage) WHERE cluster = ${reading.cluster} AND ${within(reading.span)}`,
    instance: sql`job`,
    values: { seconds: sql`sum(cpu_seconds)`, kernel: sql`sum(system_seconds)`, memory: sql`max(memory_bytes)` },
  })

const readBytes = (reading: PastReading): Promise<Cells> =>
  readCells(reading, 'alerts: past bytes of processes', {
    rows: sql`processes_5m WHERE cluster = ${reading.cluster} AND ${within(reading.span)}`,
    instance: sql`job`,
    values: {
      seconds: sql`sum(cpu_seconds)`,
      kernel: sql`sum(system_seconds)`,
      read: sql`sum(read_bytes)`,
      written: sql`sum(write_bytes)`,
    },
  })

/** Columns as they are stored: the highest of what is held, the mean of all else. */
function readPoints(reading: PastReading, entity: Entity, columns: readonly string[]): Promise<Cells> {
  const { cluster, span, cellMs, asker } = reading
  const metrics = columns.flatMap(name => findMetric(entity, name) ?? [])
  const grid = { ...span, bucketMs: cellMs, count: (span.to - span.from) / cellMs, rollup: '5m' } as const
  const rows = rowsOf(metrics, grid, asker.nowMs, window => sql`cluster = ${cluster} AND ${within(window)}`)
  const part = (name: string, of: 'sum' | 'count' | 'max') => column({ column: `${name}_${of}` })
  const values = Object.fromEntries(
    metrics.map(({ column: name, overTime }) => [
      name,
      overTime === 'max' || name.startsWith('memory') || name === 'cpu_count'
        ? sql`if(sum(${part(name, 'count')}) = 0, NULL, toFloat64(max(${part(name, 'max')})))`
        : sql`if(sum(${part(name, 'count')}) = 0, NULL, sum(${part(name, 'sum')}) / sum(${part(name, 'count')}))`,
    ]),
  )
  return readCells(reading, `alerts: past work of ${entity}s`, {
    rows,
    instance: entity === 'node' ? sql`''` : sql`instance`,
    values,
  })
}
