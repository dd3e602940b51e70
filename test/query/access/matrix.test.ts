/** Every route asked as everyone, on nodes that people share: nobody reads a word of somebody else's. */
import { once } from 'node:events'
import { promisify } from 'node:util'
import fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { COLUMNS } from '../../../ingest/metrics.ts'
import { RULES, type Rule, requireRules, rulesOf } from '../../../ingest/rule.ts'
import { type Access, notSignedIn } from '../../../query/access/gate.ts'
import { allows, type Role, type Who } from '../../../query/access/who.ts'
import type {
  Functions,
  Heatmap,
  JobBands,
  JobDetail,
  Jobs,
  NodeDetail,
  Nodes,
  Processes,
  Search,
  Series,
} from '../../../query/api.ts'
import { openAsker } from '../../../query/asker.ts'
import { ownJobs, reachOf } from '../../../query/reach.ts'
import { sql } from '../../../query/sql.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from '../place.ts'
import { MARK, NOW, writeWorld } from './world.ts'

const person = (user: string, roles: Role[], accounts: string[] = []): Who => ({
  user,
  roles,
  accounts,
  via: 'password',
})
const PEOPLE: Record<string, Who> = {
  ann: person('ann', ['user']),
  bob: person('bob', ['user']),
  dave: person('dave', ['user']),
  paula: person('paula', ['manager'], ['physics']),
  sue: person('sue', ['support']),
  adam: person('adam', ['admin']),
  nobody: person('nobody', []),
  scheduler: { user: '', roles: [], accounts: [], via: 'collector', cluster: 'alpha' },
}

/** Whose words each may read. */
const READS: Record<string, (keyof typeof MARK)[]> = {
  ann: ['ann'],
  bob: ['bob'],
  dave: [],
  paula: ['ann', 'carol'],
  sue: ['ann', 'bob', 'carol', 'root'],
  adam: ['ann', 'bob', 'carol', 'root'],
}

const byHeader: Access = {
  ways: { password: false, oidc: false },
  identify: async request => {
    const name = request.headers['x-test-who']
    if (name === undefined) return undefined
    const who = PEOPLE[String(name)]
    if (!who) throw notSignedIn('nobody of that name')
    return who
  },
}

interface Route {
  method: string
  url: string
  rules: readonly Rule[]
  parameters: string[]
}

let place: Place
let routes: Route[]

beforeAll(async () => {
  routes = []
  place = await openPlace({ access: byHeader, onRoute: route => routes.push(...routesOf(route)) })
  await writeWorld(place)
}, 60_000)

function routesOf({ method, url, config, schema }: RouteOptions): Route[] {
  const query: unknown = schema?.querystring
  const properties = typeof query === 'object' && query !== null && 'properties' in query ? query.properties : {}
  const parameters = Object.keys(properties ?? {})
  return [method].flat().map(m => ({ method: m, url, rules: rulesOf(config ?? {}), parameters }))
}

type Params = Record<string, string>

async function get(app: FastifyInstance, who: string | undefined, url: string, query: Params = {}) {
  const headers = who === undefined ? {} : { 'x-test-who': who }
  const { statusCode, body } = await app.inject({ url, query, headers })
  return { status: statusCode, body }
}

const ask = async <T>(who: string, path: string, query: Params = {}): Promise<T> => {
  const { status, body } = await get(place.app, who, `/api/v1${path}`, query)
  expect(status, `${who} ${path} ${JSON.stringify(query)}: ${body.slice(0, 300)}`).toBe(200)
  return JSON.parse(body)
}

/** What a curious reader would try: scopes of everyone's, by every name there is. The first ones are everybody's. */
const SCOPES: Params[] = [
  {},
  { cluster: 'alpha', job: '12' },
  { cluster: 'alpha', node: 'n1', pid: '112', from: String(T0), to: String(NOW) },
  { cluster: 'alpha', job: '11', from: String(T0 - 3 * 86_400_000), to: String(NOW) },
  { cluster: 'alpha', from: String(T0 - HOUR), to: String(NOW) },
  { cluster: 'alpha', node: 'n3' },
  { cluster: 'alpha', node: 'n1,n2', user: 'bob' },
  { cluster: 'alpha', job: 'k12' },
  { cluster: 'alpha', job: '1' },
  { cluster: 'beta', job: '12' },
  { cluster: 'alpha', user: 'ann' },
  { cluster: 'alpha', user: 'zed' },
]
const TRIED: Record<string, number> = { ann: SCOPES.length, paula: 4, dave: 2, bob: 1, sue: 1, adam: 1 }
const NEEDED: Record<string, string> = { metrics: 'cpu_busy,job.cpu_user', q: 'mark', order: 'job', otherJob: '12' }

/** Questions of a route: each scope, as far as the route takes it; what it needs beside is filled in. */
function questionsOf({ url, parameters }: Route, scopes: readonly Params[]): { url: string; query: Params }[] {
  const asked = new Map<string, { url: string; query: Params }>()
  for (const scope of scopes) {
    const node = scope.node?.split(',')[0] ?? 'n3'
    const must = url === '/api/v1/process' ? { node, pid: '112', from: String(T0), to: String(NOW) } : NEEDED
    const all = { ...must, ...scope }
    const query = Object.fromEntries(Object.entries(all).filter(([name]) => parameters.includes(name)))
    const question = { url: url.replace(':id', scope.job ?? '12').replace(':node', node), query }
    asked.set(JSON.stringify(question), question)
  }
  return [...asked.values()]
}

const readable = () => routes.filter(r => r.method === 'GET' && r.rules.includes('rows') && !r.url.endsWith('/live'))

describe('the matrix', () => {
  it('knows every route, and each has a rule', () => {
    expect(routes.length).toBeGreaterThan(25)
    expect(routes.filter(route => route.rules.length === 0)).toEqual([])
    expect(readable().map(route => route.url)).toEqual(
      expect.arrayContaining([
        '/api/v1/jobs',
        '/api/v1/jobs/:id',
        '/api/v1/flame',
        '/api/v1/stacks',
        '/api/v1/search',
        '/api/v1/compare',
      ]),
    )
  })

  it('answers nobody who is not signed in, has no role, is a collector, or shows what is no good', async () => {
    for (const { url, rules } of routes.filter(r => r.method === 'GET' && !r.rules.includes('anyone'))) {
      const path = url.replace(':id', '12').replace(':node', 'n1')
      expect((await get(place.app, undefined, path)).status, path).toBe(401)
      expect((await get(place.app, 'mallory', path)).status, path).toBe(401)
      expect((await get(place.app, 'nobody', path)).status, path).toBe(403)
      expect((await get(place.app, 'scheduler', path)).status === 403, path).toBe(!rules.includes('collector'))
    }
  })

  it('changes nothing for who may not: every other method asked as everyone', async () => {
    const writing = routes.filter(r => !['GET', 'HEAD', 'OPTIONS'].includes(r.method) && !r.rules.includes('anyone'))
    expect(new Set(writing.map(route => route.method))).toEqual(new Set(['POST', 'PUT', 'DELETE']))
    for (const { method, url, rules } of writing) {
      const path = url.replaceAll(/:\w+/g, '12')
      const statusOf = async (who?: string) => {
        const headers = who === undefined ? {} : { 'x-test-who': who }
        const verb = method as 'POST' | 'PUT' | 'DELETE'
        return (await place.app.inject({ method: verb, url: path, headers })).statusCode
      }
      expect(await statusOf(), `${method} ${path}`).toBe(401)
      expect(await statusOf('mallory'), `${method} ${path}`).toBe(401)
      for (const [name, who] of Object.entries(PEOPLE)) {
        const status = await statusOf(name)
        const where = `${method} ${path} as ${name}: ${status}`
        // Who may is told what is wrong with an empty request, not that they may not.
        if (allows(rules, who)) expect([401, 403], where).not.toContain(status)
        else expect(status, where).toBe(403)
        expect(status, where).toBeLessThan(500)
      }
    }
  })

  it('tells support and administrators all, nobody else a word that is not theirs', async () => {
    const heard = new Map(Object.keys(READS).map(who => [who, new Set<string>()]))
    for (const route of readable()) {
      for (const [who, reads] of Object.entries(READS)) {
        for (const { url, query } of questionsOf(route, SCOPES.slice(0, TRIED[who]))) {
          const { status, body } = await get(place.app, who, url, query)
          expect(status, `${who} ${url} ${JSON.stringify(query)} ${body.slice(0, 300)}`).toBeLessThan(500)
          for (const [whose, mark] of Object.entries(MARK)) {
            const at = body.indexOf(mark)
            if (at < 0) continue
            const where = `${who} reads of ${whose} at ${url} ${JSON.stringify(query)}: …${body.slice(Math.max(0, at - 80), at + 80)}…`
            expect(reads, where).toContain(whose)
            heard.get(who)?.add(`${route.url} ${whose}`)
          }
        }
      }
    }
    // The test can fail: each reads something of their own through the same routes.
    for (const [who, [whose]] of Object.entries(READS)) {
      if (whose === undefined) expect(heard.get(who)).toEqual(new Set())
      else for (const url of OWN_ROUTES) expect(heard.get(who), who).toContain(`${url} ${whose}`)
    }
  }, 240_000)
})

const OWN_ROUTES = ['jobs', 'flame', 'functions', 'processes', 'stacks', 'search', 'bands'].map(
  name => `/api/v1/${name}`,
)

const all = { cluster: 'alpha', from: String(T0 - HOUR), to: String(NOW) }

describe('rows', () => {
  it('of a node: its totals while own jobs ran there, also where others did', async () => {
    const minutesOf = async (who: string, node: string) => {
      const { series, from, bucketMs } = await ask<Series>(who, '/series', {
        ...all,
        node,
        metrics: 'cpu_busy',
        buckets: '90',
      })
      const values = series[0]?.values ?? []
      return values.flatMap((value, i) => (value === null ? [] : [(from + (i + 1) * bucketMs - T0) / MINUTE]))
    }
    const minutes = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
    expect(await minutesOf('ann', 'n1')).toEqual(minutes(1, 20))
    expect(await minutesOf('bob', 'n1')).toEqual(minutes(6, 30))
    expect(await minutesOf('paula', 'n4')).toEqual(minutes(1, 30))
    expect(await minutesOf('sue', 'n1')).toEqual(minutes(-29, 30))
    const heat = await ask<Heatmap>('ann', '/heatmap', all)
    expect(heat.nodes.sort()).toEqual(['n1', 'n2'])
  })

  it('of job.* metrics: those of own jobs', async () => {
    const instances = async (who: string) => {
      const { series } = await ask<Series>(who, '/series', { ...all, node: 'n1', metrics: 'job.cpu_user' })
      return series.map(line => line.instance)
    }
    expect(await instances('ann')).toEqual(['11'])
    expect(await instances('bob')).toEqual(['12'])
    expect(await instances('adam')).toEqual(['11', '12'])
    const node = await ask<NodeDetail>('bob', '/nodes/n1', all)
    expect(node.instances.job).not.toContain('11')
  })

  it('of processes and stacks: of own jobs, and own processes outside of jobs', async () => {
    const names = async (who: string) => {
      const { processes, total } = await ask<Processes>(who, '/processes', { ...all, node: 'n1' })
      expect(total).toBe(processes.length)
      return processes.map(p => `${p.pid} ${p.user}`).sort()
    }
    expect(await names('ann')).toEqual(['111 ann', '50 ann'])
    expect(await names('bob')).toEqual(['112 bob'])
    expect(await names('paula')).toEqual(['111 ann'])
    expect(await names('adam')).toEqual(['1 root', '111 ann', '112 bob', '50 ann'])
    const functions = await ask<Functions>('ann', '/functions', { ...all, node: 'n1' })
    expect([functions.seconds, functions.functions.map(row => row.function)]).toEqual([19, [`${MARK.ann}_function`]])
  })

  it('of an id that came again: each in the time of the own job', async () => {
    const wide = { cluster: 'alpha', from: String(T0 - 3 * 24 * HOUR), to: String(NOW) }
    expect((await ask<Functions>('ann', '/jobs/11/functions', wide)).seconds).toBe(38)
    expect((await ask<Functions>('bob', '/jobs/11/functions', wide)).seconds).toBe(9)
    expect((await ask<Functions>('adam', '/jobs/11/functions', wide)).seconds).toBe(47)
    expect((await ask<JobDetail>('bob', '/jobs/11', { cluster: 'alpha' })).record.user).toBe('bob')
    expect((await ask<JobDetail>('ann', '/jobs/12', { cluster: 'beta' })).record.user).toBe('ann')
  })

  it('of lists: own jobs, counted without the others; nodes that own jobs hold now', async () => {
    const ids = async (who: string) => {
      const { jobs, total } = await ask<Jobs>(who, '/jobs', { cluster: 'alpha' })
      expect(total).toBe(jobs.length)
      return jobs.map(job => `${job.id} ${job.user}`).sort()
    }
    expect(await ids('ann')).toEqual(['11 ann'])
    expect(await ids('bob')).toEqual(['11 bob', '12 bob'])
    expect(await ids('paula')).toEqual(['11 ann', '13 carol'])
    expect(await ids('dave')).toEqual([])
    expect(await ids('sue')).toHaveLength(4)
    const nodes = async (who: string) =>
      (await ask<Nodes>(who, '/nodes', { cluster: 'alpha' })).nodes.map(n => n.node).sort()
    expect(await nodes('ann')).toEqual([])
    expect(await nodes('bob')).toEqual(['n1', 'n3'])
    expect(await nodes('adam')).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
    expect((await ask<JobBands>('ann', '/bands', { ...all, node: 'n1' })).jobs.map(job => job.user)).toEqual(['ann'])
    expect(
      (await ask<Search>('ann', '/search', { q: 'n' })).hits.filter(hit => hit.kind === 'node').map(hit => hit.name),
    ).toEqual(['n1', 'n2', 'n9'])
  })

  it('that are not the reader’s are refused in the words of those that are not there', async () => {
    const refusal = async (path: string, query: Params = {}) => {
      const { status, body } = await get(place.app, 'ann', `/api/v1${path}`, { cluster: 'alpha', ...query })
      return { status, message: JSON.parse(body).error.message.replaceAll(/\b(12|99|n3|n77|bob|zed)\b/g, '?') }
    }
    for (const [there, nowhere] of [
      [refusal('/jobs/12'), refusal('/jobs/99')],
      [refusal('/nodes/n3'), refusal('/nodes/n77')],
      [refusal('/flame', { user: 'bob' }), refusal('/flame', { user: 'zed' })],
      [refusal('/process', { node: 'n3', pid: '112' }), refusal('/process', { node: 'n77', pid: '112' })],
      [refusal('/process', { node: 'n1', pid: '12' }), refusal('/process', { node: 'n1', pid: '99' })],
    ] as const) {
      expect((await there).status).toBe(404)
      expect(await there).toEqual(await nowhere)
    }
  })

  it('are the condition of every question: one without is not asked for a reader who does not see all', async () => {
    const asker = openAsker(place.store, NOW, undefined, reachOf('ann', []))
    await expect(asker.rows('all jobs', sql`SELECT id FROM jobs`)).rejects.toThrow(
      '"all jobs" reads jobs but keeps 0 of them',
    )
    await expect(
      asker.columns(
        'two',
        sql`SELECT 1 FROM processes WHERE ${ownJobs(asker.reach) ?? sql`true`} AND job IN (SELECT id FROM jobs)`,
      ),
    ).rejects.toThrow('processes, jobs')
    expect(
      await asker.rows(
        'own jobs',
        sql`SELECT id FROM jobs WHERE ${ownJobs(asker.reach) ?? sql`true`} ORDER BY cluster`,
      ),
    ).toEqual([{ id: '11' }, { id: '12' }])
    expect(await asker.unlimited().rows('all jobs', sql`SELECT id FROM jobs`)).toHaveLength(5)
  })
})

describe('live', () => {
  const sockets: WebSocket[] = []
  afterAll(() => {
    for (const socket of sockets) socket.terminate()
  })
  const point = (node: string, timeMs: number) => ({
    entity: 'node' as const,
    cluster: 'alpha',
    node,
    instance: '',
    timeMs,
    intervalMs: 10_000,
    values: Float64Array.from(COLUMNS.node, () => 1),
  })

  it('tells of nodes while own jobs run there, and of no others; nobody else gets a line', async () => {
    const url = (await place.app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
    const heard = new Map<string, Set<string>>()
    const join = async (who: string, headers: Record<string, string> = {}) => {
      const socket = new WebSocket(`${url}/api/v1/live`, { headers: { 'x-test-who': who, ...headers } })
      sockets.push(socket)
      const nodes = new Set<string>()
      heard.set(who, nodes)
      socket.on('message', text => {
        for (const node of JSON.parse(String(text)).nodes) nodes.add(node)
      })
      await once(socket, 'open')
      socket.send(JSON.stringify({ cluster: 'alpha', metrics: ['cpu_busy'] }))
    }
    for (const who of ['ann', 'bob', 'paula', 'adam']) await join(who)
    for (let i = 0; i < 500 && !(heard.get('bob')?.size && heard.get('paula')?.size && heard.get('adam')?.size); i++) {
      place.written(['n1', 'n2', 'n3', 'n4', 'n5'].map(node => point(node, NOW)))
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    const nodesOf = (who: string) => [...(heard.get(who) ?? [])].sort()
    expect(nodesOf('adam')).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
    expect(nodesOf('bob')).toEqual(['n1', 'n3'])
    expect(nodesOf('paula')).toEqual(['n4'])
    expect(nodesOf('ann')).toEqual([])
    for (const who of ['mallory', 'nobody', 'scheduler']) await expect(join(who)).rejects.toThrow(/40[13]/)
    await expect(join('ann', { origin: 'https://evil.example' })).rejects.toThrow('403')
    // Those that were refused hold no connection.
    const connections = promisify(place.app.server.getConnections.bind(place.app.server))
    await vi.waitFor(async () => expect(await connections()).toBe(4))
  })
})

describe('rules', () => {
  it('allow what each role is for', () => {
    const table = Object.fromEntries(
      Object.keys(RULES).map(rule => [
        rule,
        Object.keys(PEOPLE)
          .filter(who => allows([rule as Rule], PEOPLE[who] as Who))
          .join(' '),
      ]),
    )
    expect(table).toEqual({
      anyone: 'ann bob dave paula sue adam nobody scheduler',
      reader: 'ann bob dave paula sue adam',
      rows: 'ann bob dave paula sue adam',
      everything: 'sue adam',
      act: 'ann bob dave paula adam',
      administer: 'adam',
      collector: 'scheduler',
    })
  })

  it('are missing nowhere: a route without one, or with one that is none, stops the start', () => {
    const app = fastify()
    requireRules(app)
    expect(() => app.get('/open', () => 'all')).toThrow('GET /open has no rule of who may use it')
    expect(() => app.get('/odd', { config: { access: 'root' as Rule } }, () => 'all')).toThrow('has no rule')
    expect(() => app.get('/none', { config: { access: [] } }, () => 'all')).toThrow('has no rule')
    app.get('/fine', { config: { access: ['rows', 'collector'] } }, () => 'all')
  })
})
