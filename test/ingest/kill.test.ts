import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Door, openIngest } from '../../ingest/index.ts'
import { openStore, type Store } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { freshPath, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000
/** Kills that are drawn; more by hand: KILLS=100 npx vitest run test/ingest/kill.test.ts */
const KILLS = Number(process.env.KILLS ?? 5)
const REQUESTS = 300 * KILLS

/** As a sender names it; of one sender's batches the newest 64 are known. */
const batchOf = (i: number): string => `sender-${i % 20}-${i}`

/** Request i can be told by a value of its own. */
function request(i: number): { door: Door; base64: string } {
  const timeMs = T + (i % 300) * 10_000
  const base64 = (body: Uint8Array): string => Buffer.from(body).toString('base64')
  if (i % 3 === 0) {
    const job = { id: `job${i}`, scheduler: 'other', state: 'running', updatedMs: T }
    return { door: 'jobs', base64: base64(Buffer.from(JSON.stringify({ jobs: [job] }))) }
  }
  if (i % 3 === 1) {
    const samples = [{ stack: `main;f${i};leaf`, values: [i] }]
    const resource = { 'host.name': 'n1', 'process.pid': 1 + i }
    const profile = {
      resource,
      sampleType: ['cpu', 'nanoseconds'] as [string, string],
      timeMs,
      durationMs: 1000,
      samples,
    }
    return { door: 'profiles', base64: base64(profilesProtobuf([profile])) }
  }
  const metrics = [
    { name: 'system.memory.usage', gauge: [{ timeMs, asInt: i, attributes: { 'system.memory.state': 'used' } }] },
    { name: 'foreign', gauge: [{ timeMs, asDouble: i, attributes: { i } }] },
  ]
  return { door: 'metrics', base64: base64(metricsProtobuf([{ attributes: { 'host.name': `n${i % 7}` }, metrics }])) }
}

/** Starts the child, kills it after so many acknowledgements and a moment more; what it had acknowledged. */
function runAndKill(path: string, numbers: readonly number[], acks: number, moreMs: number): Promise<number[]> {
  const script = join(import.meta.dirname, 'killed.mjs')
  const list = join(path, 'numbers.json')
  writeFileSync(list, JSON.stringify(numbers))
  const data = join(path, 'data')
  const args = [script, resolve('dist'), data, join(path, 'bodies.json'), list]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  const acked: number[] = []
  let dying = false
  let tried = Promise.resolve()
  createInterface({ input: child.stdout }).on('line', line => {
    if (line === 'open') tried = expectHeld(data, child.pid)
    if (/^\d+$/.test(line)) acked.push(Number(line))
    if (dying || (acked.length < acks && line !== 'all')) return
    dying = true
    // Who tries to open what nobody holds any more has it, and the next child has not.
    void tried.then(() => setTimeout(() => child.kill('SIGKILL'), moreMs))
  })
  return new Promise((ok, no) => {
    child.on('close', (_, signal) =>
      signal === 'SIGKILL' ? ok(acked) : no(new Error(`the child ended on its own: ${errors}`)),
    )
  })
}

/**
 * Those that may be stored although nobody heard of it, as a sender does that keeps what was not acknowledged; the next ones in
 * another order; and some that were acknowledged before once more. All of it within what is known of a sender's batches.
 */
function numbersToSend(acked: ReadonlySet<number>, maybe: readonly number[], some: number): number[] {
  const open = Array.from({ length: REQUESTS }, (_, i) => i).filter(i => !acked.has(i) && !maybe.includes(i))
  const next = open.slice(0, some).sort((a, b) => ((a * 7919) % 101) - ((b * 7919) % 101))
  return [...[...acked].slice(-20), ...maybe, ...next.slice(0, 300), ...next.slice(0, 10), ...next.slice(300)]
}

/** Of what a child was given: it takes four at once, in order. */
const begun = (numbers: readonly number[], acks: number, acked: ReadonlySet<number>): number[] =>
  [...new Set(numbers.slice(0, acks + 4))].filter(i => !acked.has(i))

const refusals: unknown[] = []
async function expectHeld(path: string, pid: number | undefined): Promise<void> {
  const refused = await openStore({ path }, { log: quiet }).catch((error: unknown) => error)
  refusals.push(refused instanceof Error && refused.message.includes(`held by process ${pid} on`))
}

const of = (kind: number): number[] => Array.from({ length: REQUESTS }, (_, i) => i).filter(i => i % 3 === kind)
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Exactly what was sent: no row is missing, none is there twice, and rollups agree. */
const expected = (): Record<string, number> => ({
  jobs: of(0).length,
  samples: of(1).length,
  nanoseconds: sum(of(1)),
  leafNanoseconds: sum(of(1)),
  shortNanoseconds: sum(of(1)),
  hourNanoseconds: sum(of(1)),
  points: of(2).length,
  bytes: sum(of(2)),
  short: of(2).length,
  hours: of(2).length,
  seriesPoints: of(2).length,
})

async function counts(store: Store): Promise<Record<string, number>> {
  const [row = {}] = await rows(
    store,
    `SELECT (SELECT uniqExact(id) FROM jobs) AS jobs, (SELECT count() FROM samples) AS samples,
       (SELECT sum(value) FROM samples) AS nanoseconds, (SELECT sum(self) FROM function_minutes) AS leafNanoseconds,
       (SELECT sum(self) FROM functions_5m) AS shortNanoseconds, (SELECT sum(self) FROM function_hours) AS hourNanoseconds,
       (SELECT count() FROM node_points) AS points, (SELECT sum(memory_used) FROM node_points) AS bytes,
       (SELECT sum(rows) FROM node_points_5m) AS short, (SELECT sum(rows) FROM node_points_1h) AS hours,
       (SELECT count() FROM series_points) AS seriesPoints`,
  )
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]))
}

describe('kill -9 at any moment', () => {
  it(
    'stores each request once, whatever was sent again, and the next start says nobody holds it',
    async () => {
      expect(existsSync('dist/ingest/store.js')).toBe(true)
      const path = freshPath()
      writeFileSync(join(path, 'bodies.json'), JSON.stringify(Array.from({ length: REQUESTS }, (_, i) => request(i))))
      const acked = new Set<number>()
      let told = 0
      let maybe: number[] = []
      for (let kill = 0; kill < KILLS; kill++) {
        const numbers = numbersToSend(acked, maybe, 300)
        const now = await runAndKill(path, numbers, 1 + ((kill * 97) % 211), (kill * 13) % 37)
        told += now.length
        for (const i of now) acked.add(i)
        maybe = begun(numbers, now.length, acked)
      }
      expect(refusals).toEqual(Array(KILLS).fill(true))

      const store = await openStore({ path: join(path, 'data') }, { log: quiet })
      onTestFinished(() => store.close())
      const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c', config: { flushMs: 5 } })
      onTestFinished(() => ingest.close())
      expect(await missing(store, acked)).toEqual([])
      const left = numbersToSend(acked, maybe, REQUESTS)
      for (const i of left) {
        const { door, base64 } = request(i)
        const receipt = await ingest.receive(door, Buffer.from(base64, 'base64'), undefined, batchOf(i))
        expect(receipt.status).toBe(200)
      }
      // Where nothing was left to send, only those that were acknowledged before.
      expect(ingest.counters().duplicateBatches).toBeGreaterThanOrEqual(left.length - (REQUESTS - acked.size))
      expect(told).toBeGreaterThan(acked.size)
      await ingest.close()
      expect(await counts(store)).toEqual(expected())
    },
    180_000 + 20_000 * KILLS,
  )
})

/** Acknowledged requests that are not there. */
async function missing(store: Store, acked: ReadonlySet<number>): Promise<number[]> {
  const stored = async (query: string): Promise<Set<number>> =>
    new Set((await rows<{ i: string }>(store, query)).map(row => Number(row.i)))
  const has = {
    0: await stored("SELECT replaceOne(id, 'job', '') AS i FROM jobs"),
    1: await stored(
      `SELECT toString(value) AS i FROM samples WHERE stack_id IN (
         SELECT stack_id FROM stacks WHERE length(arrayIntersect(frames, (SELECT groupArray(frame_id) FROM frames))) = 3)`,
    ),
    2: await stored('SELECT toString(memory_used) AS i FROM node_points'),
  }
  const series = await stored(
    'SELECT toString(value) AS i FROM series_points WHERE series_id IN (SELECT series_id FROM series)',
  )
  return [...acked].filter(i => !has[(i % 3) as 0 | 1 | 2].has(i) || (i % 3 === 2 && !series.has(i)))
}
