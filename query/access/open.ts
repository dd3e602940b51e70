/** Who may use a server that listens at an address: decided once, at its start. */
import type { Logger } from 'pino'
import { isLoopback } from '../../ingest/crosssite.ts'
import { ANY_SENDER, openSenders, type Senders } from '../../ingest/senders.ts'
import { AccessError } from './claims.ts'
import type { AccessConfig } from './config.ts'
import { type Access, openToAll } from './gate.ts'
import { isSetUp, openSignIn } from './signin.ts'

export interface Doorkeeper {
  access: Access
  senders: Senders
  /** No sign-in, since nobody else reaches it: names of other machines in a request are a trick. */
  onlyHere: boolean
  /** To be said at the start. */
  notices: string[]
}

export interface DoorkeeperOptions {
  access: AccessConfig
  /** Host that the server will listen on. */
  host: string
  usersFile: string
  keyFile: string
  tokensFile: string
  /** Clients are asked for certificates. */
  certificates: boolean
  defaultCluster: string
}

/** Throws AccessError where everyone on the network would see all without anybody having said so. */
export function openDoorkeeper(options: DoorkeeperOptions, log: Logger): Doorkeeper {
  const { access, host, usersFile, keyFile, tokensFile, certificates, defaultCluster } = options
  const known = openSenders({ tokensFile, certificates, defaultCluster }, log)
  if (!access.open && isSetUp(access, usersFile, log)) {
    const signIn = openSignIn(access, { usersFile, keyFile, senders: known, log })
    const none = 'no collector can send yet: run `jobsight token CLUSTER`, or set tls.clientCa'
    return { access: signIn, senders: known, onlyHere: false, notices: known.ready ? [] : [none] }
  }
  const senders = known.ready ? known : ANY_SENDER
  const onlyHere = isLoopback(host)
  if (access.open) {
    const loud = `OPEN (access.open): whoever reaches ${host} sees every job, process and stack, and may change all`
    return { access: openToAll, senders, onlyHere: false, notices: onlyHere ? [] : [loud] }
  }
  if (onlyHere) return { access: openToAll, senders, onlyHere, notices: [] }
  throw new AccessError(
    `at ${host} everyone on the network would see every job, process and stack. Make a first user: ` +
      '`jobsight user add NAME --role admin` (or set access.oidc, access.proxy or access.jwt); or listen on 127.0.0.1; ' +
      'or, if everyone may, say --set access.open=true',
  )
}
