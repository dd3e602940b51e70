/**
 * Job, step and rank in the environment a process was started with. Users can write what they like into it, and it stays
 * in processes that outlive their job, so it is believed only where nothing better is known and the job is alive here.
 *
 * Environments hold secrets (PBS_JOBCOOKIE, tokens). Only the values of the names below ever leave the bytes.
 */
import type { Claim } from './claim.ts'

const NAMES = [
  ...['SLURM_JOB_ID', 'SLURM_JOBID', 'SLURM_JOB_SLUID', 'SLURM_STEP_ID', 'SLURM_STEPID', 'SLURM_PROCID'],
  ...['SLURM_ARRAY_JOB_ID', 'SLURM_ARRAY_TASK_ID'],
  ...['PBS_JOBID', 'PBS_TASKNUM', 'JOB_ID', 'SGE_TASK_ID', 'SGE_JOB_SPOOL_DIR'],
  ...['OMPI_COMM_WORLD_RANK', 'PMIX_RANK', 'PMI_RANK', 'MV2_COMM_WORLD_RANK'],
  ...['LSB_JOBID', 'LSB_JOBINDEX', 'FLUX_JOB_ID', 'JOBSIGHT_JOB_ID'],
] as const
export type JobVariables = Partial<Record<(typeof NAMES)[number], string>>

const WANTED = new Map<string, (typeof NAMES)[number]>(NAMES.map(name => [name, name]))
const LONGEST = Math.max(...NAMES.map(name => name.length))
/** A job id, a rank, a path: nothing we want is longer. */
const MAX_VALUE = 1024

/** Bytes of /proc/PID/environ: NAME=value, each ended by NUL. */
export function parseEnvironment(bytes: Uint8Array): JobVariables {
  const found: JobVariables = {}
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let from = 0; from < bytes.length; ) {
    const nul = bytes.indexOf(0, from)
    const end = nul < 0 ? bytes.length : nul
    const equals = bytes.indexOf(61, from)
    if (equals > from && equals < end && equals - from <= LONGEST && end - equals <= MAX_VALUE) {
      const name = WANTED.get(text.toString('latin1', from, equals))
      if (name !== undefined) found[name] ??= text.toString('latin1', equals + 1, end)
    }
    from = end + 1
  }
  return found
}

export function claimOf(variables: JobVariables): Claim | undefined {
  const named = slurm(variables) ?? pbs(variables) ?? gridEngine(variables) ?? other(variables)
  if (named === undefined) return undefined
  const rank = rankOf(variables, named)
  return rank === undefined ? named : { ...named, rank }
}

/** SLURM_STEP_ID is set in steps only, never in the batch script. */
function slurm(v: JobVariables): Claim | undefined {
  const job = v.SLURM_JOB_ID ?? v.SLURM_JOBID
  if (job === undefined || !/^\d+$/.test(job)) return undefined
  const step = v.SLURM_STEP_ID ?? v.SLURM_STEPID ?? 'batch'
  const id = arrayId(v)
  return { scheduler: 'slurm', job, step: /^\w+$/.test(step) ? step : '', ...(id === undefined ? {} : { id }) }
}

export function arrayId(v: JobVariables): string | undefined {
  const { SLURM_ARRAY_JOB_ID: array = '', SLURM_ARRAY_TASK_ID: task = '' } = v
  return /^\d+$/.test(array) && /^\d+$/.test(task) ? `${array}_${task}` : undefined
}

/** PBS_TASKNUM numbers what TM started: 1 the script, 2 and up (hexadecimal) on the first host, 40000001 … on the others. */
function pbs(v: JobVariables): Claim | undefined {
  if (!/^\d+(\[\d*\])?\../.test(v.PBS_JOBID ?? '')) return undefined
  const step = /^[0-9a-fA-F]{1,8}$/.test(v.PBS_TASKNUM ?? '') ? (v.PBS_TASKNUM ?? '').replace(/^0+(?=.)/, '') : ''
  return { scheduler: 'pbs', job: v.PBS_JOBID ?? '', step }
}

/** JOB_ID alone could be anybody's. SGE_TASK_ID is "undefined" where the job is no array. */
function gridEngine(v: JobVariables): Claim | undefined {
  const { JOB_ID: job = '', SGE_TASK_ID: task } = v
  if (task === undefined || v.SGE_JOB_SPOOL_DIR === undefined || !/^\d+$/.test(job)) return undefined
  const array = /^\d+$/.test(task)
  return { scheduler: 'gridengine', job: `${job}.${array ? task : 1}`, step: '', id: array ? `${job}.${task}` : job }
}

/** Schedulers without an adapter; JOBSIGHT_JOB_ID is for a prolog's own use. */
function other(v: JobVariables): Claim | undefined {
  const lsf = v.LSB_JOBID && (Number(v.LSB_JOBINDEX ?? 0) > 0 ? `${v.LSB_JOBID}[${v.LSB_JOBINDEX}]` : v.LSB_JOBID)
  const job = v.JOBSIGHT_JOB_ID || v.FLUX_JOB_ID || lsf
  return job === undefined || job === '' || job.length > 255 ? undefined : { scheduler: 'other', job, step: '' }
}

/** The MPI library's own word first: mpirun's children inherit SLURM_PROCID from the one daemon that srun started. */
export function rankOf(v: JobVariables, claim: Claim): number | undefined {
  const mpi = v.OMPI_COMM_WORLD_RANK ?? v.PMIX_RANK ?? v.PMI_RANK ?? v.MV2_COMM_WORLD_RANK
  // The batch script and the extern step have a PROCID of 0 that is nobody's rank.
  const text = mpi ?? (/^\d+$/.test(claim.step) ? v.SLURM_PROCID : undefined)
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
