/**
 * Batches on disk, one file each: what could not be sent outlives the collector, kill -9 and a reboot.
 *
 *   spool/holder                       "pid starttime" of the collector that uses it
 *   spool/0001700000000123.9f3a01c2b4d5.metrics     a body as it goes on the wire; the number orders them, and with the
 *                                                   name of the run that made it names it to the receiver
 *   spool/0001700000000124.9f3a01c2b4d5.jobs.part   being written when the collector died: removed at the next start
 *
 * A file is written under another name and renamed, so what has a door's name is whole. There is no fsync: a batch that
 * only a power cut takes is cheaper than a disk that spins for each tick of each node.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Door, OutboxError } from './outbox.ts'

export interface Spooled {
  sequence: number
  /** The run of a collector that made it. */
  sender: string
  door: Door
  bytes: number
}

export interface Spool {
  /** What an earlier collector left, oldest first. */
  readonly found: readonly Spooled[]
  /** Throws where the disk does not take it. */
  write(batch: Spooled, body: Uint8Array): void
  /** Undefined where the file is gone or cannot be read. */
  read(batch: Spooled): Uint8Array | undefined
  remove(batch: Spooled): void
  close(): void
}

const NAME = /^(\d{16})\.([0-9a-f]{12})\.(metrics|profiles|jobs)$/
const nameOf = ({ sequence, sender, door }: Spooled) => `${String(sequence).padStart(16, '0')}.${sender}.${door}`
const isDoor = (word: string | undefined): word is Door => word === 'metrics' || word === 'profiles' || word === 'jobs'

/** Throws where the directory cannot be used, and where another collector that is alive uses it. */
export function openSpool(path: string): Spool {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const holder = join(path, 'holder')
  const other = readHolder(holder)
  if (other !== undefined) {
    throw new OutboxError(
      'SPOOL_HELD',
      `the spool ${path} is in use by the collector with pid ${other}; stop that one, or set another collector.spool.path`,
    )
  }
  writeFileSync(holder, `${process.pid} ${readStart(process.pid)}\n`)
  return {
    found: readFound(path),
    write(batch, body) {
      const file = join(path, nameOf(batch))
      try {
        writeFileSync(`${file}.part`, body, { mode: 0o600 })
        renameSync(`${file}.part`, file)
      } catch (error) {
        rmSync(`${file}.part`, { force: true })
        throw error
      }
    },
    read(batch) {
      try {
        return readFileSync(join(path, nameOf(batch)))
      } catch {
        return undefined
      }
    },
    remove: batch => rmSync(join(path, nameOf(batch)), { force: true }),
    close: () => rmSync(holder, { force: true }),
  }
}

function readFound(path: string): Spooled[] {
  const found: Spooled[] = []
  for (const name of readdirSync(path).sort()) {
    const [, sequence, sender = '', door] = NAME.exec(name) ?? []
    if (name.endsWith('.part')) rmSync(join(path, name), { force: true })
    else if (isDoor(door)) {
      found.push({ sequence: Number(sequence), sender, door, bytes: statSync(join(path, name)).size })
    }
  }
  return found
}

/** The pid that holds the spool, if that very process (not another one with its pid) still lives. */
function readHolder(file: string): number | undefined {
  let text: string
  try {
    text = readFileSync(file, 'latin1')
  } catch {
    return undefined
  }
  const [pid, start] = text.trim().split(' ')
  const isAlive = pid !== undefined && Number(pid) !== process.pid && readStart(Number(pid)) === start
  return isAlive ? Number(pid) : undefined
}

/** starttime of a process as the kernel has it; 'alive' where there is no /proc; undefined when there is no such process. */
function readStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    try {
      return process.kill(pid, 0) && process.platform !== 'linux' ? 'alive' : undefined
    } catch {
      return undefined
    }
  }
}
