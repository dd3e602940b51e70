/** The way in and out: who is signed in, by password, at the provider, and out again. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ErrorAnswer, SessionAnswer } from '../api.ts'
import type { Access } from './gate.ts'
import { MAX_PASSWORD } from './password.ts'
import { SESSION_COOKIE, SignIn } from './signin.ts'

const refusals = { '4xx': ErrorAnswer, '5xx': ErrorAnswer }
const config = { access: 'anyone' } as const
const closed = { additionalProperties: false } as const
const Credentials = Type.Object(
  { user: Type.String({ minLength: 1, maxLength: 255 }), password: Type.String({ maxLength: MAX_PASSWORD }) },
  closed,
)
const Place = Type.Object(
  {
    place: Type.Optional(Type.String({ pattern: '^#/', maxLength: 8000, description: 'of the page, to come back to' })),
  },
  closed,
)
const OIDC_COOKIE = 'jobsight_oidc'

export function addSessionRoutes(api: FastifyInstance, access: Access): void {
  const route = api.withTypeProvider<TypeBoxTypeProvider>()
  const answer = { response: { 200: SessionAnswer, ...refusals } }
  route.get('/session', { config, schema: { summary: 'Who is signed in, and how one signs in', ...answer } }, r =>
    sessionOf(r, access),
  )
  if (!(access instanceof SignIn)) return
  const schema = { summary: 'Sign in with user and password; a cookie is set', body: Credentials, ...answer }
  route.post('/session', { config, schema }, async (request, reply) => {
    const begun = await access.withPassword(request.body.user, request.body.password, request.ip)
    setSession(reply, begun, isSecure(request, access))
    return reply.send(await answerFor(request, begun.cookie, access))
  })
  route.delete('/session', { config, schema: { summary: 'Sign out', ...answer } }, async (request, reply) => {
    const session = await access.session(request)
    if (session) access.end(session)
    request.who = undefined
    return reply.clearCookie(SESSION_COOKIE, { path: '/' }).send(sessionOf(request, access))
  })
  if (access.oidc !== undefined) addOidcRoutes(api, access, access.oidc)
}

function addOidcRoutes(api: FastifyInstance, access: SignIn, oidc: NonNullable<SignIn['oidc']>): void {
  const route = api.withTypeProvider<TypeBoxTypeProvider>()
  const hide = true
  route.get('/session/oidc', { config, schema: { hide, querystring: Place } }, async (request, reply) => {
    const { url, cookie } = await oidc.begin(request.query.place ?? '#/')
    const options = {
      path: '/',
      httpOnly: true,
      sameSite: 'lax',
      secure: isSecure(request, access),
      maxAge: 600,
    } as const
    return reply.setCookie(OIDC_COOKIE, cookie, options).redirect(url)
  })
  route.get('/session/oidc/callback', { config, schema: { hide } }, async (request, reply) => {
    const search = new URL(request.url, 'http://page').search
    const { place, ...claimed } = await oidc.finish(search, request.cookies[OIDC_COOKIE] ?? '')
    setSession(reply, await access.begin(claimed), isSecure(request, access))
    return reply
      .clearCookie(OIDC_COOKIE, { path: '/' })
      .redirect(`${access.publicUrl?.replace(/\/$/, '') ?? ''}/${place}`)
  })
}

/** Where the page is reached by TLS the cookie goes by nothing else. */
const isSecure = (request: FastifyRequest, { publicUrl }: SignIn): boolean =>
  publicUrl === undefined ? request.protocol === 'https' : publicUrl.startsWith('https:')

function setSession(
  reply: FastifyReply,
  { cookie, untilMs }: { cookie: string; untilMs: number },
  secure: boolean,
): void {
  reply.setCookie(SESSION_COOKIE, cookie, {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure,
    expires: new Date(untilMs),
  })
}

/** As the next request with the new cookie will be answered. */
async function answerFor(request: FastifyRequest, cookie: string, access: SignIn): Promise<SessionAnswer> {
  request.cookies[SESSION_COOKIE] = cookie
  request.who = await access.identify(request)
  return sessionOf(request, access)
}

function sessionOf({ who }: FastifyRequest, { ways }: Access): SessionAnswer {
  return {
    user: who?.user ?? null,
    roles: [...(who?.roles ?? [])],
    accounts: [...(who?.accounts ?? [])],
    via: who?.via ?? null,
    until: who?.untilMs ?? null,
    ways,
  }
}
