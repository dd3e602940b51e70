/** GET /flame: trees of one Profile, which is kept for the next view. */
import { CATEGORIES, FRAME_KINDS } from '../ingest/records.ts'
import type { Coverage, Flame } from './api.ts'
import type { FlameAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { hint, notFound } from './errors.ts'
import { readSampling, type Sampling } from './sampling.ts'
import { resolveScope, type Target } from './scope.ts'
import { findFunctions, kindOf, type Profile, sumsOf } from './stacks.ts'
import { buildTree, OTHER, ROOT, type Tree } from './tree.ts'

export const seconds = (ns: number): number => ns / 1e9
export const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0)

export async function readFlame(desk: Desk, ask: FlameAsk): Promise<Flame> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const [profile, sampling] = await Promise.all([desk.profile(target), readSampling(desk.asker, target)])
  const idle = ask.idle ?? false
  const direction = ask.direction ?? 'topdown'
  const only = ask.function === undefined ? undefined : functionsNamed(profile, ask.function, ask.module)
  const tree = buildTree(profile, { direction, budget: ask.nodes ?? 4000, idle, only })
  const coverage = coverageOf(target, profile, idle, sampling)
  return {
    cluster: target.cluster,
    direction,
    ...namesOf(profile, tree),
    seconds: seconds(tree.total[0] ?? 0),
    wholeSeconds: seconds(sumsOf(profile, idle).ns),
    coverage,
  }
}

function functionsNamed(profile: Profile, name: string, module: string | undefined): Uint8Array | undefined {
  const found = findFunctions(profile, name, module)
  if (found) return found
  // With no samples at all the tree is empty anyway; what is missing then is samples, not the function.
  if (profile.ns.length === 0) return undefined
  const where = module === undefined ? '' : ` in ${module}`
  throw notFound(`function ${name}${where} is not in these samples.${hint(name, profile.names.slice(1), 'function')}`)
}

export const coverageOf = (target: Target, profile: Profile, idle: boolean, sampling: Sampling): Coverage => {
  const sums = sumsOf(profile, idle)
  return {
    from: target.from,
    to: target.to,
    samples: sums.samples,
    ...sampling,
    truncatedShare: share(sums.truncatedNs, sums.ns),
    unnamedShare: share(sums.unnamedNs, sums.ns),
    idleSeconds: seconds(sums.idleNs),
  }
}

/** Each name once; the tree points into them. */
export function namesOf(profile: Profile, tree: Tree): Pick<Flame, 'strings' | 'kinds' | 'categories' | 'tree'> {
  const strings: string[] = []
  const numberOf = new Map<string, number>()
  const number = (text: string): number => {
    const known = numberOf.get(text)
    if (known !== undefined) return known
    numberOf.set(text, strings.length)
    strings.push(text)
    return strings.length - 1
  }
  const kinds = [...FRAME_KINDS, 'root']
  const nameOf = (f: number) => (f === ROOT ? 'all' : f === OTHER ? '(other)' : (profile.names[f] ?? ''))
  const kind = (f: number) => (f === ROOT ? 'root' : f === OTHER ? 'other' : kindOf(profile, f))
  return {
    strings,
    kinds,
    categories: [...CATEGORIES],
    tree: {
      parent: tree.parent,
      function: tree.function.map(f => number(nameOf(f))),
      module: tree.function.map(f => number(f < 0 ? '' : (profile.modules[f] ?? ''))),
      kind: tree.function.map(f => kinds.indexOf(kind(f))),
      self: tree.self.map(seconds),
      total: tree.total.map(seconds),
      samples: tree.samples,
      category: tree.category,
    },
  }
}
