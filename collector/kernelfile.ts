/**
 * Text files of the kernel, read again and again: the descriptor stays open and is read from 0 with pread(2) into one
 * reused buffer, which costs half of open + read + close. A descriptor that fails is closed and opened anew at the next read.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Reading, Roots, Tick } from './source.ts'

/** A kernel file that is not what it should be. */
export class SourceError extends Error {
  readonly code: string = 'SOURCE_FILE'
}

/** Some of what a source reads could not be read; the rest is here. */
export class PartError extends SourceError {
  override readonly code = 'SOURCE_PART'
  readonly readings: readonly Reading[]

  constructor(message: string, readings: readonly Reading[]) {
    super(message)
    this.readings = readings
  }
}

const MOST_TOLD = 3

/** The readings, thrown with what is wrong with the rest where something is. */
export function whole(readings: Reading[], problems: readonly string[]): Reading[] {
  if (problems.length === 0) return readings
  const more = problems.length - MOST_TOLD
  throw new PartError(problems.slice(0, MOST_TOLD).join('; ') + (more > 0 ? `; and ${more} more` : ''), readings)
}

export interface KernelFile {
  readonly path: string
  /** Its whole text. Readers of one file in one tick share one reading. Throws where it cannot be read. */
  read(tick: Tick): string
}

export interface KernelFiles {
  /** `path` begins with 'proc/' or 'sys/'. Undefined where it cannot be opened or read. */
  find(path: string): KernelFile | undefined
  /** Closes what find() gave for that path: a device or a job that is gone for good. */
  drop(path: string): void
  close(): void
}

export function openKernelFiles(roots: Roots): KernelFiles {
  const buffer = new ReadBuffer()
  const files = new Map<string, OpenFile>()
  return {
    find(path) {
      const known = files.get(path)
      if (known) return known
      const [root, ...rest] = path.split('/')
      const file = new OpenFile(`${root === 'sys' ? roots.sys : roots.proc}/${rest.join('/')}`, buffer)
      try {
        file.probe()
      } catch {
        return undefined
      }
      files.set(path, file)
      return file
    },
    drop(path) {
      files.get(path)?.close()
      files.delete(path)
    },
    close() {
      for (const file of files.values()) file.close()
      files.clear()
    },
  }
}

/** A mountinfo of 10,000 containers is 5 MiB. */
const MAX_BYTES = 32 << 20

/** Grows to the largest file seen; /proc/stat of a 256-core machine with all its interrupts is about 64 KiB. */
class ReadBuffer {
  private bytes = Buffer.allocUnsafe(64 << 10)

  /** seq_file hands out about a page a read, so it is read until nothing comes. */
  readText(fd: number): string {
    let length = 0
    for (;;) {
      const got = readSync(fd, this.bytes, length, this.bytes.length - length, length)
      if (got === 0) return this.bytes.toString('utf8', 0, length)
      length += got
      if (length > MAX_BYTES)
        throw new SourceError(`it is longer than ${MAX_BYTES >> 20} MiB, so not the kernel's file`)
      if (length === this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.allocUnsafe(length)])
    }
  }
}

class OpenFile implements KernelFile {
  readonly path: string
  private readonly buffer: ReadBuffer
  private fd = -1
  private tick: Tick | undefined
  private text = ''

  constructor(path: string, buffer: ReadBuffer) {
    this.path = path
    this.buffer = buffer
  }

  probe(): void {
    this.readAnew()
  }

  read(tick: Tick): string {
    if (this.tick !== tick) {
      this.tick = undefined
      this.text = this.readAnew()
      this.tick = tick
    }
    return this.text
  }

  private readAnew(): string {
    try {
      if (this.fd < 0) this.fd = openSync(this.path, 'r')
      return this.buffer.readText(this.fd)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
  }
}
