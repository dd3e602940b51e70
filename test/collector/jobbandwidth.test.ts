import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type GroupFiles, openJobBandwidth, readExtents } from '../../collector/sources/jobbandwidth.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

const CPUINFO = { 'proc/cpuinfo': 'vendor_id\t: GenuineIntel\nflags\t\t: cqm_mbm_total cqm_mbm_local\n\n' }
const MOUNTED = {
  'sys/fs/resctrl/mon_data/mon_L3_00/mbm_total_bytes': '1\n',
  'sys/fs/resctrl/mon_groups/of_somebody/tasks': '1\n',
}
const SCOPE = 'system.slice/slurmstepd.scope'
const job = (id: number, cpus: string, tids: readonly number[] = []) => ({
  'sys/fs/cgroup/cgroup.controllers': 'cpuset\n',
  [`sys/fs/cgroup/${SCOPE}/job_${id}/cpuset.cpus.effective`]: `${cpus}\n`,
  [`sys/fs/cgroup/${SCOPE}/job_${id}/cgroup.threads`]: '',
  [`sys/fs/cgroup/${SCOPE}/job_${id}/step_0/user/task_0/cgroup.threads`]: tids.map(tid => `${tid}\n`).join(''),
})

/** resctrl made of files: a directory that is made has its files at once, and counts 0 on two caches. */
function kernelOf(machine: Machine) {
  const top = join(machine.options.roots.sys, 'fs/resctrl/mon_groups')
  const done: string[] = []
  const refusals: string[] = []
  const short = (path: string) => path.slice(top.length + 1)
  const files: GroupFiles = {
    make(path) {
      const code = refusals.shift()
      if (code) throw Object.assign(new Error(`${code}: mkdir`), { code })
      done.push(`make ${short(path)}`)
      for (const cache of ['mon_L3_00', 'mon_L3_01']) {
        mkdirSync(join(path, 'mon_data', cache), { recursive: true })
        for (const file of ['mbm_total_bytes', 'mbm_local_bytes', 'llc_occupancy'])
          writeFileSync(join(path, 'mon_data', cache, file), '0\n')
      }
    },
    remove(path) {
      done.push(`remove ${short(path)}`)
      rmSync(path, { recursive: true })
    },
    write(path, text) {
      done.push(`${short(path)} <- ${text.trim()}`)
      writeFileSync(path, text)
    },
  }
  const count = (group: string, caches: readonly (readonly [total: number | string, local: number | string])[]) =>
    caches.forEach(([total, local], i) => {
      const data = `sys/fs/resctrl/mon_groups/${group}/mon_data/mon_L3_0${i}`
      machine.write(`${data}/mbm_total_bytes`, `${total}\n`)
      machine.write(`${data}/mbm_local_bytes`, `${local}\n`)
    })
  return { files, done, refusals, count, groups: () => readdirSync(top).sort() }
}

function start(files: Record<string, string>) {
  const machine = makeMachine({ ...CPUINFO, ...MOUNTED, ...files })
  const kernel = kernelOf(machine)
  const source = opened(openJobBandwidth({ ...machine.options, jobBandwidth: true }, kernel.files))
  const end = (id: number) =>
    rmSync(join(machine.options.roots.sys, `fs/cgroup/${SCOPE}/job_${id}`), { recursive: true })
  return { machine, kernel, source, end }
}

describe('memory bandwidth of jobs', () => {
  it('is counted by a group over the CPUs of each job, which ends with it', () => {
    const { machine, kernel, source, end } = start({ ...job(1, '0-3'), ...job(2, '4,6') })
    expect(source.read(machine.tick())).toEqual([])
    expect(kernel.done).toEqual([
      'make jobsight_1',
      'jobsight_1/cpus_list <- 0,1,2,3',
      'make jobsight_2',
      'jobsight_2/cpus_list <- 4,6',
    ])
    kernel.count('jobsight_1', [
      [500, 300],
      [100, 0],
    ])
    kernel.count('jobsight_2', [
      [20, 10],
      [0, 0],
    ])
    expect(table(source.read(machine.tick(2000)))).toEqual({
      'job 1 memory_bandwidth_total': 300,
      'job 1 memory_bandwidth_local': 150,
      'job 2 memory_bandwidth_total': 10,
      'job 2 memory_bandwidth_local': 5,
    })
    expect(source.detail?.()).toBe('2 jobs are counted')
    end(1)
    source.read(machine.tick(5000))
    expect(kernel.groups()).toEqual(['jobsight_2', 'of_somebody'])
    source.close?.()
    expect(kernel.groups()).toEqual(['of_somebody'])
  })

  it('goes by threads where jobs share CPUs, each thread written once, and back when they do not', () => {
    const { machine, kernel, source, end } = start({ ...job(1, '0-3', [11, 12]), ...job(2, '3-4', [21]) })
    source.read(machine.tick())
    expect(kernel.done.filter(line => line.includes('<-'))).toEqual([
      'jobsight_1/tasks <- 11',
      'jobsight_1/tasks <- 12',
      'jobsight_2/tasks <- 21',
    ])
    machine.write(`sys/fs/cgroup/${SCOPE}/job_1/step_0/user/task_0/cgroup.threads`, '11\n12\n13\n')
    kernel.done.length = 0
    source.read(machine.tick(5000))
    expect(kernel.done).toEqual(['jobsight_1/tasks <- 13'])
    end(2)
    kernel.done.length = 0
    source.read(machine.tick(5000))
    expect(kernel.done).toEqual([
      'remove jobsight_2',
      'remove jobsight_1',
      'make jobsight_1',
      'jobsight_1/cpus_list <- 0,1,2,3',
    ])
  })

  it('has no values where monitors are used up or not ready, says so, and tries again', () => {
    const { machine, kernel, source } = start({ ...job(1, '0'), ...job(2, '1'), ...job(3, '2') })
    kernel.refusals.push('ENOSPC', 'EBUSY')
    source.read(machine.tick())
    expect(kernel.groups()).toEqual(['jobsight_3', 'of_somebody'])
    expect(source.detail?.()).toBe(
      '1 jobs are counted, 2 are not: the CPU has no more monitors (RMIDs); a monitor that was freed is not ready yet',
    )
    source.read(machine.tick(5000))
    expect(source.detail?.()).toBe('3 jobs are counted')
  })

  it('leaves out, and never makes 0, what a group has no number for', () => {
    const { machine, kernel, source } = start(job(1, '0'))
    source.read(machine.tick())
    kernel.count('jobsight_1', [
      [500, 300],
      ['Unavailable', 100],
    ])
    expect(table(source.read(machine.tick()))).toEqual({ 'job 1 memory_bandwidth_local': 400 })
    kernel.count('jobsight_1', [
      ['', 300],
      [600, 100],
    ])
    const { told, problem } = partsOf(source, machine.tick())
    expect(told).toEqual({ 'job 1 memory_bandwidth_local': 0 })
    expect(problem).toContain('mbm_total_bytes is no number')
  })

  it('removes what a crash has left, and nothing of others', () => {
    const machine = makeMachine({ ...CPUINFO, ...MOUNTED, 'sys/fs/resctrl/mon_groups/jobsight_9/tasks': '' })
    const kernel = kernelOf(machine)
    opened(openJobBandwidth({ ...machine.options, jobBandwidth: true }, kernel.files))
    expect(kernel.groups()).toEqual(['of_somebody'])
  })

  it('is off until it is asked for, and absent where nothing is counted', () => {
    const { options } = makeMachine({ ...CPUINFO, ...MOUNTED })
    expect(openJobBandwidth(options)).toEqual({ absent: expect.stringContaining('collector.jobBandwidth=true') })
    expect(openJobBandwidth({ ...makeMachine(CPUINFO).options, jobBandwidth: true })).toEqual({
      absent: expect.stringContaining('see bandwidth'),
    })
  })

  it('knows the CPUs of a job in v1 too, from the controller that has them', () => {
    const machine = makeMachine({
      'sys/fs/cgroup/cpuset/slurm/uid_1/job_5/cpuset.effective_cpus': '2-3\n',
      'sys/fs/cgroup/memory/slurm/uid_1/job_5/tasks': '',
    })
    const { roots } = machine.options
    expect(readExtents(roots).get('5')?.cpus).toEqual([2, 3])
    expect(dirname(readExtents(roots).get('5')?.directories[0] ?? '')).toContain('uid_1')
    expect(readFileSync(join(roots.sys, 'fs/cgroup/memory/slurm/uid_1/job_5/tasks'), 'utf8')).toBe('')
  })
})
