/** Ticks in memory, and windows over them: what rules ask of each node, disk, job on a node. */

/** Rows of one piece, side by side. */
export interface Piece {
  /** Its rows are of (from, to], seconds. */
  from: number
  to: number
  /** How many rows of the table it stands for. */
  rows: number
  /** Node and instance of each place. */
  nodes: string[]
  instances: string[]
  /** Of each row: its place, its time in seconds, its values with NaN where there is none. */
  places: Uint32Array
  seconds: Float64Array
  values: Float32Array[]
}

/** The place of a node and instance; a new one where it is not known. */
export function placeOf(
  known: Map<string, number>,
  names: { nodes: string[]; instances: string[] },
  node: string,
  instance: string,
): number {
  const key = `${node}\0${instance}`
  const place = known.get(key)
  if (place !== undefined) return place
  known.set(key, names.nodes.length)
  names.nodes.push(node)
  names.instances.push(instance)
  return known.size - 1
}

/** How the ticks of a window become one value; slope: change a second; count: ticks that have the value. */
export type How = 'avg' | 'max' | 'min' | 'last' | 'sum' | 'count' | 'slope'

/** Windows that end at one moment. Places are numbers; nodes[place] and instances[place] say of what. */
export interface Windows {
  readonly nodes: readonly string[]
  readonly instances: readonly string[]
  /** Places that have a tick within the window, with or without a value. */
  there(windowMs: number): readonly number[]
  /** NaN where a place has no value. */
  over(name: string, how: How, windowMs: number): Float64Array
}

/** All that rules ask of a column and window, from one pass; a number a place. */
interface Folded {
  sum: Float64Array
  count: Float64Array
  min: Float64Array
  max: Float64Array
  first: Float64Array
  last: Float64Array
  /** When first and last were, in seconds. */
  since: Float64Array
  until: Float64Array
}

/** Windows over what was read. */
export class Ticks implements Windows {
  readonly nodes: string[] = []
  readonly instances: string[] = []
  readonly toMs: number
  readonly #names: readonly string[]
  readonly #pieces: readonly Piece[]
  /** Of each piece: its places -> places here. */
  readonly #places: Uint32Array[]
  readonly #toSeconds: number
  readonly #folded = new Map<string, Folded>()
  readonly #there = new Map<number, number[]>()

  constructor(names: readonly string[], pieces: readonly Piece[], toMs: number) {
    const known = new Map<string, number>()
    this.#names = names
    this.#pieces = pieces
    this.toMs = toMs
    this.#toSeconds = Math.floor(toMs / 1000)
    this.#places = pieces.map(piece =>
      Uint32Array.from(piece.nodes, (node, i) => placeOf(known, this, node, piece.instances[i] ?? '')),
    )
  }

  there(windowMs: number): readonly number[] {
    const known = this.#there.get(windowMs)
    if (known) return known
    const seen = new Uint8Array(this.nodes.length)
    const from = this.#fromSeconds(windowMs)
    this.#pieces.forEach(({ places, seconds, from: begin, to: end }, p) => {
      if (end <= from || begin >= this.#toSeconds) return
      const here = this.#places[p] ?? new Uint32Array()
      for (let row = 0; row < places.length; row++) {
        const at = seconds[row] ?? 0
        if (at > from && at <= this.#toSeconds) seen[here[places[row] ?? 0] ?? 0] = 1
      }
    })
    const there = [...seen.keys()].filter(place => seen[place] === 1)
    this.#there.set(windowMs, there)
    return there
  }

  /** Of count 0 where there is none. */
  over(name: string, how: How, windowMs: number): Float64Array {
    const folded = this.#fold(this.#names.indexOf(name), windowMs)
    if (how === 'avg') return folded.sum.map((sum, place) => sum / (folded.count[place] ?? 0))
    if (how === 'sum') return folded.sum.map((sum, place) => (folded.count[place] === 0 ? Number.NaN : sum))
    if (how !== 'slope') return folded[how]
    return folded.last.map((last, place) => {
      const passed = (folded.until[place] ?? 0) - (folded.since[place] ?? 0)
      return passed > 0 ? (last - (folded.first[place] ?? 0)) / passed : Number.NaN
    })
  }

  #fromSeconds = (windowMs: number): number => this.#toSeconds - Math.floor(windowMs / 1000)

  #fold(column: number, windowMs: number): Folded {
    const key = `${column} ${windowMs}`
    const known = this.#folded.get(key)
    if (known) return known
    const [size, from] = [this.nodes.length, this.#fromSeconds(windowMs)]
    const empty = (value: number) => new Float64Array(size).fill(value)
    const folded: Folded = {
      ...{ sum: empty(0), count: empty(0), min: empty(Number.NaN), max: empty(Number.NaN) },
      ...{ first: empty(Number.NaN), last: empty(Number.NaN), since: empty(Number.POSITIVE_INFINITY), until: empty(0) },
    }
    this.#pieces.forEach((piece, p) => {
      if (piece.to <= from || piece.from >= this.#toSeconds) return
      const values = piece.values[column]
      const places = this.#places[p]
      if (values && places) foldPiece(folded, piece, values, places, from, this.#toSeconds)
    })
    this.#folded.set(key, folded)
    return folded
  }
}

/** The hot loop: some million values a round. */
function foldPiece(
  folded: Folded,
  piece: Piece,
  values: Float32Array,
  places: Uint32Array,
  from: number,
  to: number,
): void {
  const { sum, count, min, max, first, last, since, until } = folded
  for (let row = 0; row < values.length; row++) {
    const value = values[row] ?? Number.NaN
    const at = piece.seconds[row] ?? 0
    if (Number.isNaN(value) || at <= from || at > to) continue
    const place = places[piece.places[row] ?? 0] ?? 0
    sum[place] = (sum[place] ?? 0) + value
    count[place] = (count[place] ?? 0) + 1
    // NaN is neither less nor more: the first value is taken.
    if (!((min[place] ?? 0) <= value)) min[place] = value
    if (!((max[place] ?? 0) >= value)) max[place] = value
    if (at < (since[place] ?? 0)) {
      since[place] = at
      first[place] = value
    }
    if (at >= (until[place] ?? 0)) {
      until[place] = at
      last[place] = value
    }
  }
}
