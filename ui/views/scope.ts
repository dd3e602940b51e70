/** What every view is given: which cluster, which window, what is brushed. */
import { useEffect } from 'preact/hooks'
import type { Clusters } from '../../query/api.ts'
import { type Answer, ask, type Scope, useAnswer } from '../client.ts'
import {
  formatPlace,
  go,
  NOWHERE,
  openStore,
  type Place,
  place,
  placeAt,
  type Query,
  type Store,
  useStore,
} from '../state.ts'
import { brushOf, followed, now, RANGES, type Span, spanOf } from '../time.ts'

export type ClusterFacts = Clusters['clusters'][number]

/**
 * When measuring began inside the window, by cluster and node: questions for a mean over the window are asked from there on,
 * so that the first minutes of a cluster are not told as an idle hour.
 */
const beginnings: Store<ReadonlyMap<string, number>> = openStore(new Map())
const keyOf = (cluster: string, node: string) => `${cluster}/${node}`

export function tellBeginning(cluster: string, node: string, ms: number | undefined): void {
  const key = keyOf(cluster, node)
  const known = beginnings.get()
  if (known.get(key) === ms) return
  const next = new Map(known)
  if (ms === undefined) next.delete(key)
  else next.set(key, ms)
  beginnings.set(next)
}

function begun(span: Span, began: number | undefined): Span {
  return began !== undefined && began > span.from && began < span.to ? { from: began, to: span.to } : span
}

export interface Page {
  readonly place: Place
  readonly cluster: string
  readonly facts: ClusterFacts
  readonly now: number
  /** undefined while the job that has the window is asked for. */
  readonly span: Span | undefined
  /** The brushed part of the window, else the window: what the panels below answer for. */
  readonly focus: Span | undefined
  readonly brush: Span | undefined
  /** The same in coarser steps, for what is costly to ask and moves slowly: stacks. */
  readonly calm: Span | undefined
  /** Moves when answers should be asked for again. */
  readonly tick: number
}

/** How often a window that follows is asked for again: every 10 s, for long windows less. */
const tickMs = (lengthMs: number) => Math.max(10_000, lengthMs / 240)

export function usePage(): { clusters: Answer<Clusters>; page: Page | undefined } {
  const here = useStore(place)
  const at = useStore(now)
  const began = useStore(beginnings)
  const clusters = useAnswer(ask.clusters(), '', at)
  const facts = choose(clusters.data, here.cluster)
  const range = followed(here)
  const step = tickMs(RANGES[range ?? '1h'] ?? 0)
  const tick = Math.floor(at / step) * step
  const own = spanOf(here, tick, facts?.lastSeen)
  const job = useAnswer(
    facts && own === undefined ? ask.job(facts.cluster, here.job) : undefined,
    here.job,
    Math.floor(at / 30_000),
  )
  useEffect(() => {
    if (facts && here.cluster === '') go({ ...NOWHERE, ...here, cluster: facts.cluster }, 'replace')
  }, [facts?.cluster, here.cluster])
  if (!facts) return { clusters, page: undefined }
  const span = own ?? (job.data && job.data.to > job.data.from ? { from: job.data.from, to: job.data.to } : undefined)
  const brush = span && within(brushOf(here), span)
  const measured = span && begun(span, began.get(keyOf(facts.cluster, here.node)))
  const calm = brush ?? (range === undefined ? measured : measured && calmed(measured))
  const page = {
    place: here,
    cluster: facts.cluster,
    facts,
    now: at,
    span,
    focus: brush ?? measured,
    brush,
    calm,
    tick,
  }
  return { clusters, page }
}

/** Ends rounded outwards, so that the newest samples are in, and the question changes only every 120th of the window. */
function calmed({ from, to }: Span): Span {
  const step = Math.max(10_000, (to - from) / 120)
  return { from: Math.floor(from / step) * step, to: Math.ceil(to / step) * step }
}

/** The cluster of the address, else the one heard from last. */
function choose(data: Clusters | undefined, wanted: string): ClusterFacts | undefined {
  const all = data?.clusters ?? []
  if (wanted !== '') return all.find(c => c.cluster === wanted)
  return [...all].sort((a, b) => (b.lastSeen ?? 0) - (a.lastSeen ?? 0))[0]
}

function within(brush: Span | undefined, span: Span): Span | undefined {
  if (brush === undefined) return undefined
  const from = Math.max(brush.from, span.from)
  const to = Math.min(brush.to, span.to)
  return to > from ? { from, to } : undefined
}

export const scopeOf = (page: Page, window: Span | undefined, more: Partial<Scope> = {}): Scope => ({
  cluster: page.cluster,
  from: window?.from,
  to: window?.to,
  ...more,
})

/** Buckets for a plot that takes a share of the screen: one every three pixels, in steps, so that a resize asks seldom. */
export const bucketsFor = (share: number): number =>
  Math.max(100, Math.min(600, Math.round((window.innerWidth * share) / 3 / 50) * 50))

/** A link to a job drops the window: a job has its own. */
export const OWN_SPAN: Query = { range: undefined, from: undefined, to: undefined }

type To = Parameters<typeof placeAt>[1]
/** An address for a link: another scope, from here. */
export const linkTo = (page: Page, to: To, query?: Query): string => formatPlace(placeAt(page.place, to, query))
export const goTo = (page: Page, to: To, query?: Query): void => go(placeAt(page.place, to, query))
