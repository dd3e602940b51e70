/**
 * Prometheus' HTTP API over what Jobsight has, as far as Grafana's Prometheus data source asks it: its URL is
 * http://server:7070/prometheus. Only for those who see everything: an expression is not kept to a reader's rows.
 *
 * https://prometheus.io/docs/prometheus/latest/querying/api/
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Desk, Room } from '../desk.ts'
import { badRequest, QueryError } from '../errors.ts'
import { formatValue } from './aggregate.ts'
import type { Expr, Matcher } from './ast.ts'
import { Evaluator, type Value } from './evaluate.ts'
import { findSeries, readLabelNames, readLabelValues, readMetadata, sortedOnce } from './labels.ts'
import { parseNumber } from './literals.ts'
import { parsePromql } from './parse.ts'
import { openSource } from './source.ts'
import type { Labels } from './vector.ts'

const BODY_BYTES = 1 << 20
const config = { access: 'everything' } as const
const hidden = { config, schema: { hide: true } as object }

export function addPrometheus(app: FastifyInstance, room: Room, log: Logger): void {
  // Grafana posts its questions as forms.
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_BYTES },
    (_, body, done) => done(null, new URLSearchParams(String(body))),
  )
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply, log))
  const answer = (path: string, read: (asked: Asked, desk: Desk) => Promise<unknown>): void => {
    const handler = async (request: FastifyRequest): Promise<unknown> => {
      const data = await read(askedOf(request), room.desk(request))
      return { status: 'success', data }
    }
    app.get(path, hidden, handler)
    app.post(path, hidden, handler)
  }
  answer('/query', readInstant)
  answer('/query_range', readRange)
  answer('/series', async (asked, { asker, known }) => {
    const found = await findSeries(asker, known, matchesOf(asked), windowOf(asked, asker.nowMs))
    return found.map(labels => Object.fromEntries(labels))
  })
  answer('/labels', async (asked, { asker, known }) => {
    if (asked.all('match[]').length === 0) return readLabelNames(asker)
    const found = await findSeries(asker, known, matchesOf(asked), windowOf(asked, asker.nowMs))
    return sortedOnce(found.flatMap(labels => [...labels.keys()]))
  })
  answer('/label/:name/values', async (asked, { asker, known }) => {
    if (asked.all('match[]').length === 0) return readLabelValues(asker, known, asked.name)
    const found = await findSeries(asker, known, matchesOf(asked), windowOf(asked, asker.nowMs))
    return sortedOnce(found.map(labels => labels.get(asked.name) ?? ''))
  })
  answer('/metadata', (asked, { asker }) => readMetadata(asker, asked.one('metric')))
  answer('/query_exemplars', async () => [])
  // What Grafana looks at to know which functions it may offer.
  answer('/status/buildinfo', async () => ({ version: '2.45.0', application: 'jobsight', features: {} }))
  answer('/rules', async () => ({ groups: [] }))
}

interface Asked {
  /** Of the path. */
  name: string
  one(name: string): string | undefined
  all(name: string): string[]
}

/** Parameters of the address and of a form alike. */
function askedOf(request: FastifyRequest): Asked {
  const at = request.url.indexOf('?')
  const address = new URLSearchParams(at < 0 ? '' : request.url.slice(at + 1))
  const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
  const { params } = request
  const named: unknown = typeof params === 'object' && params !== null && 'name' in params ? params.name : ''
  return {
    name: String(named),
    one: name => form.get(name) ?? address.get(name) ?? undefined,
    all: name => [...form.getAll(name), ...address.getAll(name)],
  }
}

/** RFC 3339 or Unix seconds -> ms. */
function timeOf(asked: Asked, name: string, otherwise: number | undefined): number {
  const text = asked.one(name) ?? ''
  if (text === '') {
    if (otherwise === undefined) throw badRequest(`parameter ${name} is missing`)
    return otherwise
  }
  const ms = /^-?[\d.]+(e[+-]?\d+)?$/i.test(text) ? Number(text) * 1000 : Date.parse(text)
  if (!Number.isFinite(ms) || Math.abs(ms) > 8e15)
    throw badRequest(`invalid parameter "${name}": cannot parse "${text.slice(0, 60)}" to a valid timestamp`)
  return Math.round(ms)
}

function stepOf(asked: Asked): number {
  const text = asked.one('step') ?? ''
  const stepMs = parseNumber(text === '' ? 'nan' : text) * 1000
  if (!(stepMs > 0)) throw badRequest('invalid parameter "step": send seconds or a duration such as 15s, above 0')
  return Math.max(1, Math.round(stepMs))
}

const windowOf = (asked: Asked, nowMs: number) => ({
  from: timeOf(asked, 'start', nowMs - 3_600_000),
  to: timeOf(asked, 'end', nowMs),
})

function matchesOf(asked: Asked): Matcher[][] {
  const texts = asked.all('match[]')
  if (texts.length === 0) throw badRequest('no match[] parameter provided')
  return texts.map(text => selectorOf(parsePromql(text)))
}

function selectorOf(expr: Expr): Matcher[] {
  if (expr.kind !== 'selector') throw badRequest('match[] takes a selector, such as jobsight_node_cpu_busy{node="n1"}')
  return expr.matchers
}

async function readInstant(asked: Asked, { asker, known }: Desk): Promise<object> {
  const expr = parsePromql(asked.one('query') ?? '')
  const atMs = timeOf(asked, 'time', asker.nowMs)
  const evaluator = new Evaluator(openSource(asker, known), [atMs])
  if (expr.kind === 'range') return matrixOf(await evaluator.samples(expr.of, expr.rangeMs))
  return instantAnswer(await evaluator.evaluate(expr), atMs / 1000)
}

const matrixOf = (series: Awaited<ReturnType<Evaluator['samples']>>): object => ({
  resultType: 'matrix',
  result: series.map(({ labels, times, values }) => ({
    metric: Object.fromEntries(labels),
    values: Array.from(times, (time, i) => [time / 1000, formatValue(values[i] ?? Number.NaN)]),
  })),
})

function instantAnswer(value: Value, at: number): object {
  if (value.kind === 'string') return { resultType: 'string', result: [at, value.value] }
  if (value.kind === 'scalar') return { resultType: 'scalar', result: [at, formatValue(value.values[0] ?? Number.NaN)] }
  const result = value.lines.flatMap(({ labels, values: [first] }) =>
    first === undefined ? [] : [{ metric: metricOf(labels), value: [at, formatValue(first)] }],
  )
  return { resultType: 'vector', result }
}

const metricOf = (labels: Labels): Record<string, string> => Object.fromEntries(labels)

async function readRange(asked: Asked, { asker, known }: Desk): Promise<object> {
  const expr = parsePromql(asked.one('query') ?? '')
  const [from, to, stepMs] = [timeOf(asked, 'start', undefined), timeOf(asked, 'end', undefined), stepOf(asked)]
  if (to < from) throw badRequest('invalid parameter "end": end timestamp must not be before start time')
  const count = Math.floor((to - from) / stepMs) + 1
  const steps = Array.from({ length: Math.min(count, MOST_STEPS) }, (_, i) => from + i * stepMs)
  const value = await new Evaluator(openSource(asker, known), steps, { from, to }).evaluate(expr)
  if (value.kind === 'string') throw badRequest('invalid expression type "string" for range query')
  const lines = value.kind === 'vector' ? value.lines : [{ labels: new Map(), values: value.values }]
  const result = lines.map(({ labels, values }) => ({
    metric: metricOf(labels),
    values: values.flatMap((v, i) => (v === undefined ? [] : [[(steps[i] ?? 0) / 1000, formatValue(v)]])),
  }))
  return {
    resultType: 'matrix',
    result: result.sort((a, b) => (JSON.stringify(a.metric) < JSON.stringify(b.metric) ? -1 : 1)),
  }
}

/** One more than the evaluator takes, so that it can say so. */
const MOST_STEPS = 11_001

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  if (request.method === 'GET' && request.signal.aborted) return reply.code(499).send()
  const known = error instanceof QueryError
  const status = known ? error.status : statusOf(error)
  if (status >= 500) log.error({ err: error, url: request.url }, 'query: a PromQL question failed')
  const message = status === 500 ? "the store could not answer; the server's log says why" : messageOf(error)
  const errorType = status === 504 ? 'timeout' : status >= 500 ? 'internal' : 'bad_data'
  return reply.code(status).send({ status: 'error', errorType, error: message })
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const statusOf = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500
