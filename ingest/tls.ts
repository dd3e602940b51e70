/** HTTPS: the certificate of this server, and whose certificates collectors may show. Renewed files are taken up while it runs. */
import { readFileSync, statSync } from 'node:fs'
import type { SecureContextOptions, Server } from 'node:tls'
import type { Logger } from 'pino'
import { type Static, Type } from 'typebox'
import { StoreError } from './errors.ts'

export const TlsConfig = Type.Object(
  {
    cert: Type.Optional(Type.String({ description: 'PEM file: the certificate of this server, with its chain' })),
    key: Type.Optional(Type.String({ description: 'PEM file: the key of the certificate' })),
    clientCa: Type.Optional(
      Type.String({ description: 'PEM file: who signs certificates of collectors (mTLS); OU names their cluster' }),
    ),
  },
  { additionalProperties: false, default: {} },
)
export type TlsConfig = Static<typeof TlsConfig>

export interface TlsOptions extends SecureContextOptions {
  cert: Buffer
  key: Buffer
  requestCert: boolean
  rejectUnauthorized: boolean
}

/** undefined: plain HTTP. Throws StoreError `config` where a file is missing. Readers show no certificate, so none is required here. */
export function readTls({ cert, key, clientCa }: TlsConfig): TlsOptions | undefined {
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined
  if (cert === undefined || key === undefined)
    throw new StoreError('config', 'tls needs both tls.cert and tls.key (PEM files)')
  const read = (name: string, path: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (error) {
      throw new StoreError(
        'config',
        `tls.${name}: cannot read ${path} (${error instanceof Error ? error.message : error})`,
      )
    }
  }
  return {
    cert: read('cert', cert),
    key: read('key', key),
    minVersion: 'TLSv1.2',
    ...(clientCa === undefined ? {} : { ca: read('clientCa', clientCa) }),
    requestCert: clientCa !== undefined,
    rejectUnauthorized: false,
  }
}

const LOOK_MS = 60_000

/** Certificates are renewed every some weeks; connections that are open keep the one they began with. */
export function startRenewing(config: TlsConfig, server: Server, log: Logger, everyMs = LOOK_MS): () => void {
  const stamp = (): string =>
    [config.cert, config.key, config.clientCa]
      .map(path => (path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)))
      .join()
  let seen = stamp()
  const timer = setInterval(() => {
    const now = stamp()
    if (now === seen) return
    try {
      const options = readTls(config)
      if (options) server.setSecureContext(options)
      seen = now
      log.info('the TLS certificate was renewed')
    } catch (error) {
      log.error({ err: error }, 'the renewed TLS certificate cannot be used; the one before stays')
    }
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
