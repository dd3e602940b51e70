/** Each core as a row: an idle socket, one busy thread, a job that is pinned wrong. */
import { useMemo } from 'preact/hooks'
import type { Series } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { t } from '../words.ts'
import { Heat, type HeatRow } from './heat.tsx'
import { bucketsFor, type Page, scopeOf } from './scope.ts'
import { type Frame, Row } from './stack.tsx'

const METRICS = ['core.cpu_idle', 'core.cpu_iowait']
/** Cells that one answer may hold. */
const CELLS_MAX = 30_000

export function Cores({ frame, page }: { frame: Frame; page: Page }) {
  const { node } = page.place
  const buckets = Math.max(
    50,
    Math.min(bucketsFor(0.5), Math.floor(CELLS_MAX / (page.facts.cores / Math.max(1, page.facts.nodes)))),
  )
  const answer = useAnswer(
    page.span && ask.series(scopeOf(page, page.span, { node }), METRICS, buckets),
    `${node} cores`,
  )
  const rows = useMemo(() => coreRows(answer.data), [answer.data])
  if (answer.data === undefined || rows.length === 0)
    return (
      <Row frame={frame} gutter={<h3>{t('panel.cores')}</h3>}>
        <div class={answer.data ? 'hatched' : ''} style={{ height: '40px' }} />
        <div class="why">
          <span>{answer.data ? t('absent.cores') : t('ask.series')}</span>
        </div>
      </Row>
    )
  return (
    <>
      <Row frame={frame} gutter={<h3>{t('panel.cores')}</h3>}>
        <div style={{ height: '6px' }} />
      </Row>
      <Heat
        frame={frame}
        rows={rows}
        from={answer.data.from}
        bucketMs={answer.data.bucketMs}
        unit="ratio"
        full={() => 1}
        height={Math.min(rows.length * 12, 260)}
        maxRow={12}
        label={t('panel.cores')}
      />
    </>
  )
}

/** Busy = neither idle nor waiting for I/O. */
function coreRows(series: Series | undefined): HeatRow[] {
  const idle = (series?.series ?? []).filter(s => s.metric === 'core.cpu_idle')
  const wait = new Map(
    (series?.series ?? []).filter(s => s.metric === 'core.cpu_iowait').map(s => [s.instance, s.values]),
  )
  return idle
    .map(s => ({
      name: s.instance,
      values: s.values.map((v, i) => (v === null ? null : Math.max(0, 1 - v - (wait.get(s.instance)?.[i] ?? 0)))),
    }))
    .sort((a, b) => Number(a.name) - Number(b.name))
}
