/**
 * Stacks -> one tree as flat arrays, in preorder, pruned to a budget with exact totals.
 *
 *   stacks (root first)      top-down                 bottom-up                 top-down of f = b (the outermost b)
 *   a b c  5                 all 9                    all 9                     all 8
 *   a b    3                 └ a 9                    ├ c 5 - b 5 - a 5         └ b 8, self 3
 *   a d    1                   ├ b 8, self 3 - c 5    ├ b 3 - a 3                 └ c 5
 *                              └ d 1                  └ d 1 - a 1
 *
 * In the bottom-up tree `self` is the time of stacks that end at this caller (it was their root), so in every tree the selfs add
 * up to the root's total. Dropped children of a node become one child OTHER whose self is all of them. Nothing here is recursive.
 */
import { CATEGORIES } from '../ingest/records.ts'
import type { Profile } from './stacks.ts'
import { buildTrie, sumUp, type TreeOptions, type Trie } from './trie.ts'

export const ROOT = -1
export const OTHER = -2

/** Which boxes there are, and in which the time of a stack counts. */
export interface Shape {
  /** -1 for the root. */
  parent: number[]
  /** Index into the profile's functions, or ROOT or OTHER. */
  function: number[]
  /** Slot of the box in which stack s ends; -1 where it is not in the tree. */
  slotOf: Int32Array
}

/** What is in the boxes of a shape. */
export interface Weights {
  /** Nanoseconds. */
  self: number[]
  total: number[]
  samples: number[]
  /** Index into CATEGORIES: what the largest part of total was doing. */
  category: number[]
}

export type Tree = Pick<Shape, 'parent' | 'function'> & Weights

export function buildTree(profile: Profile, options: TreeOptions): Tree {
  const shape = shapeTree(profile, options)
  const { parent, function: of } = shape
  return { parent, function: of, ...weighTree(shape, profile) }
}

/** The boxes that are worth keeping by the profile's values. */
export function shapeTree(profile: Profile, options: TreeOptions): Shape {
  const trie = buildTrie(profile, options)
  const total = sumUp(trie, profile.ns)
  const kept = keep(trie, total, Math.max(2, options.budget))
  const { boxes, slotOf } = order(trie, total, kept)
  return { ...boxes, slotOf: trie.endOf.map(node => (node < 0 ? -1 : (slotOf[node] ?? 0))) }
}

type Boxes = Pick<Shape, 'parent' | 'function'>

/** The kept nodes in preorder, children largest first and OTHER last; and in which slot the time of each trie node counts. */
function order(trie: Trie, total: Float64Array, kept: Uint8Array): { boxes: Boxes; slotOf: Uint32Array } {
  const { first, next } = chainsOf(trie)
  const boxes: Boxes = { parent: [], function: [] }
  const slotOf = new Uint32Array(trie.size)
  const dropped = (node: number) => !kept[node]
  const open: { node: number; parent: number }[] = [{ node: 0, parent: -1 }]
  for (let top = open.pop(); top; top = open.pop()) {
    const { node, parent } = top
    slotOf[node] = boxes.parent.length
    boxes.parent.push(parent)
    boxes.function.push(dropped(node) ? OTHER : node === 0 ? ROOT : (trie.function[node] ?? 0))
    if (dropped(node)) continue
    const children: number[] = []
    for (let child = first[node] ?? 0; child !== 0; child = next[child] ?? 0) children.push(child)
    // One of the dropped ones stands for all of them.
    const other = children.find(dropped)
    const shown = children.filter(child => !dropped(child))
    shown.sort((a, b) => (total[a] ?? 0) - (total[b] ?? 0) || b - a)
    const slot = slotOf[node]
    for (const child of other === undefined ? shown : [other, ...shown]) open.push({ node: child, parent: slot })
  }
  spread(trie, kept, slotOf, boxes)
  return { boxes, slotOf }
}

/** Dropped nodes count where the one that stands for them is: the OTHER child of the last kept node above them. */
function spread(trie: Trie, kept: Uint8Array, slotOf: Uint32Array, boxes: Boxes): void {
  const otherOf = new Uint32Array(boxes.parent.length)
  boxes.function.forEach((f, slot) => {
    if (f === OTHER) otherOf[boxes.parent[slot] ?? 0] = slot
  })
  for (let node = 1; node < trie.size; node++) {
    if (kept[node]) continue
    const parent = trie.parent[node] ?? 0
    slotOf[node] = (kept[parent] ? otherOf[slotOf[parent] ?? 0] : slotOf[parent]) ?? 0
  }
}

/** Self from the stacks that end in a slot, then totals upward: a parent's slot is always below its children's. */
export function weighTree(
  { parent: parents, slotOf }: Shape,
  profile: Pick<Profile, 'ns' | 'counts' | 'categories'>,
): Weights {
  const size = parents.length
  const self = new Float64Array(size)
  const samples = new Float64Array(size)
  const byCategory = new Float64Array(size * CATEGORIES.length)
  const add = (to: Float64Array, at: number, by: number) => {
    to[at] = (to[at] ?? 0) + by
  }
  slotOf.forEach((slot, s) => {
    if (slot < 0) return
    add(self, slot, profile.ns[s] ?? 0)
    add(samples, slot, profile.counts[s] ?? 0)
    add(byCategory, slot * CATEGORIES.length + (profile.categories[s] ?? 0), profile.ns[s] ?? 0)
  })
  const total = Float64Array.from(self)
  for (let slot = size - 1; slot > 0; slot--) {
    const parent = parents[slot] ?? 0
    add(total, parent, total[slot] ?? 0)
    add(samples, parent, samples[slot] ?? 0)
    for (let c = 0; c < CATEGORIES.length; c++) {
      add(byCategory, parent * CATEGORIES.length + c, byCategory[slot * CATEGORIES.length + c] ?? 0)
    }
  }
  return {
    self: Array.from(self),
    total: Array.from(total),
    samples: Array.from(samples),
    category: parents.map((_, slot) => largestOf(byCategory, slot * CATEGORIES.length, CATEGORIES.length)),
  }
}

function largestOf(values: Float64Array, from: number, count: number): number {
  let largest = 0
  for (let i = 1; i < count; i++) if ((values[from + i] ?? 0) > (values[from + largest] ?? 0)) largest = i
  return largest
}

/** Children of each node as chains: first[node], then next[child] …; 0 ends a chain. */
function chainsOf(trie: Trie): { first: Uint32Array; next: Uint32Array } {
  const first = new Uint32Array(trie.size)
  const next = new Uint32Array(trie.size)
  for (let node = trie.size - 1; node > 0; node--) {
    const parent = trie.parent[node] ?? 0
    next[node] = first[parent] ?? 0
    first[parent] = node
  }
  return { first, next }
}

/**
 * Which nodes stay: the largest first, as long as they and the OTHER nodes of their dropped children fit the budget.
 * No child is larger than its parent, so the largest of those next to the kept ones is the largest of all that are left.
 */
function keep(trie: Trie, total: Float64Array, budget: number): Uint8Array {
  const kept = new Uint8Array(trie.size)
  if (trie.size <= budget) return kept.fill(1)
  const { first, next } = chainsOf(trie)
  const waiting = new Uint32Array(trie.size)
  const border = new Largest(total)
  border.push(0)
  let used = 0
  for (let node = border.pop(); node !== undefined; node = border.pop()) {
    const parent = trie.parent[node] ?? 0
    let children = 0
    for (let child = first[node] ?? 0; child !== 0; child = next[child] ?? 0) children++
    // One more node; one more OTHER if it has children; one less OTHER if it was the last its parent waited for.
    const last = node !== 0 && waiting[parent] === 1
    used += 1 + (children > 0 ? 1 : 0) - (last ? 1 : 0)
    if (used > budget) break
    kept[node] = 1
    waiting[node] = children
    if (node !== 0) waiting[parent] = (waiting[parent] ?? 0) - 1
    for (let child = first[node] ?? 0; child !== 0; child = next[child] ?? 0) border.push(child)
  }
  return kept
}

/** A heap: pop() gives the node with the largest value, the one seen first among equals. */
class Largest {
  readonly #values: Float64Array
  readonly #heap: number[] = []

  constructor(values: Float64Array) {
    this.#values = values
  }

  push(node: number): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(node)
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#before(node, heap[above] ?? 0)) break
      heap[at] = heap[above] ?? 0
      at = above
    }
    heap[at] = node
  }

  pop(): number | undefined {
    const heap = this.#heap
    const top = heap[0]
    const node = heap.pop()
    if (top === undefined || node === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && this.#before(heap[below + 1] ?? 0, heap[below] ?? 0)) below++
      if (!this.#before(heap[below] ?? 0, node)) break
      heap[at] = heap[below] ?? 0
      at = below
    }
    heap[at] = node
    return top
  }

  #before(a: number, b: number): boolean {
    const by = (this.#values[a] ?? 0) - (this.#values[b] ?? 0)
    return by > 0 || (by === 0 && a < b)
  }
}
