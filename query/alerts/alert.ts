/** A series that is pending or fires, as it is shown and told. */
import { createHash } from 'node:crypto'
import type { Series } from './evaluate.ts'
import { linkTo, messageOf } from './message.ts'
import type { Alert } from './plan.ts'
import type { StoredSeries } from './round.ts'
import type { ReadyRule } from './rule.ts'

export interface Active {
  alert: Alert
  rule: ReadyRule
  key: string
  series: Series
}

/** The same while it fires, and when it fires again. */
export const alertId = (rule: string, key: string): string =>
  createHash('sha256').update(`${rule}\0${key}`).digest('hex').slice(0, 16)

/** `base`: where users reach the page. `burst`: a closer look that was taken of it. */
export function alertOf({ cluster, rule, key, series }: StoredSeries, base: string, burst: string | undefined): Alert {
  const looked = burst === undefined ? {} : { burst }
  return {
    id: alertId(rule.name, key),
    rule: rule.name,
    severity: rule.severity,
    labels: { ...series.labels, ...looked, ...rule.labels, cluster, rule: rule.name },
    message: messageOf(rule, series),
    summary: rule.summary ?? '',
    link: linkTo(base, { ...series.labels, ...looked }, series.sinceMs, series.knownMs, rule.windowMs),
    value: series.value,
    firedMs: series.firedMs,
  }
}
