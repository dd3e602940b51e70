/** Who is signed in, as the server says; it alone decides what anyone may see. */
import type { SessionAnswer } from '../query/api.ts'
import { AskError, forget, request, signedOut } from './client.ts'
import { openStore, type Store } from './state.ts'

export const session: Store<SessionAnswer | undefined> = openStore<SessionAnswer | undefined>(undefined)

const ROUTE = 'api/v1/session'

/** A server that does not say is one where nobody signs in. */
export async function readSession(): Promise<void> {
  try {
    hear(await request<SessionAnswer>(ROUTE, {}))
  } catch (error) {
    if (!(error instanceof AskError)) throw error
  }
}

function hear(answer: SessionAnswer): void {
  session.set(answer)
  signedOut.set(answer.user === null)
}

/** Resolves to what is wrong, where it is. */
export async function signIn(user: string, password: string): Promise<string | undefined> {
  const body = JSON.stringify({ user, password })
  try {
    const answer = await request<SessionAnswer>(ROUTE, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    forget()
    hear(answer)
    return undefined
  } catch (error) {
    return error instanceof AskError ? error.message : String(error)
  }
}

export async function signOut(): Promise<void> {
  forget()
  try {
    hear(await request<SessionAnswer>(ROUTE, { method: 'DELETE' }))
  } catch {
    // The server cannot be reached: the page at least shows nothing any more.
    signedOut.set(true)
  }
}

/** Where the provider sends one back to: the place that is shown now. */
export const oidcUrl = (hash: string): string =>
  `${ROUTE}/oidc?place=${encodeURIComponent(hash.startsWith('#/') ? hash : '#/')}`

/** Users and managers: of nodes they see what own jobs did there. */
export const seesOwnOnly = (who: SessionAnswer | undefined): boolean =>
  who !== undefined && !who.roles.some(role => role === 'admin' || role === 'support')

/** Support sees and does not touch. */
export const mayAct = (who: SessionAnswer | undefined): boolean =>
  who === undefined || who.roles.some(r => r !== 'support')
