/**
 * Where the process table reads from: the addon, which looks at a thousand sleeping processes for what reading a hundred costs
 * (native/src/processtable.rs), or the stat files, each of them at each look.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { readAddon } from './addon.ts'
import { parseName, parseProcessStat, STAT, STAT_FIELDS } from './processstat.ts'

export interface StatRows {
  /** STAT_FIELDS numbers each. */
  numbers: Float64Array
  /** Of those that are new or have another name than before; null: as it was. */
  names: readonly (string | null)[]
}

export interface StatFiles {
  /**
   * Those that are not known yet, and are from then on. `forked`: how often that happened since the last call, as the kernel
   * counts. Throws where /proc cannot be read.
   */
  meet(forked: number): StatRows
  /**
   * Those known that are not as they were, and those that are gone, which are known no more. `anyway`: whose memory and state
   * must be right; told as soon as they may have run at all.
   */
  look(anyway: Int32Array): StatRows
  /** These as they are now, changed or not. */
  readAgain(pids: Int32Array): StatRows
  close(): void
}

/** `keepFiles`: descriptors to keep at most. */
export type OpenStatFiles = (proc: string, keepFiles: number) => StatFiles

interface Addon {
  NativeProcessTable: new (proc: string, keepFiles: number) => StatFiles
}

/** Undefined without the addon. */
export function findNativeFiles(): OpenStatFiles | undefined {
  const addon = readAddon(loaded => ('NativeProcessTable' in loaded ? (loaded as Addon) : undefined))
  return 'absent' in addon ? undefined : (proc, keepFiles) => new addon.NativeProcessTable(proc, keepFiles)
}

export const openTextFiles: OpenStatFiles = (proc, keepFiles) => new TextFiles(proc, keepFiles)

interface Known {
  row: Float64Array
  name: string
  /** Read again by pread(2) it costs half of open + read + close. -1: none is kept. */
  fd: number
}

class TextFiles implements StatFiles {
  private readonly proc: string
  private readonly known = new Map<number, Known>()
  private filesLeft: number
  private readonly bytes = Buffer.allocUnsafe(1024)

  constructor(proc: string, keepFiles: number) {
    this.proc = proc
    this.filesLeft = keepFiles
  }

  meet(): StatRows {
    const rows = new Rows()
    for (const pid of readdirSync(this.proc).map(Number)) {
      if (!(pid > 0) || this.known.has(pid)) continue
      const known = { row: new Float64Array(STAT_FIELDS), name: '', fd: -1 }
      this.known.set(pid, known)
      const length = this.readInto(pid, known)
      if (length === 0) this.forget(pid)
      else {
        known.name = parseName(this.bytes, length)
        rows.push(known.row, known.name)
      }
    }
    return rows.take()
  }

  look(anyway: Int32Array): StatRows {
    const rows = new Rows()
    for (const pid of [...this.known.keys()]) this.read(pid, anyway.includes(pid), rows)
    return rows.take()
  }

  readAgain(pids: Int32Array): StatRows {
    const rows = new Rows()
    for (const pid of pids) this.read(pid, true, rows)
    return rows.take()
  }

  private read(pid: number, isAsked: boolean, rows: Rows): void {
    const known = this.known.get(pid)
    const before = known?.row.slice()
    const length = known ? this.readInto(pid, known) : 0
    if (!known || !before || length === 0 || known.row[STAT.startTicks] !== before[STAT.startTicks]) {
      this.forget(pid)
      rows.push(goneRow(pid), null)
      return
    }
    const name = parseName(this.bytes, length)
    const isRenamed = name !== known.name
    known.name = name
    if (isAsked || isRenamed || known.row.some((value, i) => value !== before[i]))
      rows.push(known.row, isRenamed ? name : null)
  }

  /** Bytes read; 0 where the process is gone. A descriptor never turns into another process when the pid is used again. */
  private readInto(pid: number, known: Known): number {
    try {
      const fd = known.fd < 0 ? openSync(`${this.proc}/${pid}/stat`, 'r') : known.fd
      try {
        const length = readSync(fd, this.bytes, 0, this.bytes.length, 0)
        return parseProcessStat(this.bytes, length, known.row) ? length : 0
      } finally {
        if (known.fd < 0) this.keepOrClose(fd, known)
      }
    } catch {
      return 0
    }
  }

  private keepOrClose(fd: number, known: Known): void {
    if (this.filesLeft > 0) {
      this.filesLeft--
      known.fd = fd
    } else closeSync(fd)
  }

  private forget(pid: number): void {
    const fd = this.known.get(pid)?.fd ?? -1
    this.known.delete(pid)
    if (fd < 0) return
    closeSync(fd)
    this.filesLeft++
  }

  close(): void {
    for (const pid of [...this.known.keys()]) this.forget(pid)
  }
}

class Rows {
  private readonly rows: Float64Array[] = []
  private readonly names: (string | null)[] = []

  push(row: Float64Array, name: string | null): void {
    this.rows.push(row)
    this.names.push(name)
  }

  take(): StatRows {
    const numbers = new Float64Array(this.rows.length * STAT_FIELDS)
    for (const [i, row] of this.rows.entries()) numbers.set(row, i * STAT_FIELDS)
    return { numbers, names: this.names }
  }
}

function goneRow(pid: number): Float64Array {
  const row = new Float64Array(STAT_FIELDS)
  row[STAT.pid] = pid
  row[STAT.state] = Number.NaN
  return row
}
