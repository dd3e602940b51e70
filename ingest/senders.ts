/**
 * Who may bring records, and of which cluster: a token, or a client certificate.
 *
 *   tokens.yaml     hpc1: ['sha256:9f86…', 'sha256:60303…']     several at a time, so that they can be changed one after the other
 *   certificate     CN=n07, OU=hpc1                             signed by tls.clientCa; without OU: the server's own cluster
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import { parse as parseYaml, stringify } from 'yaml'
import { openWatchedFile } from './watchedfile.ts'

export interface Sender {
  readonly cluster: string
}

/** The message says what to do next; the status is HTTP's. */
export class SenderError extends Error {
  readonly code: 'unauthenticated' | 'forbidden'
  readonly statusCode: 401 | 403
  constructor(code: SenderError['code'], message: string) {
    super(message)
    this.name = 'SenderError'
    this.code = code
    this.statusCode = code === 'forbidden' ? 403 : 401
  }
}

/** Throws SenderError where a record is of a cluster that its sender does not speak for: all that came with it is kept there. */
export function requireCluster(sender: Sender | undefined, cluster: string): void {
  if (sender === undefined || sender.cluster === cluster) return
  throw new SenderError(
    'forbidden',
    `the sender speaks for cluster ${sender.cluster}, and this is of ${cluster}: set --cluster ${sender.cluster} there, or give it a token of ${cluster}`,
  )
}

export interface Senders {
  /** undefined: anyone is taken, for any cluster. Throws SenderError where something has to be shown and is not, or is no good. */
  admit(authorization: string | undefined, socket?: Socket): Sender | undefined
  /** Of a token alone; undefined where it is none of ours. */
  find(token: string): Sender | undefined
  /** What nobody can send without, is there. */
  readonly ready: boolean
}

export const ANY_SENDER: Senders = { admit: () => undefined, find: () => undefined, ready: true }

export interface SendersOptions {
  tokensFile: string
  /** Certificates are asked for, and checked by TLS. */
  certificates: boolean
  /** Of a certificate that names none. */
  defaultCluster: string
}

export function openSenders(options: SendersOptions, log: Logger): Senders {
  const file = openWatchedFile(options.tokensFile, new Map<string, string>(), parseTokens, log)
  const find = (token: string): Sender | undefined => {
    const cluster = file.get().get(hashOf(token))
    return cluster === undefined ? undefined : { cluster }
  }
  return {
    find,
    get ready() {
      return options.certificates || file.get().size > 0
    },
    admit(authorization, socket) {
      const certified = options.certificates ? certifiedBy(socket, options.defaultCluster) : undefined
      if (certified) return certified
      const token = parseToken(authorization)
      const sender = token === undefined ? undefined : find(token)
      if (sender) return sender
      const what = token === undefined ? 'no token came with it' : 'this token is not (or no longer) known here'
      throw new SenderError(
        'unauthenticated',
        `${what}: run \`jobsight token CLUSTER\` on the server, and give the collector what it prints: --token-file FILE`,
      )
    },
  }
}

/** Authorization of the ways that senders have: Bearer, InfluxDB's Token, or the password of Basic. */
function parseToken(authorization: string | undefined): string | undefined {
  const [, scheme = '', rest = ''] = /^(\w+) +(\S+)$/.exec(authorization?.trim() ?? '') ?? []
  if (/^(bearer|token)$/i.test(scheme)) return rest
  if (!/^basic$/i.test(scheme)) return undefined
  const text = Buffer.from(rest, 'base64').toString()
  return text.slice(text.indexOf(':') + 1)
}

function certifiedBy(socket: Socket | undefined, defaultCluster: string): Sender | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const subject = socket.getPeerCertificate().subject
  if (!subject) return undefined
  const unit: unknown = subject.OU
  return { cluster: typeof unit === 'string' && unit !== '' ? unit : defaultCluster }
}

const hashOf = (token: string): string => `sha256:${createHash('sha256').update(token).digest('hex')}`

/** Hash of each token -> its cluster. A token that stands there itself is taken too. */
export function parseTokens(text: string): Map<string, string> {
  const file: unknown = parseYaml(text) ?? {}
  const wrong = () => new Error('expected CLUSTER: [TOKEN, …] for each cluster, as `jobsight token CLUSTER` writes it')
  if (typeof file !== 'object' || file === null || Array.isArray(file)) throw wrong()
  const clusters = new Map<string, string>()
  for (const [cluster, tokens] of Object.entries(file)) {
    if (!Array.isArray(tokens)) throw wrong()
    for (const token of tokens) {
      if (typeof token !== 'string' || token.length < 16) throw wrong()
      clusters.set(token.startsWith('sha256:') ? token : hashOf(token), cluster)
    }
  }
  return clusters
}

/** Makes a token for a cluster, keeps its hash in the file, and returns it: it is not to be had again. */
export function addToken(tokensFile: string, cluster: string): string {
  const before: unknown = existsSync(tokensFile) ? (parseYaml(readFileSync(tokensFile, 'utf8')) ?? {}) : {}
  parseTokens(stringify(before))
  const tokens = new Map<string, unknown[]>(Object.entries(before as Record<string, unknown[]>))
  const token = `jsc_${randomBytes(32).toString('base64url')}`
  tokens.set(cluster, [...(tokens.get(cluster) ?? []), hashOf(token)])
  writePrivately(tokensFile, stringify(Object.fromEntries(tokens)))
  return token
}

/** Readable by its owner only, and never half written. */
export function writePrivately(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const fresh = `${path}.${process.pid}.new`
  writeFileSync(fresh, content, { mode: 0o600 })
  renameSync(fresh, path)
}
