/** The meter's bytes through the real ingest into a real store: every column of the catalogue comes out as the value that went in. */
import { expect, it } from 'vitest'
import { openMeter } from '../../collector/meter.ts'
import type { ProcessReading } from '../../collector/processes.ts'
import { UNTOLD } from '../../collector/processreadings.ts'
import type { Reading } from '../../collector/source.ts'
import { COLUMNS, ENTITIES, type Entity } from '../../ingest/metrics.ts'
import { freshIngest, rows } from '../ingest/place.ts'

const ENTITY_NAMES = Object.keys(ENTITIES) as Entity[]
const instanceOf = (entity: Entity) => (entity === 'node' ? '' : '7')
const SELF = new Set(['collector_cpu', 'collector_memory'])

/** A value of its own for each column: a share where it is one. */
const drawn = (entity: Entity): Reading[] =>
  COLUMNS[entity]
    .filter(metric => metric.arrives.length > 0 && !SELF.has(metric.column))
    .map(({ column, unit }, i) => ({
      entity,
      column,
      instance: instanceOf(entity),
      value: unit === 'ratio' ? (i + 1) / 200 : i + 1,
    }))

const PROCESS: ProcessReading = {
  ...UNTOLD,
  pid: 4711,
  startMs: 1_699_999_000_120,
  parentPid: 1,
  name: 'sol"ver\n\n;',
  command: "./solver --title 'x\n\nDROP TABLE processes'",
  user: 'ann',
  job: '815_3',
  step: 'batch',
  rank: 3,
  evidence: 'cgroup',
  cpuUser: 1.5,
  cpuSystem: 0.25,
  memoryBytes: 1e9,
  readBytes: 100,
  writeBytes: 0,
  threads: 4,
  state: 'R',
}

it('brings every column of the catalogue, and processes, through ingest as they were read', async () => {
  const { ingest, store } = await freshIngest()
  const idle = {
    put: 0,
    sent: 0,
    sentBytes: 0,
    retried: 0,
    refused: 0,
    dropped: 0,
    rejected: 0,
    waiting: 0,
    waitingBytes: 0,
  }
  const meter = openMeter(
    { node: 'n1', cluster: 'lab', intervalMs: 10_000 },
    { readings: () => 0, sourceErrors: () => ({}), skippedTicks: () => 0, outbox: () => idle },
  )
  const timeMs = Math.floor(Date.now() / 10_000) * 10_000
  const readings = ENTITY_NAMES.flatMap(drawn)
  const body = meter.encode({ startMs: timeMs - 10_000, timeMs }, readings, [PROCESS])
  expect(await ingest.receive('metrics', body)).toMatchObject({ status: 200, rejected: 0 })

  for (const entity of ENTITY_NAMES) {
    const [point] = entity === 'node' ? [ingest.latest.node('lab', 'n1')] : ingest.latest.instances('lab', 'n1', entity)
    const came = drawn(entity).map(({ column, value }) => {
      const at = COLUMNS[entity].findIndex(metric => metric.column === column)
      return [
        column,
        Math.abs((point?.values[at] ?? Number.NaN) - value) <= 1e-9 * value ? 'as sent' : point?.values[at],
      ]
    })
    expect(Object.fromEntries(came)).toEqual(Object.fromEntries(came.map(([column]) => [column, 'as sent'])))
    expect(point).toMatchObject({ instance: instanceOf(entity), timeMs, intervalMs: 10_000 })
  }

  const [process] = await rows(store, 'SELECT * FROM processes')
  expect(process).toMatchObject({
    cluster: 'lab',
    node: 'n1',
    interval_ms: 10_000,
    pid: PROCESS.pid,
    name: PROCESS.name,
    command: PROCESS.command,
    user: 'ann',
    job: '815_3',
    step: 'batch',
    rank: 3,
    evidence: 'cgroup',
    cpu_user: 1.5,
    cpu_system: 0.25,
    threads: 4,
    state: 'R',
  })
  expect(process).toMatchObject({ parent_pid: 1 })
  expect([Number(process?.start_ms), Number(process?.memory_bytes), Number(process?.read_bytes)]).toEqual([
    PROCESS.startMs,
    1e9,
    100,
  ])
})
