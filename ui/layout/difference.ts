/**
 * Two profiles in one tree -> boxes as wide as the mean of both, and for each how far the two are apart.
 *
 *   a   main 10, solve 8, read 2          per whole    solve .8 .4  change -.33
 *   b   main 20, solve 8, write 12                     write  0 .6         -1  (only in b)
 *                                                      read  .2  0         +1  (only in a)
 *
 * Both are divided by what makes them comparable: allocated core seconds, the whole of each, or nothing.
 */
import type { Comparison } from '../../query/api.ts'
import { type Boxes, layoutFlame } from './flame.ts'
import { parseTree } from './tree.ts'

export const PER = ['core', 'whole', 'cpu'] as const
/** CPU seconds a core second that it had, a CPU second of its own, or as they are. */
export type Per = (typeof PER)[number]

export interface Both {
  readonly a: number
  readonly b: number
}

export interface Difference {
  readonly boxes: Boxes
  /** Totals and own values of each side, scaled. */
  readonly total: { readonly a: Float64Array; readonly b: Float64Array }
  readonly self: { readonly a: Float64Array; readonly b: Float64Array }
  /** -1 (only in b) … 1 (only in a); 0 where chance alone may be behind it. */
  readonly change: Float64Array
}

/** What CPU seconds of each side are divided by. */
export function dividers({ a, b }: Pick<Comparison, 'a' | 'b'>, per: Per): Both {
  if (per === 'core') return { a: a.coreSeconds ?? Number.NaN, b: b.coreSeconds ?? Number.NaN }
  return per === 'whole' ? { a: Math.max(1e-9, a.seconds), b: Math.max(1e-9, b.seconds) } : { a: 1, b: 1 }
}

/** Core seconds where both have them: a job that got slower and one that got less work look alike in shares. */
export const perOf = (found: Pick<Comparison, 'a' | 'b'>, wanted: string | undefined): Per => {
  const known = found.a.coreSeconds !== null && found.b.coreSeconds !== null
  return PER.find(per => per === wanted && (per !== 'core' || known)) ?? (known ? 'core' : 'whole')
}

export function layoutDifference(found: Comparison, per: Per): Difference {
  const by = dividers(found, per)
  const { tree } = found
  const scaled = (values: readonly number[], divider: number) => Float64Array.from(values, value => value / divider)
  const total = { a: scaled(tree.a.total, by.a), b: scaled(tree.b.total, by.b) }
  const self = { a: scaled(tree.a.self, by.a), b: scaled(tree.b.self, by.b) }
  const mean = (both: { a: Float64Array; b: Float64Array }) => Array.from(both.a, (a, i) => (a + at(both.b, i)) / 2)
  const boxes = layoutFlame(
    parseTree({
      strings: found.strings,
      kinds: found.kinds,
      tree: {
        ...{ parent: tree.parent, function: tree.function, module: tree.module, kind: tree.kind },
        ...{ self: mean(self), total: mean(total) },
        samples: tree.a.samples.map((samples, i) => samples + at(tree.b.samples, i)),
      },
    }),
  )
  const grain = grainOf(found, by)
  const change = total.a.map((a, i) =>
    changeOf({ a, b: at(total.b, i) }, { a: at(tree.a.samples, i), b: at(tree.b.samples, i) }, grain),
  )
  return { boxes, total, self, change }
}

const at = (array: { readonly [i: number]: number }, i: number): number => array[i] ?? 0

/** What one sample of each side is worth. */
export function grainOf({ a, b }: Pick<Comparison, 'a' | 'b'>, by: Both): Both {
  return {
    a: a.seconds / Math.max(1, a.coverage.samples) / by.a,
    b: b.seconds / Math.max(1, b.coverage.samples) / by.b,
  }
}

/**
 * (a - b) / (a + b), and 0 where the difference is within 1.96 standard deviations of what counting samples gives by chance:
 * n samples of worth w vary by w sqrt(n), and none may as well have been one.
 */
export function changeOf(value: Both, samples: Both, grain: Both): number {
  const variance = Math.max(1, samples.a) * grain.a ** 2 + Math.max(1, samples.b) * grain.b ** 2
  const apart = value.a - value.b
  return Math.abs(apart) <= 1.96 * Math.sqrt(variance) ? 0 : apart / (value.a + value.b)
}
