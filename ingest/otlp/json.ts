/**
 * Looks into JSON that anyone may have sent: every step knows its path, so that an error can name the place.
 *
 * OTLP's JSON is proto3's with lowerCamelCase names, enums as numbers, 64-bit integers as strings or numbers, trace ids in
 * hexadecimal: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. null is the same as absent.
 */
import { BodyError } from '../errors.ts'

export function parseJson(bytes: Uint8Array): Json {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  try {
    return new Json(JSON.parse(text) as unknown, '')
  } catch (error) {
    throw new BodyError('malformed', `not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

export class Json {
  readonly value: unknown
  readonly path: string

  constructor(value: unknown, path: string) {
    this.value = value
    this.path = path
  }

  /** undefined where the key is absent or null. */
  get(key: string): Json | undefined {
    const value = this.object()[key]
    return value === undefined || value === null
      ? undefined
      : new Json(value, this.path === '' ? key : `${this.path}.${key}`)
  }

  /** Elements of a list; none where it is absent. */
  list(key: string): Json[] {
    const found = this.get(key)
    if (found === undefined) return []
    if (!Array.isArray(found.value)) throw found.error('should be a list')
    return found.value.map((value, i) => new Json(value, `${found.path}[${i}]`))
  }

  text(key: string): string {
    const found = this.get(key)
    if (found === undefined) return ''
    if (typeof found.value !== 'string') throw found.error('should be a string')
    return found.value
  }

  /** A number, also as text: "123", "NaN". undefined where absent. */
  number(key: string): number | undefined {
    return this.get(key)?.asNumber()
  }

  asNumber(): number {
    const { value } = this
    if (typeof value === 'number') return value
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : undefined
    if (number === undefined || (Number.isNaN(number) && value !== 'NaN')) throw this.error('should be a number')
    return number
  }

  /** Nanoseconds, as text or number -> ms; 0 where absent. */
  nanosAsMs(key: string): number {
    return (this.number(key) ?? 0) / 1e6
  }

  flag(key: string): boolean {
    const found = this.get(key)
    if (found === undefined) return false
    if (typeof found.value !== 'boolean') throw found.error('should be true or false')
    return found.value
  }

  error(what: string): BodyError {
    return new BodyError('malformed', `${this.path === '' ? 'the body' : this.path} ${what}`)
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      throw this.error('should be an object')
    }
    return this.value as Record<string, unknown>
  }
}

/** `attributes` of an object as strings, like readAttribute() gives them. */
export function attributesOf(parent: Json, strings: readonly string[] = []): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const attribute of parent.list('attributes')) {
    const name = strings[attribute.number('keyStrindex') ?? -1] ?? attribute.text('key')
    const value = attribute.get('value')
    const text = value === undefined ? undefined : valueText(value, strings)
    if (name !== '' && text !== undefined && !attributes.has(name)) attributes.set(name, text)
  }
  return attributes
}

export function valueText(value: Json, strings: readonly string[]): string | undefined {
  for (const [kind, inner] of Object.entries(value.object())) {
    const at = new Json(inner, `${value.path}.${kind}`)
    if (kind === 'stringValue' || kind === 'bytesValue') return value.text(kind)
    if (kind === 'boolValue') return String(value.flag(kind))
    // As it was written: a 64-bit integer keeps its digits.
    if (kind === 'intValue') return String(typeof inner === 'string' ? inner : at.asNumber())
    if (kind === 'doubleValue') return String(at.asNumber())
    if (kind === 'stringValueStrindex') return strings[at.asNumber()]
    if (kind === 'arrayValue') return JSON.stringify(at.list('values').map(v => valueText(v, strings) ?? null))
    if (kind === 'kvlistValue') {
      const pairs = at.list('values').map(v => {
        const nested = v.get('value')
        return [v.text('key'), nested === undefined ? '' : (valueText(nested, strings) ?? '')]
      })
      return JSON.stringify(Object.fromEntries(pairs))
    }
  }
  return undefined
}
