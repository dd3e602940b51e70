/**
 * The address bar is the state: what is looked at, over which time, sorted how. A link shows a colleague exactly this.
 *
 *   #/hpc1/job/4711/node/n07/process/2211?start=1732384738000&range=1h&metric=cpu_busy
 *    cluster  job      node     process     everything else
 *
 * The deepest part present decides the view; with against=… it is laid over another. The address is a hash, so the page works below any path of any proxy.
 */
import { useEffect, useState } from 'preact/hooks'

export interface Place {
  /** '' before the first answer told which clusters there are. */
  readonly cluster: string
  /** The list of jobs, not one. */
  readonly jobs: boolean
  /** What fires, the rules, who is told. */
  readonly alerts: boolean
  readonly job: string
  readonly node: string
  readonly pid: number | undefined
  /** Transforms of the flame graph, in the order they were made. */
  readonly transforms: readonly string[]
  readonly query: Readonly<Record<string, string>>
}
export type View = 'cluster' | 'alerts' | 'jobs' | 'job' | 'node' | 'process' | 'compare'

export const NOWHERE: Place = {
  cluster: '',
  jobs: false,
  alerts: false,
  job: '',
  node: '',
  pid: undefined,
  transforms: [],
  query: {},
}

export function viewOf(place: Place): View {
  if (place.query.against) return 'compare'
  if (place.pid !== undefined) return 'process'
  if (place.node !== '') return 'node'
  if (place.job !== '') return 'job'
  return place.alerts ? 'alerts' : place.jobs ? 'jobs' : 'cluster'
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

export function parsePlace(hash: string): Place {
  const cut = hash.indexOf('?')
  const path = (cut < 0 ? hash : hash.slice(0, cut)).replace(/^#?\/?/, '')
  const search = new URLSearchParams(cut < 0 ? '' : hash.slice(cut + 1))
  const [cluster = '', ...rest] = path.split('/').map(decode)
  const after = (word: string) => {
    const at = rest.findIndex((s, i) => s === word && i % 2 === 0)
    return at < 0 ? '' : (rest[at + 1] ?? '')
  }
  const pid = after('process')
  const transforms = search.getAll('t')
  search.delete('t')
  return {
    cluster,
    jobs: rest[0] === 'jobs',
    alerts: rest[0] === 'alerts',
    job: after('job'),
    node: after('node'),
    pid: /^\d+$/.test(pid) ? Number(pid) : undefined,
    transforms,
    query: Object.fromEntries(search),
  }
}

export function formatPlace(place: Place): string {
  const parts = [place.cluster]
  if (place.alerts) parts.push('alerts')
  if (place.jobs && place.job === '') parts.push('jobs')
  if (place.job !== '') parts.push('job', place.job)
  if (place.node !== '') parts.push('node', place.node)
  if (place.pid !== undefined) parts.push('process', String(place.pid))
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(place.query)) if (value !== '') search.set(key, value)
  for (const t of place.transforms) search.append('t', t)
  const text = search.toString().replaceAll('%3A', ':').replaceAll('%2C', ',')
  return `#/${parts.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`
}

/** What stays when the scope changes: time and metric. The rest (brush, zoom, search) belongs to the page it was made on. */
const KEPT = ['range', 'from', 'to', 'metric']

type Scope = Partial<Pick<Place, 'cluster' | 'jobs' | 'alerts' | 'job' | 'node' | 'pid'>>
export type Query = Readonly<Record<string, string | undefined>>

/** Another scope. Parts that are not given are empty, so that a place is never half of two. */
export function placeAt(from: Place, scope: Scope, query: Query = {}): Place {
  const kept: Query = Object.fromEntries(KEPT.map(key => [key, from.query[key]]))
  return {
    ...NOWHERE,
    cluster: scope.cluster ?? from.cluster,
    jobs: scope.jobs ?? false,
    alerts: scope.alerts ?? false,
    job: scope.job ?? '',
    node: scope.node ?? '',
    pid: scope.pid,
    query: filled({ ...kept, ...query }),
  }
}

function filled(query: Query): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== '') out[key] = value
  return out
}

/** The same scope, asked differently. undefined takes a key away. */
export const placeWith = (from: Place, query: Query, transforms = from.transforms): Place => ({
  ...from,
  transforms,
  query: filled({ ...from.query, ...query }),
})

// --- the store -------------------------------------------------------------------------------------------------------

export interface Store<T> {
  get(): T
  set(value: T): void
  subscribe(listener: () => void): () => void
}

export function openStore<T>(initial: T): Store<T> {
  let value = initial
  const listeners = new Set<() => void>()
  return {
    get: () => value,
    set: next => {
      if (Object.is(next, value)) return
      value = next
      for (const listener of [...listeners]) listener()
    },
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.get())
  useEffect(() => {
    setValue(store.get())
    return store.subscribe(() => setValue(store.get()))
  }, [store])
  return value
}

export const place: Store<Place> = openStore(NOWHERE)

/** Follow the address bar: links, Back, Forward, a pasted address. */
export function startPlace(window: Window): () => void {
  const read = () => place.set(parsePlace(window.location.hash))
  read()
  window.addEventListener('popstate', read)
  window.addEventListener('hashchange', read)
  return () => {
    window.removeEventListener('popstate', read)
    window.removeEventListener('hashchange', read)
  }
}

/** Go there. A step that Back should undo is pushed; a step on the way (typing, dragging) replaces. */
export function go(next: Place, how: 'push' | 'replace' = 'push'): void {
  const hash = formatPlace(next)
  if (hash === formatPlace(place.get())) return
  if (how === 'push') window.history.pushState(null, '', hash)
  else window.history.replaceState(null, '', hash)
  place.set(next)
}
