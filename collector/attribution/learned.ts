/** What Slurm's array tasks are called, where control groups name them by a number of their own. */
import type { Claim } from './claim.ts'
import { arrayId } from './environment.ts'
import type { ProcessFiles } from './process.ts'
import { leaderOf } from './shepherd.ts'

const MAX_LEARNED = 10_000

export class LearnedIds {
  /** By raw id. */
  readonly #ids = new Map<string, string>()

  idOf(claim: Claim): string | undefined {
    return this.#ids.get(claim.job)
  }

  /**
   * What slurmstepd wrote into the environment of the process it started. Other processes of the job could have been given
   * any environment, so they teach nothing.
   */
  learn(claim: Claim, files: ProcessFiles, filesOf: (pid: number) => ProcessFiles): void {
    if (claim.scheduler !== 'slurm' || this.#ids.has(claim.job)) return
    const variables = leaderOf(files, filesOf)?.variables() ?? {}
    const job = variables.SLURM_JOB_ID ?? variables.SLURM_JOBID
    if (job === undefined || (job !== claim.job && variables.SLURM_JOB_SLUID !== claim.job)) return
    this.#ids.set(claim.job, arrayId(variables) ?? job)
    const oldest = this.#ids.keys().next()
    if (this.#ids.size > MAX_LEARNED && !oldest.done) this.#ids.delete(oldest.value)
  }
}
