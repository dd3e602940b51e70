/**
 * Strings by their bytes. A thousand collectors send the same few hundred names every tick; decoding UTF-8 into a new
 * string each time costs more than everything else done with a point, so bytes seen before give the string made then.
 * Bounded: when full it starts anew.
 */
const SLOTS = 1 << 16
const LONGEST = 256

export interface Intern {
  string(bytes: Uint8Array, start: number, end: number): string
}

/** FNV-1a with a final mix, 32 bits. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193)
  hash ^= hash >>> 15
  return Math.imul(hash, 0x2c1b3c6d) >>> 0
}

export function sameBytes(kept: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (kept.length !== end - start) return false
  for (let i = 0; i < kept.length; i++) if (kept[i] !== bytes[start + i]) return false
  return true
}

/** To be kept. A Buffer's own slice() is a view: of bytes that are written over, and the whole block stays in memory with it. */
export const copyBytes = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
  new Uint8Array(bytes.subarray(start, end))

interface Entry {
  bytes: Uint8Array
  text: string
  /** What was asked for after it last time. */
  next: Entry | undefined
}

/** One place a hash: what collides is decoded each time, or takes the place over. */
export function openIntern(): Intern {
  const entries: (Entry | undefined)[] = new Array(SLOTS)
  let last: Entry | undefined
  return {
    string(bytes, start, end) {
      const guess = last?.next
      if (guess !== undefined && sameBytes(guess.bytes, bytes, start, end)) {
        last = guess
        return guess.text
      }
      if (end - start > LONGEST) return decode(bytes, start, end)
      const slot = hashBytes(bytes, start, end) & (SLOTS - 1)
      let entry = entries[slot]
      if (entry === undefined || !sameBytes(entry.bytes, bytes, start, end)) {
        entry = { bytes: copyBytes(bytes, start, end), text: decode(bytes, start, end), next: undefined }
        entries[slot] = entry
      }
      if (last !== undefined) last.next = entry
      last = entry
      return entry.text
    },
  }
}

/** What is not UTF-8 becomes U+FFFD. */
const decode = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
