import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findJobGroups, parseCpuList, parseIo } from '../../collector/cgroups.ts'
import { openKernelFiles } from '../../collector/kernelfile.ts'
import { openCgroup } from '../../collector/sources/cgroup.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

const FIXTURES = new URL('../fixtures/cgroup/', import.meta.url)
const captured = (when: 'before' | 'after', version: 'v1' | 'v2') =>
  Object.fromEntries(
    readdirSync(new URL(`${when}/`, FIXTURES), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => `${entry.parentPath}/${entry.name}`.split(`${when}/`)[1] ?? '')
      .filter(path => path.startsWith('unified/') === (version === 'v2'))
      .map(path => [`sys/fs/cgroup/${path}`, readFileSync(new URL(`${when}/${path}`, FIXTURES), 'utf8')]),
  )
const write = (machine: Machine, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) machine.write(path, text)
}
const psi = (some: number) => `some avg10=0.00 avg60=0.00 avg300=0.00 total=${some}\nfull avg10=0.00 total=0\n`

const V2_ROOT = { 'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n' }
/** A group of v2 as docs.kernel.org/admin-guide/cgroup-v2.html describes its files, `t` seconds into the job. */
const v2 = (path: string, t: number, more: Record<string, string> = {}) =>
  Object.fromEntries(
    Object.entries({
      'cgroup.controllers': 'cpuset cpu io memory pids\n',
      'cpu.stat': `usage_usec ${t * 3_500_000}\nuser_usec ${t * 3_000_000}\nsystem_usec ${t * 500_000}\nnr_periods 0\n`,
      'memory.current': `${10 << 20}\n`,
      'memory.stat': `anon ${6 << 20}\nfile ${4 << 20}\ninactive_file ${3 << 20}\nactive_file ${1 << 20}\n`,
      'memory.max': `${64 << 20}\n`,
      'memory.events': `low 0\nhigh 0\nmax 9\noom 1\noom_kill ${t}\noom_group_kill 0\n`,
      'io.stat': `254:0 rbytes=${t * 1000} wbytes=${t * 2000} rios=1 wios=1 dbytes=0 dios=0\n253:0 rbytes=${t * 1000} wbytes=${t * 2000}\n`,
      'cpu.pressure': psi(t * 250_000),
      'memory.pressure': psi(0),
      'io.pressure': psi(t * 2_000_000),
      'pids.current': '17\n',
      'cpuset.cpus.effective': '0-3,8\n',
      ...more,
    }).map(([file, text]) => [`sys/fs/cgroup/${path}/${file}`, text]),
  )
/** 253:0 lies on 254:0 */
const LAYERS = { 'sys/dev/block/253:0/slaves/vda': '', 'sys/dev/block/254:0/size': '1\n' }

describe('the control groups of jobs', () => {
  const dirs = (...paths: string[]) =>
    Object.fromEntries(paths.map(path => [`sys/fs/cgroup/${path}/cgroup.procs`, '1\n']))
  const jobsIn = (files: Record<string, string>) =>
    findJobGroups(makeMachine(files).options.roots).map(
      ({ job, path }) => `${job} ${path.slice('sys/fs/cgroup/'.length)}`,
    )

  it('are found in v2: Slurm, Slurm 26.05, Grid Engine, Open Cluster Scheduler', () => {
    const slurmd = 'system.slice/node1_slurmstepd.scope'
    expect(
      jobsIn({
        ...V2_ROOT,
        ...dirs(
          `${slurmd}/job_1/step_0/user/task_0`,
          `${slurmd}/system`,
          'system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_batch',
          'system.slice/sge-4.5.scope',
          'system.slice/ssh.service',
          'ocs8012.slice/ocs8012-jobs.slice/ocs8012.1234.1.scope',
          'user.slice/user-1000.slice/session-1.scope',
        ),
      }).sort(),
    ).toEqual([
      '1 system.slice/node1_slurmstepd.scope/job_1',
      '1234.1 ocs8012.slice/ocs8012-jobs.slice/ocs8012.1234.1.scope',
      '4.5 system.slice/sge-4.5.scope',
      'sEKNKTV3WPV500 system.slice/slurmstepd.scope/sEKNKTV3WPV500',
    ])
  })

  it('are found in v1, once where a hierarchy has two names: Slurm, PBS, TORQUE', () => {
    const machine = makeMachine(
      dirs(
        'cpu,cpuacct/slurm/uid_1001/job_2/step_batch',
        'memory/slurm_node1/uid_1001/job_2',
        'memory/pbs_jobs.service/jobid/76[1].pbs01',
        'cpuset/torque/9.host',
        'devices/slurm/uid_1001/job_2',
        'systemd/system.slice',
      ),
    )
    symlinkSync('cpu,cpuacct', join(machine.options.roots.sys, 'fs/cgroup/cpuacct'))
    expect(
      findJobGroups(machine.options.roots)
        .map(({ job, path }) => `${job} ${path.split('/')[3]}`)
        .sort(),
    ).toEqual(['2 cpu,cpuacct', '2 memory', '76[1].pbs01 memory', '9.host cpuset'])
  })
})

describe('what a job uses', () => {
  const PATH = 'system.slice/slurmstepd.scope/job_4711'

  it('is all that v2 tells of its group', () => {
    const machine = makeMachine({ ...V2_ROOT, ...LAYERS, ...v2(PATH, 1) })
    const cgroup = opened(openCgroup(machine.options))
    cgroup.read(machine.tick())
    write(machine, v2(PATH, 3))
    expect(table(cgroup.read(machine.tick(2000)))).toEqual({
      'job 4711 cpu_user': 3,
      'job 4711 cpu_system': 0.5,
      'job 4711 cpu_limit': 5,
      'job 4711 memory_bytes': 7 << 20,
      'job 4711 memory_limit': 64 << 20,
      'job 4711 oom_kills': 1,
      'job 4711 read_bytes': 1000, // not again on the layer above
      'job 4711 write_bytes': 2000,
      'job 4711 pressure_cpu': 0.25,
      'job 4711 pressure_memory': 0,
      'job 4711 pressure_io': 1,
      'job 4711 tasks': 17,
    })
    expect(cgroup.detail?.()).toBe('1 jobs have control groups')
  })

  it('begins with the job: nothing of one that came since the last look is lost', () => {
    const machine = makeMachine({ ...V2_ROOT, ...LAYERS, ...v2('system.slice/slurmstepd.scope/job_1', 500) })
    const cgroup = opened(openCgroup(machine.options))
    // at the start nobody knows how much of it is new
    expect(table(cgroup.read(machine.tick()))).not.toHaveProperty('job 1 cpu_user')
    write(machine, v2(PATH, 4))
    expect(table(cgroup.read(machine.tick(10_000)))).toMatchObject({
      'job 1 cpu_user': 0,
      'job 4711 cpu_user': 1.2,
      'job 4711 write_bytes': 800,
    })
  })

  it('has no limit where there is none, and leaves out what its controllers do not count', () => {
    const machine = makeMachine({
      ...V2_ROOT,
      ...v2(PATH, 1, { 'memory.max': 'max\n', 'cpuset.cpus.effective': '\n' }),
    })
    for (const file of ['io.stat', 'memory.current', 'memory.stat', 'memory.events']) {
      rmSync(join(machine.options.roots.sys, 'fs/cgroup', PATH, file))
    }
    const told = table(opened(openCgroup(machine.options)).read(machine.tick()))
    expect(Object.keys(told)).toEqual(['job 4711 tasks'])
  })

  it('forgets a job that ended, and closes its files', () => {
    const machine = makeMachine({ ...V2_ROOT, ...v2(PATH, 1), ...v2('system.slice/slurmstepd.scope/job_2', 1) })
    const cgroup = opened(openCgroup(machine.options))
    cgroup.read(machine.tick())
    const openFiles = () => readdirSync('/proc/self/fd').length
    const before = openFiles()
    rmSync(join(machine.options.roots.sys, 'fs/cgroup', PATH), { recursive: true })
    const { told, problem } = partsOf(cgroup, machine.tick())
    expect(problem).toBeUndefined()
    expect(Object.keys(told).filter(key => key.startsWith('job 4711'))).toEqual([])
    expect(told).toHaveProperty('job 2 tasks')
    expect(openFiles()).toBeLessThan(before - 8)
  })

  it('counts a file that is not what it should be, and has the other jobs', () => {
    const machine = makeMachine({ ...V2_ROOT, ...v2(PATH, 1), ...v2('system.slice/slurmstepd.scope/job_2', 1) })
    const cgroup = opened(openCgroup(machine.options))
    cgroup.read(machine.tick())
    machine.write(`sys/fs/cgroup/${PATH}/cpu.pressure`, 'some avg')
    machine.write('sys/fs/cgroup/system.slice/slurmstepd.scope/job_2/cpu.stat', 'usage_usec\n')
    machine.write('sys/fs/cgroup/system.slice/slurmstepd.scope/job_2/memory.current', 'x')
    const { told, problem } = partsOf(cgroup, machine.tick())
    expect(problem).toContain(`${PATH}: a pressure file without its total`)
    expect(told).toHaveProperty('job 2 read_bytes')
    expect(told).not.toHaveProperty('job 2 cpu_user')
    expect(told).not.toHaveProperty('job 2 memory_bytes')
  })

  it('adds up the scopes of one job', () => {
    const scope = (name: string, t: number) => v2(`ocs8012.slice/ocs8012-jobs.slice/${name}.scope`, t)
    const machine = makeMachine({ ...V2_ROOT, ...scope('ocs8012.7.1.master', 0), ...scope('ocs8012.7.1-1.node1', 0) })
    const cgroup = opened(openCgroup(machine.options))
    cgroup.read(machine.tick())
    write(machine, { ...scope('ocs8012.7.1.master', 1), ...scope('ocs8012.7.1-1.node1', 2) })
    expect(table(cgroup.read(machine.tick(1000)))).toMatchObject({
      'job 7.1 cpu_user': 9,
      'job 7.1 tasks': 34,
      'job 7.1 pressure_cpu': 0.5,
    })
  })

  it('is read as captured, v1: 2 s of CPU, memory without the file that was written; no bytes written', () => {
    const machine = makeMachine(captured('before', 'v1'))
    const cgroup = opened(openCgroup(machine.options))
    cgroup.read(machine.tick())
    write(machine, captured('after', 'v1'))
    const told = table(cgroup.read(machine.tick(1000)))
    expect((told['job 4711 cpu_user'] ?? 0) + (told['job 4711 cpu_system'] ?? 0)).toBeCloseTo(2.2, 0)
    expect(told['job 4711 memory_bytes']).toBeGreaterThan(16 << 20)
    expect(told['job 4711 memory_bytes']).toBeLessThan(26 << 20)
    expect(told).toMatchObject({ 'job 4711 oom_kills': 0, 'job 4711 read_bytes': 0, 'job 4711 tasks': 1 })
    expect(told).not.toHaveProperty('job 4711 memory_limit')
    expect(told).not.toHaveProperty('job 4711 write_bytes')
  })

  it('is read as captured, v2, and counted once where a job has groups of both', () => {
    for (const both of [false, true]) {
      const files = (when: 'before' | 'after') => ({
        ...captured(when, 'v2'),
        [`sys/fs/cgroup/unified/${PATH.replace('slurmstepd', 'capture_slurmstepd')}/cgroup.controllers`]: '\n',
        ...(both ? captured(when, 'v1') : {}),
      })
      const machine = makeMachine(files('before'))
      const cgroup = opened(openCgroup(machine.options))
      cgroup.read(machine.tick())
      write(machine, files('after'))
      const told = table(cgroup.read(machine.tick(4000)))
      const cores = (told['job 4711 cpu_user'] ?? 0) + (told['job 4711 cpu_system'] ?? 0)
      expect(cores).toBeCloseTo(2.126 / 4, 2)
      expect(told['job 4711 pressure_cpu']).toBeCloseTo(1.845 / 4, 2)
    }
  })
})

describe('a real control group', () => {
  const TOP = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(top => existsSync(`${top}/cgroup.controllers`))
  const SCOPE = `${TOP}/system.slice/test${process.pid}_slurmstepd.scope`

  function makeGroup(): boolean {
    try {
      mkdirSync(`${SCOPE}/job_4711`, { recursive: true })
      return TOP !== undefined
    } catch {
      return false
    }
  }

  it('of a process that works for a second has a second of CPU', async context => {
    if (!makeGroup()) return context.skip('control groups of version 2 cannot be made here: it takes root')
    const roots = { proc: '/proc', sys: '/sys' }
    const files = openKernelFiles(roots)
    onTestFinished(() => {
      files.close()
      rmdirSync(`${SCOPE}/job_4711`)
      rmdirSync(SCOPE)
    })
    const machine = makeMachine({})
    const cgroup = opened(openCgroup({ ...machine.options, roots, files }))
    cgroup.read(machine.tick())
    const work = spawn('sh', [
      '-c',
      `echo $$ > ${SCOPE}/job_4711/cgroup.procs; exec python3 -c "
import time
while time.process_time() < 1: pass
print(time.process_time())"`,
    ])
    const used = Number(await said(work))
    const told = table(cgroup.read(machine.tick(1000)))
    const cores = (told['job 4711 cpu_user'] ?? 0) + (told['job 4711 cpu_system'] ?? 0)
    // the shell and the start of Python before its clock was read
    expect(cores).toBeGreaterThan(used - 0.02)
    expect(cores).toBeLessThan(used + 0.5)
  })
})

function said(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', chunk => {
    text += chunk
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => resolve(text))
  })
}

it('reads CPU lists and the bytes of devices', () => {
  expect([parseCpuList('0-3,8\n'), parseCpuList('5'), parseCpuList(''), parseCpuList('x')]).toEqual([
    5,
    1,
    undefined,
    undefined,
  ])
  const isLayer = (device: string) => device.startsWith('253:')
  expect(parseIo('254:0 Read 5\n254:0 Write 7\n254:0 Total 12\n253:0 Read 5\nTotal 12\n', isLayer)).toEqual({
    read: 5,
    write: 7,
  })
  expect(parseIo('254:16 \n254:0 rbytes=3 wbytes=4 rios=1\n', isLayer)).toEqual({ read: 3, write: 4 })
})
