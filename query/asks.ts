/** What every route may be asked: the schemas of its parameters, beside api.ts, which holds those of the answers. */
import { type Static, Type } from 'typebox'
import { Scope } from './api.ts'

const cluster = Type.Optional(Type.String({ description: 'absent: the only one, else the one heard from last' }))
const { from, to } = Scope.properties
const buckets = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 4000, default: 300, description: 'as many as the screen has room for' }),
)
const limit = (value: number) => Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: value }))
const closed = { additionalProperties: false } as const

/** Every route refuses parameters that it does not know, so that a misspelt one is not an answer to another question. */
const ask = <T extends Parameters<typeof Type.Object>[0]>(properties: T) => Type.Object(properties, closed)
const scope = Scope.properties

export const Nothing = ask({})
export const OfCluster = ask({ cluster })
export const NodesAsk = ask({
  cluster,
  metrics: Type.Optional(Type.String({ description: 'columns of entity node to answer, with commas; absent: all' })),
  sort: Type.Optional(Type.String({ default: 'cpu_busy', description: 'column of entity node; the highest first' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, default: 20_000 })),
  top: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 200, default: 50, description: 'how many get topProcess and topFunction' }),
  ),
})
export const NodeAsk = ask({ cluster, from, to })
export const HeatmapAsk = ask({
  ...scope,
  metric: Type.Optional(Type.String({ default: 'cpu_busy' })),
  entity: Type.Optional(Type.String({ default: 'node' })),
  order: Type.Optional(Type.Union([Type.Literal('hottest'), Type.Literal('name'), Type.Literal('job')])),
  buckets,
})
export const SeriesAsk = ask({
  ...scope,
  metrics: Type.String({ minLength: 1, description: 'cpu_user,disk.read_bytes' }),
  band: Type.Optional(Type.Boolean({ default: false })),
  buckets,
})
export const ProcessesAsk = ask({
  ...scope,
  sort: Type.Optional(
    Type.Union([Type.Literal('cpu'), Type.Literal('memory'), Type.Literal('read'), Type.Literal('write')]),
  ),
  limit: limit(20),
})
export const ProcessAsk = ask({
  ...scope,
  node: Type.String(),
  pid: Type.Integer({ minimum: 0, maximum: 4294967295 }),
  buckets,
})
const idle = Type.Optional(Type.Boolean({ default: false, description: 'with idle stacks' }))
export const FlameAsk = ask({
  ...scope,
  direction: Type.Optional(Type.Union([Type.Literal('topdown'), Type.Literal('bottomup')])),
  nodes: Type.Optional(Type.Integer({ minimum: 2, maximum: 100_000, default: 4000 })),
  function: Type.Optional(Type.String({ description: 'only below (top-down) or above (bottom-up) this one' })),
  module: Type.Optional(Type.String({ description: 'of the function' })),
  idle,
})
export const FunctionsAsk = ask({
  ...scope,
  sort: Type.Optional(Type.Union([Type.Literal('self'), Type.Literal('total')])),
  limit: limit(100),
  search: Type.Optional(Type.String({ maxLength: 1000, description: 'part of the name of a function or module' })),
  idle,
})
const { burst: _, user: __, ...compared } = scope
export const CompareAsk = ask({
  ...compared,
  otherJob: Type.Optional(Type.String({ description: 'compared with this job, over its own time' })),
  otherNode: Type.Optional(
    Type.String({ description: 'compared with these nodes; absent: the same, unless otherJob is another' }),
  ),
  otherRank: scope.rank,
  otherFrom: from,
  otherTo: to,
  nodes: Type.Optional(Type.Integer({ minimum: 2, maximum: 100_000, default: 4000 })),
})
const format = Type.Optional(Type.Union([Type.Literal('folded'), Type.Literal('speedscope'), Type.Literal('pprof')]))
export const StacksAsk = ask({
  ...scope,
  format,
  idle,
})
export const CategoriesAsk = ask({
  ...scope,
  buckets: Type.Optional(Type.Integer({ minimum: 1, maximum: 4000, description: 'also over time' })),
})
export const JobsAsk = ask({
  cluster,
  state: Type.Optional(Type.String({ description: 'in any of these states', examples: ['running,queued'] })),
  user: Type.Optional(Type.String({ description: 'of any of these users', examples: ['ann,bob'] })),
  queue: Type.Optional(Type.String({ description: 'big,small: in any of them' })),
  account: Type.Optional(Type.String()),
  name: Type.Optional(
    Type.String({ description: 'part of the name; with * or ? the whole of it', examples: ['relax_*'] }),
  ),
  node: Type.Optional(Type.String({ description: 'ran there; with commas: on any of them' })),
  from: Type.Optional(Type.Number({ minimum: 0, maximum: 4e12, description: 'still there after this' })),
  to: Type.Optional(Type.Number({ minimum: 0, maximum: 4e12, description: 'submitted before this' })),
  minNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  maxNodes: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  minCores: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  maxCores: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  minGpus: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295 })),
  minSeconds: Type.Optional(Type.Number({ minimum: 0, maximum: 4e9, description: 'ran at least so long' })),
  array: Type.Optional(Type.String({ description: 'tasks of this array job' })),
  limit: limit(50),
  cursor: Type.Optional(Type.String({ description: '`next` of the page before' })),
})
export const JobNodesAsk = ask({
  cluster,
  metric: Type.Optional(Type.String({ default: 'cpu_busy' })),
  from,
  to,
  buckets,
})
export const JobRanksAsk = ask({ cluster, from, to })
export const JobFileAsk = ask({
  cluster,
  from,
  to,
  node: scope.node,
  rank: scope.rank,
  burst: scope.burst,
  format,
  idle,
})
export const BandsAsk = ask({ ...scope, limit: limit(500) })
export const SearchAsk = ask({
  cluster,
  q: Type.String({ minLength: 1, maxLength: 200 }),
  limit: limit(30),
})
const { job, node, pid, start } = scope
export const BurstsAsk = ask({ cluster, job, node, pid, start, from, to, limit: limit(20) })
export const BurstId = Type.Object({ id: Type.String({ examples: ['mwzm4av8-d6ff4674'] }) })
export const NodeName = Type.Object({ node: Type.String() })
export const JobId = Type.Object({
  id: Type.String({
    description: 'as users type it, or as control groups are named',
    examples: ['4711', '4711_3', '76[1].pbs01'],
  }),
})

export type NodesAsk = Static<typeof NodesAsk>
export type HeatmapAsk = Static<typeof HeatmapAsk>
export type SeriesAsk = Static<typeof SeriesAsk>
export type ProcessesAsk = Static<typeof ProcessesAsk>
export type ProcessAsk = Static<typeof ProcessAsk>
export type FlameAsk = Static<typeof FlameAsk>
export type CompareAsk = Static<typeof CompareAsk>
export type FunctionsAsk = Static<typeof FunctionsAsk>
export type StacksAsk = Static<typeof StacksAsk>
export type CategoriesAsk = Static<typeof CategoriesAsk>
export type JobsAsk = Static<typeof JobsAsk>
export type JobNodesAsk = Static<typeof JobNodesAsk>
export type JobRanksAsk = Static<typeof JobRanksAsk>
export type BandsAsk = Static<typeof BandsAsk>
export type BurstsAsk = Static<typeof BurstsAsk>
export type SearchAsk = Static<typeof SearchAsk>
