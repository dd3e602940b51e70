/** Which time: the last so long (follows), or a fixed window; earlier, later, zoom out. */
import { useState } from 'preact/hooks'
import { formatTime } from '../format.ts'
import { go, placeWith } from '../state.ts'
import { fixedQuery, followed, moved, RANGES, type Span, zoomedOut } from '../time.ts'
import { t } from '../words.ts'
import { Popover } from './popover.tsx'
import type { Page } from './scope.ts'

export function SpanControl({ page }: { page: Page }) {
  const { span, place } = page
  if (!span) return null
  const range = followed(place)
  const own = range === undefined && place.query.from === undefined
  const length = span.to - span.from
  const face = range
    ? t('span.last', { range })
    : own
      ? t('span.job')
      : `${formatTime(span.from, length)} – ${formatTime(span.to, length)}`
  const step = (label: string, text: string, to: () => void) => (
    <button type="button" class="button plain" title={label} aria-label={label} onClick={to}>
      {text}
    </button>
  )
  return (
    <span style={{ display: 'inline-flex', alignItems: 'center' }}>
      {step(t('span.earlier'), '‹', () => go(moved(place, span, -1, page.now)))}
      <Popover class="button" label={t('span.choose')} face={face} right>
        {close => <Choices page={page} span={span} close={close} />}
      </Popover>
      {step(t('span.later'), '›', () => go(moved(place, span, 1, page.now)))}
      {step(t('span.zoomOut'), '⤡', () => go(zoomedOut(place, span, page.now)))}
    </span>
  )
}

const localText = (ms: number): string => {
  const d = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
  return d.toISOString().slice(0, 16)
}

function Choices({ page, span, close }: { page: Page; span: Span; close: () => void }) {
  const choose = (range: string | undefined) => {
    go(placeWith(page.place, { range, from: undefined, to: undefined, sel: undefined }))
    close()
  }
  return (
    <>
      {page.place.job !== '' && (
        <button type="button" class="option" onClick={() => choose(undefined)}>
          {t('span.job')}
        </button>
      )}
      {Object.keys(RANGES).map(r => (
        <button
          key={r}
          type="button"
          class="option"
          aria-pressed={followed(page.place) === r}
          onClick={() => choose(r)}
        >
          {t('span.last', { range: r })}
        </button>
      ))}
      <p class="title">{t('span.fixed')}</p>
      <Fixed page={page} span={span} close={close} />
    </>
  )
}

function Fixed({ page, span, close }: { page: Page; span: Span; close: () => void }) {
  const [from, setFrom] = useState(localText(span.from))
  const [to, setTo] = useState(localText(span.to))
  const fixed = { from: new Date(from).getTime(), to: new Date(to).getTime() }
  const show = () => {
    go(placeWith(page.place, fixedQuery(fixed)))
    close()
  }
  return (
    <>
      <label class="option">
        {t('span.from')}
        <input class="field" type="datetime-local" value={from} onInput={e => setFrom(e.currentTarget.value)} />
      </label>
      <label class="option">
        {t('span.to')}
        <input class="field" type="datetime-local" value={to} onInput={e => setTo(e.currentTarget.value)} />
      </label>
      <button type="button" class="button" disabled={!(fixed.from < fixed.to)} onClick={show}>
        {t('span.show')}
      </button>
    </>
  )
}
