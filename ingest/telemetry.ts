/**
 * The server's own figures (requests, rows, refusals, what waits) to an OTLP endpoint of the operator's choice, so that the
 * monitor can be monitored by something else than itself. Off unless an endpoint is configured.
 */
import { metrics as api } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { metrics, NodeSDK, resources } from '@opentelemetry/sdk-node'
import { LEVELS } from './exposition.ts'
import type { Ingest } from './index.ts'

export interface TelemetryOptions {
  /** Base URL; /v1/metrics is added. */
  endpoint: string
  everyMs: number
  version: string
}

/** Each counter of ingest is one observable of that name; `jobsight.ingest.` stands before it. */
export function startTelemetry(options: TelemetryOptions, ingest: Pick<Ingest, 'counters'>): { stop(): Promise<void> } {
  const exporter = new OTLPMetricExporter({ url: `${options.endpoint.replace(/\/$/, '')}/v1/metrics` })
  const sdk = new NodeSDK({
    resource: resources.resourceFromAttributes({ 'service.name': 'jobsight', 'service.version': options.version }),
    metricReaders: [new metrics.PeriodicExportingMetricReader({ exporter, exportIntervalMillis: options.everyMs })],
    spanProcessors: [],
    logRecordProcessors: [],
    instrumentations: [],
    autoDetectResources: false,
  })
  sdk.start()
  const meter = api.getMeter('jobsight')
  for (const name of Object.keys(ingest.counters())) {
    const metric = `jobsight.ingest.${name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)}`
    const observed = LEVELS.has(name) ? meter.createObservableGauge(metric) : meter.createObservableCounter(metric)
    observed.addCallback(result => result.observe(ingest.counters()[name] ?? 0))
  }
  return { stop: () => sdk.shutdown() }
}
