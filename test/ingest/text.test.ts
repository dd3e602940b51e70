import { describe, expect, it } from 'vitest'
import { metricsJson, metricsProtobuf } from './otlp.ts'
import { profilesJson, profilesProtobuf } from './otlpprofiles.ts'
import { freshIngest, rows } from './place.ts'

const NASTY = [
  'it\'s "quoted" `and` \\ back\\slashed \\\' \\n',
  "blank line\n\nINSERT INTO jobs (cluster, updated_ms) VALUES ('injected', 1)\n\n;DROP TABLE jobs",
  "'; DROP TABLE samples; --",
  '\n\nDROP TABLE jobs\n\n',
  'nul \u0000 and \u0001 and \u007f',
  '\r\n\t\v\f\u2028\u2029',
  'ünï © 漢字 🙂 \u202e',
  '{x:String} $1 %s {{}} {0}',
  'x'.repeat(250),
]
const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

/** Every text of every column of these tables, but for those that only our own words go into. */
const FOREIGN: Record<string, string> = {
  node_points: 'node',
  disk_points: 'instance',
  processes: '[name, command, user, job, step]',
  series: 'arrayConcat([name, unit], mapKeys(attributes), mapValues(attributes))',
  jobs: "[id, raw_id, name, user, account, queue, JSONExtractString(record, 'name')]",
  nodes: 'node',
  frames: '[function, module, file]',
  samples: '[node, job, process, thread, burst]',
}

for (const [encoding, metricsBody, profilesBody, contentType] of [
  ['protobuf', metricsProtobuf, profilesProtobuf, 'application/x-protobuf'],
  ['JSON', metricsJson, profilesJson, 'application/json'],
] as const) {
  describe(`foreign text through every door as ${encoding}`, () => {
    it('is only ever text: it comes back unchanged and nothing else happens', async () => {
      const { ingest, store } = await freshIngest()
      for (const text of NASTY) {
        // A dot ends a short host name, and a slash a module.
        const name = text.replaceAll('.', '_')
        const gauge = (metric: string, attributes: Record<string, string>) => ({
          name: metric,
          unit: text,
          gauge: [{ timeMs: T, asDouble: 1, attributes }],
        })
        const process = {
          'host.name': name,
          'process.pid': 7,
          'process.executable.name': text,
          'process.command_line': text,
          'process.owner': text,
          'jobsight.job.id': text,
          'jobsight.job.step': text,
        }
        const metrics = metricsBody([
          {
            attributes: process,
            metrics: [
              gauge('system.cpu.load_average.1m', {}),
              gauge('system.disk.io', { 'system.device': text, 'disk.io.direction': 'read' }),
              gauge('process.memory.usage', {}),
              gauge(text, { [text]: text }),
            ],
          },
        ])
        expect(await ingest.receive('metrics', metrics, contentType)).toEqual({ status: 200, rejected: 0 })
        const drawn = text.replaceAll(/[;@+/]/g, '_')
        const profile = {
          resource: process,
          sampleType: ['cpu', 'nanoseconds'] as [string, string],
          timeMs: T,
          durationMs: 1000,
          samples: [
            { stack: `${drawn}@${drawn}`, values: [1], attributes: { 'thread.name': text, 'jobsight.burst': text } },
          ],
        }
        expect(await ingest.receive('profiles', profilesBody([profile]), contentType)).toEqual({
          status: 200,
          rejected: 0,
        })
        const job = {
          id: text,
          rawId: text,
          name: text,
          user: text,
          account: text,
          queue: text,
          scheduler: 'other',
          state: 'queued',
          updatedMs: T,
        }
        const jobs = Buffer.from(JSON.stringify({ jobs: [job], nodes: [{ node: text, updatedMs: T }] }))
        expect(await ingest.receive('jobs', jobs)).toEqual({ status: 200, rejected: 0 })
      }
      for (const [table, columns] of Object.entries(FOREIGN)) {
        const list = columns.startsWith('[') || columns.startsWith('array') ? columns : `[${columns}]`
        const found = await rows<{ text: string }>(store, `SELECT DISTINCT arrayJoin(${list}) AS text FROM ${table}`)
        const sent = NASTY.flatMap(text => [
          text,
          text.replaceAll('.', '_'),
          text.replaceAll(/[;@+/]/g, '_'),
          `${text.replaceAll(/[;@+/]/g, '_')}.c`,
        ])
        expect(found.filter(f => !sent.includes(f.text))).toEqual([])
        expect([table, found.length >= NASTY.length]).toEqual([table, true])
      }
      expect(await rows(store, "SELECT count() AS n FROM jobs WHERE cluster = 'injected'")).toEqual([{ n: '0' }])
    })
  })
}

describe('bytes that are not UTF-8', () => {
  it('become U+FFFD on the way in, and the rest of the text stays', async () => {
    const { ingest, store } = await freshIngest()
    const body = Buffer.from(
      metricsProtobuf([
        {
          attributes: { 'host.name': 'n1' },
          metrics: [{ name: 'm', gauge: [{ timeMs: T, asDouble: 1, attributes: { k: 'aXX\n\nDROP TABLE jobs' } }] }],
        },
      ]),
    )
    const at = body.indexOf('aXX')
    body[at + 1] = 0xff
    body[at + 2] = 0xc0
    expect(await ingest.receive('metrics', body)).toEqual({ status: 200, rejected: 0 })
    expect(await rows(store, "SELECT attributes['k'] AS k FROM series")).toEqual([
      { k: 'a\ufffd\ufffd\n\nDROP TABLE jobs' },
    ])
  })
})
