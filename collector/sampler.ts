/**
 * The Sampler contract: the seam between whoever takes stack samples (the addon in native.ts, perf(1) in perf.ts, a file
 * being imported) and stacks.ts, which turns windows into OTLP profiles.
 *
 * A window is dictionary-encoded and flat: JavaScript crosses into the addon once a drain, and no object is made a sample.
 *
 *   samples    process   [0, 0, 1]          stacks   offsets [0, 3, 5]      frames   function [12, 7, 3, 9]
 *              stack     [0, 1, 1]                   frames  [2,1,0, 3,0]            module   [ 1, 1, 4, 5]
 *              periodNs  [..]                        leaf first                      kind     [ 0, 0, 1, 0]
 */

import type { Charge, ProfileSender } from './profiles.ts'

/** A process as the sampler saw it. Several windows may describe the same one. */
export interface SampledProcess {
  pid: number
  /** ms since the epoch; 0 when the process was gone before anyone could look. Key together with pid. */
  startMs: number
  /** comm at the end of the window. */
  name: string
  /** cgroup v2 path where the kernel told it (PERF_SAMPLE_CGROUP), else ''. */
  cgroup: string
}

export interface StackWindow {
  startMs: number
  endMs: number
  /** 'cpu': values are nanoseconds on a CPU. */
  event: string
  /** '' for the continuous profile, else the id of the burst that asked for it. */
  burst: string
  /** Samples a second and CPU behind it, where that is not the sampler's own rate. */
  hz?: number
  /** Index 0 is ''. All names below are indices into this. */
  strings: string[]
  processes: SampledProcess[]
  frames: {
    function: Uint32Array
    module: Uint32Array
    file: Uint32Array
    line: Uint32Array
    /** Index into FRAME_KINDS of ingest/records.ts. */
    kind: Uint8Array
  }
  stacks: {
    /** Stack i is frames[offsets[i] .. offsets[i + 1]), leaf first, physical and inlined frames alike. */
    offsets: Uint32Array
    frames: Uint32Array
  }
  /** One entry per distinct (process, thread name, stack). */
  samples: {
    process: Uint32Array
    /** Thread name, into strings. */
    thread: Uint32Array
    stack: Uint32Array
    /** Summed period in ns. */
    periodNs: Float64Array
    count: Uint32Array
  }
  counters: SamplerCounters
  /** Samples of each process, where they are counted already. */
  sampled?: Uint32Array
  /**
   * The window as OTLP, once, where whoever took it writes it cheaper than encodeProfiles of profiles.ts, and byte for byte the
   * same. `charges`: of each process; one without a charge is left out.
   */
  encode?(sender: ProfileSender, charges: readonly (Charge | undefined)[], maxBytes: number): Uint8Array[]
}

/** What happened in the window beside the samples that are in it. */
export interface SamplerCounters {
  /** Samples the kernel or the sampler dropped. */
  lost: number
  throttled: number
  /** Samples behind the window. What follows is absent where the sampler cannot tell it. */
  samples?: number
  /** Samples whose stack copy was too short to reach a root. */
  truncated?: number
  /** Samples whose stack copy was too short, completed from the process itself. */
  extended?: number
  /** Samples whose stack ends where nothing says who called. */
  unfinished?: number
  /** Frames of all samples, and how many of them have a name. */
  frames?: number
  namedFrames?: number
  /** CPU time the sampler itself took. */
  ownCpuNs?: number
}

/** What `doctor` and the page say of a running sampler. */
export interface SamplerStatus {
  /** 'addon' or 'perf'. */
  kind: string
  hz: number
  /** 'cpu-clock' or 'cycles'. */
  clock: string
}

export interface SamplerOptions {
  /** Samples a second and CPU. 19 by default: prime, against lockstep. */
  hz: number
  windowMs: number
  includeIdle: boolean
  /** Stack copy per sample; deeper stacks are cut and said to be truncated. */
  stackBytes: number
}

/**
 * What a burst looks at:
 *
 *   { pid }, { pids }  these processes, all their threads, and all that descend from them, now or later
 *   { cgroup }         all in a cgroup and those below it; its path as /proc/PID/cgroup shows it, of any hierarchy
 *   'node'             all that runs
 */
export type BurstTarget = { pid: number } | { pids: readonly number[] } | { cgroup: string } | 'node'

/**
 * A closer look beside the continuous profile, which goes on as if nothing were: the windows of both come from drain(),
 * those of the burst with `burst` set. A burst whose processes end gives empty windows until its time is over.
 *
 *   const burst = stacks.startBurst({ burst: 'b17', hz: 499, durationMs: 30_000, target: { pid: 4711 } })
 *   if ('absent' in burst) refuse(burst.absent)      // why not, and what to do
 *   else note(burst.hz, burst.endsMs)                // burst.stop() ends it early; its last window still comes
 */
export interface BurstOptions {
  /** Id that its windows carry; '' is the continuous profile's. */
  burst: string
  /** Samples a second and CPU, 1 to BURST_LIMITS.maxHz. */
  hz: number
  /** Up to BURST_LIMITS.maxSeconds. */
  durationMs: number
  target: BurstTarget
  /** Default: 5 s, or the whole burst where that is shorter. */
  windowMs?: number
  /** Default: the sampler's own. */
  stackBytes?: number
}

/** A running burst. It ends by itself. */
export interface Burst {
  /** What the kernel grants: less than asked for where kernel.perf_event_max_sample_rate is lower. */
  readonly hz: number
  /** When it ends by itself, ms since the epoch. Its last window comes a moment later. */
  readonly endsMs: number
  /** Ends it now. */
  stop(): void
}

export interface Sampler {
  readonly status: SamplerStatus
  /** Absent where the sampler cannot look closer. */
  startBurst?(options: BurstOptions): Burst | { absent: string }
  /** The windows that have ended since the last call. Never blocks for long; bounded memory: what does not fit is counted as lost. */
  drain(): StackWindow[] | Promise<StackWindow[]>
  stop(): Promise<void>
}

/** Starts sampling, or says why it cannot and what to run so that it can. */
export type StartSampler = (options: SamplerOptions) => Promise<Sampler | { absent: string }>
