/**
 * Two jobs of a real Slurm share two nodes: one whose processes scatter (children, sessions of their own, daemons), and one of real
 * Open MPI over both nodes. What is charged to each is held against what the kernel counted in the job's own control groups.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Categories, Functions, JobDetail, JobRanks } from '../../query/api.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'
import { chance, expectCharged, SCATTERED_SECONDS, startCounting, untilArrived, writeScatter } from './charged.ts'
import { ask, type Program, until } from './program.ts'

/** Six turns, in each of which rank r computes for (r + 1) / 10 s of CPU time; at the barrier the others wait for the last. */
const RING = `
#include <mpi.h>
#include <time.h>
#include <unistd.h>
static double cpu(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
volatile unsigned sink;
__attribute__((noinline, noclone)) void turned(double until) {
  while (cpu() < until) for (int i = 0; i < 100000; i++) sink = sink * 1664525u + 1013904223u; }
int main(int count, char **words) {
  int rank;
  MPI_Init(&count, &words);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  for (int turn = 0; turn < 6; turn++) { turned(cpu() + 0.1 * (rank + 1)); MPI_Barrier(MPI_COMM_WORLD); }
  for (;;) pause(); }
`
const RANKS = [0, 1, 2, 3]
const ringSeconds = (rank: number): number => 0.6 * (rank + 1)

const isV1 = existsSync('/sys/fs/cgroup/cpuacct')

/** CPU seconds of all that was ever in the job's control groups, of both nodes; 0 before they are there. */
function countedSeconds(id: string): number {
  const top = isV1 ? '/sys/fs/cgroup/cpuacct' : '/sys/fs/cgroup/system.slice'
  const under = (folder: string) => readdirSync(folder).map(name => join(folder, name))
  const nodes = under(top).filter(folder => /\/(slurm_lab\d|lab\d_slurmstepd\.scope)$/.test(folder))
  const groups = (isV1 ? nodes.flatMap(under).filter(folder => /\/uid_\d+$/.test(folder)) : nodes)
    .map(folder => join(folder, `job_${id}`))
    .filter(existsSync)
  const seconds = groups.map(group =>
    isV1
      ? Number(readFileSync(join(group, 'cpuacct.usage'), 'utf8')) / 1e9
      : Number(/^usage_usec (\d+)/m.exec(readFileSync(join(group, 'cpu.stat'), 'utf8'))?.[1]) / 1e6,
  )
  return seconds.reduce((a, b) => a + b, 0)
}

const MPICC = '/usr/bin/mpicc'
const OPTIONS = ['--cpus', '8', '--proctrack', 'cgroup', ...(isV1 ? ['--gather', 'cgroup'] : []), '--port', '27500']

describe('jobs that share nodes', () => {
  let bed: Testbed | { absent: string } = { absent: 'not opened' }
  let program: Program | undefined
  let [scatter, ring] = ['', '']

  beforeAll(async () => {
    if (!existsSync(MPICC)) bed = { absent: 'no Open MPI: apt-get install openmpi-bin libopenmpi-dev' }
    else bed = upTestbed('slurm', OPTIONS)
    if ('absent' in bed) return console.error(`skipped: ${bed.absent}`)
    for (const [name, value] of Object.entries(bed.env)) vi.stubEnv(name, value)
    const { directory, run } = bed
    const out = (name: string) => join(directory, 'out', name)
    writeScatter(join(directory, 'out'), 'scattered_slurm')
    writeFileSync(out('ring.c'), RING)
    execFileSync(MPICC, ['-O1', '-g', '-o', out('ring'), out('ring.c')])
    // One collector sees the processes of both nodes, which are daemons of this machine.
    program = await startCounting('node=lab1')
    scatter = await run('sbatch --parsable -J scatter -n4 -N1 -o /dev/null ./scatter.sh', 'labuser1')
    ring = await run(`sbatch --parsable -J ring -N2 -n4 -o ring.out --wrap 'mpirun ./ring'`, 'labuser2')
  }, 300_000)
  afterAll(async () => {
    vi.unstubAllEnvs()
    await program?.stop()
    if ('down' in bed) bed.down()
  }, 120_000)

  const get = <T>(path: string) => ask<T>(program?.url ?? '', path)
  const selfOf = ({ functions }: Functions, name: string) => functions.find(f => f.function === name)

  it('are over with their work, and all of it has arrived', { timeout: 240_000 }, async ctx => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    const all = () => [scatter, ring].map(countedSeconds)
    // Ranks wait at the barrier for about as long as they compute.
    await until(
      async () => all(),
      ([s = 0, r = 0]) => s >= SCATTERED_SECONDS && r >= RANKS.reduce((sum, rank) => sum + ringSeconds(rank), 0),
      'the work of both jobs',
      120_000,
    )
    await untilArrived(
      program?.url ?? '',
      [scatter, ring].map(id => ({ id, counted: countedSeconds(id) })),
    )
  })

  it.for(['scatter', 'ring'])('%s is charged what the kernel counted', async (name, ctx) => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    const id = name === 'ring' ? ring : scatter
    await expectCharged(program?.url ?? '', id, countedSeconds(id))
  })

  it('no sample of either is charged to the other, or to nobody', async ctx => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    const { from, to } = await get<JobDetail>(`jobs/${scatter}`)
    const machine = await get<Functions>(`functions?node=lab1&from=${from - 60_000}&to=${to}&limit=1000`)
    const [ofScatter, ofRing] = await Promise.all(
      [scatter, ring].map(id => get<Functions>(`jobs/${id}/functions?limit=1000`)),
    )
    if (!ofScatter || !ofRing) throw new Error('unanswered')
    for (const [function_, own, neighbour] of [
      ['scattered_slurm', ofScatter, ofRing],
      ['turned', ofRing, ofScatter],
    ] as const) {
      expect(selfOf(own, function_)?.samples, function_).toBeGreaterThan(100)
      expect(selfOf(own, function_)?.samples, function_).toBe(selfOf(machine, function_)?.samples)
      expect(selfOf(neighbour, function_), function_).toBeUndefined()
    }
  })

  it('ranks of Open MPI are its own, each with its part, and wait in MPI', async ctx => {
    if ('absent' in bed) return ctx.skip(bed.absent)
    const { ranks } = await get<JobRanks>(`jobs/${ring}/ranks`)
    expect(ranks.map(rank => rank.rank)).toEqual(RANKS)
    for (const rank of RANKS) {
      const turned = selfOf(await get<Functions>(`jobs/${ring}/functions?rank=${rank}&limit=1000`), 'turned')
      const total = turned?.total ?? 0
      expect(Math.abs(total - ringSeconds(rank)), `rank ${rank}: ${total} s`).toBeLessThan(chance(ringSeconds(rank)))
    }
    const { categories } = await get<Categories>(`jobs/${ring}/categories`)
    const inMpi = categories.find(({ category }) => category === 'mpi')?.seconds ?? 0
    // The first three wait for the last: 0.3 + 0.2 + 0.1 s a turn at least on as many cores, as much as they are given on fewer.
    expect(inMpi, JSON.stringify(categories)).toBeGreaterThan(0.5)
    expect(ranks[0]?.waitShare).toBeGreaterThan(ranks[3]?.waitShare ?? 1)
  })
})
