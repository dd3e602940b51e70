/**
 * OTLP/gRPC: the same bodies and receipts as over HTTP, on a port of their own.
 *
 *   200              OK, with partial_success where points were refused
 *   400 413 415      INVALID_ARGUMENT: not to be sent again
 *   429              RESOURCE_EXHAUSTED with RetryInfo, which makes it one to send again later
 *   503              UNAVAILABLE with RetryInfo
 *
 * https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
 */
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import type { Logger } from 'pino'
import { StoreError } from './errors.ts'
import type { Ingest, Receipt } from './index.ts'
import { exportResponse, retryStatus } from './otlp/response.ts'
import { SenderError } from './senders.ts'
import type { TlsOptions } from './tls.ts'

export interface GrpcOptions {
  /** host:port; port 0 is any. */
  listen: string
  /** Absent: plain text. */
  tls?: TlsOptions | undefined
  maxInflatedBytes: number
}

type Sending = Pick<Ingest, 'receive' | 'as'>

const SERVICES = {
  metrics: 'opentelemetry.proto.collector.metrics.v1.MetricsService',
  profiles: 'opentelemetry.proto.collector.profiles.v1development.ProfilesService',
} as const
type Door = keyof typeof SERVICES

const REJECTED: Readonly<Record<Door, string>> = { metrics: 'rejectedDataPoints', profiles: 'rejectedProfiles' }

/** Throws StoreError `config` where the address cannot be had. */
export async function openGrpc(
  ingest: Sending,
  options: GrpcOptions,
  log: Logger,
): Promise<{ port: number; close(): Promise<void> }> {
  const server = new Server({ 'grpc.max_receive_message_length': options.maxInflatedBytes })
  for (const door of ['metrics', 'profiles'] as const) {
    server.addService(serviceOf(SERVICES[door]), {
      Export: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        take(ingest, door, call).then(
          receipt => reply(door, receipt, answer),
          error => {
            log.error({ err: error }, 'ingest: a gRPC request failed')
            answer({ code: status.INTERNAL, details: 'the server failed; its log says why' })
          },
        )
      },
    })
  }
  const port = await bind(server, options)
  return {
    port,
    close: () =>
      new Promise(done => {
        const hurry = setTimeout(() => server.forceShutdown(), CLOSING_MS)
        server.tryShutdown(() => {
          clearTimeout(hurry)
          done()
        })
      }),
  }
}

/** Requests under way may end; streams that clients keep open may not hold the server. */
const CLOSING_MS = 2000

/** The bytes are read and written by ingest itself. */
function serviceOf(name: string) {
  const asIs = (bytes: Buffer): Buffer => bytes
  return {
    Export: {
      path: `/${name}/Export`,
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  }
}

/** The certificate of the page's port. Senders show tokens here: one by certificate is not told apart by this library. */
const credentialsOf = (tls: TlsOptions | undefined): ServerCredentials =>
  tls === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(null, [{ private_key: tls.key, cert_chain: tls.cert }])

function bind(server: Server, { listen, tls }: GrpcOptions): Promise<number> {
  return new Promise((done, failed) => {
    server.bindAsync(listen, credentialsOf(tls), (error, port) => {
      if (error === null) done(port)
      else
        failed(
          new StoreError(
            'config',
            `cannot listen for gRPC on ${listen}: ${error.message}; choose another with --set grpc=127.0.0.1:PORT`,
          ),
        )
    })
  })
}

async function take(ingest: Sending, door: Door, call: ServerUnaryCall<Buffer, Buffer>): Promise<Receipt> {
  const [authorization] = call.metadata.get('authorization')
  try {
    return await ingest.as(authorization?.toString(), () => ingest.receive(door, call.request))
  } catch (error) {
    if (error instanceof SenderError) return { status: error.statusCode, rejected: 0, message: error.message }
    throw error
  }
}

const CODES: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  413: status.INVALID_ARGUMENT,
  415: status.INVALID_ARGUMENT,
  429: status.RESOURCE_EXHAUSTED,
  503: status.UNAVAILABLE,
}

function reply(door: Door, receipt: Receipt, answer: sendUnaryData<Buffer>): void {
  const { status: http, rejected, message = '', retryAfterSeconds } = receipt
  if (http === 200) {
    answer(null, exportResponse('protobuf', REJECTED[door], rejected, message))
    return
  }
  const code = CODES[http] ?? status.UNKNOWN
  const metadata = new Metadata()
  if (retryAfterSeconds !== undefined) {
    metadata.set('grpc-status-details-bin', retryStatus(code, message, retryAfterSeconds))
  }
  answer({ code, details: message, metadata })
}
