import { describe, expect, it } from 'vitest'
import { openDoors, rows } from '../place.ts'
import { remoteWrite1, remoteWrite2, type Series } from './writes.ts'

const doors = openDoors({ maxInflatedBytes: 100_000 })
const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

const post = (payload: Uint8Array, version: '1.0' | '2.0' = '1.0', url = '/api/v1/write') =>
  doors.app.inject({
    method: 'POST',
    url,
    payload: Buffer.from(payload),
    headers: {
      'content-encoding': 'snappy',
      'content-type':
        version === '1.0' ? 'application/x-protobuf' : 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
    },
  })

const cpu = (instance: string, seconds: number, timeMs: number): Series[] =>
  ['user', 'system', 'idle'].map(mode => ({
    labels: { __name__: 'node_cpu_seconds_total', instance, job: 'node', cpu: '0', mode },
    samples: [[timeMs, mode === 'idle' ? 0 : seconds]],
  }))
const series = (name: string) =>
  rows<{ node: string; value: number; kind: string }>(
    doors.store,
    `SELECT node, value, kind FROM series INNER JOIN series_points USING series_id WHERE name = '${name}' ORDER BY time, node`,
  )

describe('remote write', () => {
  it('of both versions says the same', async () => {
    for (const [version, write] of [
      ['1.0', remoteWrite1],
      ['2.0', remoteWrite2],
    ] as const) {
      const instance = `v${version[0]}.example:9100`
      await post(write(cpu(instance, 5, T)), version)
      const answer = await post(
        write([
          ...cpu(instance, 7, T + 10_000),
          {
            labels: { __name__: 'queue_total', instance, a: 'é\n' },
            samples: [
              [T, 5],
              [T + 10_000, 8],
            ],
          },
          { labels: { __name__: 'gone', instance }, samples: [[T, Number.NaN]] },
        ]),
        version,
      )
      expect([answer.statusCode, answer.headers['x-prometheus-remote-write-samples-written']]).toEqual([204, '6'])
    }
    expect(await rows(doors.store, 'SELECT node, cpu_user, cpu_system FROM core_points ORDER BY node')).toEqual([
      { node: 'v1', cpu_user: 2000, cpu_system: 2000 },
      { node: 'v2', cpu_user: 2000, cpu_system: 2000 },
    ])
    expect(await series('queue_total')).toEqual([
      { node: 'v1', value: 5, kind: 'counter' },
      { node: 'v2', value: 5, kind: 'counter' },
      { node: 'v1', value: 8, kind: 'counter' },
      { node: 'v2', value: 8, kind: 'counter' },
    ])
    expect(await series('gone')).toEqual([])
    expect(doors.ingest.counters().ignoredPoints).toBe(2)
  })

  it('gives an address the name that node_uname_info tells, and a cluster where the address names one', async () => {
    const load = (timeMs: number): Series => ({
      labels: { __name__: 'node_load1', instance: '10.0.0.7:9100' },
      samples: [[timeMs, 1]],
    })
    const uname: Series = {
      labels: { __name__: 'node_uname_info', instance: '10.0.0.7:9100', nodename: 'n7.cluster' },
      samples: [[T, 1]],
    }
    const url = '/api/v1/write?cluster=hpc2'
    await post(remoteWrite1([load(T)]), '1.0', url)
    await post(remoteWrite1([uname]), '1.0', url)
    await post(remoteWrite1([load(T + 10_000)]), '1.0', url)
    expect(await rows(doors.store, 'SELECT cluster, node, load_1m FROM node_points WHERE load_1m IS NOT NULL')).toEqual(
      [{ cluster: 'hpc2', node: 'n7', load_1m: '100' }],
    )
    expect(doors.ingest.counters().unnamedPoints).toBe(1)
  })

  it('that cannot be taken says why', async () => {
    const good: Series = { labels: { __name__: 'x', instance: 'n1' }, samples: [[T, 1]] }
    const status = async (payload: Uint8Array, version: '1.0' | '2.0' = '1.0') => {
      const answer = await post(payload, version)
      return [answer.statusCode, answer.body]
    }
    expect(
      await status(
        remoteWrite1([
          {
            ...good,
            samples: [
              [5, 1],
              [T, 2],
            ],
          },
        ]),
      ),
    ).toEqual([400, '1 refused: x: the time of the point is older than what is kept'])
    expect(await status(remoteWrite1([{ ...good, histograms: 2 }]))).toEqual([
      400,
      '2 refused: native histograms are not stored: scrape classic ones (2 points)',
    ])
    expect((await status(Buffer.from('no snappy')))[0]).toBe(400)
    expect(await status(remoteWrite1(Array.from({ length: 9000 }, () => good)))).toEqual([
      413,
      'the body is larger than 100000 bytes: send fewer samples a request',
    ])
    expect((await status(remoteWrite1([good]), '2.0'))[0]).toBe(204)
    const plain = await doors.app.inject({
      method: 'POST',
      url: '/api/v1/write',
      payload: '{}',
      headers: { 'content-type': 'application/json' },
    })
    expect([plain.statusCode, plain.body]).toEqual([415, 'content-type: send application/x-protobuf'])
  })
})
