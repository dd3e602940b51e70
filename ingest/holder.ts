/**
 * Who holds a data directory. chDB locks its own too, but its message names a file, not a process; this one names the
 * process and what to do.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { StoreError } from './errors.ts'

interface Holder {
  pid: number
  host: string
  startedMs: number
  /** Field 22 of /proc/PID/stat, which tells a reused pid apart; '' where there is no /proc. */
  ticks: string
}

/** Marks the directory as held by this process; the answer gives it back. Throws StoreError 'held' naming the holder. */
export function openHolder(path: string): () => void {
  const file = join(path, 'holder.json')
  const mine: Holder = { pid: process.pid, host: hostname(), startedMs: Date.now(), ticks: startTicks(process.pid) }
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(file, `${JSON.stringify(mine)}\n`, { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (!isExists(error) || attempt > 2) throw error
    }
    const other = readHolder(file)
    if (other !== undefined && lives(other)) throw heldBy(path, other)
    rmSync(file, { force: true })
  }
}

function heldBy(path: string, other: Holder): StoreError {
  const since = new Date(other.startedMs).toISOString()
  const what =
    other.host === hostname()
      ? `stop it (kill ${other.pid}), or give another data directory`
      : `if nothing runs there any more, remove ${join(path, 'holder.json')}; else give another data directory`
  return new StoreError(
    'held',
    `${path} is held by process ${other.pid} on ${other.host} since ${since}: ${what} (one process a data directory)`,
  )
}

/** undefined: gone, or half written by a process that died in between. */
function readHolder(file: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>
    if (typeof holder.pid !== 'number' || typeof holder.host !== 'string') return undefined
    return { pid: holder.pid, host: holder.host, startedMs: Number(holder.startedMs ?? 0), ticks: holder.ticks ?? '' }
  } catch {
    return undefined
  }
}

function lives(holder: Holder): boolean {
  if (holder.host !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
  return holder.ticks === '' || holder.ticks === startTicks(holder.pid)
}

/** https://docs.kernel.org/filesystems/proc.html table 1-4: starttime; comm before it may hold blanks and brackets. */
function startTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

const isExists = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EEXIST'
