/**
 * The sampler of native/: the addon's sessions behind the Sampler contract. Where the addon is not built, or the kernel
 * refuses, it says so and what to do, and stacks.ts goes on with perf(1).
 */
import { BURST_LIMITS } from '../ingest/records.ts'
import { readAddon, reasonOf } from './addon.ts'
import { type NativeEncoder, type NativeWindow, type NewEncoder, openEncoder, windowOf } from './nativewindow.ts'
import type { Burst, BurstOptions, BurstTarget, Sampler, SamplerOptions, StartSampler } from './sampler.ts'

interface NativeOptions {
  hz: number
  windowMs: number
  firstWindowMs: number
  stackBytes: number
  includeIdle: boolean
  /** Whether this session tells of processes and files: the continuous one does, bursts look on. */
  sideBand: boolean
  burst: string
  durationMs?: number
  /** With all that descend from them. Neither of the two: the node. */
  pids?: readonly number[]
  cgroup?: string
}

interface NativeSampler {
  /** Throws with the advice to show when the kernel refuses. */
  openSession(options: NativeOptions): { id: number; clock: string; hz: number }
  closeSession(id: number): void
  drain(): NativeWindow[]
  isAlive(): boolean
  close(): void
}

interface Addon {
  NativeSampler: new () => NativeSampler
  NativeEncoder: NewEncoder
}

/** The first window is shorter, so that a page that was just opened fills soon. */
const FIRST_WINDOW_MS = 3000
const BURST_WINDOW_MS = 5000

export const startNative: StartSampler = async options => {
  const addon = readAddon(parseAddon)
  if ('absent' in addon) return addon
  const native = new addon.NativeSampler()
  try {
    const session = native.openSession({
      ...options,
      firstWindowMs: Math.min(FIRST_WINDOW_MS, options.windowMs),
      sideBand: true,
      burst: '',
    })
    return samplerOf(native, openEncoder(addon.NativeEncoder), { ...options, hz: session.hz }, session.clock)
  } catch (error) {
    native.close()
    return { absent: reasonOf(error) }
  }
}

function samplerOf(native: NativeSampler, encoder: NativeEncoder, options: SamplerOptions, clock: string): Sampler {
  let stopped = false
  return {
    status: { kind: 'addon', hz: options.hz, clock },
    drain: () => {
      if (stopped) return []
      if (!native.isAlive())
        throw new Error("the stack sampler's thread ended; restart the collector and report its log")
      return native.drain().map(window => windowOf(window, encoder))
    },
    startBurst: burst => startBurst(native, options, burst),
    stop: async () => {
      stopped = true
      native.close()
    },
  }
}

function startBurst(native: NativeSampler, options: SamplerOptions, burst: BurstOptions): Burst | { absent: string } {
  const bad = badBurst(burst)
  if (bad) return { absent: bad }
  const windowMs = burst.windowMs ?? Math.min(BURST_WINDOW_MS, burst.durationMs)
  try {
    const { id, hz } = native.openSession({
      hz: burst.hz,
      windowMs,
      firstWindowMs: windowMs,
      stackBytes: burst.stackBytes ?? options.stackBytes,
      includeIdle: false,
      sideBand: false,
      burst: burst.burst,
      durationMs: burst.durationMs,
      ...parseTarget(burst.target),
    })
    return { hz, endsMs: Date.now() + burst.durationMs, stop: () => native.closeSession(id) }
  } catch (error) {
    return { absent: reasonOf(error) }
  }
}

/** What is wrong with what was asked for, and what would be right. */
function badBurst({ burst, hz, durationMs }: BurstOptions): string | undefined {
  if (burst === '') return 'a burst needs an id: windows without one belong to the continuous profile'
  const { maxHz, maxSeconds } = BURST_LIMITS
  if (!Number.isInteger(hz) || hz < 1 || hz > maxHz)
    return `${hz} Hz: a burst takes 1 to ${maxHz} whole samples a second`
  if (!(durationMs >= 1 && durationMs <= maxSeconds * 1000))
    return `${durationMs} ms: a burst lasts up to ${maxSeconds} seconds`
  return undefined
}

function parseTarget(target: BurstTarget): Pick<NativeOptions, 'pids' | 'cgroup'> {
  if (target === 'node') return {}
  if ('cgroup' in target) return { cgroup: target.cgroup }
  const pids = 'pid' in target ? [target.pid] : target.pids
  if (pids.length === 0 || !pids.every(pid => Number.isInteger(pid) && pid > 0))
    throw new Error(`no such process: ${pids.join(' ') || 'none was named'}`)
  return { pids }
}

function parseAddon(loaded: object): Addon | undefined {
  const has = 'NativeSampler' in loaded && 'NativeEncoder' in loaded
  return has && typeof loaded.NativeSampler === 'function' ? (loaded as Addon) : undefined
}
