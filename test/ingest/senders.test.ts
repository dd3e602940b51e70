/** Who may send, and for which cluster: tokens and client certificates at the doors, and what a collector makes of a refusal. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { openCredentials } from '../../collector/credentials.ts'
import { httpSend, openOutbox } from '../../collector/outbox.ts'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { addToken, openSenders, parseTokens } from '../../ingest/senders.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { readTls, startRenewing } from '../../ingest/tls.ts'

const quiet = pino({ level: 'silent' })
const dir = mkdtempSync(join(tmpdir(), 'jobsight-senders-'))
const at = (name: string) => join(dir, name)
const tokensFile = at('tokens.yaml')

/** A small authority of our own: the server's certificate, and those of three nodes. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    )
  const signed = (name: string, subject: string, by: string) => {
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      subject,
    )
    writeFileSync(at(`${name}.ext`), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${by}.pem`,
      '-CAkey',
      `${by}.key`,
      '-CAcreateserial',
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
    )
  }
  authority('ca')
  authority('stranger')
  signed('server', '/CN=server', 'ca')
  signed('n1', '/CN=n1/OU=hpc1', 'ca')
  signed('n2', '/CN=n2', 'ca')
  signed('liar', '/CN=n1/OU=hpc1', 'stranger')
}

let store: Store
let ingest: Ingest
let app: FastifyInstance
let url: string
let token: string

beforeAll(async () => {
  makeCertificates()
  token = addToken(tokensFile, 'hpc1')
  addToken(tokensFile, 'hpc2')
  store = await openStore({ path: at('store') }, { log: quiet })
  const senders = openSenders({ tokensFile, certificates: true, defaultCluster: 'hpc2' }, quiet)
  ingest = await openIngest({ store, log: quiet, defaultCluster: 'hpc2', senders })
  const tls = readTls({ cert: at('server.pem'), key: at('server.key'), clientCa: at('ca.pem') })
  app = fastify({ https: tls ?? null }) as unknown as FastifyInstance
  await app.register(ingest.plugin)
  url = await app.listen({ port: 0, host: '127.0.0.1' })
}, 60_000)
afterAll(async () => {
  await app.close()
  await ingest.close()
  await store.close()
  rmSync(dir, { recursive: true })
})

interface Shown {
  prefer?: string
  'idempotency-key'?: string
  authorization?: string
  origin?: string
  certificate?: string
}

const bodies = {
  '/v1/jobs': (cluster: string) => ({
    jobs: [{ cluster, id: '1', scheduler: 'other', state: 'running', updatedMs: Date.now() }],
  }),
  '/v1/metrics': (cluster: string) => ({
    resourceMetrics: [
      {
        resource: { attributes: [attribute('jobsight.cluster', cluster), attribute('host.name', 'n1')] },
        scopeMetrics: [
          { metrics: [{ name: 'x.y', gauge: { dataPoints: [{ timeUnixNano: `${Date.now()}000000`, asDouble: 1 }] } }] },
        ],
      },
    ],
  }),
  '/v1development/profiles': (cluster: string) => ({
    resourceProfiles: [
      {
        resource: { attributes: [attribute('jobsight.cluster', cluster)] },
        scopeProfiles: [{ profiles: [{ timeUnixNano: `${Date.now()}000000`, samples: [] }] }],
      },
    ],
  }),
} as const
type Path = keyof typeof bodies

function attribute(key: string, stringValue: string) {
  return { key, value: { stringValue } }
}

function post(
  path: string,
  body: unknown,
  { certificate, ...headers }: Shown,
): Promise<{ status: number; text: string }> {
  const shown =
    certificate === undefined
      ? {}
      : { cert: readFileSync(at(`${certificate}.pem`)), key: readFileSync(at(`${certificate}.key`)) }
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      ca: readFileSync(at('ca.pem')),
      agent: false,
      ...shown,
      headers: { 'content-type': 'application/json', ...headers },
    }
    const request = https.request(new URL(path, url), options, response => {
      let text = ''
      response.on('data', part => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    request.on('error', reject)
    request.end(JSON.stringify(body))
  })
}

const rowsOf = async (cluster: string) =>
  (
    await store.query<{ id: string }>(
      { query: 'SELECT DISTINCT id FROM jobs WHERE cluster = {c:String}', query_params: { c: cluster } },
      { name: 'test' },
    )
  ).length

describe('a door', () => {
  for (const path of ['/v1/jobs', '/v1/metrics', '/v1development/profiles'] satisfies Path[]) {
    it(`${path} takes records of the cluster that a token or certificate is of, and no others`, async () => {
      const bearer = { authorization: `Bearer ${token}` }
      expect((await post(path, bodies[path]('hpc1'), bearer)).status).toBe(200)
      expect((await post(path, bodies[path]('hpc1'), { authorization: `Token ${token}` })).status).toBe(200)
      expect(
        (
          await post(path, bodies[path]('hpc1'), {
            authorization: `Basic ${Buffer.from(`any:${token}`).toString('base64')}`,
          })
        ).status,
      ).toBe(200)
      expect((await post(path, bodies[path]('hpc1'), { certificate: 'n1' })).status).toBe(200)
      expect((await post(path, bodies[path]('hpc2'), { certificate: 'n2' })).status, 'no OU: the server’s own').toBe(
        200,
      )
      for (const other of [bearer, { certificate: 'n1' }]) {
        const refused = await post(path, bodies[path]('hpc2'), other)
        expect([refused.status, refused.text]).toEqual([
          403,
          expect.stringContaining('the sender speaks for cluster hpc1, and this is of hpc2'),
        ])
      }
      for (const bad of [
        {},
        { authorization: 'Bearer jsc_wrong' },
        { authorization: 'Bearer ' },
        { certificate: 'liar' },
        { certificate: 'stranger' },
      ]) {
        const refused = await post(path, bodies[path]('hpc1'), bad)
        expect([refused.status, refused.text], JSON.stringify(bad)).toEqual([
          401,
          expect.stringContaining('jobsight token CLUSTER'),
        ])
      }
    })
  }

  it('took nothing of what it refused', async () => {
    await post('/v1/jobs', { jobs: [] }, { authorization: `Bearer ${token}`, prefer: 'wait' })
    expect([await rowsOf('hpc1'), await rowsOf('hpc2')]).toEqual([1, 1])
  })

  it('does not know a batch that it refused, when it comes again with the right token', async () => {
    const other = addToken(tokensFile, 'hpc3')
    await again()
    const key = { 'idempotency-key': 'of-a-sender-1', prefer: 'wait' }
    // Both in one turn: the rows of the first are under way when the second is refused.
    const send = (cluster: string, headers: Record<string, string>) =>
      app.inject({
        method: 'POST',
        url: '/v1/jobs',
        payload: JSON.stringify(bodies['/v1/jobs'](cluster)),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
      })
    const [taken, refused] = await Promise.all([send('hpc1', {}), send('hpc3', key)])
    expect([taken.statusCode, refused.statusCode]).toEqual([200, 403])
    expect(
      (await post('/v1/jobs', bodies['/v1/jobs']('hpc3'), { authorization: `Bearer ${other}`, ...key })).status,
    ).toBe(200)
    expect(await rowsOf('hpc3')).toBe(1)
  })

  it('takes nothing that a browser sends for another site', async () => {
    const refused = await post('/v1/jobs', bodies['/v1/jobs']('hpc1'), {
      authorization: `Bearer ${token}`,
      origin: 'https://evil.example',
    })
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('page of another site')])
  })

  it('of the control line opens for its cluster alone', async () => {
    const join = (authorization: string, cluster: string) =>
      new Promise<string>(resolve => {
        const socket = new WebSocket(`${url.replace('https', 'wss')}/v1/control`, {
          headers: { authorization },
          ca: readFileSync(at('ca.pem')),
        })
        socket.on('open', () => {
          socket.send(JSON.stringify({ hello: { cluster, node: 'n1' } }))
          socket.ping()
        })
        socket.on('pong', () => {
          resolve('open')
          socket.close()
        })
        socket.on('close', (_, reason) => resolve(String(reason)))
        socket.on('error', error => resolve(error.message))
      })
    expect(await join('Bearer no', 'hpc1')).toContain('401')
    expect(await join(`Bearer ${token}`, 'hpc2')).toContain('speaks for cluster hpc1, not for hpc2')
    expect(await join(`Bearer ${token}`, 'hpc1')).toBe('open')
  })
})

describe('tokens', () => {
  it('are several at a time, kept as hashes for their owner alone, and end when they leave the file', async () => {
    const second = addToken(tokensFile, 'hpc1')
    expect(readFileSync(tokensFile, 'utf8')).not.toContain(second)
    expect(statSync(tokensFile).mode & 0o777).toBe(0o600)
    await again()
    for (const known of [token, second])
      expect((await post('/v1/jobs', { jobs: [] }, { authorization: `Bearer ${known}` })).status).toBe(200)
    const kept = readFileSync(tokensFile, 'utf8')
    writeFileSync(tokensFile, kept.replace(/- sha256:[0-9a-f]+\n/, ''))
    await again()
    expect((await post('/v1/jobs', { jobs: [] }, { authorization: `Bearer ${token}` })).status).toBe(401)
    expect((await post('/v1/jobs', { jobs: [] }, { authorization: `Bearer ${second}` })).status).toBe(200)
    writeFileSync(tokensFile, kept)
    await again()
  })

  it('that are none are refused in words', () => {
    for (const text of ['hpc1: token', '[]', 'hpc1: [short]', 'hpc1: [1]'])
      expect(() => parseTokens(text), text).toThrow('expected CLUSTER: [TOKEN, …]')
  })
})

/** The file is looked at once a second. */
const again = () => new Promise(resolve => setTimeout(resolve, 1100))

describe('a collector', () => {
  it('keeps what is refused for its token, says what to do, and sends it when the token is right', async () => {
    const tokenFile = at('token')
    writeFileSync(tokenFile, 'jsc_of-another-day\n')
    const said: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void said.push(line) })
    const outbox = openOutbox(
      { path: at('spool'), maxBytes: 1 << 20, memoryBytes: 1 << 20 },
      { send: httpSend(url, log, openCredentials({ tokenFile, tls: { ca: at('ca.pem') } })), log },
    )
    outbox.put('jobs', Buffer.from(JSON.stringify({ jobs: [{ ...bodies['/v1/jobs']('hpc1').jobs[0], id: 'kept' }] })))
    while (outbox.counters().retried === 0) await new Promise(resolve => setTimeout(resolve, 20))
    expect(outbox.counters()).toMatchObject({ sent: 0, refused: 0, waiting: 1 })
    expect(said.join()).toContain('run `jobsight token CLUSTER` on the server')
    writeFileSync(tokenFile, `${token}\n`)
    while (outbox.counters().sent === 0) await new Promise(resolve => setTimeout(resolve, 20))
    await outbox.close(1000)
  })

  it('without a file that it needs says which', () => {
    expect(() => openCredentials({ tokenFile: at('nowhere'), tls: {} })).toThrow('collector.tokenFile: cannot read')
    writeFileSync(at('empty'), '\n')
    expect(() => openCredentials({ tokenFile: at('empty'), tls: {} })).toThrow('holds no token')
  })
})

describe('TLS', () => {
  it('needs both files, and takes up a renewed certificate', async () => {
    expect(() => readTls({ cert: at('server.pem') })).toThrow('tls needs both tls.cert and tls.key')
    expect(() => readTls({ cert: at('server.pem'), key: at('nowhere') })).toThrow('tls.key: cannot read')
    expect(readTls({})).toBeUndefined()
    const paths = { cert: at('live.pem'), key: at('live.key') }
    const put = (name: string) => {
      writeFileSync(paths.cert, readFileSync(at(`${name}.pem`)))
      writeFileSync(paths.key, readFileSync(at(`${name}.key`)))
    }
    put('server')
    const server = https
      .createServer({ cert: readFileSync(paths.cert), key: readFileSync(paths.key) })
      .listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const stop = startRenewing(paths, server, quiet, 20)
    const subject = () =>
      new Promise<string>((resolve, reject) => {
        const request = https.request({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }, response =>
          response.resume(),
        )
        request.on('socket', socket =>
          socket.on('secureConnect', () =>
            resolve(
              String(
                ('getPeerCertificate' in socket
                  ? (socket as import('node:tls').TLSSocket).getPeerCertificate()
                  : { subject: { CN: '' } }
                ).subject.CN,
              ),
            ),
          ),
        )
        request.on('error', reject)
        request.end()
      })
    expect(await subject()).toBe('server')
    put('n2')
    let now = ''
    for (let i = 0; i < 200 && now !== 'n2'; i++) now = await subject()
    expect(now).toBe('n2')
    stop()
    server.closeAllConnections()
    server.close()
  })
})
