/**
 * InfluxDB's line protocol, one pass over the text.
 *
 *   cpu,cpu=cpu0,host=n1 usage_user=1.5,usage_system=2i 1700000000000000000
 *   ^ measurement,tags   ^ fields                       ^ time, in the precision of the request
 *
 * A backslash escapes a comma, a blank or an equals sign; strings stand in double quotes and may hold line breaks.
 * https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
 */
export interface Line {
  /** Measurement and tags as they stand in the text: equal text, equal series. */
  head: string
  /** Values that are numbers or booleans; others are given as undefined. */
  fields: [name: string, value: number | undefined][]
  /** undefined: the time of arrival. */
  time: bigint | undefined
}

/** What is wrong with a line, in words. */
export class LineError extends Error {
  readonly code = 'LINE'
}

const TAB_OR_BLANK = /[ \t]/

/** Calls back with each line or what is wrong with it; the text goes on at the next line. */
export function parseLines(
  text: string,
  onLine: (line: Line) => void,
  onError: (error: LineError, line: number) => void,
): void {
  let number = 0
  for (let at = 0; at < text.length; ) {
    number++
    const end = endOfLine(text, at)
    const line = text.slice(at, end).trim()
    at = end + 1
    if (line === '' || line.startsWith('#')) continue
    try {
      onLine(parseLine(line))
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      onError(error, number)
    }
  }
}

/** A line break inside of a quoted field does not end the line; quotes have that meaning only after the head. */
function endOfLine(text: string, from: number): number {
  const simple = text.indexOf('\n', from)
  const end = simple < 0 ? text.length : simple
  const quote = text.indexOf('"', from)
  if (quote < 0 || quote > end) return end
  const fields = skipTo(text, from, ' ')
  if (fields >= end) return end
  let quoted = false
  for (let at = fields; at < text.length; at++) {
    const char = text[at]
    if (char === '\\') at++
    else if (char === '"') quoted = !quoted
    else if (char === '\n' && !quoted) return at
  }
  return quoted ? end : text.length
}

/** Place of the next `stop` that no backslash escapes; the end of the text where there is none. */
function skipTo(text: string, from: number, stop: string): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === stop) return at
  }
  return text.length
}

function parseLine(line: string): Line {
  const headEnd = skipTo(line, 0, ' ')
  if (headEnd === 0) throw new LineError('no measurement')
  if (headEnd === line.length) throw new LineError('no fields')
  const fields: Line['fields'] = []
  let at = headEnd
  while (TAB_OR_BLANK.test(line[at] ?? '')) at++
  for (;;) {
    const equals = skipTo(line, at, '=')
    if (equals === line.length || equals === at) throw new LineError('a field has no name or no value')
    const end = endOfValue(line, equals + 1)
    fields.push([unescaped(line.slice(at, equals)), parseValue(line.slice(equals + 1, end))])
    at = end + 1
    if (line[end] !== ',') break
  }
  return { head: line.slice(0, headEnd), fields, time: parseTime(line.slice(at).trim()) }
}

function endOfValue(line: string, from: number): number {
  let quoted = false
  for (let at = from; at < line.length; at++) {
    const char = line[at]
    if (char === '\\' && quoted) at++
    else if (char === '"') quoted = !quoted
    else if (!quoted && (char === ',' || char === ' ')) return at
  }
  if (quoted) throw new LineError('a string has no end')
  return line.length
}

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/
const TRUE = /^(t|T|true|True|TRUE)$/
const FALSE = /^(f|F|false|False|FALSE)$/

function parseValue(text: string): number | undefined {
  if (text.startsWith('"') && text.length > 1) return undefined
  const digits = /[iu]$/.test(text) ? text.slice(0, -1) : text
  if (NUMBER.test(digits)) return Number(digits)
  if (TRUE.test(text)) return 1
  if (FALSE.test(text)) return 0
  throw new LineError(`${text.slice(0, 40)} is no value`)
}

function parseTime(text: string): bigint | undefined {
  if (text === '') return undefined
  if (!/^-?\d{1,20}$/.test(text)) throw new LineError(`${text.slice(0, 40)} is no time`)
  return BigInt(text)
}

const unescaped = (text: string): string => (text.includes('\\') ? text.replace(/\\([,= ])/g, '$1') : text)

/** A head taken apart; the first of a tag wins. Throws LineError. */
export function parseHead(head: string): { measurement: string; tags: Map<string, string> } {
  const nameEnd = skipTo(head, 0, ',')
  const tags = new Map<string, string>()
  for (let at = nameEnd + 1; at < head.length; ) {
    const end = skipTo(head, at, ',')
    const pair = head.slice(at, end)
    const equals = skipTo(pair, 0, '=')
    if (equals === 0 || equals >= pair.length - 1) throw new LineError(`${pair.slice(0, 40)} is no tag`)
    const name = unescaped(pair.slice(0, equals))
    if (!tags.has(name)) tags.set(name, unescaped(pair.slice(equals + 1)))
    at = end + 1
  }
  return { measurement: unescaped(head.slice(0, nameEnd)), tags }
}

/** Nanoseconds, or the unit of `precision`; v1 says n, u and h too. */
const NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  n: 1n,
  us: 1000n,
  u: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

/** undefined for a precision that is none. */
export const nanosecondsOf = (precision: string): bigint | undefined =>
  Object.hasOwn(NS, precision) ? NS[precision] : undefined
