/** A store in a fresh directory that goes away with the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { readAddon } from '../../collector/addon.ts'
import type { IngestConfig, StoreConfig } from '../../ingest/config.ts'
import { type Ingest, openIngest } from '../../ingest/index.ts'
import { parseReceiver } from '../../ingest/receiver.ts'
import { SenderError, type Senders } from '../../ingest/senders.ts'
import { openStore, type Store } from '../../ingest/store.ts'

export const quiet = pino({ level: 'silent' })

const addon = readAddon(parseReceiver)
export const receiver = 'absent' in addon ? undefined : addon
/** Why there is none; undefined where there is. */
export const missingReceiver = 'absent' in addon ? addon.absent : undefined

/** Whoever sends speaks for cluster c1, until it is known no longer. */
export function openOneSender(): Senders & { isKnown: boolean } {
  return {
    isKnown: true,
    ready: true,
    find: () => undefined,
    admit() {
      if (this.isKnown) return { cluster: 'c1' }
      throw new SenderError('unauthenticated', 'not known (any longer)')
    },
  }
}

export function freshPath(): string {
  const path = mkdtempSync(join(tmpdir(), 'jobsight-ingest-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Closed when the test ends, so that the next can open: chDB has one data directory a process. */
export async function freshStore(config: StoreConfig = {}): Promise<Store> {
  const path = freshPath()
  const store = await openStore({ path, ...config }, { log: quiet })
  onTestFinished(() => store.close())
  return store
}

/** Rows of a question; the name says where it came from when it hangs. */
export const rows = <T = Record<string, unknown>>(store: Store, query: string): Promise<T[]> =>
  store.query<T>({ query, query_params: {} }, { name: 'test' })

/** Ingest over a fresh store, flushing at once. */
export async function freshIngest(
  more: Partial<Parameters<typeof openIngest>[0]> = {},
): Promise<{ ingest: Ingest; store: Store }> {
  const store = more.store ?? (await freshStore())
  const { config, ...rest } = more
  const ingest = await openIngest({
    store,
    log: quiet,
    defaultCluster: 'c1',
    receiver,
    ...rest,
    config: { flushMs: 0, ...config },
  })
  onTestFinished(() => ingest.close())
  return { ingest, store }
}

export interface Doors {
  app: FastifyInstance
  ingest: Ingest
  store: Store
}

/** One ingest with its HTTP doors for all tests of a file; opening a store takes seconds. */
export function openDoors(config: IngestConfig = {}): Doors {
  const doors = {} as Doors
  const path = mkdtempSync(join(tmpdir(), 'jobsight-doors-'))
  beforeAll(async () => {
    doors.store = await openStore({ path }, { log: quiet })
    doors.ingest = await openIngest({
      store: doors.store,
      log: quiet,
      defaultCluster: 'c1',
      receiver,
      config: { flushMs: 0, ...config },
    })
    doors.app = Fastify()
    await doors.app.register(doors.ingest.plugin)
    await doors.app.ready()
  })
  afterAll(async () => {
    await doors.app.close()
    await doors.ingest.close()
    await doors.store.close()
    rmSync(path, { recursive: true, force: true })
  })
  return doors
}
