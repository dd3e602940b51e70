/** Foreign text in every parameter of every route: refused or not found, never a statement, never a failure. */
import { beforeAll, describe, expect, it } from 'vitest'
import { openPlace, type Place, T0 } from './place.ts'

const EVIL = [
  "' OR '1'='1",
  "'; DROP TABLE jobs; --",
  '"; DROP TABLE jobs; --',
  '`; DROP TABLE jobs',
  "\\'; DROP TABLE jobs; --",
  'a\n\nDROP TABLE jobs;\n\n',
  '{p0:String}',
  ') UNION ALL SELECT * FROM system.settings --',
  '$heredoc$',
  '%00\u0000',
  '\ud800',
  '../../../etc/passwd',
  '漢字🙂',
  'x'.repeat(5000),
  '1e400',
  '-1',
  'NaN',
  '[1,2]',
  'constructor',
  '__proto__',
]

let place: Place
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
interface Told {
  parameters?: { name: string; in: string }[]
  requestBody?: { content?: Record<string, { schema?: { properties?: object } }> }
}
let routes: { method: Method; path: string; parameters: { name: string; in: string }[] }[]

beforeAll(async () => {
  place = await openPlace()
  const row = {
    cluster: 'alpha',
    id: '7',
    state: 'running',
    submit_ms: T0,
    start_ms: T0,
    nodes: ['node1'],
    updated_ms: T0,
  }
  const record = JSON.stringify({
    cluster: 'alpha',
    id: '7',
    scheduler: 'slurm',
    state: 'running',
    startMs: T0,
    updatedMs: T0,
  })
  await place.write('jobs', [{ ...row, record }])
  await place.write('nodes', [{ cluster: 'alpha', node: 'node1', sender: 'collector', record: '{}', updated_ms: T0 }])
  await place.write('processes', [
    {
      cluster: 'alpha',
      node: 'node1',
      time: T0 / 1000 + 60,
      interval_ms: 10_000,
      pid: 1,
      start_ms: 1,
      name: 'app',
      job: '7',
    },
  ])
  await place.sample(
    `
    a
    1000`,
    { job: '7', timeMs: T0 + 60_000 },
  )
  const openapi = (await place.app.inject('/api/v1/openapi.json')).json()
  routes = Object.entries<Record<string, Told>>(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, told]) => ({
      method: method.toUpperCase() as Method,
      path,
      parameters: [...(told.parameters ?? []), ...bodyOf(told).map(name => ({ name, in: 'body' }))],
    })),
  )
})

const bodyOf = ({ requestBody }: Told): string[] =>
  Object.keys(requestBody?.content?.['application/json']?.schema?.properties ?? {})

/** Every parameter that a good question needs. */
const NEEDED: Record<string, string> = { metrics: 'cpu_busy', q: 'a', node: 'node1', pid: '1', id: '7' }

describe('text from outside stays text', () => {
  it('in every parameter of every route', async () => {
    expect(routes.length).toBeGreaterThan(18)
    const before = await counts()
    for (const { method, path, parameters } of routes) {
      for (const { name, in: where } of parameters) {
        for (const evil of EVIL) {
          const value = (parameter: string) => (parameter === name ? evil : NEEDED[parameter])
          const url = `${path.replace(/\{(\w+)\}/g, (_, p: string) => encodeURIComponent(wellFormed(value(p) ?? '')))}`
          const needed = ['metrics', 'q', ...(path.endsWith('/process') ? ['node', 'pid'] : [])]
          const query = Object.fromEntries(
            parameters
              .filter(p => p.in === 'query' && (p.name === name || needed.includes(p.name)))
              .map(p => [p.name, wellFormed(value(p.name) ?? '')]),
          )
          const body = where === 'body' ? { payload: { [name]: wellFormed(evil) } } : {}
          const answer = await place.app.inject({ method, url, query, ...body })
          const said = `${where} ${name} of ${method} ${url}: ${answer.statusCode} ${answer.body.slice(0, 300)}`
          if (method === 'GET') expect([200, 400, 404, 414], said).toContain(answer.statusCode)
          else expect(answer.statusCode, said).toBeLessThan(500)
        }
      }
    }
    expect(await counts()).toEqual(before)
  }, 300_000)
})

const wellFormed = (text: string): string => Buffer.from(text).toString()

const counts = () =>
  place.store.query(
    {
      query:
        'SELECT (SELECT count() FROM jobs) AS jobs, (SELECT count() FROM samples) AS samples, (SELECT count() FROM processes) AS processes',
      query_params: {},
    },
    { name: 'test' },
  )
