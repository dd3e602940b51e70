/**
 * Ids: 64 bits of SHA-256 over parts, each with its length before it, so that ('ab', 'c') and ('a', 'bc') differ. The same
 * parts give the same id in every process and version. At 10^8 stacks two share an id with a chance of 3 in 10,000.
 */
import { createHash } from 'node:crypto'

export function idOf(...parts: readonly (string | bigint)[]): bigint {
  const hash = createHash('sha256')
  for (const part of parts) {
    if (typeof part === 'bigint') hash.update(`8:${part.toString(16)};`)
    else hash.update(`${Buffer.byteLength(part)}:${part};`)
  }
  return hash.digest().readBigUInt64LE(0)
}
