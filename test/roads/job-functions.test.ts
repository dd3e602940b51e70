/**
 * A Slurm job that spends 60, 30 and 10 % of its CPU time in three functions, read back by GET /api/v1/jobs/{id}/functions:
 * slurmctld and slurmd, the collector with its poller and sampler, ingest, store and query, all as they are started by users.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Functions, JobDetail } from '../../query/api.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'
import { ask, type Program, startProgram, until } from './program.ts'

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

const shareOf = (functions: Functions, name: string) =>
  functions.functions.find(f => f.function === name)?.selfShare ?? 0

describe.each(['addon', 'perf'])('stacks by %s', mode => {
  let program: Program | undefined
  afterAll(async () => {
    await program?.stop()
  })

  it('give the shares of the job within 5 points', async ({ skip }) => {
    if ('absent' in bed) return skip(bed.absent)
    const settings = ['scheduler.pollEveryMs=1000', `stacks.mode=${mode}`, 'stacks.hz=97', 'stacks.windowMs=2000']
    program = await startProgram(
      'start',
      settings.flatMap(s => ['--set', `collector.${s}`]),
    )
    const { url } = program
    const id = await bed.run(`sbatch --parsable -o /dev/null -J ${mode} --wrap 'timeout 240 ./burn'`, 'labuser1')
    const functions = await until(
      () => ask<Functions>(url, `jobs/${id}/functions?limit=20&sort=self`).catch(() => undefined),
      answer => (answer?.coverage.samples ?? 0) >= 1000,
      '1000 samples of the job',
      180_000,
    )
    await bed.run(`scancel ${id}`)
    for (const [name, share] of Object.entries({ sixty: 0.6, thirty: 0.3, ten: 0.1 }))
      expect(Math.abs(shareOf(functions as Functions, name) - share), name).toBeLessThan(0.05)
    const job = await until(
      () => ask<JobDetail>(url, `jobs/${id}`),
      answer => answer.record.state === 'cancelled',
      'the end of the job',
    )
    expect(job.record).toMatchObject({ id, name: mode, user: 'labuser1', scheduler: 'slurm', cores: 1 })
  }, 240_000)
})
