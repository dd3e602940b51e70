/**
 * What alerts watch, of the longest window, kept in memory: a round asks the store only for what it does not have yet.
 *
 *   pieces   ▕12:00:00▕12:00:30▕ …  ▕12:14:00▕12:14:30▕12:15:00▕
 *   kept      12,000   12,000         11,400   12,000   4,000      rows
 *   stored    12,000   12,000         12,000   12,000   8,000      as the store counts them: reads one column
 *   asked                             ▒▒▒▒▒▒            ▒▒▒▒▒▒
 *
 * So what comes late, from a collector whose network was cut, is in the windows a minute later, however old it is. A piece holds the
 * points of (start, end]. Values are kept as they are stored (scaled integers) in 32 bits: a ratio exactly, bytes to 1 part
 * in 16 million. A thousand nodes with 40 metrics every 10 s and windows of 15 minutes are 14 MiB.
 */

import { type Asker, numbers, strings } from '../asker.ts'
import { within } from '../scope.ts'
import { list, nothing, type Sql, sql, whole } from '../sql.ts'
import { groupBy } from './groups.ts'
import { type Piece, placeOf, Ticks } from './ticks.ts'

/** Where ticks come from. */
export interface TickSource {
  cluster: string
  table: Sql
  /** What beside the node tells two rows of a tick apart. */
  instance: Sql
  /** Numbers of a row, or of all rows of a node and instance at a time where `gathered`. */
  values: Readonly<Record<string, Sql>>
  gathered?: boolean
}

/** What is kept of a table: all values that anybody asked for, of the longest window. */
interface Kept {
  values: Record<string, Sql>
  windowMs: number
  pieces: Map<number, Piece>
  /** Of the past: what was read until here. */
  readMs: number
  /** When all of its window was counted. */
  countedMs: number
  askedMs: number
  /** As they were read last. */
  ticks: Ticks | undefined
  /** One after the other. */
  turn: Promise<unknown>
}

const PIECE_SECONDS = 30
const PIECE_MS = PIECE_SECONDS * 1000
const UNUSED_MS = 3_600_000
/** What comes so late is looked for once a minute: to count a window is what a round costs most. */
const LATE_MS = 120_000
const COUNTED_MS = 60_000
/** Rows of one answer: at a start there are more. */
const MAX_ROWS = 50_000
/**
 * Rows of a node, instance and time that are gathered into one, at least. A table is ordered by node, so each question reads the
 * rows of all times that were merged with its own: a start that asked for too few at once read them all again and again.
 */
const GATHERED = 10

export class Recent {
  readonly #kept = new Map<string, Kept>()
  readonly #past: boolean

  /** `past`: nothing comes in any more, and what follows is asked for next: it is read some way ahead, and never again. */
  constructor({ past = false } = {}) {
    this.#past = past
  }

  /** Ticks of a window that ends at `toMs`, or of a longer one. */
  async ticks(asker: Asker, source: TickSource, windowMs: number, toMs: number): Promise<Ticks> {
    const key = `${source.cluster}\0${source.table.query}`
    const kept = this.#kept.get(key) ?? {
      values: {},
      windowMs: 0,
      pieces: new Map(),
      readMs: 0,
      countedMs: 0,
      askedMs: toMs,
      ticks: undefined,
      turn: Promise.resolve(),
    }
    this.#kept.set(key, kept)
    kept.askedMs = toMs
    // A cluster that is no more, a table that no rule looks at any more.
    for (const [other, { askedMs }] of this.#kept) if (toMs - askedMs > UNUSED_MS) this.#kept.delete(other)
    const mine = kept.turn
      .catch(() => undefined)
      .then(() => update(asker, kept, { source, windowMs, toMs, past: this.#past }))
    kept.turn = mine
    return mine
  }
}

interface Wanted {
  source: TickSource
  windowMs: number
  toMs: number
  past: boolean
}

async function update(asker: Asker, kept: Kept, { source, windowMs, toMs, past }: Wanted): Promise<Ticks> {
  const fresh = Object.keys(source.values).filter(name => kept.values[name] === undefined)
  if (fresh.length === 0 && windowMs <= kept.windowMs && kept.ticks?.toMs === toMs) return kept.ticks
  if (fresh.length > 0) {
    kept.pieces.clear()
    kept.readMs = 0
    kept.countedMs = 0
  }
  kept.values = { ...kept.values, ...source.values }
  if (windowMs > kept.windowMs) kept.countedMs = 0
  kept.windowMs = Math.max(kept.windowMs, windowMs)
  const first = Math.floor((toMs - kept.windowMs) / PIECE_MS)
  for (const start of kept.pieces.keys()) if (start < first) kept.pieces.delete(start)
  const whole = toMs < kept.countedMs || toMs - kept.countedMs >= COUNTED_MS
  const counted = whole ? first : Math.max(first, Math.floor((toMs - LATE_MS) / PIECE_MS))
  const spans = past
    ? spanAhead(kept, first, toMs)
    : spansOf(await readMissing(asker, source, kept.pieces, counted, toMs), MAX_ROWS * (source.gathered ? GATHERED : 1))
  for (const span of spans) {
    const read = await readPieces(asker, { ...source, values: kept.values }, span, past ? kept.readMs : toMs)
    for (const [start, piece] of read) kept.pieces.set(start, piece)
  }
  // Not before all of it was read.
  if (whole) kept.countedMs = toMs
  const pieces = [...kept.pieces].sort(([a], [b]) => a - b).map(([, piece]) => piece)
  kept.ticks = new Ticks(Object.keys(kept.values), pieces, toMs)
  return kept.ticks
}

const AHEAD_MS = 600_000

/** Of the past: from where was read to some way ahead. */
function spanAhead(kept: Kept, first: number, toMs: number): Span[] {
  if (toMs <= kept.readMs) return []
  const from = Math.max(first, Math.floor(kept.readMs / PIECE_MS))
  kept.readMs = Math.ceil((toMs + AHEAD_MS) / PIECE_MS) * PIECE_MS
  return [{ first: from, last: kept.readMs / PIECE_MS - 1 }]
}

interface Missing {
  start: number
  rows: number
}

/** Pieces of which the store has other rows than memory. */
async function readMissing(
  asker: Asker,
  { cluster, table }: TickSource,
  pieces: ReadonlyMap<number, Piece>,
  first: number,
  toMs: number,
): Promise<Missing[]> {
  const [starts, counts] = await asker.columns(
    'alerts: ticks counted',
    sql`SELECT intDiv(toUnixTimestamp(time) - 1, ${whole(PIECE_SECONDS)}), toFloat64(count()) FROM ${table}
        WHERE cluster = ${cluster} AND ${within({ from: first * PIECE_MS, to: toMs })} GROUP BY 1`,
  )
  const stored = numbers(counts)
  return numbers(starts)
    .map((start, i) => ({ start, rows: stored[i] ?? 0 }))
    .filter(({ start, rows }) => pieces.get(start)?.rows !== rows)
    .sort((a, b) => a.start - b.start)
}

interface Span {
  first: number
  last: number
}

/** 3 4 5 9 -> 3-5, 9: neighbours are one question, where they are not too many rows. */
function spansOf(missing: readonly Missing[], maxRows: number): Span[] {
  const spans: (Span & { rows: number })[] = []
  for (const { start, rows } of missing) {
    const open = spans.at(-1)
    if (open && start === open.last + 1 && open.rows + rows <= maxRows) {
      open.last = start
      open.rows += rows
    } else spans.push({ first: start, last: start, rows })
  }
  return spans
}

async function readPieces(asker: Asker, source: TickSource, span: Span, toMs: number): Promise<Map<number, Piece>> {
  const { cluster, table, instance, gathered, values } = source
  const window = within({ from: span.first * PIECE_MS, to: Math.min(toMs, (span.last + 1) * PIECE_MS) })
  const [nodes, instances, seconds, rows, ...columns] = await asker.columns(
    'alerts: ticks',
    sql`SELECT toString(node), toString(${instance}), toUnixTimestamp(time), ${gathered ? sql`toFloat64(count())` : sql`1`},
          ${list(Object.values(values))}
        FROM ${table} WHERE cluster = ${cluster} AND ${window} ${gathered ? sql`GROUP BY node, ${instance}, time` : nothing}`,
  )
  const read = { nodes: strings(nodes), instances: strings(instances), seconds: numbers(seconds), columns }
  return piecesOf({ ...read, rows: numbers(rows) }, PIECE_SECONDS)
}

/** Rows side by side. */
interface Rows {
  nodes: readonly string[]
  instances: readonly string[]
  /** When each ends. */
  seconds: readonly number[]
  /** How many rows of the table each stands for; absent: that is of no use. */
  rows?: readonly number[]
  columns: readonly unknown[][]
}

/** By their number: the piece of (number x length, (number + 1) x length]. */
function piecesOf({ nodes, instances, seconds, rows, columns }: Rows, length: number): Map<number, Piece> {
  const byStart = groupBy(seconds.keys(), row => Math.floor(((seconds[row] ?? 0) - 1) / length))
  const pieces = new Map<number, Piece>()
  for (const [start, mine] of byStart) {
    const known = new Map<string, number>()
    const piece: Piece = {
      from: start * length,
      to: (start + 1) * length,
      rows: mine.reduce((sum, row) => sum + (rows?.[row] ?? 0), 0),
      nodes: [],
      instances: [],
      places: new Uint32Array(mine.length),
      seconds: new Float64Array(mine.length),
      values: columns.map(column => cellsOf(column, mine)),
    }
    mine.forEach((row, i) => {
      piece.places[i] = placeOf(known, piece, nodes[row] ?? '', instances[row] ?? '')
      piece.seconds[i] = seconds[row] ?? 0
    })
    pieces.set(start, piece)
  }
  return pieces
}

function cellsOf(column: readonly unknown[], rows: readonly number[]): Float32Array {
  const cells = new Float32Array(rows.length)
  for (let i = 0; i < rows.length; i++) {
    const cell = column[rows[i] ?? 0]
    cells[i] = typeof cell === 'number' ? cell : Number.NaN
  }
  return cells
}
