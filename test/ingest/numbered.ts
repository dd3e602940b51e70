/** Requests of all kinds that can be told by their number, and what the store has of so many of them. */
import type { Door } from '../../ingest/index.ts'
import type { Store } from '../../ingest/store.ts'
import { metricsProtobuf } from './otlp.ts'
import { profilesProtobuf } from './otlpprofiles.ts'
import { rows } from './place.ts'

const T = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000

/** Request i can be told by a value of its own. */
export function request(i: number): { door: Door; base64: string } {
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

const of = (requests: number, kind: number): number[] =>
  Array.from({ length: requests }, (_, i) => i).filter(i => i % 3 === kind)
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Exactly what was sent: no row is missing, none is there twice, and rollups agree. */
export const expected = (requests: number): Record<string, number> => ({
  jobs: of(requests, 0).length,
  samples: of(requests, 1).length,
  nanoseconds: sum(of(requests, 1)),
  leafNanoseconds: sum(of(requests, 1)),
  shortNanoseconds: sum(of(requests, 1)),
  hourNanoseconds: sum(of(requests, 1)),
  points: of(requests, 2).length,
  bytes: sum(of(requests, 2)),
  short: of(requests, 2).length,
  hours: of(requests, 2).length,
  seriesPoints: of(requests, 2).length,
})

export async function counts(store: Store): Promise<Record<string, number>> {
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

/** Acknowledged requests that are not there. */
export async function missing(store: Store, acked: ReadonlySet<number>): Promise<number[]> {
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
