import { describe, expect, it } from 'vitest'
import type { Comparison } from '../../query/api.ts'
import { changeOf, layoutDifference, perOf } from '../../ui/layout/difference.ts'
import { formatOther, parseOther } from '../../ui/views/comparechoice.tsx'

const side = (seconds: number, samples: number, coreSeconds: number | null): Comparison['a'] => ({
  ...{ job: null, nodes: [], rank: null, seconds, coreSeconds },
  coverage: {
    ...{ from: 0, to: 1, samples, lost: 0, throttled: 0, samplerCpu: null, unwinding: '' },
    ...{ truncatedShare: 0, unnamedShare: 0, idleSeconds: 0 },
  },
})

/** all > main > solve, read (only a), write (only b); a sample is worth 0.01 s in both. */
const found: Comparison = {
  cluster: 'c',
  a: side(10, 1000, 40),
  b: side(20, 2000, 20),
  ...{ metrics: [], categories: [], functions: [], functionsLeftOut: 0 },
  strings: ['all', 'main', 'solve', 'read', 'write', 'app'],
  kinds: ['native'],
  tree: {
    ...{ parent: [-1, 0, 1, 1, 1], function: [0, 1, 2, 3, 4], module: [5, 5, 5, 5, 5], kind: [0, 0, 0, 0, 0] },
    a: { self: [0, 0, 8, 2, 0], total: [10, 10, 8, 2, 0], samples: [1000, 1000, 800, 200, 0] },
    b: { self: [0, 0, 16, 0, 4], total: [20, 20, 16, 0, 4], samples: [2000, 2000, 1600, 0, 400] },
  },
}
const named = (values: Float64Array) =>
  Object.fromEntries([...values].map((v, i) => [found.strings[i] ?? '', Number(v.toFixed(3))]))

describe('a difference of two profiles', () => {
  it('in shares: boxes are as wide as the mean, and say who has more', () => {
    const { boxes, change, total } = layoutDifference(found, 'whole')
    expect(named(boxes.tree.total)).toEqual({ all: 1, main: 1, solve: 0.8, read: 0.1, write: 0.1 })
    expect(named(total.b)).toEqual({ all: 1, main: 1, solve: 0.8, read: 0, write: 0.2 })
    expect(named(change)).toEqual({ all: 0, main: 0, solve: 0, read: 1, write: -1 })
  })

  it('by core second: the same shares on twice as busy cores are more of everything', () => {
    const { change } = layoutDifference(found, 'core')
    expect(named(change)).toEqual({ all: -0.6, main: -0.6, solve: -0.6, read: 1, write: -1 })
  })

  it('as seconds, where a longer run has more of everything', () => {
    expect(named(layoutDifference(found, 'cpu').change)).toMatchObject({ all: -0.333, solve: -0.333 })
  })

  it('offers core seconds only where both have them', () => {
    expect(perOf(found, undefined)).toBe('core')
    expect(perOf(found, 'cpu')).toBe('cpu')
    expect(perOf({ ...found, b: side(20, 2000, null) }, 'core')).toBe('whole')
  })

  it('is none where chance alone may be behind it', () => {
    const grain = { a: 1, b: 1 }
    // 100 and 120 samples: 20 apart, and by chance up to 1.96 sqrt(220) = 29.
    expect(changeOf({ a: 100, b: 120 }, { a: 100, b: 120 }, grain)).toBe(0)
    expect(changeOf({ a: 100, b: 140 }, { a: 100, b: 140 }, grain)).toBeCloseTo(-40 / 240)
    // Three samples against none may be chance, eight may not.
    expect(changeOf({ a: 3, b: 0 }, { a: 3, b: 0 }, grain)).toBe(0)
    expect(changeOf({ a: 8, b: 0 }, { a: 8, b: 0 }, grain)).toBe(1)
  })
})

describe('the other side in the address', () => {
  it.each([
    [{ job: '4711_3' }, 'job:4711_3'],
    [{ node: 'n07' }, 'node:n07'],
    [{ job: '12', node: 'n07', rank: 0 }, 'job:12 node:n07 rank:0'],
    [{ span: { from: 1_767_600_000_000, to: 1_767_603_600_000 } }, '2026-01-05T08:00:00Z..2026-01-05T09:00:00Z'],
  ])('%j', (other, text) => {
    expect(formatOther(other)).toBe(text)
    expect(parseOther(text)).toEqual(other)
  })

  it('leaves out what it does not know', () => {
    expect(parseOther('rank:x b..a user:ann 1..0')).toEqual({})
  })
})
