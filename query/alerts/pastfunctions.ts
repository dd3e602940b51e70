/**
 * Shares of functions over a long past, from what is added up of each function of a job in five minutes. Where one of several
 * functions that a pattern means calls another of them, its time counts for both: at most so much, and never more than all.
 */
import { strings } from '../asker.ts'
import type { Desk } from '../desk.ts'
import { within } from '../scope.ts'
import { and, type Sql, sql } from '../sql.ts'
import { type Cells, type PastReading, readCells } from './cells.ts'
import { ofSums, type Sums } from './functions.ts'
import type { PastLook } from './pastwork.ts'
import { likeOf, type ReadyRule } from './rule.ts'

const rowsOf = ({ cluster, span }: PastReading): Sql => and([sql`cluster = ${cluster}`, within(span)])
const meant = (rule: ReadyRule): Sql =>
  sql`function_id IN (SELECT function_id FROM frames WHERE function LIKE ${likeOf(rule.function ?? '')})`

/** A place a job: time of all, and of what the rule means. What is no job's is called ''. */
const readJobs = (reading: PastReading, rule: ReadyRule): Promise<Cells> =>
  readCells(reading, 'alerts: past functions', {
    rows: sql`(SELECT *, '' AS node FROM functions_5m) WHERE ${rowsOf(reading)}`,
    instance: sql`job`,
    values: { ns: sql`sum(self)`, meant: sql`least(sum(self), sumIf(total, ${meant(rule)}))` },
  })

/** A place a job and function, of those whose share passed the threshold in any five minutes. */
function readEach(reading: PastReading, rule: ReadyRule): Promise<Cells> {
  const passed = rule.above === undefined ? sql`ns < ${rule.below ?? 0} * whole` : sql`ns > ${rule.above} * whole`
  const meantOnes = sql`groupArrayIf((function_id, total), ${meant(rule)}) AS each`
  return readCells(reading, 'alerts: past functions, each', {
    rows: sql`(SELECT *, '' AS node FROM functions_5m) WHERE ${rowsOf(reading)} AND (job, function_id) IN (
        SELECT job, arrayJoin(arrayFilter((id, ns) -> ${passed}, each.1, each.2)) FROM (
          SELECT job, sum(self) AS whole, ${meantOnes} FROM functions_5m WHERE ${rowsOf(reading)} GROUP BY job, time))`,
    instance: sql`(job, function_id)`,
    values: { ns: sql`sum(total)` },
    same: [sql`job`, sql`toString(function_id)`],
  })
}

export async function readPastFunctions(desk: Desk, reading: PastReading, rule: ReadyRule): Promise<PastLook> {
  const isEach = rule.scope === 'function'
  const [jobs, each] = await Promise.all([readJobs(reading, rule), isEach ? readEach(reading, rule) : undefined])
  const [owners = [], functions = []] = each?.same.map(strings) ?? [jobs.instances]
  const names = await desk.bodies().functions(desk.asker, functions)
  return then => {
    const sums = new Map<string, Sums>()
    const add = (cells: Cells, value: string, jobOf: (place: number) => string | undefined, to: AddTo) => {
      const windows = cells.at(then.atMs, rule.windowMs)
      const ns = windows.over(value, 'sum', rule.windowMs)
      windows.places.forEach((place, i) => {
        const owner = rule.scope === 'cluster' ? '' : then.byId.get(jobOf(place) ?? '')?.record.id
        if (owner === undefined) return
        const known = sums.get(owner) ?? { ns: 0, of: new Map<string, number>() }
        sums.set(owner, known)
        to(known, ns[i] ?? 0, place)
      })
    }
    add(
      jobs,
      'ns',
      place => jobs.instances[place],
      (all, ns) => {
        all.ns += ns
      },
    )
    add(
      each ?? jobs,
      isEach ? 'ns' : 'meant',
      place => owners[place],
      ({ of }, ns, place) => {
        const name = names.get(functions[place] ?? '')?.function ?? ''
        of.set(name, (of.get(name) ?? 0) + ns)
      },
    )
    return ofSums(rule, then, sums)
  }
}

type AddTo = (all: Sums, ns: number, place: number) => void
