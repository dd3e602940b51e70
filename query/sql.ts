/**
 * sql`SELECT … WHERE node = ${node}` -> {query: '… node = {p0:String}', query_params: {p0: node}}
 *
 * Text comes from the template's own source only; every ${value} becomes a parameter that ClickHouse binds on its side, so a
 * string from outside cannot enter. Another Sql is spliced in with its parameters. Identifiers come from the catalogue or from
 * Sql literals in a closed list: there is no way to make an Sql from a string that was computed, but column() and its check.
 */
import type { Metric } from '../ingest/metrics.ts'

export type Value = string | number | bigint | boolean | readonly string[] | readonly number[] | readonly bigint[]

export class Sql {
  readonly #texts: readonly string[]
  readonly #values: readonly Value[]
  /** Conditions in it that keep a reader to what is the reader's own; reach.ts makes them, asker.ts counts them. */
  readonly limits: number

  /** Only for this file: texts.length = values.length + 1. */
  private constructor(texts: readonly string[], values: readonly Value[], limits = 0) {
    this.#texts = texts
    this.#values = values
    this.limits = limits
  }

  static of(texts: TemplateStringsArray, inserts: readonly (Value | Sql)[]): Sql {
    const out: string[] = [texts[0] ?? '']
    const values: Value[] = []
    let limits = 0
    const append = (text: string) => {
      out[out.length - 1] += text
    }
    inserts.forEach((insert, i) => {
      if (insert instanceof Sql) {
        limits += insert.limits
        append(insert.#texts[0] ?? '')
        insert.#values.forEach((value, j) => {
          values.push(value)
          out.push(insert.#texts[j + 1] ?? '')
        })
      } else {
        values.push(insert)
        out.push('')
      }
      append(texts[i + 1] ?? '')
    })
    return new Sql(out, values, limits)
  }

  /** A column of the catalogue as an identifier. */
  static column(metric: Pick<Metric, 'column'>): Sql {
    if (!/^[a-z][a-z0-9_]*$/.test(metric.column)) throw new Error(`column ${metric.column} is not an identifier`)
    return new Sql([metric.column], [])
  }

  /** A whole number as text: parameters of aggregate functions cannot be bound. */
  static whole(value: number): Sql {
    if (!Number.isSafeInteger(value)) throw new Error(`${value} is not a whole number`)
    return new Sql([String(value)], [])
  }

  /** The condition, in brackets, as one that limits the rows of one table to a reader's own. */
  static limit(condition: Sql): Sql {
    const bracketed = sql`(${condition})`
    return new Sql(bracketed.#texts, bracketed.#values, condition.limits + 1)
  }

  get query(): string {
    return this.#texts
      .map((text, i) => (i < this.#values.length ? `${text}{p${i}:${typeOf(this.#values[i] ?? '')}}` : text))
      .join('')
  }

  get query_params(): Record<string, unknown> {
    return Object.fromEntries(this.#values.map((value, i) => [`p${i}`, value]))
  }
}

export function sql(texts: TemplateStringsArray, ...inserts: readonly (Value | Sql)[]): Sql {
  return Sql.of(texts, inserts)
}

export const column = Sql.column
export const whole = Sql.whole
export const limit = Sql.limit
export const nothing: Sql = sql``

/** a, b, c with the separator between them. */
export function join(parts: readonly Sql[], separator: Sql): Sql {
  return parts.reduce((all, part, i) => (i === 0 ? part : sql`${all}${separator}${part}`), nothing)
}

/** (a AND b AND c); true where there are none. */
export function and(parts: readonly (Sql | undefined)[]): Sql {
  const given = parts.filter(p => p !== undefined)
  return given.length === 0 ? sql`true` : join(given, sql` AND `)
}

/** a, b, c */
export const list = (parts: readonly Sql[]): Sql => join(parts, sql`, `)

/** One of these. Of a single one no set is made, which takes the store a millisecond. */
export const oneOf = (column: Sql, values: readonly string[]): Sql =>
  values.length === 1 ? sql`${column} = ${values[0] ?? ''}` : sql`${column} IN ${values}`

function typeOf(value: Value): string {
  if (typeof value === 'string') return 'String'
  if (typeof value === 'bigint') return 'UInt64'
  if (typeof value === 'boolean') return 'Bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'Int64' : 'Float64'
  const mixed = Array.from<string | number | bigint>(value).find(v => typeof v === 'number' && !Number.isInteger(v))
  return `Array(${typeOf(mixed ?? value[0] ?? '')})`
}
