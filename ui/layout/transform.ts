/**
 * Transforms of a call tree: each makes another tree of the same shape, so that they can be stacked and taken back.
 *
 *   focus:f     only what runs below f, all its call sites merged under the root
 *   drop:f      without the stacks that hold f (their time is gone from the total)
 *   merge:f     f is not drawn, its self time goes to its caller
 *   module:m    calls inside m become one box named m
 *   recursion   a function below itself is folded into its first call
 *   invert      leaves first, under each who calls it
 *
 * A function is written name@module; a name without a module means it in every module.
 */
import type { Tree } from './flame.ts'

export type Transform =
  | { readonly kind: 'focus' | 'drop' | 'merge'; readonly fn: string }
  | { readonly kind: 'module'; readonly module: string }
  | { readonly kind: 'recursion' | 'invert' }

export function parseTransform(text: string): Transform | undefined {
  const cut = text.indexOf(':')
  const kind = cut < 0 ? text : text.slice(0, cut)
  const rest = cut < 0 ? '' : text.slice(cut + 1)
  if (kind === 'recursion' || kind === 'invert') return { kind }
  if (rest === '') return undefined
  if (kind === 'focus' || kind === 'drop' || kind === 'merge') return { kind, fn: rest }
  return kind === 'module' ? { kind, module: rest } : undefined
}

export function formatTransform(t: Transform): string {
  if ('fn' in t) return `${t.kind}:${t.fn}`
  return 'module' in t ? `module:${t.module}` : t.kind
}

const at = (array: { readonly [i: number]: number }, i: number): number => array[i] ?? 0

/** A tree under construction: a child is found by its name, so equal paths meet in one node. Node 0 is the root. */
interface Growing {
  readonly parent: number[]
  readonly fn: number[]
  readonly module: number[]
  readonly kind: number[]
  readonly self: number[]
  /** Samples behind self. */
  readonly samples: number[]
  readonly children: Map<string, number>
}

function grow(tree: Tree): Growing {
  return {
    parent: [-1],
    fn: [at(tree.fn, 0)],
    module: [at(tree.module, 0)],
    kind: [at(tree.kind, 0)],
    self: [0],
    samples: [0],
    children: new Map(),
  }
}

function child(g: Growing, parent: number, fn: number, module: number, kind: number): number {
  const key = `${parent} ${fn} ${module} ${kind}`
  const found = g.children.get(key)
  if (found !== undefined) return found
  const node = g.parent.length
  g.children.set(key, node)
  g.parent.push(parent)
  g.fn.push(fn)
  g.module.push(module)
  g.kind.push(kind)
  g.self.push(0)
  g.samples.push(0)
  return node
}

function add(g: Growing, node: number, self: number, samples: number): void {
  g.self[node] = at(g.self, node) + self
  g.samples[node] = at(g.samples, node) + samples
}

/** Nodes were made parent before child, so one pass from the end sums the totals; then they are put into preorder. */
function finish(g: Growing, strings: readonly string[], kinds: readonly string[]): Tree {
  const n = g.parent.length
  const total = Float64Array.from(g.self)
  const samples = Float64Array.from(g.samples)
  const children: number[][] = Array.from({ length: n }, () => [])
  for (let i = n - 1; i > 0; i--) {
    const p = at(g.parent, i)
    total[p] = at(total, p) + at(total, i)
    samples[p] = at(samples, p) + at(samples, i)
    children[p]?.push(i)
  }
  const order: number[] = []
  const place = new Int32Array(n)
  const todo = [0]
  while (todo.length > 0) {
    const i = todo.pop() ?? 0
    place[i] = order.length
    order.push(i)
    for (const c of children[i] ?? []) if (at(total, c) > 0) todo.push(c)
  }
  const pick = (from: { readonly [i: number]: number }) => order.map(i => at(from, i))
  return {
    parent: Int32Array.from(order, i => (i === 0 ? -1 : at(place, at(g.parent, i)))),
    fn: Int32Array.from(pick(g.fn)),
    module: Int32Array.from(pick(g.module)),
    kind: Int32Array.from(pick(g.kind)),
    self: Float64Array.from(pick(g.self)),
    total: Float64Array.from(pick(total)),
    samples: Float64Array.from(pick(samples)),
    strings,
    kinds,
  }
}

/** Samples behind a node's own time: what its children do not have. */
export function selfSamples(tree: Tree): Float64Array {
  const own = Float64Array.from(tree.samples)
  for (let i = tree.parent.length - 1; i > 0; i--) {
    const p = at(tree.parent, i)
    own[p] = Math.max(0, at(own, p) - at(tree.samples, i))
  }
  return own
}

function namedTest(tree: Tree, name: string): (node: number) => boolean {
  const cut = name.lastIndexOf('@')
  const whole = tree.strings.indexOf(name)
  const fn = cut > 0 ? tree.strings.indexOf(name.slice(0, cut)) : -1
  const module = cut > 0 ? tree.strings.indexOf(name.slice(cut + 1)) : -1
  return i =>
    i > 0 &&
    ((whole >= 0 && at(tree.fn, i) === whole) || (fn >= 0 && at(tree.fn, i) === fn && at(tree.module, i) === module))
}

export const fullName = (tree: Tree, node: number): string => {
  const module = tree.strings[at(tree.module, node)] ?? ''
  const fn = tree.strings[at(tree.fn, node)] ?? ''
  return module === '' ? fn : `${fn}@${module}`
}

/** Where a node goes: a node of the new tree, or GONE with everything below it. */
const GONE = -2

/** Walk in preorder; `where` says to which new node an old one goes, knowing where its parent went. */
function rebuild(tree: Tree, where: (node: number, above: number, g: Growing) => number): Tree {
  const g = grow(tree)
  const own = selfSamples(tree)
  const went = new Int32Array(tree.parent.length)
  for (let i = 0; i < tree.parent.length; i++) {
    const above = i === 0 ? 0 : at(went, at(tree.parent, i))
    const to = i === 0 ? 0 : above === GONE ? GONE : where(i, above, g)
    went[i] = to
    if (to !== GONE) add(g, to, at(tree.self, i), at(own, i))
  }
  return finish(g, tree.strings, tree.kinds)
}

const same = (tree: Tree, i: number, above: number, g: Growing) =>
  child(g, above, at(tree.fn, i), at(tree.module, i), at(tree.kind, i))

function focus(tree: Tree, name: string): Tree {
  const is = namedTest(tree, name)
  const g = grow(tree)
  const own = selfSamples(tree)
  const went = new Int32Array(tree.parent.length).fill(GONE)
  for (let i = 1; i < tree.parent.length; i++) {
    const above = at(went, at(tree.parent, i))
    if (above === GONE && !is(i)) continue
    const to = same(tree, i, above === GONE ? 0 : above, g)
    went[i] = to
    add(g, to, at(tree.self, i), at(own, i))
  }
  return finish(g, tree.strings, tree.kinds)
}

/** The stacks that hold f go; what is left of its callers stays. */
function drop(tree: Tree, name: string): Tree {
  const is = namedTest(tree, name)
  return rebuild(tree, (i, above, g) => (is(i) ? GONE : same(tree, i, above, g)))
}

function merge(tree: Tree, name: string): Tree {
  const is = namedTest(tree, name)
  return rebuild(tree, (i, above, g) => (is(i) ? above : same(tree, i, above, g)))
}

function collapseModule(tree: Tree, name: string): Tree {
  const module = tree.strings.indexOf(name)
  if (module < 0) return tree
  return rebuild(tree, (i, above, g) => {
    if (at(tree.module, i) !== module) return same(tree, i, above, g)
    return at(g.module, above) === module && above !== 0 ? above : child(g, above, module, module, at(tree.kind, i))
  })
}

function collapseRecursion(tree: Tree): Tree {
  return rebuild(tree, (i, above, g) => {
    for (let a = above; a > 0; a = at(g.parent, a))
      if (at(g.fn, a) === at(tree.fn, i) && at(g.module, a) === at(tree.module, i)) return a
    return same(tree, i, above, g)
  })
}

/** Each node's own time, written down from the leaf to the root. Its length is the sum of depths of nodes with own time. */
export function invert(tree: Tree): Tree {
  const g = grow(tree)
  const own = selfSamples(tree)
  for (let i = 0; i < tree.parent.length; i++) {
    if (at(tree.self, i) <= 0) continue
    let to = 0
    for (let a = i; a > 0; a = at(tree.parent, a)) to = same(tree, a, to, g)
    add(g, to, at(tree.self, i), at(own, i))
  }
  return finish(g, tree.strings, tree.kinds)
}

function transformed(tree: Tree, how: Transform): Tree {
  switch (how.kind) {
    case 'focus':
      return focus(tree, how.fn)
    case 'drop':
      return drop(tree, how.fn)
    case 'merge':
      return merge(tree, how.fn)
    case 'module':
      return collapseModule(tree, how.module)
    case 'recursion':
      return collapseRecursion(tree)
    case 'invert':
      return invert(tree)
  }
}

export const transformTree = (tree: Tree, transforms: readonly Transform[]): Tree =>
  transforms.reduce(transformed, tree)

/** Who calls f, as a tree from f upwards: the stacks above every call of f, with the time spent in and below f. */
export function callers(tree: Tree, name: string): Tree {
  const is = namedTest(tree, name)
  const g = grow(tree)
  const inside = new Uint8Array(tree.parent.length)
  for (let i = 1; i < tree.parent.length; i++) {
    const above = at(tree.parent, i)
    inside[i] = is(i) || at(inside, above) === 1 ? 1 : 0
    if (!is(i) || at(inside, above) === 1) continue
    let to = 0
    for (let a = i; a > 0; a = at(tree.parent, a)) to = same(tree, a, to, g)
    add(g, to, at(tree.total, i), at(tree.samples, i))
  }
  return finish(g, tree.strings, tree.kinds)
}

export interface FunctionSum {
  readonly fn: number
  readonly module: number
  readonly kind: number
  self: number
  total: number
  samples: number
}

/** Each function once: self summed over its boxes, total without what is below itself. For a tree that was transformed. */
export function functionSums(tree: Tree): FunctionSum[] {
  const own = selfSamples(tree)
  const sums = new Map<string, FunctionSum>()
  const keyOf = (i: number) => `${at(tree.fn, i)} ${at(tree.module, i)}`
  for (let i = 1; i < tree.parent.length; i++) {
    const key = keyOf(i)
    const sum = sums.get(key) ?? {
      fn: at(tree.fn, i),
      module: at(tree.module, i),
      kind: at(tree.kind, i),
      self: 0,
      total: 0,
      samples: 0,
    }
    sums.set(key, sum)
    sum.self += at(tree.self, i)
    sum.samples += at(own, i)
    let a = at(tree.parent, i)
    while (a > 0 && keyOf(a) !== key) a = at(tree.parent, a)
    if (a <= 0) sum.total += at(tree.total, i)
  }
  return [...sums.values()].sort((a, b) => b.self - a.self)
}
