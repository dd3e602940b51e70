/** The way to the alerts, with how many fire. */
import { ask, useAnswer } from '../client.ts'
import { t } from '../words.ts'
import { useHeardAlerts } from './live.ts'
import { linkTo, type Page } from './scope.ts'

export function AlertsLink({ page, current }: { page: Page; current: boolean }) {
  const heard = useHeardAlerts(page.cluster)
  const asked = useAnswer(heard ? undefined : ask.alerts(page.cluster), page.cluster, page.now)
  const data = heard ?? asked.data
  const why = data && t('bar.alertsWhy', { count: data.firing, critical: data.critical })
  return (
    <a
      class="button plain"
      href={linkTo(page, { alerts: true })}
      aria-current={current ? 'page' : undefined}
      title={why}
    >
      {t('bar.alerts')}
      {data !== undefined && data.firing > 0 && (
        <span class={`alert-count ${data.critical > 0 ? 'critical' : ''}`}>{data.firing}</span>
      )}
    </a>
  )
}
