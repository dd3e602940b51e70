/** The answer of GET /flame -> the flat typed arrays that everything here works on. */
import type { Flame } from '../../query/api.ts'
import type { Tree } from './flame.ts'

export function parseTree({
  tree,
  strings,
  kinds,
  categories,
}: Pick<Flame, 'tree' | 'strings' | 'kinds' | 'categories'>): Tree {
  return {
    parent: Int32Array.from(tree.parent),
    fn: Int32Array.from(tree.function),
    module: Int32Array.from(tree.module),
    kind: Int32Array.from(tree.kind),
    self: Float64Array.from(tree.self),
    total: Float64Array.from(tree.total),
    samples: Float64Array.from(tree.samples),
    strings,
    kinds,
    category: tree.category && Int32Array.from(tree.category),
    categories,
  }
}

const at = (array: { readonly [i: number]: number }, i: number): number => array[i] ?? 0

export const functionName = (tree: Tree, box: number): string => tree.strings[at(tree.fn, box)] ?? ''
export const moduleName = (tree: Tree, box: number): string => tree.strings[at(tree.module, box)] ?? ''
export const kindName = (tree: Tree, box: number): string => tree.kinds[at(tree.kind, box)] ?? ''
export const categoryName = (tree: Tree, box: number): string =>
  tree.categories?.[tree.category?.[box] ?? -1] ?? 'unknown'
export const totalOf = (tree: Tree, box: number): number => at(tree.total, box)
export const selfOf = (tree: Tree, box: number): number => at(tree.self, box)
export const samplesOf = (tree: Tree, box: number): number => at(tree.samples, box)

/** Self time by module, most first: the legend of a flame graph. */
export function moduleShares(tree: Tree): { module: number; kind: number; seconds: number }[] {
  const sums = new Map<number, { module: number; kind: number; seconds: number }>()
  for (let i = 1; i < tree.parent.length; i++) {
    const self = at(tree.self, i)
    if (self <= 0) continue
    const sum = sums.get(at(tree.module, i)) ?? { module: at(tree.module, i), kind: at(tree.kind, i), seconds: 0 }
    sum.seconds += self
    sums.set(sum.module, sum)
  }
  return [...sums.values()].sort((a, b) => b.seconds - a.seconds)
}

export function childrenOf(tree: Tree): Int32Array[] {
  const lists: number[][] = Array.from({ length: tree.parent.length }, () => [])
  for (let i = 1; i < tree.parent.length; i++) lists[at(tree.parent, i)]?.push(i)
  return lists.map(l => Int32Array.from(l.sort((a, b) => at(tree.total, b) - at(tree.total, a))))
}

/**
 * How far a share of CPU time can be off by chance, 95 %: 1.96 sqrt(p (1 - p) / n), n the samples of the whole. Samples are
 * few where a number looks exact; this says so.
 */
export function shareError(share: number, samples: number): number {
  if (samples <= 0) return 1
  const p = Math.min(1, Math.max(0, share))
  return Math.min(1, 1.96 * Math.sqrt(Math.max(p * (1 - p), 1 / (4 * samples)) / samples))
}
