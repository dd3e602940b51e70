/** Who is told, for real: a Prometheus Alertmanager, an SMTP server, a web server that says no. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openStore, type Store } from '../../../ingest/store.ts'
import { openBook } from '../../../query/alerts/book.ts'
import { chatBody, signedUrl } from '../../../query/alerts/chat.ts'
import { MAX_TRIES, type Outbox, openOutbox, waitAfterTries } from '../../../query/alerts/outbox.ts'
import type { Alert, Notice } from '../../../query/alerts/plan.ts'
import type { Receiver, ReceiverOf } from '../../../query/alerts/receiver.ts'
import { openSend } from '../../../query/alerts/send.ts'
import { quiet } from '../place.ts'

const folder = mkdtempSync(join(tmpdir(), 'jobsight-alerts-'))
let store: Store
const clock = { now: Date.now() }
const now = () => clock.now
const send = openSend({ now, pageUrl: 'http://page' })

beforeAll(async () => {
  store = await openStore({ path: join(folder, 'store') }, { log: quiet })
}, 120_000)
afterAll(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

const alert = (node: string, more: Partial<Alert> = {}): Alert => ({
  id: `idle-${node}`,
  rule: 'job-idle',
  severity: 'warning',
  labels: { cluster: 'alpha', rule: 'job-idle', node, job: '4711', user: 'ann', own: '0.1', jobs: '4711' },
  message: `job 4711 does nothing on ${node}`,
  summary: 'A job holds its cores and does nothing.',
  link: `http://page/#/alpha/job/4711/node/${node}`,
  value: 0.01,
  firedMs: clock.now - 60_000,
  ...more,
})
const notice = (receiver: string, firing: Alert[], resolved: Notice['resolved'] = [], to?: string): Notice => ({
  ...{ receiver, group: 'g', groupLabels: { cluster: 'alpha', rule: 'job-idle' }, firing, resolved },
  ...(to === undefined ? {} : { to }),
})

const openBox = async (): Promise<Outbox> => {
  const box = openOutbox(openBook(store, now), send, quiet)
  await box.restore()
  return box
}
/** As a round does: into the store first, then tried. */
async function post(box: Outbox, receiver: Receiver, ...notices: Notice[]): Promise<void> {
  await openBook(store, now).write(box.changesFor(notices, clock.now))
  await box.deliver(new Map([[receiver.name, receiver]]), clock.now)
}

const portOf = (server: { address(): AddressInfo | string | null }): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
const freePort = async (): Promise<number> => {
  const server = createTcp()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const port = portOf(server)
  await new Promise(done => server.close(done))
  return port
}

describe('a webhook', () => {
  let server: Server
  let answer = 200
  const got: { headers: IncomingHttpHeaders; body: string }[] = []
  const hook = (): ReceiverOf<'webhook'> => ({
    ...{ name: 'hook', kind: 'webhook', secret: 'not a secret', headers: { 'x-token': 't' } },
    url: `http://127.0.0.1:${portOf(server)}/in`,
  })

  beforeAll(async () => {
    server = createServer((request, reply) => {
      let body = ''
      request.on('data', chunk => {
        body += String(chunk)
      })
      request.on('end', () => {
        got.push({ headers: request.headers, body })
        reply.writeHead(answer).end('said')
      })
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  })
  afterAll(() => {
    server.close()
  })

  it('gets JSON that is signed with its time', async () => {
    const box = await openBox()
    await post(box, hook(), notice('hook', [alert('n1')], [{ ...alert('n2'), resolvedMs: clock.now }]))
    const [{ headers, body } = { headers: {}, body: '' }] = got
    const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-jobsight-signature'])) ?? []
    expect(signature).toBe(createHmac('sha256', 'not a secret').update(`${seconds}.${body}`).digest('hex'))
    expect(headers).toMatchObject({ 'x-token': 't', 'x-jobsight-delivery': expect.any(String) })
    expect(JSON.parse(body)).toMatchObject({
      status: 'firing',
      alerts: [
        { status: 'firing', labels: { node: 'n1' }, message: 'job 4711 does nothing on n1', endsAt: null },
        { status: 'resolved', labels: { node: 'n2' }, endsAt: new Date(clock.now).toISOString() },
      ],
    })
    expect(box.list()).toEqual([])
    expect(box.counters).toMatchObject({ delivered: 1, failed: 0 })
  })

  it('that fails is tried again, later and later, over restarts, and ends among the dead letters; then again on request', async () => {
    answer = 500
    got.length = 0
    let box = await openBox()
    await post(box, hook(), notice('hook', [alert('n3')]))
    expect(got).toHaveLength(1)
    await box.deliver(new Map([['hook', hook()]]), clock.now)
    expect(got).toHaveLength(1) // not before its time
    for (let tries = 1; tries < MAX_TRIES; tries++) {
      if (tries === 4) box = await openBox() // killed between two tries: the letter is in the store
      expect(box.list()[0]).toMatchObject({
        status: 'waiting',
        tries,
        error: expect.stringContaining('answered 500: said'),
      })
      clock.now += waitAfterTries(tries)
      await box.deliver(new Map([['hook', hook()]]), clock.now)
    }
    expect(got).toHaveLength(MAX_TRIES)
    expect(new Set(got.map(g => g.headers['x-jobsight-delivery'])).size).toBe(1)
    const [dead] = (await openBox()).list()
    expect(dead).toMatchObject({ status: 'dead', tries: MAX_TRIES })
    clock.now += 86_400_000
    await box.deliver(new Map([['hook', hook()]]), clock.now)
    expect(got).toHaveLength(MAX_TRIES)
    answer = 204
    await box.again(dead?.id ?? '', clock.now)
    await box.deliver(new Map([['hook', hook()]]), clock.now)
    expect(got).toHaveLength(MAX_TRIES + 1)
    expect((await openBox()).list()).toEqual([])
  })

  it('that is not there says so, and one without a receiver too', async () => {
    const box = await openBox()
    await post(
      box,
      { ...hook(), url: `http://127.0.0.1:${await freePort()}/` },
      notice('hook', [alert('n4')]),
      notice('gone', [alert('n4')]),
    )
    expect(
      box
        .list()
        .map(d => d.error)
        .sort(),
    ).toEqual([expect.stringMatching(/^cannot reach 127.0.0.1:\d+: /), 'there is no receiver gone any more'])
    for (const { id } of box.list()) await box.drop(id)
  })
})

it('mail reaches an SMTP server, at the address of the owner', async () => {
  const letters: { to: string[]; text: string }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, session, done) {
      let text = ''
      stream.on('data', chunk => {
        text += String(chunk)
      })
      stream.on('end', () => {
        letters.push({ to: session.envelope.rcptTo.map(r => r.address), text })
        done()
      })
    },
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const receiver: Receiver = {
    ...{ name: 'mail', kind: 'mail', from: 'Jobsight <jobsight@example.org>', toOwner: true },
    smtp: { host: '127.0.0.1', port: portOf(server.server) },
  }
  try {
    const box = await openBox()
    const evil = alert('n2', { message: 'job <b>x</b>\r\nBcc: all@example.org' })
    await post(
      box,
      receiver,
      notice('mail', [alert('n1'), evil], [], 'ann@example.org'),
      notice('mail', [evil], [], 'bob@example.org'),
    )
    expect(box.list()).toEqual([])
  } finally {
    await new Promise<void>(done => server.close(done))
  }
  const plain = letters.map(l => ({ ...l, text: l.text.replaceAll('=\r\n', '') }))
  expect(plain.map(l => l.to)).toEqual([['ann@example.org'], ['bob@example.org']])
  expect(plain[0]?.text).toContain('Subject: [Jobsight: 2 firing] alpha job-idle')
  expect(plain[0]?.text).toContain('WARNING: job 4711 does nothing on n1')
  expect(plain[0]?.text).toContain('http://page/#/alpha/job/4711/node/n1')
  expect(plain[0]?.text).toContain('job &lt;b&gt;x&lt;/b&gt;')
  expect(plain[1]?.text.split('\r\n\r\n')[0]).not.toMatch(/^bcc:/im)
})

const ALERTMANAGER = '/usr/bin/prometheus-alertmanager'
describe.skipIf(!existsSync(ALERTMANAGER))('a Prometheus Alertmanager', () => {
  let daemon: ChildProcess | undefined
  let url = ''
  beforeAll(async () => {
    const config = join(folder, 'alertmanager.yml')
    writeFileSync(config, 'route: { receiver: none, group_by: [alertname] }\nreceivers: [{ name: none }]\n')
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const flags = [
      `--config.file=${config}`,
      `--storage.path=${join(folder, 'am')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]
    daemon = spawn(ALERTMANAGER, [...flags, '--cluster.listen-address='], { stdio: 'ignore' })
    await vi.waitFor(async () => expect((await fetch(`${url}/-/ready`)).status).toBe(200), { timeout: 60_000 })
  }, 90_000)
  afterAll(() => {
    daemon?.kill()
  })

  it('receives alerts, groups them by rule, and learns of their end', async () => {
    const ask = async <T>(path: string): Promise<T> => (await (await fetch(`${url}/api/v2/${path}`)).json()) as T
    clock.now = Date.now()
    const receiver: Receiver = { name: 'am', kind: 'alertmanager', url }
    const box = await openBox()
    const full = alert('n1', { rule: 'filesystem-full', id: 'full', severity: 'critical' })
    await post(box, receiver, notice('am', [alert('n1'), alert('n2'), full]))
    expect(box.list()).toEqual([])
    const groups =
      await ask<
        { labels: Record<string, string>; alerts: { labels: Record<string, string>; generatorURL: string }[] }[]
      >('alerts/groups')
    expect(groups.map(g => [g.labels.alertname, g.alerts.length]).sort()).toEqual([
      ['filesystem-full', 1],
      ['job-idle', 2],
    ])
    expect(groups.flatMap(g => g.alerts).find(a => a.labels.alertname === 'filesystem-full')).toMatchObject({
      labels: { severity: 'critical', node: 'n1', job: '4711', cluster: 'alpha' },
      generatorURL: 'http://page/#/alpha/job/4711/node/n1',
    })
    // The distance and the jobs on the node change while it fires: no part of an identity.
    const same = alert('n2', { labels: { ...alert('n2').labels, own: '0.2', jobs: '4711 4712' } })
    await post(box, receiver, notice('am', [same, full], [{ ...alert('n1'), resolvedMs: Date.now() - 1000 }]))
    const active = await ask<{ labels: Record<string, string> }[]>('alerts?active=true')
    expect(active.map(a => `${a.labels.alertname} ${a.labels.node}`).sort()).toEqual([
      'filesystem-full n1',
      'job-idle n2',
    ])
  })
})

describe('chats', () => {
  const chat = (kind: 'slack' | 'dingtalk' | 'feishu' | 'wecom', more: object = {}): ReceiverOf<typeof kind> => ({
    ...{ name: 'c', kind, url: 'https://chat.example/robot?access_token=x' },
    ...more,
  })
  const said = notice(
    'c',
    [alert('n1', { message: 'job <!channel> [x](y) @all' })],
    [{ ...alert('n2'), resolvedMs: 1 }],
  )

  it.each([
    [
      'slack',
      {
        text: expect.stringContaining(
          '• *warning* <http://page/#/alpha/job/4711/node/n1|job &lt;!channel&gt; [x](y) @all>',
        ),
      },
    ],
    [
      'dingtalk',
      {
        msgtype: 'markdown',
        markdown: { title: expect.any(String), text: expect.stringContaining('\\[x\\]\\(y\\) ＠all') },
      },
    ],
    ['wecom', { msgtype: 'markdown', markdown: { content: expect.stringContaining('- **resolved**') } }],
    ['feishu', { msg_type: 'text', content: { text: expect.stringContaining('warning: job') } }],
  ] as const)('%s gets its own body', (kind, body) => {
    expect(chatBody(chat(kind), said, '', 0)).toEqual(body)
  })

  it('lets no name of a job call everyone', () => {
    for (const kind of ['slack', 'dingtalk', 'wecom'] as const) {
      const one = notice('c', [alert('n1', { message: 'job <!channel> <@U1> @all' })])
      expect(JSON.stringify(chatBody(chat(kind), one, '', 0)), kind).not.toMatch(kind === 'slack' ? /<!|<@/ : /<|@all/)
    }
  })

  it('takes a template', () => {
    const receiver = chat('slack', { template: '{status} {count} of {rule} at {link}' })
    expect(chatBody(receiver, said, 'http://page', 0)).toEqual({ text: 'firing 2 of job-idle at http://page' })
  })

  it('are signed as they ask', () => {
    const signed = new URL(signedUrl(chat('dingtalk', { secret: 'SEC1' }), 1_700_000_000_000))
    const sign = createHmac('sha256', 'SEC1').update('1700000000000\nSEC1').digest('base64')
    expect(Object.fromEntries(signed.searchParams)).toEqual({ access_token: 'x', timestamp: '1700000000000', sign })
    expect(chatBody(chat('feishu', { secret: 's' }), said, '', 1_700_000_000_000)).toMatchObject({
      timestamp: '1700000000',
      sign: createHmac('sha256', '1700000000\ns').update('').digest('base64'),
    })
  })

  it('that answer 200 and did not take it are a failure', async () => {
    const server = createServer((_, reply) => reply.end('{"errcode":310000,"errmsg":"sign not match"}'))
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const box = await openBox()
    await post(box, { ...chat('dingtalk'), url: `http://127.0.0.1:${portOf(server)}/` }, said)
    server.close()
    expect(box.list()[0]?.error).toContain('sign not match')
    await box.drop(box.list()[0]?.id ?? '')
  })
})
