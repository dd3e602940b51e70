import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { PbfWriter } from 'pbf'
import { Profile, StringTable } from 'pprof-format'
import { describe, expect, it } from 'vitest'
import { decodePprof } from '../../../ingest/foreign/pprof.ts'
import { parseAppName, parseTimeMs } from '../../../ingest/foreign/profiles.ts'
import { openIntern } from '../../../ingest/otlp/intern.ts'
import { Reader } from '../../../ingest/otlp/reader.ts'
import { openDoors, rows } from '../place.ts'

const doors = openDoors()
const T = Math.floor(Date.now() / 1000) * 1000 - 60_000

/** main -> solve -> (exp inlined into solve's line), 3 samples of 10 ms; ids far apart, as files may have them. */
function pprof(): Uint8Array {
  const stringTable = new StringTable()
  const text = (value: string) => stringTable.dedup(value)
  return new Profile({
    stringTable,
    sampleType: [
      { type: text('samples'), unit: text('count') },
      { type: text('cpu'), unit: text('nanoseconds') },
    ],
    timeNanos: BigInt(T) * 1_000_000n,
    durationNanos: 10_000_000_000n,
    mapping: [{ id: 900, memoryStart: 0x1000, memoryLimit: 0x9000, filename: text('/opt/app/solver') }],
    function: [
      { id: 70, name: text('main'), filename: text('main.c') },
      { id: 5, name: text('solve'), filename: text('solve.c') },
      { id: 31, name: text('exp') },
    ],
    location: [
      { id: 12, mappingId: 900, address: 0x1100, line: [{ functionId: 70, line: 3 }] },
      {
        id: 99,
        mappingId: 900,
        address: 0x1200,
        line: [
          { functionId: 31, line: 8 },
          { functionId: 5, line: 21 },
        ],
      },
      { id: 7, mappingId: 900, address: 0x1300 },
    ],
    sample: [
      {
        locationId: [99, 12],
        value: [3, 30_000_000],
        label: [
          { key: text('thread_name'), str: text('worker') },
          { key: text('pid'), num: 17 },
        ],
      },
      { locationId: [7, 12], value: [1, 10_000_000] },
    ],
  }).encode()
}

interface Stack {
  stack: string
  value: string
  count: number
}
async function stacksOf(node: string): Promise<(Stack & Record<string, unknown>)[]> {
  const frames = await rows<{ id: string; name: string }>(
    doors.store,
    "SELECT DISTINCT toString(frame_id) AS id, concat(function, '@', module) AS name FROM frames",
  )
  const names = new Map(frames.map(({ id, name }) => [id, name]))
  const found = await rows<{ frames: string[]; value: string; count: number }>(
    doors.store,
    `SELECT job, pid, process, thread, event, time, value, sample_count AS count, frames FROM samples INNER JOIN stacks USING stack_id
     WHERE node = '${node}' ORDER BY value DESC`,
  )
  return found.map(row => ({ ...row, stack: row.frames.map(id => names.get(id)).join('<') }))
}

const post = (url: string, payload: string | Uint8Array, type = 'application/octet-stream') =>
  doors.app.inject({
    method: 'POST',
    url,
    payload: typeof payload === 'string' ? payload : Buffer.from(payload),
    headers: { 'content-type': type },
  })

describe('a pprof file', () => {
  it('becomes samples of the node and job that the address names', async () => {
    const answer = await post('/v1/pprof?node=n1.example&job=4711&process=solver', gzipSync(pprof()))
    expect([answer.statusCode, answer.json()]).toEqual([200, { rejected: 0 }])
    const common = { job: '4711', event: 'cpu', process: 'solver' }
    expect(await stacksOf('n1')).toMatchObject([
      {
        ...common,
        pid: 17,
        thread: 'worker',
        value: '30000000',
        count: 3,
        stack: 'exp@solver<solve@solver<main@solver',
      },
      { ...common, pid: 0, thread: '', value: '10000000', count: 1, stack: 'solver+0x300@solver<main@solver' },
    ])
  })

  it('that is none is refused with the reason', async () => {
    const refused = async (bytes: string | Uint8Array) => {
      const answer = await post('/v1/pprof?node=n1', bytes)
      return [answer.statusCode, answer.json().message]
    }
    expect(await refused('hello')).toEqual([400, expect.stringContaining('not protobuf as pprof has it')])
    expect(await refused('')).toEqual([400, expect.stringContaining('it has no sample_type')])
    expect(await refused(Buffer.concat([gzipSync(pprof()).subarray(0, 60)]))).toEqual([
      400,
      expect.stringContaining('not gzip'),
    ])
    // A varint of a megabyte must not cost more than the megabyte.
    const long = Buffer.concat([Buffer.from([0x1a, 0x80, 0x80, 0x40, 0x10]), Buffer.alloc(1 << 20, 0xff)])
    expect((await refused(long))[0]).toBe(400)
  })

  it('of wall time, of counts and of anything else keeps its own meaning', () => {
    const chosen = (types: [string, string][], period?: [string, string, number]) => {
      const stringTable = new StringTable()
      const type = ([name, unit]: readonly [string, string]) => ({
        type: stringTable.dedup(name),
        unit: stringTable.dedup(unit),
      })
      const profile = new Profile({
        stringTable,
        sampleType: types.map(type),
        ...(period && { periodType: type([period[0], period[1]]), period: period[2] }),
        sample: [{ locationId: [], value: types.map((_, i) => i + 1) }],
      })
      const { head, samples } = decodePprof(new Reader(profile.encode(), openIntern(), 'pprof'))
      return [head.type, head.unit, head.periodType, samples[0]?.values[0]]
    }
    expect(
      chosen([
        ['sample', 'count'],
        ['wall', 'nanoseconds'],
        ['cpu', 'nanoseconds'],
      ]),
    ).toEqual(['cpu', 'nanoseconds', '', 3])
    expect(
      chosen([
        ['samples', 'count'],
        ['wall', 'nanoseconds'],
      ]),
    ).toEqual(['wall', 'nanoseconds', '', 2])
    expect(chosen([['samples', 'count']], ['cpu', 'nanoseconds', 1e7])).toEqual(['samples', 'count', 'cpu', 1])
    expect(
      chosen([
        ['alloc_objects', 'count'],
        ['alloc_space', 'bytes'],
      ]),
    ).toEqual(['alloc_space', 'bytes', '', 2])
  })
})

describe("Pyroscope's own client for Node", () => {
  it('shows where the CPU time of a program went', async () => {
    const url = await doors.app.listen({ port: 0, host: '127.0.0.1' })
    const program = fileURLToPath(new URL('pyroscoped.mjs', import.meta.url))
    const tags = JSON.stringify({ hostname: 'n2.example', pid: '77', slurm_job_id: '88' })
    const { stdout } = await promisify(execFile)(process.execPath, [program, url, tags], { timeout: 50_000 })
    const stacks = await stacksOf('n2')
    expect(stacks[0]).toMatchObject({ job: '88', pid: 77, process: 'burner', event: 'cpu' })
    const seconds = (of: readonly Stack[]) => of.reduce((sum, { value }) => sum + Number(value), 0) / 1e9
    const burning = seconds(stacks.filter(({ stack }) => stack.includes('burn')))
    // Samples are charged the CPU time since the one before, so the sum is near what the kernel counted.
    expect(burning / Number(stdout)).toBeGreaterThan(0.5)
    expect(burning / Number(stdout)).toBeLessThan(1.3)
    expect(burning / seconds(stacks)).toBeGreaterThan(0.8)
  })
})

describe('/ingest', () => {
  const at = `from=${T / 1000}&until=${T / 1000 + 10}`

  it('takes folded text, lines, and a form with a pprof', async () => {
    const name = (node: string) => `name=${encodeURIComponent(`app.cpu{hostname=${node}}`)}`
    expect(
      (await post(`/ingest?${name('n3')}&${at}&sampleRate=50`, 'main;solve 3\nmain 1\nnonsense\n')).json(),
    ).toEqual({
      rejected: 1,
      message: '1 refused: 1 lines are no stack with a count',
    })
    expect((await post(`/ingest?${name('n4')}&${at}&format=lines`, 'main;solve\nmain;solve\n')).statusCode).toBe(200)
    const form = new FormData()
    form.append('profile', new Blob([gzipSync(pprof())]), 'profile.pprof')
    form.append('sample_type_config', '{}')
    const request = new Response(form)
    const body = Buffer.from(await request.arrayBuffer())
    const sent = await post(
      `/ingest?${name('n5')}&${at}&spyName=gospy`,
      body,
      request.headers.get('content-type') ?? '',
    )
    expect([sent.statusCode, sent.json()]).toEqual([200, { rejected: 0 }])
    expect(await stacksOf('n3')).toMatchObject([
      { stack: 'solve@<main@', value: '60000000', count: 3, process: 'app.cpu', event: 'cpu' },
      { stack: 'main@', value: '20000000', count: 1 },
    ])
    expect(await stacksOf('n4')).toMatchObject([{ stack: 'solve@<main@', value: '20000000', count: 2 }])
    expect((await stacksOf('n5')).map(s => s.value)).toEqual(['30000000', '10000000'])
  })

  it('says which formats it takes', async () => {
    const answer = await post(`/ingest?name=x&${at}&format=jfr`, 'x')
    expect([answer.statusCode, answer.json().message]).toEqual([
      415,
      'format jfr: send pprof, or folded or lines as text',
    ])
    expect((await post(`/ingest?name=x&${at}`, 'x', 'multipart/form-data; boundary=y')).statusCode).toBe(400)
  })

  it('reads names and times as Pyroscope does', () => {
    expect(parseAppName('a.b{c=d, e="f"}')).toEqual(
      new Map([
        ['c', 'd'],
        ['e', 'f'],
        ['service_name', 'a.b'],
      ]),
    )
    expect(
      ['1700000000', '1700000000000', '1700000000000000', '1700000000000000000', 'now-1h', ''].map(parseTimeMs),
    ).toEqual([1.7e12, 1.7e12, 1.7e12, 1.7e12, undefined, undefined])
  })
})

describe('push.v1', () => {
  it('takes protobuf and JSON', async () => {
    const labels = { __name__: 'process_cpu', service_name: 'svc', hostname: 'n6' }
    const writer = new PbfWriter()
    writer.writeMessage(
      1,
      (_, series) => {
        for (const pair of Object.entries(labels)) {
          series.writeMessage(
            1,
            ([name, value]: [string, string], w: PbfWriter) => {
              w.writeStringField(1, name)
              w.writeStringField(2, value)
            },
            pair,
          )
        }
        series.writeMessage(2, (bytes: Uint8Array, w: PbfWriter) => w.writeBytesField(1, bytes), gzipSync(pprof()))
      },
      undefined,
    )
    const url = '/push.v1.PusherService/Push'
    const answer = await post(url, writer.finish().slice(), 'application/proto')
    expect([answer.statusCode, answer.headers['content-type'], answer.rawPayload.length]).toEqual([
      200,
      'application/proto',
      0,
    ])
    const json = {
      series: [
        {
          labels: Object.entries({ ...labels, hostname: 'n7' }).map(([name, value]) => ({ name, value })),
          samples: [{ rawProfile: Buffer.from(pprof()).toString('base64') }],
        },
      ],
    }
    expect((await post(url, JSON.stringify(json), 'application/json')).json()).toEqual({})
    for (const node of ['n6', 'n7'])
      expect((await stacksOf(node)).map(s => [s.process, s.value])).toEqual([
        ['svc', '30000000'],
        ['svc', '10000000'],
      ])
    const broken = await post(url, Uint8Array.of(0x0a, 0x7f), 'application/proto')
    expect([broken.statusCode, broken.json().code]).toEqual([400, 'invalid_argument'])
  })
})
