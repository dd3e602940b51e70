/**
 * Passwords as scrypt$N$r$p$salt$hash. N 2^16, r 8, p 2 is what OWASP asks for with 64 MiB of memory:
 * https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
 */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'

const COST = { N: 65_536, r: 8, p: 2 }
const MAX_COST = { N: 2 ** 20, r: 32, p: 16 }
const HASH_BYTES = 32
/** Longer ones are no passwords. */
export const MAX_PASSWORD = 1024

/** Checks at once: each takes 64 MiB and a thread that others wait for. */
const AT_ONCE = 2
let running = 0
const waiting: (() => void)[] = []

async function derive(password: string, salt: Buffer, bytes: number, cost: ScryptOptions): Promise<Buffer> {
  if (running >= AT_ONCE) await new Promise<void>(resolve => waiting.push(resolve))
  running++
  try {
    return await new Promise((resolve, reject) => {
      scrypt(password.normalize('NFKC'), salt, bytes, { ...cost, maxmem: 2 ** 31 - 1 }, (error, key) =>
        error ? reject(error) : resolve(key),
      )
    })
  } finally {
    running--
    waiting.shift()?.()
  }
}

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt, HASH_BYTES, COST)
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), hash.toString('base64url')].join('$')
}

interface Parsed {
  cost: { N: number; r: number; p: number }
  salt: Buffer
  hash: Buffer
}

/** undefined where it is no hash of ours. */
export function parseHash(text: string): Parsed | undefined {
  const [kind, n, r, p, salt, hash, ...more] = text.split('$')
  const cost = { N: Number(n), r: Number(r), p: Number(p) }
  const fits = ([key, most]: [string, number]) => {
    const value = cost[key as keyof typeof cost]
    return Number.isInteger(value) && value > 0 && value <= most
  }
  if (kind !== 'scrypt' || !salt || !hash || more.length > 0 || !Object.entries(MAX_COST).every(fits)) return undefined
  return { cost, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') }
}

/** For names that are not there: the answer takes as long as for those that are. */
const NOBODY: Parsed = { cost: COST, salt: Buffer.alloc(16), hash: Buffer.alloc(HASH_BYTES) }

/** `stored`: absent for a user who has no password, or is not there at all. */
export async function checkPassword(password: string, stored: string | undefined): Promise<boolean> {
  const parsed = stored === undefined ? undefined : parseHash(stored)
  const { cost, salt, hash } = parsed ?? NOBODY
  const given = await derive(password.slice(0, MAX_PASSWORD), salt, hash.length, cost)
  return timingSafeEqual(given, hash) && parsed !== undefined
}
