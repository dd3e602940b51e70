/** Two scopes of the mock cluster side by side. */
import type * as api from '../../../query/api.ts'
import type { Tree } from '../../../ui/layout/flame.ts'
import { functionSums } from '../../../ui/layout/transform.ts'
import type { Asked } from './answers.ts'
import { row } from './jobs.ts'
import { treeOf } from './stacks.ts'
import { appSeconds, coverage } from './time.ts'
import { type App, CORES, JOBS } from './world.ts'

/** The same question of the other side. */
function otherOf(asked: Asked): Asked {
  const query = new URLSearchParams(asked.query)
  for (const [key, other] of [
    ['job', 'otherJob'],
    ['node', 'otherNode'],
    ['from', 'otherFrom'],
    ['to', 'otherTo'],
  ] as const) {
    const value = asked.query.get(other)
    if (value !== null) query.set(key, value)
  }
  return { ...asked, query }
}

/** Both trees have the boxes of both. */
const withAll = (own: Partial<Record<App, number>>, apps: readonly App[]) =>
  treeOf(Object.fromEntries(apps.map(app => [app, own[app] ?? 0])))

function sideOf(asked: Asked, tree: Tree): api.Comparison['a'] {
  const job = JOBS.find(j => j.id === asked.query.get('job'))
  const node = asked.query.get('node')
  const told = coverage(asked, tree.samples[0] ?? 0)
  return {
    job: job ? row(asked.world, job) : null,
    nodes: node?.split(',') ?? [],
    rank: null,
    seconds: tree.total[0] ?? 0,
    coreSeconds: ((node ? 1 : (job?.nodes.length ?? 1)) * CORES * (told.to - told.from)) / 1000,
    coverage: told,
  }
}

const weights = (tree: Tree) => ({ self: [...tree.self], total: [...tree.total], samples: [...tree.samples] })

export function compare(asked: Asked): api.Comparison {
  const other = otherOf(asked)
  const [mine, theirs] = [appSeconds(asked), appSeconds(other)]
  const apps = [...new Set(JOBS.map(job => job.app))].filter(app => app in mine || app in theirs)
  const [a, b] = [withAll(mine, apps), withAll(theirs, apps)]
  const sumsB = functionSums(b)
  return {
    cluster: 'mock',
    a: sideOf(asked, a),
    b: sideOf(other, b),
    metrics: [
      { metric: 'cpu_busy', unit: 'ratio', a: 0.86, b: 0.41 },
      { metric: 'memory_used', unit: 'bytes', a: 61e9, b: 58e9 },
      { metric: 'gpu_utilization', unit: 'ratio', a: null, b: 0.3 },
    ],
    categories: [
      { category: 'compute', a: (a.total[0] ?? 0) * 0.8, b: (b.total[0] ?? 0) * 0.6 },
      { category: 'mpi', a: (a.total[0] ?? 0) * 0.2, b: (b.total[0] ?? 0) * 0.4 },
    ],
    ...{ strings: [...a.strings], kinds: [...a.kinds] },
    tree: {
      ...{ parent: [...a.parent], function: [...a.fn], module: [...a.module], kind: [...a.kind] },
      ...{ a: weights(a), b: weights(b) },
    },
    functions: functionSums(a).map(s => {
      const same = sumsB.find(o => o.fn === s.fn && o.module === s.module)
      return {
        ...{ function: a.strings[s.fn] ?? '', module: a.strings[s.module] ?? '', kind: a.kinds[s.kind] ?? '' },
        a: { self: s.self, total: s.total, samples: s.samples },
        b: { self: same?.self ?? 0, total: same?.total ?? 0, samples: same?.samples ?? 0 },
      }
    }),
    functionsLeftOut: 0,
  }
}
