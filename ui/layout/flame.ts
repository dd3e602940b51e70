/**
 * Flat arrays of a call tree -> boxes -> pixels, and back. One code for flame, icicle, inverted and sandwich.
 *
 *     stacks      boxes (seconds)              rows by depth
 *     A A A       0: all  [0 ....... 4)        0: 0
 *     B B C       1: A    [0 ....... 4)        1: 1
 *     D           2: B [0 . 3)  4: C [3 . 4)   2: 2 4
 *                 3: D [0 1)                   3: 3
 *
 * Boxes are laid out once a tree. A zoom or a resize only asks again which boxes are seen: per row a binary search for the
 * first, then on to the right edge, so 100,000 boxes cost what the screen shows.
 */

/** Preorder, node 0 is the root. Seconds are CPU seconds. */
export interface Tree {
  readonly parent: Int32Array
  readonly fn: Int32Array
  readonly module: Int32Array
  readonly kind: Int32Array
  readonly self: Float64Array
  readonly total: Float64Array
  readonly samples: Float64Array
  readonly strings: readonly string[]
  readonly kinds: readonly string[]
  /** What the largest part of each box was doing, where the server told; a transformed tree has none. */
  readonly category?: Int32Array | undefined
  readonly categories?: readonly string[] | undefined
}

export interface Boxes {
  readonly tree: Tree
  readonly depth: Uint16Array
  /** Left edge in seconds. */
  readonly start: Float64Array
  /** Boxes of each depth, from left to right. */
  readonly rows: readonly Int32Array[]
  /** Hash of the names from the root: finds "the same box" in the tree of another moment. */
  readonly path: Uint32Array
}

const at = (array: { readonly [i: number]: number; readonly length: number }, i: number): number => array[i] ?? 0

/** Children of box i are list[offsets[i] .. offsets[i + 1]), the widest first, the pruned rest last. */
function sortedChildren(tree: Tree): { offsets: Int32Array; list: Int32Array } {
  const n = tree.parent.length
  const offsets = new Int32Array(n + 1)
  for (let i = 1; i < n; i++) {
    const p = at(tree.parent, i) + 1
    offsets[p] = at(offsets, p) + 1
  }
  for (let i = 0; i < n; i++) offsets[i + 1] = at(offsets, i + 1) + at(offsets, i)
  const next = offsets.slice()
  const list = new Int32Array(Math.max(0, n - 1))
  for (let i = 1; i < n; i++) {
    const p = at(tree.parent, i)
    list[at(next, p)] = i
    next[p] = at(next, p) + 1
  }
  const other = tree.kinds.indexOf('other')
  const last = (i: number) => (at(tree.kind, i) === other ? 1 : 0)
  const widestFirst = (a: number, b: number) => last(a) - last(b) || at(tree.total, b) - at(tree.total, a) || a - b
  for (let i = 0; i < n; i++) {
    const [from, to] = [at(offsets, i), at(offsets, i + 1)]
    if (to - from > 1) list.subarray(from, to).sort(widestFirst)
  }
  return { offsets, list }
}

/** FNV-1a over the string's UTF-16 words, seeded with the hash of the path above. */
function hashName(seed: number, name: string): number {
  let h = seed ^ 0x811c9dc5
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** The widest child first, the pruned rest last. */
export function layoutFlame(tree: Tree): Boxes {
  const n = tree.parent.length
  const { offsets, list } = sortedChildren(tree)
  const depth = new Uint16Array(n)
  const start = new Float64Array(n)
  const path = new Uint32Array(n)
  const rows: number[][] = []
  const todo = n === 0 ? [] : [0]
  while (todo.length > 0) {
    const i = todo.pop() ?? 0
    const d = at(depth, i)
    rows[d] ??= []
    rows[d]?.push(i)
    let x = at(start, i)
    const end = at(offsets, i + 1)
    for (let k = at(offsets, i); k < end; k++) {
      const c = at(list, k)
      depth[c] = d + 1
      start[c] = x
      path[c] = hashName(at(path, i), tree.strings[at(tree.fn, c)] ?? '')
      x += at(tree.total, c)
    }
    for (let k = end - 1; k >= at(offsets, i); k--) todo.push(at(list, k))
  }
  return { tree, depth, start, path, rows: rows.map(r => Int32Array.from(r)) }
}

export const boxWithPath = (boxes: Boxes, path: number): number => Math.max(0, boxes.path.indexOf(path))

/** The part of the tree that fills the width: a box and everything below it; above it its callers over the whole width. */
export interface View {
  readonly zoom: number
  readonly width: number
}

const left = (boxes: Boxes, view: View) => at(boxes.start, view.zoom)
const scale = (boxes: Boxes, view: View) => view.width / Math.max(1e-12, at(boxes.tree.total, view.zoom))

/** First box of a row whose right edge is right of x seconds. */
function firstRightOf(boxes: Boxes, row: Int32Array, seconds: number): number {
  let low = 0
  let high = row.length
  while (low < high) {
    const mid = (low + high) >> 1
    const i = at(row, mid)
    if (at(boxes.start, i) + at(boxes.tree.total, i) > seconds) high = mid
    else low = mid + 1
  }
  return low
}

/** Pixels of one row: x, width and box of each rectangle; box -1 is a run of boxes that are under one pixel each. */
export interface PixelRow {
  x: number[]
  width: number[]
  box: number[]
}

export const GREY = -1

/** The rectangles of one depth. Callers of the zoomed box fill the width. */
export function pixelRow(boxes: Boxes, view: View, depth: number): PixelRow {
  const out: PixelRow = { x: [], width: [], box: [] }
  const zoomDepth = at(boxes.depth, view.zoom)
  if (depth <= zoomDepth) {
    out.x.push(0)
    out.width.push(view.width)
    out.box.push(ancestor(boxes, view.zoom, depth))
    return out
  }
  const row = boxes.rows[depth]
  if (row === undefined) return out
  const from = left(boxes, view)
  const k = scale(boxes, view)
  const end = from + at(boxes.tree.total, view.zoom)
  for (let j = firstRightOf(boxes, row, from); j < row.length; j++) {
    const i = at(row, j)
    const start = at(boxes.start, i)
    if (start >= end - 1e-12) break
    place(out, (start - from) * k, at(boxes.tree.total, i) * k, i)
  }
  return out
}

/** A box, or where it is under one pixel a part of the grey run before it. */
function place(out: PixelRow, x: number, width: number, box: number): void {
  if (width >= 1) {
    out.x.push(x)
    out.width.push(width)
    out.box.push(box)
    return
  }
  const last = out.box.length - 1
  const end = at(out.x, last) + at(out.width, last)
  if (last >= 0 && out.box[last] === GREY && x - end < 1) {
    out.width[last] = x + width - at(out.x, last)
  } else {
    out.x.push(x)
    out.width.push(width)
    out.box.push(GREY)
  }
}

export function ancestor(boxes: Boxes, box: number, depth: number): number {
  let i = box
  while (at(boxes.depth, i) > depth) i = at(boxes.tree.parent, i)
  return i
}

/** Box under a pixel, or -1. Binary search in its row; a sliver under one pixel can be hit too. */
export function hitBox(boxes: Boxes, view: View, depth: number, x: number): number {
  if (depth < 0 || x < 0 || x > view.width) return -1
  if (depth <= at(boxes.depth, view.zoom)) return ancestor(boxes, view.zoom, depth)
  const row = boxes.rows[depth]
  if (row === undefined) return -1
  const seconds = left(boxes, view) + x / scale(boxes, view)
  const end = left(boxes, view) + at(boxes.tree.total, view.zoom)
  const i = row[firstRightOf(boxes, row, seconds)]
  return i !== undefined && at(boxes.start, i) <= seconds && at(boxes.start, i) < end ? i : -1
}

/** Deepest row that has anything below the zoomed box. */
export function depthBelow(boxes: Boxes, zoom: number): number {
  const from = at(boxes.start, zoom)
  const end = from + at(boxes.tree.total, zoom)
  let d = at(boxes.depth, zoom)
  for (;;) {
    const row = boxes.rows[d + 1]
    if (row === undefined) return d
    const i = row[firstRightOf(boxes, row, from)]
    if (i === undefined || at(boxes.start, i) >= end - 1e-12) return d
    d++
  }
}

/** Which strings hold the needle (any case). undefined: nothing is searched for. */
export function matchStrings(strings: readonly string[], needle: string): Uint8Array | undefined {
  const text = needle.trim().toLowerCase()
  if (text === '') return undefined
  return Uint8Array.from(strings, s => (s.toLowerCase().includes(text) ? 1 : 0))
}

export const isMatch = (tree: Tree, matched: Uint8Array, box: number): boolean =>
  at(matched, at(tree.fn, box)) === 1 || at(matched, at(tree.module, box)) === 1

/** Seconds under a box whose stack holds a match. A match below a match is not counted twice. */
export function matchedSeconds(boxes: Boxes, matched: Uint8Array, zoom: number): number {
  const { tree } = boxes
  const end = at(boxes.start, zoom) + at(tree.total, zoom)
  let seconds = 0
  for (let i = zoom; i > 0; i = at(tree.parent, i)) if (isMatch(tree, matched, i)) return at(tree.total, zoom)
  let covered = at(boxes.start, zoom)
  for (const { start, total } of matchesBelow(boxes, matched, zoom, end)) {
    const from = Math.max(covered, start)
    if (start + total > from) {
      seconds += start + total - from
      covered = start + total
    }
  }
  return seconds
}

function matchesBelow(boxes: Boxes, matched: Uint8Array, zoom: number, end: number) {
  const { tree, start } = boxes
  const found: { start: number; total: number }[] = []
  for (let i = 0; i < tree.parent.length; i++) {
    const s = at(start, i)
    if (at(boxes.depth, i) > at(boxes.depth, zoom) && s >= at(start, zoom) && s < end && isMatch(tree, matched, i))
      found.push({ start: s, total: at(tree.total, i) })
  }
  return found.sort((a, b) => a.start - b.start || b.total - a.total)
}
