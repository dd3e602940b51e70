/**
 * What of the store a reader may see. Jobs carry their owner; everything else is reached through them: rows of processes
 * and samples by job, and of a node what was measured while one of the reader's jobs ran there.
 *
 *   n07   |---- ann's 17 ----|      |-- ann's 31 --|        ann sees the node's totals in these spans, of the processes,
 *             |-------- bob's 20 --------|                  stacks and job.* metrics in them only those of 17 and 31
 *
 * On a node that is shared its totals hold the neighbours' part too, without a name: how full the machine was belongs to
 * the truth about one's own job.
 */
import type { EntityPoint } from '../ingest/latest.ts'
import type { Burst } from '../ingest/records.ts'
import { type Asker, lists, numbers, strings } from './asker.ts'
import { badRequest } from './errors.ts'
import { and, limit, type Sql, sql } from './sql.ts'

export interface Reach {
  /** Tells reaches apart in caches. */
  readonly key: string
  /** Whose jobs; undefined: everyone's, and all there is. */
  readonly only: { user: string; accounts: readonly string[]; cluster?: string } | undefined
}

export const EVERYTHING: Reach = { key: '', only: undefined }

/** The jobs of a user, and those of the accounts a manager answers for. */
export const reachOf = (user: string, accounts: readonly string[]): Reach => ({
  key: JSON.stringify([user, ...accounts]),
  only: { user, accounts },
})

/** Every job of one cluster: for who tells of them. */
export const reachOfCluster = (cluster: string): Reach => ({
  key: JSON.stringify({ cluster }),
  only: { user: '', accounts: [], cluster },
})

/** Condition on rows of the table of jobs; undefined: all. */
export function ownJobs({ only }: Reach): Sql | undefined {
  if (only === undefined) return undefined
  if (only.cluster !== undefined) return limit(sql`cluster = ${only.cluster}`)
  const user = only.user === '' ? sql`false` : sql`user = ${only.user}`
  return limit(only.accounts.length === 0 ? user : sql`${user} OR (account != '' AND account IN ${only.accounts})`)
}

/** When something of a name (a job, a node) may be seen: (from, to] in seconds. */
interface Span {
  name: string
  from: number
  to: number
}

/** A reader's own jobs in a window. */
export interface OwnJobs {
  jobs: readonly Span[]
  /** Whose processes outside of jobs are seen too; '' for nobody's. */
  user: string
}

/** And where they ran. */
export interface Own extends OwnJobs {
  nodes: readonly Span[]
}

/** Parallel lists, an entry a run. */
export interface OwnRuns {
  user: string
  /** Its id, and what the kernel calls it. */
  names: readonly (readonly [string, string])[]
  spans: readonly Omit<Span, 'name'>[]
  /** As the scheduler names them. */
  nodes: readonly string[][]
}

/** Still running: seen to the end of time, as the table counts it. */
const FOREVER = 2 ** 32 - 1
/** A job's last stack window ends after it. */
const OVERHANG_SECONDS = 60
/** Its record begins so much before it does. */
const BURST_BEGINS = 2
const MAX_JOBS = 20_000
/** As text in an address they stay below what a server takes. */
const MAX_SPANS = 8_000

/** The jobs that ran in the window, or of them this one, or the newest so many; undefined: the reader sees all. */
export async function readOwnRuns(
  asker: Asker,
  cluster: string,
  window: { from: number; to: number },
  { job, newest }: { job?: string | undefined; newest?: number } = {},
): Promise<OwnRuns | undefined> {
  const { only } = asker.reach
  if (only === undefined) return undefined
  const [ids, kernelIds, from, to, nodes] = await asker.columns(
    'own jobs',
    sql`SELECT id, raw_id, intDiv(start_ms, 1000), if(end_ms = 0, ${FOREVER}, intDiv(end_ms + 999, 1000)), nodes FROM jobs FINAL
        WHERE ${and([
          sql`cluster = ${cluster}`,
          ownJobs(asker.reach),
          sql`start_ms > 0 AND start_ms < ${window.to} AND (end_ms = 0 OR end_ms > ${window.from - OVERHANG_SECONDS * 1000})`,
          job === undefined ? undefined : sql`(id = ${job} OR raw_id = ${job})`,
        ])} ORDER BY start_ms DESC LIMIT ${newest ?? MAX_JOBS + 1}`,
  )
  const spans = spansOf(numbers(from), numbers(to))
  if (spans.length > MAX_JOBS) throw tooMany(`${MAX_JOBS} jobs of yours ran`)
  const [id, kernelId, on] = [strings(ids), strings(kernelIds), lists(nodes)]
  return {
    user: only.user,
    names: spans.map((_, i) => [id[i] ?? '', kernelId[i] ?? '']),
    spans,
    nodes: spans.map((_, i) => strings(on[i])),
  }
}

export async function readOwnJobs(...asked: Parameters<typeof readOwnRuns>): Promise<OwnJobs | undefined> {
  const runs = await readOwnRuns(...asked)
  return runs && jobsOfRuns(runs)
}

export const jobsOfRuns = ({ user, names, spans }: OwnRuns): OwnJobs => ({
  user,
  jobs: merge(
    spans.flatMap(({ from, to }, i) =>
      (names[i] ?? []).map(name => ({ name, from, to: Math.min(FOREVER, to + OVERHANG_SECONDS) })),
    ),
  ),
})

/** `nodes`: of each run, by the names that measured values go by. */
export const nodesOfRuns = ({ spans }: OwnRuns, nodes: readonly (readonly string[])[]): readonly Span[] =>
  merge(spans.flatMap((span, i) => (nodes[i] ?? []).map(name => ({ ...span, name }))))

const spansOf = (from: readonly number[], to: readonly number[]) =>
  from.map((start, i) => ({ from: start, to: to[i] ?? start }))

const tooMany = (what: string) =>
  badRequest(`more than ${what} in this window: choose a shorter one (from, to), or name a job`)

/** Sorted, and of each name those that touch as one: then they do not overlap. */
function merge(spans: readonly Span[]): Span[] {
  const sorted = spans
    .filter(span => span.name !== '')
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.from - b.from))
  const merged: Span[] = []
  for (const span of sorted) {
    const last = merged.at(-1)
    if (last && last.name === span.name && span.from <= last.to) last.to = Math.max(last.to, span.to)
    else merged.push({ ...span })
  }
  if (merged.length > MAX_SPANS) throw tooMany(`${MAX_SPANS} stretches of time of your jobs lie`)
  return merged
}

/**
 * Rows whose name and time lie in one of the spans. Number of the name x 2^32 + second is a line on which the spans lie one
 * after the other, so one binary search a row finds the span that began last, however many there are.
 *
 *   0 ... n1: |from---to|   |from--to| ... n2: |from-----to| ...
 */
function inSpans(spans: readonly Span[], name: Sql, time: Sql): Sql {
  if (spans.length === 0) return sql`false`
  const names = [...new Set(spans.map(span => span.name))]
  const numberOf = new Map(names.map((known, i) => [known, i + 1]))
  const at = (span: Span, second: number) => (numberOf.get(span.name) ?? 0) * 2 ** 32 + second
  const starts = [0, ...spans.map(span => at(span, span.from + 1))]
  const ends = [0, ...spans.map(span => at(span, span.to))]
  const key = sql`(transform(toString(${name}), ${names}, ${[...numberOf.values()]}, 0) * 4294967296 + toInt64(toUnixTimestamp(${time})))`
  return sql`${name} IN ${names} AND ${key} <= transform(roundDown(${key}, ${starts}), ${starts}, ${ends}, 0)`
}

/** Conditions on rows of one table, within a cluster; undefined: all rows. `time` is its column of time. */
export const ownSamples = (own: OwnJobs | undefined, time: Sql): Sql | undefined =>
  own && limit(inSpans(own.jobs, sql`job`, time))

export const ownProcesses = (own: OwnJobs | undefined, time: Sql): Sql | undefined => {
  if (own === undefined) return undefined
  const inJobs = inSpans(own.jobs, sql`job`, time)
  return limit(own.user === '' ? inJobs : sql`(${inJobs}) OR (job = '' AND user = ${own.user})`)
}

/** Points of nodes and of what is in them; those of jobs by their own names. */
export const ownPoints = (own: Own | undefined, entity: string): Sql | undefined => {
  if (own === undefined) return undefined
  const onNodes = inSpans(own.nodes, sql`node`, sql`time`)
  return limit(entity === 'job' ? sql`${onNodes} AND ${inSpans(own.jobs, sql`instance`, sql`time`)}` : onNodes)
}

const sees = (spans: readonly Span[], name: string, ms: number): boolean =>
  spans.some(span => span.name === name && ms > span.from * 1000 && ms <= span.to * 1000)

/** Whether a node's values of a moment (ms) may be seen. */
export const seesNode = (own: Own | undefined, node: string, ms: number): boolean =>
  own === undefined || sees(own.nodes, node, ms)

/** The same of a disk, an interface, a job … of a node. */
export const seesInstance = (own: Own | undefined, { entity, node, instance, timeMs }: EntityPoint): boolean =>
  seesNode(own, node, timeMs) && (own === undefined || entity !== 'job' || sees(own.jobs, instance, timeMs))

/** Closer looks at own jobs. */
export const ownBursts = (own: OwnJobs | undefined): Sql | undefined =>
  own && limit(inSpans(own.jobs, sql`job`, sql`toDateTime(intDiv(from_ms, 1000) + ${BURST_BEGINS}, 'UTC')`))

/** A closer look that runs or ran, or the reader's own. */
export const seesBurst = (
  own: OwnJobs | undefined,
  { job = '', by, from }: Pick<Burst, 'job' | 'by' | 'from'>,
): boolean => own === undefined || (by !== '' && by === own.user) || sees(own.jobs, job, from + BURST_BEGINS * 1000)

export const ownNodes = (own: Own): string[] => [...new Set(own.nodes.map(span => span.name))]
