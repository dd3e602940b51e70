#!/usr/bin/env node
/**
 * The command line and the composition root: the only file that may import from every part, reads the environment and
 * ends the process. Parts are loaded by role, so that a compute node never loads the database.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Server as TlsServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Logger, pino } from 'pino'
import { type Static, Type } from 'typebox'
import { CollectorConfig } from './collector/config.ts'
import type { OpenWire } from './collector/line.ts'
import type { Send } from './collector/outbox.ts'
import { IngestConfig, StoreConfig } from './ingest/config.ts'
import type { Ingest } from './ingest/index.ts'
import type { NewReceiver } from './ingest/receiver.ts'
import { readSettings, UsageError } from './ingest/settings.ts'
import type { Store } from './ingest/store.ts'
import { TlsConfig, type TlsOptions } from './ingest/tls.ts'
import { AccessConfig } from './query/access/config.ts'
import { AlertsConfig } from './query/alerts/config.ts'
import type { QueryOptions } from './query/index.ts'

const VERSION = '0.1.0'

const Config = Type.Object(
  {
    cluster: Type.String({ default: 'local', minLength: 1, description: 'name of this cluster' }),
    listen: Type.String({
      default: '127.0.0.1:7070',
      pattern: ':\\d+$',
      description: 'address the page, the API and OTLP listen on',
    }),
    grpc: Type.Optional(
      Type.String({ pattern: ':\\d+$', description: 'address for OTLP/gRPC, such as 0.0.0.0:4317; absent: none' }),
    ),
    endpoint: Type.Optional(
      Type.String({ pattern: '^https?://', description: 'where collect, import and job send to' }),
    ),
    log: Type.String({ default: 'info', description: 'debug, info, warn, error' }),
    serve: Type.Object(
      {
        ingest: Type.Boolean({ default: true, description: 'take what collectors send' }),
        query: Type.Boolean({ default: true, description: 'answer questions and show the page' }),
      },
      { additionalProperties: false, default: {} },
    ),
    telemetry: Type.Object(
      {
        endpoint: Type.Optional(
          Type.String({ pattern: '^https?://', description: "OTLP/HTTP server for this server's own figures" }),
        ),
        everyMs: Type.Integer({ minimum: 1000, default: 60_000 }),
      },
      { additionalProperties: false, default: {} },
    ),
    access: AccessConfig,
    tls: TlsConfig,
    store: StoreConfig,
    ingest: IngestConfig,
    alerts: AlertsConfig,
    collector: CollectorConfig,
  },
  { additionalProperties: false },
)
type Config = Static<typeof Config>

const USAGE = `jobsight: where the time went on a cluster: cluster -> job/node -> process -> function

  jobsight start              everything on this machine: collector, store, page
  jobsight serve              ingest, store, query and page; collectors send to it
  jobsight collect            the collector of one node; sends to --endpoint
  jobsight demo               a simulated cluster through the real ingest, then the page
  jobsight import FILE...     perf script, folded, pprof or speedscope files into --endpoint's store
  jobsight job ID             what --endpoint knows of a job: use, what stands out, functions, nodes, ranks
  jobsight job start|update|stop ID [key=value ...]
                              tells --endpoint of a job, for schedulers without an adapter
  jobsight user add|password|token|remove NAME [--role R] [--account A]
                              who may sign in: admin, support, manager (of accounts), user
  jobsight token CLUSTER      prints a token that collectors of this cluster send with
  jobsight doctor             what can be read on this machine, what not, why, and what to run

  --config FILE     YAML (default: ./jobsight.yaml, then /etc/jobsight.yaml)
  --cluster NAME    name of the cluster                     (local)
  --listen H:P      address of page, API and OTLP           (127.0.0.1:7070)
  --data DIR        data directory of the embedded store    ($XDG_STATE_HOME/jobsight)
  --url URL         a ClickHouse server in place of the embedded store
  --endpoint URL    where collect, import and job send to   ($OTEL_EXPORTER_OTLP_ENDPOINT)
  --token-file FILE what collect, import and job show to the server
  --interval MS     tick of the collector                   (10000)
  --node NAME       name of this node; import: node of the profile
  --set KEY=VALUE   any key of the YAML file: --set collector.stacks.hz=49
  demo:   --nodes 64 --jobs 12 --hours 2 --seed 1 --once (history only) --speedup 60 (an hour a minute;
          without it as fast as the store takes it)
  import: --job ID
  job:    jobsight job start 4711 name=relax user=ann queue=long nodes=n[01-04] cores=256; job stop 4711 exit=3

Every key can come from the environment too: collector.intervalMs is JOBSIGHT_COLLECTOR_INTERVAL_MS.
`

const OPTIONS = {
  config: { type: 'string' },
  cluster: { type: 'string' },
  listen: { type: 'string' },
  data: { type: 'string' },
  url: { type: 'string' },
  endpoint: { type: 'string' },
  interval: { type: 'string' },
  node: { type: 'string' },
  set: { type: 'string', multiple: true },
  nodes: { type: 'string' },
  jobs: { type: 'string' },
  hours: { type: 'string' },
  seed: { type: 'string' },
  speedup: { type: 'string' },
  once: { type: 'boolean' },
  job: { type: 'string' },
  'token-file': { type: 'string' },
  role: { type: 'string', multiple: true },
  account: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const

const parseArguments = (argv: string[]) => parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
type Flags = ReturnType<typeof parseArguments>['values']

/** What the command line says of the configuration; the last one that names a key wins. */
function loadConfig(flags: Flags, environment: NodeJS.ProcessEnv): Promise<Config> {
  const named: [string | undefined, string][] = [
    [flags.cluster, 'cluster'],
    [flags.listen, 'listen'],
    [flags.endpoint, 'endpoint'],
    [flags.data, 'store.path'],
    [flags.url, 'store.url'],
    [flags.interval, 'collector.intervalMs'],
    [flags.node, 'collector.node'],
    [flags['token-file'], 'collector.tokenFile'],
  ]
  const assignments = named.flatMap(([value, key]) => (value === undefined ? [] : [`${key}=${value}`]))
  const file = flags.config ?? ['jobsight.yaml', '/etc/jobsight.yaml'].find(existsSync)
  const endpoint = environment.OTEL_EXPORTER_OTLP_ENDPOINT
  const otherwise = endpoint === undefined ? {} : { endpoint }
  return readSettings(Config, { otherwise, file, environment, assignments: [...assignments, ...(flags.set ?? [])] })
}

const stateDir = (name: string) => join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), name)

interface Server {
  ingest: Ingest
  url: string
  close(): Promise<void>
}

/** Store, ingest, query and page on one port. */
async function openServer(config: Config, log: Logger): Promise<Server> {
  const { openIngest } = await import('./ingest/index.ts')
  const at = config.listen.lastIndexOf(':')
  const host = config.listen.slice(0, at).replace(/^\[|\]$/g, '')
  const { access, senders, onlyHere, notices } = await openDoor(config, host, log)
  const { readTls, startRenewing } = await import('./ingest/tls.ts')
  const https = readTls(config.tls)
  const store = await openOwnStore(config, log)
  const receiver = await readReceiver(log)
  const ingest = await openIngest({
    store,
    log,
    defaultCluster: config.cluster,
    config: config.ingest,
    senders,
    receiver,
  })
  const telemetry = await openTelemetry(config, ingest)
  const app = await openApp(config, { store, ingest, access, log }, { https, onlyHere })
  try {
    const grpc = await openGrpcDoor(config, ingest, onlyHere, https, log)
    const url = await app.listen({ host, port: Number(config.listen.slice(at + 1)) })
    const stopRenewing = app.server instanceof TlsServer ? startRenewing(config.tls, app.server, log) : undefined
    for (const notice of notices) log.warn(notice)
    return {
      ingest,
      url,
      close: async () => {
        stopRenewing?.()
        await app.close()
        await grpc?.close()
        await telemetry?.stop()
        await ingest.close()
        await store.close()
      },
    }
  } catch (error) {
    await ingest.close()
    await store.close()
    if (error instanceof Error && 'code' in error && error.code === 'config') throw error
    throw new UsageError(
      `cannot listen on ${config.listen}: ${error instanceof Error ? error.message : error}; choose another with --listen 127.0.0.1:PORT`,
    )
  }
}

/** Of the addon; undefined where it is not built. */
async function readReceiver(log: Logger): Promise<NewReceiver | undefined> {
  const { readAddon } = await import('./collector/addon.ts')
  const { parseReceiver } = await import('./ingest/receiver.ts')
  const receiver = readAddon(parseReceiver)
  if (!('absent' in receiver)) return receiver
  log.debug(`requests are read by node:http alone: ${receiver.absent}`)
  return undefined
}

async function openOwnStore(config: Config, log: Logger): Promise<Store> {
  const { openStore } = await import('./ingest/store.ts')
  const path = config.store.url ? {} : { path: config.store.path ?? stateDir('jobsight') }
  const questions = questionsAtOnce(process.env.UV_THREADPOOL_SIZE)
  return openStore({ questionsAtOnce: questions, ...config.store, ...path }, { log })
}

type Answering = Pick<QueryOptions, 'store' | 'access' | 'log'> & { ingest: Ingest }

async function openApp(
  config: Config,
  answering: Answering,
  { https, onlyHere }: { https: TlsOptions | undefined; onlyHere: boolean },
) {
  const { default: fastify } = await import('fastify')
  const { query } = await import('./query/index.ts')
  const { webSocket } = await import('./ingest/controldoor.ts')
  const { onlyLoopback } = await import('./ingest/crosssite.ts')
  const app = fastify({
    loggerInstance: answering.log.child({}, { level: config.log === 'debug' ? 'debug' : 'warn' }),
    forceCloseConnections: true,
    // Whose word counts on where a request came from.
    trustProxy: config.access.proxy?.trusted ?? false,
    ...(https ? { https } : {}),
  })
  await app.register(webSocket)
  if (onlyHere) app.addHook('onRequest', onlyLoopback)
  if (config.serve.ingest) await app.register(answering.ingest.plugin)
  const answers = {
    ...answering,
    alerts: alertsConfig(config),
    uiDir: fileURLToPath(new URL('./ui', import.meta.url)),
  }
  if (config.serve.query) await app.register(query, answers)
  return app
}

/** Each holds a thread of libuv's pool (4, unless told before the start), and two are left for inserts and files. */
const questionsAtOnce = (poolThreads = '4'): number =>
  Math.min(8, Math.max(2, Math.floor(Number(poolThreads)) - 2 || 2))

const accessFile = (config: Config, name: string) => join(config.store.path ?? stateDir('jobsight'), 'access', name)
const usersFile = (config: Config) => config.access.users ?? accessFile(config, 'users.yaml')
const tokensFile = (config: Config) => config.access.collectors ?? accessFile(config, 'tokens.yaml')

/** Who may use this server at all. */
async function openDoor(config: Config, host: string, log: Logger) {
  const { openDoorkeeper } = await import('./query/access/open.ts')
  const options = {
    access: config.access,
    host,
    usersFile: usersFile(config),
    keyFile: accessFile(config, 'session.key'),
    tokensFile: tokensFile(config),
    certificates: config.tls.clientCa !== undefined,
    defaultCluster: config.cluster,
  }
  return openDoorkeeper(options, log)
}

async function changeUsers(args: string[], config: Config, flags: Flags): Promise<void> {
  const { readPassword, runUserCommand } = await import('./query/access/usercommand.ts')
  const grants = { roles: flags.role ?? [], accounts: flags.account ?? [] }
  say(await runUserCommand(args, usersFile(config), grants, () => readPassword(process.stdin, process.stderr)))
}

async function makeToken([cluster]: string[], config: Config): Promise<void> {
  if (cluster === undefined) throw new UsageError('token needs the name of a cluster: jobsight token hpc1 > token')
  const { addToken } = await import('./ingest/senders.ts')
  say(addToken(tokensFile(config), cluster))
}

async function credentialsOf(config: Config) {
  const { openCredentials } = await import('./collector/credentials.ts')
  return openCredentials(config.collector)
}

/** The file of rules that is named, else the one that lies there. */
function alertsConfig({ alerts }: Config): AlertsConfig {
  const file = alerts.file ?? ['jobsight-alerts.yaml', '/etc/jobsight-alerts.yaml'].find(existsSync)
  return file === undefined ? alerts : { ...alerts, file }
}

async function openGrpcDoor(
  config: Config,
  ingest: Ingest,
  onlyHere: boolean,
  tls: TlsOptions | undefined,
  log: Logger,
): Promise<{ close: Stop } | undefined> {
  if (config.grpc === undefined) return undefined
  if (onlyHere && !/^(127\.|localhost:|\[::1\])/.test(config.grpc)) {
    throw new UsageError(
      `grpc ${config.grpc}: without tokens it may be on this machine only; run \`jobsight token CLUSTER\` first`,
    )
  }
  const { openGrpc } = await import('./ingest/grpc.ts')
  const { INGEST_DEFAULTS } = await import('./ingest/config.ts')
  return openGrpc(ingest, { listen: config.grpc, tls, ...INGEST_DEFAULTS, ...config.ingest }, log)
}

async function openTelemetry(config: Config, ingest: Ingest): Promise<{ stop: Stop } | undefined> {
  const { endpoint, everyMs } = config.telemetry
  if (endpoint === undefined) return undefined
  const { startTelemetry } = await import('./ingest/telemetry.ts')
  return startTelemetry({ endpoint, everyMs, version: VERSION }, ingest)
}

/** The collector's way into an ingest in this process: the same bytes by a call instead of a socket. */
const sendTo =
  (ingest: Ingest): Send =>
  async (door, body, batch) => {
    const receipt = await ingest.receive(door, body, undefined, batch)
    if (receipt.status === 200) {
      return { ok: true, rejected: receipt.rejected, ...(receipt.message ? { message: receipt.message } : {}) }
    }
    const retry = receipt.status === 429 || receipt.status === 503
    return {
      ok: false,
      permanent: !retry,
      message: receipt.message ?? `status ${receipt.status}`,
      held: receipt.status === 409,
      ...(receipt.retryAfterSeconds === undefined ? {} : { retryAfterMs: receipt.retryAfterSeconds * 1000 }),
    }
  }

/** The control line of a collector in this process. */
const wireTo =
  (ingest: Ingest): OpenWire =>
  async events => {
    const end = ingest.control.join({ send: frame => events.hear(frame), close: why => events.gone(why) })
    return { send: frame => end.hear(frame), close: () => end.gone() }
  }

const collectorConfig = (config: Config): CollectorConfig => ({
  ...config.collector,
  cluster: config.collector.cluster ?? config.cluster,
  spool: {
    ...config.collector.spool,
    path: config.collector.spool.path ?? join(config.store.path ?? stateDir('jobsight'), 'spool'),
  },
})

async function start(config: Config, log: Logger): Promise<Stop> {
  const server = await openServer(config, log)
  const { startCollector } = await import('./collector/index.ts')
  const collector = await startCollector(collectorConfig(config), {
    log,
    send: sendTo(server.ingest),
    openWire: wireTo(server.ingest),
    env: process.env,
    besideServer: true,
  })
  say(`Jobsight shows this machine at ${server.url}`)
  return async () => {
    await collector.stop()
    await server.close()
  }
}

async function serve(config: Config, log: Logger): Promise<Stop> {
  const server = await openServer(config, log)
  say(`Jobsight serves page, API and OTLP at ${server.url}; on a node run: jobsight collect --endpoint ${server.url}`)
  return server.close
}

async function collect(config: Config, log: Logger): Promise<Stop> {
  const { keepSmall } = await import('./collector/small.ts')
  keepSmall()
  const { httpSend } = await import('./collector/outbox.ts')
  const { webSocketWire } = await import('./collector/line.ts')
  const { startCollector } = await import('./collector/index.ts')
  const credentials = await credentialsOf(config)
  const collector = await startCollector(collectorConfig(config), {
    log,
    send: httpSend(endpointOf(config), log, credentials),
    openWire: webSocketWire(endpointOf(config), credentials),
    env: process.env,
  })
  say(`collecting every ${config.collector.intervalMs} ms for ${endpointOf(config)}`)
  return () => collector.stop()
}

function endpointOf(config: Config): string {
  if (config.endpoint) return config.endpoint
  const at = config.listen.lastIndexOf(':')
  return `http://127.0.0.1${config.listen.slice(at)}`
}

/** A simulated cluster in a data directory of its own: never mixed with what was measured. */
async function demo(config: Config, flags: Flags, log: Logger): Promise<Stop> {
  const { startSimulation } = await import('./collector/simulate.ts')
  const path = config.store.path ?? stateDir('jobsight-demo')
  if (!config.store.url) await rm(path, { recursive: true, force: true })
  const server = await openServer({ ...config, cluster: 'demo', store: { ...config.store, path } }, log)
  const options = {
    cluster: 'demo',
    nodes: numberFlag(flags, 'nodes', 64),
    jobs: numberFlag(flags, 'jobs', 12),
    hours: numberFlag(flags, 'hours', 2),
    seed: numberFlag(flags, 'seed', 1),
    untilMs: Date.now(),
    follow: flags.once !== true,
    ...(flags.speedup === undefined ? {} : { speedup: numberFlag(flags, 'speedup', 1) }),
  }
  const simulation = startSimulation(options, { send: sendTo(server.ingest), log })
  say(`Simulating ${options.nodes} nodes over ${options.hours} h; the page fills at ${server.url}`)
  simulation.history.then(
    async written => {
      await server.ingest.flush()
      say(`history written (${written.requests} requests); ${server.url}`)
    },
    error => log.error({ err: error }, 'the simulation ended'),
  )
  return async () => {
    await simulation.stop()
    await server.close()
  }
}

async function importFiles(files: string[], config: Config, flags: Flags, log: Logger): Promise<void> {
  if (files.length === 0)
    throw new UsageError('import needs a file: perf script > out.txt, then jobsight import out.txt')
  const { httpSend } = await import('./collector/outbox.ts')
  const { uploadProfile } = await import('./collector/upload.ts')
  const endpoint = endpointOf(config)
  const node = config.collector.node ?? hostname()
  const job = flags.job === undefined ? {} : { job: flags.job }
  const { waitingFor } = await import('./collector/credentials.ts')
  const credentials = await credentialsOf(config)
  const options = {
    endpoint,
    cluster: config.cluster,
    node,
    send: httpSend(endpoint, log, waitingFor(credentials)),
    headers: credentials.headers(),
    fetch,
    ...job,
  }
  for (const file of files) say(await uploadProfile(file, options))
}

const reachOf =
  (endpoint: string, headers: Record<string, string> = {}): typeof fetch =>
  (url, init) =>
    fetch(url, { ...init, headers: { ...headers, ...init?.headers } }).catch(error => {
      throw new UsageError(`cannot reach ${endpoint} (${error.cause ?? error}); name the server with --endpoint`)
    })

async function reportJob(id: string, config: Config, flags: Flags): Promise<void> {
  const { readJobReport } = await import('./query/report.ts')
  const { layoutReport } = await import('./query/reporttext.ts')
  const endpoint = endpointOf(config)
  const headers = (await credentialsOf(config)).headers()
  const report = await readJobReport(id, { endpoint, cluster: flags.cluster, fetch: reachOf(endpoint, headers) })
  const colours = process.stdout.isTTY === true && !process.env.NO_COLOR
  for (const line of layoutReport(report, { colours, nowMs: Date.now() })) say(line)
}

async function tellOfJob(args: string[], config: Config): Promise<void> {
  const { tellJob } = await import('./collector/schedulers/manual.ts')
  const node = config.collector.node ?? hostname()
  const endpoint = endpointOf(config)
  const headers = (await credentialsOf(config)).headers()
  const told = { cluster: config.cluster, node, nowMs: Date.now(), endpoint, headers, fetch: reachOf(endpoint) }
  const job = await tellJob(args, told)
  say(`job ${job.id} of ${job.cluster}: ${job.state}`)
}

/** Opens everything a collector would, without sending, and tells what works, what not, and what to run. */
async function doctor(config: Config, log: Logger): Promise<void> {
  const { startCollector } = await import('./collector/index.ts')
  const { layoutDoctor } = await import('./collector/doctor.ts')
  const { httpSend } = await import('./collector/outbox.ts')
  const { sendClaims } = await import('./collector/schedulers/lease.ts')
  const quiet = log.child({}, { level: 'silent' })
  const { path: _, ...spool } = config.collector.spool
  const settings = { ...collectorConfig(config), intervalMs: 1000, spool }
  // Only whether another collector asks the scheduler is asked for; nothing of what is read goes out. Whoever looks may not
  // be the one who can read the token.
  const send = await credentialsOf(config).then(
    credentials => sendClaims(httpSend(endpointOf(config), quiet, credentials)),
    (): Send => async () => ({ ok: true }),
  )
  const collector = await startCollector(settings, { log: quiet, send, env: process.env })
  await sleep(DOCTOR_LOOKS_MS)
  for (const line of layoutDoctor(collector.status(), process.stdout.columns ?? DOCTOR_COLUMNS)) say(line)
  await collector.stop()
}

/** Two ticks of a second: the first reading of a counter only remembers it. */
const DOCTOR_LOOKS_MS = 2500
/** Where the output is no terminal. */
const DOCTOR_COLUMNS = 120

/** `jobsight job 4711` reports; `jobsight job start 4711` tells of a job. */
const JOB_ACTIONS: ReadonlySet<string> = new Set(['start', 'update', 'stop'])

type Stop = () => Promise<void>
const say = (line: string): void => void process.stdout.write(`${line}\n`)

function numberFlag(flags: Flags, name: 'nodes' | 'jobs' | 'hours' | 'seed' | 'speedup', otherwise: number): number {
  const value = flags[name] === undefined ? otherwise : Number(flags[name])
  if (!Number.isFinite(value) || value <= 0) throw new UsageError(`--${name} ${flags[name]}: expected a number above 0`)
  return value
}

/** JSON lines on stderr, as log collectors like them; plain lines where a person reads. */
function openLog(level: string): Logger {
  if (!process.stderr.isTTY) return pino({ level, base: null }, pino.destination(2))
  const options = { destination: 2, sync: true, ignore: 'pid,hostname,err.stack', translateTime: 'SYS:HH:MM:ss' }
  return pino({ level, base: null, transport: { target: 'pino-pretty', options } })
}

/** Runs a role until a signal ends it; what has been accepted is written before the process goes. */
async function runUntilSignal(stop: Stop, log: Logger): Promise<void> {
  const signal = await new Promise<string>(resolve => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => resolve(name))
  })
  log.info(`${signal}: writing what is left`)
  await stop()
}

async function main(): Promise<void> {
  const { values: flags, positionals } = parseCommandLine()
  const [role, ...rest] = positionals
  if (flags.help || role === undefined) {
    say(USAGE)
    return
  }
  const config = await loadConfig(flags, process.env)
  const log = openLog(config.log)
  switch (role) {
    case 'start':
      return runUntilSignal(await start(config, log), log)
    case 'serve':
      return runUntilSignal(await serve(config, log), log)
    case 'collect':
      return runUntilSignal(await collect(config, log), log)
    case 'demo':
      return runUntilSignal(await demo(config, flags, log), log)
    case 'import':
      return importFiles(rest, config, flags, log)
    case 'job':
      if (rest.length === 1 && rest[0] !== undefined && !JOB_ACTIONS.has(rest[0]))
        return reportJob(rest[0], config, flags)
      return tellOfJob(rest, config)
    case 'user':
      return changeUsers(rest, config, flags)
    case 'token':
      return makeToken(rest, config)
    case 'doctor':
      return doctor(config, log)
    default:
      throw new UsageError(`unknown command ${role}; jobsight --help lists them`)
  }
}

function parseCommandLine(): ReturnType<typeof parseArguments> {
  try {
    return parseArguments(process.argv.slice(2))
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

try {
  await main()
  process.exit(0)
} catch (error) {
  const told = error instanceof Error && 'code' in error ? error.message : error
  console.error('jobsight:', told)
  process.exit(1)
}
