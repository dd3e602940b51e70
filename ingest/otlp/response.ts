/** What OTLP answers: Export…ServiceResponse with its partial_success, or google.rpc.Status, in the request's encoding. */
import { PbfWriter } from 'pbf'
import type { Encoding } from './body.ts'

/** `rejectedName` is rejectedDataPoints for metrics, rejectedProfiles for profiles; both are field 1. */
export function exportResponse(encoding: Encoding, rejectedName: string, rejected: number, message: string): Buffer {
  const partial = rejected > 0 || message !== ''
  if (encoding === 'json') {
    return json(partial ? { partialSuccess: { [rejectedName]: String(rejected), errorMessage: message } } : {})
  }
  if (!partial) return Buffer.alloc(0)
  const writer = new PbfWriter()
  writer.writeMessage(
    1,
    (_, to) => {
      to.writeVarintField(1, rejected)
      to.writeStringField(2, message)
    },
    undefined,
  )
  return Buffer.from(writer.finish())
}

/** https://grpc.io/docs/guides/status-codes/ */
const GRPC_CODE: Readonly<Record<number, number>> = { 400: 3, 409: 6, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14 }

export function statusResponse(encoding: Encoding, status: number, message: string): Buffer {
  const code = GRPC_CODE[status] ?? 2
  if (encoding === 'json') return json({ code, message })
  const writer = new PbfWriter()
  writer.writeVarintField(1, code)
  writer.writeStringField(2, message)
  return Buffer.from(writer.finish())
}

/** google.rpc.Status with a RetryInfo: code 1, message 2, details 3 (type_url 1, value 2: retry_delay 1: seconds 1). */
export function retryStatus(code: number, message: string, afterSeconds: number): Buffer {
  const retry = new PbfWriter()
  retry.writeMessage(1, (seconds: number, to) => to.writeVarintField(1, seconds), afterSeconds)
  const value = retry.finish()
  const writer = new PbfWriter()
  writer.writeVarintField(1, code)
  writer.writeStringField(2, message)
  writer.writeMessage(
    3,
    (_, to) => {
      to.writeStringField(1, 'type.googleapis.com/google.rpc.RetryInfo')
      to.writeBytesField(2, value)
    },
    undefined,
  )
  return Buffer.from(writer.finish())
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
