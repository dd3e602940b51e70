import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseCgroup } from '../../../collector/attribution/cgroup.ts'
import { claimOf, parseEnvironment } from '../../../collector/attribution/environment.ts'
import { idOf } from '../../../collector/attribution/gridengine.ts'
import { parseStat, parseStatus } from '../../../collector/attribution/process.ts'
import { parseListpids, parseStepSockets } from '../../../collector/attribution/slurmsteps.ts'

const fixture = (path: string) => readFileSync(new URL(`../../fixtures/proc-jobs/${path}`, import.meta.url))

describe('cgroup paths', () => {
  it.each([
    // Slurm, v1: the line that names the step wins
    ['6:freezer:/slurm_node2/uid_0/job_1\n4:memory:/slurm_node2/uid_0/job_1/step_extern', 'slurm 1 extern'],
    ['6:freezer:/slurm_node1/uid_1001/job_2/step_batch\n4:memory:/user.slice', 'slurm 2 batch'],
    ['4:memory:/slurm/uid_1001/job_2/step_0/task_1', 'slurm 2 0'],
    ['6:freezer:/slurm_node1/uid_0/job_1\n4:memory:/user.slice', 'slurm 1 '],
    ['3:cpuset:/docker/abc/slurm/uid_5/job_77/step_3', 'slurm 77 3'],
    // Slurm, v2
    ['0::/system.slice/slurmstepd.scope/job_1/step_0/user/task_0', 'slurm 1 0'],
    ['0::/system.slice/node1_slurmstepd.scope/job_1/step_batch/user/task_special', 'slurm 1 batch'],
    ['0::/system.slice/node1_slurmstepd.scope/job_1/step_0/slurm', 'slurm 1 0'],
    ['0::/hpc.slice/slurmstepd.scope/sEKNKTV3WPV500/step_extern/user/task_special', 'slurm sEKNKTV3WPV500 extern'],
    ['/system.slice/slurmstepd.scope/job_4711/step_interactive', 'slurm 4711 interactive'],
    ['0::/system.slice/node1_slurmstepd.scope/slurmd', undefined],
    ['0::/system.slice/slurmstepd.scope/system', undefined],
    // PBS
    ['4:memory:/pbs_jobs.service/jobid/76[1].pbs01\n3:cpuset:/pbs_jobs.service/jobid/76[1].pbs01', 'pbs 76[1].pbs01 '],
    ['4:memory:/pbs_jobs.service/jobid/76[1].pbs01.orphan', 'pbs 76[1].pbs01 '],
    ['2:cpuacct:/site_pbs.service/jobid/91.pbs01.lab.example', 'pbs 91.pbs01.lab.example '],
    ['3:cpuset:/pbspro.slice/pbspro-2\\x5b1\\x5d.pbs\\x2d01.slice', 'pbs 2[1].pbs-01 '],
    ['3:cpuset:/pbspro/2[1].pbs01', 'pbs 2[1].pbs01 '],
    ['3:cpuset:/torque/12[3].head.example/0', 'pbs 12[3].head.example '],
    ['1:name=systemd:/system.slice/pbs.service', undefined],
    // Grid Engine and Open Cluster Scheduler
    ['3:cpuset:/sge/4.5', 'gridengine 4.5 '],
    ['3:cpuset:/sge.default/4.5', 'gridengine 4.5 '],
    ['0::/system.slice/sge-4.5.scope', 'gridengine 4.5 '],
    ['0::/ocs8012.slice/ocs8012-jobs.slice/ocs8012.1234.scope', 'gridengine 1234.1 '],
    ['0::/ocs8012.slice/ocs8012-jobs.slice/ocs8012.1234.7.scope', 'gridengine 1234.7 '],
    [
      '0::/ocs8012.slice/ocs8012-jobs.slice/ocs8012-jobs-1234.slice/ocs8012.1234.master.scope',
      'gridengine 1234.1 master',
    ],
    ['0::/ocs8012-jobs-1234.slice/ocs8012.1234-1.node1.scope', 'gridengine 1234.1 1.node1'],
    ['0::/ocs8012-jobs-1234.7.slice/ocs8012.1234.7.1.node1.scope', 'gridengine 1234.7 1.node1'],
    ['0::/ocs8012.slice/ocs8012-shepherds.scope', undefined],
    // nobody's
    ['9:name=systemd:/\n0::/', undefined],
    ['0::/user.slice/user-1000.slice/session-3.scope', undefined],
    ['0::/system.slice/job_1/step_0', undefined],
    ['', undefined],
  ])('%s', (text, expected) => {
    const claim = parseCgroup(text)
    expect(claim && `${claim.scheduler} ${claim.job} ${claim.step}`).toBe(expected)
  })

  it('of Open Cluster Scheduler tell an array task from a job', () => {
    expect(parseCgroup('/ocs8012.slice/ocs8012.1234.scope')?.id).toBe('1234')
    expect(parseCgroup('/ocs8012.slice/ocs8012.1234.7.scope')?.id).toBe('1234.7')
  })

  it.each([
    ['pbs/array-subjob-cgroup', 'pbs 76[1].pbs01 '],
    ['pbs/batch-shell', undefined],
    ['slurm/linuxproc-array', undefined],
    ['gridengine/job-4.5', undefined],
  ])('captured: %s', (path, expected) => {
    const claim = parseCgroup(fixture(`${path}/cgroup`).toString())
    expect(claim && `${claim.scheduler} ${claim.job} ${claim.step}`).toBe(expected)
  })
})

describe('environments, captured', () => {
  const claim = (path: string) => claimOf(parseEnvironment(fixture(`${path}/environ`)))
  it.each([
    ['slurm/linuxproc-batch-script', { scheduler: 'slurm', job: '18', step: 'batch' }],
    ['slurm/linuxproc-step-task-node2', { scheduler: 'slurm', step: '0', rank: 0 }],
    ['pbs/batch-script', { scheduler: 'pbs', job: '0.pbs01', step: '1' }],
    ['pbs/array-subjob-cgroup', { scheduler: 'pbs', job: '76[1].pbs01', step: '1' }],
    ['pbs/tm-task-mothersuperior', { scheduler: 'pbs', step: '2' }],
    ['pbs/tm-task-sister', { scheduler: 'pbs', job: '78.pbs01', step: '40000001' }],
    ['gridengine/job-4.5', { scheduler: 'gridengine', job: '4.5', id: '4.5' }],
    ['gridengine/job-2.1', { scheduler: 'gridengine', job: '2.1', id: '2' }],
  ])('%s', (path, expected) => {
    expect(claim(path)).toMatchObject(expected)
  })

  it('an array task knows what users call it', () => {
    const variables = parseEnvironment(fixture('slurm/linuxproc-array/environ'))
    const { SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task, SLURM_JOB_ID: job } = variables
    expect(claimOf(variables)).toMatchObject({ job, id: `${array}_${task}` })
  })

  it('give away no secret', () => {
    for (const scheduler of ['pbs', 'slurm', 'gridengine']) {
      for (const name of readdirSync(new URL(`../../fixtures/proc-jobs/${scheduler}`, import.meta.url))) {
        if (!/^(job|batch|tm|array|linuxproc|interactive)/.test(name)) continue
        const kept = parseEnvironment(fixture(`${scheduler}/${name}/environ`))
        expect(JSON.stringify(kept)).not.toMatch(/COOKIE|SECRET|TOKEN|HOME|PATH=|[0-9A-F]{32}/)
        for (const key of Object.keys(kept)) expect(key).toMatch(/JOB|STEP|RANK|TASK|PROCID/)
      }
    }
  })
})

describe('environments', () => {
  const claim = (text: string) => claimOf(parseEnvironment(Buffer.from(text.replaceAll(' ', '\0'))))
  it.each([
    ['SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_PROCID=3 OMPI_COMM_WORLD_RANK=12', '7 0 12'],
    ['SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_PROCID=3', '7 0 3'],
    ['SLURM_JOB_ID=7 SLURM_PROCID=0', '7 batch -'],
    ['SLURM_JOB_ID=7 SLURM_PROCID=0 PMI_RANK=5', '7 batch 5'],
    ['SLURM_JOB_ID=7;rm', undefined],
    ['JOB_ID=5 PATH=/bin', undefined],
    ['JOB_ID=5 SGE_TASK_ID=undefined SGE_JOB_SPOOL_DIR=/s', '5.1  -'],
    ['LSB_JOBID=9 LSB_JOBINDEX=0', '9  -'],
    ['LSB_JOBID=9 LSB_JOBINDEX=4', '9[4]  -'],
    ['FLUX_JOB_ID=ƒ12 PMI_RANK=1', 'Æ\x9212  1'],
    ['JOBSIGHT_JOB_ID=cube-1', 'cube-1  -'],
    ['XSLURM_JOB_ID=7 SLURM_JOB_IDX=8', undefined],
    ['', undefined],
  ])('%s', (text, expected) => {
    const found = claim(text)
    expect(found && `${found.job} ${found.step} ${found.rank ?? '-'}`).toBe(expected)
  })

  it('takes no value of any length', () => {
    expect(parseEnvironment(Buffer.from(`JOBSIGHT_JOB_ID=${'x'.repeat(5000)}\0PMI_RANK=1\0`))).toEqual({
      PMI_RANK: '1',
    })
  })
})

describe('files of a process', () => {
  const boot = { bootMs: 1_000_000, ticksPerSecond: 100, pageBytes: 4096 }
  it('stat, with any name', () => {
    const zeros = '0 '.repeat(15)
    expect(parseStat(`42 (a) R (b) ) S 7 42 41 ${zeros}500 0`, boot)).toEqual({
      comm: 'a) R (b) ',
      parentPid: 7,
      session: 41,
      startMs: 1_005_000,
    })
    expect(parseStat('', boot)).toBeUndefined()
  })

  it('status', () => {
    expect(parseStatus(fixture('gridengine/job-4.5/status').toString())).toEqual({ uid: 1002, groups: [1002, 65411] })
    expect(parseStatus('Name:\tx\nUid:\t0\t0\t0\t0\nGroups:\t \n')).toEqual({ uid: 0, groups: [] })
  })

  it('of Grid Engine tell an array task from a job', () => {
    expect(idOf('2.3', fixture('gridengine/active_jobs/node2/2.3/environment').toString())).toBe('2.3')
    expect(idOf('1.1', fixture('gridengine/active_jobs/node1/1.1/environment').toString())).toBe('1')
  })
})

describe("Slurm's steps on a machine", () => {
  it('are its listening sockets', () => {
    const text = `Num       RefCount Protocol Flags    Type St Inode Path
000000000e465319: 00000002 00000000 00010000 0001 01 117765 /tmp/bed/spool/lab2/lab2_18.0
000000008cc1553a: 00000002 00000000 00010000 0001 01 116815 /var/spool/slurmd/my_node-1_18.4294967291
00000000d4820e2a: 00000003 00000000 00000000 0001 03 117773 /var/spool/slurmd/n1_19.0
00000000d4820e2b: 00000002 00000000 00010000 0001 01 117773 /run/systemd/private
00000000d4820e2c: 00000002 00000000 00010000 0001 01 117773 @/tmp/x_1.0
00000000d4820e2d: 00000002 00000000 00010000 0001 01 117773 /spool/n1_20.1.4294967292
`
    expect(parseStepSockets(text).map(({ node, job, step }) => `${node} ${job} ${step}`)).toEqual([
      'lab2 18 0',
      'my_node-1 18 batch',
      'n1 20 1',
    ])
  })

  it('have the processes that listpids tells', () => {
    const text = `PID      JOBID    STEPID   LOCALID GLOBALID
-1       1        extern   0       0
13390    18       0        1       5
13364    18       batch    0       0
13370    18       batch    -       -
`
    expect([...parseListpids(text)]).toEqual([
      [13390, { scheduler: 'slurm', job: '18', step: '0', rank: 5 }],
      [13364, { scheduler: 'slurm', job: '18', step: 'batch' }],
      [13370, { scheduler: 'slurm', job: '18', step: 'batch' }],
    ])
    expect(parseListpids('No job steps exist on this node.\n').size).toBe(0)
  })
})
