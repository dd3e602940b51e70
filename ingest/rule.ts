/**
 * Who may use a route. Each names its rule where it is registered, { config: { access: 'rows' } }; one without stops the start.
 * Of several rules one has to hold.
 */
import type { FastifyInstance } from 'fastify'

export const RULES = {
  anyone: 'without signing in: nothing but the page itself, and the way in',
  reader: 'whoever is signed in: the answer holds nothing of anyone',
  rows: 'whoever is signed in: the questions behind it are kept to the reader’s own rows (query/reach.ts)',
  everything: 'who sees everything: administrators and support',
  act: 'who may change something of own jobs: everyone but support; whose job it is the route finds out by its rows',
  administer: 'administrators',
  collector: 'who brings records of a cluster: a token of it, or a client certificate',
} as const
export type Rule = keyof typeof RULES

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Rule | readonly Rule[]
  }
}

export const rulesOf = (config: { access?: Rule | readonly Rule[] }): readonly Rule[] =>
  typeof config.access === 'string' ? [config.access] : (config.access ?? [])

/** From here on no route without a rule can be registered below `app`. */
export function requireRules(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, config = {} }) => {
    const rules = rulesOf(config)
    if (rules.length > 0 && rules.every(rule => Object.hasOwn(RULES, rule))) return
    const known = Object.keys(RULES).join(', ')
    throw new Error(
      `${String(method)} ${url} has no rule of who may use it: give it config: { access: … } with one of ${known}`,
    )
  })
}
