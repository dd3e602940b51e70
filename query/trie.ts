/**
 * Stacks -> the whole tree, every path merged: what tree.ts prunes and lays out as an answer.
 * Nothing here is recursive: stacks can be deeper than JavaScript's.
 */
import { IDLE, type Profile } from './stacks.ts'

type Direction = 'topdown' | 'bottomup'

export interface TreeOptions {
  direction: Direction
  /** At most so many nodes, those that stand for dropped ones included; at least 2. */
  budget: number
  idle: boolean
  /** Mask over the profile's functions: the tree below (top-down) or above (bottom-up) these only. */
  only?: Uint8Array | undefined
}

/** Every node of the whole tree, in order of first sight: a parent always comes before its children. */
export interface Trie {
  size: number
  parent: Uint32Array
  function: Uint32Array
  /** Node in which stack s ends; -1 where it is not in the tree. */
  endOf: Int32Array
}

/** Positions of stack s in `frames`, in the order of the tree: [first, step, how many]. */
function pathOf(profile: Profile, s: number, { direction, only }: TreeOptions): [number, number, number] {
  const leaf = profile.offsets[s] ?? 0
  let root = (profile.offsets[s + 1] ?? 0) - 1
  if (!only) return direction === 'topdown' ? [root, -1, root - leaf + 1] : [leaf, 1, root - leaf + 1]
  let outermost = root
  while (outermost >= leaf && !only[profile.frames[outermost] ?? 0]) outermost--
  if (outermost < leaf) return [0, 0, -1]
  if (direction === 'bottomup') return [outermost, 1, root - outermost + 1]
  root = outermost
  return [root, -1, root - leaf + 1]
}

export function buildTrie(profile: Profile, options: TreeOptions): Trie {
  const children = new Children()
  const endOf = new Int32Array(profile.ns.length).fill(-1)
  for (let s = 0; s < profile.ns.length; s++) {
    if (!options.idle && profile.categories[s] === IDLE) continue
    const [first, step, count] = pathOf(profile, s, options)
    if (count < 0) continue
    let node = 0
    for (let i = 0; i < count; i++) node = children.of(node, profile.frames[first + i * step] ?? 0)
    // A stack whose frames are not in the store still has its time: it is a call of the unknown function.
    endOf[s] = count === 0 ? children.of(0, 0) : node
  }
  return { ...children.nodes(), endOf }
}

/** (node, function) -> child, made at first sight. Open addressing on typed arrays: a Map of numbers was 4x slower. */
class Children {
  #size = 1
  #parent = new Uint32Array(1024)
  #function = new Uint32Array(1024)
  /** Node numbers, 0 = free (the root is nobody's child). */
  #slots = new Uint32Array(4096)

  of(node: number, f: number): number {
    let slot = this.#find(node, f)
    const found = this.#slots[slot] ?? 0
    if (found !== 0) return found
    if (this.#size === this.#parent.length) {
      this.#grow()
      slot = this.#find(node, f)
    }
    const made = this.#size++
    this.#slots[slot] = made
    this.#parent[made] = node
    this.#function[made] = f
    return made
  }

  nodes(): Omit<Trie, 'endOf'> {
    return { size: this.#size, parent: this.#parent, function: this.#function }
  }

  /** The slot that holds the child, or the free one where it belongs. At most a quarter of the slots is taken. */
  #find(node: number, f: number): number {
    const mask = this.#slots.length - 1
    let slot = hash(node, f) & mask
    for (;;) {
      const found = this.#slots[slot] ?? 0
      if (found === 0 || (this.#parent[found] === node && this.#function[found] === f)) return slot
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    this.#parent = grown(this.#parent)
    this.#function = grown(this.#function)
    this.#slots = new Uint32Array(this.#parent.length * 4)
    for (let node = 1; node < this.#size; node++) {
      this.#slots[this.#find(this.#parent[node] ?? 0, this.#function[node] ?? 0)] = node
    }
  }
}

const hash = (node: number, f: number): number => {
  const h = Math.imul(node, 0x9e3779b1) ^ Math.imul(f, 0x85ebca6b)
  return (h ^ (h >>> 15)) >>> 0
}

function grown(old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(old.length * 2)
  larger.set(old)
  return larger
}

/** Inclusive sums of a value per stack. */
export function sumUp(trie: Trie, values: Float64Array): Float64Array {
  const total = new Float64Array(trie.size)
  trie.endOf.forEach((node, s) => {
    if (node >= 0) total[node] = (total[node] ?? 0) + (values[s] ?? 0)
  })
  for (let node = trie.size - 1; node > 0; node--) {
    const parent = trie.parent[node] ?? 0
    total[parent] = (total[parent] ?? 0) + (total[node] ?? 0)
  }
  return total
}
