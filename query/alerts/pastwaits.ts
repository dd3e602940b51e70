/** How much of their sampled time jobs waited on each node over a long past: from what is added up a minute. */
import { within } from '../scope.ts'
import { sql } from '../sql.ts'
import { type PastReading, readCells } from './cells.ts'
import { measuresOf } from './measure.ts'
import type { PastLook } from './pastwork.ts'
import type { ReadyRule } from './rule.ts'

export async function readPastWaits(reading: PastReading, rule: ReadyRule): Promise<PastLook> {
  const cells = await readCells(reading, 'alerts: past waiting by node', {
    rows: sql`(SELECT *, minute AS time FROM job_usage) WHERE cluster = ${reading.cluster} AND ${within(reading.span)}`,
    instance: sql`job`,
    values: { waiting: sql`sum(waiting_ns)`, sampled: sql`nullIf(sum(sampled_ns), 0)` },
  })
  return (then, noted) => {
    const windows = cells.at(then.atMs, rule.windowMs)
    const [waiting, sampled] = [
      windows.over('waiting', 'sum', rule.windowMs),
      windows.over('sampled', 'sum', rule.windowMs),
    ]
    const raws = windows.there(rule.windowMs).flatMap(place => {
      const job = windows.instances[place] ?? ''
      const value = (waiting[place] ?? Number.NaN) / (sampled[place] ?? Number.NaN)
      const known = then.byId.get(job)
      return known === undefined || Number.isNaN(value)
        ? []
        : [{ node: windows.nodes[place] ?? '', instance: '', job: known.record.id, value }]
    })
    return measuresOf(rule, raws, then, noted)
  }
}
