/** What stands before the doors: who sends is found out before a body is read, and what is sent is held to the sender's cluster. */
import type { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance } from 'fastify'
import { isCrossSite } from './crosssite.ts'
import { requireRules, rulesOf } from './rule.ts'
import { type Sender, SenderError, type Senders } from './senders.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined: whoever sends may do so for any cluster. */
    sender: Sender | undefined
  }
}

/** The sender of what is being taken in, for all that happens for it: records are refused where they are of another cluster. */
export type Sending = AsyncLocalStorage<Sender | undefined>

export function addSenderGate(app: FastifyInstance, senders: Senders, sending: Sending): void {
  requireRules(app)
  app.decorateRequest('sender', undefined)
  app.addHook('onRequest', async request => {
    const rules = rulesOf(request.routeOptions.config)
    if (isCrossSite(request.headers))
      throw new SenderError(
        'forbidden',
        'a browser sent this for the page of another site: records come from collectors',
      )
    if (rules.includes('collector')) request.sender = senders.admit(request.headers.authorization, request.raw.socket)
    else if (!rules.includes('anyone'))
      throw new SenderError('forbidden', `rules of ingest are collector and anyone, not ${rules}`)
  })
  // Here and not before, since reading the body leaves the context: https://nodejs.org/api/async_context.html
  app.addHook('preHandler', (request, _, done) => {
    // A run makes every promise of the process dearer from then on (Node 20 watches them all).
    if (request.sender === undefined) done()
    else sending.run(request.sender, done)
  })
}
