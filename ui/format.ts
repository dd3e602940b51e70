/** Numbers for people: three significant digits, the unit always beside them, null as an en dash. */
import { t } from './words.ts'

export const NOTHING = '–'

/** 0.1234 -> 12%; below 10 % with one decimal; never 0% for something. */
export function formatRatio(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING
  const percent = value * 100
  if (percent !== 0 && Math.abs(percent) < 0.1) return '<0.1%'
  return `${Math.abs(percent) < 9.95 && percent !== 0 ? percent.toFixed(1) : percent.toFixed(0)}%`
}

function digits(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 99.95) return value.toFixed(0)
  if (size >= 9.995) return value.toFixed(1)
  if (size >= 0.0995) return value.toFixed(2)
  return String(Number(value.toPrecision(2)))
}

function scaled(value: number, step: number, names: readonly string[]): string {
  let at = 0
  let v = value
  while (Math.abs(v) >= step * 0.9995 && at < names.length - 1) {
    v /= step
    at++
  }
  return `${at === 0 && Number.isInteger(v) ? v : digits(v)}${names[at]}`
}

const BINARY = [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']
const DECIMAL_RATE = [' B/s', ' kB/s', ' MB/s', ' GB/s', ' TB/s']
const COUNT = ['', ' k', ' M', ' G', ' T']

export const formatBytes = (value: number | null | undefined): string =>
  value === null || value === undefined ? NOTHING : scaled(value, 1024, BINARY)

export const formatCount = (value: number | null | undefined): string =>
  value === null || value === undefined ? NOTHING : scaled(value, 1000, COUNT)

/** A number of things: whole, with thousands apart, short only from a million on. */
export function formatWhole(value: number | null | undefined): string {
  if (value === null || value === undefined) return NOTHING
  return Math.abs(value) >= 1e6 ? formatCount(value) : Math.round(value).toLocaleString('en')
}

/** Cores that were busy: two digits after the point, so that a column can be compared. */
export const formatCores = (value: number): string => (value >= 99.95 ? formatWhole(value) : value.toFixed(2))

/** A value in a unit of the catalogue (ingest/metrics.ts): bytes in powers of 1024, rates in powers of 1000. */
export function formatValue(unit: string, value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING
  switch (unit) {
    case 'ratio':
      return formatRatio(value)
    case 'bytes':
      return formatBytes(value)
    case 'bytes/s':
      return scaled(value, 1000, DECIMAL_RATE)
    case '1/s':
      return `${formatCount(value)}/s`
    case 'Cel':
      return `${digits(value)} °C`
    case 's':
      return formatSeconds(value)
    case 'cores':
      return formatCores(value)
    case '1':
      return formatCount(value)
    default:
      return scaled(value, 1000, [` ${unit}`, ` k${unit}`, ` M${unit}`, ` G${unit}`])
  }
}

const pad = (n: number) => String(n).padStart(2, '0')

/** CPU seconds and lengths: 840 ms, 12.3 s, 4m 10s, 3h 12m, 2d 4h. */
export function formatSeconds(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NOTHING
  if (seconds === 0) return '0 s'
  if (seconds < 0.9995) return `${digits(seconds * 1000)} ms`
  if (seconds < 59.95) return `${digits(seconds)} s`
  const s = Math.round(seconds)
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${pad(Math.floor(s / 60) % 60)}m`
  return `${Math.floor(s / 86_400)}d ${Math.floor(s / 3600) % 24}h`
}

export const formatSpan = (ms: number): string => formatSeconds(ms / 1000)

const MINUTE = 60_000
const DAY = 86_400_000

function clock(d: Date, seconds: boolean): string {
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? `:${pad(d.getSeconds())}` : ''}`
}
const day = (d: Date) => `${pad(d.getMonth() + 1)}-${pad(d.getDate())}`

/** A moment, as exact as a window of `spanMs` asks for, with the day where it is not today. */
export function formatTime(ms: number, spanMs = 0): string {
  const d = new Date(ms)
  const text = clock(d, spanMs < 30 * MINUTE)
  return d.toDateString() === new Date().toDateString() && spanMs < DAY ? text : `${day(d)} ${text}`
}

/** A tick of a time axis: the day at midnight, else the time. */
export function formatTick(ms: number, stepMs: number): string {
  const d = new Date(ms)
  if (d.getHours() === 0 && d.getMinutes() === 0 && d.getSeconds() === 0) return day(d)
  return clock(d, stepMs < MINUTE)
}

export function formatAgo(ms: number | null, nowMs: number): string {
  if (ms === null) return t('time.never')
  const ago = nowMs - ms
  return ago < 15_000 ? t('time.justNow') : t('time.ago', { length: formatSpan(Math.floor(ago / 1000) * 1000) })
}
