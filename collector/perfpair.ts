/**
 * `perf record | perf script`, with us in between:
 *
 *   perf record -o - ──▶ PerfStream mends ──▶ up to 32 MiB wait here ──▶ perf script -i - ──text──▶ lines
 *        ▲ control: "ping" each second. perf record sleeps until a ring is half full, on a quiet machine for minutes; any
 *          word on its control descriptor makes it read all rings, so that samples arrive within about two seconds.
 *
 * What waits is for the moments in which perf script reads the symbols of a large program, seconds of CPU on a busy machine;
 * beyond it perf record is no longer read, its rings fill, and the kernel counts what is lost. Both run at nice 1 and SCHED_BATCH,
 * which does not preempt whoever runs: with nice 10 or 19 and four busy threads a core perf does not get through its own start
 * within 10 s, with nice 5 and ten of them it falls behind by the symbols of one large program (test/bench/stacks).
 */
import { type ChildProcess, type IOType, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { LineSplitter } from './formats/lines.ts'
import { type PerfCommand, recordArguments, scriptArguments } from './perfcommand.ts'
import { PerfStream } from './perfstream.ts'

export interface PerfEvents {
  line(text: string): void
  /** A process that became another program a moment ago. */
  exec(pid: number): void
}

/** perf 6.1 writes ack to ping within milliseconds once its rings are mapped; older ones are taken for ready when they still live. */
const READY_MS = 2500
const STDERR_LIMIT = 4096
const WAITING_BYTES = 32 << 20

export class PerfPair {
  /** Resolves with undefined once it samples, or with what perf said when it could not. */
  readonly ready: Promise<string | undefined>
  /** Resolves with what perf said last, when both processes have ended. */
  readonly ended: Promise<string>
  readonly startedMs: number
  readonly stream: PerfStream
  private readonly record: ChildProcess
  private readonly script: ChildProcess
  private readonly said = new Map<ChildProcess, string>()
  private running = 2
  private answered = true

  constructor(command: PerfCommand, on: PerfEvents, nowMs: number) {
    this.startedMs = nowMs
    this.stream = new PerfStream(on.exec)
    this.record = spawnLow(recordArguments(command), ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'])
    this.script = spawnLow(scriptArguments(), ['pipe', 'pipe', 'pipe'])
    this.passOn()
    this.readText(on.line)
    this.ended = new Promise(resolve => {
      for (const child of [this.record, this.script]) this.watch(child, resolve)
    })
    this.ready = this.awaitReady(command.control)
  }

  /** Makes perf record empty its rings. Not again before the last one was answered. */
  pulse(): void {
    const control = this.record.stdio[3]
    if (!this.answered || !control || !('write' in control) || !control.writable) return
    this.answered = false
    control.write('ping\n')
  }

  /** Bytes on their way to perf script. */
  waitingBytes(): number {
    return this.script.stdin?.writableLength ?? 0
  }

  /** Resident bytes of perf script, which holds maps, symbols and unwinding tables of all it has seen. */
  residentBytes(): number {
    try {
      return Number(readFileSync(`/proc/${this.script.pid}/statm`, 'latin1').split(' ')[1]) * 4096
    } catch {
      return 0
    }
  }

  /** CPU seconds that both have used. */
  cpuSeconds(): number {
    return cpuSecondsOf(this.record.pid) + cpuSecondsOf(this.script.pid)
  }

  /** Ends recording; perf script still writes what it has. Kills both where they have not ended by then. */
  async stop(graceMs = 3000): Promise<void> {
    this.record.kill('SIGTERM')
    const timer = setTimeout(() => this.kill(), graceMs)
    await this.ended
    clearTimeout(timer)
  }

  kill(): void {
    this.record.kill('SIGKILL')
    this.script.kill('SIGKILL')
  }

  private passOn(): void {
    const { stdout: from } = this.record
    const { stdin: to } = this.script
    if (!from || !to) return
    from.on('data', (chunk: Buffer) => {
      to.cork()
      for (const piece of this.stream.push(chunk)) to.write(piece)
      to.uncork()
      if (to.writableLength > WAITING_BYTES) from.pause()
    })
    from.on('end', () => to.end())
    to.on('drain', () => from.resume())
    to.on('error', () => from.resume())
  }

  private readText(onLine: (line: string) => void): void {
    const lines = new LineSplitter()
    this.script.stdout?.on('data', (chunk: Buffer) => lines.push(chunk).forEach(onLine))
    this.script.stdout?.on('end', () => lines.end().forEach(onLine))
    for (const child of [this.record, this.script])
      child.stderr?.on('data', (chunk: Buffer) => {
        this.said.set(child, ((this.said.get(child) ?? '') + chunk.toString()).slice(-STDERR_LIMIT))
      })
  }

  /** Either one is of no use without the other. */
  private watch(child: ChildProcess, resolve: (said: string) => void): void {
    let closed = false
    const close = (error: string) => {
      if (closed) return
      closed = true
      if (error) this.said.set(child, error)
      if (--this.running === 0) resolve(this.lastWords())
      else if (child === this.script) this.record.kill('SIGTERM')
    }
    child.on('error', error => close(error.message))
    child.on('close', () => close(''))
  }

  /** perf record first: perf script only complains of what it did not get. */
  private lastWords(): string {
    const lines = [this.record, this.script].flatMap(child => (this.said.get(child) ?? '').split('\n'))
    return [...new Set(lines)].filter(line => line.trim() !== '' && !line.startsWith('[ perf record:')).join('\n')
  }

  private awaitReady(control: boolean): Promise<string | undefined> {
    const ack = this.record.stdio[4]
    const acked = new Promise<undefined>(resolve => {
      if (!control || !ack || !('on' in ack)) return
      ack.on('data', () => {
        this.answered = true
        resolve(undefined)
      })
    })
    for (const end of this.record.stdio.slice(3)) end?.on('error', () => undefined)
    const waited = new Promise<undefined>(resolve => setTimeout(resolve, READY_MS, undefined).unref())
    if (control) this.pulse()
    return Promise.race([acked, waited, this.ended])
  }
}

/** Low priority for CPU and disk where the tools for it are there. All of these exec, so the pid is perf's. */
function spawnLow(args: string[], stdio: IOType[]): ChildProcess {
  const environment = ['LC_ALL=C', 'PERF_CONFIG=/dev/null', 'DEBUGINFOD_URLS=', 'PAGER=cat']
  const idleDisk = existsSync('/usr/bin/ionice') ? ['ionice', '-t', '-c', '3'] : []
  const batch = existsSync('/usr/bin/chrt') ? ['chrt', '--batch', '0'] : []
  return spawn('env', [...environment, ...idleDisk, ...batch, 'nice', '-n', '1', 'perf', ...args], { stdio })
}

/** Of a process and the children it waited for; 100 ticks a second on all machines perf runs on. */
function cpuSecondsOf(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}
