import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { startTelemetry } from '../../ingest/telemetry.ts'

it("sends the server's own figures by OTLP, under their names", async () => {
  const bodies: string[] = []
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      bodies.push(`${request.method} ${request.url} ${Buffer.concat(chunks).toString('latin1')}`)
      response.end()
    })
  }).listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { port } = receiver.address() as AddressInfo
  const ingest = { counters: () => ({ rowsWritten: 42, queuedBytes: 7 }) }
  const telemetry = startTelemetry({ endpoint: `http://127.0.0.1:${port}/`, everyMs: 60_000, version: '1.2.3' }, ingest)
  await telemetry.stop()
  receiver.close()
  expect(bodies.join()).toContain('POST /v1/metrics')
  expect(bodies.join()).toContain('jobsight.ingest.rows_written')
  expect(bodies.join()).toContain('jobsight.ingest.queued_bytes')
})
