/**
 * Which alerts a reader may see: those of own jobs, and of nodes that an own job has alone. An alert of a node that several
 * share names their jobs; who sees everything sees it.
 */
import type { Reach } from '../reach.ts'
import { limit, type Sql, sql } from '../sql.ts'
import type { Labels } from './evaluate.ts'

export function seesAlert({ only }: Reach, { cluster, user, account }: Labels): boolean {
  if (only === undefined) return true
  if (only.cluster !== undefined) return only.cluster === cluster
  return (
    (user !== undefined && user !== '' && user === only.user) ||
    (account !== undefined && only.accounts.includes(account))
  )
}

/** The same as a condition on the table of alerts; undefined: all. */
export function ownAlerts({ only }: Reach): Sql | undefined {
  if (only === undefined) return undefined
  if (only.cluster !== undefined) return limit(sql`cluster = ${only.cluster}`)
  const user = only.user === '' ? sql`false` : sql`user = ${only.user}`
  const account = sql`JSONExtractString(labels, 'account')`
  return limit(
    only.accounts.length === 0 ? user : sql`${user} OR (${account} != '' AND ${account} IN ${only.accounts})`,
  )
}
