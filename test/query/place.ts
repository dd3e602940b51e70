/** A store in a fresh directory with the API before it. Every answer is checked against the schema of its route. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import { pino } from 'pino'
import { afterAll, expect } from 'vitest'
import { openControl } from '../../ingest/control.ts'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { type EntityPoint, LatestValues } from '../../ingest/latest.ts'
import { mendRollups } from '../../ingest/mend.ts'
import { restoreLatest } from '../../ingest/restore.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import type { Access } from '../../query/access/gate.ts'
import type { AlertsConfig } from '../../query/alerts/config.ts'
import { query } from '../../query/index.ts'
import { drawSamples, type Runner } from './drawn.ts'

export const quiet = pino({ level: 'silent' })
/** A question that failed is a test that fails: its reason belongs in the output. */
const loud = pino({ level: 'error' })

/** A fixed day, so that drawings stay: kept by a store that forgets nothing. */
export const DAY0 = Date.UTC(2026, 0, 5)
/** DAY0 10:00, when the drawings begin. */
export const T0 = DAY0 + 10 * 3_600_000
export const SECOND = 1000
export const MINUTE = 60_000
export const HOUR = 3_600_000

export interface Place {
  app: FastifyInstance
  store: Store
  /** What the clock of the API says; T0 + 1 h at first. */
  clock: { now: number }
  ask<T>(path: string, params?: Record<string, string | number | boolean>): Promise<T>
  refusal(
    path: string,
    params?: Record<string, string | number | boolean>,
  ): Promise<{ status: number; code: string; message: string }>
  write(table: string, rows: readonly object[]): Promise<void>
  /** Stacks as columns of letters; see drawn.ts. */
  sample(text: string, runner: Runner): Promise<void>
  /** What was written goes into the rollups and becomes the newest values, as at a start. */
  restore(): Promise<void>
  written(points: readonly EntityPoint[]): void
}

const YEARS = 10_000

interface Options {
  onRoute?: (route: RouteOptions) => void
  uiDir?: string
  access?: Access
  /** Absent: nobody evaluates rules. */
  alerts?: AlertsConfig
}

export async function openPlace(options: Options = {}): Promise<Place> {
  const { place } = await openPlaceWith(options, async () => {
    const latest = new LatestValues()
    const listeners = new Set<Listener>()
    const onWritten = (listener: Listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
    const written = (points: readonly EntityPoint[]) => {
      for (const listener of listeners) listener(points)
    }
    const keepBurst = () => Promise.reject(new Error('bursts are kept by ingest: openIngestedPlace'))
    const control = openControl('alpha', quiet)
    return { latest, onWritten, control, keepBurst, written, close: async () => {} }
  })
  return place
}

/** The same before the real ingest, at the clock of this machine. */
export async function openIngestedPlace(): Promise<{ place: Place; ingest: Ingest }> {
  const { place, feed } = await openPlaceWith({}, async (store, now) => {
    const ingest = await openIngest({ store, log: loud, now, defaultCluster: 'alpha', config: { flushMs: 20 } })
    return { ...ingest, ingest }
  })
  place.clock.now = Date.now()
  return { place, ingest: feed.ingest }
}

type Listener = (points: readonly EntityPoint[]) => void

interface Feed extends Pick<Ingest, 'latest' | 'onWritten' | 'control' | 'keepBurst'> {
  written?: Listener
  close(): Promise<void>
}

/** A hook that is set while another runs is never called, so this one is set as the test file is read. */
const opened: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const close of opened.splice(0)) await close()
})

async function openPlaceWith<F extends Feed>(
  options: Options,
  openFeed: (store: Store, now: () => number) => Promise<F>,
): Promise<{ place: Place; feed: F }> {
  const path = mkdtempSync(join(tmpdir(), 'jobsight-query-'))
  const days = { points: YEARS, rollups: YEARS, processes: YEARS, samples: YEARS, stacks: YEARS, jobs: YEARS }
  const store = await openStore({ path, retentionDays: days }, { log: quiet })
  const clock = { now: T0 + HOUR }
  const feed = await openFeed(store, () => clock.now)
  const app = fastify()
  const checks = checksOf(app)
  const { onRoute, ...given } = options
  if (onRoute) app.addHook('onRoute', onRoute)
  await app.register(query, { store, ingest: feed, log: loud, now: () => clock.now, ...given })
  await app.ready()
  opened.push(async () => {
    await app.close()
    await feed.close()
    await store.close()
    rmSync(path, { recursive: true, force: true })
  })
  const get = (path: string, params: Record<string, string | number | boolean> = {}) =>
    app.inject({
      url: `/api/v1${path}`,
      query: Object.fromEntries(Object.entries(params).map(([k, v]) => [k, String(v)])),
    })
  const place: Place = {
    app,
    store,
    clock,
    ask: async (path, params) => {
      const answer = await get(path, params)
      expect(answer.statusCode, `${path}: ${answer.body.slice(0, 500)}`).toBe(200)
      const body = answer.json()
      const check = [...checks].find(([url]) => matches(url, path))?.[1]
      if (!check) throw new Error(`${path} has no schema of its answer`)
      expect(check(body), `${path}: ${JSON.stringify(check.errors?.[0])}`).toBe(true)
      return body
    },
    refusal: async (path, params) => {
      const answer = await get(path, params)
      const { error } = answer.json<{ error: { code: string; message: string } }>()
      return { status: answer.statusCode, ...error }
    },
    write: (table, rows) => write(store, table, rows),
    sample: async (text, runner) => {
      for (const [table, rows] of Object.entries(drawSamples(text, runner))) await write(store, table, rows)
    },
    restore: async () => {
      await mendRollups(store, clock.now + HOUR, quiet)
      if (feed.latest instanceof LatestValues) await restoreLatest(store, feed.latest, clock.now, quiet)
    },
    written: points => feed.written?.(points),
  }
  return { place, feed }
}

function checksOf(app: FastifyInstance): Map<string, ValidateFunction> {
  const ajv = new Ajv({ strict: false })
  const checks = new Map<string, ValidateFunction>()
  app.addHook('onRoute', route => {
    const response = route.schema?.response
    const found = response && typeof response === 'object' && '200' in response ? response['200'] : undefined
    if (found && route.method === 'GET') checks.set(route.url, ajv.compile(found))
  })
  return checks
}

const matches = (url: string, path: string): boolean =>
  new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`).test(`/api/v1${path}`)

async function write(store: Store, table: string, rows: readonly object[]): Promise<void> {
  if (rows.length === 0) return
  await store.command(`INSERT INTO ${table} FORMAT JSONEachRow ${rows.map(row => JSON.stringify(row)).join(' ')}`)
}
