/**
 * Name and start of the processes that samples name, read at their first sample and again each second, since a pid may come
 * to mean another process. One that is gone keeps what was read: its last samples are still on their way.
 */
import { readFileSync } from 'node:fs'
import { type Boot, readBoot, startMsOf } from './starttime.ts'

export interface Identity {
  name: string
  startMs: number
}

interface Known {
  identity: Identity | undefined
  readMs: number
}

const FRESH_MS = 1000
const FORGOTTEN_MS = 60_000

export class Identities {
  private readonly proc: string
  private readonly now: () => number
  private readonly boot: Boot | undefined
  private readonly known = new Map<number, Known>()

  constructor(proc: string, now: () => number) {
    this.proc = proc
    this.now = now
    this.boot = readBootOrNothing(proc)
  }

  /** Undefined where the process was gone before its first sample arrived. */
  of(pid: number): Identity | undefined {
    const known = this.known.get(pid)
    const readMs = this.now()
    if (known && readMs - known.readMs < FRESH_MS) return known.identity
    const identity = this.read(pid) ?? known?.identity
    this.known.set(pid, { identity, readMs })
    return identity
  }

  /** Forgets those without samples for a while. */
  prune(): void {
    const before = this.now() - FORGOTTEN_MS
    for (const [pid, { readMs }] of this.known) if (readMs < before) this.known.delete(pid)
  }

  private read(pid: number): Identity | undefined {
    if (!this.boot || pid <= 0) return undefined
    try {
      const stat = readFileSync(`${this.proc}/${pid}/stat`, 'utf8')
      const end = stat.lastIndexOf(')')
      const startTicks = Number(stat.slice(end + 2).split(' ')[19])
      return { name: stat.slice(stat.indexOf('(') + 1, end), startMs: startMsOf(this.boot, startTicks) }
    } catch {
      return undefined
    }
  }
}

function readBootOrNothing(proc: string): Boot | undefined {
  try {
    return readBoot({ proc })
  } catch {
    return undefined
  }
}
