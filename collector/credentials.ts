/** What this collector shows to its receiver: a token, and where the receiver wants one a certificate. */
import { readFileSync } from 'node:fs'
import type { TlsConfig } from './config.ts'

export interface Credentials {
  /** Read anew for each request, since tokens are changed while collectors run. Throws where the file cannot be read. */
  headers(): Record<string, string>
  /** For node:tls: whom to trust, what to show. */
  readonly tls: { ca?: Buffer; cert?: Buffer; key?: Buffer }
}

export const NO_CREDENTIALS: Credentials = { headers: () => ({}), tls: {} }

/** For who asks at once for what was sent: the receiver answers when it can be found. */
export const waitingFor = (credentials: Credentials): Credentials => ({
  ...credentials,
  headers: () => ({ ...credentials.headers(), prefer: 'wait' }),
})

export class CredentialsError extends Error {
  readonly code = 'CREDENTIALS'
}

const read = (key: string, path: string): Buffer => {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new CredentialsError(
      `collector.${key}: cannot read ${path} (${error instanceof Error ? error.message : error})`,
    )
  }
}

/** Throws CredentialsError where a file cannot be read at the start. */
export function openCredentials({ tokenFile, tls }: { tokenFile?: string; tls: TlsConfig }): Credentials {
  const headers = (): Record<string, string> => {
    if (tokenFile === undefined) return {}
    const token = read('tokenFile', tokenFile).toString().trim()
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new CredentialsError(
        `collector.tokenFile: ${tokenFile} holds no token: one line, as \`jobsight token\` prints it`,
      )
    return { authorization: `Bearer ${token}` }
  }
  headers()
  const part = (name: 'ca' | 'cert' | 'key') => {
    const path = tls[name]
    return path === undefined ? {} : { [name]: read(`tls.${name}`, path) }
  }
  return { headers, tls: { ...part('ca'), ...part('cert'), ...part('key') } }
}
