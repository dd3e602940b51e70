/** Alerts of a node or job as bars on the time axis that the panels share. */
import { useMemo, useState } from 'preact/hooks'
import type { Alert, AlertHistory } from '../../query/api.ts'
import { palette } from '../colour.ts'
import { laneHit, layoutLanes } from '../layout/lanes.ts'
import { timeOf, xOf } from '../layout/series.ts'
import { messageOf, summaryOf } from '../ready.ts'
import { go, placeWith } from '../state.ts'
import { fixedQuery } from '../time.ts'
import { t } from '../words.ts'
import { spanOfAlert } from './alerttable.tsx'
import { clipped, type Draw, Picture } from './canvas.tsx'
import { drawGrid } from './chart.tsx'
import type { Page } from './scope.ts'
import { type Frame, Row } from './stack.tsx'
import { showTip } from './tip.tsx'

const LANE = 18
const SHOWN = 60

type Over = MouseEvent & { currentTarget: HTMLElement }

export function AlertLanes({ frame, history, page }: { frame: Frame; history: AlertHistory | undefined; page: Page }) {
  const { axis } = frame
  const alerts = useMemo(() => (history?.alerts ?? []).slice(0, SHOWN), [history])
  const bars = useMemo(
    () => alerts.map(a => ({ from: a.fired ?? a.since, to: a.resolved ?? axis.to })),
    [alerts, axis.to],
  )
  const lanes = useMemo(() => layoutLanes(bars, (axis.to - axis.from) / 200), [bars, axis.from, axis.to])
  const [over, setOver] = useState(-1)
  if (alerts.length === 0) return null
  const height = lanes.count * LANE + 4
  const draw: Draw = pen => {
    drawGrid(pen, axis, height)
    alerts.forEach((alert, i) => {
      const { from, to } = bars[i] ?? { from: 0, to: 0 }
      const x = Math.max(0, xOf(axis, from))
      const width = Math.max(3, Math.min(axis.width, xOf(axis, to)) - x)
      drawBar(pen, alert, { x, y: (lanes.lane[i] ?? 0) * LANE + 2, width }, i === over)
    })
  }
  const under = (event: Over): number => {
    const at = event.currentTarget.getBoundingClientRect()
    return laneHit(bars, lanes, Math.floor((event.clientY - at.top - 2) / LANE), timeOf(axis, event.clientX - at.left))
  }
  const pointer = {
    onPointerMove: (event: PointerEvent & Over) => {
      const i = under(event)
      setOver(i)
      tell(alerts[i], event)
    },
    onPointerLeave: () => {
      setOver(-1)
      tell(undefined)
    },
    onClick: (event: Over) => {
      const alert = alerts[under(event)]
      tell(undefined)
      if (alert) go(placeWith(page.place, fixedQuery(spanOfAlert(alert, page.now))))
    },
  }
  return (
    <Row frame={frame} gutter={<div class="soft">{t('alert.lanes')}</div>}>
      <div style={{ cursor: over >= 0 ? 'pointer' : 'crosshair' }} {...pointer}>
        <Picture
          {...{ width: axis.width, height, draw, deps: [alerts, axis.from, axis.to, over] }}
          label={t('alert.lanesLabel', { count: alerts.length })}
        />
      </div>
    </Row>
  )
}

function tell(alert: Alert | undefined, at?: MouseEvent): void {
  const content = alert && (
    <>
      <b>{messageOf(alert.rule, alert.message)}</b>
      <br />
      <span class="soft">{summaryOf(alert.rule, alert.summary)}</span>
    </>
  )
  showTip(content && at ? { x: at.clientX, y: at.clientY, content } : undefined)
}

function drawBar(
  pen: CanvasRenderingContext2D,
  alert: Alert,
  { x, y, width }: { x: number; y: number; width: number },
  isOver: boolean,
): void {
  const p = palette()
  pen.fillStyle = alert.severity === 'info' ? p.accent : alert.severity === 'warning' ? p.warn : p.alert
  pen.globalAlpha = isOver ? 0.5 : 0.25
  pen.fillRect(x, y + 1, width, LANE - 3)
  pen.globalAlpha = 1
  pen.fillRect(x, y + 1, 3, LANE - 3)
  pen.fillStyle = p.text
  pen.textBaseline = 'middle'
  pen.fillText(clipped(pen, messageOf(alert.rule, alert.message), width - 10), x + 7, y + LANE / 2)
}
