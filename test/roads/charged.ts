/** Jobs that use a known CPU time in scattered processes, and what was charged to them: by processes and by samples. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { commandFor } from '../../collector/perfcommand.ts'
import type { Functions, JobDetail, Processes } from '../../query/api.ts'
import { missingAddon } from '../addon.ts'
import { ask, type Program, startProgram, until } from './program.ts'

const ASKED = { hz: 499, windowMs: 2000, includeIdle: false, stackBytes: 16_384 }
/** perf(1) is not asked for more than it can do. */
const HZ = missingAddon ? commandFor(ASKED, cpus().length).hz : ASKED.hz
/** Four deviations of what so many samples may be off, and a tick. */
export const chance = (seconds: number): number => 4 * Math.sqrt(seconds / HZ) + 0.01

/** `scatter SECONDS`: of CPU time in the function `name`, then it waits to be ended. */
const scatter = (name: string): string => `
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
volatile unsigned sink;
__attribute__((noinline, noclone)) void ${name}(double seconds) {
  struct timespec t;
  do { for (int i = 0; i < 100000; i++) sink = sink * 1664525u + 1013904223u; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); }
  while (t.tv_sec + t.tv_nsec / 1e9 < seconds); }
int main(int count, char **words) { ${name}(atof(words[1])); for (;;) pause(); }
`
/** scatter.sh: a child, a child in a session of its own, a daemon whose parent is init, a grandchild; a CPU second each. */
const SCATTER_SH = `#!/bin/sh
./scatter 1 &
setsid ./scatter 1 &
(setsid sh -c './scatter 1 & wait' &)
sh -c './scatter 1; :'
`
export const SCATTERED_SECONDS = 4

/** `name`: of a function that no other test has, since the whole machine is sampled. */
export function writeScatter(folder: string, name: string): void {
  writeFileSync(join(folder, 'scatter.c'), scatter(name))
  writeFileSync(join(folder, 'scatter.sh'), SCATTER_SH, { mode: 0o755 })
  execFileSync('gcc', ['-O1', '-g', '-o', join(folder, 'scatter'), join(folder, 'scatter.c')])
}

/** With a collector that reads each second. */
export function startCounting(...settings: string[]): Promise<Program> {
  const stacks = [`stacks.hz=${ASKED.hz}`, `stacks.windowMs=${ASKED.windowMs}`]
  const all = ['intervalMs=1000', 'scheduler.pollEveryMs=1000', ...stacks, ...settings]
  return startProgram(
    'start',
    all.flatMap(setting => ['--set', `collector.${setting}`]),
  )
}

/** Resolves when most of what was counted of each job has arrived, and no more comes. */
export async function untilArrived(url: string, jobs: readonly { id: string; counted: number }[]): Promise<void> {
  const told = async () => {
    const details = jobs.map(({ id }) => ask<JobDetail>(url, `jobs/${id}`).catch(() => undefined))
    return (await Promise.all(details)).map(job => Math.min(job?.coreSecondsUsed ?? 0, job?.sampledSeconds ?? 0))
  }
  const isMost = (values: readonly number[]) => values.every((value, i) => value > 0.8 * (jobs[i]?.counted ?? 0))
  await until(told, isMost, 'most of each job', 120_000)
  // A window of stacks is 2 s, the writer waits for 2 s.
  let before = await told()
  await until(
    async () => {
      await new Promise(resolve => setTimeout(resolve, 6000))
      const [now, then] = [await told(), before]
      before = now
      return now.map((value, i) => value - (then[i] ?? 0))
    },
    changes => changes.every(change => change < 0.05),
    'what is told to stay as it is',
    120_000,
  )
}

/** `counted`: CPU seconds. */
export async function expectCharged(url: string, id: string, counted: number): Promise<void> {
  const job = await ask<JobDetail>(url, `jobs/${id}`)
  const { processes, other, from, to } = await ask<Processes>(url, `jobs/${id}/processes?limit=100`)
  const cores = processes.reduce((sum, p) => sum + (p.cpuUser ?? 0) + (p.cpuSystem ?? 0), other.cpu)
  const byProcesses = (cores * (to - from)) / 1000
  const each = processes.map(p => `${p.name} ${p.evidence} ${((p.cpuUser ?? 0) + (p.cpuSystem ?? 0)) / cores}`)
  const said = `${byProcesses} of processes, ${counted} counted, ${other.cpu / cores} of others, of ${each.join(', ')}`
  expect(Math.abs(byProcesses - counted), said).toBeLessThan(0.05 * counted + 0.1)
  expect(Math.abs(job.sampledSeconds - counted), `${job.sampledSeconds} sampled, ${counted} counted`).toBeLessThan(
    chance(counted) + 0.02 * counted,
  )
}

/** A function of what a path answers. */
export async function functionOf(
  url: string,
  path: string,
  name: string,
): Promise<Functions['functions'][number] | undefined> {
  return (await ask<Functions>(url, path)).functions.find(({ function: own }) => own === name)
}
