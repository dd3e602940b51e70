/**
 * Stacks drawn as columns, root on top, one letter a frame; the last line is the nanoseconds.
 *
 *   a a a      letters stand for functions, `module:letter` would not fit a column, so modules are given beside
 *   b b d      . = no frame (the stack is shorter), ~ = a frame cut off ([truncated]), + = a frame without a name
 *   c . .      a column headed by i is of category idle
 *   5 3 1
 */
import { CATEGORIES, FRAME_KINDS } from '../../ingest/records.ts'
import type { Profile } from '../../query/stacks.ts'
import { OTHER, ROOT, type Tree } from '../../query/tree.ts'

const nameOf = (letter: string) => (letter === '~' ? '[truncated]' : letter === '+' ? 'm+0x1f' : letter)

/** Rows of words, equally many in each. */
function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(row => row[0] !== '')
}

export function drawProfile(text: string): Profile {
  const rows = rowsOf(text)
  const values = (rows.pop() ?? []).map(Number)
  const names = [''].concat([...new Set(rows.flat().map(nameOf))].filter(n => n !== '.').sort())
  const stacks = values.map((_, s) =>
    rows
      .map(row => row[s] ?? '.')
      .filter(letter => letter !== '.')
      .map(letter => names.indexOf(nameOf(letter)))
      .reverse(),
  )
  const offsets = [0]
  for (const stack of stacks) offsets.push((offsets.at(-1) ?? 0) + stack.length)
  return {
    names,
    modules: names.map(() => 'm'),
    kinds: Uint8Array.from(names, n => FRAME_KINDS.indexOf(n === '[truncated]' ? 'truncated' : 'native')),
    offsets: Uint32Array.from(offsets),
    frames: Uint32Array.from(stacks.flat()),
    categories: Uint8Array.from(stacks, s => CATEGORIES.indexOf(names[s.at(-1) ?? 0] === 'i' ? 'idle' : 'compute')),
    ns: Float64Array.from(values),
    counts: Float64Array.from(values, () => 1),
  }
}

/** A tree as indented text: `name total(self)`; what the tests compare. */
export function drawTree(profile: Profile, tree: Tree): string[] {
  const depth: number[] = []
  return tree.parent.map((parent, i) => {
    depth[i] = parent < 0 ? 0 : (depth[parent] ?? 0) + 1
    const f = tree.function[i] ?? 0
    const name = f === ROOT ? 'all' : f === OTHER ? '(other)' : profile.names[f]
    return `${'  '.repeat(depth[i] ?? 0)}${name} ${tree.total[i]}(${tree.self[i]})`
  })
}
