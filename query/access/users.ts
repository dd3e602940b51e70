/**
 * The file of users: who may do what, however they are recognised, and the passwords of those who sign in here.
 *
 *   users:
 *     ann:   {roles: [admin], password: scrypt$…}      signs in with a password
 *     bob:   {roles: [manager], accounts: [physics]}   comes through OIDC, a proxy or a JWT
 *     robot: {roles: [support], tokens: ['sha256:…']}  a script, with an API token
 *   groups:
 *     hpc-admins: {roles: [admin]}                     for everyone whom OIDC, proxy or JWT says to be in it
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { parse as parseYaml, stringify } from 'yaml'
import { writePrivately } from '../../ingest/senders.ts'
import { openWatchedFile } from '../../ingest/watchedfile.ts'
import { parseHash } from './password.ts'
import { ROLES, type Role, type Via, type Who } from './who.ts'

const closed = { additionalProperties: false } as const
const Grant = {
  roles: Type.Array(Type.Enum(['admin', 'support', 'manager', 'user'] satisfies Role[])),
  accounts: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'that a manager answers for' })),
}
const User = Type.Object(
  {
    ...Grant,
    password: Type.Optional(Type.String()),
    tokens: Type.Optional(Type.Array(Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }))),
  },
  closed,
)
export type User = Static<typeof User>
const UsersFile = Type.Object(
  {
    users: Type.Optional(Type.Record(Type.String(), User)),
    groups: Type.Optional(Type.Record(Type.String(), Type.Object(Grant, closed))),
  },
  closed,
)
type UsersFile = Static<typeof UsersFile>
const isUsersFile = Compile(UsersFile)

export class UsersError extends Error {
  readonly code = 'USERS'
}

/** Throws UsersError that names what is wrong. */
export function parseUsers(text: string): UsersFile {
  const file: unknown = parseYaml(text) ?? {}
  if (!isUsersFile.Check(file)) {
    const [first] = isUsersFile.Errors(file)
    const where = first?.instancePath.split('/').slice(1).join('.') || 'the file'
    throw new UsersError(`users: ${where} ${first?.message}; roles are ${Object.keys(ROLES).join(', ')}`)
  }
  for (const [name, { password }] of Object.entries(file.users ?? {})) {
    if (password !== undefined && parseHash(password) === undefined)
      throw new UsersError(`users: the password of ${name} is not a hash: run \`jobsight user password ${name}\``)
  }
  return file
}

/** Somebody as a proxy, an issuer of tokens or a session says. */
export interface Claimed {
  user: string
  groups: readonly string[]
  via: Via
}

export interface Users {
  find(name: string): User | undefined
  /** Whose API token it is. */
  findToken(token: string): { name: string; user: User } | undefined
  /** Roles and accounts of the user and of the groups; without any, those of everyone who is recognised. */
  whoIs(claimed: Claimed, others: 'user' | 'none', untilMs?: number): Who
  /** Somebody can sign in by it. */
  readonly any: boolean
}

export const hashOfToken = (token: string): string => `sha256:${createHash('sha256').update(token).digest('hex')}`

const own = <T>(record: Record<string, T> | undefined, name: string): T | undefined =>
  record && Object.hasOwn(record, name) ? record[name] : undefined

export function openUsers(path: string, log: Logger): Users {
  const file = openWatchedFile<UsersFile>(path, {}, parseUsers, log)
  const find = (name: string) => own(file.get().users, name)
  return {
    find,
    findToken(token) {
      const hash = hashOfToken(token)
      const found = Object.entries(file.get().users ?? {}).find(([, user]) => user.tokens?.includes(hash))
      return found && { name: found[0], user: found[1] }
    },
    whoIs({ user, groups, via }, others, untilMs) {
      const grants = [find(user), ...groups.map(group => own(file.get().groups, group))].filter(
        grant => grant !== undefined,
      )
      const roles = grants.flatMap(grant => grant.roles)
      const everyones: readonly Role[] = grants.length === 0 && others === 'user' ? ['user'] : []
      return {
        user,
        roles: [...new Set([...roles, ...everyones])],
        accounts: [...new Set(grants.flatMap(grant => grant.accounts ?? []))],
        via,
        ...(untilMs === undefined ? {} : { untilMs }),
      }
    },
    get any() {
      return Object.values(file.get().users ?? {}).some(
        user => user.password !== undefined || (user.tokens?.length ?? 0) > 0,
      )
    },
  }
}

/** Changes the file; a user who was not there begins with no role. */
export function changeUser(path: string, name: string, change: (user: User) => User | undefined): void {
  const file = existsSync(path) ? parseUsers(readFileSync(path, 'utf8')) : {}
  const users = new Map(Object.entries(file.users ?? {}))
  const changed = change(users.get(name) ?? { roles: [] })
  if (changed) users.set(name, changed)
  else users.delete(name)
  const text = stringify({ ...file, users: Object.fromEntries(users) })
  parseUsers(text)
  writePrivately(path, text)
}

/** An API token for a script; it is not to be had again. */
export function addUserToken(path: string, name: string): string {
  const token = `jsu_${randomBytes(32).toString('base64url')}`
  changeUser(path, name, user => ({ ...user, tokens: [...(user.tokens ?? []), hashOfToken(token)] }))
  return token
}
