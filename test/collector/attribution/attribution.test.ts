import { rmSync } from 'node:fs'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { type Attribution, type AttributionOptions, openAttribution, SEARCHED } from '../../../collector/attribution.ts'
import { ProcTree, type Told } from './proctree.ts'

const log = pino({ level: 'silent' })
let tree: ProcTree
let attribution: Attribution

function open(processes: Record<number, Told>, options: Partial<AttributionOptions> = {}): void {
  tree = new ProcTree(processes)
  reopen(options)
}

function reopen(options: Partial<AttributionOptions> = {}): void {
  attribution = openAttribution({ roots: { proc: tree.proc }, log, boot: tree.boot, ...options })
}

/** `job step rank evidence` of a process that started `start` seconds after boot. */
function charge(pid: number, start = 900, cgroup?: string): string {
  const { job, step, rank, evidence } = attribution.charge(pid, tree.startMs(start), cgroup)
  return `${job || '-'} ${step || '-'} ${rank ?? '-'} ${evidence}`
}

afterEach(() => {
  attribution.close()
  rmSync(tree.directory, { recursive: true })
})

const STEPD: Told = { comm: 'slurmstepd', uid: 0, cmdline: 'slurmstepd: [18.0]\0\0\0' }
/** Sockets in a ProcTree are as old as the test, so processes of jobs start after it: in boot seconds. */
const SOON = 1005

describe('with every evidence switched off in turn the next one takes over', () => {
  const listing = 'echo "PID JOBID STEPID LOCALID GLOBALID"; echo "50      18       0        0       4"'
  const environ = { SLURM_JOB_ID: '18', SLURM_STEP_ID: '0', SLURM_PROCID: '4', HOME: '/home/x' }
  const cgroup = '6:freezer:/slurm_n1/uid_1001/job_18/step_0\n'

  it.each([
    ['everything', [...SEARCHED], '18 0 4 cgroup'],
    ['no cgroup', ['gid', 'listpids', 'session', 'environment', 'parent'], '18 0 4 listpids'],
    ['no listpids', ['gid', 'session', 'environment', 'parent'], '18 0 4 environment'],
    ['only the parent', ['parent'], '18 0 4 parent'],
    ['nothing', [], '- - - none'],
  ] as const)('Slurm, %s', async (_, evidence, expected) => {
    open({ 40: { ...STEPD, start: SOON }, 50: { parent: 40, environ, cgroup, start: SOON } })
    tree.sockets(['n1_18.0'])
    const PATH = `${tree.command('scontrol', listing)}:${process.env.PATH}`
    reopen({ evidence, env: { PATH }, now: () => tree.startMs(SOON + 60) })
    charge(50, SOON)
    await expect.poll(() => charge(50, SOON)).toBe(expected)
  })

  it.each([
    ['everything', [...SEARCHED], '4.5 - - gid'],
    ['no gid', ['environment', 'parent'], '4.5 - - environment'],
    ['only the parent', ['parent'], '4.5 - - parent'],
  ] as const)('Grid Engine, %s', (_, evidence, expected) => {
    const environ = { JOB_ID: '4', SGE_TASK_ID: '5', SGE_JOB_SPOOL_DIR: '/spool/h/active_jobs/4.5' }
    open({
      30: { comm: 'sge_execd', uid: 0, cwd: '/spool/h' },
      40: { comm: 'sge_shepherd', uid: 0, parent: 30, cwd: '/spool/h/active_jobs/4.5', start: SOON },
      50: { parent: 40, groups: [1001, 65411], environ, start: SOON },
    })
    tree.file('/spool/h/active_jobs/4.5/addgrpid', '65411\n')
    tree.file('/spool/h/active_jobs/4.5/environment', 'SGE_TASK_ID=5\n')
    reopen({ evidence })
    expect(charge(50, SOON)).toBe(expected)
  })

  it.each([
    ['everything', [...SEARCHED], '76[1].pbs01 - - cgroup'],
    ['no cgroup', ['session', 'environment', 'parent'], '76[1].pbs01 1 - session'],
    ['no session', ['environment', 'parent'], '76[1].pbs01 2 - environment'],
  ] as const)('PBS, %s', (_, evidence, expected) => {
    const environ = (task: string) => ({
      PBS_JOBID: '76[1].pbs01',
      PBS_TASKNUM: task,
      PBS_JOBCOOKIE: '0565FCD5295504FB',
    })
    const cgroup = '4:memory:/pbs_jobs.service/jobid/76[1].pbs01\n'
    open({
      30: { comm: 'pbs_mom', uid: 0 },
      40: { comm: 'bash', parent: 30, session: 40, environ: environ('1') },
      50: { parent: 40, session: 40, environ: environ('00000002'), cgroup },
    })
    reopen({ evidence })
    expect(charge(50)).toBe(expected)
  })
})

describe('an environment is believed only of a job that lives here', () => {
  const environ = { SLURM_JOB_ID: '18', SLURM_STEP_ID: '0' }
  const hint = (live: boolean, start: number) => ({
    schedulerHints: (id: string) => (id === '18' ? { id: '18', live, startMs: tree.startMs(start) } : undefined),
  })

  it('without a step of it on this machine: no', () => {
    open({ 50: { environ, start: SOON } })
    tree.sockets(['n1_19.0'])
    expect(charge(50, SOON)).toBe('- - - none')
  })

  it('with one: yes, for what started in it', () => {
    open({ 50: { environ, start: SOON }, 51: { environ, start: 500 } })
    tree.sockets(['n1_18.0'])
    expect(charge(50, SOON)).toBe('18 0 - environment')
    expect(charge(51, 500)).toBe('- - - none')
  })

  it('that the scheduler has ended, or started later: no', () => {
    open({ 50: { environ, start: SOON } })
    tree.sockets(['n1_18.0'])
    reopen(hint(false, 900))
    expect(charge(50, SOON)).toBe('- - - none')
    reopen(hint(true, SOON + 60))
    expect(charge(50, SOON)).toBe('- - - none')
    reopen(hint(true, 900))
    expect(charge(50, SOON)).toBe('18 0 - environment')
  })

  it('of a process of somebody else: no, where the scheduler tells whose the job is', () => {
    open({ 50: { environ, start: SOON, uid: 1001 }, 51: { environ, start: SOON, uid: 1002 } })
    tree.sockets(['n1_18.0'])
    reopen({ schedulerHints: () => ({ id: '18', live: true, startMs: tree.startMs(900), uid: 1001 }) })
    expect(charge(50, SOON)).toBe('18 0 - environment')
    expect(charge(51, SOON)).toBe('- - - none')
  })

  it('and no longer when it ends', () => {
    open({ 50: { environ, start: SOON } })
    tree.sockets(['n1_18.0'])
    let nowMs = tree.startMs(SOON + 5)
    reopen({ now: () => nowMs })
    expect(charge(50, SOON)).toBe('18 0 - environment')
    tree.sockets([])
    nowMs += 11_000
    expect(charge(50, SOON)).toBe('- - - none')
  })

  it('PBS: by the files of its MoM, where there is one', () => {
    const pbs = { PBS_JOBID: '7.srv' }
    open({ 50: { environ: pbs, start: SOON } })
    expect(charge(50, SOON)).toBe('7.srv - - environment')
    tree.file('/var/spool/pbs/mom_priv/jobs/8.srv.JB', '')
    reopen()
    expect(charge(50, SOON)).toBe('- - - none')
    tree.file('/var/spool/pbs/mom_priv/jobs/7.srv.JB', '')
    reopen()
    expect(charge(50, SOON)).toBe('7.srv - - environment')
  })
})

describe('parents', () => {
  it('pass their job on, over any depth, to what started after them', () => {
    open({
      40: { ...STEPD, start: SOON },
      41: { parent: 40, start: SOON },
      42: { parent: 41, start: SOON + 1 },
      43: { parent: 42, start: SOON + 2, environ: { PMI_RANK: '3' } },
      60: { parent: 1 },
    })
    tree.sockets(['n1_18.0'])
    expect(charge(43, SOON + 2)).toBe('18 0 3 parent')
    expect(charge(40, SOON)).toBe('18 0 - parent')
    expect(charge(60)).toBe('- - - none')
  })

  it('that only call themselves slurmstepd do not', () => {
    open({ 40: { ...STEPD, uid: 1001, start: SOON }, 41: { parent: 40, start: SOON } })
    tree.sockets(['n1_18.0'])
    expect(charge(41, SOON)).toBe('- - - none')
  })
})

describe('the id that users type', () => {
  const array = { SLURM_JOB_ID: '4713', SLURM_ARRAY_JOB_ID: '4711', SLURM_ARRAY_TASK_ID: '3' }
  const cgroup = '0::/system.slice/slurmstepd.scope/job_4713/step_batch/user/task_0\n'
  const stepd = { ...STEPD, cmdline: 'slurmstepd: [4713.batch]' }

  it("is in the scheduler's list", () => {
    open(
      { 50: { cgroup } },
      { schedulerHints: id => (id === '4713' ? { id: '4711_3', live: true, startMs: 0 } : undefined) },
    )
    expect(charge(50)).toBe('4711_3 batch - cgroup')
  })

  it('else in what slurmstepd told the process it started, for all of the job', () => {
    open({ 40: stepd, 41: { parent: 40, cgroup, environ: array }, 42: { parent: 41, cgroup }, 43: { cgroup } })
    expect(charge(43)).toBe('4713 batch - cgroup')
    expect(charge(42)).toBe('4711_3 batch - cgroup')
    expect(charge(43)).toBe('4711_3 batch - cgroup')
  })

  it('is not what any process of the job says', () => {
    open({
      50: { cgroup, environ: { ...array, SLURM_ARRAY_JOB_ID: '1' } },
      51: { cgroup, environ: { SLURM_JOB_ID: '9' } },
    })
    expect(charge(50)).toBe('4713 batch - cgroup')
    expect(charge(51)).toBe('4713 batch - cgroup')
  })

  it('is found for a SLUID', () => {
    const sluid = '0::/system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_0/user/task_0\n'
    const environ = { SLURM_JOB_ID: '99', SLURM_JOB_SLUID: 'sEKNKTV3WPV500', SLURM_PROCID: '1' }
    open({ 40: STEPD, 41: { parent: 40, cgroup: sluid, environ } })
    expect(charge(41)).toBe('99 0 1 cgroup')
  })
})

describe('memory', () => {
  const cgroup = '0::/system.slice/slurmstepd.scope/job_1/step_0/user/task_0\n'

  it('looks once at a process, and again at another of its pid', () => {
    open({ 50: { cgroup } })
    charge(50)
    charge(50)
    expect(attribution.counters()).toMatchObject({ looks: 1, charged_cgroup: 2, known: 1 })
    tree.process(50, { start: 950 })
    expect(charge(50, 950)).toBe('- - - none')
    expect(attribution.counters().looks).toBe(2)
  })

  it('looks again at what had no job, ever less often', () => {
    let nowMs = 0
    open({ 50: {} })
    nowMs = tree.startMs(1000)
    reopen({ now: () => nowMs })
    for (let second = 0; second < 600; second++) {
      charge(50)
      nowMs += 1000
    }
    expect(attribution.counters().looks).toBeLessThan(8)
    tree.process(50, { cgroup })
    nowMs += 300_000
    expect(charge(50)).toBe('1 0 - cgroup')
  })

  it('is bounded', () => {
    open({ 50: {}, 51: {}, 52: {} }, { maxProcesses: 2 })
    for (const pid of [50, 51, 52]) charge(pid)
    expect(attribution.counters()).toMatchObject({ known: 2, evicted: 1 })
  })

  it('keeps nothing of a process that was gone: its cgroup tells', () => {
    open({})
    expect(attribution.charge(7, 0, '/system.slice/slurmstepd.scope/job_1/step_0/user/task_0')).toMatchObject({
      job: '1',
    })
    expect(attribution.charge(7, 0)).toEqual({ job: '', step: '', evidence: 'none' })
    expect(attribution.counters().known).toBe(0)
  })
})

it('charges each job of a shared node its own', () => {
  const told = (job: number) => ({
    cgroup: `0::/system.slice/slurmstepd.scope/job_${job}/step_0/user/task_0\n`,
    parent: 1,
  })
  open(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [100 + i, told(1 + (i % 2))])))
  for (let i = 0; i < 40; i++) expect(charge(100 + i)).toBe(`${1 + (i % 2)} 0 - cgroup`)
})
