/** Runs one command of a scheduler: our own time limit, bounded output, bytes back (schedulers print invalid UTF-8). */
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { SchedulerError, type SchedulerOptions } from './contract.ts'

export interface Ran {
  status: number
  stdout: Buffer
  stderr: string
}

/** A queue of 100,000 jobs is 310 MB of Slurm's JSON. */
const MAX_BYTES = 512 << 20

/** Variables by which users change what the commands print; ours must print what the parsers expect. */
const STYLE = /^(SQUEUE|SINFO|SACCT|SCONTROL|SLURM_TIME_FORMAT|SGE_LONG|SGE_SINGLE)(_|$)/

/** The commands of one scheduler; close() ends those that run. */
export class Commands {
  readonly #options: Pick<SchedulerOptions, 'env' | 'timeoutMs'>
  readonly #ending = new AbortController()

  constructor(options: Pick<SchedulerOptions, 'env' | 'timeoutMs'>) {
    this.#options = options
  }

  run([file, ...args]: readonly [string, ...string[]], extraEnv: Record<string, string> = {}): Promise<Ran> {
    const { timeoutMs } = this.#options
    const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_BYTES } as const
    const options = { ...limits, env: this.#env(extraEnv), signal: this.#ending.signal, encoding: 'buffer' } as const
    return new Promise((resolve, reject) => {
      execFile(file, args, options, (error, stdout, stderr) => {
        const said = stderr.toString('utf8').trim()
        if (error === null) resolve({ status: 0, stdout, stderr: said })
        else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr: said })
        else if (error.killed && !error.code)
          reject(new SchedulerError('timeout', `\`${file}\` gave no answer in ${timeoutMs} ms`))
        else reject(new SchedulerError('unreadable', `\`${file}\`: ${error.message}`))
      })
    })
  }

  /** Path of a command in PATH, as the shell would find it. */
  find(name: string): string | undefined {
    for (const directory of (this.#options.env.PATH ?? '').split(delimiter)) {
      const path = join(directory || '.', name)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // not in this one
      }
    }
    return undefined
  }

  close(): void {
    this.#ending.abort()
  }

  #env(extra: Record<string, string>): NodeJS.ProcessEnv {
    const kept = Object.entries(this.#options.env).filter(([name]) => !STYLE.test(name))
    return { ...Object.fromEntries(kept), TZ: 'UTC', LC_ALL: 'C.UTF-8', ...extra }
  }
}
