/** What a known layout gives, held against decoding the same bytes as if they had never been seen. */
import { describe, expect, it } from 'vitest'
import { decodeSafely } from '../../ingest/door.ts'
import { Gather } from '../../ingest/gather.ts'
import { openIntern } from '../../ingest/otlp/intern.ts'
import { KnownOrigins, KnownTargets } from '../../ingest/otlp/known.ts'
import { Layouts } from '../../ingest/otlp/layouts.ts'
import { decodeMetrics } from '../../ingest/otlp/metrics.ts'
import { Places } from '../../ingest/place.ts'
import { Rates } from '../../ingest/rates.ts'
import { mutate, openRandom } from './mutate.ts'
import { type Attrs, type Metric, metricsProtobuf, type Point, type Resource } from './otlp.ts'

const T = 1_764_284_400_000
const TICK = 10_000

/** One server's memory. `filled` says how many resources of the last body went by their layout. */
function openDecoder(knowsLayouts = true) {
  const places = new Places()
  const rates = new Rates(1000)
  const intern = openIntern()
  const targets = new KnownTargets()
  const origins = new KnownOrigins()
  let layouts = new Layouts()
  return (body: Uint8Array, cluster?: string) => {
    if (!knowsLayouts) layouts = new Layouts()
    const sender = cluster === undefined ? undefined : { cluster }
    const gather = new Gather(places, rates, { fromMs: T - 1e9, toMs: T + 1e9, sender })
    const sink = { gather, targets, origins, layouts, defaultCluster: 'c1' }
    // As a connection gives it: within a block of many, which is written over afterwards.
    const block = Buffer.alloc(body.length + 200)
    block.set(body, 100)
    try {
      decodeSafely(block.subarray(100, 100 + body.length), intern, reader => decodeMetrics(reader, sink))
    } catch (error) {
      return { filled: 0, answer: String(error) }
    } finally {
      block.fill(0)
    }
    const filled = gather.filled.length
    const { rows, arena, series, ...rest } = gather.finish()
    const told = rows.map(({ place, timeMs, intervalMs, offset }) => ({
      row: `${place.cluster} ${place.node} ${place.entity} ${place.instance} ${timeMs} ${intervalMs}`,
      values: [...arena.subarray(offset, offset + place.values.length)],
    }))
    const foreign = series.map(({ name, key, timeMs, value }) => ({ name, key, timeMs, value }))
    return { filled, answer: { told, foreign, ...rest } }
  }
}

const tick = (n: number, values: readonly number[], more: Metric[] = [], attributes: Attrs = {}): Resource => {
  const timeMs = T + n * TICK
  const [user = 0, system = 0, merged = 0, reads = 0] = values
  const times = { startMs: timeMs - TICK, timeMs }
  const point = (asDouble: number, attributes: Attrs): Point => ({ ...times, asDouble, attributes })
  const vda = (direction: string, queue: string) => ({ 'system.device': 'vda', 'disk.io.direction': direction, queue })
  return {
    attributes: { 'host.name': 'n1', 'jobsight.interval_ms': TICK, ...attributes },
    metrics: [
      {
        name: 'system.cpu.utilization',
        gauge: [point(user, { 'cpu.mode': 'user' }), point(system, { 'cpu.mode': 'system' })],
      },
      {
        name: 'system.disk.io',
        sum: {
          points: [point(merged, vda('read', 'a')), { ...times, asInt: reads, attributes: vda('read', 'b') }],
          temporality: 1,
          monotonic: true,
        },
      },
      ...more,
    ],
  }
}

/** toEqual alone takes longer than all the rest. */
function same(given: unknown, expected: unknown): void {
  if (JSON.stringify(given) !== JSON.stringify(expected)) expect(given).toEqual(expected)
}

/** Sends the bodies to a server that knows layouts and to one that does not; the answer is how the last was taken. */
function sendBoth(...bodies: Uint8Array[]) {
  const [known, anew] = [openDecoder(), openDecoder(false)]
  let last = { filled: 0, answer: {} as unknown }
  for (const body of bodies) {
    last = known(body)
    expect(last.answer).toEqual(anew(body).answer)
  }
  return last
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

const body = (...resources: Resource[]): Uint8Array => metricsProtobuf(resources)

describe('a request laid out like one before', () => {
  it('gives the values of its own: set, added up, divided by its interval', () => {
    const { filled, answer } = sendBoth(body(tick(1, [0.1, 0.2, 100, 200])), body(tick(2, [0.3, 0.4, 500, 700])))
    expect(filled).toBe(1)
    expect(JSON.stringify(answer)).toContain('120')
  })

  it('of another node is known too, and one with a metric more is decoded', () => {
    const more: Metric = { name: 'system.cpu.load_average.1m', gauge: [{ timeMs: T, asDouble: 3, attributes: {} }] }
    const first = body(tick(1, [1, 2, 3, 4]))
    expect(sendBoth(first, body(tick(2, [5, 6, 7, 8], [], { 'host.name': 'n2' }))).filled).toBe(1)
    expect(sendBoth(first, body(tick(2, [5, 6, 7, 8], [more]))).filled).toBe(0)
  })

  it.each<[string, Resource[]]>([
    ['a value that is not finite', [tick(2, [Number.NaN, 6, 7, 8])]],
    ['an infinite value', [tick(2, [1, 6, Number.POSITIVE_INFINITY, 8])]],
    ['a time that is ahead', [tick(1_000_000, [5, 6, 7, 8])]],
    ['the same node twice', [tick(2, [5, 6, 7, 8]), tick(2, [9, 10, 11, 12])]],
    ['the same node twice, at two times', [tick(2, [5, 6, 7, 8]), tick(3, [9, 10, 11, 12])]],
  ])('with %s is as if it were decoded', (_, resources) => {
    sendBoth(body(tick(1, [1, 2, 3, 4])), body(...resources))
  })

  it('whose points are of two times is decoded', () => {
    const load = (timeMs: number): Metric => ({
      name: 'system.cpu.load_average.1m',
      gauge: [{ timeMs, asDouble: 3, attributes: {} }],
    })
    const first = body(tick(1, [1, 2, 3, 4], [load(T + TICK)]))
    expect(sendBoth(first, body(tick(2, [5, 6, 7, 8], [load(T + 2 * TICK)]))).filled).toBe(1)
    expect(sendBoth(first, body(tick(2, [5, 6, 7, 8], [load(T + TICK)]))).filled).toBe(0)
  })

  it('keeps the first name of a column that arrives under several, also where the second comes in a resource after it', () => {
    const CORE = { 'cpu.logical_number': '0', 'cpu.mode': 'user' }
    const share = (n: number): Metric => ({
      name: 'system.cpu.utilization',
      gauge: [{ timeMs: T + n * TICK, asDouble: 0.1 * n, attributes: CORE }],
    })
    const time = (timeMs: number, seconds: number): Metric => ({
      name: 'system.cpu.time',
      sum: {
        points: [{ startMs: timeMs - TICK, timeMs, asDouble: seconds, attributes: CORE }],
        temporality: 1,
        monotonic: true,
      },
    })
    const within = (n: number): Uint8Array => body(tick(n, [0.1, 0.2, 3, 4], [share(n), time(T + n * TICK, 9)]))
    expect(sendBoth(within(1), within(2)).filled).toBe(1)
    const apart = (n: number): Uint8Array =>
      body(tick(n, [0.1, 0.2, 3, 4], [share(n)]), { ...tick(n, []), metrics: [time(T + n * TICK, 9)] })
    expect(sendBoth(apart(1), apart(2)).filled).toBe(1)
  })

  it.each<[string, Metric]>([
    [
      'a counter since the start',
      {
        name: 'system.cpu.context_switches',
        sum: { points: [{ startMs: 1, timeMs: T, asInt: 5 }], temporality: 2, monotonic: true },
      },
    ],
    ['a series of its own', { name: 'rooms.booked', gauge: [{ timeMs: T, asDouble: 4 }] }],
    ['a point that says it has no value', { name: 'system.cpu.load_average.1m', gauge: [{ timeMs: T, flags: 1 }] }],
    [
      'a delta of what can go down',
      {
        name: 'system.cpu.load_average.1m',
        sum: { points: [{ startMs: T - TICK, timeMs: T, asDouble: 4 }], temporality: 1, monotonic: false },
      },
    ],
    [
      'a histogram',
      { name: 'latency', histogram: { points: [{ startMs: T - TICK, timeMs: T, count: 4, sum: 2 }], temporality: 1 } },
    ],
  ])('with %s is decoded each time', (_, metric) => {
    const bytes = body(tick(0, [1, 2, 3, 4], [metric]))
    expect(sendBoth(bytes, bytes).filled).toBe(0)
  })

  it('is held to the cluster of its sender', () => {
    const decode = openDecoder()
    decode(body(tick(1, [1, 2, 3, 4])), 'c1')
    expect(decode(body(tick(2, [1, 2, 3, 4])), 'c1').filled).toBe(1)
    expect(decode(body(tick(3, [1, 2, 3, 4])), 'c2').answer).toContain('speaks for cluster c2')
  })

  it('differs in no byte unseen: 600 mutations are taken as by a server that never saw it', () => {
    const [known, anew] = [openDecoder(), openDecoder(false)]
    const random = openRandom(20_261_128)
    let filled = 0
    for (let n = 1; n <= 600; n++) {
      const good = body(tick(n % 50, [0.5, 0.25, n, 2 * n]))
      same(known(good).answer, anew(good).answer)
      const bad = n % 2 === 0 ? mutate(good, [good], random) : flipped(good, random(8 * good.length))
      const taken = known(bad)
      same(taken.answer, anew(bad).answer)
      filled += taken.filled
    }
    // Those whose numbers alone were changed.
    expect(filled).toBeGreaterThan(20)
    expect(filled).toBeLessThan(580)
  })
})
