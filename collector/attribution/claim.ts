/** What one piece of evidence says of a process. */
export interface Claim {
  scheduler: 'slurm' | 'pbs' | 'gridengine' | 'other'
  /** As the evidence names it: 4713, 76[1].pbs01, 4.5, sEKNKTV3WPV500 (Slurm 26.05 on). */
  job: string
  /** 0, batch, extern; a task of a parallel environment; '' where the scheduler has no steps. */
  step: string
  rank?: number
  /** The id that users type, where the evidence has it. */
  id?: string
}
