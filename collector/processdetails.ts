/**
 * What is read only of the processes that are shown: command line, user, program and container (again when the name changed,
 * which is what an exec looks like, and every ten minutes, for a daemon that changes its user), and, in each tick in which it
 * ran, bytes read and written and what it waited for, where the kernel tells it.
 */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { rateOf } from './counter.ts'
import type { Roots } from './source.ts'
import type { Users } from './users.ts'

/** What stays as it is. */
export interface Described {
  command: string
  user: string
  executable: string
  container: string
}

/** Seconds waited so far. */
export interface Delays {
  cpuDelay: number | undefined
  diskDelay: number | undefined
}

/** Rates of what it did and waited for. */
export interface Shown extends Described, Delays {
  /** To and from storage, not the page cache; undefined where we may not look or have not looked before. */
  readBytes: number | undefined
  writeBytes: number | undefined
}

/** One process and no other of the same pid. */
type Who = Readonly<{ pid: number; startMs: number }>

export interface Details {
  /** `delays`: undefined of one that has not run since it was last read, so nothing of it is read again. */
  read(process: Who, delays: Delays | undefined, seconds: number): Shown
  /** What was read of it before. */
  known(process: Who): Described | undefined
  keepOnly(shown: readonly Who[]): void
  forget(pid: number): void
  close(): void
}

const COMMAND_BYTES = 1024
const READ_AGAIN = 10 * 60_000

interface Detail extends Omit<Described, 'user'> {
  startMs: number
  uid: number | undefined
  readMs: number
  /** -1: not open, or not ours to read. */
  ioFd: number
  io: Io | undefined
  delays: Delays | undefined
}

interface Io {
  readBytes: number
  writeBytes: number
}

/** https://docs.kernel.org/filesystems/proc.html#proc-pid-io-display-the-io-accounting-fields */
export function parseIo(text: string): Io | undefined {
  const read = /^read_bytes: (\d+)$/m.exec(text)?.[1]
  const write = /^write_bytes: (\d+)$/m.exec(text)?.[1]
  return read === undefined || write === undefined ? undefined : { readBytes: Number(read), writeBytes: Number(write) }
}

/** argv joined by blanks; what would break a line of a table or a log is a blank too. A kernel thread has none: ''. */
export function parseCommand(bytes: Buffer): string {
  const text = bytes.toString('utf8', 0, COMMAND_BYTES)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: argv ends each word with NUL and may hold anything else
  return text.replace(/[\x00-\x1f\x7f]+/g, ' ').trim()
}

/** Real uid: who started it, not whom it acts for. */
export function parseUid(status: string): number | undefined {
  const uid = /^Uid:\s+(\d+)/m.exec(status)?.[1]
  return uid === undefined ? undefined : Number(uid)
}

/**
 * The 64 digits that Docker, containerd, CRI-O and Podman name a container by, at the end of its control group:
 *
 *   0::/system.slice/docker-4f6a…e1.scope     4:memory:/docker/4f6a…e1
 *   0::/kubepods.slice/kubepods-burstable-pod1234.slice/cri-containerd-4f6a…e1.scope
 */
export function parseContainer(cgroup: string): string {
  return /(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/m.exec(cgroup)?.[1] ?? ''
}

export function openDetails(roots: Roots, users: Users, now: () => number = Date.now): Details {
  return new ProcDetails(roots, users, now)
}

class ProcDetails implements Details {
  private readonly roots: Roots
  private readonly users: Users
  private readonly now: () => number
  private readonly details = new Map<number, Detail>()
  private readonly bytes = Buffer.allocUnsafe(4096)

  constructor(roots: Roots, users: Users, now: () => number) {
    this.roots = roots
    this.users = users
    this.now = now
  }

  read(process: Who, delays: Delays | undefined, seconds: number): Shown {
    const detail = this.look(process)
    const { io, delays: waited } = detail
    if (delays) {
      detail.io = this.readIo(detail)
      detail.delays = delays
    }
    // written out: forty a tick, and what is spread is copied name by name
    return {
      command: detail.command,
      user: this.userOf(detail),
      executable: detail.executable,
      container: detail.container,
      readBytes: rateOf(io?.readBytes, detail.io?.readBytes, seconds),
      writeBytes: rateOf(io?.writeBytes, detail.io?.writeBytes, seconds),
      cpuDelay: rateOf(waited?.cpuDelay, detail.delays?.cpuDelay, seconds),
      diskDelay: rateOf(waited?.diskDelay, detail.delays?.diskDelay, seconds),
    }
  }

  known({ pid, startMs }: Who): Described | undefined {
    const detail = this.details.get(pid)
    if (detail?.startMs !== startMs) return undefined
    const { command, executable, container } = detail
    return { command, user: this.userOf(detail), executable, container }
  }

  keepOnly(shown: readonly Who[]): void {
    const pids = new Set(shown.map(process => process.pid))
    for (const pid of this.details.keys()) if (!pids.has(pid)) this.forget(pid)
  }

  forget(pid: number): void {
    const detail = this.details.get(pid)
    if (detail && detail.ioFd >= 0) closeSync(detail.ioFd)
    this.details.delete(pid)
  }

  close(): void {
    for (const pid of this.details.keys()) this.forget(pid)
  }

  private look({ pid, startMs }: Who): Detail {
    if (this.details.get(pid)?.startMs !== startMs) this.forget(pid)
    const known = this.details.get(pid)
    if (known && this.now() - known.readMs < READ_AGAIN) return known
    const path = (file: string) => `${this.roots.proc}/${pid}/${file}`
    const detail: Detail = {
      startMs,
      command: attempt(() => parseCommand(readStart(path('cmdline'), this.bytes))) ?? '',
      uid: attempt(() => parseUid(readFileSync(path('status'), 'latin1'))),
      executable: attempt(() => readlinkSync(path('exe'))) ?? '',
      container: attempt(() => parseContainer(readFileSync(path('cgroup'), 'latin1'))) ?? '',
      readMs: this.now(),
      ioFd: known?.ioFd ?? attempt(() => openSync(path('io'), 'r')) ?? -1,
      io: known?.io,
      delays: known?.delays,
    }
    this.details.set(pid, detail)
    return detail
  }

  private userOf({ uid }: Detail): string {
    return uid === undefined ? '' : this.users.nameOf(uid)
  }

  private readIo({ ioFd }: Detail): Io | undefined {
    if (ioFd < 0) return undefined
    const { bytes } = this
    return attempt(() => parseIo(bytes.toString('latin1', 0, readSync(ioFd, bytes, 0, bytes.length, 0))))
  }
}

/** A process may end, or not be ours to look at, between any two reads: then this part of it is unknown. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** The first bytes only: an argv can have megabytes. */
function readStart(path: string, bytes: Buffer): Buffer {
  const fd = openSync(path, 'r')
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, COMMAND_BYTES, 0))
  } finally {
    closeSync(fd)
  }
}
