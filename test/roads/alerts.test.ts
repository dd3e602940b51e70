/**
 * What goes wrong in real jobs of a real Slurm fires its own rule and no other: a job that does nothing, one rank that lags
 * behind, memory near its limit, an I/O storm; and one that is well. The rules are those that come with Jobsight, with windows
 * short enough for a test.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Alerts, JobDetail, Jobs } from '../../query/api.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'
import { ask, type Program, startProgram, until } from './program.ts'

/**
 * So much work ten times a second, whatever else the machine does: what a slow moment left undone is done after it. The straggler
 * does a fifth: what does next to nothing is not among the top processes of every tick.
 */
const RANK = `
import os, sys, time
turns, hold, storm = int(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3
if os.environ.get('SLURM_PROCID') == '2' and turns < 0: turns //= 5
kept = b'x' * hold
out = open(sys.argv[3], 'wb') if storm else None
begun, done = time.time(), 0
open('begun.' + os.environ['SLURM_JOB_ID'], 'a').write('%d\\n' % (begun * 1000))
while True:
    while done < (time.time() - begun) * 10:
        done += 1
        x = 0
        for i in range(abs(turns)): x += i
        if out and done % 3 == 0:
            out.seek(0); out.write(os.urandom(1 << 20) * 4); out.flush(); os.fsync(out.fileno())
    time.sleep(0.05)
`
const WINDOW_MS = 20_000
const EVERY_MS = 10_000
/**
 * The scheduler counts CPU time in control groups, so that what a job uses is known exactly, whatever else runs there. Ranks that
 * do the same differ where two of them share a core and the machine is busy, by less than a third.
 */
const RULES = `
rules:
  - { name: job-idle, below: 0.05, window: 20s, for: 0s, where: { minAge: 20s } }
  - { name: job-slow-rank, window: 20s, for: 0s, below: -1.5, clear: -1, apart: 0.01, where: { minAge: 20s } }
  - { name: job-memory-near-limit, window: 20s, for: 0s, above: 0.7 }
  - { name: job-io-storm, window: 20s, for: 0s, above: 4e6 }
`

let bed: Testbed | { absent: string } = { absent: 'not opened' }
let program: Program | undefined

beforeAll(async () => {
  bed = upTestbed('slurm', [
    '--nodes',
    '1',
    '--cpus',
    '16',
    '--proctrack',
    'cgroup',
    '--gather',
    'cgroup',
    '--port',
    '27400',
  ])
  if ('absent' in bed) return console.error(`skipped: ${bed.absent}`)
  for (const [name, value] of Object.entries(bed.env)) vi.stubEnv(name, value)
  writeFileSync(join(bed.directory, 'out', 'rank.py'), RANK)
  const file = join(bed.directory, 'alerts.yaml')
  writeFileSync(file, RULES)
  const settings = [
    'collector.scheduler.pollEveryMs=5000',
    'collector.intervalMs=1000',
    'collector.stacks.mode=off',
    'collector.node=lab1',
  ]
  const alerts = [`alerts.file=${file}`, `alerts.everyMs=${EVERY_MS}`]
  program = await startProgram(
    'start',
    [...settings, ...alerts].flatMap(s => ['--set', s]),
  )
}, 300_000)
afterAll(async () => {
  vi.unstubAllEnvs()
  await program?.stop()
  if ('down' in bed) bed.down()
}, 120_000)

/** When the ranks of a job began, ms: long after the job where the machine is busy. */
function begunIn(directory: string, job: string): number[] {
  const file = join(directory, 'out', `begun.${job}`)
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
}

describe('jobs under a real Slurm', () => {
  it('that are planted fire their rule within two evaluations, and nothing else; a healthy one fires nothing', async ({
    skip,
  }) => {
    if ('absent' in bed) return skip(bed.absent)
    const { url } = program as Program
    const submit = (args: string) => (bed as Testbed).run(`sbatch --parsable -o /dev/null ${args}`, 'labuser1')
    // What a failed try left running holds the cores that another needs.
    await (bed as Testbed).run('scancel -u labuser1')
    const python = 'exec python3 rank.py'
    const planted: Record<string, string> = {
      [await submit(`-J idle -n2 --wrap 'sleep 600'`)]: 'job-idle',
      [await submit(`-J straggler -n8 --wrap 'srun python3 rank.py -100000 0'`)]: 'job-slow-rank',
      [await submit(`-J hog -n1 --mem=120M --wrap '${python} 120000 100000000'`)]: 'job-memory-near-limit',
      [await submit(`-J storm -n1 --wrap '${python} 120000 0 storm.out'`)]: 'job-io-storm',
    }
    const healthy = await submit(`-J healthy -n4 --wrap 'srun python3 rank.py 50000 0'`)
    const rounds = new Set<number>()
    const look = async () => {
      const { evaluated, alerts } = await ask<Alerts>(url, 'alerts?state=firing')
      rounds.add(evaluated ?? 0)
      return alerts
    }
    const firing = await until(
      look,
      alerts => Object.keys(planted).every(job => alerts.some(a => a.labels.job === job)),
      'an alert of each planted job',
      200_000,
    ).catch(async error => {
      const all = await ask<Alerts>(url, 'alerts')
      const jobs = await ask<Jobs>(url, 'jobs')
      throw new Error(`${error.message}\n${JSON.stringify([all, jobs]).slice(0, 4000)}\n${program?.log().slice(-3000)}`)
    })
    for (const [job, rule] of Object.entries(planted)) {
      const own = firing.filter(a => a.labels.job === job)
      expect(
        own.map(a => a.rule),
        job,
      ).toEqual([rule])
      const { record } = await ask<JobDetail>(url, `jobs/${job}`)
      // The first evaluation whose window lies whole after its beginning, or the one after it: however long a round takes here.
      const wholeMs = Math.max(record.startMs ?? 0, ...begunIn(bed.directory, job)) + WINDOW_MS
      const fired = own[0]?.fired ?? 0
      const looked = [...rounds].filter(ms => ms >= wholeMs && ms < fired).length + 1
      const late = `${((fired - wholeMs) / 1000).toFixed(0)} s after its first whole window, at look ${looked}`
      console.error(`${rule}: fired ${late}; ${own[0]?.message}`)
      expect(looked, rule).toBeLessThanOrEqual(2)
    }
    expect(firing.filter(a => a.labels.job === healthy)).toEqual([])
    // What ends with the job is told to have ended.
    await (bed as Testbed).run(`scancel ${Object.keys(planted).join(' ')} ${healthy}`)
    await until(
      () => ask<Alerts>(url, 'alerts').then(a => a.alerts.filter(x => x.labels.job !== undefined)),
      alerts => alerts.length === 0,
      'the end of the alerts',
      90_000,
    )
  }, 300_000)
})
