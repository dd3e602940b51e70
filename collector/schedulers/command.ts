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

export type CommandOptions = Pick<SchedulerOptions, 'env' | 'timeoutMs'>

/** Variables by which users change what the commands print; ours must print what the parsers expect. */
const STYLE = /^(SQUEUE|SINFO|SACCT|SSTAT|SCONTROL|SLURM_TIME_FORMAT|SGE_LONG|SGE_SINGLE)(_|$)/

function cleanEnv(env: CommandOptions['env'], extra: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !STYLE.test(name))
  return { ...Object.fromEntries(kept), TZ: 'UTC', LC_ALL: 'C.UTF-8', ...extra }
}

export function runCommand(
  [file, ...args]: readonly [string, ...string[]],
  options: CommandOptions,
  extraEnv: Record<string, string> = {},
): Promise<Ran> {
  const limits = { timeout: options.timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_BYTES } as const
  const env = cleanEnv(options.env, extraEnv)
  return new Promise((resolve, reject) => {
    execFile(file, args, { ...limits, env, encoding: 'buffer' }, (error, stdout, stderr) => {
      const said = stderr.toString('utf8').trim()
      if (error === null) resolve({ status: 0, stdout, stderr: said })
      else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr: said })
      else if (error.killed && !error.code)
        reject(new SchedulerError('timeout', `\`${file}\` gave no answer in ${options.timeoutMs} ms`))
      else reject(new SchedulerError('unreadable', `\`${file}\`: ${error.message}`))
    })
  })
}

/** Path of a command in PATH, as the shell would find it. */
export function findCommand(name: string, env: CommandOptions['env']): string | undefined {
  for (const directory of (env.PATH ?? '').split(delimiter)) {
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
