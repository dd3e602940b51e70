/** The schedulers' own shepherds of a job. They are root's processes, so what they call themselves is true. */
import type { Claim } from './claim.ts'
import type { ProcessFiles } from './process.ts'

const MAX_DEPTH = 32

export function shepherdOf(files: ProcessFiles): Claim | undefined {
  const comm = files.stat()?.comm
  if ((comm !== 'slurmstepd' && comm !== 'sge_shepherd') || files.identity()?.uid !== 0) return undefined
  // slurmstepd: [18.batch]
  const step = /^slurmstepd: \[(\d+)\.(\w+)/.exec(files.commandLine())
  if (step) return { scheduler: 'slurm', job: step[1] ?? '', step: step[2] ?? '' }
  // A shepherd works in SPOOL/active_jobs/4.5, or .../1.1/1.node2 for a task of a parallel job.
  const job = /\/active_jobs\/(\d+\.\d+)(?:\/(\d+\.[^/]+))?/.exec(files.workingDirectory())
  return job ? { scheduler: 'gridengine', job: job[1] ?? '', step: job[2] ?? '' } : undefined
}

/** The process that slurmstepd started, above `files` or itself. */
export function leaderOf(files: ProcessFiles, open: (pid: number) => ProcessFiles): ProcessFiles | undefined {
  let child = files
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const parentPid = child.stat()?.parentPid ?? 0
    if (parentPid <= 1) return undefined
    const parent = open(parentPid)
    if (parent.stat()?.comm === 'slurmstepd' && parent.identity()?.uid === 0) return child
    child = parent
  }
  return undefined
}
