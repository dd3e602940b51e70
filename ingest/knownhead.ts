/**
 * The head of a request that went through Fastify and was taken: what comes with the same head again needs no hooks, parsers and
 * replies, since whatever they look at is in it or is the connection. Only who sends is found out each time: a token can be
 * taken back.
 */
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { parseBatch } from './batches.ts'
import { SENT_HEADER } from './clocks.ts'
import { type Answer, answerOf, DOOR_PATHS, failureOf, type Take } from './http.ts'
import type { Door } from './index.ts'
import type { Sending } from './sendergate.ts'
import type { Sender, Senders } from './senders.ts'

export interface KnownHead {
  url: string
  /** name, value, name, value … */
  fields: readonly string[]
  door: Door
  type: string
  encoding: string
  authorization: string | undefined
}

export interface TakeDeps {
  take: Take
  senders: Senders
  sending: Sending
  maxBodyBytes: number
  /** Called for each request that came with a known head: from where, and when by the sender's clock. */
  onTaken: (address: string, sent: string | undefined) => void
}

/** What changes from request to request. */
export const VARIES: ReadonlySet<string> = new Set(['content-length', 'idempotency-key', SENT_HEADER])
const DOORS: readonly Door[] = ['metrics', 'profiles']

export function knownHeadOf({ url, method, headers, raw, routeOptions }: FastifyRequest): KnownHead | undefined {
  const door = DOORS.find(name => DOOR_PATHS[name] === url)
  const type = headers['content-type']
  // Who waits for the database waits at the road.
  if (door === undefined || method !== 'POST' || routeOptions.url !== url || type === undefined) return undefined
  if (headers.prefer !== undefined || headers.expect !== undefined) return undefined
  const { authorization, 'content-encoding': encoding = '' } = headers
  return { url, fields: raw.rawHeaders, door, type, encoding, authorization }
}

/** Where it is known too, it stands last; the one that was not seen for longest goes. */
export function remember(heads: readonly KnownHead[], head: KnownHead): KnownHead[] {
  return [...heads.filter(known => !isLike(known, head.url, head.fields)), head].slice(-MOST_HEADS)
}

/** Metrics and profiles, and either with another token or encoding. */
const MOST_HEADS = 4

export function isLike({ url: knownUrl, fields: known }: KnownHead, url: string, fields: readonly string[]): boolean {
  if (url !== knownUrl || fields.length !== known.length) return false
  for (let i = 0; i < known.length; i += 2) {
    if (fields[i] !== known[i]) return false
    if (fields[i + 1] !== known[i + 1] && !VARIES.has(known[i]?.toLowerCase() ?? '')) return false
  }
  return true
}

/** The road says why. */
export const REFUSED = Symbol('refused')

export function admit(senders: Senders, { authorization }: KnownHead, socket?: Socket) {
  try {
    return senders.admit(authorization, socket)
  } catch {
    return REFUSED
  }
}

/** `batch` as it stands in the head. */
export function takeKnown(
  { take, sending }: TakeDeps,
  { door, type, encoding }: KnownHead,
  sender: Sender | undefined,
  body: Buffer,
  batch: string | undefined,
): Promise<Answer> {
  const enter = () => take(door, body, type, encoding, parseBatch(batch))
  const taken = sender === undefined ? enter() : sending.run(sender, enter)
  return taken.then(
    receipt => answerOf(door, type, receipt),
    (error: unknown) => failureOf(type, error),
  )
}
