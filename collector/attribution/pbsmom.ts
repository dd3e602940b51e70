/**
 * Jobs that PBS runs on this machine, by the files of its MoM, which keeps one `ID.JB` for each: PBS_HOME/mom_priv/jobs/76[1].pbs01.JB.
 * PBS_HOME stands in /etc/pbs.conf. Root may look, nobody else.
 */
import { readFileSync, statSync } from 'node:fs'
import { machineRoot } from './process.ts'

export class MomJobs {
  readonly #directory: string

  constructor(proc: string) {
    const root = machineRoot(proc)
    this.#directory = `${root}${readHome(`${root}/etc/pbs.conf`)}/mom_priv/jobs`
  }

  /** Since when it runs here: undefined where there is no MoM whose files we may read, Infinity where it does not run. */
  sinceMs(job: string): number | undefined {
    if (!exists(this.#directory)) return undefined
    if (job.includes('/')) return Number.POSITIVE_INFINITY
    try {
      const { birthtimeMs, ctimeMs } = statSync(`${this.#directory}/${job}.JB`)
      return birthtimeMs > 0 ? birthtimeMs : ctimeMs
    } catch {
      return Number.POSITIVE_INFINITY
    }
  }
}

function readHome(path: string): string {
  try {
    return /^PBS_HOME=(\/\S+)/m.exec(readFileSync(path, 'utf8'))?.[1] ?? '/var/spool/pbs'
  } catch {
    return '/var/spool/pbs'
  }
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch {
    return false
  }
}
