/** Numbers, durations and strings as PromQL writes them. */
import { badRequest } from '../errors.ts'

const SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
}

/** 1.5e3, 0x1f, Inf, NaN, 1h30m (as seconds). */
export function parseNumber(given: string): number {
  const text = given.replaceAll('_', '').toLowerCase()
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/.exec(text) ?? []
  const factor = sign === '-' ? -1 : 1
  if (rest === 'inf') return factor * Number.POSITIVE_INFINITY
  if (rest === 'nan') return Number.NaN
  if (/^(\d+(ms|[smhdwy]))+$/.test(rest)) {
    const parts = [...rest.matchAll(/(\d+)(ms|[smhdwy])/g)]
    return factor * parts.reduce((sum, [, count, unit]) => sum + Number(count) * (SECONDS[unit ?? ''] ?? 0), 0)
  }
  return factor * Number(rest)
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' }

/** Quoted as in Go: backslashes escape, but not between backticks. */
export function parseString(text: string): string {
  const inner = text.slice(1, -1)
  if (text.length < 2 || text[0] !== text.at(-1)) throw badRequest('a string has no end')
  if (text.startsWith('`')) return inner
  return inner.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/gs, (_, given: string) =>
    given.length > 1 ? String.fromCharCode(Number.parseInt(given.slice(1), 16)) : (ESCAPES[given] ?? given),
  )
}
