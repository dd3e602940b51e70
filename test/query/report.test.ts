/** `jobsight job ID` in the terminal: over the real API of a store, and what hostile names and absent measures do to it. */
import { beforeAll, describe, expect, it } from 'vitest'
import { type JobReport, readJobReport } from '../../query/report.ts'
import { layoutReport } from '../../query/reporttext.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from './place.ts'

let place: Place
const GiB = 2 ** 30
const S = 1e9

/** Job 7: ranks 0 and 1 on n1 and n2, 4 cores each, 20 minutes; n2 does little and waits in MPI. Its name moves the cursor. */
beforeAll(async () => {
  place = await openPlace()
  const record = {
    cluster: 'alpha',
    id: '7',
    scheduler: 'slurm',
    state: 'failed',
    name: 'relax \u001b[2J\n日本',
    user: 'ann',
    account: 'physics',
    queue: 'big',
    startMs: T0,
    submitMs: T0,
    endMs: T0 + 20 * MINUTE,
    timeLimitSeconds: 3600,
    nodeCount: 2,
    cores: 8,
    memoryBytes: 10 * GiB,
    exitCode: 3,
    allocations: ['n1', 'n2'].map(node => ({ node, cores: 4 })),
    updatedMs: T0 + 20 * MINUTE,
  }
  const waiting = {
    ...record,
    id: '8',
    state: 'queued',
    name: 'waits',
    reason: 'Priority',
    startMs: undefined,
    endMs: undefined,
  }
  const row = (job: typeof record | typeof waiting) => ({
    cluster: 'alpha',
    id: job.id,
    user: 'ann',
    state: job.state,
    submit_ms: T0,
    start_ms: job.startMs ?? 0,
    end_ms: job.endMs ?? 0,
    nodes: job.startMs === undefined ? [] : ['n1', 'n2'],
    record: JSON.stringify(job),
    updated_ms: T0 + 20 * MINUTE,
  })
  await place.write('jobs', [row(record), row(waiting)])
  const ticks = Array.from({ length: 120 }, (_, i) => T0 / 1000 + (i + 1) * 10)
  const at = (node: string, time: number) => ({ cluster: 'alpha', node, time, interval_ms: 10_000 })
  const busy = { n1: 3.8, n2: 0.4 }
  await place.write(
    'processes',
    Object.entries(busy).flatMap(([node, cpu_user]) =>
      ticks.map(time => ({
        ...at(node, time),
        pid: 5,
        start_ms: T0,
        job: '7',
        cpu_user,
        cpu_system: 0,
        memory_bytes: 2 * GiB,
      })),
    ),
  )
  await place.write(
    'node_points',
    ['n1', 'n2'].flatMap(node => ticks.map(time => at(node, time))),
  )
  await place.write(
    'job_points',
    ticks.map(time => ({ ...at('n1', time), instance: '7', power_watts: 2000 })),
  )
  const job = { job: '7', timeMs: T0 + 5 * MINUTE }
  await place.sample(`\na a\nc d\n${40 * S} ${20 * S}`, { ...job, node: 'n1', pid: 5, rank: 0 })
  await place.sample(`\na a\nm c\n${30 * S} ${10 * S}`, { ...job, node: 'n2', pid: 5, rank: 1 })
  place.clock.now = T0 + HOUR
})

async function reportOf(id: string): Promise<JobReport> {
  const inject: typeof fetch = async input => {
    const { pathname, search } = new URL(String(input))
    const answer = await place.app.inject(pathname + search)
    return new Response(answer.body, { status: answer.statusCode })
  }
  return readJobReport(id, { endpoint: 'http://127.0.0.1:7070', fetch: inject })
}
const linesOf = async (id: string, colours = false) =>
  layoutReport(await reportOf(id), { colours, nowMs: place.clock.now })

describe('the report of a job', () => {
  it('says what it asked and used, what stands out, and where its time went, in 80 columns', async () => {
    const lines = await linesOf('7')
    const text = lines.join('\n')
    expect(lines[0]).toMatch(/^job 7 {2}relax \?\[2J\?日本 +failed, exit code 3$/)
    expect(lines[1]).toBe('ann · physics · queue big · alpha')
    expect(lines[2]).toBe('2 nodes, 8 cores, 10 GiB of memory')
    expect(lines[3]).toBe('ran for 20 min of at most 1 h 0 min, 2026-01-05 10:00:00 to 2026-01-05 10:20:00')
    expect(text).toMatch(/CPU {6}\[#{13} +\] {3}5[23] % {2}4.2 of 8 cores, 1.4 of 2.7 core h/)
    expect(text).toMatch(/memory {3}\[#{10} +\] {3}40 % {2}4.0 GiB of 10 GiB at its peak/)
    // 200 W for 20 minutes.
    expect(text).toContain('energy   0.067 kWh')
    expect(text).toContain('What stands out\n  nothing\n')
    expect(text).toContain('Where 100 core s of samples went')
    expect(text).toMatch(/mpi +30 %/)
    expect(text).toMatch(/compute +70 %/)
    expect(text).toMatch(/ {4}50 % +50 % {2}c +app/)
    expect(text).toMatch(/n2 +0\.4 of 4 cores *\n {2}n1 +3\.8 of 4 cores/)
    expect(text).toMatch(/1 {2}n2 +40 s +75 % waits {2}m\n/)
    expect(lines.slice(-2).join(' ')).toMatch(/^100 % of its node time was measured; 4 samples, 0 lost .* 0 % unnamed$/)
    expect(Math.max(...lines.map(line => [...line].length))).toBeLessThanOrEqual(80)
    expect(text).not.toContain('\u001b')
  })

  it('has colours where they are asked for, and no other controls', async () => {
    const text = (await linesOf('7', true)).join('\n')
    expect(text).toContain('\u001b[31mfailed')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(text.replace(/\u001b\[\d+m/g, '')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })

  it('of one that waits says since when and why', async () => {
    const lines = await linesOf('8')
    expect(lines).toEqual([
      expect.stringMatching(/^job 8 {2}waits +queued$/),
      'ann · physics · queue big · alpha',
      '2 nodes, 8 cores, 10 GiB of memory',
      'waits for 1 h 0 min, since 2026-01-05 10:00:00',
      'reason: Priority',
    ])
  })

  it('of one that is not there tells the server’s words', async () => {
    await expect(reportOf('99')).rejects.toThrow(/job 99 is not known.*Known: /)
    const page: typeof fetch = async () => new Response('<html>')
    await expect(readJobReport('7', { endpoint: 'http://proxy', fetch: page })).rejects.toThrow(/no JSON.*--endpoint/)
  })
})
