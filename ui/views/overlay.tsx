/** Another node, or the median of a job's nodes, as a dashed line over this node's panels: is it this node, or all of them? */
import type { JobBands, NodeSummary, Series } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import type { Sampled } from '../layout/series.ts'
import { go, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { bucketsFor, type Page, scopeOf } from './scope.ts'

/** The one metric of each panel that is compared. */
const COMPARED: Readonly<Record<string, string>> = {
  cpu: 'cpu_busy',
  queue: 'processes_running',
  memory: 'memory_used',
  pressure: 'pressure_cpu_some',
}

export interface Overlay {
  readonly name: string
  /** By panel. */
  readonly of: (panel: string) => Sampled | undefined
}

/** with=job:4711 (the median of its nodes) or with=n02 of the address. */
export function useOverlay(page: Page): Overlay | undefined {
  const wanted = page.place.query.with ?? ''
  const job = wanted.startsWith('job:') ? wanted.slice(4) : undefined
  const scope = scopeOf(page, page.span, job === undefined ? { node: wanted } : { job })
  const asked = page.span && wanted !== ''
  const answer = useAnswer(
    asked ? ask.series(scope, Object.values(COMPARED), bucketsFor(0.5), job !== undefined) : undefined,
    wanted,
  )
  const { data } = answer
  if (wanted === '' || !data) return undefined
  const name = job === undefined ? wanted : t('overlay.median', { id: job })
  return { name, of: panel => sampledOf(data, COMPARED[panel]) }
}

function sampledOf({ series, from, bucketMs }: Series, metric: string | undefined): Sampled | undefined {
  const found = series.find(s => s.metric === metric && (s.band === null || s.band === 'median'))
  return found && { from, bucketMs, values: found.values }
}

const NODES_MAX = 100

/** The jobs that ran here, and the nodes that share one with this node now. */
export function OverlayChoice({ page, bands }: { page: Page; bands: JobBands | undefined }) {
  const { node } = page.place
  const nodes = useAnswer(ask.nodes(page.cluster), page.cluster)
  const jobs = bands?.jobs ?? []
  const shares = (n: NodeSummary) => n.node !== node && n.jobs.some(j => jobs.some(here => here.id === j.id))
  const others = (nodes.data?.nodes ?? []).filter(shares).slice(0, NODES_MAX)
  const wanted = page.place.query.with ?? ''
  const option = (value: string, name: string) => (
    <option key={value} value={value}>
      {name}
    </option>
  )
  if (jobs.length === 0 && wanted === '') return null
  return (
    <select
      class="field"
      style={{ height: '24px', maxWidth: '190px' }}
      aria-label={t('overlay.choose')}
      value={wanted}
      onChange={event => go(placeWith(page.place, { with: event.currentTarget.value }))}
    >
      {option('', t('overlay.choose'))}
      {jobs.map(j => option(`job:${j.id}`, t('overlay.median', { id: j.id })))}
      {others.map(n => option(n.node, n.node))}
    </select>
  )
}
