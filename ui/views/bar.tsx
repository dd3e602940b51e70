/** The bar on top: where we are, over which time, and the way to everything else. */
import { useEffect, useState } from 'preact/hooks'
import type { Clusters } from '../../query/api.ts'
import { type LiveState, openLive } from '../client.ts'
import { formatTime } from '../format.ts'
import { type Language, language, shownTheme, theme, useTheme } from '../prefs.ts'
import { useStore, viewOf } from '../state.ts'
import { followed } from '../time.ts'
import { t } from '../words.ts'
import { AlertsLink } from './alertlink.tsx'
import type { Dialog } from './app.tsx'
import { Crumbs } from './crumbs.tsx'
import { hearAlerts, hearPoints, LIVE_METRICS, newest, newestAlerts, newestBurst } from './live.ts'
import { linkTo, type Page } from './scope.ts'
import { WhoIsIn } from './signin.tsx'
import { SpanControl } from './spancontrol.tsx'

interface Props {
  page: Page | undefined
  clusters: Clusters | undefined
  open: (dialog: Dialog) => void
}

export function Bar({ page, clusters, open }: Props) {
  const view = page && viewOf(page.place)
  const onJobs = view === 'jobs' || (page !== undefined && page.place.job !== '')
  return (
    <nav class="bar" aria-label={t('bar.label')}>
      <a class="mark" href={page ? linkTo(page, {}) : '#/'}>
        <Mark /> <span class="wide">Jobsight</span>
      </a>
      {page && <Crumbs page={page} clusters={clusters} />}
      {page && (
        <a class="button plain" href={linkTo(page, { jobs: true })} aria-current={onJobs ? 'page' : undefined}>
          {t('bar.jobs')}
        </a>
      )}
      {page && <AlertsLink page={page} current={view === 'alerts'} />}
      {page?.facts.simulated && (
        <span class="badge simulated" title={t('bar.simulatedWhy')}>
          {t('bar.simulated')}
        </span>
      )}
      <span class="space" />
      {page && <Live page={page} />}
      {page && view !== 'jobs' && <SpanControl page={page} />}
      <button type="button" class="button" onClick={() => open('jump')} aria-label={t('jump.label')}>
        <span class="wide">{t('jump.short')}</span> <kbd>/</kbd>
      </button>
      <Preferences />
      <WhoIsIn />
      <button
        type="button"
        class="button plain"
        onClick={() => open('keys')}
        aria-label={t('keys.title')}
        title={t('keys.title')}
      >
        ?
      </button>
    </nav>
  )
}

export const Mark = () => (
  <svg width="18" height="18" viewBox="0 0 16 16" aria-hidden="true">
    <rect width="16" height="16" rx="3.5" fill="#225ea8" />
    <path d="M3 3.2h10v2.6H3zM3 6.9h7v2.6H3zM3 10.6h3.6v2.4H3z" fill="#edf8b1" />
  </svg>
)

export function Preferences() {
  useTheme()
  const other: Language = language.get() === 'en' ? 'zh' : 'en'
  return (
    <>
      <button
        type="button"
        class="button plain"
        title={t('bar.language')}
        aria-label={t('bar.language')}
        onClick={() => language.set(other)}
      >
        {other === 'zh' ? '中文' : 'EN'}
      </button>
      <button
        type="button"
        class="button plain"
        title={t('bar.theme')}
        aria-label={t('bar.theme')}
        onClick={() => theme.set(shownTheme.get() === 'dark' ? 'light' : 'dark')}
      >
        {shownTheme.get() === 'dark' ? '☾' : '☀'}
      </button>
    </>
  )
}

/** The line to the server: how many alerts fire, and newest points as they are written while the page follows. */
function Live({ page }: { page: Page }) {
  const [state, setState] = useState<LiveState>('connecting')
  const follows = followed(page.place) !== undefined || page.place.query.burst !== undefined
  const { node } = page.place
  useEffect(() => {
    const asked = {
      cluster: page.cluster,
      metrics: [...LIVE_METRICS],
      bursts: true,
      alerts: true,
      ...(!follows ? { nodes: [] } : node === '' ? {} : { nodes: [node] }),
    }
    const hear = (state: LiveState) => {
      // What is not told any more is asked for.
      if (state !== 'on') newestAlerts.set(undefined)
      setState(state)
    }
    const line = openLive(asked, { points: hearPoints, burst: newestBurst.set, alerts: hearAlerts }, hear)
    return () => line.close()
  }, [page.cluster, node, follows])
  const last = useStore(newest)
  if (!follows) return null
  const heard = last.cluster === page.cluster ? formatTime(last.time) : ''
  return (
    <span class={`live ${state === 'connecting' ? '' : state} wide`} title={t(`live.${state}Why`)} role="status">
      <i /> {t(`live.${state}`)} {state === 'on' && heard}
    </span>
  )
}
