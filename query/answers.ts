/** How questions are checked and answers and refusals written. */
import { Ajv } from 'ajv'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { QueryError } from './errors.ts'

/** Parameters arrive as text; unknown ones are refused, not dropped. Answers are our own: they are written as they are. */
export function addAnswers(api: FastifyInstance, log: Logger): void {
  const ajv = new Ajv({ coerceTypes: true, useDefaults: true, removeAdditional: false, strict: false })
  api.setValidatorCompiler(({ schema }) => ajv.compile(schema))
  api.setSerializerCompiler(() => answer => JSON.stringify(answer))
  api.setErrorHandler((error, request, reply) => refuse(error, request, reply, log))
}

interface Refusal {
  status: number
  code: string
  message: string
}

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  // Nobody reads it any more. (A body that has been read ends the signal too: nodejs.org/api/http.html#event-close_3)
  if (request.method === 'GET' && request.signal.aborted) return reply.code(499).send()
  const { status, code, message } = refusalOf(error)
  if (status >= 500) log.error({ err: error, url: request.url, status }, 'query: failed')
  return reply.code(status).send({ error: { code, message } })
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof QueryError) return error
  const wrong = validationOf(error)
  if (wrong !== undefined) return { status: 400, code: 'bad_request', message: wrong }
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status < 500 && error instanceof Error) return { status, code: 'bad_request', message: error.message }
  return {
    status: 500,
    code: 'internal',
    message:
      "the store could not answer; the server's log says why. Ask again, and if it stays, tell the administrator",
  }
}

/** What ajv found, in words: which parameter, what is wrong with it. */
function validationOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('validation' in error) || !Array.isArray(error.validation))
    return undefined
  const [first] = error.validation
  const name = String(first?.instancePath ?? '').slice(1)
  const params = first?.params ?? {}
  if (first?.keyword === 'additionalProperties') {
    return `parameter ${params.additionalProperty} is not known here; /api/v1/openapi.json lists what each route takes`
  }
  if (first?.keyword === 'required') return `parameter ${params.missingProperty} is missing`
  return `parameter ${name} ${first?.message ?? 'is not valid'}; /api/v1/openapi.json says what it may be`
}
