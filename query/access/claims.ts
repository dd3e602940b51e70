/** What others say of somebody: a proxy in headers, an issuer in a JWT. */
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIPv6 } from 'node:net'
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose'
import { QueryError } from '../errors.ts'
import type { JwtConfig, ProxyConfig } from './config.ts'
import type { Claimed } from './users.ts'
import type { Via } from './who.ts'

const MAX_NAME = 255
const MAX_GROUPS = 1000

export class AccessError extends Error {
  readonly code = 'ACCESS'
}

// --- a proxy before this server ---------------------------------------------------------------------------------------

/** undefined: the request does not come from the proxy, or it names nobody. */
export function openProxy({ header, groupsHeader, trusted }: ProxyConfig) {
  const networks = parseNetworks(trusted)
  return (address: string | undefined, headers: IncomingHttpHeaders): Claimed | undefined => {
    const from = (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
    if (from === '' || !networks.check(from, isIPv6(from) ? 'ipv6' : 'ipv4')) return undefined
    const user = headers[header.toLowerCase()]
    if (typeof user !== 'string' || user === '' || user.length > MAX_NAME) return undefined
    const groups = groupsHeader === undefined ? undefined : headers[groupsHeader.toLowerCase()]
    const names = typeof groups === 'string' ? groups.split(',').map(group => group.trim()) : []
    return { user, groups: names.filter(name => name !== ''), via: 'proxy' }
  }
}

function parseNetworks(texts: readonly string[]): BlockList {
  const networks = new BlockList()
  for (const text of texts) {
    const [address = '', bits] = text.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    try {
      if (bits === undefined) networks.addAddress(address, family)
      else networks.addSubnet(address, Number(bits), family)
    } catch {
      throw new AccessError(`access.proxy.trusted: ${text} is no address or network: write 10.0.0.5 or 10.0.0.0/24`)
    }
  }
  return networks
}

// --- tokens of an issuer ----------------------------------------------------------------------------------------------

/** Never HS256 beside a public key: the key would do as a secret. https://datatracker.ietf.org/doc/html/rfc8725#section-3.1 */
const PUBLIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
const LEEWAY_SECONDS = 30

/** Throws QueryError 401 where the token is not good; why is told to who sent it. */
export function openJwt(config: JwtConfig) {
  const verify = verifierOf(config)
  return async (token: string): Promise<Claimed & { untilMs: number }> => {
    try {
      const { payload } = await verify(token)
      return { ...claimedBy(payload, config, 'sub', 'jwt'), untilMs: (payload.exp ?? 0) * 1000 }
    } catch (error) {
      if (error instanceof QueryError) throw error
      if (error instanceof errors.JOSEError)
        throw new QueryError(401, 'not_signed_in', `the token is not good: ${error.message}`)
      throw new QueryError(503, 'issuer', `the keys of ${config.issuer} cannot be read now: try again later`)
    }
  }
}

function verifierOf({ issuer, audience, jwksUrl, secretFile }: JwtConfig) {
  const checks = { issuer, audience, clockTolerance: LEEWAY_SECONDS, requiredClaims: ['exp'] }
  if (jwksUrl !== undefined && secretFile === undefined) {
    const keys = createRemoteJWKSet(new URL(jwksUrl))
    return (token: string) => jwtVerify(token, keys, { ...checks, algorithms: PUBLIC })
  }
  if (secretFile === undefined || jwksUrl !== undefined)
    throw new AccessError('access.jwt needs one of jwksUrl (keys of the issuer) and secretFile (a shared key)')
  const secret = readSecret(secretFile, 'access.jwt.secretFile')
  if (secret.length < 32) throw new AccessError('access.jwt.secretFile: a shared key has at least 32 bytes')
  return (token: string) => jwtVerify(token, Buffer.from(secret), { ...checks, algorithms: ['HS256'] })
}

export function readSecret(path: string, key: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new AccessError(`${key}: cannot read ${path} (${error instanceof Error ? error.message : error})`)
  }
}

/** Throws QueryError 401 where the claim that names the user is not there. */
export function claimedBy(
  payload: JWTPayload,
  { userClaim, groupsClaim }: { userClaim?: string; groupsClaim: string },
  otherwise: string,
  via: Via,
): Claimed {
  const claim = userClaim ?? otherwise
  const user = payload[claim]
  if (typeof user !== 'string' || user === '' || user.length > MAX_NAME)
    throw new QueryError(
      401,
      'not_signed_in',
      `the token names no user: it has no claim ${claim} (access.${via}.userClaim)`,
    )
  const groups: unknown = payload[groupsClaim]
  const names = Array.isArray(groups) ? groups.filter(group => typeof group === 'string').slice(0, MAX_GROUPS) : []
  return { user, groups: names, via }
}
