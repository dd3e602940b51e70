/** A sign-in as a signed cookie: nothing is kept here but which ones were ended before their time. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { jwtVerify, SignJWT } from 'jose'
import { writePrivately } from '../../ingest/senders.ts'
import type { Claimed } from './users.ts'
import type { Via } from './who.ts'

export interface Session extends Claimed {
  /** Tells sessions apart. */
  id: string
  untilMs: number
  /** Of the password at that time: another password ends the sessions of the old one. */
  password: string
}

export interface Sessions {
  /** What goes into the cookie. */
  begin(claimed: Claimed, passwordHash?: string): Promise<{ cookie: string; untilMs: number }>
  /** undefined: forged, over, ended, or none of ours. */
  read(cookie: string): Promise<Session | undefined>
  end(session: Pick<Session, 'id' | 'untilMs'>): void
}

const AUDIENCE = 'jobsight session'
const KEY_BYTES = 32

/** The key that signs; made at the first start. Whoever can read it can be anyone. */
export function readKey(path: string): Uint8Array {
  try {
    const key = readFileSync(path)
    if (key.length === KEY_BYTES) return key
  } catch {
    // Not there yet.
  }
  const key = randomBytes(KEY_BYTES)
  writePrivately(path, key)
  return key
}

/** A sign of the password's hash that does not tell it. */
export const signOf = (passwordHash = ''): string =>
  passwordHash === '' ? '' : createHash('sha256').update(`sign ${passwordHash}`).digest('base64url').slice(0, 16)

export function openSessions(key: Uint8Array, lastMs: number, now: () => number): Sessions {
  const ended = new Map<string, number>()
  return {
    async begin({ user, groups, via }, passwordHash) {
      const untilMs = now() + lastMs
      const cookie = await new SignJWT({ via, groups: [...groups], password: signOf(passwordHash) })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(user)
        .setAudience(AUDIENCE)
        .setJti(randomBytes(12).toString('base64url'))
        .setExpirationTime(Math.floor(untilMs / 1000))
        .sign(key)
      return { cookie, untilMs }
    },
    async read(cookie) {
      const session = await verified(cookie, key, now())
      return session && !ended.has(session.id) ? session : undefined
    },
    end({ id, untilMs }) {
      for (const [old, until] of ended) if (until < now()) ended.delete(old)
      ended.set(id, untilMs)
    },
  }
}

async function verified(cookie: string, key: Uint8Array, nowMs: number): Promise<Session | undefined> {
  try {
    const { payload } = await jwtVerify(cookie, key, {
      audience: AUDIENCE,
      algorithms: ['HS256'],
      currentDate: new Date(nowMs),
      requiredClaims: ['sub', 'exp', 'jti'],
    })
    return parseSession(payload)
  } catch {
    return undefined
  }
}

/** The payload was signed by us. */
function parseSession({ sub = '', jti = '', exp = 0, via, groups, password }: Record<string, unknown>): Session {
  return {
    user: String(sub),
    groups: Array.isArray(groups) ? groups.map(String) : [],
    via: via as Via,
    id: String(jti),
    untilMs: Number(exp) * 1000,
    password: String(password ?? ''),
  }
}
