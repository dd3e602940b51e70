import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openIngest } from '../../ingest/index.ts'
import { openStore } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { freshPath, quiet, rows } from './place.ts'

const T = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000
const REQUESTS = 3000

/** Request i can be told by a value of its own. */
function request(i: number): { door: string; base64: string } {
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
function runAndKill(path: string, bodies: string, first: number, acks: number, moreMs: number): Promise<number[]> {
  const script = join(import.meta.dirname, 'killed.mjs')
  const child = spawn(process.execPath, [script, resolve('dist'), path, bodies, String(first)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  const acked: number[] = []
  let dying = false
  createInterface({ input: child.stdout }).on('line', line => {
    if (line === 'open') void expectHeld(path, child.pid)
    if (/^\d+$/.test(line)) acked.push(Number(line))
    if (dying || (acked.length < acks && line !== 'all')) return
    dying = true
    setTimeout(() => child.kill('SIGKILL'), moreMs)
  })
  return new Promise((ok, no) => {
    child.on('close', (_, signal) =>
      signal === 'SIGKILL' ? ok(acked) : no(new Error(`the child ended on its own: ${errors}`)),
    )
  })
}

const refusals: unknown[] = []
async function expectHeld(path: string, pid: number | undefined): Promise<void> {
  const refused = await openStore({ path }, { log: quiet }).catch((error: unknown) => error)
  refusals.push(refused instanceof Error && refused.message.includes(`held by process ${pid} on`))
}

describe('kill -9 at any moment', () => {
  it('loses nothing that was acknowledged, and the next start says nobody holds it', async () => {
    expect(existsSync('dist/ingest/store.js')).toBe(true)
    const path = freshPath()
    const bodies = join(path, 'bodies.json')
    writeFileSync(bodies, JSON.stringify(Array.from({ length: REQUESTS }, (_, i) => request(i))))
    const acked: number[] = []
    const data = join(path, 'data')
    for (const [acks, moreMs] of [
      [1, 0],
      [40, 3],
      [120, 17],
      [200, 31],
      [60, 11],
    ] as const) {
      acked.push(...(await runAndKill(data, bodies, Math.max(-1, ...acked) + 1, acks, moreMs)))
    }
    expect(acked.length).toBeGreaterThan(400)
    expect(refusals).toEqual(Array(5).fill(true))

    const store = await openStore({ path: data }, { log: quiet })
    onTestFinished(() => store.close())
    const ingest = await openIngest({ store, log: quiet, defaultCluster: 'c' })
    onTestFinished(() => ingest.close())
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
    const lost = acked.filter(i => !has[(i % 3) as 0 | 1 | 2].has(i) || (i % 3 === 2 && !series.has(i)))
    expect(lost).toEqual([])
    const counted = await rows(
      store,
      'SELECT (SELECT count() FROM node_points) AS raw, (SELECT sum(rows) FROM node_points_1m) AS minutes, (SELECT sum(rows) FROM node_points_1h) AS hours',
    )
    expect(counted[0]?.minutes).toBe(counted[0]?.raw)
    expect(counted[0]?.hours).toBe(counted[0]?.raw)
  }, 180_000)
})
