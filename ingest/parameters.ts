/**
 * Values of {name:Type} as ClickHouse reads them: tab-separated text, in which a backslash begins an escape and a raw tab
 * or line break would end the value. https://clickhouse.com/docs/interfaces/cli#cli-queries-with-parameters
 */
import { StoreError } from './errors.ts'
import type { Question } from './store.ts'

/** `param_x = '…'` for SET. What an earlier question was given is still bound, so a value that is missing is an error here. */
export function parameterSettings({ query, query_params: given }: Question): string[] {
  for (const [, name = ''] of query.matchAll(/\{(\w+)\s*:/g)) {
    if (!Object.hasOwn(given, name)) throw new StoreError('database', `the question has no value for {${name}}`)
  }
  return Object.entries(given).map(([name, value]) => {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new StoreError('database', `${name} is no name of a parameter`)
    return `param_${name} = ${quoted(parameterText(value))}`
  })
}

/** A string literal of SQL. */
export const quoted = (text: string): string =>
  `'${text.replace(/[\\'\0]/g, char => (char === '\0' ? '\\0' : `\\${char}`))}'`

function parameterText(value: unknown): string {
  if (value === null || value === undefined) return '\\N'
  if (typeof value === 'string') return escaped(value)
  if (value instanceof Date) return String(value.getTime() / 1000)
  if (Array.isArray(value)) return `[${value.map(element).join(',')}]`
  return plain(value)
}

function element(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'string') return `'${escaped(value)}'`
  return Array.isArray(value) ? `[${value.map(element).join(',')}]` : plain(value)
}

function plain(value: unknown): string {
  if (typeof value === 'number')
    return Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'nan' : value > 0 ? '+inf' : '-inf'
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'boolean') return value ? '1' : '0'
  throw new StoreError('database', `a ${typeof value} cannot be a parameter`)
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '\0': '\\0',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

const escaped = (text: string): string => text.replace(/[\\'\0\b\f\n\r\t]/g, char => ESCAPES[char] ?? char)
