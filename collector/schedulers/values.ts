/**
 * Reading values whose shape drifts from release to release. Each answers undefined where the value is not there,
 * so that a missing field is absent in the record and never 0.
 */

/** Bytes that should be JSON. Invalid UTF-8 (job names are bytes) becomes U+FFFD; undefined where it is no JSON. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

export function asRecord(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return value as Record<string, unknown>
}

/** The elements of a list, or the values of an object that is used as one: {"0": …, "1": …}. */
export function asList(value: unknown): unknown[] {
  if (Array.isArray(value)) return value
  return Object.values(asRecord(value) ?? {})
}

export function asText(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Slurm's "not set" and "infinite", where they come as plain 32 bit numbers. */
const NO_VALUE = new Set([0xfffffffe, 0xffffffff])

/** 5, "5", {set: true, infinite: false, number: 5} -> 5; unset and infinite -> undefined. */
export function asNumber(value: unknown): number | undefined {
  const struct = asRecord(value)
  if (struct !== undefined) {
    return struct.set === false || struct.infinite === true ? undefined : asNumber(struct.number)
  }
  if (typeof value === 'string' && value.trim() === '') return undefined
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN
  return Number.isFinite(number) && !NO_VALUE.has(number) ? number : undefined
}

/** Epoch seconds -> ms; 0 and absent are "not yet". */
export function asMs(value: unknown): number | undefined {
  const seconds = asNumber(value)
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1000
}

/** Keeps the fields that are there: a record has no key whose value is undefined. */
export function present<T extends object>(record: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T
}

/** Cut to what the record's schema takes. */
export function cut(text: string | undefined, length: number): string | undefined {
  return text === undefined || text.length <= length ? text : text.slice(0, length)
}
