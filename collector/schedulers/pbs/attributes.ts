/**
 * What `qstat -f -F json` and `pbsnodes -F json` print, read line by line: every release writes one attribute a line, while
 * what it writes there is not always JSON (bare nan and +5 as job names, unescaped quotes and backslashes, broken UTF-8;
 * https://github.com/openpbs/openpbs/issues/1255 and /2541). All values are taken as the text that is there, so a job
 * named 1e5 keeps its name, whatever type a release gives it.
 *
 *   \t\t"0.pbs01":\t{                         opens
 *   \t\t\t"Job_Name":\t+5,                    +5
 *   \t\t\t"Account_Name":\t"acct \"with", odd\chars",   up to the last quote of the line
 *   \t\t},                                    closes
 */
export interface Attributes {
  [name: string]: string | Attributes
}

/** Environments of jobs: secrets of users, and where most of the nonsense is. Never kept. */
const SECRET = 'Variable_List'

/** Undefined where the text ends before all is closed. */
export function parseAttributes(text: string): Attributes | undefined {
  const root: Attributes = {}
  const open: Attributes[] = []
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed === '{' && open.length === 0) open.push(root)
    else if (trimmed === '}' || trimmed === '},') {
      if (open.length === 0) return undefined
      open.pop()
    } else if (trimmed !== '') takeAttribute(trimmed, open)
  }
  return open.length === 0 && text.includes('{') ? root : undefined
}

function takeAttribute(line: string, open: Attributes[]): void {
  const parts = /^"((?:[^"\\]|\\.)*)":\s*(.*?),?$/.exec(line)
  const inside = open.at(-1)
  if (parts === null || inside === undefined) return
  const [, name = '', value = ''] = parts
  if (value === '{') {
    const object: Attributes = {}
    if (name !== SECRET) inside[unescaped(name)] = object
    open.push(object)
  } else if (!/^\{.*\}$/.test(value)) inside[unescaped(name)] = leafOf(value)
}

function leafOf(value: string): string {
  const text = /^"(.*)"$/.exec(value)
  return text === null ? value : unescaped(text[1] ?? '')
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }

/** JSON's escapes; a backslash before anything else is just one. */
function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))/g, (_, hex?: string, char = '') =>
    hex === undefined ? (ESCAPES[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/**
 * `qstat -f -F dsv`: a job a line, `Job Id: X|name=value|Resource_List.ncpus=1|…`, `\|` inside a value. Newlines inside a
 * value go on with the job before.
 */
export function parseDsv(text: string): Attributes {
  const jobs: Attributes = {}
  for (const record of `\n${text}`.split('\nJob Id: ').slice(1)) {
    const [id = '', ...fields] = record.replace(/\n$/, '').split(/(?<!\\)\|/)
    const job: Attributes = {}
    for (const field of fields) {
      const equals = field.indexOf('=')
      const [name = '', resource] = field.slice(0, equals).split('.')
      const value = field.slice(equals + 1).replaceAll('\\|', '|')
      if (equals < 0 || name === SECRET) continue
      if (resource === undefined) job[name] = value
      else job[name] = { ...groupOf(job, name), [resource]: value }
    }
    jobs[id] = job
  }
  return jobs
}

/** The attributes below `name`, none where it is a value. */
export function groupOf(attributes: Attributes, name: string): Attributes {
  const group = attributes[name]
  return typeof group === 'object' ? group : {}
}

/** The text of the first of these names that has one. */
export function valueIn(attributes: Attributes, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = attributes[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return undefined
}
