/**
 * A long past in cells of whole five minutes, as the store keeps it when nobody looks at each tick any more. A window is made
 * of whole cells, as long as the rule's or a part of a cell longer:
 *
 *   cells    ▕12:00▕12:05▕12:10▕12:15▕     a node, a job on a node, a process
 *   window               ▕░░░░░░░░░░░▕     10m at 12:15
 */
import { type Asker, lists, numbers, strings } from '../asker.ts'
import { list, nothing, type Sql, sql, whole } from '../sql.ts'
import type { Window } from '../window.ts'
import type { How, Windows } from './ticks.ts'

const CELL_MS = 300_000
/** Cells of all nodes together. */
const MAX_CELLS = 600_000

/** A whole number of five minutes. */
export const cellOf = ({ from, to }: Window, nodes: number): number =>
  CELL_MS * Math.max(1, Math.ceil((((to - from) / CELL_MS) * nodes) / MAX_CELLS))

/** What is read: windows lie within the span, whose ends are whole cells. */
export interface PastReading {
  asker: Asker
  cluster: string
  span: Window
  cellMs: number
}

/** How many cells a window is made of. */
export const cellsIn = (windowMs: number, cellMs: number): number => Math.max(1, Math.ceil(windowMs / cellMs))

/** End of the cell that a time, the end of what a row is of, falls into; seconds. */
export const cellEnd = (time: Sql, cellMs: number): Sql =>
  sql`intDiv(toUnixTimestamp(${time}) + ${whole(cellMs / 1000 - 1)}, ${whole(cellMs / 1000)}) * ${whole(cellMs / 1000)}`

/** Where cells come from. */
export interface CellSource {
  /** Table and conditions: all that follows FROM. */
  rows: Sql
  /** End of what a row is of; `time` when absent. */
  time?: Sql
  /** What beside the node tells two rows of a cell apart. */
  instance: Sql
  /** Numbers, each of all rows of a node, instance and cell. */
  values: Readonly<Record<string, Sql>>
  /** Columns of a row that are the same in all of a node and instance. */
  same?: readonly Sql[]
}

/** What a place holds lies side by side, from its first cell to its last. */
interface Series {
  /** Number of its first cell within the span. */
  first: Uint32Array
  /** Where its cells begin; those of place p end at starts[p + 1]. */
  starts: Uint32Array
  /** A number a cell, NaN where there is none. */
  values: ReadonlyMap<string, Float32Array>
}

export interface Cells {
  readonly nodes: readonly string[]
  readonly instances: readonly string[]
  /** Columns of what is the same, by place. */
  readonly same: unknown[][]
  /** The window that ends at a moment; places[i] is the place here of its place i. */
  at(atMs: number, windowMs: number): Windows & { readonly places: readonly number[] }
}

export async function readCells(reading: PastReading, name: string, source: CellSource): Promise<Cells> {
  const { asker, span, cellMs } = reading
  const { rows, instance, values, same = [], time = sql`time` } = source
  const of = (prefix: Sql, columns: readonly Sql[], wrap: (column: Sql) => Sql) =>
    columns.map((column, i) => wrap(sql`${column} AS ${prefix}${whole(i)}`))
  const inner = [...of(sql`s`, same, c => c), ...of(sql`v`, Object.values(values), c => c)]
  const arrays = Object.keys(values).map((_, i) => sql`groupArray(ifNull(toFloat32(v${whole(i)}), nan))`)
  const kept = same.map((_, i) => sql`anyLast(s${whole(i)})`)
  const grouped = same.map((_, i) => sql`, s${whole(i)}`).reduce((all, next) => sql`${all}${next}`, nothing)
  const [nodes, instances, ends, ...columns] = await asker.columns(
    name,
    sql`SELECT toString(host), toString(of), groupArray(cell), ${list([...arrays, ...kept])} FROM (
          SELECT node AS host, ${instance} AS of, ${cellEnd(time, cellMs)} AS cell, ${list(inner)}
          FROM ${rows} GROUP BY host, of, cell${grouped}
        ) GROUP BY host, of`,
  )
  const numbered = lists(ends).map(cells => numbers(cells).map(end => (end * 1000 - span.from) / cellMs - 1))
  const series = layoutSeries(numbered, Object.keys(values), columns.map(lists))
  const places = { nodes: strings(nodes), instances: strings(instances), same: columns.slice(arrays.length) }
  return {
    ...places,
    at: (atMs, windowMs) => {
      const end = Math.floor((atMs - span.from) / cellMs)
      return new CellWindows(places, series, end - cellsIn(windowMs, cellMs), end)
    },
  }
}

/** `cells`: of each place the numbers of its cells, in any order; `columns[value][place][k]` is of the cell cells[place][k]. */
function layoutSeries(cells: readonly number[][], names: readonly string[], columns: readonly unknown[][][]): Series {
  const first = Uint32Array.from(cells, some => Math.min(...some))
  const starts = new Uint32Array(cells.length + 1)
  cells.forEach((some, place) => {
    starts[place + 1] = (starts[place] ?? 0) + Math.max(...some) - (first[place] ?? 0) + 1
  })
  const values = names.map((name, v): [string, Float32Array] => {
    const out = new Float32Array(starts.at(-1) ?? 0).fill(Number.NaN)
    cells.forEach((some, place) => {
      const begin = (starts[place] ?? 0) - (first[place] ?? 0)
      const given = columns[v]?.[place] ?? []
      for (let k = 0; k < some.length; k++) {
        const value = given[k]
        if (typeof value === 'number') out[begin + (some[k] ?? 0)] = value
      }
    })
    return [name, out]
  })
  return { first, starts, values: new Map(values) }
}

/** Of the places only those that have a cell within the window. */
class CellWindows implements Windows {
  readonly nodes: readonly string[]
  readonly instances: readonly string[]
  readonly places: readonly number[]
  readonly #series: Series
  readonly #from: number
  readonly #to: number

  /** Cells of [from, to). */
  constructor(of: Pick<Cells, 'nodes' | 'instances'>, series: Series, from: number, to: number) {
    this.#series = series
    this.#from = from
    this.#to = to
    const places: number[] = []
    for (let place = 0; place < of.nodes.length; place++) if (this.#begin(place) < this.#end(place)) places.push(place)
    this.places = places
    this.nodes = places.map(place => of.nodes[place] ?? '')
    this.instances = places.map(place => of.instances[place] ?? '')
  }

  #begin = (place: number): number => Math.max(this.#from, this.#series.first[place] ?? 0)
  #end(place: number): number {
    const { first, starts } = this.#series
    return Math.min(this.#to, (first[place] ?? 0) + (starts[place + 1] ?? 0) - (starts[place] ?? 0))
  }

  there(): readonly number[] {
    return [...this.places.keys()]
  }

  over(name: string, how: How): Float64Array {
    const { first, starts, values } = this.#series
    const from = values.get(name)
    const out = new Float64Array(this.places.length).fill(Number.NaN)
    for (let i = 0; from !== undefined && i < out.length; i++) {
      const place = this.places[i] ?? 0
      const at = (starts[place] ?? 0) - (first[place] ?? 0)
      out[i] = oneOf(from, at + this.#begin(place), at + this.#end(place), how)
    }
    return out
  }
}

/** NaN of nothing. */
function oneOf(values: Float32Array, first: number, end: number, how: How): number {
  let [sum, count, most] = [0, 0, Number.NaN]
  for (let i = first; i < end; i++) {
    const value = values[i] ?? Number.NaN
    if (Number.isNaN(value)) continue
    sum += value
    count++
    if (!(most >= value)) most = value
  }
  if (how === 'max') return most
  if (how === 'avg') return sum / count
  return count > 0 ? sum : Number.NaN
}
