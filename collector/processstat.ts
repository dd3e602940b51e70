/**
 * /proc/PID/stat, parsed from its bytes: a thousand of them each second, so no string is made but the name, and that only
 * when it has changed. https://docs.kernel.org/filesystems/proc.html#id10
 *
 *   4711 (a) b) R 4700 4711 … 1520 380  90 14 … 12 0 8812345 104857600 2048 … 17 …
 *   pid  (comm) state ppid    utime stime cutime  threads  starttime vsize rss    cpu
 *                 3     4      14    15   16, 17     20        22      23   24     39
 *
 * comm may hold blanks and parentheses; it ends at the last one.
 */
import { readAddon } from './addon.ts'

/** Filled anew by each parse. */
export interface ProcessStat {
  /** Character code of R S D Z T I. */
  state: number
  parentPid: number
  /** Clock ticks. */
  userTicks: number
  systemTicks: number
  /** Of all children that were waited for, and of theirs: all of their lives. */
  childUserTicks: number
  childSystemTicks: number
  threads: number
  /** Clock ticks since boot. */
  startTicks: number
  residentPages: number
  /** That its main thread ran on last. */
  cpu: number
  /** Of the name's bytes: another one means another name, so the process may have exec'd. */
  nameHash: number
}

export const emptyStat = (): ProcessStat => ({
  state: 0,
  parentPid: 0,
  userTicks: 0,
  systemTicks: 0,
  childUserTicks: 0,
  childSystemTicks: 0,
  threads: 0,
  startTicks: 0,
  residentPages: 0,
  cpu: 0,
  nameHash: 0,
})

const OPEN = 40
const CLOSE = 41
const BLANK = 32
const ZERO = 48
/** 'pid (' and the longest name, that of a kernel worker (64), lie within it. */
const NAME_WITHIN = 96
const LAST_FIELD = 39

function closeOf(bytes: Uint8Array, length: number): number {
  for (let at = Math.min(length, NAME_WITHIN) - 1; at > 0; at--) if (bytes[at] === CLOSE) return at
  return -1
}

/** False where the text is cut short or something else. */
export function parseProcessStat(bytes: Uint8Array, length: number, into: ProcessStat): boolean {
  const close = closeOf(bytes, length)
  if (close < 0 || length < close + 4) return false
  into.nameHash = hashName(bytes, close)
  into.state = bytes[close + 2] ?? 0
  let field = 4
  let value = 0
  let negative = false
  for (let at = close + 4; at <= length; at++) {
    const byte = at === length ? BLANK : (bytes[at] ?? 0)
    if (byte >= ZERO && byte <= ZERO + 9) value = value * 10 + byte - ZERO
    else if (byte === BLANK || byte === 10) {
      setField(into, field, negative ? -value : value)
      if (field++ === LAST_FIELD) return true
      value = 0
      negative = false
    } else if (byte === 45) negative = true
    else return false
  }
  return false
}

function setField(into: ProcessStat, field: number, value: number): void {
  if (field === 4) into.parentPid = value
  else if (field === 14) into.userTicks = value
  else if (field === 15) into.systemTicks = value
  else if (field === 16) into.childUserTicks = value
  else if (field === 17) into.childSystemTicks = value
  else if (field === 20) into.threads = value
  else if (field === 22) into.startTicks = value
  else if (field === 24) into.residentPages = value
  else if (field === 39) into.cpu = value
}

/** The addon's (native/src/processstat.rs). */
export interface ProcReader {
  listPids(proc: string): Int32Array
  /** A row of STAT_FIELDS numbers for each descriptor, NaN first where the process is gone. */
  readProcessStats(fds: Int32Array, rows: Float64Array): void
}

export const STAT_FIELDS = 11

/** Undefined without the addon: then they are read one by one, which costs half as much again. */
export function findProcReader(): ProcReader | undefined {
  const addon = readAddon(loaded =>
    'listPids' in loaded && 'readProcessStats' in loaded ? (loaded as ProcReader) : undefined,
  )
  return 'absent' in addon ? undefined : addon
}

/** False where the process is gone. */
export function statFromRow(rows: Float64Array, row: number, into: ProcessStat): boolean {
  const at = row * STAT_FIELDS
  const number = (field: number) => rows[at + field] ?? Number.NaN
  into.state = number(0)
  into.parentPid = number(1)
  into.userTicks = number(2)
  into.systemTicks = number(3)
  into.childUserTicks = number(4)
  into.childSystemTicks = number(5)
  into.threads = number(6)
  into.startTicks = number(7)
  into.residentPages = number(8)
  into.cpu = number(9)
  into.nameHash = number(10)
  return !Number.isNaN(into.state)
}

function hashName(bytes: Uint8Array, close: number): number {
  let hash = close
  for (let at = 2; at < close; at++) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0
  return hash
}

/** comm: at most 15 bytes, of kernel workers up to 63. */
export function parseName(bytes: Buffer, length: number): string {
  const close = closeOf(bytes, length)
  const open = bytes.indexOf(OPEN)
  return open < 0 || close < open ? '' : bytes.toString('utf8', open + 1, close)
}
