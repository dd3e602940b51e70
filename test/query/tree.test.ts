import { describe, expect, it } from 'vitest'
import { findFunctions, functionTotals, type Profile, sumsOf } from '../../query/stacks.ts'
import { buildTree, OTHER, type Tree } from '../../query/tree.ts'
import type { TreeOptions } from '../../query/trie.ts'
import { drawProfile, drawTree } from './drawn.ts'

const three = drawProfile(`
  a a a
  b b d
  c . .
  5 3 1`)

const tree = (profile: Profile, options: Partial<TreeOptions> = {}) =>
  buildTree(profile, { direction: 'topdown', budget: 1000, idle: false, ...options })
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

describe('a tree of stacks', () => {
  it('top-down: inclusive totals, the largest child first', () => {
    expect(drawTree(three, tree(three))).toEqual(['all 9(0)', '  a 9(0)', '    b 8(3)', '      c 5(5)', '    d 1(1)'])
  })

  it('bottom-up: hot functions first, under each who calls it', () => {
    expect(drawTree(three, tree(three, { direction: 'bottomup' }))).toEqual([
      'all 9(0)',
      '  c 5(0)',
      '    b 5(0)',
      '      a 5(5)',
      '  b 3(0)',
      '    a 3(3)',
      '  d 1(0)',
      '    a 1(1)',
    ])
  })

  it('sandwich: below and above one function, from its outermost call', () => {
    const profile = drawProfile(`
      a a e
      b b a
      c b b
      . d .
      5 3 1`)
    const only = findFunctions(profile, 'b', undefined)
    expect(drawTree(profile, tree(profile, { only }))).toEqual([
      'all 9(0)',
      '  b 9(1)',
      '    c 5(5)',
      '    b 3(0)',
      '      d 3(3)',
    ])
    expect(drawTree(profile, tree(profile, { only, direction: 'bottomup' }))).toEqual([
      'all 9(0)',
      '  b 9(0)',
      '    a 9(8)',
      '      e 1(1)',
    ])
    expect(findFunctions(profile, 'b', 'another.so')).toBeUndefined()
  })

  it('leaves idle out unless asked', () => {
    const profile = drawProfile(`
      a i
      7 9`)
    expect(tree(profile).total[0]).toBe(7)
    expect(tree(profile, { idle: true }).total[0]).toBe(16)
    expect(sumsOf(profile, false)).toMatchObject({ ns: 7, idleNs: 9, samples: 1 })
  })

  it('a stack that was cut hangs on [truncated] below the root', () => {
    const profile = drawProfile(`
      ~ a
      b b
      3 1`)
    expect(drawTree(profile, tree(profile))).toEqual([
      'all 4(0)',
      '  [truncated] 3(0)',
      '    b 3(3)',
      '  a 1(0)',
      '    b 1(1)',
    ])
    expect(sumsOf(profile, false)).toMatchObject({ ns: 4, truncatedNs: 3, unnamedNs: 0 })
  })

  it('counts leaves without a name, and stacks whose frames are gone', () => {
    const profile = drawProfile(`
      a a .
      + b .
      2 3 4`)
    expect(sumsOf(profile, false)).toMatchObject({ ns: 9, unnamedNs: 6 })
    expect(tree(profile).total[0]).toBe(9)
    expect(sum(functionTotals(profile, false).map(f => f.self))).toBe(9)
  })
})

describe('pruning', () => {
  it('puts what is dropped into one (other) a node; totals stay', () => {
    const profile = drawProfile(`
      a a a a b
      c d e f g
      9 5 2 1 3`)
    expect(drawTree(profile, tree(profile, { budget: 6 }))).toEqual([
      'all 20(0)',
      '  a 17(0)',
      '    c 9(9)',
      '    d 5(5)',
      '    (other) 3(3)',
      '  (other) 3(3)',
    ])
  })

  it('never passes the budget and never loses time, at any budget', () => {
    const profile = random(3000, 12)
    for (const direction of ['topdown', 'bottomup'] as const) {
      const whole = tree(profile, { direction, budget: Number.MAX_SAFE_INTEGER })
      for (const budget of [2, 3, 7, 50, 999, whole.parent.length - 1, whole.parent.length]) {
        const pruned = tree(profile, { direction, budget })
        expect(pruned.parent.length).toBeLessThanOrEqual(budget)
        expect(pruned.parent.length).toBeGreaterThan(budget * 0.9 - 2)
        expectWhole(pruned, sum([...profile.ns]))
      }
    }
  })

  it('keeps every node that is larger than one it dropped', () => {
    const profile = random(2000, 10)
    const whole = tree(profile, { budget: 1e9 })
    const pruned = tree(profile, { budget: 200 })
    const kept = pruned.total.filter((_, i) => pruned.function[i] !== OTHER).sort((a, b) => b - a)
    expect(kept).toEqual([...whole.total].sort((a, b) => b - a).slice(0, kept.length))
  })
})

describe('function totals', () => {
  it('count recursion once: no total passes the whole', () => {
    const profile = drawProfile(`
      a a a
      b b b
      b a c
      b b .
      4 2 1`)
    const of = (name: string) => functionTotals(profile, false).find(f => profile.names[f.function] === name)
    expect(of('a')).toMatchObject({ self: 0, total: 7 })
    expect(of('b')).toMatchObject({ self: 6, total: 7, samples: 2, totalSamples: 3 })
    expect(of('c')).toMatchObject({ self: 1, total: 1 })
  })

  it('selfs add up to the whole, and equal the first level of the bottom-up tree', () => {
    const profile = random(3000, 12)
    const functions = functionTotals(profile, false)
    const whole = sum([...profile.ns])
    expect(sum(functions.map(f => f.self))).toBe(whole)
    const bottomUp = tree(profile, { direction: 'bottomup', budget: 1e9 })
    const level1 = new Map(
      bottomUp.parent.flatMap((parent, i) => (parent === 0 ? [[bottomUp.function[i], bottomUp.total[i]]] : [])),
    )
    for (const f of functions) expect(level1.get(f.function) ?? 0).toBe(f.self)
    expect(Math.max(...functions.map(f => f.total))).toBeLessThanOrEqual(whole)
  })
})

it('stacks deeper than the call stack of JavaScript are no matter', () => {
  const depth = 200_000
  const profile: Profile = {
    ...three,
    offsets: Uint32Array.of(0, depth),
    frames: new Uint32Array(depth).fill(1),
    categories: new Uint8Array(1),
    ns: Float64Array.of(5),
    counts: Float64Array.of(1),
  }
  expect(tree(profile, { budget: 100 }).parent.length).toBe(100)
  expect(tree(profile, { budget: 1e9 }).parent.length).toBe(depth + 1)
})

/** Preorder, parents before children, sums right at every node. */
function expectWhole(t: Tree, ns: number): void {
  expect(t.total[0]).toBe(ns)
  expect(sum(t.self)).toBe(ns)
  const below = [...t.self]
  for (let i = t.parent.length - 1; i > 0; i--) {
    const parent = t.parent[i] ?? 0
    expect(parent).toBeLessThan(i)
    below[parent] = (below[parent] ?? 0) + (below[i] ?? 0)
  }
  expect(below).toEqual(t.total)
}

/** Stacks with few functions near the root and many near the leaves, like real ones; the same at every run. */
function random(stacks: number, depth: number): Profile {
  let seed = 42
  const next = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const names = ['', ...Array.from({ length: 200 }, (_, i) => `f${i}`)]
  const all = Array.from({ length: stacks }, () =>
    Array.from({ length: 1 + next(depth) }, (_, level) => 1 + next(Math.min(200, 2 + level * level))).reverse(),
  )
  const offsets = [0]
  for (const stack of all) offsets.push((offsets.at(-1) ?? 0) + stack.length)
  return {
    names,
    modules: names.map(() => 'm'),
    kinds: new Uint8Array(names.length),
    offsets: Uint32Array.from(offsets),
    frames: Uint32Array.from(all.flat()),
    categories: new Uint8Array(stacks),
    ns: Float64Array.from(all, () => 1 + next(1000)),
    counts: Float64Array.from(all, () => 1),
  }
}
