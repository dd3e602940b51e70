/**
 * What jobs did on their nodes over a long past: the three witnesses of work.ts from what the store keeps of minutes and of
 * five minutes, in one question each. A window is made of whole cells:
 *
 *   cells    ▕12:00▕12:05▕12:10▕12:15▕     a row a node, or a job on a node
 *   window               ▕░░░░░░░░░░░▕     10m at 12:15
 *
 * Of processes without a job nothing is kept so long: what they used counts as not listed, so the upper bound of a job that has no
 * control group is a little higher than it was live. Bytes that processes read and wrote are not kept either.
 */
import { type Entity, findMetric } from '../../ingest/metrics.ts'
import { type Asker, numbers, strings } from '../asker.ts'
import { rowsOf } from '../points.ts'
import { within } from '../scope.ts'
import { column, list, type Sql, sql, whole } from '../sql.ts'
import type { Window } from '../window.ts'
import { piecesOf } from './recent.ts'
import type { ReadyRule } from './rule.ts'
import { type Piece, Ticks } from './ticks.ts'
import { OF_GROUPS, OF_NODES, type Witnesses, type WorkOf, workOf } from './work.ts'

const CELL_MS = 300_000
/** Cells of all nodes together. */
const MAX_CELLS = 600_000

/** A whole number of five minutes. */
export const cellOf = ({ from, to }: Window, nodes: number): number =>
  CELL_MS * Math.max(1, Math.ceil((((to - from) / CELL_MS) * nodes) / MAX_CELLS))

/** Figures that are worked out of bytes of processes have no long past. */
export const isKept = ({ figure }: ReadyRule): boolean =>
  !['read_bytes', 'write_bytes', 'io_bytes'].includes(figure ?? '')

/** Cells of one witness. */
interface Cells {
  names: readonly string[]
  pieces: ReadonlyMap<number, Piece>
}

export interface PastWork {
  /** Of the window that ends at a moment, a whole number of cells since 1970; as long as the rule's or a part of a cell longer. */
  at(atMs: number, windowMs: number): WorkOf
}

/** `span`: windows lie within it; its ends are whole cells. */
export async function readPastWork(asker: Asker, cluster: string, span: Window, cellMs: number): Promise<PastWork> {
  const reading: Reading = { asker, cluster, span, cellMs }
  const [processes, groups, nodes] = await Promise.all([
    readProcesses(reading),
    readPoints(reading, 'job', OF_GROUPS),
    readPoints(reading, 'node', OF_NODES),
  ])
  return {
    at: (atMs, windowMs) => {
      const count = Math.max(1, Math.ceil(windowMs / cellMs))
      const witnesses: Witnesses = {
        processes: ticksAt(processes, atMs, count, cellMs),
        groups: ticksAt(groups, atMs, count, cellMs),
        nodes: ticksAt(nodes, atMs, count, cellMs),
      }
      return workOf(witnesses, count * cellMs)
    },
  }
}

interface Reading {
  asker: Asker
  cluster: string
  span: Window
  cellMs: number
}

/** The last cells before a moment. */
function ticksAt({ names, pieces }: Cells, atMs: number, count: number, cellMs: number): Ticks {
  const end = Math.floor(atMs / cellMs)
  const there = Array.from({ length: count }, (_, i) => pieces.get(end - count + i))
  return new Ticks(
    names,
    there.filter(piece => piece !== undefined),
    atMs,
  )
}

/** End of the cell that a time, the end of what a row is of, falls into. */
const cellEnd = (time: Sql, cellMs: number): Sql =>
  sql`intDiv(toUnixTimestamp(${time}) + ${whole(cellMs / 1000 - 1)}, ${whole(cellMs / 1000)}) * ${whole(cellMs / 1000)}`

const OF_USAGE = {
  seconds: sql`sum(cpu_seconds)`,
  kernel: sql`sum(system_seconds)`,
  memory: sql`toFloat64(max(memory_bytes))`,
  read: sql`0`,
  written: sql`0`,
}

const readProcesses = (reading: Reading): Promise<Cells> =>
  readCells(
    reading,
    'alerts: past work of processes',
    OF_USAGE,
    sql`SELECT toString(node), toString(job), ${cellEnd(sql`minute`, reading.cellMs)} AS cell, ${list(Object.values(OF_USAGE))}
        FROM (SELECT *, minute AS time FROM job_usage) WHERE cluster = ${reading.cluster} AND ${within(reading.span)}
        GROUP BY node, job, cell`,
  )

/** Columns as they are stored: the highest of what is held, the mean of all else. */
function readPoints(reading: Reading, entity: Entity, columns: readonly string[]): Promise<Cells> {
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
  const instance = entity === 'node' ? sql`''` : sql`instance`
  return readCells(
    reading,
    `alerts: past work of ${entity}s`,
    values,
    sql`SELECT toString(node), toString(${instance}) AS of, ${cellEnd(sql`time`, cellMs)} AS cell, ${list(Object.values(values))}
        FROM ${rows} GROUP BY node, of, cell`,
  )
}

async function readCells(
  { asker, cellMs }: Reading,
  name: string,
  values: Readonly<Record<string, Sql>>,
  question: Sql,
): Promise<Cells> {
  const [nodes, instances, ends, ...columns] = await asker.columns(name, question)
  const rows = { nodes: strings(nodes), instances: strings(instances), seconds: numbers(ends), columns }
  return { names: Object.keys(values), pieces: piecesOf(rows, cellMs / 1000) }
}
