/**
 * When a process started, in ms since the epoch: the second half of its key (pid, startMs). Everybody who makes such a key
 * must come to the same number, so everybody computes it here:
 *
 *   startMs = btime x 1000 + starttime x 1000 / CLK_TCK
 *   btime      /proc/stat: boot, in whole seconds since the epoch. It moves when the clock is stepped, so it is read once.
 *   starttime  /proc/PID/stat field 22, in clock ticks since boot. https://docs.kernel.org/filesystems/proc.html
 */
import { readFileSync } from 'node:fs'

export interface Boot {
  bootMs: number
  /** USER_HZ: 100 on all but a few machines. */
  ticksPerSecond: number
  pageBytes: number
}

const AT_PAGESZ = 6n
const AT_CLKTCK = 17n

/** The auxiliary vector: pairs of native words (key, value). Its values are what `getconf CLK_TCK PAGESIZE` print. */
export function parseAuxv(bytes: Buffer): { ticksPerSecond: number; pageBytes: number } {
  let ticksPerSecond = 100
  let pageBytes = 4096
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const key = bytes.readBigUInt64LE(at)
    const value = Number(bytes.readBigUInt64LE(at + 8))
    if (key === AT_CLKTCK && value > 0) ticksPerSecond = value
    if (key === AT_PAGESZ && value > 0) pageBytes = value
  }
  return { ticksPerSecond, pageBytes }
}

/** Call it once at start and hand the result around. Throws where there is no /proc. */
export function readBoot(roots: { proc: string }): Boot {
  const btime = /^btime (\d+)$/m.exec(readFileSync(`${roots.proc}/stat`, 'latin1'))?.[1]
  if (btime === undefined) throw new Error(`${roots.proc}/stat has no btime line`)
  return { bootMs: Number(btime) * 1000, ...readAuxv() }
}

function readAuxv(): { ticksPerSecond: number; pageBytes: number } {
  try {
    return parseAuxv(readFileSync('/proc/self/auxv'))
  } catch {
    return { ticksPerSecond: 100, pageBytes: 4096 }
  }
}

export function startMsOf(boot: Boot, startTicks: number): number {
  return boot.bootMs + Math.round((startTicks * 1000) / boot.ticksPerSecond)
}
