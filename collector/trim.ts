/** Memory that malloc keeps free goes back to the system now and then: a node's programs need it more. */
import { readAddon } from './addon.ts'

const EVERY_MS = 120_000

interface Addon {
  trimMemory(): void
}

const parseAddon = (loaded: object): Addon | undefined =>
  'trimMemory' in loaded && typeof loaded.trimMemory === 'function' ? (loaded as Addon) : undefined

/** For as long as this process runs; without the addon nothing. */
export function keepTrimmed(): void {
  const addon = readAddon(parseAddon)
  if (!('absent' in addon)) setInterval(() => addon.trimMemory(), EVERY_MS).unref()
}
