/**
 * Who a uid is: /etc/passwd, read again when it changed; for users of a directory service (LDAP, SSSD) `getent passwd UID`,
 * asked once a uid, beside the tick and one at a time. Until it has answered, and where nobody knows, the user is the number.
 */
import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'

const LOOK_AGAIN_MS = 60_000
const ASK_AGAIN_MS = 3_600_000

export interface Users {
  nameOf(uid: number): string
}

/** name:x:uid:gid:… by uid; the first of several names of one uid wins, as getpwuid(3) has it. */
export function parsePasswd(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name, , uid] = line.split(':')
    if (name && uid && /^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name)
  }
  return names
}

export function openUsers(file = '/etc/passwd', ask = askGetent, now: () => number = Date.now): Users {
  let local: ReadonlyMap<number, string> = new Map()
  let modifiedMs = -1
  let lookedMs = Number.NEGATIVE_INFINITY
  const asked = new Map<number, { name: string | undefined; askedMs: number }>()
  let last: Promise<void> = Promise.resolve()

  const look = () => {
    if (now() - lookedMs < LOOK_AGAIN_MS) return
    lookedMs = now()
    try {
      const { mtimeMs } = statSync(file)
      if (mtimeMs !== modifiedMs) local = parsePasswd(readFileSync(file, 'utf8'))
      modifiedMs = mtimeMs
    } catch {
      local = new Map()
    }
  }
  return {
    nameOf(uid) {
      look()
      const here = local.get(uid)
      if (here !== undefined) return here
      const known = asked.get(uid)
      if (known === undefined || now() - known.askedMs > ASK_AGAIN_MS) {
        const answer = { name: known?.name, askedMs: now() }
        asked.set(uid, answer)
        last = last.then(async () => {
          answer.name = (await ask(uid)) ?? answer.name
        })
      }
      return known?.name ?? String(uid)
    },
  }
}

/** undefined: nobody knows it, or there is no getent (then it is asked for again in an hour, at no great cost). */
function askGetent(uid: number): Promise<string | undefined> {
  return new Promise(resolve => {
    execFile('getent', ['passwd', String(uid)], { timeout: 10_000 }, (error, stdout) => {
      resolve(error ? undefined : parsePasswd(stdout).get(uid))
    })
  })
}
