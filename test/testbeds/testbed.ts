/** Brings a real scheduler up for a test: slurm.sh and gridengine.sh beside this file, each in a directory of its own. */
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export interface Testbed {
  directory: string
  /** With the scheduler's commands first in PATH. */
  env: Record<string, string>
  /** Output of a shell command that ran as `user`. */
  run(command: string, user?: string): Promise<string>
  down(): void
}

/** Exit status of the scripts where the machine lacks something: not root, or packages that cannot be installed. */
const MISSING = 3

/** Why there can be none here, or the testbed. */
export function upTestbed(kind: 'slurm' | 'gridengine', options: readonly string[]): Testbed | { absent: string } {
  const script = fileURLToPath(new URL(`./${kind}.sh`, import.meta.url))
  const parent = mkdtempSync(join(tmpdir(), `${kind}-`))
  chmodSync(parent, 0o755) // munged and the jobs are other users
  const directory = join(parent, 'bed')
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  try {
    execFileSync(script, ['up', directory, ...options], { stdio: [...stdio], timeout: 300_000 })
  } catch (error) {
    const { status, stderr } = error as { status: number | null; stderr: Buffer }
    if (status === MISSING) return { absent: stderr.toString().trim() }
    throw new Error(`${kind}.sh: ${stderr}`)
  }
  const env = readEnv(directory)
  return {
    directory,
    env,
    run: (command, user = 'root') => runAs(user, command, env, directory),
    down() {
      execFileSync(script, ['down', directory], { stdio: [...stdio], timeout: 120_000 })
      rmSync(parent, { recursive: true, force: true })
    },
  }
}

function readEnv(directory: string): Record<string, string> {
  const shell = `env -i PATH="$PATH" sh -c '. "${directory}/env.sh"; env -0'`
  const pairs = execFileSync('sh', ['-c', shell]).toString().split('\0').filter(Boolean)
  return Object.fromEntries(pairs.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}

async function runAs(user: string, command: string, env: Record<string, string>, directory: string): Promise<string> {
  const shell = ['sh', '-c', command]
  const [file = '', ...args] = user === 'root' ? shell : ['runuser', '-u', user, '--', ...shell]
  const { stdout } = await promisify(execFile)(file, args, { env, cwd: join(directory, 'out'), timeout: 60_000 })
  return stdout.trim()
}
