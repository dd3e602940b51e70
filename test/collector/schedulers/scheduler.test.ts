/** Which scheduler is taken where the commands of several are installed. */
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openScheduler } from '../../../collector/schedulers/scheduler.ts'
import { PlayedCommands } from './played.ts'

const captured = (file: string) => new URL(`../../fixtures/gridengine/8.1.9/${file}`, import.meta.url)
const log = pino({ level: 'silent' })

let commands: PlayedCommands
beforeEach(() => {
  commands = new PlayedCommands()
  commands.script('cat', 'exec /bin/cat "$@"')
})
afterEach(() => commands.close())

/** Slurm's client without a controller: it knows its version. */
const installSlurm = () =>
  commands.script(
    'squeue',
    'case "$*" in --version) echo "slurm 22.05.8";; *) echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1;; esac',
  )

const installGridEngine = (rows: string | URL) => {
  commands.prints('qhost', { '-q -xml': captured('qhost.xml') })
  commands.prints('qstat', {
    '-help': 'SGE 8.1.9\nusage: qstat [options]\n',
    '-u * -r -g t -xml': rows,
    '-j 4,5,6,8,9,10,7 -xml': captured('qstat-j.xml'),
  })
}

/** Only the commands that are played: this machine may have real ones. */
const open = () => openScheduler({ kind: 'auto', log, env: { PATH: commands.directory }, timeoutMs: 20_000 })

it('is the one that answers', async () => {
  installSlurm()
  installGridEngine(captured('qstat.xml'))
  expect(await open()).toMatchObject({ kind: 'gridengine', version: '8.1.9' })
})

it('is the only one there is, though it does not answer yet', async () => {
  installSlurm()
  expect(await open()).toMatchObject({ kind: 'slurm', version: '22.05.8' })
})

it('is none while none of several answers, and each says why', async () => {
  installSlurm()
  installGridEngine('error: commlib error: got select error (Connection refused)')
  expect(await open()).toEqual({
    absent: expect.stringMatching(/slurm does not answer: .*Unable to contact.*; gridengine does not answer: /s),
  })
})

it('is none where no commands are, and says what is missing', async () => {
  expect(await open()).toEqual({ absent: expect.stringMatching(/no Slurm: .*; no PBS.*; no Grid Engine: /) })
})
