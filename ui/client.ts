/** Questions to /api/v1: typed by query/api.ts, aborted on leaving, with words for what is asked and for what went wrong. */
import { useEffect, useState } from 'preact/hooks'
import type * as api from '../query/api.ts'
import { openStore, type Store } from './state.ts'
import { type Key, t } from './words.ts'

type Parameters = Readonly<Record<string, string | number | boolean | undefined>>

/** A question and what it asks, in words, for the time it takes. */
export interface Question<T> {
  readonly url: string
  readonly words: string
  /** Never there; it carries the type of the answer. */
  readonly answer?: T
}

function question<T>(path: string, parameters: Parameters, words: Key): Question<T> {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(parameters))
    if (value !== undefined && value !== '')
      search.set(key, String(typeof value === 'number' ? Math.round(value) : value))
  const text = search.toString()
  return { url: `api/v1/${path}${text === '' ? '' : `?${text}`}`, words: t(words) }
}

const part = encodeURIComponent

export interface Scope {
  cluster: string
  job?: string | undefined
  node?: string | undefined
  pid?: number | undefined
  rank?: number | undefined
  start?: number | undefined
  from?: number | undefined
  to?: number | undefined
  /** A closer look: it has a window of its own. */
  burst?: string | undefined
}
/** What a scope is compared with, as far as it is another. */
export interface OtherScope {
  otherJob?: string | undefined
  otherNode?: string | undefined
  otherRank?: number | undefined
  otherFrom?: number | undefined
  otherTo?: number | undefined
}
const scoped = (s: Scope): Parameters => ({ ...s })
/** What stacks are of, whatever the time: an answer for one must not be shown for another. */
export const stacksOf = (s: Scope): string => [s.cluster, s.job, s.node, s.pid, s.rank, s.burst].join('|')

/** Boxes of a flame graph; the server puts what is smaller into (other). */
const FLAME_NODES = 10_000

/** Every question the page has. */
export const ask = {
  clusters: () => question<api.Clusters>('clusters', {}, 'ask.clusters'),
  catalogue: (cluster: string) => question<api.Catalogue>('catalogue', { cluster }, 'ask.catalogue'),
  nodes: (cluster: string) => question<api.Nodes>('nodes', { cluster }, 'ask.nodes'),
  node: (s: Scope, node: string) =>
    question<api.NodeDetail>(`nodes/${part(node)}`, { cluster: s.cluster, from: s.from, to: s.to }, 'ask.node'),
  heatmap: (s: Scope, metric: string, order: string, buckets: number) =>
    question<api.Heatmap>('heatmap', { ...scoped(s), metric, order, buckets }, 'ask.heatmap'),
  series: (s: Scope, metrics: readonly string[], buckets: number, band = false) =>
    question<api.Series>(
      'series',
      { ...scoped(s), metrics: metrics.join(','), buckets, band: band || undefined },
      'ask.series',
    ),
  processes: (s: Scope, sort: string, limit: number) =>
    question<api.Processes>('processes', { ...scoped(s), sort, limit }, 'ask.processes'),
  process: (s: Scope, buckets: number) =>
    question<api.ProcessDetail>('process', { ...scoped(s), buckets }, 'ask.process'),
  flame: (s: Scope, direction: 'topdown' | 'bottomup', fn?: string) =>
    question<api.Flame>('flame', { ...scoped(s), direction, nodes: FLAME_NODES, function: fn }, 'ask.flame'),
  functions: (s: Scope, sort: string, search: string, limit: number) =>
    question<api.Functions>('functions', { ...scoped(s), sort, search, limit }, 'ask.functions'),
  compare: (s: Scope, other: OtherScope) =>
    question<api.Comparison>('compare', { ...scoped(s), ...other }, 'ask.compare'),
  categories: (s: Scope, buckets: number) =>
    question<api.Categories>('categories', { ...scoped(s), buckets }, 'ask.flame'),
  jobs: (cluster: string, filter: Parameters) => question<api.Jobs>('jobs', { cluster, ...filter }, 'ask.jobs'),
  job: (cluster: string, id: string) => question<api.JobDetail>(`jobs/${part(id)}`, { cluster }, 'ask.job'),
  jobNodes: (s: Scope, id: string, metric: string, buckets: number) =>
    question<api.JobNodes>(
      `jobs/${part(id)}/nodes`,
      { cluster: s.cluster, from: s.from, to: s.to, metric, buckets },
      'ask.jobNodes',
    ),
  jobRanks: (s: Scope, id: string) =>
    question<api.JobRanks>(`jobs/${part(id)}/ranks`, { cluster: s.cluster, from: s.from, to: s.to }, 'ask.ranks'),
  bands: (s: Scope) => question<api.JobBands>('bands', scoped(s), 'ask.bands'),
  bursts: (s: Scope, limit: number) =>
    question<api.Bursts>('bursts', { ...scoped(s), from: undefined, to: undefined, limit }, 'ask.bursts'),
  burst: (cluster: string, id: string) => question<api.Burst>(`bursts/${part(id)}`, { cluster }, 'ask.bursts'),
  alerts: (cluster: string) => question<api.Alerts>('alerts', { cluster }, 'ask.alerts'),
  alertHistory: (s: Scope, limit: number) =>
    question<api.AlertHistory>(
      'alerts/history',
      { cluster: s.cluster, node: s.node, job: s.job, from: s.from, to: s.to, limit },
      'ask.alerts',
    ),
  alertRules: () => question<api.AlertRules>('alerts/rules', {}, 'ask.alertRules'),
  silences: () => question<api.Silences>('alerts/silences', {}, 'ask.silences'),
  deliveries: () => question<api.Deliveries>('alerts/deliveries', {}, 'ask.deliveries'),
  search: (cluster: string, q: string) => question<api.Search>('search', { cluster, q }, 'ask.search'),
}

/** Address of a file with every stack of a scope, for other tools. */
export const stacksFile = (s: Scope, format: 'folded' | 'speedscope' | 'pprof'): string =>
  question<never>('stacks', { ...scoped(s), format }, 'ask.flame').url

export class AskError extends Error {
  readonly code: string
  readonly status: number
  constructor(code: string, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** The error that an answer holds: {error: {code, message}}; a proxy's page in its place is told as what it is. */
function parseError(status: number, text: string): AskError {
  try {
    const { error } = JSON.parse(text) as api.ErrorAnswer
    if (typeof error.message === 'string') return new AskError(String(error.code), status, error.message)
  } catch {
    // not ours
  }
  return new AskError('http', status, t('error.http', { status }))
}

const read = <T>(q: Question<T>, signal: AbortSignal): Promise<T> =>
  request<T>(q.url, { signal, headers: { accept: 'application/json' } })

/** Something is to be done. Throws AskError with what to do where it is refused. */
export const order = {
  startBurst: (asked: api.BurstAsk) => request<api.Burst>('api/v1/bursts', withBody('POST', asked)),
  stopBurst: (cluster: string, id: string) => request<api.Burst>(ask.burst(cluster, id).url, { method: 'DELETE' }),
  silence: (body: api.SilenceBody) => request<api.Silence>('api/v1/alerts/silences', withBody('POST', body)),
  endSilence: (id: string) => request<api.Done>(`api/v1/alerts/silences/${part(id)}`, { method: 'DELETE' }),
  acknowledge: (id: string, body: api.AckBody) =>
    request<api.Done>(`api/v1/alerts/${part(id)}/ack`, withBody('POST', body)),
  /** `rule` is what a person wrote: the server says what is wrong with it. */
  saveRule: (name: string, rule: unknown) =>
    request<api.Done>(`api/v1/alerts/rules/${part(name)}`, withBody('PUT', { rule })),
  dropRule: (name: string) => request<api.Done>(`api/v1/alerts/rules/${part(name)}`, { method: 'DELETE' }),
  testRule: (body: api.TestBody) => request<api.RuleTest>('api/v1/alerts/test', withBody('POST', body)),
  sendAgain: (id: string) => request<api.Done>(`api/v1/alerts/deliveries/${part(id)}/again`, { method: 'POST' }),
  dropDelivery: (id: string) => request<api.Done>(`api/v1/alerts/deliveries/${part(id)}`, { method: 'DELETE' }),
}

const withBody = (method: 'POST' | 'PUT', body: object): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

/** The server knows nobody (any more) here: the page shows the way in, and nothing else. */
export const signedOut: Store<boolean> = openStore(false)

export async function request<T>(url: string, init: RequestInit): Promise<T> {
  let response: Response
  try {
    response = await fetch(new URL(url, document.baseURI), init)
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new AskError('unreachable', 0, t('error.unreachable', { host: location.host }))
  }
  if (response.status === 401) signedOut.set(true)
  if (!response.ok) throw parseError(response.status, await response.text())
  return parseAnswer<T>(await response.text())
}

/** The server checks every answer against the schema that the type comes from; it is not checked again here. */
const parseAnswer = <T>(text: string): T => JSON.parse(text) as T

export interface Answer<T> {
  readonly question: Question<T> | undefined
  /** Stays while the next answer is under way, so that nothing flickers; `fresh` tells it is the one asked for. */
  readonly data: T | undefined
  readonly fresh: boolean
  readonly error: AskError | undefined
  readonly again: () => void
}

/** Newest answers, so that Back paints at once (and is then brought up to date). */
const kept = new Map<string, unknown>()
const KEPT_MAX = 60

/** What one person was shown is not kept for the next. */
export const forget = (): void => kept.clear()

function recall<T>(q: Question<T> | undefined): T | undefined {
  return q === undefined ? undefined : (kept.get(q.url) as T | undefined)
}

function keep(url: string, answer: unknown): void {
  kept.delete(url)
  kept.set(url, answer)
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT_MAX) break
    kept.delete(oldest)
  }
}

interface Held<T> {
  url: string
  scope: string
  data: T | undefined
  error: AskError | undefined
}

/**
 * Ask, and ask again when the question or `tick` changes. `scope` names what must not be shown for another: while it stays
 * the same, the last answer stays on the page until the next one is there.
 */
export function useAnswer<T>(q: Question<T> | undefined, scope = '', tick = 0): Answer<T> {
  const [held, setHeld] = useState<Held<T>>({ url: '', scope, data: undefined, error: undefined })
  const [round, setRound] = useState(0)
  const url = q?.url ?? ''
  useEffect(() => {
    if (q === undefined) return
    const leaving = new AbortController()
    read(q, leaving.signal).then(
      data => {
        keep(q.url, data)
        if (!leaving.signal.aborted) setHeld({ url: q.url, scope, data, error: undefined })
      },
      (error: unknown) => {
        if (leaving.signal.aborted) return
        const told = error instanceof AskError ? error : new AskError('answer', 0, String(error))
        setHeld(last => ({ url: q.url, scope, data: last.scope === scope ? last.data : undefined, error: told }))
      },
    )
    return () => leaving.abort()
  }, [url, scope, tick, round])
  const again = () => setRound(round + 1)
  if (held.url === url && held.scope === scope)
    return { question: q, data: held.data, fresh: held.error === undefined, error: held.error, again }
  const data = recall(q) ?? (held.scope === scope ? held.data : undefined)
  return { question: q, data, fresh: false, error: undefined, again }
}

// --- live ------------------------------------------------------------------------------------------------------------

export type LiveState = 'connecting' | 'on' | 'lost'

/** Newest points as they are written; reconnects with a growing pause until closed. */
export function openLive(
  asked: api.LiveAsk,
  on: {
    points(points: api.LivePoints): void
    burst(burst: api.Burst): void
    alerts(alerts: api.LiveAlerts['alerts']): void
  },
  onState: (state: LiveState) => void,
): { close(): void } {
  let socket: WebSocket | undefined
  let closed = false
  let pauseMs = 1000
  let timer: ReturnType<typeof setTimeout> | undefined
  const connect = () => {
    const url = new URL('api/v1/live', document.baseURI)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    socket = new WebSocket(url)
    socket.onopen = () => {
      pauseMs = 1000
      onState('on')
      socket?.send(JSON.stringify(asked))
    }
    socket.onmessage = event => {
      const frame = parseAnswer<api.LivePoints | api.LiveBurst | api.LiveAlerts>(String(event.data))
      if ('burst' in frame) on.burst(frame.burst)
      else if ('alerts' in frame) on.alerts(frame.alerts)
      else on.points(frame)
    }
    socket.onclose = () => {
      if (closed) return
      onState('lost')
      timer = setTimeout(connect, pauseMs)
      pauseMs = Math.min(30_000, pauseMs * 2)
    }
  }
  onState('connecting')
  connect()
  return {
    close() {
      closed = true
      clearTimeout(timer)
      socket?.close()
    },
  }
}
