/** The same samples in a real Prometheus and in Jobsight, and the same questions to both. */
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../query/index.ts'
import { remoteWrite1, type Series } from '../ingest/foreign/writes.ts'
import { openRandom } from '../ingest/mutate.ts'
import { openDoors, quiet } from '../ingest/place.ts'
import { hasPrometheus, type Running, startPrometheus } from '../testbeds/prometheus.ts'

const doors = openDoors()
const MINUTE = 60_000
/** Not on the grid that is asked for: Prometheus 2 and 3 differ on samples at the very edge of a range. */
const END = Math.floor(Date.now() / MINUTE) * MINUTE - MINUTE
const START = END - 40 * MINUTE
const EVERY = 15_000

const times = (from = START, to = END): number[] =>
  Array.from({ length: Math.floor((to - from) / EVERY) }, (_, i) => from + i * EVERY + 3137)

const below = openRandom(7)
const of = (name: string, labels: Record<string, string>, node: string) => ({
  __name__: name,
  cluster: 'c1',
  node,
  instance: `${node}:9100`,
  ...labels,
})

function counter(labels: Record<string, string>, most: number, resetAt = -1): Series {
  let value = below(1000)
  return {
    labels,
    samples: times().map((time, i) => {
      value = i === resetAt ? below(5) : value + below(most)
      return [time, value]
    }),
  }
}
const gauge = (labels: Record<string, string>, from = START, to = END): Series => ({
  labels,
  samples: times(from, to).map(time => [time, (below(4000) - 1000) / 10]),
})

function histogram(node: string): Series[] {
  const bounds = ['0.1', '0.5', '1', '+Inf']
  const counts = bounds.map(() => 0)
  const series: Series[] = bounds.map(le => ({ labels: of('latency_bucket', { le }, node), samples: [] }))
  for (const time of times()) {
    const grown = bounds.map(() => below(20))
    counts.forEach((_, i) => {
      for (let j = 0; j <= i; j++) counts[i] = (counts[i] ?? 0) + (grown[j] ?? 0)
      series[i]?.samples.push([time, counts[i] ?? 0])
    })
  }
  return series
}

const ALL: readonly Series[] = [
  ...['n1', 'n2', 'n3'].flatMap(node => [
    counter(of('http_requests_total', { code: '200' }, node), 50, node === 'n2' ? 70 : -1),
    counter(of('http_requests_total', { code: '500' }, node), 3),
    gauge(of('temperature', { sensor: 'cpu' }, node)),
    gauge(of('temperature', { sensor: 'disk' }, node)),
    gauge(of('limit', {}, node)),
    ...histogram(node),
  ]),
  // Begins late, ends early, and has holes.
  gauge(of('gone', {}, 'n1'), START, START + 15 * MINUTE),
  gauge(of('late', {}, 'n1'), END - 10 * MINUTE),
  { labels: of('owner', { team: 'a' }, 'n1'), samples: times().map(time => [time, 1]) },
  { labels: of('owner', { team: 'b' }, 'n2'), samples: times().map(time => [time, 1]) },
]

const EXPRESSIONS = [
  'http_requests_total',
  'http_requests_total{code="500"}',
  'http_requests_total{code!="500", node=~"n[12]"}',
  'http_requests_total{code!~"5..", node!="n1"}',
  '{__name__=~"temp.*", sensor="cpu"}',
  'temperature{nothing=""}',
  'temperature{sensor=~"cpu|disk", node=~".+"}',
  'gone',
  'late',
  'temperature offset 5m',
  'temperature offset -2m',
  `temperature @ ${END / 1000 - 600}`,
  'temperature @ end()',
  'rate(http_requests_total[5m])',
  'rate(http_requests_total[1m])',
  'increase(http_requests_total[10m])',
  'irate(http_requests_total[5m])',
  'delta(temperature[5m])',
  'idelta(temperature[5m])',
  'deriv(temperature[10m])',
  'predict_linear(temperature[10m], 3600)',
  'avg_over_time(temperature[3m])',
  'min_over_time(temperature[3m])',
  'max_over_time(temperature[3m])',
  'sum_over_time(temperature[3m])',
  'count_over_time(temperature[3m])',
  'stddev_over_time(temperature[5m])',
  'stdvar_over_time(temperature[5m])',
  'quantile_over_time(0.9, temperature[10m])',
  'last_over_time(gone[20m])',
  'present_over_time(gone[10m])',
  'changes(temperature[5m])',
  'resets(http_requests_total[30m])',
  'absent(nothing{a="b"})',
  'absent(temperature)',
  'absent_over_time(gone[5m])',
  'avg_over_time(rate(http_requests_total[2m])[607s:1m])',
  'max_over_time(temperature[607s:30s] offset 1m)',
  'sum(rate(http_requests_total[5m]))',
  'sum by (code) (rate(http_requests_total[5m]))',
  'sum(rate(http_requests_total[5m])) by (node)',
  'avg without (sensor) (temperature)',
  'min by (sensor) (temperature)',
  'max(temperature)',
  'count by (node) (temperature)',
  'group by (node) (temperature)',
  'stddev by (sensor) (temperature)',
  'stdvar(temperature)',
  'quantile(0.5, temperature)',
  'topk(2, temperature)',
  'bottomk(1, temperature) by (sensor)',
  'count_values("value", owner)',
  'temperature > 100',
  'temperature > bool 100',
  '100 < temperature',
  'temperature{sensor="cpu"} > on (node) limit',
  '-temperature',
  '-temperature ^ 2',
  'temperature * 2 + 1',
  '2 - temperature',
  '1 / temperature',
  'temperature % 7',
  'temperature ^ 2',
  'limit / on (node) temperature{sensor="cpu"}',
  'temperature / ignoring (sensor) group_left limit',
  'temperature * on (node) group_left (team) owner',
  'owner * on (node) group_right (team) temperature',
  'sum by (team) (temperature * on (node) group_left (team) owner)',
  'temperature and on (node) owner',
  'temperature unless on (node) owner',
  'owner or on (node) limit',
  'temperature{sensor="cpu"} or temperature{sensor="disk"}',
  'abs(temperature)',
  'ceil(temperature)',
  'floor(temperature)',
  'round(temperature, 5)',
  'round(temperature)',
  'clamp(temperature, 0, 100)',
  'clamp_min(temperature, 0)',
  'clamp_max(temperature, 100)',
  'sqrt(temperature)',
  'ln(temperature)',
  'exp(temperature / 100)',
  'sgn(temperature)',
  'log2(limit) + log10(limit)',
  'scalar(sum(temperature)) + 1',
  'vector(3)',
  'time() - timestamp(temperature)',
  'timestamp(temperature)',
  'minute() + hour() + day_of_week()',
  'day_of_month(vector(1700000000)) + month(vector(1700000000)) + year(vector(1700000000)) + days_in_month(vector(1700000000)) + day_of_year(vector(1700000000))',
  'histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m])))',
  'histogram_quantile(0.5, latency_bucket)',
  'label_replace(owner, "room", "r-$1", "team", "(.*)")',
  'label_join(owner, "both", "-", "node", "team")',
  'sort_desc(temperature{sensor="cpu"})',
  '1 + 2 * 3 ^ 2 % 5',
  '1 > bool 2',
  'pi() * 2',
  '"text"',
  'rate(http_requests_total[5m]) > 0.5 and on (node) temperature{sensor="cpu"} < 200',
]

/** Both refuse them. */
const WRONG = [
  '',
  'sum(',
  'temperature[5m] + 1',
  'rate(temperature)',
  '{node!="n1"}',
  '1 > 2',
  'temperature{sensor="cpu"} + on (cluster) limit',
  'temperature * on (node) owner',
  'nonsense(temperature)',
  'sum by (node) (temperature) and 1',
  'label_replace(temperature, "sensor", "x", "node", ".*")',
]

describe.skipIf(!hasPrometheus)('PromQL beside a real Prometheus', () => {
  let app: FastifyInstance
  let prometheus: Running

  beforeAll(async () => {
    app = Fastify()
    await app.register(query, { store: doors.store, ingest: doors.ingest, log: quiet })
    await app.ready()
    prometheus = await startPrometheus({})
    // In order of time, as a scrape would bring them.
    for (const at of times()) {
      const series = ALL.flatMap(({ labels, samples }) => {
        const sample = samples.find(([time]) => time === at)
        return sample === undefined ? [] : [{ labels, samples: [sample] }]
      })
      const payload = Buffer.from(remoteWrite1(series))
      const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }
      const theirs = fetch(`http://${prometheus.address}/api/v1/write`, { method: 'POST', headers, body: payload })
      const ours = doors.app.inject({ method: 'POST', url: '/api/v1/write', headers, payload })
      expect([(await theirs).status, (await ours).statusCode]).toEqual([204, 204])
    }
  })
  afterAll(async () => {
    await prometheus.stop()
    await app.close()
  })

  const ask = async (path: string, parameters: Record<string, string>) => {
    const body = new URLSearchParams(parameters).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const theirs = await fetch(`http://${prometheus.address}/api/v1/${path}`, { method: 'POST', headers, body })
    const ours = await app.inject({ method: 'POST', url: `/prometheus/api/v1/${path}`, headers, payload: body })
    return { theirs: tidy(await theirs.json()), ours: tidy(ours.json()) }
  }
  const instant = (expression: string) => ask('query', { query: expression, time: String(END / 1000) })
  const range = (expression: string) =>
    ask('query_range', {
      query: expression,
      start: String((END - 20 * MINUTE) / 1000),
      end: String(END / 1000),
      step: '45s',
    })

  it('gives the same values at one moment', async () => {
    // Over time all of them are compared; a moment differs in the shape of the answer only.
    const some = EXPRESSIONS.filter((expression, i) => i % 4 === 0 || /sort|"text"|scalar|vector|@/.test(expression))
    expect(await differing(some, instant)).toEqual([])
  })

  it('gives the same lines over time', async () => {
    const drawn = EXPRESSIONS.filter(expression => expression !== '"text"')
    expect(await differing(drawn, range)).toEqual([])
  })

  it('refuses the same', async () => {
    for (const expression of WRONG) {
      const { theirs, ours } = await instant(expression)
      expect([expression, theirs.status, ours.status]).toEqual([expression, 'error', 'error'])
    }
    const steps = await ask('query_range', { query: 'temperature', start: '0', end: '100000', step: '1' })
    expect([steps.theirs.status, steps.ours.status]).toEqual(['error', 'error'])
    const { theirs, ours } = await ask('query', { query: 'temperature', time: 'soon' })
    expect([theirs.status, ours.status]).toEqual(['error', 'error'])
  })

  it('knows the same series and labels', async () => {
    const window = `start=${START / 1000}&end=${END / 1000}`
    const get = async (path: string) => {
      const theirs = await fetch(`http://${prometheus.address}/api/v1/${path}`).then(answer => answer.json())
      const ours = (await app.inject({ url: `/prometheus/api/v1/${path}` })).json()
      return { theirs, ours }
    }
    for (const match of ['temperature', 'http_requests_total{code="200"}', '{__name__=~"o.*"}']) {
      const { theirs, ours } = await get(`series?match[]=${encodeURIComponent(match)}&${window}`)
      expect(new Set(ours.data.map(text)), match).toEqual(new Set(theirs.data.map(text)))
      const labels = await get(`labels?match[]=${encodeURIComponent(match)}&${window}`)
      expect(labels.ours, match).toEqual(labels.theirs)
    }
    const nodes = await get(`label/node/values?match[]=temperature&${window}`)
    expect(nodes.ours).toEqual(nodes.theirs)
    const sensors = await get(`label/sensor/values?${window}`)
    expect(sensors.ours).toEqual(sensors.theirs)
    const names = await get(`label/__name__/values?${window}`)
    for (const name of names.theirs.data) expect(names.ours.data).toContain(name)
    expect(names.ours.data).toContain('jobsight_node_cpu_busy')
    const labels = await get(`labels?${window}`)
    for (const name of labels.theirs.data) expect(labels.ours.data).toContain(name)
  })
})

/** Expressions with different answers, and where they begin to differ. */
async function differing(
  expressions: readonly string[],
  read: (expression: string) => Promise<{ theirs: Answer; ours: Answer }>,
): Promise<string[][]> {
  const found: string[][] = []
  for (const expression of expressions) {
    const { theirs, ours } = await read(expression)
    const [a, b] = [JSON.stringify(theirs), JSON.stringify(ours)]
    if (a === b) continue
    let at = 0
    while (a[at] === b[at]) at++
    found.push([expression, ...[a, b].map(side => side.slice(Math.max(0, at - 100), at + 40))])
  }
  return found
}

const text = (labels: Record<string, string>): string => JSON.stringify(Object.entries(labels).sort())

interface Answer {
  status: string
  data?: unknown
}

/** Without the words of errors and the order of series, and numbers to eight digits. */
function tidy(answer: unknown): Answer {
  const { status, data } = JSON.parse(JSON.stringify(answer), (_, value: unknown) => {
    if (Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && typeof value[1] === 'string') {
      const number = Number(value[1])
      return [value[0], Number.isFinite(number) && value[1] !== '' ? Number(number.toPrecision(8)) : value[1]]
    }
    return value
  }) as { status: string; data?: { resultType: string; result: { metric: Record<string, string> }[] } }
  if (status !== 'success' || data === undefined) return { status }
  if (!Array.isArray(data.result) || data.resultType === 'scalar' || data.resultType === 'string')
    return { status, data }
  const result = [...data.result].sort((a, b) => (text(a.metric) < text(b.metric) ? -1 : 1))
  const sorted = result.map(({ metric, ...rest }) => ({
    metric: Object.fromEntries(Object.entries(metric).sort()),
    ...rest,
  }))
  return { status, data: { resultType: data.resultType, result: sorted } }
}
