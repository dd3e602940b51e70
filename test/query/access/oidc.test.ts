/** Sign-in at a real OpenID provider (panva's oidc-provider, certified), in this process. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ANY_SENDER } from '../../../ingest/senders.ts'
import { CALLBACK } from '../../../query/access/oidc.ts'
import { SignIn } from '../../../query/access/signin.ts'
import type { SessionAnswer } from '../../../query/api.ts'
import { openPlace, quiet } from '../place.ts'

const dir = mkdtempSync(join(tmpdir(), 'jobsight-oidc-'))
const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing) await close()
  rmSync(dir, { recursive: true })
})

let page: string
let issuer: string

async function freePort(): Promise<number> {
  const server = createSocketServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

beforeAll(async () => {
  const [port, providerPort] = [await freePort(), await freePort()]
  page = `http://127.0.0.1:${port}`
  issuer = `http://127.0.0.1:${providerPort}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'jobsight',
        client_secret: 'the secret of the client',
        token_endpoint_auth_method: 'client_secret_post',
        redirect_uris: [`${page}/${CALLBACK}`],
      },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: `${sub}.hpc`, groups: ['hpc-admins'] }),
    }),
    cookies: { keys: ['of a test'] },
    pkce: { required: () => true },
  })
  const server = createServer(provider.callback()).listen(providerPort, '127.0.0.1')
  closing.push(() => new Promise(resolve => server.close(resolve)))
  closing.push(async () => server.closeAllConnections())
  closing.reverse()
  const files = { users: join(dir, 'users.yaml'), secret: join(dir, 'secret') }
  writeFileSync(files.users, 'groups: {hpc-admins: {roles: [support]}}')
  writeFileSync(files.secret, 'the secret of the client\n')
  const oidc = {
    issuer,
    clientId: 'jobsight',
    clientSecretFile: files.secret,
    scope: 'openid profile',
    groupsClaim: 'groups',
  }
  const access = new SignIn(
    { open: false, others: 'user', sessionHours: 1, publicUrl: page, oidc },
    { usersFile: files.users, keyFile: join(dir, 'key'), senders: ANY_SENDER, log: quiet },
  )
  const place = await openPlace({ access })
  await place.app.listen({ port, host: '127.0.0.1' })
}, 60_000)

/** A browser as far as this needs one: it keeps cookies by host and path, and follows. */
class Browser {
  readonly #cookies = new Map<string, string>()

  async go(url: string, init: RequestInit = {}): Promise<Response> {
    const host = new URL(url).host
    const cookie = [...this.#cookies]
      .filter(([key]) => key.startsWith(`${host} `))
      .map(([key, value]) => `${key.split(' ')[1]}=${value}`)
    const response = await fetch(url, {
      ...init,
      headers: { ...init.headers, cookie: cookie.join('; ') },
      redirect: 'manual',
    })
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      this.#cookies.set(`${host} ${name}`, value)
    }
    const next = response.headers.get('location')
    if (next === null || response.status < 300 || response.status >= 400) return response
    const to = new URL(next, url)
    return to.origin === page && !to.pathname.startsWith('/api/') ? response : this.go(to.href)
  }

  /** Fills in the provider's forms: who one is, and that the page may know it. */
  async signIn(name: string, from: string): Promise<Response> {
    let response = await this.go(from)
    while (response.headers.get('content-type')?.includes('text/html')) {
      const html = await response.text()
      const action = /action="([^"]+)"/.exec(html)?.[1] ?? ''
      const prompt = /name="prompt" value="([^"]+)"/.exec(html)?.[1] ?? ''
      const body = new URLSearchParams({ prompt, login: name, password: 'any' })
      response = await this.go(new URL(action, issuer).href, { method: 'POST', body })
    }
    return response
  }

  async session(): Promise<SessionAnswer> {
    return (await this.go(`${page}/api/v1/session`)).json()
  }
}

describe('sign-in at an OpenID provider', () => {
  it('ends where it began, as who the provider says, with the roles of the groups it says', async () => {
    const browser = new Browser()
    expect(await browser.session()).toMatchObject({ user: null, ways: { password: false, oidc: true } })
    const end = await browser.signIn(
      'ann',
      `${page}/api/v1/session/oidc?place=${encodeURIComponent('#/alpha/jobs?q=1')}`,
    )
    expect([end.status, end.headers.get('location')]).toEqual([302, `${page}/#/alpha/jobs?q=1`])
    expect(await browser.session()).toMatchObject({ user: 'ann.hpc', roles: ['support'], via: 'oidc' })
    expect((await browser.go(`${page}/api/v1/clusters`)).status).toBe(200)
  }, 60_000)

  it('is not taken from a browser that did not begin it, with another state, or twice', async () => {
    const browser = new Browser()
    // Everything up to the code, which a thief takes.
    let stolen = ''
    const go = browser.go.bind(browser)
    browser.go = async (url, init) => {
      if (!url.startsWith(`${page}/${CALLBACK}`)) return go(url, init)
      stolen = url
      return new Response(null, { status: 204 })
    }
    await browser.signIn('bob', `${page}/api/v1/session/oidc`)
    expect(stolen).toContain('code=')
    const thief = await new Browser().go(stolen)
    expect([thief.status, (await thief.json()).error.code]).toEqual([401, 'not_signed_in'])
    const otherState = await go(stolen.replace(/state=[^&]+/, 'state=x'))
    expect(otherState.status).toBe(401)
    expect((await go(stolen)).status).toBe(302)
    expect((await go(stolen)).status).toBe(401)
  }, 60_000)

  it('comes back to a place of the page only', async () => {
    for (const place of ['https://evil.example', '//evil.example', '/x', '#evil'])
      expect(
        (await fetch(`${page}/api/v1/session/oidc?place=${encodeURIComponent(place)}`, { redirect: 'manual' })).status,
        place,
      ).toBe(400)
  })
})
