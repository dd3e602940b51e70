/**
 * Events of perf that are counted, by the addon. Where there are more events than hardware counters the kernel takes turns:
 *
 *   enabled   |--------------------|  100 ms
 *   running   |----|    |----|         50 ms      counted 3000 -> 6000 as far as one can know
 *
 * https://man7.org/linux/man-pages/man2/perf_event_open.2.html
 */
import { readAddon } from './addon.ts'
import type { Words } from './pmu.ts'
import type { Absent } from './source.ts'

export interface CountedEvent extends Words {
  /** Of the PMU: /sys/bus/event_source/devices/NAME/type. */
  type: number
  cpu: number
  /** Is on the hardware together with the event before it that does not follow. */
  follows?: boolean
}

export interface Counting {
  /** errno of each event, 0 where it counts. */
  readonly errors: readonly number[]
  /** value, nanoseconds enabled, nanoseconds running of each event, since it was opened; NaN where it cannot be read. */
  read(): Float64Array
  close(): void
}

export type OpenCounting = (events: readonly CountedEvent[]) => Counting | Absent

interface NativeCounting {
  errors(): Int32Array
  read(): Float64Array
  close(): void
}

interface Addon {
  /** Nine words an event: type, config, config1 and config2 (low half first), CPU, whether it follows. */
  NativeCounting: new (
    events: Uint32Array,
  ) => NativeCounting
}

function parseAddon(loaded: object): Addon | undefined {
  return 'NativeCounting' in loaded && typeof loaded.NativeCounting === 'function' ? (loaded as Addon) : undefined
}

const wordsOf = ({ type, config, config1, config2, cpu, follows }: CountedEvent): number[] => {
  const halves = [config, config1, config2].flatMap(word => [Number(word & 0xffffffffn), Number(word >> 32n)])
  return [type, ...halves, cpu, follows ? 1 : 0]
}

export const openCounting: OpenCounting = events => {
  const addon = readAddon(parseAddon)
  if ('absent' in addon) return addon
  const native = new addon.NativeCounting(Uint32Array.from(events.flatMap(wordsOf)))
  return { errors: [...native.errors()], read: () => native.read(), close: () => native.close() }
}

/** What each event grew by between two readings, scaled to all of that time; NaN where it did not run at all. */
export function growthOf(before: Float64Array, now: Float64Array): number[] {
  const grown: number[] = []
  for (let at = 0; at + 2 < now.length; at += 3) {
    const of = (i: number) => (now[at + i] ?? Number.NaN) - (before[at + i] ?? Number.NaN)
    const [value, enabled, running] = [of(0), of(1), of(2)]
    grown.push(value >= 0 && running > 0 ? value * Math.max(1, enabled / running) : Number.NaN)
  }
  return grown
}

const [EPERM, ENOENT, EACCES, EMFILE] = [1, 2, 13, 24]

/** Why the kernel refuses an event, and what to do. */
export function refusalOf(errno: number): string {
  if (errno === EPERM || errno === EACCES)
    return 'the kernel refuses to count for the whole node: run the collector as root, or give it CAP_PERFMON, or sysctl kernel.perf_event_paranoid=0'
  if (errno === ENOENT) return 'this CPU has no such counters, or a virtual machine that does not pass them on'
  if (errno === EMFILE) return 'too few file descriptors for an event on each CPU: raise LimitNOFILE (ulimit -n)'
  return `perf_event_open fails with errno ${errno}`
}

/** What the events grew by from look to look; undefined at the first one, and where the clock did not move. */
export function openGrowth(
  counting: Counting,
): (monotonicMs: number) => { grown: number[]; seconds: number } | undefined {
  let before: { counts: Float64Array; monotonicMs: number } | undefined
  return monotonicMs => {
    const counts = counting.read()
    const last = before
    before = { counts, monotonicMs }
    const seconds = (monotonicMs - (last?.monotonicMs ?? monotonicMs)) / 1000
    return last !== undefined && seconds > 0 ? { grown: growthOf(last.counts, counts), seconds } : undefined
  }
}
