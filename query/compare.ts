/**
 * GET /compare: two scopes side by side, this one (a) and another (b): what they used, and one tree of the stacks of both.
 *
 *   a: main 10        b: main 20        one tree        a    b
 *      ├ solve 8         ├ solve 8      main           10   20
 *      └ read  2         └ write 12     ├ solve         8    8
 *                                       ├ write         0   12     <- appeared in b
 *                                       └ read          2    0     <- vanished
 *
 * Values are CPU seconds as they are. What they are divided by (core seconds, the whole, nothing) is the reader's choice; which
 * boxes are kept is decided by shares, so that the longer of the two does not push the other's out.
 */
import { findMetric, type Metric } from '../ingest/metrics.ts'
import type { Comparison, Scope } from './api.ts'
import type { CompareAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { badRequest } from './errors.ts'
import { coverageOf, namesOf, seconds, share } from './flame.ts'
import { jobRow } from './jobs.ts'
import { meanOf, tableOf } from './points.ts'
import { readSampling } from './sampling.ts'
import { pointsOf, resolveScope, type Target } from './scope.ts'
import { list, sql } from './sql.ts'
import { categoriesOf, type FunctionTotal, functionTotals, IDLE, kindOf, type Profile, sumsOf } from './stacks.ts'
import { shapeTree, weighTree } from './tree.ts'

const FUNCTIONS = 200

export async function readComparison(desk: Desk, ask: CompareAsk): Promise<Comparison> {
  const [mine, other] = scopesOf(ask)
  const [a, b] = await Promise.all([readSide(desk, mine), readSide(desk, other)])
  const joint = joinProfiles(a.profile, b.profile)
  const shape = shapeTree(joint.whole, { direction: 'topdown', budget: ask.nodes ?? 4000, idle: false })
  const [inA, inB] = [weighTree(shape, joint.a), weighTree(shape, joint.b)]
  const named = namesOf(joint.whole, { ...shape, ...weighTree(shape, joint.whole) })
  const { parent, function: of, module, kind } = named.tree
  return {
    cluster: a.target.cluster,
    ...{ a: a.side, b: b.side },
    metrics: METRICS.map((metric, m) => {
      return { metric: metric.column, unit: metric.unit, a: a.metrics[m] ?? null, b: b.metrics[m] ?? null }
    }).filter(row => row.a !== null || row.b !== null),
    categories: categoryRows(joint),
    ...{ strings: named.strings, kinds: named.kinds },
    tree: { parent, function: of, module, kind, a: secondsOf(inA), b: secondsOf(inB) },
    ...functionRows(joint),
  }
}

const secondsOf = ({ self, total, samples }: ReturnType<typeof weighTree>) => ({
  self: self.map(seconds),
  total: total.map(seconds),
  samples,
})

/** What is not said of the other is the same; another job has nodes, ranks and a time of its own. */
function scopesOf(ask: CompareAsk): [Scope, Scope] {
  const { otherJob, otherNode, otherRank, otherFrom, otherTo, nodes: _, ...mine } = ask
  if ([otherJob, otherNode, otherRank, otherFrom, otherTo].every(part => part === undefined)) {
    throw badRequest('say what to compare with: otherJob, otherNode, otherRank, or otherFrom and otherTo')
  }
  const { cluster, job, node, rank, pid, start, from, to } = mine
  const isSame = otherJob === undefined
  const isWhole = isSame && otherNode === undefined && otherRank === undefined
  return [
    mine,
    named({
      cluster,
      job: otherJob ?? job,
      node: otherNode ?? (isSame ? node : undefined),
      rank: otherRank ?? (isSame && otherNode === undefined ? rank : undefined),
      pid: isWhole ? pid : undefined,
      start: isWhole ? start : undefined,
      from: otherFrom ?? (isSame && otherTo === undefined ? from : undefined),
      to: otherTo ?? (isSame && otherFrom === undefined ? to : undefined),
    }),
  ]
}

type Parts = { [K in keyof Scope]: Scope[K] | undefined }
const named = (parts: Parts): Scope =>
  Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined)) as Scope

interface Side {
  target: Target
  profile: Profile
  side: Comparison['a']
  metrics: (number | null)[]
}

async function readSide(desk: Desk, scope: Scope): Promise<Side> {
  const { asker } = desk
  const target = await resolveScope(asker, desk.known, scope)
  const { job } = target
  const [profile, sampling, metrics, first, [usage]] = await Promise.all([
    desk.profile(target),
    readSampling(asker, target),
    readMetrics(desk, target),
    desk.known.first(asker, target.cluster),
    job ? desk.usage(asker, target.cluster, [job]) : [],
  ])
  const coverage = coverageOf(target, profile, false, sampling)
  const side = {
    job: job ? jobRow(job, usage, first, asker.nowMs) : null,
    nodes: target.namedNodes ?? [],
    rank: target.rank ?? null,
    seconds: seconds(sumsOf(profile, false).ns),
    coreSeconds: await readCoreSeconds(desk, target, first),
    coverage,
  }
  return { target, profile, side, metrics }
}

/** Core time that the scope had, since anything was measured; null: a process or a rank has no cores of its own that we know. */
async function readCoreSeconds({ asker, known }: Desk, target: Target, first: number | null): Promise<number | null> {
  const { job, namedNodes } = target
  if (target.rank !== undefined || target.pid !== undefined || first === null) return null
  const held = (Math.min(target.to, asker.nowMs) - Math.max(target.from, first)) / 1000
  if (held <= 0) return null
  if (job) {
    const cores = coresOn(job.record, job.nodes, namedNodes)
    return cores > 0 ? held * cores : null
  }
  const records = await known.records(asker, target.cluster)
  const cores = (namedNodes ?? [...records.keys()]).map(node => records.get(node)?.threads ?? Number.NaN)
  const sum = cores.reduce((total, count) => total + count, 0)
  return Number.isFinite(sum) && sum > 0 ? held * sum : null
}

type JobRecord = NonNullable<Target['job']>['record']

/** Of the job's cores those on the named nodes: as the scheduler told them, else the same on each node. */
function coresOn(record: JobRecord, nodes: readonly string[], namedNodes: readonly string[] | undefined): number {
  const cores = record.cores ?? 0
  if (!namedNodes) return cores
  const told = new Map((record.allocations ?? []).map(allocation => [allocation.node, allocation.cores]))
  const evenly = cores / Math.max(1, nodes.length)
  return namedNodes.reduce((sum, node) => sum + (told.get(node) ?? evenly), 0)
}

/** Means over the nodes and the window, in the order of a reader who asks: busy with what, fed by what. */
const METRICS: readonly Metric[] = [
  'cpu_busy',
  'cpu_system',
  'cpu_iowait',
  'cpu_frequency',
  'cpu_ipc',
  'memory_used',
  'memory_bandwidth_total',
  'memory_bandwidth_remote',
  'page_faults_major',
  'swap_in',
  'pressure_cpu_some',
  'pressure_memory_some',
  'pressure_io_some',
  'disk_read_bytes',
  'disk_write_bytes',
  'filesystem_read_bytes',
  'filesystem_write_bytes',
  'filesystem_metadata_operations',
  'network_receive_bytes',
  'network_transmit_bytes',
  'fabric_receive_bytes',
  'fabric_transmit_bytes',
  'gpu_utilization',
  'gpu_sm_active',
  'gpu_memory_used',
  'cpu_throttled',
  'power_watts',
].flatMap(name => findMetric('node', name) ?? [])

/** Above so many rows of points the rollups answer: an hour of 1000 nodes at 10 s is 360,000. */
const MANY_ROWS = 2_000_000

async function readMetrics({ asker, known }: Desk, target: Target): Promise<(number | null)[]> {
  const nodes = target.nodes?.length ?? (await known.nodes(asker, target.cluster)).size
  const isLong = (nodes * (target.to - target.from)) / 10_000 > MANY_ROWS
  const rollup = isLong ? '1h' : ''
  const columns = await asker.columns(
    'metrics of a scope',
    sql`SELECT ${list(METRICS.map(metric => meanOf(metric, rollup)))} FROM ${tableOf('node', rollup)} WHERE ${pointsOf(target, target)}`,
  )
  return columns.map(([value]) => (typeof value === 'number' && Number.isFinite(value) ? value : null))
}

interface Joint {
  /** Functions and stacks of both; values by share of their own whole: what a box is worth. */
  whole: Profile
  /** The same stacks with the values of one of the two. */
  a: Profile
  b: Profile
}

/** A function of the same name, module and kind is the same function. */
function joinProfiles(a: Profile, b: Profile): Joint {
  const names = [...a.names]
  const modules = [...a.modules]
  const kinds = [...a.kinds]
  const keyOf = (p: Profile, f: number) => `${p.names[f]}\0${p.modules[f]}\0${p.kinds[f]}`
  const numberOf = new Map(a.names.map((_, f) => [keyOf(a, f), f]))
  const inJoint = Uint32Array.from(b.names, (name, f) => {
    const known = f === 0 ? 0 : numberOf.get(keyOf(b, f))
    if (known !== undefined) return known
    modules.push(b.modules[f] ?? '')
    kinds.push(b.kinds[f] ?? 0)
    return names.push(name) - 1
  })
  const stacks = {
    names,
    modules,
    kinds: Uint8Array.from(kinds),
    offsets: joined(
      new Uint32Array(a.offsets.length + b.offsets.length - 1),
      a.offsets,
      b.offsets.subarray(1).map(offset => offset + a.frames.length),
    ),
    frames: joined(
      new Uint32Array(a.frames.length + b.frames.length),
      a.frames,
      b.frames.map(f => inJoint[f] ?? 0),
    ),
    categories: Uint8Array.from([...a.categories, ...b.categories]),
  }
  const [noneA, noneB] = [new Float64Array(a.ns.length), new Float64Array(b.ns.length)]
  const stacksOfBoth = () => new Float64Array(a.ns.length + b.ns.length)
  const of = (ns: [Float64Array, Float64Array], counts: [Float64Array, Float64Array]): Profile => ({
    ...stacks,
    ns: joined(stacksOfBoth(), ...ns),
    counts: joined(stacksOfBoth(), ...counts),
  })
  return {
    whole: of([sharesOf(a), sharesOf(b)], [a.counts, b.counts]),
    a: of([a.ns, noneB], [a.counts, noneB]),
    b: of([noneA, b.ns], [noneA, b.counts]),
  }
}

/** `both` has room for them. */
function joined<T extends Uint32Array | Float64Array>(both: T, a: T, b: T): T {
  both.set(a)
  both.set(b, a.length)
  return both
}

function sharesOf(profile: Profile): Float64Array {
  const whole = sumsOf(profile, false).ns
  return profile.ns.map((ns, s) => (profile.categories[s] === IDLE ? 0 : share(ns, whole)))
}

function categoryRows({ whole, a, b }: Joint): Comparison['categories'] {
  const [inA, inB] = [a, b].map(profile => new Map(categoriesOf(profile).map(row => [row.category, row.ns])))
  return categoriesOf(whole)
    .filter(row => row.category !== 'idle')
    .map(({ category }) => {
      return { category, a: seconds(inA?.get(category) ?? 0), b: seconds(inB?.get(category) ?? 0) }
    })
}

/** Those whose shares of the whole are furthest apart. */
function functionRows({ whole, a, b }: Joint): Pick<Comparison, 'functions' | 'functionsLeftOut'> {
  const [inA, inB] = [a, b].map(profile => new Map(functionTotals(profile, false).map(row => [row.function, row])))
  const [allA, allB] = [sumsOf(a, false).ns, sumsOf(b, false).ns]
  const rows = functionTotals(whole, false).map(({ function: f }) => {
    const [rowA, rowB] = [inA?.get(f), inB?.get(f)]
    const apart = share(rowA?.self ?? 0, allA) - share(rowB?.self ?? 0, allB)
    return { f, apart: Math.abs(apart), a: sideOf(rowA), b: sideOf(rowB) }
  })
  const told = rows.filter(row => row.a.self + row.b.self > 0).sort((x, y) => y.apart - x.apart || x.f - y.f)
  return {
    functions: told.slice(0, FUNCTIONS).map(row => ({
      function: whole.names[row.f] ?? '',
      module: whole.modules[row.f] ?? '',
      kind: kindOf(whole, row.f),
      ...{ a: row.a, b: row.b },
    })),
    functionsLeftOut: Math.max(0, told.length - FUNCTIONS),
  }
}

const sideOf = (row: FunctionTotal | undefined) => ({
  self: seconds(row?.self ?? 0),
  total: seconds(row?.total ?? 0),
  samples: row?.samples ?? 0,
})
