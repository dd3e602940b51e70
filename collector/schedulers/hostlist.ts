/**
 * Slurm's hostlist expressions: `r[01-02]n[1-2],login` -> r01n1 r01n2 r02n1 r02n2 login.
 * A range keeps the width of its first number. https://slurm.schedmd.com/hostlist.html
 */

/** As many as one record may hold; a longer list is refused, not cut. */
const MAX_NAMES = 100_000

export class HostlistError extends Error {
  override name = 'HostlistError'
  readonly code = 'hostlist'
}

export function expandHostlist(list: string): string[] {
  const names: string[] = []
  for (const part of splitOutside(list)) {
    if (part === '') continue
    for (const name of expandPart(part)) names.push(name)
    if (names.length > MAX_NAMES) throw new HostlistError(`more than ${MAX_NAMES} names in ${list.slice(0, 80)}`)
  }
  return names
}

/** Splits at the commas that are not inside brackets: `a[1,2],b` -> `a[1,2]` `b`. */
function splitOutside(list: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (let at = 0; at < list.length; at++) {
    const c = list[at]
    if (c === '[') depth++
    else if (c === ']') depth--
    else if (c === ',' && depth === 0) {
      parts.push(list.slice(from, at))
      from = at + 1
    }
  }
  if (depth !== 0) throw new HostlistError(`unbalanced bracket in ${list.slice(0, 80)}`)
  parts.push(list.slice(from))
  return parts
}

/** One name with any number of brackets, left to right, the last one turning fastest. */
function expandPart(part: string): string[] {
  const open = part.indexOf('[')
  if (open < 0) return [part]
  const close = part.indexOf(']', open)
  const prefix = part.slice(0, open)
  const rest = expandPart(part.slice(close + 1))
  const names: string[] = []
  for (const number of expandRanges(part.slice(open + 1, close))) {
    for (const tail of rest) names.push(prefix + number + tail)
    if (names.length > MAX_NAMES) throw new HostlistError(`more than ${MAX_NAMES} names in ${part.slice(0, 80)}`)
  }
  return names
}

/** `1-3,007` -> 1 2 3 007 */
function expandRanges(ranges: string): string[] {
  return ranges.split(',').flatMap(range => {
    const ends = /^(\d+)(?:-(\d+))?$/.exec(range)
    if (ends === null) throw new HostlistError(`not a range: ${range.slice(0, 80)}`)
    const [, first = '', last = first] = ends
    const count = Number(last) - Number(first) + 1
    if (count > MAX_NAMES) throw new HostlistError(`more than ${MAX_NAMES} names in ${range}`)
    return Array.from({ length: Math.max(0, count) }, (_, i) => String(Number(first) + i).padStart(first.length, '0'))
  })
}
