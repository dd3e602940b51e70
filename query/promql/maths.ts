/** Functions of one value, and of the time of a step. */
import { badRequest } from '../errors.ts'

const round = (value: number, to: number): number => {
  // As Prometheus: by the inverse, so that 0.1 does not leave 0.30000000000000004.
  const inverse = 1 / to
  return Math.floor(value * inverse + 0.5) / inverse
}

/** The first argument is the value, the others are parameters. */
export const MATHS: Readonly<Record<string, (value: number, a: number, b: number) => number>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  exp: Math.exp,
  ln: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  sqrt: Math.sqrt,
  sgn: Math.sign,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  deg: value => (value * 180) / Math.PI,
  rad: value => (value * Math.PI) / 180,
  round: (value, to) => round(value, Number.isNaN(to) ? 1 : to),
  clamp: (value, min, max) => Math.max(min, Math.min(max, value)),
  clamp_min: (value, min) => Math.max(min, value),
  clamp_max: (value, max) => Math.min(max, value),
}

const dateOf = (seconds: number): Date => new Date(seconds * 1000)

/** Of a Unix time in seconds, UTC. */
export const CALENDAR: Readonly<Record<string, (seconds: number) => number>> = {
  minute: s => dateOf(s).getUTCMinutes(),
  hour: s => dateOf(s).getUTCHours(),
  day_of_week: s => dateOf(s).getUTCDay(),
  day_of_month: s => dateOf(s).getUTCDate(),
  day_of_year: s => Math.floor((dateOf(s).getTime() - Date.UTC(dateOf(s).getUTCFullYear(), 0, 1)) / 86_400_000) + 1,
  days_in_month: s => new Date(Date.UTC(dateOf(s).getUTCFullYear(), dateOf(s).getUTCMonth() + 1, 0)).getUTCDate(),
  month: s => dateOf(s).getUTCMonth() + 1,
  year: s => dateOf(s).getUTCFullYear(),
}

export function arithmetic(op: string, a: number, b: number): number | undefined {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '%':
      return a % b
    case '^':
      return a ** b
    case 'atan2':
      return Math.atan2(a, b)
    default:
      return undefined
  }
}

const COMPARES: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
}

export const isComparison = (op: string): boolean => Object.hasOwn(COMPARES, op)
export const compares = (op: string, a: number, b: number): boolean => COMPARES[op]?.(a, b) ?? false

/** $1 and ${1}, ${name} of Go's regexp.Expand. */
export function expand(template: string, found: RegExpExecArray): string {
  return template.replace(/\$(?:\{(\w+)\}|(\w+)|(\$))/g, (_, braced?: string, plain?: string, dollar?: string) => {
    if (dollar !== undefined) return '$'
    const name = braced ?? plain ?? ''
    return (/^\d+$/.test(name) ? found[Number(name)] : found.groups?.[name]) ?? ''
  })
}

/** A pattern of ours to run over labels: short, and without what makes a backtracking engine slow. */
export function labelPattern(text: string): RegExp {
  if (text.length > 500) throw badRequest('a pattern of label_replace is longer than 500 characters')
  if (/[+*}]\)?[+*{]/.test(text)) throw badRequest('a pattern of label_replace may not repeat what repeats')
  try {
    return new RegExp(`^(?:${text.replaceAll('(?P<', '(?<')})$`, 's')
  } catch {
    throw badRequest(`label_replace: ${text} is no regular expression`)
  }
}
