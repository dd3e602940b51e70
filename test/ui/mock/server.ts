/**
 * A server with the mock cluster behind the real page: for looking at the page without a database, and for browser tests that
 * need the same pictures every time. start.mjs runs it.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { WebSocketServer } from 'ws'
import * as alertAnswers from './alerts.ts'
import * as answers from './answers.ts'
import { compare } from './compare.ts'
import * as jobAnswers from './jobs.ts'
import * as times from './time.ts'
import { NODES, nodeValues, type World } from './world.ts'

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

type Answerer = (asked: answers.Asked) => unknown
const ROUTES: Record<string, Answerer> = {
  session: () => ({
    user: '',
    roles: ['admin'],
    accounts: [],
    via: 'open',
    until: null,
    ways: { password: false, oidc: false },
  }),
  clusters: answers.clusters,
  catalogue: answers.catalogue,
  nodes: a => (a.path.length > 1 ? answers.node(a) : answers.nodes(a)),
  heatmap: answers.heatmap,
  series: answers.seriesAnswer,
  processes: times.processes,
  process: times.process,
  flame: times.flame,
  functions: times.functions,
  categories: times.categories,
  compare,
  jobs: a =>
    a.path[2] === 'nodes'
      ? jobAnswers.jobNodes(a)
      : a.path[2] === 'ranks'
        ? jobAnswers.jobRanks(a)
        : a.path.length > 1
          ? jobAnswers.job(a)
          : jobAnswers.jobs(a),
  bands: jobAnswers.bands,
  bursts: a => (a.path.length > 1 ? jobAnswers.burst(a) : { cluster: 'mock', bursts: [jobAnswers.burst(a)] }),
  alerts: alertAnswers.alerts,
  search: jobAnswers.search,
}

/** The answer to a question, undefined where there is none. */
export function answerTo(world: World, url: URL): unknown {
  const path = url.pathname.replace('/api/v1/', '').split('/').map(decodeURIComponent)
  return ROUTES[path[0] ?? '']?.({ world, path, query: url.searchParams })
}

function answerApi(world: World, url: URL, response: ServerResponse): void {
  const body = answerTo(world, url)
  const error = { code: 'not_found', message: `nothing at ${url.pathname}; go back to the list` }
  response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body ?? { error }))
}

function answerFile(root: string, url: URL, response: ServerResponse): void {
  const path = join(root, normalize(url.pathname === '/' ? '/index.html' : url.pathname))
  const there = existsSync(path) && statSync(path).isFile()
  response.writeHead(there ? 200 : 404, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' })
  response.end(there ? readFileSync(path) : 'not found')
}

function startLive(server: ReturnType<typeof createServer>, world: World): () => void {
  const sockets = new WebSocketServer({ server, path: '/api/v1/live' })
  sockets.on('connection', socket => {
    socket.on('message', message => {
      const asked: { metrics: string[] } = JSON.parse(String(message))
      const values = asked.metrics.map(m => NODES.map(n => nodeValues(world, n, world.end)?.[m] ?? null))
      socket.send(JSON.stringify({ cluster: 'mock', time: world.end, nodes: NODES, values, dropped: 0 }))
    })
  })
  return () => {
    for (const socket of sockets.clients) socket.terminate()
    sockets.close()
  }
}

export interface Mock {
  readonly url: string
  stop(): Promise<void>
}

/** `root`: the built page. `delayMs` slows every answer, to see what loading looks like. */
export async function startMock(options: { root: string; port?: number; delayMs?: number }): Promise<Mock> {
  const world: World = { end: Math.floor(Date.now() / 10_000) * 10_000 }
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://mock')
    if (!url.pathname.startsWith('/api/')) answerFile(options.root, url, response)
    else setTimeout(() => answerApi(world, url, response), options.delayMs ?? 0)
  }
  const server = createServer(handle)
  const stopLive = startLive(server, world)
  await new Promise<void>(listening => server.listen(options.port ?? 0, '127.0.0.1', listening))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/`,
    stop: () => {
      stopLive()
      server.closeAllConnections()
      return new Promise(closed => server.close(() => closed()))
    },
  }
}
