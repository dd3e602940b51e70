/**
 * Sign-in at an OpenID provider: authorization code with PKCE. https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
 *
 *   page -> /session/oidc ── state, nonce, verifier into a signed cookie ──> the provider
 *   the provider ──> /session/oidc/callback ── code for tokens, id token checked ──> session, back to the page
 */
import { jwtVerify, SignJWT } from 'jose'
import * as client from 'openid-client'
import { QueryError } from '../errors.ts'
import { AccessError, claimedBy, readSecret } from './claims.ts'
import type { OidcConfig } from './config.ts'
import type { Claimed } from './users.ts'

export interface Oidc {
  /** Where to send the browser, and what it has to bring back as a cookie. */
  begin(place: string): Promise<{ url: string; cookie: string }>
  /** `search`: of the address the provider sent the browser to. Throws QueryError 401. */
  finish(search: string, cookie: string): Promise<Claimed & { place: string }>
}

const AUDIENCE = 'jobsight oidc'
/** How long somebody may take at the provider. */
const MINUTES = 10

export const CALLBACK = 'api/v1/session/oidc/callback'

export function openOidc(config: OidcConfig, key: Uint8Array, publicUrl: string | undefined): Oidc {
  if (publicUrl === undefined)
    throw new AccessError('access.oidc needs access.publicUrl: where readers find the page, as the provider knows it')
  const redirectUrl = new URL(CALLBACK, publicUrl.endsWith('/') ? publicUrl : `${publicUrl}/`)
  const secret = config.clientSecretFile && readSecret(config.clientSecretFile, 'access.oidc.clientSecretFile')
  const provider = keptProvider(config, secret)
  return {
    async begin(place) {
      const verifier = client.randomPKCECodeVerifier()
      const state = client.randomState()
      const nonce = client.randomNonce()
      const url = client.buildAuthorizationUrl(await provider(), {
        redirect_uri: redirectUrl.href,
        scope: config.scope,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      })
      const cookie = await new SignJWT({ verifier, state, nonce, place })
        .setProtectedHeader({ alg: 'HS256' })
        .setAudience(AUDIENCE)
        .setExpirationTime(`${MINUTES}m`)
        .sign(key)
      return { url: url.href, cookie }
    },
    async finish(search, cookie) {
      const { verifier, state, nonce, place } = await readPending(cookie, key)
      const url = new URL(redirectUrl)
      url.search = search
      try {
        const found = await provider()
        const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
        const tokens = await client.authorizationCodeGrant(found, url, checks)
        return { ...claimedBy(await readClaims(found, tokens, config), config, USER_CLAIM, 'oidc'), place }
      } catch (error) {
        if (error instanceof QueryError) throw error
        throw new QueryError(401, 'not_signed_in', `the sign-in at ${config.issuer} failed: ${reasonOf(error)}`)
      }
    },
  }
}

const USER_CLAIM = 'preferred_username'

/** Asked for once, and again after it could not be. */
function keptProvider(config: OidcConfig, secret: string | undefined): () => Promise<client.Configuration> {
  let kept: Promise<client.Configuration> | undefined
  const discover = () => {
    const issuer = new URL(config.issuer)
    const method = secret ? client.ClientSecretPost(secret) : client.None()
    // Without TLS only where nothing leaves this machine.
    const local = issuer.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(issuer.hostname)
    const options = local ? { execute: [client.allowInsecureRequests] } : {}
    return client.discovery(issuer, config.clientId, secret, method, options)
  }
  return async () => {
    kept ??= discover()
    try {
      return await kept
    } catch (error) {
      kept = undefined
      throw new QueryError(503, 'issuer', `${config.issuer} does not answer (${reasonOf(error)}): try again later`)
    }
  }
}

async function readPending(
  cookie: string,
  key: Uint8Array,
): Promise<Record<'verifier' | 'state' | 'nonce' | 'place', string>> {
  try {
    const { payload } = await jwtVerify(cookie, key, {
      audience: AUDIENCE,
      algorithms: ['HS256'],
      requiredClaims: ['exp'],
    })
    const text = (name: string) => String(payload[name] ?? '')
    return { verifier: text('verifier'), state: text('state'), nonce: text('nonce'), place: text('place') }
  } catch {
    throw new QueryError(
      401,
      'not_signed_in',
      `the sign-in was not begun in this browser, or took over ${MINUTES} min: begin again`,
    )
  }
}

/** What the id token does not hold, the provider is asked for. */
async function readClaims(
  found: client.Configuration,
  tokens: Awaited<ReturnType<typeof client.authorizationCodeGrant>>,
  { userClaim = USER_CLAIM, groupsClaim }: OidcConfig,
) {
  const claims = tokens.claims() ?? {}
  if (userClaim in claims && groupsClaim in claims) return claims
  if (!found.serverMetadata().userinfo_endpoint || !('sub' in claims)) return claims
  return { ...(await client.fetchUserInfo(found, tokens.access_token, String(claims.sub))), ...claims }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
