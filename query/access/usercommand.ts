/** `jobsight user …`: the file of users from the command line. */

import { createInterface } from 'node:readline/promises'
import type { Readable } from 'node:stream'
import { Writable } from 'node:stream'
import { hashPassword, MAX_PASSWORD } from './password.ts'
import { addUserToken, changeUser, type User, UsersError } from './users.ts'
import { ROLES, type Role } from './who.ts'

export const USER_USAGE = `jobsight user add NAME [--role ${Object.keys(ROLES).join('|')}]… [--account NAME]…   asks for a password (or reads it from stdin)
jobsight user password NAME     another password; signs NAME out everywhere
jobsight user token NAME        prints an API token for scripts: Authorization: Bearer …
jobsight user remove NAME`

export interface UserFlags {
  roles: readonly string[]
  accounts: readonly string[]
}

/** Returns what to tell the person. Throws UsersError. */
export async function runUserCommand(
  [action, name]: readonly string[],
  file: string,
  { roles, accounts }: UserFlags,
  readPassword: () => Promise<string>,
): Promise<string> {
  if (name === undefined || name === '') throw new UsersError(`expected:\n${USER_USAGE}`)
  if (action === 'add') {
    const known = roles.length === 0 ? undefined : roles.map(parseRole)
    const password = await hashPassword(checked(await readPassword()))
    const made = (user: User): User => ({
      ...user,
      roles: known ?? (user.roles.length > 0 ? user.roles : ['user']),
      ...(accounts.length > 0 ? { accounts: [...accounts] } : {}),
      password,
    })
    changeUser(file, name, made)
    return `${name} can sign in now (${(known ?? ['user']).join(', ')}); kept in ${file}`
  }
  if (action === 'password') {
    requireThere(file, name)
    const password = await hashPassword(checked(await readPassword()))
    changeUser(file, name, user => ({ ...user, password }))
    return `${name} has another password; who was signed in with the old one is signed out`
  }
  if (action === 'token') {
    requireThere(file, name)
    return addUserToken(file, name)
  }
  if (action === 'remove') {
    requireThere(file, name)
    changeUser(file, name, () => undefined)
    return `${name} is removed from ${file}`
  }
  throw new UsersError(`user ${action} is no command; expected:\n${USER_USAGE}`)
}

function requireThere(file: string, name: string): void {
  changeUser(file, name, user => {
    if (user.roles.length === 0 && user.password === undefined && user.tokens === undefined)
      throw new UsersError(`${name} is not in ${file}: run \`jobsight user add ${name} --role user\``)
    return user
  })
}

function parseRole(text: string): Role {
  if (Object.hasOwn(ROLES, text)) return text as Role
  const known = Object.entries(ROLES).map(([role, meaning]) => `${role} (${meaning})`)
  throw new UsersError(`--role ${text} is none of ${known.join(', ')}`)
}

const MIN_PASSWORD = 10

/** Length is what counts: https://pages.nist.gov/800-63-3/sp800-63b.html#memsecret */
function checked(password: string): string {
  if (password.length < MIN_PASSWORD) throw new UsersError(`a password has at least ${MIN_PASSWORD} characters`)
  if (password.length > MAX_PASSWORD) throw new UsersError(`a password has at most ${MAX_PASSWORD} characters`)
  return password
}

/** The first line; where a person types, twice and unseen. */
export async function readPassword(
  input: Readable & { isTTY?: boolean },
  output: NodeJS.WritableStream,
): Promise<string> {
  if (!input.isTTY) {
    const lines = createInterface({ input })
    for await (const line of lines) return line
    return ''
  }
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() })
  const typed = createInterface({ input, output: unseen, terminal: true })
  try {
    output.write('password: ')
    const password = await typed.question('')
    output.write('\nagain: ')
    if ((await typed.question('')) !== password) throw new UsersError('the two are not the same: nothing was changed')
    return password
  } finally {
    output.write('\n')
    typed.close()
  }
}
