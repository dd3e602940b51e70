import { describe, expect, it } from 'vitest'
import { openMeter } from '../../../collector/meter.ts'
import { Body } from '../../../collector/otlpbody.ts'
import type { ProcessReading } from '../../../collector/processes.ts'
import { UNTOLD } from '../../../collector/processreadings.ts'
import { NodeMessage, ProcessMessages } from '../../../collector/simulate/messages.ts'
import type { SimulatedProcess } from '../../../collector/simulate/model.ts'
import { parseTree } from '../../../collector/simulate/trees.ts'
import { layoutOf } from '../../../collector/simulate/values.ts'
import type { Reading } from '../../../collector/source.ts'
import { COLUMNS } from '../../../ingest/metrics.ts'
import { decodeMetrics, type MetricPoint } from './decode.ts'

const timeMs = Date.UTC(2026, 10, 23, 14)
const startMs = timeMs - 10_000
const sender = { cluster: 'c1', stepMs: 10_000 }
const layout = layoutOf({ cores: 2, memoryBytes: 1, pressure: true, perCore: true, devices: true, gpus: 1 })

/** What is measured of the collector itself comes from its own instruments; simulated traffic says that it is. */
const comparable = (points: MetricPoint[]) =>
  points
    .filter(p => !p.name.startsWith('jobsight.collector.') && !p.name.startsWith('process.runtime'))
    .map(({ resource: { 'jobsight.simulated': _, ...resource }, ...p }) => ({ ...p, resource }))
    .map(p => JSON.stringify(p, Object.keys({ ...p, ...p.resource, ...p.attributes }).sort()))
    .sort()

describe('a simulated tick and a measured one', () => {
  it('say the same in the same words', async () => {
    const flat = new Float64Array(layout.length)
    const readings: Reading[] = []
    for (const { entity, instance, offset } of layout.rows) {
      COLUMNS[entity].forEach(({ column }, i) => {
        const value = (1 + offset + i) / 8
        flat[offset + i] = value
        readings.push({ entity, column, instance, value })
      })
    }
    const process: ProcessReading = {
      ...UNTOLD,
      pid: 4711,
      startMs: timeMs - 77_123,
      parentPid: 4700,
      name: 'swirl3d',
      command: 'swirl3d -in a.nml',
      user: 'amara',
      state: 'R',
      job: '17',
      step: '0',
      rank: 3,
      evidence: 'cgroup',
      cpuUser: 7.5,
      cpuSystem: 0.25,
      memoryBytes: 8192,
      readBytes: 100,
      writeBytes: 200,
      threads: 9,
    }
    const none = {
      put: 0,
      sent: 0,
      sentBytes: 0,
      refused: 0,
      dropped: 0,
      rejected: 0,
      retried: 0,
      waiting: 0,
      waitingBytes: 0,
    }
    const self = { readings: () => 0, sourceErrors: () => ({}), skippedTicks: () => 0, outbox: () => none }
    const meter = openMeter({ node: 'n1', cluster: 'c1', intervalMs: 10_000 }, self)
    const measured = meter.encode({ startMs, timeMs }, readings, [process])

    const body = new Body()
    new NodeMessage('n1', sender, layout, flat).write(body, startMs, timeMs, flat)
    const tree = parseTree('t', 'main @a = work 1')
    const simulated: SimulatedProcess = {
      ...process,
      parentPid: 4700,
      rank: 3,
      threads: 9,
      state: 'R',
      userCores: 7.5,
      systemCores: 0.25,
      memoryBytes: 8192,
      readBytesPerSecond: 100,
      writeBytesPerSecond: 200,
      tree,
      seconds: new Float64Array(1),
    }
    new ProcessMessages('n1', sender).write(body, startMs, timeMs, [simulated])
    expect(comparable(decodeMetrics(body.take()))).toEqual(comparable(decodeMetrics(measured)))
  })

  it('leaves out what is not there', () => {
    const flat = new Float64Array(layout.length).fill(Number.NaN)
    flat[0] = 0.5
    const body = new Body()
    new NodeMessage('n1', sender, layout, flat).write(body, startMs, timeMs, flat)
    expect(decodeMetrics(body.take()).map(p => [p.name, p.attributes, p.value])).toEqual([
      ['system.cpu.utilization', { 'cpu.mode': 'user' }, 0.5],
    ])
  })
})
