/** What stands before every route: who asks is found out, and whether the route's rule allows it. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isCrossSite, saysSite } from '../../ingest/crosssite.ts'
import { requireRules, rulesOf } from '../../ingest/rule.ts'
import { QueryError } from '../errors.ts'
import { allows, EVERYONE, type Who } from './who.ts'

export interface Access {
  /** undefined: not signed in. Throws QueryError 401 where what was shown is no good: it is never passed over for a second way. */
  identify(request: FastifyRequest): Promise<Who | undefined>
  /** What the sign-in page offers. */
  readonly ways: { password: boolean; oidc: boolean }
  /** Where readers find the page, if not at the address that the request names. */
  readonly publicUrl?: string | undefined
}

/** Without sign-in; for a server that only this machine reaches. */
export const openToAll: Access = { identify: async () => EVERYONE, ways: { password: false, oidc: false } }

export const notSignedIn = (message: string): QueryError => new QueryError(401, 'not_signed_in', message)

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * What changes something, and the live line, only for our own page: cookies, addresses and proxies vouch for a browser
 * whoever told it what to send. A token is sent by nobody but who has it.
 */
function refuseOtherSites({ method, headers }: FastifyRequest, { publicUrl }: Access): void {
  if (headers.authorization !== undefined || (SAFE.has(method) && headers.upgrade === undefined)) return
  const publicHost = publicUrl === undefined ? undefined : new URL(publicUrl).host
  if (isCrossSite(headers, publicHost) || (headers.cookie !== undefined && !saysSite(headers)))
    throw new QueryError(
      403,
      'other_site',
      'this came from the page of another site; set access.publicUrl where a proxy changes the Host',
    )
}

export function addGate(app: FastifyInstance, access: Access): void {
  requireRules(app)
  app.decorateRequest('who', undefined)
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const rules = rulesOf(request.routeOptions.config)
    refuseOtherSites(request, access)
    try {
      request.who = await access.identify(request)
    } catch (error) {
      if (!rules.includes('anyone')) throw error
    }
    if (rules.includes('anyone')) return
    if (request.who === undefined) {
      reply.header('www-authenticate', 'Bearer realm="jobsight"')
      throw notSignedIn('sign in first: open the page, or send a token as Authorization: Bearer …')
    }
    if (allows(rules, request.who)) return
    throw new QueryError(
      403,
      'forbidden',
      `${request.who.user} may not do this: it is for another role; ask an administrator`,
    )
  })
}
