/**
 * Requests that a browser makes because another site's page told it to. They carry what this browser is signed in with, or
 * reach a server that listens on this machine only, so a page anywhere could send them.
 * https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** `publicHost`: what readers see in the address bar, where a proxy changes the Host. No word of a browser's: false. */
export function isCrossSite(headers: IncomingHttpHeaders, publicHost?: string): boolean {
  if (headers.origin !== undefined) {
    const host = URL.canParse(headers.origin) ? new URL(headers.origin).host : ''
    return host === '' || (host !== headers.host && host !== publicHost)
  }
  const site = headers['sec-fetch-site']
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

/** Whether a browser said where the request comes from. */
export const saysSite = (headers: IncomingHttpHeaders): boolean =>
  headers.origin !== undefined || headers['sec-fetch-site'] !== undefined

const LOOPBACK = /^(localhost|([\w-]+\.)*localhost|127(\.\d+){3}|\[::1\]|::1|0:0:0:0:0:0:0:1)$/i

/** A name or an address that only this machine can mean. */
export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/**
 * Of a server for this machine only: a request that names another host came through a name that somebody else made to
 * mean this machine. https://en.wikipedia.org/wiki/DNS_rebinding
 */
export async function onlyLoopback({ headers }: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const host = hostName(headers.host)
  if (host === '' || isLoopback(host)) return undefined
  const message = `this server is for its own machine, and was called ${host}: set up sign-in (\`jobsight user add\`), or say access.open=true`
  return reply.code(403).send({ error: { code: 'forbidden', message } })
}

/** `localhost:7070` -> `localhost` */
const hostName = (host: string | undefined): string => (host ?? '').replace(/:\d+$/, '')
