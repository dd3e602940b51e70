/** One metric at a time: the usual ones as chips, the rest of the catalogue under "more". */
import type { Catalogue } from '../../query/api.ts'
import { metricName, nodeMetrics } from '../metrics.ts'
import { go, placeWith } from '../state.ts'
import { t } from '../words.ts'
import type { Page } from './scope.ts'

export function MetricChoice(props: { page: Page; catalogue: Catalogue | undefined; metric: string }) {
  const { page, catalogue, metric } = props
  const { first, more } = nodeMetrics(catalogue)
  const choose = (column: string) => go(placeWith(page.place, { metric: column }))
  const hidden = more.some(m => m.column === metric)
  return (
    <div class="choices" style={{ padding: '5px 8px', borderBottom: '1px solid var(--line)' }}>
      {first.map(m => (
        <button
          key={m.column}
          type="button"
          class="button"
          aria-pressed={m.column === metric}
          title={m.meaning}
          onClick={() => choose(m.column)}
        >
          {metricName(m.column)}
        </button>
      ))}
      {more.length > 0 && (
        <select
          class="field"
          style={{ height: '24px', maxWidth: '160px' }}
          aria-label={t('metric.more')}
          value={hidden ? metric : ''}
          onChange={event => choose(event.currentTarget.value)}
        >
          <option value="" disabled>
            {t('metric.more')}
          </option>
          {more.map(m => (
            <option key={m.column} value={m.column} title={m.meaning}>
              {metricName(m.column)}
            </option>
          ))}
        </select>
      )}
    </div>
  )
}
