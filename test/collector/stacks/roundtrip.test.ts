import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { encodeProfiles } from '../../../collector/profiles.ts'
import { WindowBuilder } from '../../../collector/window.ts'
import { openIngest } from '../../../ingest/index.ts'
import { openStore } from '../../../ingest/store.ts'
import { drawn, frame } from './drawn.ts'

const log = pino({ level: 'silent' })

it('what the collector encodes is what the store holds', async () => {
  const path = mkdtempSync(join(tmpdir(), 'jobsight-roundtrip-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  const store = await openStore({ path }, { log })
  onTestFinished(() => store.close())
  const ingest = await openIngest({ store, log, defaultCluster: 'c1', config: { flushMs: 0 } })
  onTestFinished(() => ingest.close())

  const endMs = Math.floor(Date.now() / 60_000) * 60_000
  const startedMs = endMs - 3_600_000
  const builder = new WindowBuilder()
  const fib = { ...frame('fib'), module: 'app.py', file: '/home/u/app.py', line: 7, kind: 'python' as const }
  const samples = [
    ...drawn(
      `_start main MPI_Wait@libmpi.so.40
       main   .    uct_progress@libuct.so.0
       fft    .    vfs_read@[k]
       7e6    5e6  3e6`,
      { startMs: startedMs },
    ),
    ...drawn('x\n9e6', {
      startMs: startedMs,
      pid: 2,
      thread: 'worker "é" \n\n;',
      process: 'py thon',
      frames: [fib, frame('[truncated]')],
    }),
  ]
  for (const sample of samples) builder.add(sample)
  const window = builder.build({ startMs: endMs - 10_000, endMs, burst: '' })
  const charge = ({ pid }: { pid: number }) =>
    pid === 1
      ? { job: '4711_3', step: '0', rank: 2, evidence: 'cgroup' as const }
      : { job: '', step: '', evidence: 'none' as const }
  for (const body of encodeProfiles(window, { node: 'n1', cluster: 'c2', hz: 19 }, charge))
    expect(await ingest.receive('profiles', body)).toMatchObject({ status: 200, rejected: 0 })

  const rows = await store.query<Record<string, unknown>>(
    {
      query: `SELECT cluster, job, node, pid, toInt64(start_ms) AS start, process, thread, evidence, event, window_ms AS window,
          toUnixTimestamp(time) AS time, category, value, count,
          arrayMap(f -> (SELECT groupArray((frame_id, concat(function, '@', module, ' ', kind, ' ', file, ':', toString(line)))) FROM frames)[
            indexOf((SELECT groupArray(frame_id) FROM frames), f)].2, frames) AS stack
        FROM samples INNER JOIN stacks USING stack_id ORDER BY pid, value DESC`,
      query_params: {},
    },
    { name: 'test' },
  )
  const common = { cluster: 'c2', node: 'n1', event: 'cpu', window: 10_000, time: endMs / 1000, count: 1 }
  const app = { ...common, job: '4711_3', pid: 1, start: startedMs, process: 'app', thread: 'app', evidence: 'cgroup' }
  const plain = (row: Record<string, unknown>) => ({ ...row, start: Number(row.start), value: Number(row.value) })
  expect(rows.map(plain)).toEqual([
    {
      ...app,
      category: 'compute',
      value: 7e6,
      stack: ['fft@app native :0', 'main@app native :0', '_start@app native :0'],
    },
    { ...app, category: 'compute', value: 5e6, stack: ['main@app native :0'] },
    {
      ...app,
      category: 'mpi',
      value: 3e6,
      stack: [
        'vfs_read@[kernel.kallsyms] kernel :0',
        'uct_progress@libuct.so.0 native :0',
        'MPI_Wait@libmpi.so.40 native :0',
      ],
    },
    {
      ...common,
      job: '',
      pid: 2,
      start: startedMs,
      process: 'py thon',
      thread: 'worker "é" \n\n;',
      evidence: 'none',
      category: 'interpreter',
      value: 9e6,
      stack: ['fib@app.py python /home/u/app.py:7', '[truncated]@ truncated :0'],
    },
  ])
})
