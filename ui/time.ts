/** The window of time the page asks about: following the present ("last 1h") or fixed. Times are ms since the epoch. */
import { openStore, type Place, placeWith, type Store } from './state.ts'

export interface Span {
  readonly from: number
  readonly to: number
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const RANGES: Readonly<Record<string, number>> = {
  '5m': 5 * MINUTE,
  '15m': 15 * MINUTE,
  '1h': HOUR,
  '4h': 4 * HOUR,
  '12h': 12 * HOUR,
  '1d': DAY,
  '7d': 7 * DAY,
  '30d': 30 * DAY,
}
export const DEFAULT_RANGE = '1h'

/** When now is, to the next tick of `TICK_MS`: a page that follows asks again when it moves. */
export const now: Store<number> = openStore(Date.now())
const TICK_MS = 10_000

/** A hidden page does not ask. */
export function startClock(): () => void {
  const tick = () => {
    if (document.visibilityState === 'visible') now.set(Math.floor(Date.now() / TICK_MS) * TICK_MS)
  }
  tick()
  const timer = setInterval(tick, TICK_MS / 5)
  document.addEventListener('visibilitychange', tick)
  return () => {
    clearInterval(timer)
    document.removeEventListener('visibilitychange', tick)
  }
}

export const formatInstant = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')

function parseInstant(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  return Number.isFinite(ms) ? ms : undefined
}

/** A fixed window in the address, else undefined. */
export function fixedSpan(place: Place): Span | undefined {
  const from = parseInstant(place.query.from)
  const to = parseInstant(place.query.to)
  return from !== undefined && to !== undefined && from < to ? { from, to } : undefined
}

/** The range that the page follows, or undefined where the window is fixed or the job's own. */
export function followed(place: Place): string | undefined {
  if (fixedSpan(place)) return undefined
  const range = place.query.range
  if (range !== undefined && RANGES[range] !== undefined) return range
  return place.job === '' ? DEFAULT_RANGE : undefined
}

/**
 * The window to ask for. A page that follows ends at the present, or at the newest value where values stopped coming.
 * undefined: the job's own span, which its answer tells.
 */
export function spanOf(place: Place, nowMs: number, lastSeen: number | null | undefined): Span | undefined {
  const fixed = fixedSpan(place)
  if (fixed) return fixed
  const range = followed(place)
  if (range === undefined) return undefined
  const length = RANGES[range] ?? HOUR
  const to = endsBefore(lastSeen, nowMs) ?? nowMs
  return { from: to - length, to }
}

/** Where values stopped coming more than 2 min ago: when. */
export function endsBefore(lastSeen: number | null | undefined, nowMs: number): number | undefined {
  return lastSeen !== null && lastSeen !== undefined && lastSeen < nowMs - 2 * MINUTE ? lastSeen : undefined
}

export const fixedQuery = (span: Span) => ({
  range: undefined,
  from: formatInstant(Math.floor(span.from / 1000) * 1000),
  to: formatInstant(Math.ceil(span.to / 1000) * 1000),
  sel: undefined,
})

/** Twice as much time: the next longer range, or a window that grows on both sides (never into the future). */
export function zoomedOut(place: Place, span: Span, nowMs: number): Place {
  const range = followed(place)
  if (range !== undefined) {
    const names = Object.keys(RANGES)
    return placeWith(place, { range: names[Math.min(names.length - 1, names.indexOf(range) + 1)], sel: undefined })
  }
  const length = span.to - span.from
  const to = Math.min(nowMs, span.to + length / 2)
  return placeWith(place, fixedQuery({ from: to - 2 * length, to }))
}

/** Half a window earlier or later. */
export function moved(place: Place, span: Span, direction: -1 | 1, nowMs: number): Place {
  const length = span.to - span.from
  const to = Math.min(nowMs, span.to + (direction * length) / 2)
  return placeWith(place, fixedQuery({ from: to - length, to }))
}

/** The brushed part of the window: sel=FROM..TO. */
export function brushOf(place: Place): Span | undefined {
  const [a, b] = (place.query.sel ?? '').split('..')
  const from = parseInstant(a)
  const to = parseInstant(b)
  return from !== undefined && to !== undefined && from < to ? { from, to } : undefined
}

export const brushQuery = (span: Span | undefined) => ({
  sel:
    span === undefined ? undefined : `${formatInstant(roundSecond(span.from))}..${formatInstant(roundSecond(span.to))}`,
})
const roundSecond = (ms: number) => Math.round(ms / 1000) * 1000
