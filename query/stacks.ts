/**
 * What a scope's samples say, whole and flat, and everything that is counted on it without the store.
 *
 *   stack   0          1       2            names  [?, main, solve, exp]      offsets [0, 3, 5, 8]
 *   leaf    exp        solve   exp          ns     [20, 70, 10]               frames  [3,2,1, 2,1, 3,3,1]
 *           solve      main    exp   <- recursion: exp is counted once in its total, 20 + 10
 *           main               main
 *
 * Values stay whole nanoseconds here, so that sums are exact; they become seconds in the answer.
 */
import { CATEGORIES, FRAME_KINDS, type FrameKind } from '../ingest/records.ts'

export interface Profile {
  /** Function f is names[f] in modules[f]; 0 stands for a frame whose name is not in the store. */
  names: string[]
  modules: string[]
  /** Index into FRAME_KINDS. */
  kinds: Uint8Array
  /** Stack s is frames[offsets[s] .. offsets[s + 1]), leaf first; function indices. */
  offsets: Uint32Array
  frames: Uint32Array
  /** Index into CATEGORIES. */
  categories: Uint8Array
  /** Nanoseconds of CPU, and the samples behind them. */
  ns: Float64Array
  counts: Float64Array
}

export interface Share {
  category: string
  ns: number
  samples: number
}

export interface FunctionTotal {
  /** Index into names of the profile. */
  function: number
  self: number
  total: number
  /** Behind self, and behind total. */
  samples: number
  totalSamples: number
}

export const IDLE = CATEGORIES.indexOf('idle')
const TRUNCATED = FRAME_KINDS.indexOf('truncated')

export const kindOf = (profile: Profile, f: number): FrameKind => FRAME_KINDS[profile.kinds[f] ?? 0] ?? 'other'

/** A frame that only has an address: `libm.so.6+0x1f`, `0x7f…`, `[unknown]`, or nothing in the store. */
export const isUnnamedName = (name: string): boolean =>
  name === '' || name === NOT_STORED || name === '[unknown]' || /(^|\+)0x[0-9a-f]+$/.test(name)

/** Stands for frames that samples point to and the store does not have (any more). */
export const NOT_STORED = '[not in the store]'

/** Time by category, idle too. */
export function categoriesOf(profile: Profile): Share[] {
  const ns = new Float64Array(CATEGORIES.length)
  const samples = new Float64Array(CATEGORIES.length)
  profile.categories.forEach((category, s) => {
    ns[category] = (ns[category] ?? 0) + (profile.ns[s] ?? 0)
    samples[category] = (samples[category] ?? 0) + (profile.counts[s] ?? 0)
  })
  return CATEGORIES.map((category, i) => ({ category, ns: ns[i] ?? 0, samples: samples[i] ?? 0 })).filter(
    share => share.samples > 0 || share.ns > 0,
  )
}

export interface Sums {
  ns: number
  samples: number
  idleNs: number
  truncatedNs: number
  unnamedNs: number
}

/** Totals of the profile and what weakens them; idle stacks count in idleNs only, unless `idle`. */
export function sumsOf(profile: Profile, idle: boolean): Sums {
  const sums: Sums = { ns: 0, samples: 0, idleNs: 0, truncatedNs: 0, unnamedNs: 0 }
  const unnamed = profile.names.map((name, f) => f === 0 || isUnnamedName(name))
  for (let s = 0; s < profile.ns.length; s++) {
    const ns = profile.ns[s] ?? 0
    if (profile.categories[s] === IDLE) {
      sums.idleNs += ns
      if (!idle) continue
    }
    const first = profile.offsets[s] ?? 0
    const end = profile.offsets[s + 1] ?? 0
    sums.ns += ns
    sums.samples += profile.counts[s] ?? 0
    if (first === end || unnamed[profile.frames[first] ?? 0]) sums.unnamedNs += ns
    if (first < end && profile.kinds[profile.frames[end - 1] ?? 0] === TRUNCATED) sums.truncatedNs += ns
  }
  return sums
}

/** Self and total of every function. A function that is in a stack twice counts once, so no total passes the whole. */
export function functionTotals(profile: Profile, idle: boolean): FunctionTotal[] {
  const count = profile.names.length
  const self = new Float64Array(count)
  const total = new Float64Array(count)
  const samples = new Float64Array(count)
  const totalSamples = new Float64Array(count)
  const seenIn = new Int32Array(count).fill(-1)
  const add = (to: Float64Array, f: number, by: number) => {
    to[f] = (to[f] ?? 0) + by
  }
  for (let s = 0; s < profile.ns.length; s++) {
    if (!idle && profile.categories[s] === IDLE) continue
    const ns = profile.ns[s] ?? 0
    const behind = profile.counts[s] ?? 0
    const first = profile.offsets[s] ?? 0
    const end = Math.max(profile.offsets[s + 1] ?? 0, first + 1)
    for (let i = first; i < end; i++) {
      const f = first === profile.offsets[s + 1] ? 0 : (profile.frames[i] ?? 0)
      if (i === first) {
        add(self, f, ns)
        add(samples, f, behind)
      }
      if (seenIn[f] === s) continue
      seenIn[f] = s
      add(total, f, ns)
      add(totalSamples, f, behind)
    }
  }
  return Array.from(total, (_, f) => ({
    function: f,
    self: self[f] ?? 0,
    total: total[f] ?? 0,
    samples: samples[f] ?? 0,
    totalSamples: totalSamples[f] ?? 0,
  })).filter(row => row.totalSamples > 0 || row.total > 0)
}

/** Which functions have this name (and module), as a mask over the profile's functions; undefined where none has. */
export function findFunctions(profile: Profile, name: string, module: string | undefined): Uint8Array | undefined {
  const mask = Uint8Array.from(profile.names, (n, f) =>
    n === name && (module === undefined || profile.modules[f] === module) ? 1 : 0,
  )
  return mask.includes(1) ? mask : undefined
}

/** Bytes it holds in memory, near enough for a cache. */
export function bytesOf(profile: Profile): number {
  const text = profile.names.reduce((n, name, f) => n + 2 * (name.length + (profile.modules[f] ?? '').length) + 64, 0)
  return text + profile.frames.byteLength + profile.offsets.byteLength + 17 * profile.ns.length
}
