/**
 * GET /metrics: this server's own figures in Prometheus' text format, so that a Prometheus that is there anyway sees whether
 * the monitor works. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { FastifyInstance } from 'fastify'

/** Among the counters of ingest, what rises and falls. */
export const LEVELS: ReadonlySet<string> = new Set([
  'queuedBytes',
  'storedBytes',
  'knownStacks',
  'knownPlaces',
  'controlLines',
])

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function addExposition(app: FastifyInstance, counters: () => Record<string, number>): void {
  // A Prometheus shows a token like a collector, an administrator is signed in.
  const route = { config: { access: ['everything', 'collector'] }, schema: { hide: true } as object } as const
  app.get('/metrics', route, (_, reply) => reply.type(CONTENT_TYPE).send(exposition(counters())))
}

/** Names of counters end in _total; what rises and falls is a gauge. */
export function exposition(counters: Record<string, number>): string {
  const own = Object.entries(counters).map(([name, value]) => {
    const snake = name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
    return LEVELS.has(name)
      ? family(`jobsight_ingest_${snake}`, 'gauge', value)
      : family(`jobsight_ingest_${snake}_total`, 'counter', value)
  })
  return [...own, ...processFamilies()].join('')
}

/** Under the names that Prometheus' client libraries use, which dashboards know. */
function processFamilies(): string[] {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed, external } = process.memoryUsage()
  return [
    family('process_cpu_seconds_total', 'counter', (user + system) / 1e6),
    family('process_resident_memory_bytes', 'gauge', rss),
    family('process_start_time_seconds', 'gauge', Date.now() / 1000 - process.uptime()),
    family('nodejs_heap_size_used_bytes', 'gauge', heapUsed),
    family('nodejs_external_memory_bytes', 'gauge', external),
  ]
}

const family = (name: string, type: 'counter' | 'gauge', value: number): string =>
  `# HELP ${name} ${name.replace(/_total$/, '').replaceAll('_', ' ')}\n# TYPE ${name} ${type}\n${name} ${value}\n`
