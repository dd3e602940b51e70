import type { Tree } from '../../ui/layout/flame.ts'

/**
 * A tree from folded stacks, one a line: `main;solve;dot 3`. Preorder in order of appearance, as the server sends it. A name
 * may carry its module: `dot@libblas`.
 */
export function treeFrom(folded: string): Tree {
  const strings = ['all', '']
  const word = (s: string) => (strings.includes(s) ? strings.indexOf(s) : strings.push(s) - 1)
  const parent: number[] = []
  const [fn, module, kind]: [number[], number[], number[]] = [[], [], []]
  const self: number[] = []
  const total: number[] = []
  const visit = (n: Grown, above: number): number => {
    const i = parent.push(above) - 1
    const [name = '', mod = ''] = n.name.split('@')
    fn.push(word(name))
    module.push(word(mod))
    kind.push(name === '(other)' ? 1 : 0)
    self.push(n.self)
    total.push(0)
    let sum = n.self
    for (const c of n.children.values()) sum += visit(c, i)
    total[i] = sum
    return sum
  }
  visit(grownFrom(folded), -1)
  return {
    parent: Int32Array.from(parent),
    fn: Int32Array.from(fn),
    module: Int32Array.from(module),
    kind: Int32Array.from(kind),
    self: Float64Array.from(self),
    total: Float64Array.from(total),
    samples: Float64Array.from(total),
    strings,
    kinds: ['native', 'other'],
  }
}

interface Grown {
  name: string
  self: number
  children: Map<string, Grown>
}

function grownFrom(folded: string): Grown {
  const root: Grown = { name: 'all', self: 0, children: new Map() }
  for (const line of folded.trim().split('\n')) {
    const [, stack = '', count = ''] = /^\s*(.*) (\d+)$/.exec(line) ?? []
    let n = root
    for (const name of stack === '' ? [] : stack.split(';')) {
      const child = n.children.get(name) ?? { name, self: 0, children: new Map() }
      n.children.set(name, child)
      n = child
    }
    n.self += Number(count)
  }
  return root
}

/** The tree again as folded stacks, sorted: what a test compares. */
export function foldedFrom(tree: Tree): string[] {
  const lines: string[] = []
  tree.parent.forEach((_, i) => {
    if ((tree.self[i] ?? 0) <= 0) return
    const names: string[] = []
    for (let a = i; a > 0; a = tree.parent[a] ?? 0) names.unshift(tree.strings[tree.fn[a] ?? 0] ?? '')
    lines.push(`${names.join(';')} ${tree.self[i]}`)
  })
  return lines.sort()
}
