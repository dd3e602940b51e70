/**
 * Job and step in the path of a control group, which only root can choose. /proc/PID/cgroup has one line a hierarchy:
 *
 *   Slurm, v1             6:freezer:/slurm_node1/uid_1001/job_2/step_batch          node name with MULTIPLE_SLURMD
 *                         4:memory:/slurm/uid_1001/job_2/step_0/task_1
 *   Slurm, v2             0::/system.slice/node1_slurmstepd.scope/job_1/step_0/user/task_0
 *   Slurm, v2, 26.05 on   0::/system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_0/user/task_0
 *   PBS                   4:memory:/pbs_jobs.service/jobid/76[1].pbs01              prefix is configured; .orphan: being removed
 *   PBS before 20         3:cpuset:/pbspro.slice/pbspro-2\x5b1\x5d.pbs01.slice      or /pbspro/2[1].pbs01
 *   TORQUE                3:cpuset:/torque/2[1].host
 *   Grid Engine           3:cpuset:/sge/4.5    /system.slice/sge-4.5.scope
 *   Open Cluster Sched.   0::/ocs8012.slice/ocs8012-jobs.slice/ocs8012.1234.1.scope
 *
 * The task_N of Slurm differ between hierarchies for one process, so they are no rank.
 * https://slurm.schedmd.com/cgroups.html https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
import type { Claim } from './claim.ts'

const SLURM_V1 = /(?:^|\/)slurm(?:_[^/]+)?\/uid_\d+\/job_(\d+)(?:\/step_([^/]+))?/
const SLURM_V2 = /(?:^|\/)(?:[^/]+_)?slurmstepd\.scope\/(?:job_(\d+)|(s[0-9A-HJKMNP-TV-Z]{13}))(?:\/step_([^/]+))?/
const PBS = /(?:^|\/)[\w.\\-]+\.service\/jobid\/([^/]+?)(?:\.orphan)?(?:\/|$)/
const PBS_OLD = /(?:^|\/)pbspro(?:\.slice\/pbspro-(.+?)\.slice|\/([^/]+?)(?:\.orphan)?)(?:\/|$)/
const TORQUE = /(?:^|\/)torque\/(\d+(?:\[\d+\])?\.[^/]+)/
const GRID_ENGINE = /(?:^|\/)sge(?:\.[^/]+)?(?:\/|-)(\d+)\.(\d+)(?:\.scope)?(?:\/|$)/
const OCS = /(?:^|\/)ocs\d+\.(\d+)(?:\.(\d+))?(?:\.(master)|[.-](\d+\.[^/]+?))?\.scope(?:\/|$)/

/** Text of /proc/PID/cgroup, or a path alone. The line that names a step wins over one that names the job only. */
export function parseCgroup(text: string): Claim | undefined {
  let found: Claim | undefined
  for (const line of text.split('\n')) {
    const claim = parsePath(line.startsWith('/') ? line : line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1))
    if (claim?.step) return claim
    found ??= claim
  }
  return found
}

/**
 * The control group that holds all of the process's job, in the hierarchy that perf(1) can watch (v2): the shortest beginning of
 * the path that names it. undefined where the job has none there.
 */
export function parseJobGroup(text: string): string | undefined {
  const path =
    text
      .split('\n')
      .find(line => line.startsWith('0::/'))
      ?.slice(3) ?? ''
  const job = parsePath(path)?.job
  const names = path.split('/')
  const ends = names.findIndex((_, i) => parsePath(names.slice(0, i + 1).join('/'))?.job === job)
  return job === undefined || ends < 0 ? undefined : names.slice(0, ends + 1).join('/')
}

function parsePath(path: string): Claim | undefined {
  if (path === '/' || path === '') return undefined
  return slurm(path) ?? pbs(path) ?? gridEngine(path)
}

function slurm(path: string): Claim | undefined {
  const v1 = SLURM_V1.exec(path)
  if (v1) return { scheduler: 'slurm', job: v1[1] ?? '', step: v1[2] ?? '' }
  const v2 = SLURM_V2.exec(path)
  return v2 ? { scheduler: 'slurm', job: v2[1] ?? v2[2] ?? '', step: v2[3] ?? '' } : undefined
}

function pbs(path: string): Claim | undefined {
  const old = PBS_OLD.exec(path)
  const job = PBS.exec(path)?.[1] ?? (old?.[1] === undefined ? old?.[2] : unescaped(old[1])) ?? TORQUE.exec(path)?.[1]
  return job === undefined ? undefined : { scheduler: 'pbs', job, step: '' }
}

/** systemd's escapes: `2\x5b1\x5d.pbs01` -> `2[1].pbs01` */
function unescaped(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** A job without tasks runs as task 1 (`sge/2.1`), so the path alone does not tell it from task 1 of an array. */
function gridEngine(path: string): Claim | undefined {
  const sge = GRID_ENGINE.exec(path)
  if (sge) return { scheduler: 'gridengine', job: `${sge[1]}.${sge[2]}`, step: '' }
  const ocs = OCS.exec(path)
  if (!ocs) return undefined
  const [, job = '', task, master, peTask] = ocs
  const id = task === undefined ? job : `${job}.${task}`
  return { scheduler: 'gridengine', job: `${job}.${task ?? 1}`, step: peTask ?? master ?? '', id }
}
