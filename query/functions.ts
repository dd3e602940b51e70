/**
 * GET /functions: the function table. Of a short window from its stacks, which the flame graph beside it needs anyway; of a
 * long one from what the store adds up of functions (functionsums.ts): that needs no stacks, and is kept when samples are gone.
 * All give the same.
 */
import type { Coverage, Functions } from './api.ts'
import type { Asker } from './asker.ts'
import type { FunctionsAsk } from './asks.ts'
import type { Desk } from './desk.ts'
import { coverageOf, seconds, share } from './flame.ts'
import { readSums, roundOut } from './functionsums.ts'
import { readSampling } from './sampling.ts'
import { resolveScope, samplesOf, type Target } from './scope.ts'
import { sql } from './sql.ts'
import { functionTotals, isUnnamedName, kindOf, NOT_STORED, type Profile, sumsOf } from './stacks.ts'

interface Row {
  function: string
  module: string
  kind: string
  /** Nanoseconds. */
  self: number
  total: number
  /** Behind self. */
  samples: number
}

const LONG = 6 * 3_600_000

export async function readFunctions(desk: Desk, ask: FunctionsAsk): Promise<Functions> {
  const target = await resolveScope(desk.asker, desk.known, ask)
  const long = target.to - target.from >= LONG && target.burst === '' && target.rank === undefined && !ask.idle
  return long ? bySums(desk, roundOut(target, desk.asker.nowMs), ask) : byStacks(desk, target, ask)
}

async function byStacks(desk: Desk, target: Target, ask: FunctionsAsk): Promise<Functions> {
  const [profile, sampling] = await Promise.all([desk.profile(target), readSampling(desk.asker, target)])
  const idle = ask.idle ?? false
  const table = tableOf(rowsOf(profile, idle), sumsOf(profile, idle).ns, ask)
  return { cluster: target.cluster, ...table, coverage: coverageOf(target, profile, idle, sampling) }
}

const rowsOf = (profile: Profile, idle: boolean): Row[] =>
  functionTotals(profile, idle).map(row => ({
    function: profile.names[row.function] ?? '',
    module: profile.modules[row.function] ?? '',
    kind: kindOf(profile, row.function),
    self: row.self,
    total: row.total,
    samples: row.samples,
  }))

async function bySums(desk: Desk, target: Target, ask: FunctionsAsk): Promise<Functions> {
  const [rows, sampling, idleNs] = await Promise.all([
    readNamed(desk, target),
    readSampling(desk.asker, target),
    readIdle(desk.asker, target),
  ])
  const whole = rows.reduce((sum, row) => sum + row.self, 0)
  const unnamed = rows.filter(row => isUnnamedName(row.function))
  const coverage: Coverage = {
    from: target.from,
    to: target.to,
    samples: rows.reduce((sum, row) => sum + row.samples, 0),
    ...sampling,
    truncatedShare: share(rows.find(row => row.kind === 'truncated')?.total ?? 0, whole),
    unnamedShare: share(
      unnamed.reduce((sum, row) => sum + row.self, 0),
      whole,
    ),
    idleSeconds: seconds(idleNs),
  }
  return { cluster: target.cluster, ...tableOf(rows, whole, ask), coverage }
}

async function readNamed({ asker, bodies, known }: Desk, target: Target): Promise<Row[]> {
  const since = await known.fivesSince(asker, target.cluster)
  const { ids, self, total, samples } = await readSums(asker, target, since.functions)
  const names = await bodies().functions(asker, ids)
  return ids.map((id, i) => ({
    ...(names.get(id) ?? { function: NOT_STORED, module: '', kind: 'other' }),
    self: self[i] ?? 0,
    total: total[i] ?? 0,
    samples: samples[i] ?? 0,
  }))
}

/** Mostly nobody samples idle time; then there is no such stack and the samples need not be read. */
async function readIdle(asker: Asker, target: Target): Promise<number> {
  const stacks = sql`SELECT stack_id FROM stacks WHERE category = 'idle'`
  const some = await asker.rows('idle stacks', sql`${stacks} LIMIT 1`)
  if (some.length === 0) return 0
  const [row] = await asker.rows<{ ns: number }>(
    'idle time',
    sql`SELECT toFloat64(sum(value)) AS ns FROM samples WHERE ${samplesOf(target)} AND stack_id IN (${stacks})`,
  )
  return row?.ns ?? 0
}

/** What is searched for narrows the rows, never the shares. */
function tableOf(all: readonly Row[], whole: number, ask: FunctionsAsk): Omit<Functions, 'cluster' | 'coverage'> {
  const by = ask.sort ?? 'self'
  const wanted = ask.search?.toLowerCase() ?? ''
  const rows = all
    .filter(row => row.self > 0 || row.kind !== 'truncated')
    .filter(row => wanted === '' || `${row.function}\n${row.module}`.toLowerCase().includes(wanted))
    .sort((a, b) => b[by] - a[by] || b.total - a.total || (a.function < b.function ? -1 : 1))
  const listed = rows.slice(0, ask.limit ?? 100)
  const rest = rows.slice(listed.length)
  return {
    seconds: seconds(whole),
    functions: listed.map(row => ({
      function: row.function,
      module: row.module,
      kind: row.kind,
      self: seconds(row.self),
      total: seconds(row.total),
      selfShare: share(row.self, whole),
      totalShare: share(row.total, whole),
      samples: row.samples,
    })),
    other: { self: seconds(rest.reduce((sum, row) => sum + row.self, 0)), count: rest.length },
  }
}
