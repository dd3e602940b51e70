/**
 * A program that is kept running and talks in lines. It is started at a tick, started again when it ends, ever less often, and
 * ended when it has said nothing for too long.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { SourceError } from './kernelfile.ts'
import type { Tick } from './source.ts'

export interface TalkOptions {
  program: string
  /** Asked at each start. */
  args(): readonly string[]
  env: Readonly<Record<string, string | undefined>>
  /** Of standard output and error alike. True for a line that was hoped for: it works, so the next start may come soon. */
  hear(line: string): boolean
  /** Why it ended, where it said nothing itself. */
  ended(why: string): void
}

const RESTART_FIRST_MS = 5000
const RESTART_LAST_MS = 600_000
/** A program that is not what it is taken for may never end its line. */
const LONGEST_LINE = 4096

export class Talk {
  private readonly options: TalkOptions
  private child: ChildProcess | undefined
  private closed = false
  private rest = ''
  private nowMs = 0
  private startedMs = Number.NEGATIVE_INFINITY
  private heardMs = 0
  private waitMs = RESTART_FIRST_MS

  constructor(options: TalkOptions) {
    this.options = options
  }

  get isRunning(): boolean {
    return this.child !== undefined
  }

  /** To be called each tick. Throws where it has been silent for longer than that. */
  tick({ monotonicMs }: Tick, silenceMs: number): void {
    this.nowMs = monotonicMs
    if (!this.child && !this.closed && monotonicMs - this.startedMs >= this.waitMs) this.start()
    const silentMs = monotonicMs - Math.max(this.heardMs, this.startedMs)
    if (!this.child || silentMs <= silenceMs) return
    // one that waits in its driver does not end, and none is started beside it
    this.child.kill('SIGKILL')
    throw new SourceError(`${this.options.program} has said nothing for ${Math.round(silentMs / 1000)} s`)
  }

  send(text: string): void {
    if (this.child?.stdin?.writable) this.child.stdin.write(text)
  }

  /** It will end now, and is to be started again at the next tick. */
  again(): void {
    this.waitMs = 0
  }

  private start(): void {
    const { program, args, env } = this.options
    this.startedMs = this.nowMs
    this.rest = ''
    const child = spawn(program, args(), { stdio: 'pipe', env: { ...env, LC_ALL: 'C' } })
    this.child = child
    child.stdin.on('error', () => {
      // it has ended: 'close' says so
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.hear(text))
    }
    child.on('error', error => this.end(child, error.message))
    child.on('close', code => this.end(child, `it ended with status ${code}`))
  }

  private hear(text: string): void {
    const lines = (this.rest + text).split('\n')
    this.rest = (lines.pop() ?? '').slice(-LONGEST_LINE)
    for (const line of lines) this.hearLine(line)
  }

  private hearLine(line: string): void {
    this.heardMs = this.nowMs
    if (this.options.hear(line.trim())) this.waitMs = RESTART_FIRST_MS
  }

  private end(child: ChildProcess, why: string): void {
    if (this.child !== child) return
    this.child = undefined
    if (this.rest !== '') this.hearLine(this.rest)
    this.options.ended(why)
    if (this.waitMs === 0) this.startedMs = Number.NEGATIVE_INFINITY
    this.waitMs = this.waitMs === 0 ? RESTART_FIRST_MS : Math.min(RESTART_LAST_MS, this.waitMs * 2)
  }

  close(): void {
    this.closed = true
    this.child?.kill('SIGKILL')
  }
}
