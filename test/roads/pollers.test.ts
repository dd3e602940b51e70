/** Two collectors, each a process of its own, are told to ask one scheduler: one does. Slurm's commands are played, and count calls. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Jobs } from '../../query/api.ts'
import { PlayedCommands } from '../collector/schedulers/played.ts'
import { ask, MAIN, type Program, startProgram, until } from './program.ts'

const CAPTURES = join(import.meta.dirname, '..', 'fixtures', 'slurm', '22.05')

class Collector {
  readonly name: string
  readonly commands = new PlayedCommands()
  readonly #calls = join(this.commands.directory, 'calls')
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined

  constructor(name: string, endpoint: string) {
    this.name = name
    const state = join(this.commands.directory, 'state')
    this.#env = { PATH: this.commands.env.PATH, XDG_STATE_HOME: state, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }
    const prints = (file: string) => `echo "$0 $*" >> ${this.#calls}; cat ${join(CAPTURES, file)}`
    const version = 'case "$*" in --version) echo slurm 22.05.8; exit 0;; esac'
    this.commands.script('squeue', `${version}\n${prints('squeue.json')}`)
    this.commands.script('sinfo', prints('sinfo.json'))
    this.commands.script('sacct', 'echo "Slurm accounting storage is disabled" >&2; exit 1')
  }

  #arguments(role: string): string[] {
    const settings = [`node=${this.name}`, 'intervalMs=1000', 'scheduler.kind=slurm', 'scheduler.pollEveryMs=3000']
    return [MAIN, role, ...[...settings, 'stacks.mode=off'].flatMap(s => ['--set', `collector.${s}`])]
  }

  start(): void {
    const [cwd, env] = [this.commands.directory, this.#env]
    this.#child = spawn(process.execPath, this.#arguments('collect'), { cwd, env, stdio: 'ignore' })
  }

  doctor(): string {
    const [cwd, env] = [this.commands.directory, this.#env]
    return spawnSync(process.execPath, this.#arguments('doctor'), { cwd, env, encoding: 'utf8' }).stdout
  }

  /** How often it asked for the queue. */
  calls(): number {
    if (!existsSync(this.#calls)) return 0
    return readFileSync(this.#calls, 'utf8').split('/squeue --json\n').length - 1
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
}

describe('two collectors that are told to ask one scheduler', () => {
  let server: Program | undefined
  const collectors: Collector[] = []

  beforeAll(async () => {
    server = await startProgram('serve')
    for (const name of ['one', 'two']) collectors.push(new Collector(name, server.url))
  }, 60_000)
  afterAll(async () => {
    await Promise.all(collectors.map(collector => collector.end('SIGKILL')))
    for (const { commands } of collectors) commands.close()
    await server?.stop()
  }, 60_000)

  const list = () => ask<Jobs>(server?.url ?? '', 'jobs').catch(() => undefined)
  /** What is told of each that is told to ask. */
  const told = async () => Object.fromEntries((await list())?.schedulers.map(s => [s.node, s.waits]) ?? [])
  const of = (name: string) => {
    const found = collectors.find(collector => collector.name === name)
    if (!found) throw new Error(`no collector ${name}`)
    return found
  }

  it('one asks, the other says which', { timeout: 120_000 }, async () => {
    const [one, two] = [of('one'), of('two')]
    one.start()
    await until(
      async () => one.calls(),
      calls => calls > 0,
      'the first poll',
    )
    two.start()
    await until(told, answer => answer.two != null && answer.one === null, 'the word of both')
    const before = one.calls()
    await until(
      async () => one.calls() - before,
      calls => calls >= 2,
      'two polls more',
    )
    expect(await told()).toEqual({ one: null, two: expect.stringContaining('the collector on one asks the slurm') })
    expect(two.calls()).toBe(0)
    expect((await list())?.total).toBeGreaterThan(0)
    expect(two.doctor().replace(/\s+/g, ' ')).toMatch(
      /scheduler absent the collector on one asks the slurm .* takes over when it falls silent/,
    )
  })

  it('the other takes over from one that is killed, and waits when the first comes back', {
    timeout: 120_000,
  }, async () => {
    const [one, two] = [of('one'), of('two')]
    await one.end('SIGKILL')
    await until(
      async () => two.calls(),
      calls => calls >= 2,
      'polls of the second',
    )
    one.start()
    await until(told, answer => answer.one != null && answer.two === null, 'the first to wait')
    expect(await told()).toEqual({ two: null, one: expect.stringContaining('the collector on two asks the slurm') })
  })

  it('who is stopped lets the next have it at once', { timeout: 120_000 }, async () => {
    const [one, two] = [of('one'), of('two')]
    const before = one.calls()
    await two.end('SIGTERM')
    await until(
      async () => one.calls() - before,
      calls => calls >= 2,
      'polls of the first',
    )
  })
})
