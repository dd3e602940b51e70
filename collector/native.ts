/**
 * The sampler of native/: the addon's sessions behind the Sampler contract. Where the addon is not built, or the kernel
 * refuses, it says so and what to do, and stacks.ts goes on with perf(1).
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Burst, BurstOptions, Sampler, SamplerOptions, StackWindow, StartSampler } from './sampler.ts'

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
  pid?: number
  cgroup?: string
}

interface NativeSampler {
  /** Throws with the advice to show when the kernel refuses. */
  openSession(options: NativeOptions): { id: number; clock: string }
  closeSession(id: number): void
  drain(): StackWindow[]
  isAlive(): boolean
  close(): void
}

interface NativeCounting {
  errors(): Int32Array
  read(): Float64Array
  close(): void
}

interface Addon {
  NativeSampler: new () => NativeSampler
  /** Nine words an event: type, config, config1 and config2 (low half first), CPU, whether it follows. */
  NativeCounting: new (
    events: Uint32Array,
  ) => NativeCounting
}

/** The first window is shorter, so that a page that was just opened fills soon. */
const FIRST_WINDOW_MS = 3000
const BURST_WINDOW_MS = 5000
const MOST_BURST_HZ = 2000

/** Beside this file's root in the sources, one folder up from dist/ when compiled. */
const ADDON_PATHS = ['../native/jobsight.node', '../../native/jobsight.node']

export const startNative: StartSampler = async options => {
  const addon = readAddon()
  if ('absent' in addon) return addon
  const native = new addon.NativeSampler()
  try {
    const session = native.openSession({
      ...options,
      firstWindowMs: Math.min(FIRST_WINDOW_MS, options.windowMs),
      sideBand: true,
      burst: '',
    })
    return samplerOf(native, options, session.clock)
  } catch (error) {
    native.close()
    return { absent: reasonOf(error) }
  }
}

function samplerOf(native: NativeSampler, options: SamplerOptions, clock: string): Sampler {
  let stopped = false
  return {
    status: { kind: 'addon', hz: options.hz, clock },
    drain: () => {
      if (stopped) return []
      if (!native.isAlive())
        throw new Error("the stack sampler's thread ended; restart the collector and report its log")
      return native.drain()
    },
    startBurst: burst => startBurst(native, options, burst),
    stop: async () => {
      stopped = true
      native.close()
    },
  }
}

function startBurst(native: NativeSampler, options: SamplerOptions, burst: BurstOptions): Burst | { absent: string } {
  const { target } = burst
  try {
    const session = native.openSession({
      hz: Math.min(burst.hz, MOST_BURST_HZ),
      windowMs: burst.windowMs ?? Math.min(BURST_WINDOW_MS, burst.durationMs),
      firstWindowMs: burst.windowMs ?? Math.min(BURST_WINDOW_MS, burst.durationMs),
      stackBytes: burst.stackBytes ?? options.stackBytes,
      includeIdle: false,
      sideBand: false,
      burst: burst.burst,
      durationMs: burst.durationMs,
      ...(target === 'node' ? {} : target),
    })
    return { stop: () => native.closeSession(session.id) }
  } catch (error) {
    return { absent: reasonOf(error) }
  }
}

export function readAddon(): Addon | { absent: string } {
  if (process.platform !== 'linux')
    return { absent: `stacks are sampled by Linux kernels; this is ${process.platform}` }
  const path = ADDON_PATHS.map(name => fileURLToPath(new URL(name, import.meta.url))).find(existsSync)
  if (path === undefined)
    return { absent: 'the sampler addon is not built: run `node native/build.mjs` (it needs cargo, https://rustup.rs)' }
  try {
    return parseAddon(createRequire(import.meta.url)(path), path)
  } catch (error) {
    return { absent: `${path} cannot be loaded (${reasonOf(error)}): run \`node native/build.mjs\` on this machine` }
  }
}

function parseAddon(loaded: unknown, path: string): Addon {
  if (typeof loaded === 'object' && loaded !== null && 'NativeSampler' in loaded) {
    if (typeof loaded.NativeSampler === 'function') return loaded as Addon
  }
  throw new Error(`${path} is not Jobsight's addon`)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
