/** Who asks, and what that allows. */
import type { Rule } from '../../ingest/rule.ts'
import { EVERYTHING, type Reach, reachOf, reachOfCluster } from '../reach.ts'

export const ROLES = {
  admin: 'sees and changes everything',
  support: 'sees everything, changes nothing',
  manager: 'sees the jobs of the accounts named beside it, and own ones',
  user: 'sees own jobs',
} as const
export type Role = keyof typeof ROLES

/** How somebody was recognised. */
export type Via = 'open' | 'password' | 'proxy' | 'jwt' | 'oidc' | 'token' | 'collector'

export interface Who {
  /** As the schedulers call them. */
  readonly user: string
  readonly roles: readonly Role[]
  /** That a manager answers for. */
  readonly accounts: readonly string[]
  readonly via: Via
  /** Of a collector: the cluster it speaks for. */
  readonly cluster?: string
  /** When it has to be shown again. */
  readonly untilMs?: number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any route answers; undefined where nobody needs to be signed in and nobody is. */
    who: Who | undefined
  }
}

/** Everyone, where no sign-in is set up. */
export const EVERYONE: Who = { user: '', roles: ['admin'], accounts: [], via: 'open' }

const seesAll = (who: Who): boolean => who.roles.includes('admin') || who.roles.includes('support')

/** What of the store they may see. Nobody sees nothing. */
export function reachOfWho(who: Who | undefined): Reach {
  if (who === undefined) return reachOf('', [])
  if (who.via === 'collector') return reachOfCluster(who.cluster ?? '')
  if (seesAll(who)) return EVERYTHING
  return reachOf(who.user, who.roles.includes('manager') ? who.accounts : [])
}

const ALLOWS: Readonly<Record<Rule, (who: Who) => boolean>> = {
  anyone: () => true,
  reader: who => who.roles.length > 0,
  rows: who => who.roles.length > 0,
  everything: seesAll,
  act: who => who.roles.some(role => role !== 'support'),
  administer: who => who.roles.includes('admin'),
  collector: who => who.via === 'collector' || who.via === 'open',
}

export const allows = (rules: readonly Rule[], who: Who): boolean => rules.some(rule => ALLOWS[rule](who))
