/** What a question can be refused for. `code` is for programs, `message` for people: it says what to do next. */
export class QueryError extends Error {
  readonly code: string
  readonly status: number

  constructor(status: number, code: string, message: string) {
    super(message)
    this.name = 'QueryError'
    this.status = status
    this.code = code
  }
}

export const badRequest = (message: string): QueryError => new QueryError(400, 'bad_request', message)
export const notFound = (message: string): QueryError => new QueryError(404, 'not_found', message)

/** ` Known: a, b, c …`: what one could have asked for instead, the nearest names first, at most ten. */
export function hint(asked: string, known: readonly string[], noun: string): string {
  const near = [...known].sort((a, b) => distance(asked, a) - distance(asked, b) || (a < b ? -1 : 1))
  return offer(near, noun)
}

/** The same for names that are in order already. */
export function offer(near: readonly string[], noun: string): string {
  if (near.length === 0) return ` No ${noun} is known yet.`
  return ` Known: ${near.slice(0, 10).join(', ')}${near.length > 10 ? ` and ${near.length - 10} more` : ''}.`
}

/** Levenshtein distance of the first 40 characters, one row at a time. */
function distance(a: string, b: string): number {
  const left = a.slice(0, 40)
  const right = b.slice(0, 40)
  let row = Array.from({ length: right.length + 1 }, (_, i) => i)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const swap = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
