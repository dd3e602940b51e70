/** All the ways to be recognised, as one. */
import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Senders } from '../../ingest/senders.ts'
import { openJwt, openProxy } from './claims.ts'
import type { AccessConfig } from './config.ts'
import { type Access, notSignedIn } from './gate.ts'
import { type Oidc, openOidc } from './oidc.ts'
import { checkPassword } from './password.ts'
import { openSessions, readKey, type Session, type Sessions, signOf } from './session.ts'
import { openTries, type Tries } from './tries.ts'
import { type Claimed, openUsers, type Users } from './users.ts'
import type { Who } from './who.ts'

export interface SignInDeps {
  usersFile: string
  keyFile: string
  senders: Senders
  log: Logger
  now?: () => number
}

/** Whether anybody could sign in at all. */
export const isSetUp = (config: AccessConfig, usersFile: string, log: Logger): boolean =>
  config.proxy !== undefined || config.jwt !== undefined || config.oidc !== undefined || openUsers(usersFile, log).any

/** Throws UsersError or AccessError where what is configured cannot work. */
export const openSignIn = (config: AccessConfig, deps: SignInDeps): SignIn => new SignIn(config, deps)

export const SESSION_COOKIE = 'jobsight_session'

export class SignIn implements Access {
  readonly publicUrl: string | undefined
  readonly oidc: Oidc | undefined
  readonly #config: AccessConfig
  readonly #users: Users
  readonly #sessions: Sessions
  readonly #tries: Tries = openTries()
  readonly #proxy: ReturnType<typeof openProxy> | undefined
  readonly #jwt: ReturnType<typeof openJwt> | undefined
  readonly #senders: Senders
  readonly #log: Logger

  constructor(config: AccessConfig, { usersFile, keyFile, senders, log, now = Date.now }: SignInDeps) {
    const key = readKey(keyFile)
    this.#config = config
    this.publicUrl = config.publicUrl
    this.#users = openUsers(usersFile, log)
    this.#sessions = openSessions(key, config.sessionHours * 3_600_000, now)
    this.#proxy = config.proxy && openProxy(config.proxy)
    this.#jwt = config.jwt && openJwt(config.jwt)
    this.oidc = config.oidc && openOidc(config.oidc, key, config.publicUrl)
    this.#senders = senders
    this.#log = log
  }

  get ways(): Access['ways'] {
    return { password: this.#users.any, oidc: this.oidc !== undefined }
  }

  async identify(request: FastifyRequest): Promise<Who | undefined> {
    const { authorization } = request.headers
    if (authorization !== undefined) return this.#byToken(authorization)
    const claimed = this.#proxy?.(request.raw.socket.remoteAddress, request.headers)
    if (claimed) return this.#users.whoIs(claimed, this.#config.others)
    const session = await this.session(request)
    return session && this.#whoOf(session)
  }

  async #byToken(authorization: string): Promise<Who> {
    const [, token] = /^bearer +(\S+)$/i.exec(authorization) ?? []
    if (token === undefined) throw notSignedIn('Authorization: expected Bearer and a token')
    const sender = this.#senders.find(token)
    if (sender) return { user: '', roles: [], accounts: [], via: 'collector', cluster: sender.cluster }
    const script = this.#users.findToken(token)
    if (script) return this.#users.whoIs({ user: script.name, groups: [], via: 'token' }, 'none')
    if (this.#jwt === undefined) throw notSignedIn('this token is not (or no longer) known here')
    const { untilMs, ...claimed } = await this.#jwt(token)
    return this.#users.whoIs(claimed, this.#config.others, untilMs)
  }

  /** The session that the browser shows, if it still holds. */
  async session(request: FastifyRequest): Promise<Session | undefined> {
    const cookie = request.cookies[SESSION_COOKIE]
    const session = cookie === undefined ? undefined : await this.#sessions.read(cookie)
    if (session?.via !== 'password') return session
    // Taken out of the file, or with another password now.
    const password = this.#users.find(session.user)?.password
    return password !== undefined && signOf(password) === session.password ? session : undefined
  }

  #whoOf(session: Session): Who {
    const others = session.via === 'password' ? 'none' : this.#config.others
    return this.#users.whoIs(session, others, session.untilMs)
  }

  /** Throws QueryError 401 or 429. The cookie of the session that begins. */
  async withPassword(user: string, password: string, address: string): Promise<{ cookie: string; untilMs: number }> {
    await this.#tries.take(user, address)
    const stored = this.#users.find(user)?.password
    if (!(await checkPassword(password, stored))) {
      this.#log.warn({ user, address }, 'access: a wrong password')
      throw notSignedIn('user or password is wrong')
    }
    await this.#tries.give(user, address)
    this.#log.info({ user, address }, 'access: signed in')
    return this.#sessions.begin({ user, groups: [], via: 'password' }, stored)
  }

  begin(claimed: Claimed): Promise<{ cookie: string; untilMs: number }> {
    this.#log.info({ user: claimed.user, via: claimed.via }, 'access: signed in')
    return this.#sessions.begin(claimed)
  }

  end(session: Session): void {
    this.#sessions.end(session)
  }
}
