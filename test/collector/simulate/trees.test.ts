import { describe, expect, it } from 'vitest'
import { graft, mixOf, parseTree } from '../../../collector/simulate/trees.ts'

const tree = parseTree(
  'drawn',
  `
main @app src/main.c:3
  step = compute 30
    solve src/solve.c:9 = compute 60
      memcpy @libc.so.6 = compute 10
  send @libmpi.so.40
    yield @kernel = mpi 25
    poll @libmpi.so.40 = mpi 75
load @python train.py:7 :: loader 1
  ? @libz.so.1 = work 1
`,
)

/** leaf<…<root of each stack */
const drawn = tree.stacks.map(s => s.frames.map(f => tree.frames[f]?.function).join('<'))

describe('a drawn call tree', () => {
  it('becomes stacks, leaf first', () => {
    expect(drawn.slice(0, 5)).toEqual([
      'step<main',
      'solve<step<main',
      'memcpy<solve<step<main',
      'yield<send<main',
      'poll<send<main',
    ])
  })

  it('hands module and file down from the parent', () => {
    const frame = (name: string) => tree.frames.find(f => f.function === name)
    expect(frame('step')).toEqual({ function: 'step', module: 'app', file: 'src/main.c', line: 0, kind: 'native' })
    expect(frame('solve')).toMatchObject({ module: 'app', file: 'src/solve.c', line: 9 })
    expect(frame('memcpy')).toMatchObject({ module: 'libc.so.6', file: '' })
  })

  it('knows kinds, threads and frames without a name', () => {
    expect(tree.frames.find(f => f.function === 'yield')).toMatchObject({ module: '[kernel.kallsyms]', kind: 'kernel' })
    expect(tree.frames.find(f => f.function === 'load')).toMatchObject({
      module: 'python3.11',
      kind: 'python',
      line: 7,
    })
    expect(tree.stacks.at(-1)?.thread).toBe('loader 1')
    expect(tree.frames.at(-1)?.function).toMatch(/^libz\.so\.1\+0x[0-9a-f]+$/)
  })

  it('shares out each group for itself', () => {
    expect(tree.groups).toEqual(['compute', 'mpi', 'work'])
    expect(tree.stacks.map(s => s.share)).toEqual([0.3, 0.6, 0.1, 0.25, 0.75, 1])
  })

  it('tells user from kernel time by its leaves', () => {
    expect(mixOf(tree, { compute: 1 }).kernel).toBe(0)
    expect(mixOf(tree, { compute: 60, mpi: 40 }).kernel).toBeCloseTo(0.4 * 0.25)
  })

  it('refuses what it cannot read and groups it does not have', () => {
    expect(() => parseTree('x', 'main @app = compute')).toThrow(/cannot read the line/)
    expect(() => parseTree('x', 'main @app\n    lost = a 1')).toThrow(/deeper than its parent/)
    expect(() => mixOf(tree, { io: 1 })).toThrow(/no group io/)
  })

  it('grafts one drawing under another', () => {
    const text = `root @a\n  ${graft(2, 'x @b = g 1\n  y = g 1\n')}`
    expect(text).toBe('root @a\n  x @b = g 1\n    y = g 1')
  })
})
