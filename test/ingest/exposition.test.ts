import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { exposition } from '../../ingest/exposition.ts'
import { hasPrometheus } from '../testbeds/prometheus.ts'

describe('/metrics', () => {
  const text = exposition({ points: 12, queuedBytes: 3, refusedTooLarge: 0 })

  it('tells counters and levels apart, and of the process', () => {
    expect(text).toContain('# TYPE jobsight_ingest_points_total counter\njobsight_ingest_points_total 12\n')
    expect(text).toContain('# TYPE jobsight_ingest_queued_bytes gauge\njobsight_ingest_queued_bytes 3\n')
    expect(text).toContain('jobsight_ingest_refused_too_large_total 0\n')
    expect(text).toMatch(/process_resident_memory_bytes \d{7,}\n/)
  })

  it.skipIf(!hasPrometheus)('is what promtool accepts', () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    expect([status, stdout, stderr]).toEqual([0, '', ''])
  })
})
