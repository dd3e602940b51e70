import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openControl } from '../../ingest/control.ts'
import { LatestValues } from '../../ingest/latest.ts'
import { type QueryOptions, type Question, type Store, StoreError } from '../../ingest/store.ts'
import { query } from '../../query/index.ts'
import { openPlace, type Place, quiet, T0 } from './place.ts'

let place: Place
const uiDir = mkdtempSync(join(tmpdir(), 'jobsight-ui-'))
const script = `console.error('${'page '.repeat(2000)}')`

beforeAll(async () => {
  mkdirSync(join(uiDir, 'assets'))
  writeFileSync(join(uiDir, 'index.html'), '<title>Jobsight</title>')
  writeFileSync(join(uiDir, 'assets', 'app-1a2b.js'), script)
  place = await openPlace({ uiDir })
})
afterAll(() => rmSync(uiDir, { recursive: true }))

const get = (url: string, headers: Record<string, string> = {}) => place.app.inject({ url, headers })

interface Route {
  summary?: string
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>
}

describe('the API', () => {
  it('describes every route, with what it may be asked and what it answers', async () => {
    const openapi = (await get('/api/v1/openapi.json')).json()
    expect(openapi.openapi).toMatch(/^3\./)
    const paths = Object.keys(openapi.paths)
    for (const path of [
      '/clusters',
      '/catalogue',
      '/nodes',
      '/nodes/{node}',
      '/heatmap',
      '/series',
      '/processes',
      '/process',
      '/flame',
      '/functions',
      '/categories',
      '/jobs',
      '/jobs/{id}',
      '/jobs/{id}/nodes',
      '/jobs/{id}/functions',
      '/jobs/{id}/flame',
      '/jobs/{id}/processes',
      '/bands',
      '/search',
    ]) {
      expect(paths).toContain(`/api/v1${path}`)
    }
    const routes = paths.flatMap(path =>
      Object.entries<Route>(openapi.paths[path]).map(([method, route]) => ({ name: `${method} ${path}`, route })),
    )
    for (const { name, route } of routes) {
      expect(route.summary, name).toBeTruthy()
      const answers = ['200', '201', '204'].flatMap(status => route.responses[status] ?? [])
      expect(answers, name).not.toEqual([])
      if (name.startsWith('get ')) expect(answers[0]?.content?.['application/json']?.schema, name).toBeTruthy()
    }
  })

  it('refuses in words', async () => {
    expect((await get('/api/v1/nothing')).json()).toEqual({
      error: { code: 'not_found', message: 'GET /api/v1/nothing is no route; see /api/v1/openapi.json' },
    })
    expect((await get('/api/v1/flame?pid=x')).json().error).toEqual({
      code: 'bad_request',
      message: 'parameter pid must be integer; /api/v1/openapi.json says what it may be',
    })
    expect((await get('/api/v1/flame?direction=sideways')).statusCode).toBe(400)
    expect((await get('/api/v1/flame?nodes=0')).statusCode).toBe(400)
    expect((await place.app.inject({ method: 'POST', url: '/api/v1/flame' })).statusCode).toBe(404)
  })

  it('is gzipped for who takes it, when it is worth it', async () => {
    const plain = await get('/api/v1/catalogue')
    expect(plain.headers['content-encoding']).toBeUndefined()
    const zipped = await get('/api/v1/catalogue', { 'accept-encoding': 'gzip, br' })
    expect(zipped.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
    expect(gunzipSync(zipped.rawPayload).toString()).toBe(plain.body)
    expect(zipped.rawPayload.length).toBeLessThan(plain.rawPayload.length / 3)
    expect((await get('/api/v1/clusters', { 'accept-encoding': 'gzip' })).headers['content-encoding']).toBeUndefined()
  })
})

describe('the page', () => {
  it('is served, and any place in it', async () => {
    for (const url of ['/', '/node/n1?from=1', '/job/4711', '/index.html']) {
      const answer = await get(url)
      expect([answer.statusCode, answer.body], url).toEqual([200, '<title>Jobsight</title>'])
      expect(answer.headers['cache-control']).toBe('no-cache')
    }
  })

  it('its files are kept forever and gzipped', async () => {
    const file = await get('/assets/app-1a2b.js', { 'accept-encoding': 'gzip' })
    expect(file.headers).toMatchObject({
      'content-encoding': 'gzip',
      'cache-control': 'public, max-age=31536000, immutable',
    })
    expect(gunzipSync(file.rawPayload).toString()).toBe(script)
    expect((await get('/assets/app-1a2b.js')).body).toBe(script)
    expect((await get('/../package.json')).body).not.toContain('dependencies')
  })

  it('that is not built says what to run', async () => {
    const app = fastify()
    const store = { ...place.store }
    await app.register(query, {
      store,
      ingest: idleIngest(),
      log: quiet,
      uiDir: '/nowhere',
    })
    expect((await app.inject('/')).json().error.message).toBe('the page is not built: run npm run build')
    await app.close()
  })
})

describe('a question on its way', () => {
  interface Asked {
    name: string
    signal: AbortSignal | undefined
    maxSeconds: number | undefined
  }

  /** A store that knows nothing; questions that are called `stuck` wait for their abort, or fail with `code`. */
  async function openStuck(stuck: string, code?: 'timeout' | 'database') {
    const asked: Asked[] = []
    const wait = (_: Question, { name, signal, maxSeconds }: QueryOptions) => {
      asked.push({ name, signal, maxSeconds })
      if (name !== stuck) return Promise.resolve([])
      return new Promise<never>((_, reject) => {
        if (code) reject(new StoreError(code, "secret of the store's inside"))
        signal?.addEventListener('abort', () => reject(new StoreError('aborted', 'left')))
      })
    }
    const store: Store = { ...place.store, query: wait, queryColumns: wait }
    const app = fastify()
    await app.register(query, { store, ingest: idleIngest(), log: quiet, now: () => T0 })
    return { app, asked: () => asked.filter(a => a.name === stuck) }
  }

  it('is named, has a time limit, and is aborted when its reader leaves', async () => {
    for (const [path, name] of [
      ['jobs', 'jobs'],
      ['flame', 'samples'],
    ] as const) {
      const { app, asked } = await openStuck(name)
      const url = await app.listen({ port: 0, host: '127.0.0.1' })
      const leave = new AbortController()
      const answer = fetch(`${url}/api/v1/${path}`, { signal: leave.signal }).catch(() => 'left')
      await until(() => asked().length > 0)
      expect(asked()[0]).toMatchObject({ maxSeconds: 20, signal: { aborted: false } })
      leave.abort()
      expect(await answer).toBe('left')
      await until(() => asked()[0]?.signal?.aborted === true)
      expect(asked()[0]?.signal?.aborted).toBe(true)
      await app.close()
    }
  })

  it('that takes too long says what to choose; what failed inside stays inside', async () => {
    const slow = await openStuck('heatmap', 'timeout')
    const refused = await slow.app.inject('/api/v1/heatmap')
    expect(refused.statusCode).toBe(504)
    expect(refused.json().error).toEqual({
      code: 'timeout',
      message: 'heatmap took longer than 20 s: choose a shorter window (from, to) or fewer nodes',
    })
    await slow.app.close()
    const broken = await openStuck('heatmap', 'database')
    const failed = await broken.app.inject('/api/v1/heatmap')
    expect(failed.statusCode).toBe(500)
    expect(failed.body).not.toContain('secret')
    await broken.app.close()
  })
})

const idleIngest = () => ({
  latest: new LatestValues(),
  onWritten: () => () => {},
  control: openControl('alpha', quiet),
  keepBurst: async () => {},
})

async function until(there: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !there(); i++) await new Promise(resolve => setTimeout(resolve, 5))
}
