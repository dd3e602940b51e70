/** Each way to be recognised, with what is shown good, bad, old and forged. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fastify from 'fastify'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addToken, openSenders } from '../../../ingest/senders.ts'
import { openDoorkeeper } from '../../../query/access/open.ts'
import { hashPassword } from '../../../query/access/password.ts'
import { SESSION_COOKIE, SignIn } from '../../../query/access/signin.ts'
import { readPassword, runUserCommand } from '../../../query/access/usercommand.ts'
import { openUsers, parseUsers } from '../../../query/access/users.ts'
import type { SessionAnswer } from '../../../query/api.ts'
import { openPlace, type Place, quiet } from '../place.ts'

const dir = mkdtempSync(join(tmpdir(), 'jobsight-access-'))
afterAll(() => rmSync(dir, { recursive: true }))
const usersFile = join(dir, 'users.yaml')
const tokensFile = join(dir, 'tokens.yaml')
const secretFile = join(dir, 'jwt.secret')
const secret = 'a shared key that has more than thirty-two bytes'
const PASSWORD = 'correct horse battery'
const ISSUER = 'https://issuer.example'

const type = (password: string) => () => Promise.resolve(password)
const user = (args: string[], roles: string[] = [], accounts: string[] = [], password = PASSWORD) =>
  runUserCommand(args, usersFile, { roles, accounts }, type(password))

let place: Place
let clock = Date.now()
let apiToken: string
let senderToken: string

beforeAll(async () => {
  await user(['add', 'ann'], ['admin'])
  await user(['add', 'bob'])
  await user(['add', 'paula'], ['manager'], ['physics'])
  apiToken = await user(['token', 'bob'])
  writeFileSync(secretFile, secret)
  senderToken = addToken(tokensFile, 'alpha')
  const senders = openSenders({ tokensFile, certificates: false, defaultCluster: 'alpha' }, quiet)
  const config = {
    open: false,
    others: 'user',
    sessionHours: 1,
    proxy: { header: 'X-Remote-User', groupsHeader: 'x-groups', trusted: ['127.0.0.1', '10.0.0.0/24'] },
    jwt: { issuer: ISSUER, audience: 'jobsight', secretFile, groupsClaim: 'groups' },
  } as const
  const access = new SignIn(
    { ...config, proxy: { ...config.proxy, trusted: [...config.proxy.trusted] } },
    { usersFile, keyFile: join(dir, 'session.key'), senders, log: quiet, now: () => clock },
  )
  place = await openPlace({ access })
}, 60_000)

interface Shown {
  headers?: Record<string, string>
  cookie?: string
  from?: string
}

async function whoIs({ headers = {}, cookie, from = '192.0.2.1' }: Shown): Promise<SessionAnswer & { status: number }> {
  const all = { ...headers, ...(cookie === undefined ? {} : { cookie: `${SESSION_COOKIE}=${cookie}` }) }
  const options = { headers: all, remoteAddress: from }
  // A route that needs somebody, and the one that says who it is.
  const { statusCode } = await place.app.inject({ url: '/api/v1/clusters', ...options })
  const answer = await place.app.inject({ url: '/api/v1/session', ...options })
  return { ...answer.json<SessionAnswer>(), status: statusCode }
}

const SAME_SITE = { host: 'jobsight.example', origin: 'http://jobsight.example' }

const signIn = (name: string, password: string, headers: Record<string, string> = SAME_SITE, from = '192.0.2.7') =>
  place.app.inject({
    method: 'POST',
    url: '/api/v1/session',
    payload: { user: name, password },
    headers,
    remoteAddress: from,
  })

const cookieOf = (answer: Awaited<ReturnType<typeof signIn>>): string =>
  answer.cookies.find(({ name }) => name === SESSION_COOKIE)?.value ?? ''

describe('a password', () => {
  it('begins a session that a cookie carries, until it is ended or over', async () => {
    const answer = await signIn('ann', PASSWORD)
    expect(answer.json()).toMatchObject({ user: 'ann', roles: ['admin'], via: 'password' })
    expect(answer.cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' })
    const cookie = cookieOf(answer)
    expect(await whoIs({ cookie })).toMatchObject({ user: 'ann', status: 200 })
    const out = await place.app.inject({
      method: 'DELETE',
      url: '/api/v1/session',
      headers: { ...SAME_SITE, cookie: `${SESSION_COOKIE}=${cookie}` },
    })
    expect(out.json()).toMatchObject({ user: null })
    expect(await whoIs({ cookie }), 'a copy of the cookie is ended too').toMatchObject({ user: null, status: 401 })
    const later = cookieOf(await signIn('ann', PASSWORD))
    clock += 3_601_000
    expect(await whoIs({ cookie: later })).toMatchObject({ user: null, status: 401 })
  })

  it('that is wrong, of nobody, or tried too often says the same of all names', async () => {
    const wrong = await signIn('paula', 'not the password')
    const nobody = await signIn('mallory', 'not the password')
    expect([wrong.statusCode, wrong.json()]).toEqual([
      401,
      { error: { code: 'not_signed_in', message: 'user or password is wrong' } },
    ])
    expect(nobody.json()).toEqual(wrong.json())
    expect(cookieOf(wrong)).toBe('')
    for (const name of ['paula', 'mallory']) {
      for (let i = 0; i < 4; i++) expect((await signIn(name, `wrong ${i}`)).statusCode).toBe(401)
      const refused = await signIn(name, PASSWORD)
      expect([refused.statusCode, refused.json().error.code]).toEqual([429, 'too_many_tries'])
    }
    // Others, elsewhere, are not kept out by it.
    expect((await signIn('paula', PASSWORD, SAME_SITE, '192.0.2.8')).statusCode).toBe(200)
  }, 60_000)

  it('that was changed, or whose user is gone, ends the sessions of before', async () => {
    await user(['add', 'eve'])
    await seen()
    const cookie = cookieOf(await signIn('eve', PASSWORD))
    expect(await whoIs({ cookie })).toMatchObject({ user: 'eve', roles: ['user'] })
    await user(['password', 'eve'], [], [], 'another long password')
    await seen()
    expect(await whoIs({ cookie })).toMatchObject({ user: null, status: 401 })
    const again = cookieOf(await signIn('eve', 'another long password'))
    await user(['remove', 'eve'])
    await seen()
    expect(await whoIs({ cookie: again })).toMatchObject({ user: null, status: 401 })
  }, 60_000)

  it('for another site’s page counts for nothing, nor does what its cookie would change', async () => {
    const cookie = cookieOf(await signIn('ann', PASSWORD))
    const to = { method: 'DELETE', url: '/api/v1/session' } as const
    const shown = { host: 'jobsight.example', cookie: `${SESSION_COOKIE}=${cookie}` }
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      {},
    ]) {
      const refused = await place.app.inject({ ...to, headers: { ...shown, ...headers } })
      expect([refused.statusCode, refused.json().error.code], JSON.stringify(headers)).toEqual([403, 'other_site'])
    }
    expect(
      (await signIn('ann', PASSWORD, { host: 'jobsight.example', origin: 'http://evil.example' })).statusCode,
    ).toBe(403)
    expect((await place.app.inject({ ...to, headers: { ...shown, 'sec-fetch-site': 'same-origin' } })).statusCode).toBe(
      200,
    )
  })
})

/** The file is looked at once a second. */
const seen = () => new Promise(resolve => setTimeout(resolve, 1100))

describe('a cookie', () => {
  it('that is forged, signed by another key or for another use is nobody’s', async () => {
    const sign = (audience: string, key: string) =>
      new SignJWT({ via: 'oidc', groups: [], password: '' })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('ann')
        .setAudience(audience)
        .setJti('x')
        .setExpirationTime('1h')
        .sign(Buffer.from(key))
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"ann","aud":"jobsight session","jti":"x","exp":9999999999}').toString('base64url')}.`
    for (const cookie of [
      await sign('jobsight session', 'k'.repeat(32)),
      await sign('jobsight session', secret),
      unsigned,
      'x',
      '',
    ])
      expect(await whoIs({ cookie }), cookie).toMatchObject({ user: null, status: 401 })
  })
})

describe('a header of the proxy', () => {
  it('counts from the proxy’s addresses alone', async () => {
    const headers = { 'x-remote-user': 'paula', 'x-groups': 'staff, physics' }
    expect(await whoIs({ headers, from: '127.0.0.1' })).toMatchObject({
      user: 'paula',
      roles: ['manager'],
      accounts: ['physics'],
      via: 'proxy',
    })
    expect(await whoIs({ headers, from: '::ffff:10.0.0.9' })).toMatchObject({ user: 'paula' })
    expect(await whoIs({ headers: { 'x-remote-user': 'zoe' }, from: '10.0.0.9' })).toMatchObject({
      user: 'zoe',
      roles: ['user'],
    })
    for (const from of ['192.0.2.1', '10.0.1.9', '::1'])
      expect(await whoIs({ headers: { ...headers, 'x-forwarded-for': '127.0.0.1' }, from }), from).toMatchObject({
        user: null,
        status: 401,
      })
  })
})

describe('a token', () => {
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
  interface Claims {
    sub?: string
    iss?: string
    aud?: string
    exp?: number
    groups?: string[]
  }
  const jwt = (
    { sub = 'carol', iss = ISSUER, aud = 'jobsight', exp = Date.now() / 1000 + 600, ...more }: Claims = {},
    key = secret,
  ) =>
    new SignJWT({ ...more, sub, iss, aud, exp: Math.floor(exp) })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(key))

  it('of a script is its user', async () => {
    expect(await whoIs(bearer(apiToken))).toMatchObject({ user: 'bob', roles: ['user'], via: 'token', status: 200 })
    expect(await whoIs(bearer(`${apiToken}x`))).toMatchObject({ user: null, status: 401 })
  })

  it('of the issuer is who it names, while it lasts', async () => {
    expect(await whoIs(bearer(await jwt()))).toMatchObject({ user: 'carol', roles: ['user'], via: 'jwt', status: 200 })
    expect(await whoIs(bearer(await jwt({ sub: 'ann' })))).toMatchObject({ roles: ['admin'] })
  })

  it('that is expired, forged, for another audience, or of another issuer is refused, and why', async () => {
    const { privateKey } = await generateKeyPair('RS256')
    const bad: [string, string][] = [
      [await jwt({ exp: Date.now() / 1000 - 60 }), '"exp" claim timestamp check failed'],
      [await jwt({ aud: 'another' }), 'unexpected "aud" claim value'],
      [await jwt({ iss: 'https://evil.example' }), 'unexpected "iss" claim value'],
      [await jwt({}, 'another key that has more than thirty-two bytes'), 'signature verification failed'],
      [`${(await jwt()).split('.').slice(0, 2).join('.')}.`, 'signature verification failed'],
      [
        await new SignJWT({ sub: 'ann', iss: ISSUER, aud: 'jobsight', exp: 9_999_999_999 })
          .setProtectedHeader({ alg: 'RS256' })
          .sign(privateKey),
        'Algorithm',
      ],
      [await jwt({ sub: '' }), 'names no user'],
      ['nonsense', 'Invalid Compact JWS'],
    ]
    for (const [token, why] of bad) {
      const answer = await place.app.inject({ url: '/api/v1/clusters', headers: { authorization: `Bearer ${token}` } })
      expect([answer.statusCode, answer.json().error.code], why).toEqual([401, 'not_signed_in'])
      expect(answer.json().error.message).toContain(why)
    }
    // A token that is no good is not passed over for a cookie that is.
    const cookie = `${SESSION_COOKIE}=${cookieOf(await signIn('ann', PASSWORD))}`
    const both = { authorization: 'Bearer nonsense', cookie }
    expect((await place.app.inject({ url: '/api/v1/clusters', headers: both })).statusCode).toBe(401)
  }, 60_000)

  it('of a collector reads the record of a job that it tells of, and nothing else', async () => {
    const get = async (url: string) => (await place.app.inject({ url, ...bearer(senderToken) })).statusCode
    expect(await get('/api/v1/jobs/1')).toBe(404)
    for (const url of ['/api/v1/jobs', '/api/v1/clusters', '/api/v1/flame', '/api/v1/jobs/1/flame'])
      expect(await get(url), url).toBe(403)
  })

  it('of an issuer with public keys is checked by them, wherever they are now', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const keys = fastify()
    keys.get('/jwks', async () => ({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }] }))
    const jwksUrl = `${await keys.listen({ port: 0, host: '127.0.0.1' })}/jwks`
    const { openJwt } = await import('../../../query/access/claims.ts')
    const check = openJwt({ issuer: ISSUER, audience: 'jobsight', jwksUrl, userClaim: 'email', groupsClaim: 'groups' })
    const sign = (alg: string, key: CryptoKey | Uint8Array) =>
      new SignJWT({
        email: 'zoe',
        groups: ['a', 1],
        iss: ISSUER,
        aud: 'jobsight',
        exp: Math.floor(Date.now() / 1000) + 60,
      })
        .setProtectedHeader({ alg, kid: 'k1' })
        .sign(key)
    expect(await check(await sign('ES256', privateKey))).toMatchObject({ user: 'zoe', groups: ['a'], via: 'jwt' })
    // The public key as a shared secret: the oldest trick.
    const asSecret = Buffer.from(JSON.stringify(await exportJWK(publicKey)))
    await expect(check(await sign('HS256', asSecret))).rejects.toMatchObject({ status: 401 })
    await keys.close()
  })
})

describe('the file of users', () => {
  it('is refused in words where it is wrong; while it is, what it said before stays', async () => {
    expect(() => parseUsers('users: {ann: {roles: [root]}}')).toThrow('users: users.ann.roles.0')
    expect(() => parseUsers('users: {ann: {roles: [user], password: secret}}')).toThrow(
      'the password of ann is not a hash',
    )
    expect(() => parseUsers('user: {}')).toThrow('users: ')
    const path = join(dir, 'broken.yaml')
    writeFileSync(path, 'users: {ann: {roles: [admin]}}')
    const users = openUsers(path, quiet)
    expect(users.find('ann')).toBeDefined()
    writeFileSync(path, 'users: [broken, very much so]')
    await seen()
    expect(users.find('ann')).toBeDefined()
    expect(users.find('constructor')).toBeUndefined()
  })

  it('gives roles to groups, and none to others where it is said so', async () => {
    const path = join(dir, 'groups.yaml')
    writeFileSync(path, `groups: {admins: {roles: [admin]}, pi: {roles: [manager], accounts: [chem]}}`)
    const users = openUsers(path, quiet)
    const roles = (groups: string[], others: 'user' | 'none' = 'user') =>
      users.whoIs({ user: 'x', groups, via: 'oidc' }, others)
    expect(roles(['admins', 'pi'])).toMatchObject({ roles: ['admin', 'manager'], accounts: ['chem'] })
    expect(roles([])).toMatchObject({ roles: ['user'] })
    expect(roles([], 'none')).toMatchObject({ roles: [] })
  })

  it('is changed from the command line, and says what is wrong with that', async () => {
    await expect(user(['add', 'zoe'], ['root'])).rejects.toThrow(
      '--role root is none of admin (sees and changes everything)',
    )
    await expect(user(['add', 'zoe'], [], [], 'short')).rejects.toThrow('at least 10 characters')
    await expect(user(['token', 'zoe'])).rejects.toThrow('zoe is not in')
    await expect(user(['add'])).rejects.toThrow('jobsight user add NAME')
    expect(await readPassword(Readable.from(['from a pipe\nsecond line\n']), process.stderr)).toBe('from a pipe')
    expect(await hashPassword('x')).toMatch(/^scrypt\$65536\$8\$2\$/)
  })
})

describe('a server', () => {
  const open = (host: string, more: { users?: string; open?: boolean } = {}) =>
    openDoorkeeper(
      {
        access: { open: more.open ?? false, others: 'user', sessionHours: 1 },
        host,
        usersFile: more.users ?? join(dir, 'none.yaml'),
        keyFile: join(dir, 'session.key'),
        tokensFile: join(dir, 'no-tokens.yaml'),
        certificates: false,
        defaultCluster: 'alpha',
      },
      quiet,
    )

  it('listens for its own machine without sign-in, for others only with it, or where it is said loudly', () => {
    for (const host of ['127.0.0.1', 'localhost', '::1', '127.8.0.1'])
      expect(open(host)).toMatchObject({ onlyHere: true, notices: [] })
    for (const host of ['0.0.0.0', '::', '10.1.2.3', 'server.example', 'localhost.example', '127.example'])
      expect(() => open(host), host).toThrow(`at ${host} everyone on the network would see every job`)
    expect(open('0.0.0.0', { open: true })).toMatchObject({
      onlyHere: false,
      notices: [expect.stringContaining('OPEN')],
    })
    const closed = open('0.0.0.0', { users: usersFile })
    expect(closed.notices).toEqual([expect.stringContaining('jobsight token')])
    expect(() => closed.senders.admit(undefined)).toThrow('no token came with it: run `jobsight token CLUSTER`')
  })
})
