/** The doors of profiles over HTTP: pprof files and what Pyroscope's clients send. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admit } from '../admission.ts'
import { BodyError } from '../errors.ts'
import type { Receipt } from '../index.ts'
import { bodyOf, headerOf, hidden, parameterOf, retryLater } from './http.ts'
import { type ForeignProfiles, type Pushed, parseAppName, parseTimeMs, textOf } from './profiles.ts'

export function addProfiles(app: FastifyInstance, admit: Admit, profiles: ForeignProfiles): void {
  addPprof(app, admit, profiles)
  addIngest(app, admit, profiles)
  addPush(app, admit, profiles)
}

function tell(reply: FastifyReply, receipt: Receipt): FastifyReply {
  retryLater(reply, receipt)
  const { status, rejected, message } = receipt
  return reply.code(status).send({ rejected, ...(message === undefined ? {} : { message }) })
}

/** curl --data-binary @cpu.pb.gz 'http://server:7070/v1/pprof?node=n1&job=4711' */
function addPprof(app: FastifyInstance, admit: Admit, profiles: ForeignProfiles): void {
  app.post('/v1/pprof', hidden, async (request, reply) => {
    const names = ['node', 'process', 'pid'] as const
    const given = new Map<string, string>(names.map(name => [name, parameterOf(request, name)]))
    given.set('job_id', parameterOf(request, 'job'))
    const body = bodyOf(request)
    const receipt = await admit(body, headerOf(request, 'content-encoding'), bytes =>
      profiles.pprofs([{ labels: given, bytes, ...timesOf(request) }], parameterOf(request, 'cluster')),
    )
    return tell(reply, receipt)
  })
}

const timesOf = (request: FastifyRequest) => ({
  fromMs: parseTimeMs(parameterOf(request, 'from')),
  untilMs: parseTimeMs(parameterOf(request, 'until')),
})

function addIngest(app: FastifyInstance, admit: Admit, profiles: ForeignProfiles): void {
  app.post('/ingest', hidden, async (request, reply) => {
    const receipt = await admit(bodyOf(request), headerOf(request, 'content-encoding'), async bytes =>
      profiles.push(await readPushed(request, bytes), parameterOf(request, 'cluster')),
    )
    return tell(reply, receipt)
  })
}

const FORMATS: Readonly<Record<string, Pushed['format']>> = {
  '': 'folded',
  folded: 'folded',
  collapsed: 'folded',
  groups: 'folded',
  lines: 'lines',
  pprof: 'pprof',
}

async function readPushed(request: FastifyRequest, bytes: Uint8Array): Promise<Pushed> {
  const type = headerOf(request, 'content-type')
  const isForm = type.startsWith('multipart/form-data')
  const asked = parameterOf(request, 'format')
  const format = isForm ? 'pprof' : Object.hasOwn(FORMATS, asked) ? FORMATS[asked] : undefined
  if (format === undefined) {
    throw new BodyError('unsupported', `format ${asked.slice(0, 40)}: send pprof, or folded or lines as text`)
  }
  const hz = Number(parameterOf(request, 'sampleRate'))
  const units = parameterOf(request, 'units')
  return {
    format,
    body: isForm ? await profileOfForm(bytes, type) : bytes,
    labels: parseAppName(parameterOf(request, 'name')),
    ...timesOf(request),
    unit: { hz: hz > 0 ? hz : 100, type: units, isTime: units === '' || units === 'samples' },
  }
}

/** The part called `profile`; of the others (prev_profile, sample_type_config) none is needed. */
async function profileOfForm(bytes: Uint8Array, type: string): Promise<Uint8Array> {
  let part: unknown
  try {
    const form = await new Response(Buffer.from(bytes), { headers: { 'content-type': type } }).formData()
    part = form.get('profile')
  } catch {
    throw new BodyError('malformed', 'not multipart/form-data')
  }
  if (part instanceof Blob) return new Uint8Array(await part.arrayBuffer())
  if (typeof part === 'string') return Buffer.from(part, 'latin1')
  throw new BodyError('malformed', 'the form has no part called profile')
}

/** https://connectrpc.com/docs/protocol/#unary-request: the message itself, or JSON of it. */
function addPush(app: FastifyInstance, admit: Admit, profiles: ForeignProfiles): void {
  app.post('/push.v1.PusherService/Push', hidden, async (request, reply) => {
    const type = headerOf(request, 'content-type').split(';')[0]?.trim()
    const cluster = parameterOf(request, 'cluster')
    const receipt = await admit(bodyOf(request), headerOf(request, 'content-encoding'), body => {
      if (type === 'application/proto') return profiles.pushV1(body, cluster)
      if (type === 'application/json') return profiles.pprofs(parsePushJson(textOf(body)), cluster)
      throw new BodyError('unsupported', `content-type ${type}: send application/proto or application/json`)
    })
    retryLater(reply, receipt)
    if (receipt.status === 200 && receipt.rejected === 0) {
      return type === 'application/proto' ? reply.type('application/proto').send(Buffer.alloc(0)) : reply.send({})
    }
    const status = receipt.status === 200 ? 400 : receipt.status
    return reply.code(status).send({ code: CODES[status] ?? 'unknown', message: receipt.message })
  })
}

const CODES: Readonly<Record<number, string>> = {
  400: 'invalid_argument',
  413: 'resource_exhausted',
  415: 'unimplemented',
  429: 'resource_exhausted',
  503: 'unavailable',
}

const objectsIn = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'object' && item !== null) : []

/** {"series": [{"labels": [{"name", "value"}], "samples": [{"rawProfile": base64}]}]} */
function parsePushJson(text: string) {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new BodyError('malformed', 'not JSON')
  }
  const series = typeof body === 'object' && body !== null && 'series' in body ? objectsIn(body.series) : []
  return series.flatMap(({ labels, samples }) => {
    const named = new Map(objectsIn(labels).map(({ name, value }) => [String(name), String(value)]))
    return objectsIn(samples).map(({ rawProfile }) => ({
      labels: named,
      bytes: Buffer.from(typeof rawProfile === 'string' ? rawProfile : '', 'base64'),
    }))
  })
}
