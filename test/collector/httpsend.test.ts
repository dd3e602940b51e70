import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { pino } from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { httpSend, parseRetryAfter } from '../../collector/httpsend.ts'

const log = pino({ level: 'silent' })

/** A receiver on a port of its own that answers as told and remembers what it got. */
async function makeReceiver(answer: (response: ServerResponse) => void) {
  const got: { url: string | undefined; headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', part => parts.push(part))
    request.on('end', () => {
      got.push({ url: request.url, headers: request.headers, body: gunzipSync(Buffer.concat(parts)).toString() })
      answer(response)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { got, url: `http://127.0.0.1:${port}` }
}

const answering = (status: number, headers: Record<string, string> = {}, body: string | Buffer = '') =>
  makeReceiver(response => {
    response.writeHead(status, headers).end(body)
  })

describe('httpSend', () => {
  it('posts gzip to the door, under the path of the endpoint, with the given headers', async () => {
    const { got, url } = await answering(200)
    const send = httpSend(`${url}/otlp`, log, { headers: () => ({ authorization: 'Bearer x' }), tls: {} })
    expect(await send('metrics', Buffer.from('m'))).toEqual({ ok: true })
    expect(await send('profiles', Buffer.from('p'))).toEqual({ ok: true })
    expect(await send('jobs', Buffer.from('{}'))).toEqual({ ok: true })
    expect(got.map(({ url, body }) => [url, body])).toEqual([
      ['/otlp/v1/metrics', 'm'],
      ['/otlp/v1development/profiles', 'p'],
      ['/otlp/v1/jobs', '{}'],
    ])
    expect(got.map(({ headers }) => headers['content-type'])).toEqual([
      'application/x-protobuf',
      'application/x-protobuf',
      'application/json',
    ])
    expect(got[0]?.headers).toMatchObject({ authorization: 'Bearer x', 'content-encoding': 'gzip' })
  })

  it.each([
    [400, true],
    [404, true],
    [413, true],
    [500, true],
    [401, false],
    [403, false],
    [429, false],
    [502, false],
    [503, false],
    [504, false],
  ])('takes %d for permanent: %s', async (status, permanent) => {
    const { url } = await answering(status, {}, 'line 1: what is wrong')
    const sent = await httpSend(url, log)('metrics', Buffer.from('m'))
    expect(sent).toMatchObject({ ok: false, permanent })
    expect(sent.ok ? '' : sent.message).toBe(`${url}/v1/metrics answered ${status}: line 1: what is wrong`)
  })

  it('hands on how long to wait', async () => {
    const { url } = await answering(503, { 'retry-after': '7' })
    expect(await httpSend(url, log)('metrics', Buffer.from('m'))).toMatchObject({ retryAfterMs: 7000 })
  })

  it('reads partial success', async () => {
    // partial_success (1) { rejected (1): 3, message (2): "old" }
    const body = Buffer.from([0x0a, 0x07, 0x08, 0x03, 0x12, 0x03, ...Buffer.from('old')])
    const { url } = await answering(200, { 'content-type': 'application/x-protobuf' }, body)
    const send = httpSend(url, log)
    expect(await send('metrics', Buffer.from('m'))).toEqual({ ok: true, rejected: 3, message: 'old' })
    expect(await send('profiles', Buffer.from('m'))).toEqual({ ok: true, rejected: 3, message: 'old' })
  })

  it('takes an answer it cannot read for what its status says', async () => {
    const { url } = await answering(200, { 'content-type': 'application/x-protobuf' }, Buffer.from([0xff, 0xff, 0x01]))
    expect(await httpSend(url, log)('metrics', Buffer.from('m'))).toEqual({ ok: true })
  })

  it('does not follow a redirect, and says where to', async () => {
    const { url } = await answering(301, { location: 'https://elsewhere/' })
    expect(await httpSend(url, log)('metrics', Buffer.from('m'))).toMatchObject({
      ok: false,
      permanent: false,
      message: expect.stringContaining('set that as endpoint'),
    })
  })

  it('says who cannot be reached', async () => {
    const { url } = await answering(200)
    const away = url.replace(/:\d+$/, ':1')
    expect(await httpSend(away, log)('metrics', Buffer.from('m'))).toEqual({
      ok: false,
      permanent: false,
      message: `${away} cannot be reached (ECONNREFUSED); is it running?`,
    })
  })

  it('sends again when an idle connection was closed under it', async () => {
    let requests = 0
    const { got, url } = await makeReceiver(response => {
      requests++
      // the second request on a kept connection dies as if the receiver had just closed it
      if (requests === 2) response.socket?.resetAndDestroy()
      else response.writeHead(200).end()
    })
    const send = httpSend(url, log)
    expect(await send('metrics', Buffer.from('a'))).toEqual({ ok: true })
    expect(await send('metrics', Buffer.from('b'))).toEqual({ ok: true })
    expect(got.map(({ body }) => body)).toEqual(['a', 'b', 'b'])
  })
})

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  it.each([
    ['7', 7000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:59:00 GMT', undefined],
    ['soon', undefined],
    ['99999999', 3_600_000],
    [undefined, undefined],
  ])('%s is %s ms', (header, ms) => {
    expect(parseRetryAfter(header, now)).toBe(ms)
  })
})
