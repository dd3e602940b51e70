/** A call tree as files that other tools read: folded stacks and speedscope. Made in the browser, from what is shown. */
import type { Tree } from './flame.ts'

const at = (array: { readonly [i: number]: number }, i: number): number => array[i] ?? 0

/** Boxes from the root (left out) to the node. */
export function stackOf(tree: Tree, node: number): number[] {
  const stack: number[] = []
  for (let i = node; i > 0; i = at(tree.parent, i)) stack.push(i)
  return stack.reverse()
}

const nameOf = (tree: Tree, node: number) => tree.strings[at(tree.fn, node)] ?? ''

/** `a;b;c 1234`, in microseconds of CPU: https://github.com/brendangregg/FlameGraph#2-fold-stacks */
export function formatFolded(tree: Tree): string {
  const lines: string[] = []
  for (let i = 1; i < tree.parent.length; i++) {
    const micros = Math.round(at(tree.self, i) * 1e6)
    if (micros <= 0) continue
    const names = stackOf(tree, i).map(n => nameOf(tree, n).replaceAll(';', ':'))
    lines.push(`${names.join(';')} ${micros}`)
  }
  return `${lines.join('\n')}\n`
}

/** https://www.speedscope.app/file-format-schema.json: one sampled profile, weights in seconds. */
export function formatSpeedscope(tree: Tree, name: string): string {
  const frames: { name: string; file?: string }[] = []
  const seen = new Map<string, number>()
  const frame = (node: number): number => {
    const key = `${at(tree.fn, node)} ${at(tree.module, node)}`
    const found = seen.get(key)
    if (found !== undefined) return found
    seen.set(key, frames.length)
    frames.push({ name: nameOf(tree, node), file: tree.strings[at(tree.module, node)] ?? '' })
    return frames.length - 1
  }
  const samples: number[][] = []
  const weights: number[] = []
  for (let i = 1; i < tree.parent.length; i++) {
    if (at(tree.self, i) <= 0) continue
    samples.push(stackOf(tree, i).map(frame))
    weights.push(at(tree.self, i))
  }
  const endValue = weights.reduce((a, b) => a + b, 0)
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    name,
    shared: { frames },
    profiles: [{ type: 'sampled', name, unit: 'seconds', startValue: 0, endValue, samples, weights }],
  })
}

/** RFC 4180; a cell that a spreadsheet would run as a formula is kept as text. */
export function formatCsv(columns: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const cell = (value: string | number | null): string => {
    if (value === null) return ''
    if (typeof value === 'number') return String(value)
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return `${[columns, ...rows].map(row => row.map(cell).join(',')).join('\r\n')}\r\n`
}
