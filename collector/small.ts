/** What the process of a collector does without, so that the node's programs have it: memory, and threads of V8. */
import { setFlagsFromString } from 'node:v8'
import { readAddon } from './addon.ts'

const TRIM_EVERY_MS = 120_000

/** https://github.com/v8/v8/blob/11.3.244/src/flags/flag-definitions.h */
const FLAGS = [
  // What a tick makes is garbage at its end: a young generation that grows with it only holds more of it.
  '--semi-space-growth-factor=1',
  // A scavenge is one of a MiB: to wake threads for it costs more than it.
  '--no-parallel-scavenge',
  '--no-concurrent-array-buffer-sweeping',
]
/** Six ticks a minute hardly earn back what TurboFan takes to compile them, and 6 MiB stay free without it; sixty ticks do. */
const UNOPTIMIZED = '--no-opt'
const SELDOM_MS = 10_000

interface Addon {
  trimMemory(): void
}

const parseAddon = (loaded: object): Addon | undefined =>
  'trimMemory' in loaded && typeof loaded.trimMemory === 'function' ? (loaded as Addon) : undefined

/** For as long as this process runs. `isProfiling`: it encodes thousands of samples at once, which must be compiled well. */
export function keepSmall({ intervalMs, isProfiling }: { intervalMs: number; isProfiling: boolean }): void {
  const isSeldom = intervalMs >= SELDOM_MS && !isProfiling
  for (const flag of isSeldom ? [...FLAGS, UNOPTIMIZED] : FLAGS) setFlagsFromString(flag)
  // memory that malloc keeps free goes back to the system now and then
  const addon = readAddon(parseAddon)
  if (!('absent' in addon)) setInterval(() => addon.trimMemory(), TRIM_EVERY_MS).unref()
}
