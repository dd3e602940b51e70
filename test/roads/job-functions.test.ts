/**
 * A Slurm job of two ranks that spends 60, 30 and 10 % of its CPU time in three functions, read back by the job API:
 * slurmctld and slurmd, the collector with its poller and sampler, ingest, store and query, all as they are started by users.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Burst, Functions, JobDetail, JobRanks, Processes } from '../../query/api.ts'
import { missingAddon } from '../addon.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'
import { ask, MAIN, type Program, startProgram, until } from './program.ts'

/** Equal loops, so the shares of their turns are the shares of time. */
const BURN = `
#define BURN(name, turns) __attribute__((noinline, noclone)) unsigned name(unsigned x) { \\
  for (unsigned i = 0; i < turns; i++) x = x * 1664525u + 1013904223u; return x; }
BURN(sixty, 6000000) BURN(thirty, 3000000) BURN(ten, 1000000)
volatile unsigned sink;
int main(void) { for (;;) { sink = sixty(sink); sink = thirty(sink); sink = ten(sink); } }
`

let bed: Testbed | { absent: string } = { absent: 'not opened' }

beforeAll(() => {
  bed = upTestbed('slurm', ['--nodes', '1', '--proctrack', 'cgroup', '--port', '27200'])
  if ('absent' in bed) return console.error(`skipped: ${bed.absent}`)
  const out = join(bed.directory, 'out')
  writeFileSync(join(out, 'burn.c'), BURN)
  execFileSync('gcc', ['-O1', '-g', '-o', join(out, 'burn'), join(out, 'burn.c')])
  for (const [name, value] of Object.entries(bed.env)) vi.stubEnv(name, value)
}, 300_000)
afterAll(() => {
  vi.unstubAllEnvs()
  if ('down' in bed) bed.down()
}, 120_000)

const SHARES = { sixty: 0.6, thirty: 0.3, ten: 0.1 }

/** How far the answer is from the program's own shares, in points. */
function pointsOff(functions: Functions): number {
  const shareOf = (name: string) => functions.functions.find(f => f.function === name)?.selfShare ?? 0
  return Math.max(...Object.entries(SHARES).map(([name, share]) => 100 * Math.abs(shareOf(name) - share)))
}

/**
 * A turn of all three takes some 10 ms, so at 997 Hz each turn is hit several times, and 1500 samples are nearer than chance alone
 * would have them. perf(1) has a tenth of that for the same cost: its answer is as far off as so few may be.
 */
const SAMPLERS = [
  { mode: 'addon', hz: 997, samples: 1500, points: 3 },
  { mode: 'perf', hz: 97, samples: 500, points: 6 },
]

if (missingAddon) it(`stacks by 'addon': ${missingAddon}`, context => context.skip(missingAddon))
const here = SAMPLERS.filter(({ mode }) => mode !== 'addon' || !missingAddon)

describe.each(here)('stacks by $mode', ({ mode, hz, samples, points }) => {
  let program: Program | undefined
  let id = ''
  const about = <T>(path: string) => ask<T>(program?.url ?? '', `jobs/${id}/${path}`)
  beforeAll(async () => {
    if ('absent' in bed) return
    // As Slurm calls it: a job's processes are looked for on the nodes that its scheduler names.
    const settings = [
      'node=lab1',
      'scheduler.pollEveryMs=1000',
      `stacks.mode=${mode}`,
      `stacks.hz=${hz}`,
      'stacks.windowMs=2000',
    ]
    program = await startProgram(
      'start',
      settings.flatMap(s => ['--set', `collector.${s}`]),
    )
    id = await bed.run(`sbatch --parsable -n2 -o /dev/null -J ${mode} --wrap 'srun timeout 900 ./burn'`, 'labuser1')
  }, 120_000)
  afterAll(async () => {
    if ('run' in bed) await bed.run(`scancel ${id}`)
    await program?.stop()
  })

  it(`give the shares of the job, merged and of each rank, within ${points} points`, {
    timeout: 240_000,
  }, async ctx => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    const told = await until(
      () => about<JobRanks>('ranks').catch(() => undefined),
      answer => answer?.ranks.length === 2 && answer.ranks.every(rank => rank.samples >= samples),
      `${samples} samples of each rank`,
      400_000,
    )
    expect(told?.ranks.map(rank => [rank.rank, rank.topFunction])).toEqual([
      [0, 'sixty'],
      [1, 'sixty'],
    ])
    expect(pointsOff(await about('functions'))).toBeLessThan(points)
    for (const rank of [0, 1])
      expect(pointsOff(await about(`functions?rank=${rank}`)), `rank ${rank}`).toBeLessThan(points)
  })

  // perf(1) cannot sample one process beside the node.
  if (mode === 'addon') {
    it('are looked at closer, of one rank alone', { timeout: 120_000 }, async ctx => {
      if ('absent' in bed) return ctx.skip(bed.absent)
      const { url } = program as Program
      await until(
        () => about<Processes>('processes?limit=100'),
        answer => answer.processes.some(p => p.rank === 1),
        'rank 1 among the processes',
      )
      const asked = await fetch(`${url}/api/v1/bursts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ job: id, rank: 1, hz: 997, seconds: 10 }),
      })
      const burst = (await asked.json()) as Burst
      expect(asked.status, JSON.stringify(burst)).toBe(201)
      const over = await until(
        () => ask<Burst>(url, `bursts/${burst.id}`),
        answer => answer.state !== 'asked' && answer.state !== 'running',
        'the end of the burst',
      )
      expect(over).toMatchObject({ state: 'done', job: id, rank: 1 })
      expect(over.samples).toBeGreaterThan(200)
      const of = async (scope: string) =>
        (await about<Functions>(`functions?burst=${burst.id}${scope}`)).coverage.samples
      // Its end is told before the last of its samples are in the store.
      const all = await until(
        () => of(''),
        stored => stored >= over.samples,
        'its samples',
      )
      expect([all, await of('&rank=1'), await of('&rank=0')]).toEqual([over.samples, over.samples, 0])
    })
  }

  it('end with the job, as its scheduler tells it', { timeout: 120_000 }, async ctx => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    await bed.run(`scancel ${id}`)
    const job = await until(
      () => ask<JobDetail>(program?.url ?? '', `jobs/${id}`),
      answer => answer.record.state === 'cancelled',
      'the end of the job',
    )
    expect(job.record).toMatchObject({ id, name: mode, user: 'labuser1', scheduler: 'slurm', cores: 2 })
    const report = execFileSync(process.execPath, [MAIN, 'job', id, '--endpoint', program?.url ?? '']).toString()
    expect(report).toMatch(/job \d+ +(addon|perf) +cancelled/)
    expect(report).toMatch(/Ranks, those that worked least first/)
  })
})
