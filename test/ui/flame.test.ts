import { describe, expect, it } from 'vitest'
import {
  type Boxes,
  boxWithPath,
  depthBelow,
  GREY,
  hitBox,
  layoutFlame,
  matchedSeconds,
  matchStrings,
  pixelRow,
  type View,
} from '../../ui/layout/flame.ts'
import { treeFrom } from './tree.ts'

/** The pixels as letters: the first letter of the function, '-' for a grey run, '.' for nothing. */
function draw(boxes: Boxes, view: View): string[] {
  return boxes.rows.map((_, depth) => {
    const line = new Array<string>(view.width).fill('.')
    const row = pixelRow(boxes, view, depth)
    row.box.forEach((box, k) => {
      const letter = box === GREY ? '-' : (boxes.tree.strings[boxes.tree.fn[box] ?? 0] ?? '?').slice(0, 1)
      const [x = 0, w = 0] = [row.x[k], row.width[k]]
      for (let p = Math.round(x); p < Math.round(x + w); p++) line[p] = letter
    })
    return line.join('')
  })
}
const boxNamed = (boxes: Boxes, name: string) => boxes.tree.fn.findIndex(fn => boxes.tree.strings[fn] === name)

const BOXES = layoutFlame(
  treeFrom(`
    main;read 2
    main;solve;dot 6
    main;solve;axpy 3
    main;solve 1
    kernel;(other) 3
    kernel;page 1
  `),
)

describe('layoutFlame', () => {
  it('puts the widest child first and the pruned rest last', () => {
    expect(draw(BOXES, { zoom: 0, width: 16 })).toEqual([
      'aaaaaaaaaaaaaaaa',
      'mmmmmmmmmmmmkkkk',
      'ssssssssssrrp(((',
      'ddddddaaa.......',
    ])
  })

  it('zooms: the box and its callers fill the width, its siblings are gone', () => {
    expect(draw(BOXES, { zoom: boxNamed(BOXES, 'solve'), width: 20 })).toEqual([
      'aaaaaaaaaaaaaaaaaaaa',
      'mmmmmmmmmmmmmmmmmmmm',
      'ssssssssssssssssssss',
      'ddddddddddddaaaaaa..',
    ])
  })

  it('finds the same box again in the tree of another moment', () => {
    const later = layoutFlame(treeFrom('main;start 9\nmain;solve;dot 2\n'))
    const path = BOXES.path[boxNamed(BOXES, 'dot')] ?? 0
    expect(boxWithPath(later, path)).toBe(boxNamed(later, 'dot'))
    expect(boxWithPath(later, 12345)).toBe(0)
  })

  it('knows how deep it is below a box', () => {
    expect(depthBelow(BOXES, 0)).toBe(3)
    expect(depthBelow(BOXES, boxNamed(BOXES, 'kernel'))).toBe(2)
    expect(depthBelow(BOXES, boxNamed(BOXES, 'read'))).toBe(2)
  })
})

describe('boxes under one pixel', () => {
  const lines = ['wide 90', ...Array.from({ length: 1000 }, (_, i) => `f${i} 1`), 'other 60']
  const many = layoutFlame(treeFrom(lines.join('\n')))

  it('merge into one grey run', () => {
    const row = pixelRow(many, { zoom: 0, width: 115 }, 1)
    expect(row.box.map(b => (b === GREY ? 'grey' : many.tree.strings[many.tree.fn[b] ?? 0]))).toEqual([
      'wide',
      'other',
      'grey',
    ])
    expect(row.width.reduce((a, b) => a + b, 0)).toBeCloseTo(115)
  })

  it('can still be hit', () => {
    const box = hitBox(many, { zoom: 0, width: 115 }, 1, 114.95)
    expect(many.tree.strings[many.tree.fn[box] ?? 0]).toBe('f999')
  })
})

describe('hitBox', () => {
  const view = { zoom: 0, width: 160 }
  const nameAt = (depth: number, x: number, v: View = view) => {
    const box = hitBox(BOXES, v, depth, x)
    return box < 0 ? null : BOXES.tree.strings[BOXES.tree.fn[box] ?? 0]
  }

  it('finds what is drawn there', () => {
    expect(nameAt(2, 5)).toBe('solve')
    expect(nameAt(3, 59.9)).toBe('dot')
    expect(nameAt(3, 60.1)).toBe('axpy')
    expect(nameAt(2, 125)).toBe('page')
  })

  it('finds nothing where nothing is drawn', () => {
    expect(nameAt(3, 95)).toBeNull()
    expect(nameAt(9, 5)).toBeNull()
    expect(nameAt(2, -1)).toBeNull()
    expect(nameAt(2, 161)).toBeNull()
  })

  it('does not reach beyond the zoomed box', () => {
    const zoomed = { zoom: boxNamed(BOXES, 'read'), width: 160 }
    expect(nameAt(1, 150, zoomed)).toBe('main')
    expect(nameAt(3, 10, zoomed)).toBeNull()
  })

  it('agrees with the pixels for 2,000 random points', () => {
    let seed = 7
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed / 2147483648
    }
    const folded = Array.from({ length: 400 }, () => {
      const stack = Array.from({ length: 1 + Math.floor(random() * 8) }, () =>
        'abcdef'.charAt(Math.floor(random() * 6)),
      )
      return `${stack.join(';')} ${1 + Math.floor(random() * 40)}`
    })
    const boxes = layoutFlame(treeFrom(folded.join('\n')))
    for (let k = 0; k < 2000; k++) {
      const v = { zoom: Math.floor(random() * boxes.depth.length), width: 900 }
      const depth = Math.floor(random() * 9)
      const x = random() * 900
      const row = pixelRow(boxes, v, depth)
      const drawn = row.box.find((_, j) => (row.x[j] ?? 0) <= x && x < (row.x[j] ?? 0) + (row.width[j] ?? 0))
      if (drawn !== undefined && drawn !== GREY) expect(hitBox(boxes, v, depth, x)).toBe(drawn)
      if (drawn === undefined) expect(hitBox(boxes, v, depth, x)).toBe(-1)
    }
  })
})

describe('search', () => {
  const share = (needle: string, zoom = 0) => {
    const matched = matchStrings(BOXES.tree.strings, needle)
    return matched && matchedSeconds(BOXES, matched, zoom)
  }

  it('counts a stack once, however many of its functions match', () => {
    expect(share('solve')).toBe(10)
    expect(share('o')).toBe(13)
    expect(share('DOT')).toBe(6)
    expect(share('nothing like it')).toBe(0)
    expect(share('  ')).toBeUndefined()
  })

  it('below a match everything matches', () => {
    expect(share('solve', boxNamed(BOXES, 'dot'))).toBe(6)
    expect(share('read', boxNamed(BOXES, 'solve'))).toBe(0)
  })
})
