/**
 * Processes over a long past, from what is added up of each in five minutes, in one question: of a rule of values whoever passed
 * the threshold in a cell (a window passes it only where one of its cells does), of peers all of a job and program of which two were
 * ever `apart`.
 *
 * What goes up and down within five minutes is not kept but for memory: the highest of all else is that of the means.
 */
import { within } from '../scope.ts'
import { and, type Sql, sql, whole } from '../sql.ts'
import { cellsIn, type PastReading, readCells } from './cells.ts'
import type { PastLook } from './pastwork.ts'
import { ofProcesses, type ProcessRow } from './processes.ts'
import { likeOf, type ReadyRule } from './rule.ts'
import type { How } from './ticks.ts'

/** The ones that are furthest beyond the threshold. */
const MAX_PROCESSES = 10_000
/** Jobs and programs whose processes lie furthest from each other. */
const MAX_GROUPS = 300

/** A row's value is `value` by `weight`, that of several the sums of both; or the highest where there is no weight. */
interface Figure {
  value: Sql
  weight: Sql | undefined
}

function figureOf({ figure, aggregate }: ReadyRule): Figure {
  if (figure === 'cpu') return { value: sql`cpu_seconds`, weight: sql`seconds` }
  if (figure === 'threads') return { value: sql`threads`, weight: undefined }
  if (figure === 'memory_bytes')
    return aggregate === 'max'
      ? { value: sql`memory_max`, weight: undefined }
      : { value: sql`memory_sum`, weight: sql`ticks` }
  return { value: figure === 'read_bytes' ? sql`read_bytes` : sql`write_bytes`, weight: sql`seconds` }
}

/** Rows of the span that the rule is about, as far as rows tell. */
const rowsOf = ({ cluster, span }: PastReading, { where = {}, test }: ReadyRule): Sql =>
  and([
    sql`cluster = ${cluster}`,
    within(span),
    where.process === undefined ? undefined : sql`name LIKE ${likeOf(where.process)}`,
    where.user === undefined ? undefined : sql`user LIKE ${likeOf(where.user)}`,
    where.node === undefined ? undefined : sql`node LIKE ${likeOf(where.node)}`,
    test === 'peers' ? sql`job != ''` : undefined,
  ])

const rateOf = ({ value, weight }: Figure): Sql => (weight ? sql`${value} / ${weight}` : value)

/** Whose process passed the threshold in any row. */
function beyond(reading: PastReading, rule: ReadyRule): Sql {
  const rate = rateOf(figureOf(rule))
  const passed =
    rule.above === undefined
      ? sql`AND ${rate} < ${rule.below ?? 0} GROUP BY node, pid, start_ms ORDER BY min(${rate})`
      : sql`AND ${rate} > ${rule.above} GROUP BY node, pid, start_ms ORDER BY max(${rate}) DESC`
  return sql`(node, pid, start_ms) IN (SELECT node, pid, start_ms FROM processes_5m
      WHERE ${rowsOf(reading, rule)} ${passed} LIMIT ${whole(MAX_PROCESSES)})`
}

/** Whose job and program has some that lie apart. */
function uneven(reading: PastReading, rule: ReadyRule): Sql {
  const rate = rateOf(figureOf(rule))
  return sql`(job, name) IN (SELECT job, name FROM (
        SELECT job, name, max(${rate}) - min(${rate}) AS spread FROM processes_5m
        WHERE ${rowsOf(reading, rule)} GROUP BY job, name, time HAVING count() > 2
      ) GROUP BY job, name HAVING max(spread) > 0 AND max(spread) >= ${rule.apart ?? 0} ORDER BY max(spread) DESC LIMIT ${whole(MAX_GROUPS)})`
}

const text = (value: unknown): string => String(value ?? '')

export async function readPastProcesses(reading: PastReading, rule: ReadyRule): Promise<PastLook> {
  const { value, weight } = figureOf(rule)
  const cells = await readCells(reading, 'alerts: past processes', {
    rows: sql`processes_5m WHERE ${rowsOf(reading, rule)} AND ${rule.test === 'peers' ? uneven(reading, rule) : beyond(reading, rule)}`,
    instance: sql`(pid, start_ms)`,
    values: weight ? { value: sql`sum(${value})`, weight: sql`sum(${weight})` } : { value: sql`max(${value})` },
    same: [sql`pid`, sql`toFloat64(start_ms)`, sql`name`, sql`user`, sql`job`, sql`rank`],
  })
  const [pid, start, process, user, job, rank] = cells.same
  const who = cells.nodes.map((node, place) => ({
    ...{ node, pid: Number(pid?.[place]), start: Number(start?.[place]) },
    ...{ process: text(process?.[place]), user: text(user?.[place]), job: text(job?.[place]) },
    rank: typeof rank?.[place] === 'number' ? rank[place] : null,
  }))
  // Of CPU time nothing is nothing; of all else there is a mean of the time that it was there.
  const seconds = (cellsIn(rule.windowMs, reading.cellMs) * reading.cellMs) / 1000
  return (then, noted) => {
    const windows = cells.at(then.atMs, rule.windowMs)
    const over = (name: string, how: How) => windows.over(name, how, rule.windowMs)
    const [sums, weights] = [over('value', weight ? 'sum' : 'max'), over('weight', 'sum')]
    const rows = windows.places.flatMap((place, i): ProcessRow[] => {
      const by = weight === undefined ? 1 : rule.figure === 'cpu' ? seconds : (weights[i] ?? Number.NaN)
      const [process, value] = [who[place], (sums[i] ?? Number.NaN) / by]
      return process && (rule.test === 'peers' || noted(value, process.node)) ? [{ ...process, value }] : []
    })
    return ofProcesses(rule, rows, then, noted)
  }
}
