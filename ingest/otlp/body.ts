/**
 * A request's body as OTLP/HTTP knows it: protobuf or JSON, plain, gzip or zstd.
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
 */
import { promisify } from 'node:util'
import { gunzip, gunzipSync, inflateSync } from 'node:zlib'
import { Decompress } from 'fzstd'
import { BodyError } from '../errors.ts'

export type Encoding = 'protobuf' | 'json'

/** The type alone, without ;charset and the like. */
export function parseContentType(header: string): Encoding {
  if (header === 'application/x-protobuf') return 'protobuf'
  const type = header.split(';')[0]?.trim().toLowerCase()
  if (type === 'application/x-protobuf' || type === 'application/protobuf') return 'protobuf'
  if (type === 'application/json') return 'json'
  throw new BodyError('unsupported', `content-type ${type}: send application/x-protobuf or application/json`)
}

/** Throws BodyError: 413 above `most` bytes, 415 for an encoding that is not known, 400 for what is not its encoding. */
export function inflate(body: Uint8Array, encoding: string, most: number): Uint8Array | Promise<Uint8Array> {
  switch (encoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      if (body.length > most) throw tooLarge(most)
      return body
    case 'gzip':
    case 'x-gzip':
      return unzipped(() => unzip(body, most), 'gzip', most)
    case 'deflate':
      return unzipped(() => inflateSync(body, { maxOutputLength: most }), 'deflate', most)
    case 'zstd':
      return unzstd(body, most)
    default:
      throw new BodyError('unsupported', `content-encoding ${encoding}: send gzip, zstd, deflate or none`)
  }
}

const tooLarge = (most: number): BodyError =>
  new BodyError(
    'too_large',
    `the body is larger than ${most} bytes: send smaller batches, or raise ingest.maxInflatedBytes`,
  )

const gunzipLater = promisify(gunzip)

/** A small body costs less here than its way to another thread. */
const unzip = (body: Uint8Array, most: number): Uint8Array | Promise<Uint8Array> =>
  body.length < 64 << 10 ? gunzipSync(body, { maxOutputLength: most }) : gunzipLater(body, { maxOutputLength: most })

async function unzipped(run: () => Uint8Array | Promise<Uint8Array>, name: string, most: number): Promise<Uint8Array> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(most)
    throw new BodyError('malformed', `not ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/**
 * Node has no zstd before 22.15, so fzstd. It allocates the window that a frame's header asks for, up to 2 GiB, before it
 * has read a byte of content: headers are looked at first.
 */
function unzstd(body: Uint8Array, most: number): Uint8Array {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    checkZstdFrames(body, most)
    const stream = new Decompress(chunk => {
      size += chunk.length
      if (size > most) throw tooLarge(most)
      chunks.push(chunk)
    })
    stream.push(body, true)
  } catch (error) {
    if (error instanceof BodyError) throw error
    throw new BodyError('malformed', `not zstd: ${error instanceof Error ? error.message : String(error)}`)
  }
  return Buffer.concat(chunks)
}

const SMALLEST_WINDOW = 8 << 20

/** Walks frames and blocks by their headers: https://datatracker.ietf.org/doc/html/rfc8878#section-3.1 */
export function checkZstdFrames(body: Uint8Array, most: number): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  for (let at = 0; at < body.length; ) {
    const magic = view.getUint32(at, true)
    if (magic >= 0x184d2a50 && magic <= 0x184d2a5f) {
      at += 8 + view.getUint32(at + 4, true)
      continue
    }
    if (magic !== 0xfd2fb528) throw new BodyError('malformed', `not zstd: no frame begins at byte ${at}`)
    const descriptor = view.getUint8(at + 4)
    const single = (descriptor & 32) !== 0
    const contentBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
    const content = at + 5 + (single ? 0 : 1) + dictionaryBytes
    const window = single ? contentSize(view, content, contentBytes) : windowSize(view.getUint8(at + 5))
    if (window > Math.max(most, SMALLEST_WINDOW)) throw tooLarge(most)
    at = endOfBlocks(view, content + contentBytes) + ((descriptor & 4) !== 0 ? 4 : 0)
  }
}

const windowSize = (descriptor: number): number => {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

function contentSize(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at)
  if (bytes === 2) return view.getUint16(at, true) + 256
  if (bytes === 4) return view.getUint32(at, true)
  return Number(view.getBigUint64(at, true))
}

function endOfBlocks(view: DataView, from: number): number {
  for (let at = from; ; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    const repeated = ((header >> 1) & 3) === 1
    at += 3 + (repeated ? 1 : header >> 3)
    if ((header & 1) === 1) return at
  }
}
