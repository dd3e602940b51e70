import { describe, expect, it } from 'vitest'
import { formatCsv, formatFolded, formatSpeedscope } from '../../ui/layout/folded.ts'
import {
  callers,
  formatTransform,
  functionSums,
  parseTransform,
  type Transform,
  transformTree,
} from '../../ui/layout/transform.ts'
import { foldedFrom, treeFrom } from './tree.ts'

const STACKS = `
  main;solve;dot@libblas 6
  main;solve;pack@libblas;copy@libblas 3
  main;solve;copy@libc 1
  main;walk;walk;walk;leaf 4
  main;walk 2
  idle 4
`
const stacksAfter = (...transforms: Transform[]) => foldedFrom(transformTree(treeFrom(STACKS), transforms))

describe('transforms', () => {
  it('focus merges all call sites of a function', () => {
    expect(stacksAfter({ kind: 'focus', fn: 'copy' })).toEqual(['copy 1', 'copy 3'])
    expect(stacksAfter({ kind: 'focus', fn: 'copy@libc' })).toEqual(['copy 1'])
    expect(stacksAfter({ kind: 'focus', fn: 'solve' })).toEqual(['solve;copy 1', 'solve;dot 6', 'solve;pack;copy 3'])
  })

  it('drop takes the stacks away, merge gives their time to the caller', () => {
    expect(stacksAfter({ kind: 'drop', fn: 'solve' })).toEqual(['idle 4', 'main;walk 2', 'main;walk;walk;walk;leaf 4'])
    expect(stacksAfter({ kind: 'merge', fn: 'solve' })).toContain('main;dot 6')
    expect(stacksAfter({ kind: 'merge', fn: 'copy@libblas' })).toContain('main;solve;pack 3')
  })

  it('a module becomes one box', () => {
    expect(stacksAfter({ kind: 'module', module: 'libblas' })).toEqual([
      'idle 4',
      'main;solve;copy 1',
      'main;solve;libblas 9',
      'main;walk 2',
      'main;walk;walk;walk;leaf 4',
    ])
  })

  it('recursion is folded into the first call', () => {
    expect(stacksAfter({ kind: 'recursion' })).toContain('main;walk;leaf 4')
    expect(stacksAfter({ kind: 'recursion' })).toContain('main;walk 2')
  })

  it('invert puts the leaf first', () => {
    expect(stacksAfter({ kind: 'invert' })).toContain('leaf;walk;walk;walk;main 4')
    expect(stacksAfter({ kind: 'invert' }, { kind: 'invert' })).toEqual(foldedFrom(treeFrom(STACKS)))
  })

  it('each keeps the whole but drop and focus', () => {
    const kept: Transform[] = [
      { kind: 'merge', fn: 'walk' },
      { kind: 'module', module: 'libblas' },
      { kind: 'recursion' },
      { kind: 'invert' },
    ]
    for (const how of kept) expect(transformTree(treeFrom(STACKS), [how]).total[0]).toBe(20)
    expect(transformTree(treeFrom(STACKS), kept).samples[0]).toBe(20)
    expect(transformTree(treeFrom(STACKS), [{ kind: 'drop', fn: 'idle' }]).total[0]).toBe(16)
  })

  it('are written into the address and read back', () => {
    const all: Transform[] = [
      { kind: 'focus', fn: 'std::map<int, x>::~map@libfoo.so.1' },
      { kind: 'module', module: '[kernel]' },
      { kind: 'recursion' },
    ]
    expect(all.map(formatTransform).map(parseTransform)).toEqual(all)
    expect(parseTransform('nonsense:1')).toBeUndefined()
    expect(parseTransform('focus:')).toBeUndefined()
  })

  it('a function that is gone leaves the tree as it is', () => {
    expect(stacksAfter({ kind: 'merge', fn: 'nowhere' })).toEqual(foldedFrom(treeFrom(STACKS)))
    expect(stacksAfter({ kind: 'module', module: 'nowhere' })).toEqual(foldedFrom(treeFrom(STACKS)))
  })
})

it('callers of a function carry the time in and below it, once', () => {
  expect(foldedFrom(callers(treeFrom(STACKS), 'walk'))).toEqual(['walk;main 6'])
  expect(foldedFrom(callers(treeFrom(STACKS), 'copy'))).toEqual(['copy;pack;solve;main 3', 'copy;solve;main 1'].sort())
})

it('the function table counts a recursive function once a stack', () => {
  const tree = treeFrom(STACKS)
  const rows = functionSums(tree).map(s => `${tree.strings[s.fn]} ${s.self} ${s.total}`)
  expect(rows).toContain('walk 2 6')
  expect(rows).toContain('main 0 16')
  expect(rows[0]).toBe('dot 6 6')
})

describe('files', () => {
  it('folded', () => {
    expect(formatFolded(treeFrom('main;a;b 2\nmain 1')).trim().split('\n').sort()).toEqual([
      'main 1000000',
      'main;a;b 2000000',
    ])
  })

  it('speedscope', () => {
    const file = JSON.parse(formatSpeedscope(treeFrom('main;a@lib 2\nmain;b 1'), 'job 7'))
    expect(file.profiles[0]).toMatchObject({
      unit: 'seconds',
      endValue: 3,
      weights: [2, 1],
      samples: [
        [0, 1],
        [0, 2],
      ],
    })
    expect(file.shared.frames[1]).toEqual({ name: 'a', file: 'lib' })
  })

  it('csv quotes, and does not hand a formula to a spreadsheet', () => {
    expect(
      formatCsv(
        ['a', 'b'],
        [
          ['x,"y"', null],
          ['=cmd()', 1.5],
        ],
      ),
    ).toBe('a,b\r\n"x,""y""",\r\n\'=cmd(),1.5\r\n')
  })
})
