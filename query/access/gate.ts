/** What stands before every route: who asks is found out, and whether the route's rule allows it. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { requireRules, rulesOf } from '../../ingest/rule.ts'
import { QueryError } from '../errors.ts'
import { allows, EVERYONE, type Who } from './who.ts'

export interface Access {
  /** undefined: not signed in. Throws QueryError 401 where what was shown is no good: it is never passed over for a second way. */
  identify(request: FastifyRequest): Promise<Who | undefined>
}

/** Without sign-in; for a server that only this machine reaches. */
export const openToAll: Access = { identify: async () => EVERYONE }

export const notSignedIn = (message: string): QueryError => new QueryError(401, 'not_signed_in', message)

export function addGate(app: FastifyInstance, access: Access): void {
  requireRules(app)
  app.decorateRequest('who', undefined)
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return
    const rules = rulesOf(request.routeOptions.config)
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
