// What of the cost of ingest is not ingest's own: the parts it stands on, each alone, with the same requests and rows.
//
// HTTP: the same requests, read and answered, their bodies not looked at. The store: the same blocks, as they were inserted
// before, into an empty one, in as many inserts, merges included.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const STORED = { status: 200, rejected: 0 }
const dist = new URL('../../dist/ingest/', import.meta.url)

/** The store, and what is inserted into it, in order. */
export function recordInserts(store) {
  const blocks = []
  const insert = (table, columns, bytes, rows, token) => {
    blocks.push({ table, columns, bytes: Buffer.from(bytes), rows })
    return store.insert(table, columns, bytes, rows, token)
  }
  return { recording: { ...store, insert }, blocks }
}

/** CPU seconds until the last answer. `send` gets the address. */
export async function measureHttp({ receiver, send, cpuSeconds }) {
  const { addShortcut } = await import(new URL('shortcut.js', dist))
  const { httpDoors } = await import(new URL('http.js', dist))
  const { Clocks } = await import(new URL('clocks.js', dist))
  const { ANY_SENDER } = await import(new URL('senders.js', dist))
  const { INGEST_DEFAULTS } = await import(new URL('config.js', dist))
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const { default: Fastify } = await import('fastify')
  const { pino } = await import('pino')
  const { maxBodyBytes } = INGEST_DEFAULTS
  const take = async () => STORED
  const app = Fastify()
  const deps = { take, senders: ANY_SENDER, sending: new AsyncLocalStorage(), maxBodyBytes, onTaken: () => {} }
  addShortcut(app, deps, receiver)
  await app.register(httpDoors(take, async () => {}, maxBodyBytes, new Clocks(pino({ level: 'warn' })), Date.now))
  const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}/v1/metrics`
  const before = cpuSeconds()
  await send(url)
  const taken = cpuSeconds() - before
  await app.close()
  return taken
}

/** CPU seconds of `blocks` alone, until their merges are done. No other store may be open in this process. */
export async function measureInserts(blocks, { settle, cpuSeconds }) {
  const { openStore } = await import(new URL('store.js', dist))
  const { pino } = await import('pino')
  const path = mkdtempSync(join(tmpdir(), 'jobsight-bench-floor-'))
  const store = await openStore({ path }, { log: pino({ level: 'warn' }) })
  const before = cpuSeconds()
  for (const { table, columns, bytes, rows } of blocks) await store.insert(table, columns, bytes, rows)
  const inserted = cpuSeconds() - before
  await settle(store)
  const merged = cpuSeconds() - before
  await store.close()
  rmSync(path, { recursive: true })
  return { inserted, merged }
}
