/**
 * What is read only of the processes that are shown: command line and user (again when the name changed, which is what an
 * exec looks like, and every ten minutes, for a daemon that changes its user), bytes read and written each tick.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { rateOf } from './counter.ts'
import type { Roots } from './source.ts'
import type { Users } from './users.ts'

export interface Shown {
  command: string
  user: string
  /** To and from storage, not the page cache; undefined where we may not look or have not looked before. */
  readBytes: number | undefined
  writeBytes: number | undefined
}

export interface Details {
  read(pid: number, seconds: number): Shown
  keepOnly(shown: readonly { pid: number }[]): void
  forget(pid: number): void
  close(): void
}

const COMMAND_BYTES = 1024
const READ_AGAIN = 10 * 60_000

interface Detail {
  command: string
  uid: number | undefined
  readMs: number
  /** -1: not open, or not ours to read. */
  ioFd: number
  io: Io | undefined
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

export function openDetails(roots: Roots, users: Users, now: () => number = Date.now): Details {
  const details = new Map<number, Detail>()
  const bytes = Buffer.allocUnsafe(4096)
  const path = (pid: number, file: string) => `${roots.proc}/${pid}/${file}`

  const forget = (pid: number) => {
    const detail = details.get(pid)
    if (detail && detail.ioFd >= 0) closeSync(detail.ioFd)
    details.delete(pid)
  }
  const look = (pid: number): Detail => {
    const known = details.get(pid)
    if (known && now() - known.readMs < READ_AGAIN) return known
    const detail: Detail = {
      command: attempt(() => parseCommand(readStart(path(pid, 'cmdline'), bytes))) ?? '',
      uid: attempt(() => parseUid(readFileSync(path(pid, 'status'), 'latin1'))),
      readMs: now(),
      ioFd: known?.ioFd ?? attempt(() => openSync(path(pid, 'io'), 'r')) ?? -1,
      io: known?.io,
    }
    details.set(pid, detail)
    return detail
  }
  const readIo = (detail: Detail): Io | undefined => {
    if (detail.ioFd < 0) return undefined
    return attempt(() => parseIo(bytes.toString('latin1', 0, readSync(detail.ioFd, bytes, 0, bytes.length, 0))))
  }
  return {
    read(pid, seconds) {
      const detail = look(pid)
      const before = detail.io
      detail.io = readIo(detail)
      return {
        command: detail.command,
        user: detail.uid === undefined ? '' : users.nameOf(detail.uid),
        readBytes: rateOf(before?.readBytes, detail.io?.readBytes, seconds),
        writeBytes: rateOf(before?.writeBytes, detail.io?.writeBytes, seconds),
      }
    },
    keepOnly(shown) {
      const pids = new Set(shown.map(process => process.pid))
      for (const pid of details.keys()) if (!pids.has(pid)) forget(pid)
    },
    forget,
    close() {
      for (const pid of details.keys()) forget(pid)
    },
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
