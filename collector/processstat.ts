/**
 * /proc/PID/stat, parsed from its bytes: a thousand of them each tick, so no string is made but the name.
 * https://docs.kernel.org/filesystems/proc.html#id10
 *
 *   4711 (a) b) R 4700 4711 … 1520 380  90 14 … 12 0 8812345 104857600 2048 … 17 …
 *   pid  (comm) state ppid    utime stime cutime  threads  starttime vsize rss    cpu
 *                 3     4      14    15   16, 17     20        22      23   24     39
 *
 * comm may hold blanks and parentheses; it ends at the last one.
 */

/** Places in a row of numbers. The addon has the same (native/src/processstat.rs). */
export const STAT = {
  pid: 0,
  /** Character code of R S D Z T I; NaN: it is gone. */
  state: 1,
  parentPid: 2,
  /** Clock ticks. */
  userTicks: 3,
  systemTicks: 4,
  /** Of all children that were waited for, and of theirs: all of their lives. */
  childUserTicks: 5,
  childSystemTicks: 6,
  threads: 7,
  /** Clock ticks since boot. */
  startTicks: 8,
  residentPages: 9,
  /** That its main thread ran on last. */
  cpu: 10,
} as const

export const STAT_FIELDS = 11

/** By field of proc(5). */
const PLACES: readonly (number | undefined)[] = Object.entries({
  ...{
    4: STAT.parentPid,
    14: STAT.userTicks,
    15: STAT.systemTicks,
    16: STAT.childUserTicks,
    17: STAT.childSystemTicks,
  },
  ...{ 20: STAT.threads, 22: STAT.startTicks, 24: STAT.residentPages, 39: STAT.cpu },
}).reduce<number[]>((places, [field, place]) => {
  places[Number(field)] = place
  return places
}, [])

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
export function parseProcessStat(bytes: Buffer, length: number, into: Float64Array): boolean {
  const close = closeOf(bytes, length)
  if (close < 0 || length < close + 4) return false
  into[STAT.pid] = Number.parseInt(bytes.toString('latin1', 0, 12), 10)
  into[STAT.state] = bytes[close + 2] ?? 0
  let field = 4
  let value = 0
  let negative = false
  for (let at = close + 4; at <= length; at++) {
    const byte = at === length ? BLANK : (bytes[at] ?? 0)
    if (byte >= ZERO && byte <= ZERO + 9) value = value * 10 + byte - ZERO
    else if (byte === BLANK || byte === 10) {
      const place = PLACES[field]
      if (place !== undefined) into[place] = negative ? -value : value
      if (field++ === LAST_FIELD) return true
      value = 0
      negative = false
    } else if (byte === 45) negative = true
    else return false
  }
  return false
}

/** comm: at most 15 bytes, of kernel workers up to 63. */
export function parseName(bytes: Buffer, length: number): string {
  const close = closeOf(bytes, length)
  const open = bytes.indexOf(OPEN)
  return open < 0 || close < open ? '' : bytes.toString('utf8', open + 1, close)
}
