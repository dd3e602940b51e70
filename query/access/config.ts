/** What an operator may set of sign-in: schema, default and type under one name. */
import { type Static, Type } from 'typebox'

const closed = { additionalProperties: false } as const

const ProxyConfig = Type.Object(
  {
    header: Type.String({
      default: 'x-remote-user',
      description: 'holds the user; the proxy must not let it in from outside',
    }),
    groupsHeader: Type.Optional(Type.String({ description: 'holds groups, with commas' })),
    trusted: Type.Array(Type.String(), {
      minItems: 1,
      description:
        'addresses or networks of the proxy, 10.0.0.5 or 10.0.0.0/24: from elsewhere the header counts for nothing',
    }),
  },
  closed,
)
export type ProxyConfig = Static<typeof ProxyConfig>

const Claims = {
  userClaim: Type.Optional(Type.String({ description: 'claim with the user as schedulers call them' })),
  groupsClaim: Type.String({ default: 'groups', description: 'claim with a list of groups' }),
}

const JwtConfig = Type.Object(
  {
    issuer: Type.String({ minLength: 1, description: 'iss of the tokens' }),
    audience: Type.String({ minLength: 1, description: 'aud of the tokens' }),
    jwksUrl: Type.Optional(Type.String({ pattern: '^https?://', description: 'keys of the issuer' })),
    secretFile: Type.Optional(Type.String({ description: 'file with a shared key of at least 32 bytes (HS256)' })),
    ...Claims,
  },
  closed,
)
export type JwtConfig = Static<typeof JwtConfig>

const OidcConfig = Type.Object(
  {
    issuer: Type.String({ pattern: '^https?://', description: 'below it lies .well-known/openid-configuration' }),
    clientId: Type.String({ minLength: 1 }),
    clientSecretFile: Type.Optional(Type.String({ description: 'file with the secret; absent: a public client' })),
    scope: Type.String({ default: 'openid profile', description: 'what is asked for' }),
    ...Claims,
  },
  closed,
)
export type OidcConfig = Static<typeof OidcConfig>

export const AccessConfig = Type.Object(
  {
    open: Type.Boolean({
      default: false,
      description: 'nobody signs in: whoever reaches the address sees and changes all',
    }),
    users: Type.Optional(
      Type.String({ description: 'YAML file of users, their roles and passwords; jobsight user add writes it' }),
    ),
    collectors: Type.Optional(
      Type.String({ description: 'YAML file of the tokens of collectors, by cluster; jobsight token writes it' }),
    ),
    others: Type.Enum(['user', 'none'], {
      default: 'user',
      description: 'role of who is recognised by proxy, jwt or oidc and not in the file of users',
    }),
    sessionHours: Type.Number({ minimum: 0.1, maximum: 720, default: 12, description: 'how long a sign-in lasts' }),
    publicUrl: Type.Optional(
      Type.String({ pattern: '^https?://', description: 'where readers find the page, if a proxy stands before it' }),
    ),
    proxy: Type.Optional(ProxyConfig),
    jwt: Type.Optional(JwtConfig),
    oidc: Type.Optional(OidcConfig),
  },
  { ...closed, default: {} },
)
export type AccessConfig = Static<typeof AccessConfig>
