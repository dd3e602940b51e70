/** What the process of a collector does without, so that the node's programs have it: memory, and threads of V8. */
import { setFlagsFromString } from 'node:v8'
import { readAddon } from './addon.ts'

/** When what starting took is needed no more. */
const FIRST_TRIM_MS = 60_000
/** It takes 8 ms, and 500 page faults of a microsecond after it. */
const TRIM_EVERY_MS = 600_000

/** https://github.com/v8/v8/blob/11.3.244/src/flags/flag-definitions.h */
const FLAGS = [
  // What a tick makes is garbage at its end: a young generation that grows with it only holds more of it.
  '--semi-space-growth-factor=1',
  // A scavenge is one of a MiB: to wake threads for it costs more than it.
  '--no-parallel-scavenge',
  '--no-concurrent-array-buffer-sweeping',
]

interface Addon {
  trimMemory(): void
}

const parseAddon = (loaded: object): Addon | undefined =>
  'trimMemory' in loaded && typeof loaded.trimMemory === 'function' ? (loaded as Addon) : undefined

/** For as long as this process runs. */
export function keepSmall(): void {
  for (const flag of FLAGS) setFlagsFromString(flag)
  // what malloc keeps free and what is as in the program's file goes back to the system now and then
  const addon = readAddon(parseAddon)
  if ('absent' in addon) return
  setTimeout(addon.trimMemory, FIRST_TRIM_MS).unref()
  setInterval(addon.trimMemory, TRIM_EVERY_MS).unref()
}
